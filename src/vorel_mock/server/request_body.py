"""Reading a request's body: whole and bounded in size, before any step of the road is taken.

A request whose client hangs up before it is whole has no effect: nothing is counted, nothing is written. How long a
body may take to arrive is the server's business (`vorel_mock.server`).
"""

from starlette.types import Receive, Scope

#: Bytes. Ours (docs/assumptions.md): the contract names no limit.
MAX_BYTES = 1024 * 1024
#: What is read and thrown away beyond that, so that a client can finish sending and read why it was refused.
_MAX_DRAINED = 16 * 1024 * 1024

#: Where in the ASGI scope the server says why a body cannot be had whole: its framing is broken, or it is too slow.
UNREADABLE = "vorel_mock.unreadable"


class ClientGone(Exception):
    """The client hung up before its request was whole."""


async def read(scope: Scope, receive: Receive, limit: int = MAX_BYTES) -> tuple[bytes, str | None]:
    """The body, and why it could not be had whole if so: it is longer than `limit` bytes, or the server says.

    ClientGone when there is nobody left to answer.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= limit + _MAX_DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        more = message.get("more_body", False)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
    if size > limit:
        return b"", _too_long(limit)
    unreadable = scope.get(UNREADABLE)
    return (b"", unreadable) if unreadable else (b"".join(chunks), None)


def cut(raw: bytes, limit: int = MAX_BYTES) -> tuple[bytes, str | None]:
    """A body that is all there, as `read` would have it."""
    return (b"", _too_long(limit)) if len(raw) > limit else (raw, None)


def _too_long(limit: int) -> str:
    return f"is longer than {limit >> 20} MiB"
