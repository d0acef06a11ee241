"""Header blocks that were parsed before, so that a request with one of them need not be parsed again.

Clients send the same headers with each request; what differs is the path, the body, and now and then its length.
httptools calls back into Python for each header: that is a quarter of the time of a handoff. Whatever is not plain is
left to it: this module only finds again what it has read.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from vorel_mock.api.messages import Headers, Request

#: Blocks that are remembered, and bytes that one may have.
_MAX_BLOCKS = 1024
_MAX_BLOCK = 2048
#: Bytes of a request line that may be remembered; longer ones are parsed each time.
_MAX_LINE = 512
#: A request line whose path needs no decoding and has no query. The methods are a few of those that httptools accepts.
_PLAIN = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[A-Za-z0-9/_.~-]*) HTTP/1\.1")


class _Block(NamedTuple):
    headers: Headers
    fields: dict[bytes, bytes]
    length: int
    """Bytes of the body behind it."""


_known: dict[bytes, _Block] = {}


def find(data: bytes) -> Request | None:
    """Return the request that `data` is, if it is exactly one, with a header block that was seen before."""
    start, end = data.find(b"\r\n") + 2, data.find(b"\r\n\r\n") + 4
    block = _known.get(data[start:end])
    if block is None or len(data) != end + block.length or start > _MAX_LINE:
        return None
    line = _request_line(data[:start])
    if line is None:
        return None
    return Request(line[0], line[1], line[2], b"", block.headers, block.fields, data[end:])


def remember(data: bytes, request: Request) -> None:
    """Note the header block of `data`, if it is plain: a complete request that the connection is kept open after."""
    start, end = data.find(b"\r\n") + 2, data.find(b"\r\n\r\n") + 4
    fields = request.fields
    length = len(data) - end
    if (
        end - start <= _MAX_BLOCK
        and start <= _MAX_LINE
        and fields.get(b"content-length", b"0") == b"%d" % length
        and not fields.keys() & {b"transfer-encoding", b"upgrade", b"expect"}
        and _request_line(data[:start]) is not None
    ):
        if len(_known) >= _MAX_BLOCKS:
            _known.clear()
        _known[data[start:end]] = _Block(request.headers, fields, length)


@lru_cache(maxsize=1024)
def _request_line(line: bytes) -> tuple[str, bytes, str] | None:
    """Return method, target and path of a request line, its end included; None if it is not plain."""
    parts = _PLAIN.fullmatch(line, 0, len(line) - 2)
    return None if parts is None else (parts[1].decode(), parts[2], parts[2].decode())
