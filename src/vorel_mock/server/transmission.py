"""Sending a response: its head as bytes, and the actions that each shell carries out in its own way.

Almost every response is one action. A fault may have it sent late, in small pieces, cut off, or not at all.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple

from vorel_mock.api.messages import Headers, Response
from vorel_mock.model.held_responses import HeldResponse
from vorel_mock.unpatched.event_loop import sleep

#: Pieces of a body that is spread over time, or sent in chunks.
_PIECES = 10
#: Seconds between half a body and the reset behind it, so that the reset does not overtake the body.
_BEFORE_RESET = 0.05

_LINE = b": ".join
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}


class Wait(NamedTuple):
    """Do nothing for `seconds`."""

    seconds: float


class Send(NamedTuple):
    """Send a piece of the body; the first one follows the head. `more`: another piece comes."""

    body: bytes
    more: bool = False


class Reset(NamedTuple):
    """Reset the connection. Always the last action."""


class Close(NamedTuple):
    """Close the connection in order (FIN), without a response. Always the last action."""


Action = Wait | Send | Reset | Close


def actions(response: Response) -> Iterator[Action]:
    """Yield what a shell has to do, in this order, to send `response`."""
    how, body = response.transmission, response.body
    if how is None:
        yield Send(body)
        return
    if how.delay:
        yield Wait(how.delay)
    if how.end == "reset":
        yield Reset()
        return
    if how.end == "closed":
        yield Close()
        return
    if how.end == "truncated":
        yield Send(body[: len(body) // 2], more=True)
        yield Wait(_BEFORE_RESET)
        yield Reset()
        return
    step = max(1, len(body) // _PIECES) if how.drip or how.chunked else max(1, len(body))
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    for piece in pieces:
        yield Send(piece, more=True)
        if how.drip:
            yield Wait(how.drip / len(pieces))
    yield Send(b"")


async def pause(seconds: float, held: HeldResponse | None) -> None:
    """Wait `seconds`, or until a response that is held back is let go."""
    if held is None:
        await sleep(seconds)
    elif not held.released:
        loop, released = asyncio.get_running_loop(), asyncio.Event()
        held.wait(lambda: loop.call_soon_threadsafe(released.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await released.wait()


def chunk(piece: bytes, *, last: bool) -> bytes:
    """Return a piece of a body in chunked framing (RFC 9112, 7.1)."""
    framed = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    return framed + b"0\r\n\r\n" if last else framed


def head(status: int, headers: Headers, *, keep_alive: bool) -> bytes:
    """Return status line and headers of a response in HTTP/1.1, the empty line included."""
    close = not keep_alive and not any(name == b"connection" for name, _ in headers)
    status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return b"\r\n".join([status_line, *map(_LINE, headers), end])
