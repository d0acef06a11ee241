"""The state of a tenant apart from the tenant: what a reset restores, what a snapshot is written from and read into.

A state is a Tenant that no store holds. It shares with the original the rows that never change, and owns the others.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

from vorel_mock.model.clock import Clock
from vorel_mock.model.history import History
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.rate_window import Window
from vorel_mock.model.tenant import Tenant, forget_key
from vorel_mock.model.webhooks import Delivery

#: What a tenant takes over from a state. Its id stays, and its clock and ids are told one by one.
ADOPTED = (
    "name",
    "notified_channel",
    "crm",
    "rate_limit",
    "tenant_rate_limit",
    "webhook_timeout",
    "keys",
    "leads",
    "conversations",
    "handoffs",
    "audit_log",
    "crm_records",
    "idempotency",
    "window",
    "webhooks",
    "deliveries",
    "faults",
    "stubs",
)


def capture(tenant: Tenant) -> Callable[[], Tenant]:
    """Capture what `tenant` is now. Call it with the lock held, and what it returns, which makes the state, without.

    With the lock held only references are taken, and copies of what there is little of.
    """
    at = Clock(at=tenant.clock.now())
    # A clock that is not frozen stands still in a state as well: it follows one that does.
    clock = at if tenant.clock.frozen else Clock(at)
    state = Tenant(tenant.id, tenant.name, clock, tenant.ids.copy(), tenant.notified_channel)
    state.crm = tenant.crm
    state.rate_limit, state.tenant_rate_limit = tenant.rate_limit, tenant.tenant_rate_limit
    state.webhook_timeout = tenant.webhook_timeout
    state.window = copy(tenant.window)
    state.leads = tenant.leads.copy()
    state.conversations = tenant.conversations.copy()
    state.handoffs = tenant.handoffs.copy()
    state.audit_log = tenant.audit_log.copy()
    state.idempotency = tenant.idempotency.copy()
    state.crm_records = tenant.crm_records.copy(forget_key(state.idempotency))
    state.webhooks = {webhook.id: copy(webhook) for webhook in tenant.webhooks.values()}
    state.deliveries = tenant.deliveries.copy(Delivery.forget, Delivery.copy)
    state.faults = [armed.copy() for armed in tenant.faults]
    state.stubs = [stub.copy() for stub in tenant.stubs]
    keys = [(key, key.revoked, key.window.number, key.window.count) for key in tenant.keys.values()]

    def finish() -> Tenant:
        for key, revoked, number, count in keys:
            state.keys[key.id] = ApiKey(key.id, key.token, key.scopes, revoked, Window(number, count))
        return state

    return finish


def copy_of(tenant: Tenant) -> Tenant:
    """Return the state of `tenant`, which nobody else may be changing."""
    return capture(tenant)()


def let_go(before: object) -> None:
    """Free what `adopt` has returned, without the lock, and in pieces: freeing many rows at once stops all threads."""
    for part in before if isinstance(before, list | tuple) else ():
        if isinstance(part, History):
            part.drain()
        elif isinstance(part, dict):
            while part:
                part.popitem()
        else:
            let_go(part)


def adopt(tenant: Tenant, state: Tenant) -> object:
    """Make `tenant` what `state` is, which may not be used any more. Clock and ids stay.

    Returns what it was before: to let go of that takes time if it is large, so do it without the lock.
    """
    before: list[Any] = []
    for name in ADOPTED:
        before.append(getattr(tenant, name))
        setattr(tenant, name, getattr(state, name))
    return before
