"""Marks in the journal: the id of a request, which stands for what came after it.

A mark and not a time: on a frozen clock all requests have the same.
"""

import re
from collections.abc import Callable

from vorel_mock.api.messages import Exchange
from vorel_mock.model.clock import parse_iso

#: The id of a request: its number since the start of the mock, or its last reset. 0 is before the first one.
_ID = re.compile(r"req_([0-9]{8,15})")


def request_id(number: int) -> str:
    """Return the id of the request with this number."""
    return f"req_{number:08d}"


def came_since(since: str, answered: int) -> Callable[[Exchange], bool]:
    """Return whether an exchange came after a mark, or at a time (RFC 3339) or later.

    `answered` is the number of the newest request. Raises ValueError if `since` is neither, or a mark that was made
    before the mock was reset.
    """
    mark = _ID.fullmatch(since)
    if mark is None:
        try:
            first = parse_iso(since)
        except ValueError as error:
            raise ValueError(f"{error}, nor the id of a request such as {request_id(12)}") from None
        return lambda exchange: exchange.at >= first - 1e-6  # a shown time is rounded to microseconds, perhaps up
    number = int(mark[1])
    if number > answered:
        raise ValueError("is the id of a request that the mock has not answered; was it reset since?")
    return lambda exchange: int(exchange.id.removeprefix("req_")) > number
