"""The ASGI application: the API, and beside it the control plane."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vorel_mock.api.core import http_date
from vorel_mock.control.app import PREFIX
from vorel_mock.control.app import build as build_control
from vorel_mock.control.guard import Guard
from vorel_mock.mock.mock import Mock


class App:
    """Everything that a mock answers over HTTP. Paths below /_mock are the control plane's, all others the API's."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self._api: ASGIApp = mock.api
        if mock.settings.cors_origins:
            self._api = _Cors(mock, mock.settings.cors_origins)
        control, self._end_control = build_control(mock)
        self._control = Guard(control, mock.contract, mock.control_token)

    async def start(self) -> None:
        """Do what would otherwise make the first request wait."""
        await self.mock.api.start()

    def stop(self) -> None:
        """End what runs beside the requests: the control plane's threads, and the webhooks'."""
        self._end_control()
        self.mock.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith(PREFIX) and (path == PREFIX or path[len(PREFIX)] == "/"):
                await self._control(scope, receive, self._dated(send))
            else:
                await self._api(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self.stop()
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


class _Cors(CORSMiddleware):
    """Lets pages of `origins` call the API; a browser then shows them every header of an answer."""

    def __init__(self, mock: Mock, origins: tuple[str, ...]) -> None:
        every = ["*"]
        super().__init__(
            mock.api, allow_origins=origins, allow_methods=every, allow_headers=every, expose_headers=every, max_age=600
        )
        self._mock = mock

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks before it calls; a refusal comes in the envelope, as any other."""
        response = super().preflight_response(request_headers)
        if response.status_code >= 400:
            origin = request_headers["origin"]
            message = f"Origin: pages of {origin} may not call this mock; --cors-origin names those that may"
            if self.is_allowed_origin(origin):
                message = "Access-Control-Request-Method: no page may use this method, or reach a private network"
            error = {"code": self._mock.contract.error_codes[400], "message": message}
            response = JSONResponse({"error": error}, response.status_code, {"Vary": response.headers["Vary"]})
        response.headers["Date"] = http_date(int(self._mock.clock.now())).decode()
        return response
