"""The mock behind an httpx client, without a socket: two shells over the core.

A client sees the same as on a socket. A connection that a fault resets raises ReadError; a response that takes longer
than the client's read timeout raises ReadTimeout.
"""

import asyncio
import threading
from collections.abc import Iterator

import httpx

from vorel_mock.api.messages import Headers, Request, Response
from vorel_mock.model.held_responses import HeldResponse
from vorel_mock.server.app import App, is_control
from vorel_mock.server.transmission import Close, Reset, Wait, actions, pause
from vorel_mock.testing.channels import arrived, controlled
from vorel_mock.testing.loop_thread import LoopThread, Stopped, awaited


class AsyncMockTransport(httpx.AsyncBaseTransport):
    """Transport for `httpx.AsyncClient(transport=AsyncMockTransport(app))`."""

    def __init__(self, app: App) -> None:
        self._app = app
        # What takes time runs on a loop of its own: a test may have stopped the time of the one that runs here.
        self._loop = LoopThread("vorel-mock-transport")
        app.shells.add(self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the mock's response to one request."""
        await request.aread()
        asked = _arrived(self._app, request)
        try:
            if is_control(asked):
                return await awaited(self._loop.submit(_controlled(self._app, request, asked)))
            exchange = _Exchange(request, self._app.answer(asked))
            for seconds in exchange.waits():
                await awaited(self._loop.submit(pause(seconds, exchange.held)))
            return exchange.received()
        except Stopped:
            raise _closed(request) from None

    async def aclose(self) -> None:
        """End every request that waits for its response, and the thread."""
        self.end_waits()

    def end_waits(self) -> None:
        """End every request that waits for its response."""
        self._loop.stop()


class MockTransport(httpx.BaseTransport):
    """Transport for `httpx.Client(transport=MockTransport(app))`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._loop = LoopThread("vorel-mock-transport")
        self._closed = False
        self._waiting: set[threading.Event] = set()
        app.shells.add(self)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the mock's response to one request. Raises ReadError if the transport is closed meanwhile."""
        request.read()
        asked = _arrived(self._app, request)
        if is_control(asked):
            try:
                return self._loop.run(_controlled(self._app, request, asked))
            except Stopped:
                raise _closed(request) from None
        exchange = _Exchange(request, self._app.answer(asked))
        for seconds in exchange.waits():
            if self._closes_within(seconds, exchange.held):
                raise _closed(request)
        return exchange.received()

    def close(self) -> None:
        """End every request that waits for its response, and the thread."""
        self.end_waits()

    def end_waits(self) -> None:
        """End every request that waits for its response."""
        self._closed = True
        for waiting in list(self._waiting):
            waiting.set()
        self._loop.stop()

    def _closes_within(self, seconds: float, held: HeldResponse | None) -> bool:
        """Wait `seconds`, or until the response is let go. Returns True if the transport is closed."""
        over = threading.Event()
        self._waiting.add(over)
        if held is not None:
            held.wait(over.set)
        if not self._closed:
            over.wait(seconds)
        self._waiting.discard(over)
        return self._closed


class _Exchange:
    """A response on its way to a client that waits for it."""

    def __init__(self, request: httpx.Request, response: Response) -> None:
        self._request = request
        self._response = response
        self.held = None if response.transmission is None else response.transmission.held
        """Ends the waits before their time."""
        self._body = b""

    def waits(self) -> Iterator[float]:
        """Yield the seconds of each wait. Raises ReadError or ReadTimeout if that is what the client gets."""
        patience, held = _read_timeout(self._request), self.held
        try:
            for action in actions(self._response):
                if isinstance(action, Wait):
                    yield action.seconds if patience is None else min(action.seconds, patience)
                    if patience is not None and action.seconds > patience and not (held and held.released):
                        raise httpx.ReadTimeout("the mock did not answer in time", request=self._request)
                elif isinstance(action, Reset):
                    raise httpx.ReadError("the connection was reset, as a fault asked", request=self._request)
                elif isinstance(action, Close):
                    raise httpx.RemoteProtocolError(
                        "the connection was closed, as a fault asked", request=self._request
                    )
                else:
                    self._body += action.body
        finally:
            if held is not None:
                held.end()

    def received(self) -> httpx.Response:
        """Return the complete response."""
        return _response(self._request, self._response.status, self._response.headers, self._body)


def _arrived(app: App, request: httpx.Request) -> Request:
    """Return the request as it arrives at the core. Its body has been read."""
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    return arrived(app, request.method, request.url.raw_path, headers, request.content)


async def _controlled(app: App, request: httpx.Request, asked: Request) -> httpx.Response:
    """Return the response of the control plane."""
    try:
        async with asyncio.timeout(_read_timeout(request)):
            return _response(request, *await controlled(app, asked))
    except TimeoutError:
        raise httpx.ReadTimeout("the mock did not answer in time", request=request) from None


def _response(request: httpx.Request, status: int, headers: Headers, body: bytes) -> httpx.Response:
    # A stream and not `content`, to which httpx adds a Content-Length that the mock did not send.
    stream = httpx.ByteStream(b"" if request.method == "HEAD" else body)
    return httpx.Response(status, headers=headers, stream=stream, request=request)


def _read_timeout(request: httpx.Request) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


def _closed(request: httpx.Request) -> httpx.ReadError:
    return httpx.ReadError("the client was closed before the response was there", request=request)
