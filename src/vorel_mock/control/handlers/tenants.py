"""Tenants: make, read, change, forget, reset, export and import."""

from typing import Any

import msgspec
from flask import Response

from vorel_mock.control.handlers.clock import shown
from vorel_mock.control.handlers.streaming import streamed
from vorel_mock.control.handlers.support import Operations, api_url, duration, find_tenant, merge_patch, reject
from vorel_mock.mock import provisioning, snapshot, target
from vorel_mock.mock.mock import Mock
from vorel_mock.model.clock import write_duration
from vorel_mock.model.lease import LONGEST_TTL, SHORTEST_TTL
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.tenant_state import capture, let_go
from vorel_mock.model.webhooks import LONGEST_TIMEOUT, SHORTEST_TIMEOUT

Json = dict[str, Any]

#: The settings that can be changed.
_SETTINGS = ("name", "crm", "notified_channel", "rate_limit", "tenant_rate_limit", "webhook_timeout")


def list_tenants(mock: Mock) -> Json:
    """Every tenant."""
    with mock.lock:
        return {"data": [_shown(tenant) for tenant in mock.tenants()]}


def create_tenant(mock: Mock, body: Json | None = None) -> tuple[Json, int]:
    """Create a tenant; return its id and its target profile."""
    wanted = dict(body or {})
    ttl = _ttl(wanted.pop("ttl", None))
    if "webhook_timeout" in wanted:
        wanted["webhook_timeout"] = _timeout(wanted)
    if "fork" in wanted:
        tenant = _fork(mock, wanted)
    elif "snapshot" in wanted:
        tenant = _from_snapshot(mock, wanted)
    else:
        tenant = _new(mock, wanted)
    with mock.lock:
        mock.expiry.set(tenant, ttl)
        mock.store.note(tenant)  # a log may have it already, without its lease
        return _profile(mock, tenant), 201


def get_tenant(mock: Mock, tenant_id: str) -> Json:
    """One tenant."""
    with mock.lock:
        return _shown(find_tenant(mock, tenant_id))


def change_tenant(mock: Mock, tenant_id: str, body: Json) -> Json:
    """Change the settings that are given (RFC 7396): one that is removed has its default again."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        before = _shown(tenant)
        wanted = merge_patch({name: before[name] for name in _SETTINGS}, body)
        ttl = _ttl(body.get("ttl"))
        if ttl is not None and mock.is_fixture(tenant):
            reject(409, f"ttl: this is {_kind(mock)}, which is never deleted; fork it, and give the fork a ttl")
        wanted.setdefault("crm", None)  # what is removed here is the CRM, not a choice of one
        if "webhook_timeout" in wanted:
            wanted["webhook_timeout"] = _timeout(wanted)
        try:
            provisioning.configure(tenant, wanted, mock.limits)
        except ValueError as error:
            reject(400, str(error))
        if "ttl" in body:
            mock.expiry.set(tenant, ttl)
        return _shown(tenant)


def delete_tenant(mock: Mock, tenant_id: str) -> tuple[None, int]:
    """Delete a tenant. Those of the fixtures stay, because documents and profiles name them."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        if mock.is_fixture(tenant):
            reject(409, f"This is {_kind(mock)} and cannot be deleted. POST …/reset restores its initial state.")
        mock.remove_tenant(tenant)
    return None, 204


def tenant_target(mock: Mock, tenant_id: str) -> Json:
    """The target profile of one tenant."""
    with mock.lock:
        return _profile(mock, find_tenant(mock, tenant_id))


