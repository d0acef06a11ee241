"""Takes operations of the control plane through the log, if the mock keeps one.

One that changes a tenant is an entry of the tenant's log, so that it can be repeated. What makes, replaces or deletes
tenants is written as a checkpoint. All others only need that the tenant is in memory.
"""

from collections.abc import Callable
from contextlib import nullcontext
from itertools import chain
from typing import Any

from vorel_mock.api.steps.authentication import bearer_token
from vorel_mock.control.handlers.support import reject, waiting_slot
from vorel_mock.mock.mock import SETTLE_TIMEOUT, UNAVAILABLE, Mock
from vorel_mock.mock.snapshot.splitting import Rows
from vorel_mock.mock.tenant_log.interface import LogError
from vorel_mock.mock.tenant_log.sequencer import Sequencer
from vorel_mock.model.tenant import Tenant
from vorel_mock.unpatched.clocks import monotonic, sleep

#: Operations that change one tenant in a way that depends on nothing but the tenant and the arguments.
COMMANDS = frozenset(
    {
        "addCrmRecord",
        "addHandoff",
        "addLead",
        "addStub",
        "armFault",
        "changeKey",
        "changeLead",
        "changeTenant",
        "changeWebhook",
        "clearTenantRequests",
        "deleteLead",
        "disarmFault",
        "disarmFaults",
        "mintKey",
        "publishEvent",
        "redeliver",
        "removeStub",
        "removeStubs",
        "resetTenant",
        "revokeKey",
        "setTenantClock",
        "subscribe",
        "unsubscribe",
    }
)
#: Operations that make, replace or delete tenants, or change the whole mock.
OF_THE_WHOLE = frozenset(
    {"clearRequests", "createTenant", "deleteTenant", "importSnapshot", "reset", "sendAgain", "setClock"}
)
#: Operations that change nothing, although they are no GET.
LOOKS = frozenset({"explain", "verifyRequests", "verifyTenantRequests", "waitForDelivery", "waitForRequests"})

#: Operations that wait for what others may do.
WAITS = frozenset({"waitForDelivery", "waitForRequests"})
#: Operations that move clocks, and wait for the webhooks that are due then.
CLOCKS = frozenset({"setClock", "setTenantClock"})
#: Seconds between two looks whether they were sent.
_LOOK = 0.02


def through_log(mock: Mock, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler of an operation as it is with a log: what it has changed is written when it returns."""
    state = mock.state
    if state is None:
        return function

    def logged(**arguments: Any) -> Any:
        try:
            return _carry_out(mock, state, name, function, arguments)
        except LogError as error:
            reject(503, f"{UNAVAILABLE} {error}", {"Retry-After": "1"})

    return logged


def _carry_out(mock: Mock, state: Sequencer, name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    tenant_id = arguments.get("tenant_id")
    if tenant_id is not None:
        tenant_id = arguments["tenant_id"] = tenant_id.lower()
    with state.staying():
        if name in COMMANDS and tenant_id is not None:
            state.load_owners(_tokens(arguments.get("body")))
            result = state.command(name, tenant_id, arguments)
        else:
            _bring_in(state, name, tenant_id, arguments.get("body"))
            with state.following(tenant_id) if name in WAITS else nullcontext():
                result = function(**arguments)
            if name in OF_THE_WHOLE:
                state.flush()
        if name in CLOCKS and "settled" in result:
            result["settled"] = _settled(mock, state, tenant_id)
    return result


def _settled(mock: Mock, state: Sequencer, tenant_id: str | None) -> bool:
    """Wait until the attempts of webhooks are made that are due since a clock was moved: the command itself did not.

    Another process may make them. False: they were not made in time.
    """
    with waiting_slot(mock, tenant_id):
        if not state.is_shared:
            with mock.lock:
                tenant = None if tenant_id is None else mock.store.tenant(tenant_id)
            return mock.settle(None if tenant_id is None else [tenant] if tenant is not None else [])
        with state.following(tenant_id):
            deadline = monotonic() + SETTLE_TIMEOUT
            while not mock.stopped and monotonic() < deadline:
                with mock.lock:
                    tenants = [mock.store.tenant(tenant_id)] if tenant_id is not None else list(mock.store.tenants())
                    if not any(map(_is_due, filter(None, tenants))):
                        return True
                sleep(_LOOK)
    return False


def _is_due(tenant: Tenant) -> bool:
    """Return True if an attempt to deliver is due on the tenant's clock."""
    now = tenant.clock.now()
    return any(
        delivery.state == "pending"
        and delivery.due_at is not None
        and delivery.due_at <= now
        and (webhook := tenant.webhooks.get(delivery.webhook_id)) is not None
        and not webhook.held
        for delivery in tenant.deliveries
    )


def _bring_in(state: Sequencer, name: str, tenant_id: str | None, body: Any) -> None:
    """Have the tenants be in memory, as they are now, that an operation looks at."""
    if name == "health":
        state.check()
    elif name in ("listTenants", "reset"):
        state.load_all()
    elif tenant_id is not None:
        state.load(tenant_id)
    if isinstance(body, dict):
        if name == "createTenant" and isinstance(body.get("fork"), str):
            state.load(body["fork"].lower())
        state.load_owners(_tokens(body))


def _tokens(body: Any) -> list[str]:
    """Return the tokens of keys in a request: their tenants must be in memory, for one of them may have the same."""
    if not isinstance(body, dict):
        return []
    found = [body.get("token")]
    for holder in (body, body.get("snapshot")):
        if isinstance(holder, dict) and isinstance(holder.get("keys"), list | Rows):
            rows = holder["keys"] if isinstance(holder["keys"], list) else chain.from_iterable(holder["keys"].batches())
            found += [row.get("token") for row in rows if isinstance(row, dict)]
    for header, value in body["headers"].items() if isinstance(body.get("headers"), dict) else ():
        if header.lower() == "authorization" and isinstance(value, str):
            found.append(bearer_token(value.encode("latin-1", "replace")))
    return [token for token in found if isinstance(token, str)]
