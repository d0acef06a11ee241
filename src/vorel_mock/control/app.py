"""The control plane as an application: its own document, Flask handlers behind stock Connexion, Swagger UI."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

from connexion.jsonifier import Jsonifier
from connexion.lifecycle import ConnexionResponse
from connexion.options import SwaggerUIOptions
from connexion.validators import ParameterValidator
from flask_swagger_ui import get_swaggerui_blueprint
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from vorel_mock.control import handlers
from vorel_mock.lean_connexion import FlaskApp, ProblemException, Resolver
from vorel_mock.mock import Mock
from vorel_mock.redaction import redact

logger = logging.getLogger("vorel_mock")

PREFIX = "/_mock"
DOCUMENT = Path(__file__).parent / "openapi.yaml"

#: Requests that are handled at once. Many, because whoever waits for a delivery keeps one for as long as it waits.
WORKERS = 256


def build(mock: Mock) -> tuple[ASGIApp, Callable[[], None]]:
    """The ASGI application that answers below /_mock, and what ends its threads."""
    app = FlaskApp(
        "vorel_mock.control",
        specification_dir=str(DOCUMENT.parent),
        jsonifier=Jsonifier(indent=2),
        swagger_ui_options=SwaggerUIOptions(swagger_ui=False),
        server_args={"static_folder": None},
    )
    app.add_api(
        DOCUMENT.name,
        base_path=PREFIX,
        resolver=_Handlers(handlers.bind(mock)),
        validator_map={"parameter": _Parameters},
    )
    app.add_error_handler(ProblemException, lambda request, error: _error(mock, error.status, _text(error)))
    app.add_error_handler(HTTPException, lambda request, error: _http_error(mock, error))
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
    workers = ThreadPoolExecutor(WORKERS, "vorel-mock-control")
    app.middleware.app.asgi_app.executor = workers  # in the place of ten that nobody ends
    return cast(ASGIApp, app), partial(workers.shutdown, wait=False, cancel_futures=True)


class _Parameters(ParameterValidator):
    """Connexion's own, whose errors name the parameter and are one line."""

    @staticmethod
    def validate_parameter(parameter_type: str, value: Any, param: Any, param_name: str | None = None) -> str | None:
        error = ParameterValidator.validate_parameter(parameter_type, value, param, param_name)
        return f"{param['name']}: {error.splitlines()[0]}" if error else None


class _Handlers(Resolver):
    def __init__(self, functions: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self._functions = functions

    def resolve_function_from_operation_id(self, operation_id: str) -> Callable[..., Any]:
        return self._functions[operation_id]


def _text(error: Any) -> str:
    """Connexion says `'x' is required - 'crm.vendor'`; the field belongs in front."""
    text = str(error.detail or getattr(error, "title", "") or "")
    message, dash, field = text.rpartition(" - '")
    return f"{field.rstrip(chr(39))}: {message}" if dash else text


def _http_error(mock: Mock, error: HTTPException) -> ConnexionResponse:
    if error.status_code < 400:  # what Flask says of `/docs`; its detail is where to go
        return ConnexionResponse(status_code=error.status_code, headers={"Location": _text(error)})
    return _error(mock, error.status_code, _text(error))


def _failed(mock: Mock, error: Exception) -> ConnexionResponse:
    logger.error("control plane: %r", error, exc_info=error)
    return _error(mock, 500, "The mock failed. This is a bug of the mock.")


def _error(mock: Mock, status: int, message: str) -> ConnexionResponse:
    code = mock.contract.error_codes.get(status, "bad_request" if status < 500 else "internal_error")
    body = {"error": {"code": code, "message": redact(message)}}
    return ConnexionResponse(status_code=status, content_type="application/json", body=json.dumps(body))