def reset_tenant(mock: Mock, tenant_id: str) -> tuple[None, int]:
    """Restore the initial state of a tenant."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        try:
            mock.reset_tenant(tenant)
        except ValueError as error:
            reject(409, str(error))
    return None, 204


def export_snapshot(mock: Mock, tenant_id: str) -> Response:
    """Return the tenant as JSON."""
    with mock.lock:
        finish = capture(find_tenant(mock, tenant_id))
    return streamed(snapshot.pieces(finish()))


def import_snapshot(mock: Mock, tenant_id: str, body: Json, keys: str = "kept") -> tuple[None, int]:
    """Make the tenant what a snapshot says."""
    with mock.lock:
        find_tenant(mock, tenant_id)
    state = _state(mock, body)
    if keys == "fresh":
        mock.renew_tokens(state)
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)  # it may have been deleted meanwhile
        try:
            before = mock.restore(tenant, state)
        except ValueError as error:
            reject(409, f"snapshot: {error}, or ask for tokens of its own: ?keys=fresh")
    let_go(before)
    return None, 204


def _state(mock: Mock, body: Json) -> Tenant:
    """Return the state that a snapshot describes. Takes time if it is large, and is called without the lock."""
    try:
        return mock.snapshots.read(body)
    except snapshot.SnapshotError as error:
        reject(400, str(error))


def _new(mock: Mock, wanted: Json) -> Tenant:
    if isinstance(wanted.get("keys"), str):
        reject(400, f'keys: "{wanted["keys"]}" goes with a snapshot; a new tenant has keys of its own')
    with mock.lock:
        try:
            return mock.make_tenant(wanted)
        except ValueError as error:
            reject(400, str(error))


def _fork(mock: Mock, wanted: Json) -> Tenant:
    if _tokens("fork", wanted, "fresh") == "kept":
        reject(400, 'keys: "kept" goes with a snapshot; the keys of a fork are fresh, because the original has its own')
    with mock.lock:
        original = mock.tenant(wanted["fork"].lower()) or reject(404, "fork: there is no tenant with this id")
        finish = capture(original)
    return mock.fork(finish())


def _tokens(source: str, wanted: Json, default: str) -> str:
    """Return whose tokens the keys of a tenant shall have that is made of another. Reject what else it is to have."""
    keys = wanted.get("keys", default)
    others = [name for name in wanted if name not in (source, "keys")]
    if not isinstance(keys, str):
        others.append("keys.full and keys.burst")
    if others:
        left_out = ", ".join(others)
        reject(400, f"{source}: contains the whole tenant; leave out {left_out}, and PATCH the tenant afterwards")
    return str(keys)


def _from_snapshot(mock: Mock, wanted: Json) -> Tenant:
    keys = _tokens("snapshot", wanted, "kept")
    state = _state(mock, wanted["snapshot"])
    try:
        return mock.create_from(state, fresh_keys=keys == "fresh")
    except ValueError as error:
        reject(409, f'snapshot: {error}, or ask for tokens of its own: "keys": "fresh"')


def _timeout(wanted: Json) -> float:
    return duration("webhook_timeout", wanted["webhook_timeout"], least=SHORTEST_TIMEOUT, most=LONGEST_TIMEOUT)


def _ttl(text: str | None) -> float | None:
    return None if text is None else duration("ttl", text, least=SHORTEST_TTL, most=LONGEST_TTL)


def _profile(mock: Mock, tenant: Tenant) -> Json:
    token = {} if mock.tenant_tokens is None else {"control_token": mock.tenant_tokens.of(tenant.id)}
    return {"id": tenant.id, **token, **target.of_tenant(mock, tenant, api_url(mock))}


def _kind(mock: Mock) -> str:
    """Return what a tenant is that the mock begins with."""
    return "a demo tenant" if mock.settings.fixtures is None else "a tenant of the fixtures"


def _shown(tenant: Tenant) -> Json:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "crm": None if tenant.crm is None else msgspec.to_builtins(tenant.crm),
        "notified_channel": tenant.notified_channel,
        "rate_limit": tenant.rate_limit,
        "tenant_rate_limit": tenant.tenant_rate_limit,
        "webhook_timeout": write_duration(tenant.webhook_timeout),
        "clock": shown(tenant.clock),
        "ttl": None if tenant.lease is None else write_duration(tenant.lease.seconds),
        "expires_in": None if tenant.lease is None else write_duration(tenant.lease.left),
    }


OPERATIONS: Operations = {
    "listTenants": list_tenants,
    "createTenant": create_tenant,
    "getTenant": get_tenant,
    "changeTenant": change_tenant,
    "deleteTenant": delete_tenant,
    "tenantTarget": tenant_target,
    "resetTenant": reset_tenant,
    "exportSnapshot": export_snapshot,
    "importSnapshot": import_snapshot,
}
