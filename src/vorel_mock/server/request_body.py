"""Reading a request's body from ASGI messages, with a bound on its size."""

from starlette.types import Receive

from vorel_mock.api.messages import too_long
from vorel_mock.server.request_parser import MAX_DISCARDED


class ClientGone(Exception):
    """The client disconnected before its request was complete."""


async def read(receive: Receive, limit: int) -> tuple[bytes, str | None]:
    """Return the body, and `unreadable` of a Request: that it is longer than `limit` bytes, if it is.

    Raises ClientGone if nobody is left to answer.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= limit + MAX_DISCARDED:
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
    return (b"", too_long(limit)) if size > limit else (b"".join(chunks), None)
