"""The control plane as an application: its own document, Flask handlers behind stock Connexion, Swagger UI."""

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, cast

import msgspec
from connexion.jsonifier import Jsonifier
from connexion.lifecycle import ConnexionResponse
from connexion.options import SwaggerUIOptions
from flask.json.provider import DefaultJSONProvider
from flask_swagger_ui import get_swaggerui_blueprint
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from vorel_mock.contract.connexion_import import FlaskApp, ProblemException, Resolver, unchecked
from vorel_mock.control import document, handlers
from vorel_mock.control.guard import parse
from vorel_mock.control.request_validation import Body, Parameters
from vorel_mock.mock.mock import Mock
from vorel_mock.model.redaction import redact

logger = logging.getLogger("vorel_mock")

PREFIX = "/_mock"
#: Requests that may be under way at once: those that wait (MAX_WAITS), and room for the others, which they wait for.
WORKERS = 256


def build(mock: Mock) -> tuple[ASGIApp, Callable[[], None]]:
    """The ASGI application that answers below /_mock, and what ends its threads."""
    contents = document.load(mock.contract)
    app = FlaskApp(
        "vorel_mock.control",
        jsonifier=_Jsonifier(),
        swagger_ui_options=SwaggerUIOptions(swagger_ui=False),
        server_args={"static_folder": None},
    )
    with unchecked():
        app.add_api(
            contents,
            base_path=PREFIX,
            resolver=_Handlers(handlers.bind(mock)),
            validator_map={"parameter": Parameters, "body": {"application/json": Body}},
        )
    app.app.json = _Json(app.app)

    def allowed(request: Any) -> str:
        return document.allowed(contents, request.scope["path"].removeprefix(PREFIX))

    workers = ThreadPoolExecutor(WORKERS, "vorel-mock-control")
    app.middleware.app.asgi_app.executor = workers  # in the place of ten that nobody ends
    app.add_error_handler(
        ProblemException, lambda request, error: _error(mock, error.status, _text(error), error.headers)
    )
    app.add_error_handler(HTTPException, lambda request, error: _http_error(mock, error, allowed(request)))
    app.add_error_handler(Exception, lambda request, error: _failed(mock, error))
    app.app.register_blueprint(
        get_swaggerui_blueprint(
            f"{PREFIX}/docs",
            f"{PREFIX}/contract.json",
            config={
                "app_name": "vorel-mock",
                "urls": [
                    {"name": "Vorel API", "url": f"{PREFIX}/contract.json"},
                    {"name": "vorel-mock control plane", "url": f"{PREFIX}/openapi.json"},
                ],
                "validatorUrl": None,
            },
        )
    )
    return cast(ASGIApp, app), partial(workers.shutdown, wait=False, cancel_futures=True)


class _Jsonifier(Jsonifier):
    """Indented for the reader at a terminal; the standard library's indenting would cost a third of a request."""

    def dumps(self, data: Any, **_: Any) -> str:
        return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


class _Json(DefaultJSONProvider):
    """Reads what the guard and the validator have read, however long its numbers."""

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return parse(s if isinstance(s, bytes) else s.encode())


class _Handlers(Resolver):
    def __init__(self, functions: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self._functions = functions

    def resolve_function_from_operation_id(self, operation_id: str) -> Callable[..., Any]:
        return _contained(self._functions[operation_id])


def _contained(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, of whose exceptions none leaves a request without its answer.

    A future takes no StopIteration, so whoever awaits it would wait on; SystemExit would end the server.
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


def _http_error(mock: Mock, error: HTTPException, allowed: str) -> ConnexionResponse:
    if error.status_code < 400:  # what Flask says of `/docs`; its detail is where to go
        return ConnexionResponse(status_code=error.status_code, headers={"Location": _text(error)})
    return _error(mock, error.status_code, _text(error), {"Allow": allowed} if error.status_code == 405 else None)


def _failed(mock: Mock, error: Exception) -> ConnexionResponse:
    logger.error("control plane: %r", error, exc_info=error)
    return _error(mock, 500, "The mock failed. This is a bug of the mock.")


def _error(mock: Mock, status: int, message: str, headers: Mapping[str, str] | None = None) -> ConnexionResponse:
    code = mock.contract.error_codes.get(status, "bad_request" if status < 500 else "internal_error")
    body = {"error": {"code": code, "message": redact(message)}}
    return ConnexionResponse(
        status_code=status, content_type="application/json", body=json.dumps(body), headers=dict(headers or {})
    )
