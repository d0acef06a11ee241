"""The road of a request to a declared operation, from top to bottom.

    authentication   whose key                  401
    rate_limit       its share of the minute    429
    scope            may it                     403
    validation       path, then body            400
    operation        what it does               404, 200

Routing has found the operation; the envelope sends the answer and the journal keeps the exchange.
"""

import msgspec

from vorel_mock.api import authentication, operations, rate_limit, scope, validation
from vorel_mock.api.exchange import Answer, Exchange
from vorel_mock.api.operations import Handler
from vorel_mock.contract import Contract, Operation
from vorel_mock.settings import Settings
from vorel_mock.store.memory import MemoryStore

_JSON = (b"content-type", b"application/json")


class Pipeline:
    """What every request needs on its way, put together once."""

    def __init__(self, contract: Contract, settings: Settings, store: MemoryStore) -> None:
        self._contract = contract
        self._settings = settings
        self._store = store
        self._handlers = operations.handlers(contract)
        self._examples = {
            operation.id: operations.by_example(contract, operation)
            for operation in contract.operations
            if operation.id not in self._handlers
        }

    def answer(self, exchange: Exchange, operation: Operation) -> Answer:
        """Lead the request through the steps; a step that refuses raises Refusal."""
        exchange.operation = operation
        if operation.security:
            exchange.decided_by = "authentication"
            authentication.authenticate(exchange, self._contract, self._store)
            exchange.decided_by = "rate_limit"
            rate_limit.count(exchange, self._settings)
            rate_limit.check(exchange, self._contract)
            exchange.decided_by = "scope"
            scope.require(exchange, operation)
        exchange.decided_by = "validation"
        arguments = validation.validate(exchange, operation)
        exchange.decided_by = "operation"
        handler = self._handlers.get(operation.id)
        if handler is None or exchange.tenant is None or exchange.key is None:
            exchange.reason = "answered by example: the mock has no handler for this operation"
            exchange.pointer = f"{operation.pointer}/responses"
            example = self._examples[operation.id]
            return Answer(example.status, example.body, list(example.headers))
        return self._operate(handler, exchange, operation, arguments)

    def _operate(
        self, handler: Handler, exchange: Exchange, operation: Operation, arguments: validation.Arguments
    ) -> Answer:
        tenant, key = exchange.tenant, exchange.key
        assert tenant is not None
        assert key is not None
        value = handler(tenant, key.id, arguments)
        exchange.reason = "done" if value.get("ok", True) else f"soft failure: {value.get('error')}"
        exchange.pointer = f"{operation.pointer}/responses/200"
        return Answer(200, msgspec.json.encode(value), [_JSON])
