"""HTTP/1.1 from the mock: to receivers of webhooks, and from a test to the control plane.

httpx and http.client will not do: respx, pytest-httpx, responses and VCR replace what they send with in the whole
process. This one is asyncio and httptools, and as small as its two uses allow.
"""

import asyncio
import json
import ssl
import sys
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

#: Bytes of status line and headers that a response may have.
_MAX_HEAD = 256 * 1024


class NotHttp(Exception):
    """What came is not a whole response in HTTP/1.1."""


@dataclass(slots=True)
class Response:
    """A response, filled in as it arrives; header names in lower case."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    def json(self) -> Any:
        """Return the value of the body. Raises ValueError if it is not JSON."""
        return json.loads(self.body)


class HttpConnection(asyncio.Protocol):
    """A connection for one exchange after the other. Made by `connect`."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._response = Response()
        self._over: asyncio.Future[None] | None = None
        self._most = 0
        self._head = 0
        self._complete = False
        self.reusable = True
        """False once nothing more can be sent."""

    async def exchange(self, request: bytes, response: Response, most: int = sys.maxsize) -> None:
        """Send `request` and fill `response`. Of the body, little more than `most` bytes are read: then it is complete.

        Raises NotHttp or OSError.
        """
        self._response, self._most, self._head, self._complete = response, most, 0, False
        self._parser = httptools.HttpResponseParser(self)
        self._over = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        try:
            self._transport.write(request)
            await self._over
        except BaseException:
            self.close()
            raise
        finally:
            self._parser = self._over = None

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one without being an instance

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._parser is None:  # nobody asked
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(NotHttp(str(error)))
        if self._head > _MAX_HEAD:
            self._end(NotHttp(f"more than {_MAX_HEAD} bytes of headers"))
        elif self._complete:
            self._end(None)
        elif len(self._response.body) >= self._most:
            self.reusable = False
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange: a body without a length ends with the connection."""
        self.reusable = False
        if exc is None and not (self._response.status is not None and _ends_with_connection(self._response)):
            exc = NotHttp("the connection was closed before the end of the answer")
        self._end(exc)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._head += len(name) + len(value)
        text, headers = name.decode("latin-1").lower(), self._response.headers
        if self._head <= _MAX_HEAD:
            shown = value.decode("latin-1")
            headers[text] = f"{headers[text]}, {shown}" if text in headers else shown

    def on_headers_complete(self) -> None:
        """Keep the status, unless it is an interim one."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status >= 200:
            self._response.status = status

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._response.body += body

    def on_message_complete(self) -> None:
        """Note the end of the response; behind an interim one another follows."""
        if self._response.status is None:
            self._response.headers.clear()
        else:
            assert self._parser is not None
            self._complete = True
            self.reusable = self.reusable and self._parser.should_keep_alive()

    def _end(self, problem: BaseException | None) -> None:
        if self._over is not None and not self._over.done():
            if problem is None:
                self._over.set_result(None)
            else:
                self._over.set_exception(problem)


async def connect(
    host: str, port: int, *, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> HttpConnection:
    """Return a connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(HttpConnection, host, port, ssl=tls, server_hostname=server_name)
    return connection


def request_bytes(method: str, target: bytes, headers: dict[str, str], body: bytes) -> bytes:
    """Return a request in HTTP/1.1. `headers` name its length."""
    lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items()]
    return b"".join([method.encode(), b" ", target, b" HTTP/1.1\r\n", *lines, b"\r\n", body])


def _ends_with_connection(response: Response) -> bool:
    chunked = response.headers.get("transfer-encoding", "").lower().endswith("chunked")
    return "content-length" not in response.headers and not chunked
