"""A bare ASGI function under uvicorn: what any mock in Python could reach at most with this server.

The benchmark starts it as `python -m bench.bare PORT ANSWERS`. It imports nothing of the project, so that its memory
and its start-up are those of uvicorn alone. It reads the body of a request, looks at nothing in it, and sends the
fixed response that ANSWERS, a JSON file, has for the path.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

Message = dict[str, Any]


class Bare:
    """Answers each path with one fixed response."""

    def __init__(self, answers: dict[str, str]) -> None:
        self._messages = {path: _messages(text.encode()) for path, text in answers.items()}

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one request."""
        while (await receive()).get("more_body"):
            pass
        start, body = self._messages[scope["path"]]
        await send(start)
        await send(body)


def _messages(body: bytes) -> tuple[Message, Message]:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def main(port: int, answers: Path) -> None:
    """Serve until the process is told to end: one process, the fastest parts that uvicorn has, no access log."""
    uvicorn.run(
        Bare(json.loads(answers.read_text("utf-8"))),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
