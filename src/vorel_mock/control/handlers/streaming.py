"""Long lists as responses: put into JSON piece by piece, so that no piece keeps other threads from running for long."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, TypeVar

import msgspec
from flask import Response

Json = dict[str, Any]
Row = TypeVar("Row")

#: Rows that are put into JSON at once: some tenths of a millisecond.
_AT_ONCE = 8
#: One response at a time computes. A hundred threads that all compute would each take their turn at Python's lock, and
#: the event loop, which answers the API, would wait for a hundred turns.
_TURN = Lock()
#: Rows up to which a list is an ordinary response.
_SHORT = 50
_PLACE = "the rows stand here"


def listed(
    rows: Sequence[Row], show: Callable[[Row], Any], around: Callable[[list[Any]], Json] = lambda shown: {"data": shown}
) -> Json | Response:
    """Return the response that `around` makes of the rows as `show` shows them. Call it without the mock's lock."""
    if len(rows) <= _SHORT:
        return around([show(row) for row in rows])
    return streamed(_pieces(rows, show, around))


def counted(found: tuple[Sequence[Row], int], show: Callable[[Row], Any]) -> Json | Response:
    """Return the response with the rows that were found, and how many match in all. Call it without the lock."""
    return listed(found[0], show, lambda shown: {"data": shown, "total": found[1]})


def streamed(pieces: Iterable[bytes]) -> Response:
    """Return a response whose JSON is sent as it is made."""
    return Response(pieces, content_type="application/json")


def indented(value: Any) -> bytes:
    """Return `value` as JSON for the reader at a terminal."""
    # The standard library's indenting would take a third of a short request.
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _pieces(rows: Sequence[Row], show: Callable[[Row], Any], around: Callable[[list[Any]], Json]) -> Iterator[bytes]:
    before, after = indented(around([_PLACE])).split(msgspec.json.encode(_PLACE))
    indent = before[before.rindex(b"\n") :]
    separator = b"," + indent
    yield before
    for start in range(0, len(rows), _AT_ONCE):
        with _TURN:
            shown = [indented(show(row)).replace(b"\n", indent) for row in rows[start : start + _AT_ONCE]]
        yield (separator if start else b"") + separator.join(shown)
    yield after + b"\n"
