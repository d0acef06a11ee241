"""The mock behind an httpx client, without a socket."""

import asyncio

import httpx

from vorel_mock.server.asgi import App
from vorel_mock.testing.loop_thread import LoopThread


class AsyncMockTransport(httpx.AsyncBaseTransport):
    """`httpx.AsyncClient(transport=AsyncMockTransport(app))`.

    What httpx's own ASGITransport does, and two things that clients must meet here as on a socket: a connection that a
    fault resets is a ReadError, an answer that takes longer than the client's read time-out a ReadTimeout.
    """

    def __init__(self, app: App) -> None:
        self._asgi = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request into the mock."""
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                response = await self._asgi.handle_async_request(request)
                content = await response.aread()
        except TimeoutError:
            raise httpx.ReadTimeout("the mock did not answer in time", request=request) from None
        except ConnectionError as error:
            raise httpx.ReadError(str(error), request=request) from None
        return httpx.Response(response.status_code, headers=response.headers, content=content)


class MockTransport(httpx.BaseTransport):
    """`httpx.Client(transport=MockTransport(app))`: the same for code that is not asynchronous."""

    def __init__(self, app: App) -> None:
        self._transport = AsyncMockTransport(app)
        self._loop = LoopThread("vorel-mock-transport")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request into the mock."""
        request.read()  # whatever stream it was, it is bytes from now on
        return self._loop.run(self._transport.handle_async_request(request))

    def close(self) -> None:
        """End the thread behind it."""
        self._loop.stop()
