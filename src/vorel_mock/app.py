"""The ASGI application: the API, and beside it the control plane."""

from starlette.types import Message, Receive, Scope, Send

from vorel_mock.api import body
from vorel_mock.api.envelope import http_date
from vorel_mock.control.app import PREFIX
from vorel_mock.control.app import build as build_control
from vorel_mock.mock import Mock


class App:
    """Everything that a mock answers over HTTP. Paths below /_mock are the control plane's, all others the API's."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self._api = mock.api
        self._control = build_control(mock)

    async def start(self) -> None:
        """Do what would otherwise make the first request wait."""
        await self._api.start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith(PREFIX) and (path == PREFIX or path[len(PREFIX)] == "/"):
                await self._control_plane(scope, receive, send)
            else:
                await self._api(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _control_plane(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Flask reads a body without a bound and waits for it in a thread; it gets one that is there."""
        try:
            raw, unreadable = await body.read(scope, receive)
        except body.ClientGone:
            return
        if unreadable is not None:
            answer = self._api.refuse_unparsed(f"body: {unreadable}")
            headers = [*answer.headers, (b"connection", b"close")]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        messages: list[Message] = [{"type": "http.request", "body": raw}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._control(scope, replay, self._dated(send))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _dated(self, send: Send) -> Send:
        """The server adds no Date of its own, because the mock has a clock of its own."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                empty = message["status"] == 204  # Flask gives even nothing a media type
                headers = [h for h in message.get("headers", ()) if not (empty and h[0] == b"content-type")]
                message = {**message, "headers": [*headers, (b"date", http_date(int(self.mock.clock.now())))]}
            await send(message)

        return dated
