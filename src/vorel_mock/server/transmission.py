"""Sending an answer badly, as a fault asks: late, in drips, cut off, or not at all."""

import asyncio

from starlette.types import Scope, Send

from vorel_mock.api.messages import Answer, Manner

#: In the ASGI scope's extensions: a function that resets the connection. In process there is none.
ABORT = "vorel_mock.abort"
_DRIPS = 10


async def send_badly(scope: Scope, send: Send, answer: Answer, manner: Manner) -> None:
    """Send `answer` the way `manner` says."""
    if manner.delay:
        await asyncio.sleep(manner.delay)
    if manner.end == "reset":
        _abort(scope)
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    body = answer.body
    if manner.end == "truncated":
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await asyncio.sleep(0.05)  # let it reach the client before the reset overtakes it
        _abort(scope)
        return
    step = max(1, len(body) // _DRIPS)
    parts = [body[i : i + step] for i in range(0, len(body), step)] if manner.drip else [body]
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(manner.drip / len(parts))
    await send({"type": "http.response.body", "body": b""})


def _abort(scope: Scope) -> None:
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is None:
        raise ConnectionResetError("the connection was reset, as a fault asked")
    abort()
