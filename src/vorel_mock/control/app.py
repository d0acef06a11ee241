"""The control plane: its own document, checks in front, Flask handlers behind stock Connexion, Swagger UI."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from threading import Lock
from typing import Any, cast

import flask
from flask.json.provider import DefaultJSONProvider
from flask_swagger_ui import get_swaggerui_blueprint
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Scope, Send

from vorel_mock.api.core import http_date
from vorel_mock.api.errors import JSON, error_body
from vorel_mock.api.messages import Headers, Request, Response, first_values
from vorel_mock.contract.connexion_import import (
    ConnexionResponse,
    FlaskApp,
    Jsonifier,
    ProblemException,
    Resolver,
    SwaggerUIOptions,
    unchecked,
)
from vorel_mock.control import document, handlers
from vorel_mock.control.console import pages as console
from vorel_mock.control.document import PREFIX, READS
from vorel_mock.control.guard import PROTECTION, WRITES, Guard
from vorel_mock.control.handlers.streaming import indented
from vorel_mock.control.handlers.support import CLIENT
from vorel_mock.control.logged_commands import through_log
from vorel_mock.control.quota import OWNER, refuse_deleted, within_quota
from vorel_mock.control.request_validation import BODY, Body, Parameters
from vorel_mock.mock.mock import Mock
from vorel_mock.model.wait import Client

logger = logging.getLogger("vorel_mock")

#: Requests that may be under way at once: those that wait (`mock/waiting_places.py`), and the others.
WORKERS = 256
#: Bytes of a body that is not parsed on the event loop.
_LARGE = 64 * 1024
#: What Connexion and Flask see as the body.
_SHORT = b"{}"
#: Werkzeug compiles a syntax tree for each route. Where two threads do so at once, CPython 3.11 may raise SystemError
#: (gh-106905): one control plane of a process is made at a time.
_MAKING = Lock()


class ControlPlane:
    """Answers requests below /_mock."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._guard = Guard(
            mock.contract, mock.control_token, mock.tenant_tokens, trusts_network=mock.settings.trust_network
        )
        self._workers = ThreadPoolExecutor(WORKERS, "vorel-mock-control")
        self._app: ASGIApp | None = None

    def body_limit(self, path: str, headers: Headers) -> int | None:
        """Return how many bytes the body of a request may have, None if the headers do not permit the request."""
        return self._guard.body_limit(Request("POST", b"", path, b"", headers, first_values(headers)))

    async def answer(self, request: Request, send: Send, root_path: str = "", client: Client | None = None) -> None:
        """Answer a request with ASGI messages. `root_path`: where the mock is mounted in another application.

        `client`: tells those who wait when the client goes away, if the shell knows.
        """
        send, body = self._dated(send), None
        response = self._guard.check(request)
        if response is None and request.method in WRITES:
            read = self._guard.read_body
            try:
                large = request.large is not None or len(request.body) > _LARGE
                body = await asyncio.to_thread(read, request) if large else read(request)
            except ValueError as error:
                response = self._guard.rejected(400, str(error))
        if response is None and request.method in READS and request.path in ("/", PREFIX):
            response = _redirect(f"{root_path}{PREFIX}/")
        if response is None:
            app = self._app
            if app is None:
                app = await asyncio.get_running_loop().run_in_executor(self._workers, self._made)
            scope = _scope(request, root_path, body, self._guard.owner(request), client or Client())
            await app(scope, _receive, send)
            if request.method in WRITES:
                self._mock.writes += 1
        else:
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            await send({"type": "http.response.body", "body": response.body})

    def _made(self) -> ASGIApp:
        """Return the application. It is made for the first request: that takes a sixth of the start of a mock."""
        with _MAKING:
            if self._app is None:
                self._app = _application(self._mock, self._workers)
            return self._app

    def stop(self) -> None:
        """End its threads."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _dated(self, send: Send) -> Send:
        """Return a `send` that adds a Date by the mock's clock and PROTECTION.

        It takes the media type off an empty response.
        """

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                empty = message["status"] == 204
                headers = [h for h in message.get("headers", ()) if not (empty and h[0] == b"content-type")]
                now = int(self._mock.clock.now())
                names = {name.lower() for name, _ in headers}
                protection = [header for header in PROTECTION if header[0] not in names]
                message = {**message, "headers": [*headers, *protection, (b"date", http_date(now))]}
            await send(message)

        return dated


def _redirect(location: str) -> Response:
    """Return a redirect. Its body is for who does not follow it, as curl does not."""
    body = f"The mock's own pages begin at {location}\n".encode()
    headers = [(b"location", location.encode()), (b"content-type", b"text/plain; charset=utf-8")]
    return Response(307, body, [*headers, (b"content-length", b"%d" % len(body))])


def _scope(request: Request, root_path: str, body: Any, owner: str | None, client: Client) -> Scope:
    """Return the ASGI scope of a request. It carries the value of the body, which has been read, and who sent it.

    Connexion and Flask each read a body anew, the first of them on the event loop; and Connexion takes a chunked body,
    or an absent optional one, for an error. They are given a short body, and then the value.
    """
    headers = request.headers
    if request.method in WRITES:
        replaced = (b"content-length", b"transfer-encoding", b"content-type")
        length = (b"content-length", b"%d" % len(_SHORT))
        headers = [*(header for header in headers if header[0] not in replaced), JSON, length]
    return {
        BODY: body,
        CLIENT: client,
        OWNER: owner,
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": root_path + request.path,
        "raw_path": request.target.partition(b"?")[0],
        "query_string": request.query,
        "root_path": root_path,
        "headers": headers,
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": _SHORT, "more_body": False}


def _application(mock: Mock, workers: ThreadPoolExecutor) -> ASGIApp:
    """Return the Connexion application."""
    contents = document.checked(mock.contract)
    app = FlaskApp(
        "vorel_mock.control",
        jsonifier=_Jsonifier(),
        swagger_ui_options=SwaggerUIOptions(swagger_ui=False, serve_spec=False),
        server_args={"static_folder": None},
    )
    with unchecked():
        app.add_api(
            contents,
            base_path=PREFIX,
            resolver=_Handlers(
                {
                    name: within_quota(mock, name, through_log(mock, name, function))
                    for name, function in handlers.bind(mock).items()
                }
            ),
            validator_map={"parameter": Parameters, "body": {"application/json": Body}},
        )
    app.app.json = _Json(app.app)

    def allowed(request: Any) -> str:
        return document.allowed(contents, request.scope["path"].removeprefix(PREFIX))

    ambiguous = document.ambiguous(contents)

    def refuse_other_methods() -> None:
        """Routers look on for a template with this method: a GET of `…/deliveries/wait` asked for a delivery `wait`."""
        path, method = flask.request.path.removeprefix(PREFIX), flask.request.method
        if any(each.fullmatch(path) for each in ambiguous) and method not in document.allowed(contents, path).split(
            ", "
        ):
            flask.abort(405)

    app.app.before_request(refuse_other_methods)
    app.app.before_request(lambda: refuse_deleted(mock))
    app.middleware.app.asgi_app.executor = workers  # instead of its own ten, which are never ended
    app.add_error_handler(
        ProblemException, lambda request, error: _error(mock, error.status, _text(error), error.headers)
    )
    app.add_error_handler(
        HTTPException,
        lambda request, error: _http_error(mock, error, allowed(request), _nothing(contents, request.scope["path"])),
    )
    app.add_error_handler(Exception, lambda request, error: _failed(mock, error))
    app.app.url_map.merge_slashes = False  # nothing is at `/_mock//`
    app.app.register_blueprint(console.blueprint(mock))
    app.app.register_blueprint(
        get_swaggerui_blueprint(
            f"{PREFIX}/docs",
            "../contract.json",
            # The page is `console/templates/index.template.html`. Relative: the mock may be below another path.
            config={
                "app_name": "vorel-mock",
                "urls": [
                    {"name": "Vorel API", "url": "../contract.json"},
                    {"name": "vorel-mock control plane", "url": "../openapi.json"},
                ],
                "tryItOutEnabled": True,
                "validatorUrl": None,
            },
        )
    )
    # Connexion would do this in its first request, on the event loop: it takes a while, and compiles the routes.
    stack = app.middleware
    stack.app, stack.middleware_stack = stack._build_middleware_stack()
    return cast(ASGIApp, app)


class _Jsonifier(Jsonifier):
    """Indents, for the reader at a terminal."""

    def dumps(self, data: Any, **_: Any) -> str:
        return indented(data).decode() + "\n"


class _Json(DefaultJSONProvider):
    """Hands the value of the body to the handlers."""

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return flask.request.environ["asgi.scope"][BODY]


class _Handlers(Resolver):
    def __init__(self, functions: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self._functions = functions

    def resolve_function_from_operation_id(self, operation_id: str) -> Callable[..., Any]:
        return _contained(self._functions[operation_id])


def _contained(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `function` so that each of its exceptions gives the request a response.

    A future does not accept StopIteration, so the request would wait for ever. SystemExit would end the server.
    """

    @wraps(function)
    def contained(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            raise RuntimeError(f"a handler let {type(error).__name__} through") from error

    return contained


def _text(error: Any) -> str:
    return str(error.detail or getattr(error, "title", "") or "")


def _nothing(contents: Mapping[str, Any], path: str) -> str:
    """Return the message for a path at which the control plane has nothing."""
    near = document.nearest(contents, path.removeprefix(PREFIX))
    meant = "." if near is None else f"; did you mean {PREFIX}{near}?"
    return f"Nothing is at this path{meant} {PREFIX}/docs/ lists what there is."


def _http_error(mock: Mock, error: HTTPException, allowed: str, nothing: str) -> ConnexionResponse:
    if error.status_code < 400:  # what Flask says of `/docs`; its detail is where to go
        return ConnexionResponse(status_code=error.status_code, headers={"Location": _text(error)})
    # Flask's own text speaks of URLs and servers.
    text = nothing if error.status_code == 404 and "requested URL" in _text(error) else _text(error)
    if error.status_code == 405:
        return _error(mock, 405, f"This path allows the methods {allowed} only.", {"Allow": allowed})
    return _error(mock, error.status_code, text)


def _failed(mock: Mock, error: Exception) -> ConnexionResponse:
    logger.error("control plane: %r", error, exc_info=error)
    return _error(mock, 500, "The mock failed. This is a bug of the mock.")


def _error(mock: Mock, status: int, message: str, headers: Mapping[str, str] | None = None) -> ConnexionResponse:
    body = error_body(mock.contract, status, message)
    return ConnexionResponse(
        status_code=status, content_type="application/json", body=body, headers=dict(headers or {})
    )
