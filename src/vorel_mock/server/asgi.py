"""The mock as an ASGI application, to run under another server or to mount in an application."""

from starlette.types import Receive, Scope, Send

from vorel_mock.api.messages import Request, Response, first_values
from vorel_mock.contract.routes import decode_path
from vorel_mock.server.app import App, is_control
from vorel_mock.server.request_body import ClientGone, read
from vorel_mock.server.transmission import Close, Reset, Wait, actions, pause


class AsgiApp:
    """Serves an App. It can be mounted below a path."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: HTTP, or the start and end of the server."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            raise ValueError(f"vorel-mock serves HTTP, not {scope['type']}")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        try:
            body, unreadable = await read(receive, self.app.body_limit(path, headers))
        except ClientGone:
            return  # half a request has no effect
        query: bytes = scope["query_string"]
        target = scope.get("raw_path") or path.encode("utf-8", "surrogatepass")
        request = Request(
            scope["method"],
            target + (b"?" + query if query else b""),
            path,
            query,
            headers,
            first_values(headers),
            body,
            unreadable,
            is_http_1_0=scope.get("http_version") == "1.0",
        )
        if is_control(request):
            await self.app.control.answer(request, send, scope.get("root_path", ""))
        else:
            response = await self.app.answer_later(request) if self.app.waits else self.app.answer(request)
            await _transmit(response, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.app.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _transmit(response: Response, send: Send) -> None:
    """Send a response, the way a fault may ask for."""
    started = False
    # ASGI has names in lower case; the journal shows this response, and so the names that are sent. The server frames a
    # body without a length in its own way: HTTP/2 knows no chunks.
    headers = response.headers = [
        (name.lower(), value) for name, value in response.headers if name.lower() != b"transfer-encoding"
    ]
    held = None if response.transmission is None else response.transmission.held
    try:
        for action in actions(response):
            if isinstance(action, Wait):
                await pause(action.seconds, held)
            elif isinstance(action, Reset | Close):
                # ASGI has no message for it; a server closes or resets the connection of an application that raises.
                raise ConnectionResetError("the connection was reset, as a fault asked")
            else:
                if not started:
                    await send({"type": "http.response.start", "status": response.status, "headers": headers})
                    started = True
                await send({"type": "http.response.body", "body": action.body, "more_body": action.more})
    finally:
        if held is not None:
            held.end()


def _path(scope: Scope) -> str:
    """Return the path below the mount point. ASGI decodes a path completely; the mock keeps an encoded slash."""
    root: str = scope.get("root_path", "")
    raw: bytes | None = scope.get("raw_path")
    path: str = decode_path(raw.partition(b"?")[0].decode("latin-1")) if raw else scope["path"]
    return path.removeprefix(root) if root else path
