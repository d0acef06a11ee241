"""Step: which operation is this? Connexion routes, from the document; its middleware stack is the road's frame.

Connexion 3.3 refuses `openapi: 3.1.0` and knows nothing of the 2020-12 vocabulary. It is given what routing needs and
nothing else: paths, methods, operationIds, all parameters as strings. Everything else is read from the original.
"""

import re
from itertools import count
from typing import Any
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.routing import Mount, compile_path
from starlette.types import Receive, Scope, Send

from vorel_mock.api.messages import Exchange, Refusal
from vorel_mock.api.pipeline import Pipeline
from vorel_mock.contract.connexion_import import (
    AbstractOperation,
    ConnexionMiddleware,
    Resolver,
    RoutedAPI,
    RoutedMiddleware,
    RoutingMiddleware,
)
from vorel_mock.contract.contract import Contract, Operation

#: Where an exchange travels in the ASGI scope.
EXCHANGE = "vorel_mock.exchange"

_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{([^}]+)\}")


def decode_path(path: str) -> str:
    """Percent-decoded, but for an encoded slash: that is a part of its segment, not its end."""
    return "%2F".join(map(unquote, _ENCODED_SLASH.split(path)))


class Router:
    """Finds the operation of an exchange and has the pipeline answer it."""

    def __init__(self, contract: Contract, pipeline: Pipeline) -> None:
        # Starlette takes the first path that matches; OpenAPI has the concrete one go before the templated one.
        declared = sorted(contract.operations, key=lambda operation: _generality(operation.path))
        self._paths = [(_whole(compile_path(_template(operation))[0]), operation) for operation in declared]
        operations = {f"op{i}": operation for i, operation in enumerate(declared)}

        class Operate:
            """What stands behind one operation in Connexion's stack."""

            def __init__(self, operation_id: str) -> None:
                self._operation = operations[operation_id]
                self._names = [(f"p{i}", name) for i, name in enumerate(_PLACEHOLDER.findall(self._operation.path))]

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                exchange: Exchange = scope[EXCHANGE]
                values = scope["path_params"]
                exchange.path_values = {name: values[placeholder] for placeholder, name in self._names}
                exchange.answer = pipeline.answer(exchange, self._operation)

        class OperationAPI(RoutedAPI[Operate]):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.add_paths()

            def make_operation(self, operation: AbstractOperation) -> Operate:
                return Operate(operation.operation_id)

        class OperationMiddleware(RoutedMiddleware[OperationAPI]):
            api_cls = OperationAPI

        self._stack = ConnexionMiddleware(
            _not_found, middlewares=[_Routing, OperationMiddleware], resolver=_NoFunctions()
        )
        self._stack.add_api(_skeleton(operations), base_path="")

    async def start(self) -> None:
        """Build Connexion's stack now; it would otherwise be built by the first request."""
        await self._stack({"type": "lifespan"}, _nothing, _nothing)

    async def route(self, scope: Scope, exchange: Exchange) -> None:
        """Have `exchange` answered. Refusal with 404 or 405 when no operation is declared there."""
        scope[EXCHANGE] = exchange
        try:
            await self._stack(scope, _nothing, _nothing)
        except HTTPException as error:
            if error.status_code != 405:
                raise
            allow = ", ".join(sorted(self._allowed(exchange.path)))
            raise Refusal(
                405,
                f"This path allows the method {allow} only.",
                pointer="#/paths",
                headers=[(b"allow", allow.encode())],
            ) from None

    def _allowed(self, path: str) -> set[str]:
        methods = {operation.method.upper() for regex, operation in self._paths if regex.match(path)}
        return methods | {"HEAD"} if "GET" in methods else methods  # Starlette answers HEAD wherever it answers GET


class _Routing(RoutingMiddleware):
    """Connexion's own, without Starlette's redirect from `/path/` to `/path`: that is another path, so a 404.

    And a line break in a path is a character like any other, which Starlette's expressions do not know.
    """

    def add_api(self, *args: Any, **kwargs: Any) -> None:
        super().add_api(*args, **kwargs)
        routers = [self.router, *(route.app for route in self.router.routes if isinstance(route, Mount))]
        for router in routers:
            router.redirect_slashes = False
            for route in router.routes:
                route.path_regex = _whole(route.path_regex)


class _NoFunctions(Resolver):
    """Connexion looks a function up for each operation; the pipeline holds ours."""

    def resolve_function_from_operation_id(self, operation_id: str) -> Any:
        return _not_found


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        raise Refusal(404, "The API has no operation at this path.", pointer="#/paths")


async def _nothing(*message: Any) -> Any:
    raise AssertionError("an operation answers through its exchange")


def _skeleton(operations: dict[str, Operation]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation_id, operation in operations.items():
        template = _template(operation)
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PLACEHOLDER.findall(template)
        ]
        paths.setdefault(template, {})[operation.method] = {
            "operationId": operation_id,
            "parameters": parameters,
            "responses": {"default": {"description": "see the contract"}},
        }
    return {"openapi": "3.0.3", "info": {"title": "routes", "version": "0"}, "paths": paths}


def _whole(expression: re.Pattern[str]) -> re.Pattern[str]:
    """The same expression, to the very end of a path, and with `.` for every character."""
    return re.compile(expression.pattern.removesuffix("$") + r"\Z", re.DOTALL)


def _generality(path: str) -> list[tuple[int, int]]:
    """Sorts what is concrete before what is templated, segment by segment; of mixed ones the longest text first."""
    segments = [(segment, _PLACEHOLDER.sub("", segment)) for segment in path.split("/")]
    return [(0, 0) if text == segment else (1, -len(text)) if text else (2, 0) for segment, text in segments]


def _template(operation: Operation) -> str:
    """The path with `{p0}`, `{p1}` for its parameters: a name may hold what Starlette does not take, a hyphen say."""
    numbers = count()
    return _PLACEHOLDER.sub(lambda _: f"{{p{next(numbers)}}}", operation.path)
