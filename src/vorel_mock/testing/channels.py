"""Two ways to the control plane: a port, and a call within the process."""

import asyncio
import contextlib
import ssl
from functools import cached_property
from urllib.parse import urlsplit

from starlette.types import Message

from vorel_mock.api.messages import Headers, Request, cut, first_values
from vorel_mock.contract.routes import decode_path
from vorel_mock.server.app import App
from vorel_mock.unpatched.event_loop import sleep
from vorel_mock.unpatched.http_client import HttpConnection, NotHttp, Response, connect, request_bytes

#: The base of URLs of a mock in process: a port without a server, so that a client without the transport reaches none.
IN_PROCESS_URL = "http://127.0.0.1:1"


class PortChannel:
    """A mock at a base URL. Raises ValueError if that is invalid."""

    def __init__(self, base_url: str) -> None:
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except (ValueError, TypeError, AttributeError):
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url: {base_url!r} must be a URL such as http://127.0.0.1:3000")
        self.base_url = base_url.rstrip("/")
        self._host = parts.hostname
        self._secure = parts.scheme == "https"
        self._port = port or (443 if self._secure else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._path = parts.path.rstrip("/")
        # By loop: those of a loop that has ended, or that belongs to the process before a fork, are of no use.
        self._idle: dict[asyncio.AbstractEventLoop, list[HttpConnection]] = {}

    async def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        """Return the response. Raises OSError or NotHttp."""
        headers = {"host": self._authority, **headers, "content-length": str(len(body))}
        request = request_bytes(method, (self._path + target).encode("ascii"), headers, body)
        idle = self._idle.setdefault(asyncio.get_running_loop(), [])
        while idle:
            connection = idle.pop()
            if not connection.reusable:
                continue
            response = Response()
            # The server may have closed it just now, which it does without having seen the request.
            with contextlib.suppress(ConnectionError, NotHttp):
                return await self._exchange(connection, request, response, idle)
            if response.status is not None:
                raise NotHttp("the connection was closed before the end of the answer")
        connection = await connect(self._host, self._port, tls=self._tls)
        return await self._exchange(connection, request, Response(), idle)

    async def _exchange(
        self, connection: HttpConnection, request: bytes, response: Response, idle: list[HttpConnection]
    ) -> Response:
        await connection.exchange(request, response)
        if connection.reusable:
            idle.append(connection)
        return response

    @cached_property
    def _tls(self) -> ssl.SSLContext | None:
        # Reading the system's certificates takes longer than a test should; plain HTTP asks for none.
        return ssl.create_default_context() if self._secure else None

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        for connection in self._idle.pop(asyncio.get_running_loop(), ()):
            connection.close()
        await sleep(0)


class InProcessChannel:
    """An application in this process."""

    base_url = IN_PROCESS_URL

    def __init__(self, app: App) -> None:
        self._app = app

    async def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        """Return the response."""
        host = IN_PROCESS_URL.partition("//")[2]
        lines = {"host": host, **headers, "content-length": str(len(body))}
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in lines.items()]
        status, answered, content = await controlled(self._app, arrived(self._app, method, target.encode(), raw, body))
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answered}
        return Response(status, named, bytearray(content))

    async def aclose(self) -> None:
        """Do nothing."""


def arrived(app: App, method: str, target: bytes, headers: Headers, body: bytes) -> Request:
    """Return a request as it arrives at the core, header names in lower case."""
    path, _, query = target.partition(b"?")
    decoded = decode_path(path.decode("ascii"))
    body, unreadable = cut(body, app.body_limit(decoded, headers))
    return Request(method, target, decoded, query, headers, first_values(headers), body, unreadable)


async def controlled(app: App, request: Request) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of the control plane's response."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app.control.answer(request, send)
    start, *pieces = messages
    return start["status"], start["headers"], b"".join(piece.get("body", b"") for piece in pieces)
