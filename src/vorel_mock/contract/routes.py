"""The route table: which operation a method and a path lead to, and what serves it.

Connexion reads the document and resolves each operationId to what serves the operation; this module collects the result
once, when the mock is created, so that no request walks a stack of middlewares. Connexion 3.3 rejects `openapi: 3.1.0`
and does not know the 2020-12 vocabulary. It therefore receives a copy with what routing needs and nothing else: paths,
methods, operationIds, all parameters as strings.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

from vorel_mock.contract.connexion_import import AbstractOperation, AbstractRoutingAPI, Resolver, Specification
from vorel_mock.contract.operation import Operation

Endpoint = TypeVar("Endpoint")

_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{([^}]+)\}")


#: Paths that are remembered with what they lead to, and characters of such a path.
_KNOWN = 4096
_SHORT = 200


class NoRoute(Exception):
    """No operation is declared for that method and path. `allowed`: the methods of the path, none if it is unknown."""

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__()
        self.allowed = tuple(sorted(allowed))


class Routes(Generic[Endpoint]):
    """The endpoints of a document, by method and path."""

    def __init__(self, operations: Iterable[Operation], endpoint: Callable[[str], Endpoint]) -> None:
        """Build the table. `endpoint` returns what serves the operation with that operationId."""
        # OpenAPI matches a concrete path before a templated one.
        declared = sorted(operations, key=lambda operation: _generality(operation.path))
        self._concrete: dict[tuple[str, str], Endpoint] = {}
        self._templated: list[tuple[re.Pattern[str], tuple[str, ...], dict[str, Endpoint]]] = []
        self._known: dict[tuple[str, str], tuple[Endpoint, dict[str, str]]] = {}
        """Results of earlier look-ups. They are shared and never changed."""
        self._all: list[tuple[re.Pattern[str], frozenset[str]]] = []
        for path, served in _collected(declared, endpoint).items():
            methods = _with_head(served)
            expression, names = _compiled(path)
            self._all.append((expression, frozenset(methods)))
            if names:
                self._templated.append((expression, names, methods))
            else:
                self._concrete |= {(method, path): endpoint for method, endpoint in methods.items()}

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Return the endpoint and the values of its path parameters. Raises NoRoute if there is none."""
        known = self._known.get((method, path))
        if known is None:
            known = self._search(method, path)
            if len(self._known) < _KNOWN and len(path) < _SHORT:
                self._known[method, path] = known
        return known

    def knows(self, path: str) -> bool:
        """Return True if some method is served at a path."""
        return any(expression.fullmatch(path) for expression, _ in self._all)

    def _search(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        endpoint = self._concrete.get((method, path))
        if endpoint is not None:
            return endpoint, {}
        for expression, names, methods in self._templated:
            if method in methods and (match := expression.fullmatch(path)):
                return methods[method], dict(zip(names, match.groups(), strict=True))
        raise NoRoute({name for expression, methods in self._all if expression.fullmatch(path) for name in methods})


def decode_path(path: str) -> str:
    """Percent-decode a path, except for an encoded slash: that belongs to its segment and does not end it."""
    return "%2F".join(map(unquote, _ENCODED_SLASH.split(path))) if "%" in path else path


def _collected(operations: list[Operation], endpoint: Callable[[str], Endpoint]) -> dict[str, dict[str, Endpoint]]:
    """Have Connexion resolve each operation; the endpoints by path and method."""
    collector = _Collector(Specification.from_dict(_skeleton(operations)), base_path="", resolver=Resolver(endpoint))
    found: dict[str, dict[str, Endpoint]] = collector.found
    return found


class _Collector(AbstractRoutingAPI[Any]):
    """Keeps what Connexion has resolved, where Connexion's own subclass registers it with a router."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        super().__init__(*arguments, **options)

    def make_operation(self, operation: AbstractOperation) -> Any:
        return operation.function

    @staticmethod
    def _framework_path_and_name(operation: AbstractOperation, path: str) -> tuple[str, str]:
        return path, path

    def _add_operation_internal(self, method: str, path: str, operation: Any, name: str | None = None) -> None:
        self.found.setdefault(path, {})[method.upper()] = operation


def _skeleton(operations: list[Operation]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in operations:
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in dict.fromkeys(_PLACEHOLDER.findall(operation.path))
        ]
        paths.setdefault(operation.path, {})[operation.method] = {
            "operationId": operation.id,
            "parameters": parameters,
            "responses": {"default": {"description": "see the contract"}},
        }
    return {"openapi": "3.0.3", "info": {"title": "routes", "version": "0"}, "paths": paths}


def _compiled(path: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return the expression of a path, one group for each parameter, and the names of the parameters."""
    pieces = _PLACEHOLDER.split(path)  # text and names alternate
    pattern = "([^/]+)".join(map(re.escape, pieces[::2]))
    return re.compile(pattern), tuple(pieces[1::2])


def _with_head(methods: dict[str, Endpoint]) -> dict[str, Endpoint]:
    """Add HEAD where there is GET (RFC 9110, 9.1)."""
    return {"HEAD": methods["GET"], **methods} if "GET" in methods else methods


def _generality(path: str) -> list[tuple[int, int]]:
    """Sort concrete segments before templated ones; among mixed ones those with the longest text come first."""
    segments = [(segment, _PLACEHOLDER.sub("", segment)) for segment in path.split("/")]
    return [(0, 0) if text == segment else (1, -len(text)) if text else (2, 0) for segment, text in segments]
