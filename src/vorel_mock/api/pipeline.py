"""The steps of a request to a declared operation, from top to bottom. Each rejects it by raising ApiError."""

from collections.abc import Callable
from functools import partial

import msgspec

from vorel_mock.api.errors import JSON
from vorel_mock.api.faults import injection
from vorel_mock.api.messages import ApiError, Exchange, Response
from vorel_mock.api.operations import Handler
from vorel_mock.api.router import Endpoint
from vorel_mock.api.steps import authentication, authorization, rate_limit, validation
from vorel_mock.contract.contract import Contract
from vorel_mock.model.crm import CrmError
from vorel_mock.model.handoffs import Event
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.store import Store
from vorel_mock.model.tenant import Tenant

#: Hands an event of a tenant to its webhooks; the keywords are what goes wrong with the delivery.
Publish = Callable[..., object]


class Pipeline:
    """The steps, with what they need: the contract, the tenants, and where events go."""

    def __init__(self, contract: Contract, store: Store, publish: Publish) -> None:
        self._contract = contract
        self._store = store
        self._publish = publish

    def respond(self, exchange: Exchange, endpoint: Endpoint) -> Response:
        """Take a request through the steps. Raises ApiError if one of them rejects it."""
        operation = endpoint.operation
        if operation.security:
            exchange.decided_by = "authentication"
            authentication.authenticate(exchange, self._contract, self._store)
            exchange.decided_by = "faults"
            deviation = injection.before(exchange, self._contract)
            if deviation is not None:
                return deviation
            exchange.decided_by = "rate_limit"
            rate_limit.check(exchange, self._contract)
            exchange.decided_by = "scope"
            authorization.authorize(exchange, operation)
        exchange.decided_by = "validation"
        arguments = validation.validate(exchange, operation)
        exchange.decided_by = "operation"
        may_meet = injection.may_meet(exchange)
        if may_meet:
            stubbed = injection.stubbed(exchange, self._contract)
            if stubbed is not None:
                return stubbed
        if endpoint.handler is not None and exchange.tenant is not None and exchange.key is not None:
            response = self._operate(endpoint.handler, exchange, arguments, exchange.tenant, exchange.key)
        else:
            response = _example(exchange, endpoint)
        return injection.after(exchange, self._contract, response) if may_meet else response

    def _operate(
        self,
        handler: Handler,
        exchange: Exchange,
        arguments: validation.Arguments,
        tenant: Tenant,
        key: ApiKey,
    ) -> Response:
        assert exchange.operation is not None
        try:
            if injection.may_meet(exchange):
                injection.crm(exchange, self._contract)
            publish = partial(self._tell, exchange, tenant) if tenant.webhooks else _to_nobody
            value = handler(tenant, key.id, arguments, exchange.at, publish)
        except CrmError as failure:
            value = {"ok": False, "error": failure.error, "detail": failure.detail}
        exchange.reason = "done" if value.get("ok", True) else f"soft failure: {value.get('error')}"
        exchange.pointer = exchange.operation.success_pointer
        return Response(200, msgspec.json.encode(value), [JSON])

    def _tell(self, exchange: Exchange, tenant: Tenant, event: Event) -> None:
        """Publish an event that this request caused, unless a fault loses it."""
        if any(event.event in webhook.events for webhook in tenant.webhooks.values()):
            changed = injection.webhook(exchange, self._contract) if injection.may_meet(exchange) else {}
            if changed is not None:
                self._publish(tenant, event, **changed)


def _to_nobody(event: Event) -> None:
    """Discard an event of a tenant without webhooks."""


def _example(exchange: Exchange, endpoint: Endpoint) -> Response:
    """Return the example response of an operation that the mock has no handler for."""
    assert endpoint.example is not None
    exchange.reason = "answered by example: the mock has no handler for this operation"
    exchange.pointer = f"{endpoint.operation.pointer}/responses"
    accept = b",".join(value for name, value in exchange.request.headers if name == b"accept").decode("latin-1")
    name = injection.wanted_example(exchange)
    try:
        response = endpoint.example.response(accept or None, name)
    except ValueError as error:
        raise ApiError(400, f"Prefer: {error}") from None
    if name is not None:
        exchange.preference = f"example={name}" if name.replace("-", "_").isidentifier() else f'example="{name}"'
    return response
