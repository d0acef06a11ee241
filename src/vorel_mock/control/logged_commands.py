"""How operations of the control plane go through the log, if the mock keeps one.

One that changes a tenant is an entry of the tenant's log, so that it can be repeated. What makes, replaces or deletes
tenants is written as a checkpoint. All others only need that the tenant is in memory.
"""

from collections.abc import Callable
from typing import Any

from vorel_mock.control.handlers.support import reject, waiting_slot
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.tenant_log.interface import LogError
from vorel_mock.mock.tenant_log.sequencer import Sequencer

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


def through_log(mock: Mock, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler of an operation as it is with a log: what it has changed is written when it returns."""
    state = mock.state
    if state is None:
        return function

    def logged(**arguments: Any) -> Any:
        try:
            return _carry_out(mock, state, name, function, arguments)
        except LogError as error:
            reject(503, f"The state of the mock cannot be written at present: {error}", {"Retry-After": "1"})

    return logged


def _carry_out(mock: Mock, state: Sequencer, name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    if "tenant_id" in arguments:
        arguments["tenant_id"] = arguments["tenant_id"].lower()
    if name in COMMANDS:
        result = state.command(name, arguments["tenant_id"], arguments, mock.clock.now())
        return _settled(mock, arguments["tenant_id"], result) if name == "setTenantClock" else result
    with state.staying():
        _bring_in(state, name, arguments)
        result = function(**arguments)
        if name in OF_THE_WHOLE or name == "health":
            state.flush()
    return result


def _settled(mock: Mock, tenant_id: str, result: dict[str, Any]) -> dict[str, Any]:
    """Wait for the webhooks that are due since a clock was moved: the command itself did not."""
    with mock.lock:
        tenant = mock.store.tenant(tenant_id)
    if "settled" in result and tenant is not None:
        with waiting_slot(mock, tenant_id):
            result["settled"] = mock.settle([tenant])
    return result


def _bring_in(state: Sequencer, name: str, arguments: dict[str, Any]) -> None:
    """Have the tenants be in memory that an operation looks at."""
    body = arguments.get("body")
    if "tenant_id" in arguments:
        state.load(arguments["tenant_id"])
    elif name == "listTenants":
        state.load_all()
    elif name == "setClock":
        state.load_frozen()
    elif isinstance(body, dict) and name == "createTenant" and isinstance(body.get("fork"), str):
        state.load(body["fork"].lower())
    elif isinstance(body, dict) and name == "explain":
        for header, value in body.get("headers", {}).items():
            if header.lower() == "authorization":
                state.load_owner(value.partition(" ")[2].strip(" "))


def bring_in_all(mock: Mock) -> None:
    """Have all tenants be in memory, for a page that shows them."""
    if mock.state is not None:
        mock.state.load_all()
