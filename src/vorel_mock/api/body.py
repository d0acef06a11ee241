"""Reading a request's body: whole, bounded in size and in time, before any step of the road is taken.

A request that never arrives whole has no effect: nothing is counted, nothing is written.
"""

import asyncio

from starlette.types import Message, Receive

#: Bytes. Ours (docs/assumptions.md): the contract names no limit.
MAX_BYTES = 1024 * 1024
#: What is read and thrown away beyond that, so that a client can finish sending and read why it was refused.
_MAX_DRAINED = 16 * 1024 * 1024
#: Seconds that a body may take to arrive.
TIMEOUT = 30.0

TOO_LARGE = "is longer than 1 MiB"
TOO_SLOW = f"did not arrive within {TIMEOUT:g} seconds"


class ClientGone(Exception):
    """The client hung up before its request was whole."""


async def read(receive: Receive) -> tuple[bytes, str | None]:
    """The body, and why it could not be had whole if so. ClientGone when there is nobody left to answer."""
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        try:
            async with asyncio.timeout(TIMEOUT):
                return await _rest(receive, body)
        except TimeoutError:
            return b"", TOO_SLOW
    if len(body) > MAX_BYTES:
        return b"", TOO_LARGE
    return body, None


async def _rest(receive: Receive, first: bytes) -> tuple[bytes, str | None]:
    chunks, size, more = [first], len(first), True
    while more and size <= _MAX_DRAINED:
        message = await _next(receive)
        chunk = message.get("body", b"")
        size += len(chunk)
        more = message.get("more_body", False)
        if size <= MAX_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
    return (b"", TOO_LARGE) if size > MAX_BYTES else (b"".join(chunks), None)


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message
