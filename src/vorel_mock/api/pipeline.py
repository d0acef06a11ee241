"""The road of a request to a declared operation, from top to bottom.

    authentication   whose key                  401
    faults           what somebody asked for    anything
    rate_limit       its share of the minute    429
    scope            may it                     403
    validation       path, then body            400
    operation        what it does               404, 200

Routing has found the operation; the envelope sends the answer and the journal keeps the exchange.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from vorel_mock.api import example_response as example
from vorel_mock.api import operations
from vorel_mock.api.faults import injection as faults
from vorel_mock.api.messages import Answer, Exchange
from vorel_mock.api.operations import Handler
from vorel_mock.api.steps import authentication, rate_limit, validation
from vorel_mock.api.steps import authorization as scope
from vorel_mock.contract.contract import Contract, Operation
from vorel_mock.mock.store.memory import MemoryStore
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.crm import CrmError
from vorel_mock.model.handoffs import Event

#: Operations that are warned of by name.
_WARNINGS = 5
_JSON = (b"content-type", b"application/json")

#: Hands an event of a tenant to the webhooks; the keywords are what shall go wrong on the way.
Publish = Callable[..., object]

_MISHAPS: dict[str, Callable[[ArmedFault], dict[str, Any]]] = {
    "webhook_duplicate": lambda armed: {"duplicate": True},
    "webhook_tampered": lambda armed: {"tampered": True},
    "webhook_late": lambda armed: {"late": 60.0 if armed.delay is None else armed.delay},
    "webhook_reordered": lambda armed: {"after_next": True},
}


class Pipeline:
    """What every request needs on its way, put together once."""

    def __init__(self, contract: Contract, store: MemoryStore, publish: Publish) -> None:
        self._contract = contract
        self._store = store
        self._publish = publish
        self._handlers = operations.handlers(contract)
        self._examples = example.answers(contract, frozenset(self._handlers))

    def warnings(self) -> list[str]:
        """What a user should know of the answers to operations that have no handler."""
        found = [f"{name}: {made.problem}" for name, made in self._examples.items() if made.problem is not None]
        more = [f"{len(found) - _WARNINGS} more operations like that"] if len(found) > _WARNINGS else []
        return [*found[:_WARNINGS], *more]

    def answer(self, exchange: Exchange, operation: Operation) -> Answer:
        """Lead the request through the steps; a step that refuses raises Refusal."""
        exchange.operation = operation
        if operation.security:
            exchange.decided_by = "authentication"
            authentication.authenticate(exchange, self._contract, self._store)
            exchange.decided_by = "faults"
            spoiled = faults.before(exchange, self._contract)
            if spoiled is not None:
                return spoiled
            exchange.decided_by = "rate_limit"
            rate_limit.count(exchange)
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
            made = self._examples[operation.id].answer
            answer = Answer(made.status, made.body, list(made.headers))
        else:
            answer = self._operate(handler, exchange, operation, arguments)
        return faults.after(exchange, self._contract, answer)

    def _operate(
        self, handler: Handler, exchange: Exchange, operation: Operation, arguments: validation.Arguments
    ) -> Answer:
        tenant, key = exchange.tenant, exchange.key
        assert tenant is not None
        assert key is not None
        try:
            faults.crm(exchange, self._contract)
            value = handler(tenant, key.id, arguments, partial(self._tell, exchange))
        except CrmError as failure:
            value = {"ok": False, "error": failure.error, "detail": failure.detail}
        exchange.reason = "done" if value.get("ok", True) else f"soft failure: {value.get('error')}"
        exchange.pointer = f"{operation.pointer}/responses/200"
        return Answer(200, msgspec.json.encode(value), [_JSON])

    def _tell(self, exchange: Exchange, event: Event) -> None:
        """Publish an event that this exchange caused, unless a fault loses it."""
        tenant = exchange.tenant
        assert tenant is not None
        if any(event.event in webhook.events for webhook in tenant.webhooks.values()):
            mishap = faults.webhook(exchange, self._contract)
            if mishap is None or mishap.fault != "webhook_lost":
                self._publish(tenant, event, **_MISHAPS[mishap.fault](mishap) if mishap is not None else {})
