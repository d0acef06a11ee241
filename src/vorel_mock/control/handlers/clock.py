"""Time: of one tenant, or of the whole mock."""

from typing import Any

from vorel_mock.control.handlers.support import Operations, find_tenant, reject, waiting_slot
from vorel_mock.mock.mock import Mock
from vorel_mock.model.clock import Clock, iso, parse_duration, parse_iso
from vorel_mock.model.tenant import Tenant

Json = dict[str, Any]


def shown(clock: Clock) -> Json:
    """A clock as JSON."""
    return {"now": iso(clock.now()), "frozen": clock.frozen}


def get_clock(mock: Mock) -> Json:
    """The mock's clock."""
    return shown(mock.clock)


def set_clock(mock: Mock, body: Json) -> Json:
    """Move or hold the mock's clock. A tenant whose clock is held by itself is moved as well, so that all are."""
    with waiting_slot(mock, None):
        with mock.lock:
            before = mock.clock.now()
            furthest = max((tenant.clock.now() for tenant in mock.store.tenants()), default=before)
            _change(mock.clock, body, ahead=max(0.0, furthest - before))
            moved = mock.clock.now() - before
            is_moved = "advance" in body or "set" in body
            if is_moved and mock.state is None:
                for tenant in mock.store.tenants():
                    if tenant.clock.held:
                        tenant.clock.advance(moved)
        if is_moved and mock.state is not None:
            mock.state.move_frozen(moved)
        return {**_followed(mock, body, None), **shown(mock.clock)}


def get_tenant_clock(mock: Mock, tenant_id: str) -> Json:
    """A tenant's clock."""
    with mock.lock:
        return shown(find_tenant(mock, tenant_id).clock)


def set_tenant_clock(mock: Mock, tenant_id: str, body: Json) -> Json:
    """Move or hold a tenant's clock; `settled` says whether the webhook attempts that are due then have been made."""
    with waiting_slot(mock, tenant_id):
        with mock.lock:
            tenant = find_tenant(mock, tenant_id)
            _change(tenant.clock, body)
        return {**_followed(mock, body, [tenant]), **shown(tenant.clock)}


def move_tenant_clock(mock: Mock, tenant_id: str, seconds: float) -> None:
    """Move a tenant's clock forward if it is frozen, because the mock's was moved."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        if tenant.clock.held:
            tenant.clock.advance(seconds)


def _followed(mock: Mock, body: Json, tenants: list[Tenant] | None) -> Json:
    """Have the webhooks follow clocks that were changed. Unless one was moved, nothing becomes due or is waited for."""
    if "advance" in body or "set" in body:
        return {"settled": mock.settle(tenants)}
    mock.webhooks.wake(tenants)
    return {}


def _change(clock: Clock, body: Json, ahead: float = 0.0) -> None:
    """Do what `body` says. `ahead`: seconds by which some other clock, which moves along, is ahead of this one."""
    ((what, value),) = body.items()
    try:
        match what:
            case "advance":
                clock.advance(parse_duration(value), ahead=ahead)
            case "set":
                clock.set(parse_iso(value), ahead=ahead)
            case "freeze":
                clock.freeze()
            case "resume":
                clock.resume()
    except ValueError as error:
        reject(400, f"{what}: {error}")


OPERATIONS: Operations = {
    "getClock": get_clock,
    "setClock": set_clock,
    "getTenantClock": get_tenant_clock,
    "setTenantClock": set_tenant_clock,
}
