"""The keys of a tenant: list, create, change, revoke."""

from dataclasses import replace
from typing import Any

from flask import Response

from vorel_mock.control.handlers.streaming import counted
from vorel_mock.control.handlers.support import Operations, chosen, find_tenant, reject
from vorel_mock.mock import provisioning
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.store.memory import PREFIX
from vorel_mock.model.ids import Ids, undrawn
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.tenant import MAX_KEYS, Tenant

Json = dict[str, Any]


def list_keys(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the keys, without their tokens, in the order in which they were made."""
    with mock.lock:
        keys = list(find_tenant(mock, tenant_id).keys.values())
    return counted(chosen(keys, filters), _shown)


def get_key(mock: Mock, tenant_id: str, key_id: str) -> Json:
    """One key, without its token."""
    with mock.lock:
        return _shown(_find_key(find_tenant(mock, tenant_id), key_id))


def change_key(mock: Mock, tenant_id: str, key_id: str, body: Json | None = None) -> Json:
    """Change the scopes of a key, revoke it or restore it."""
    wanted = body or {}
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        key = _find_key(tenant, key_id)
        if "scopes" in wanted:
            # Another key with the same token: the journal explains earlier responses by the scopes of then.
            mock.store.unindex(key)
            key = tenant.keys[key_id] = replace(key, scopes=frozenset(wanted["scopes"]))
            mock.store.index(tenant, key)
        if "revoked" in wanted:
            key.revoked = bool(wanted["revoked"])
        return _shown(key)


def mint_key(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Create a key. Only this response shows its token, unless that was chosen."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        if len(tenant.keys) >= MAX_KEYS:
            reject(409, f"the tenant already has {MAX_KEYS} keys, the maximum; create another tenant")
        scopes = frozenset(body["scopes"])
        key_id = body.get("id") or undrawn(lambda: f"key_{tenant.ids.hex(12)}", tenant.keys.get)
        if key_id in tenant.keys:
            reject(409, "id: the tenant has a key of this id")
        if (token := body.get("token")) is not None:
            _check_token(mock, token)
        stream = Ids(mock.ids.seed, f"{tenant.id}/{key_id}/{tenant.ids.hex(16)}")
        key = provisioning.mint(tenant, key_id, scopes, stream, mock.store, token=token)
        mock.store.index(tenant, key)
        return {**_shown(key), "token": key.token}, 201


def _check_token(mock: Mock, token: str) -> None:
    if not mock.contract.token_pattern.fullmatch(token):
        shape = mock.contract.bearer_format
        reject(400, f"token: has not the shape of a key{f', {shape}' if shape else ''}")
    if mock.store.by_token(token) is not None:
        reject(409, "token: another key has it")


def revoke_key(mock: Mock, tenant_id: str, key_id: str) -> tuple[None, int]:
    """Revoke a key; doing it twice is no error."""
    with mock.lock:
        _find_key(find_tenant(mock, tenant_id), key_id).revoked = True
    return None, 204


def _find_key(tenant: Tenant, key_id: str) -> ApiKey:
    return tenant.keys.get(key_id) or reject(404, "The tenant has no key with this id.")


def _shown(key: ApiKey) -> Json:
    return {"id": key.id, "prefix": key.token[:PREFIX], "scopes": sorted(key.scopes), "revoked": key.revoked}


OPERATIONS: Operations = {
    "listKeys": list_keys,
    "getKey": get_key,
    "changeKey": change_key,
    "mintKey": mint_key,
    "revokeKey": revoke_key,
}
