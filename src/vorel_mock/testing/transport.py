"""The mock behind an httpx client, without a socket."""

import httpx

from vorel_mock.app import App
from vorel_mock.testing.loop_thread import LoopThread


class MockTransport(httpx.BaseTransport):
    """`httpx.Client(transport=MockTransport(app))`. For an AsyncClient, `httpx.ASGITransport(app)` does."""

    def __init__(self, app: App) -> None:
        self._asgi = httpx.ASGITransport(app)
        self._loop = LoopThread("vorel-mock-transport")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request into the mock."""
        request.read()  # whatever stream it was, it is bytes from now on
        return self._loop.run(self._exchange(request))

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._asgi.handle_async_request(request)
            content = await response.aread()
        except ConnectionError as error:
            raise httpx.ReadError(str(error), request=request) from None
        return httpx.Response(response.status_code, headers=response.headers, content=content)

    def close(self) -> None:
        """End the thread behind it."""
        self._loop.stop()
