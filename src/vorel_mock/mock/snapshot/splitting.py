"""Splitting the JSON of a large snapshot into its lists of rows, which are then read batch by batch.

One call into C keeps all other threads from running, so none may look at the whole text.
"""

import re
from collections.abc import Iterator
from mmap import mmap
from typing import Any

from vorel_mock.api import strict_json
from vorel_mock.mock.snapshot.rows import ROWS

#: A large text in memory, or in a file.
Text = bytes | mmap

#: Rows, and about how many bytes, of one batch.
_BATCH_ROWS = 100
_BATCH_BYTES = 64 * 1024
#: Bytes of a member that is not a list of rows.
_MAX_MEMBER = 4 * 1024 * 1024
#: Levels of nesting: a snapshot holds bodies that were sent to the API, within a few levels of its own.
MAX_DEPTH = strict_json.MAX_DEPTH + 8

_SPACE = re.compile(rb"[ \t\n\r]*")
#: A class of what it has takes half the time of one of what it has not.
_TEXT = rb'"[ !#-\[\]-\xff]*+(?:\\.[ !#-\[\]-\xff]*+)*+"'
_STRING = re.compile(_TEXT)
_SCALAR = re.compile(rb"[^\s,\]}\"\[{]+")
#: All that comes before the next bracket, and that bracket: the first group if it opens, the second if it closes.
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+(?:([\[{])|[\]}])")


class Rows:
    """A list of rows in a large text. Nothing of it has been read yet."""

    def __init__(self, text: Text, cuts: list[int]) -> None:
        self._text = text
        self._cuts = cuts
        """The ends of batches, the first of which begins at the first of them."""

    def batches(self) -> Iterator[list[Any]]:
        """Yield the rows, some at once. Raises ValueError if they are not JSON."""
        for number, (start, end) in enumerate(zip(self._cuts, self._cuts[1:], strict=False)):
            part = self._text[start:end].strip()
            if number and part:
                if not part.startswith(b","):
                    raise ValueError("is not valid JSON: there is no comma between two rows")
                part = part[1:]
            elif not part:
                continue
            value = strict_json.parse(b"[" + part + b"]", MAX_DEPTH)
            if number and not value:
                raise ValueError("is not valid JSON: there is a comma behind the last row")
            yield value


def split(text: Text) -> dict[str, Any]:
    """Return the value of `text`: a snapshot, or an object with a member `snapshot`. Its lists of rows are `Rows`.

    Raises ValueError if it is not JSON.
    """
    content, end = _object(text, _skip_space(text, 0), outermost=True)
    if _skip_space(text, end) != len(text):
        raise _invalid(end)
    return content


def _object(text: Text, start: int, *, outermost: bool) -> tuple[dict[str, Any], int]:
    """Return the members of the object that starts at `start`, and where it ends."""
    content: dict[str, Any] = {}
    if text[start : start + 1] != b"{":
        raise ValueError("must be an object")
    place = _skip_space(text, start + 1)
    if text[place : place + 1] == b"}":
        return content, place + 1
    while True:
        named = _STRING.match(text, place)
        if named is None:
            raise _invalid(place)
        name = strict_json.parse(named[0])
        place = _skip_space(text, named.end())
        if text[place : place + 1] != b":":
            raise _invalid(place)
        start = _skip_space(text, place + 1)
        first = text[start : start + 1]
        if name == "snapshot" and outermost and first == b"{":
            content[name], place = _object(text, start, outermost=False)
        else:
            place, cuts = _end(text, start)
            if name in ROWS and first == b"[":
                content[name] = Rows(text, cuts)
            elif place - start > _MAX_MEMBER:
                raise ValueError(f"the member at byte {start} is longer than {_MAX_MEMBER // 1024**2} MiB")
            else:
                content[name] = strict_json.parse(text[start:place], MAX_DEPTH)
        place = _skip_space(text, place)
        closing = text[place : place + 1]
        if closing == b"}":
            return content, place + 1
        if closing != b",":
            raise _invalid(place)
        place = _skip_space(text, place + 1)


def _end(text: Text, start: int) -> tuple[int, list[int]]:
    """Return where the value that starts at `start` ends, and between which of its items it can be cut."""
    if text[start : start + 1] not in (b"[", b"{"):
        found = _STRING.match(text, start) or _SCALAR.match(text, start)
        if found is None:
            raise _invalid(start)
        return found.end(), []
    depth, place, cuts, rows = 1, start + 1, [start + 1], 0
    match = _BRACKET.match
    while depth:
        found = match(text, place)
        if found is None:
            raise _invalid(place)
        place = found.end()
        if found.lastindex:
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            rows += 1
            if rows == _BATCH_ROWS or place - cuts[-1] >= _BATCH_BYTES:
                cuts.append(place)
                rows = 0
    cuts.append(place - 1)
    return place, cuts


def _skip_space(text: Text, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def _invalid(place: int) -> ValueError:
    return ValueError(f"is not valid JSON at byte {place}, or behind it")
