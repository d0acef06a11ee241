"""Step: find the endpoint of a request, by its method and path. 404 and 405 if there is none."""

from dataclasses import dataclass

from vorel_mock.api import example_response, operations
from vorel_mock.api.example_response import Example
from vorel_mock.api.messages import ApiError, Exchange
from vorel_mock.api.operations import Handler
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.operation import Operation
from vorel_mock.contract.routes import NoRoute, Routes

#: Operations that are named in warnings.
_WARNINGS = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handler of an operation, or the example response of an operation without one."""

    operation: Operation
    handler: Handler | None
    example: Example | None


class Router:
    """The endpoints of a contract. Immutable, so that a dry run can use the one of its mock."""

    def __init__(self, contract: Contract) -> None:
        self._base_path = contract.base_path
        handlers = operations.handlers(contract)
        examples = example_response.examples(contract, frozenset(handlers))
        self._endpoints = {
            operation.id: Endpoint(operation, handlers.get(operation.id), examples.get(operation.id))
            for operation in contract.operations
        }
        self._routes = Routes(contract.operations, self._endpoints.__getitem__)

    def find(self, exchange: Exchange) -> Endpoint:
        """Return the endpoint of a request, and note its operation and path values. Raises ApiError 404 or 405."""
        request = exchange.request
        try:
            endpoint, exchange.path_values = self._routes.find(request.method, request.path)
        except NoRoute as error:
            if not error.allowed:
                message = f"The API has no operation at this path.{self._hint(request.path)}"
                raise ApiError(404, message, pointer="#/paths") from None
            allow = ", ".join(error.allowed)
            raise ApiError(
                405,
                f"This path allows the method {allow} only.",
                pointer="#/paths",
                headers=[(b"allow", allow.encode())],
            ) from None
        exchange.operation = endpoint.operation
        return endpoint

    def _hint(self, path: str) -> str:
        """Return what to change in a path that is almost one of the document; nothing if that is not clear."""
        base, bare = self._base_path, path.rstrip("/")
        if not bare:
            return " The mock's own pages begin at /_mock/."
        for candidate, said in (
            (bare, " It has one without the slash at the end."),
            (f"{path}/", " It has one with a slash at the end."),
            (base + bare, f" It has one below {base}, the path of the document's first server."),
        ):
            if candidate != path and self._routes.knows(candidate):
                return said
        return ""

    def warnings(self) -> list[str]:
        """Return what a user should know about the responses of operations without a handler."""
        found = [
            f"{name}: {endpoint.example.problem}"
            for name, endpoint in self._endpoints.items()
            if endpoint.example is not None and endpoint.example.problem is not None
        ]
        more = [f"{len(found) - _WARNINGS} more operations like that"] if len(found) > _WARNINGS else []
        return [*found[:_WARNINGS], *more]
