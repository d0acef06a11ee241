"""The data of a tenant: keys, leads, handoffs, audit log, CRM records."""

from functools import partial
from typing import Any

from flask import Response
from msgspec.structs import asdict

from vorel_mock.control.handlers.streaming import listed
from vorel_mock.control.handlers.support import Operations, find_tenant, reject
from vorel_mock.mock import provisioning
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.store.memory import PREFIX
from vorel_mock.model.clock import iso
from vorel_mock.model.crm_records import CrmRecord
from vorel_mock.model.ids import Ids, undrawn
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Lead
from vorel_mock.model.redaction import redact_deep
from vorel_mock.model.tenant import MAX_KEYS, MAX_LEADS, Tenant

Json = dict[str, Any]


def list_keys(mock: Mock, tenant_id: str) -> Json:
    """The keys, without their tokens."""
    with mock.lock:
        return {"data": [_key(key) for key in find_tenant(mock, tenant_id).keys.values()]}


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
        return {**_key(key), "token": key.token}, 201


def _check_token(mock: Mock, token: str) -> None:
    if not mock.contract.token_pattern.fullmatch(token):
        reject(400, "token: has not the shape of a key")
    if mock.store.by_token(token) is not None:
        reject(409, "token: another key has it")


def revoke_key(mock: Mock, tenant_id: str, key_id: str) -> tuple[None, int]:
    """Revoke a key; doing it twice is no error."""
    with mock.lock:
        key = find_tenant(mock, tenant_id).keys.get(key_id)
        if key is None:
            reject(404, "The tenant has no key with this id.")
        key.revoked = True
    return None, 204


def list_leads(mock: Mock, tenant_id: str) -> Json | Response:
    """Return the leads, each with the status of its conversation."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        leads = list(tenant.leads.values())
    return listed(leads, partial(_lead, tenant))


def add_lead(mock: Mock, tenant_id: str, body: Json | None = None) -> tuple[Json, int]:
    """A new lead in a conversation of its own."""
    wanted = body or {}
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        if len(tenant.leads) >= MAX_LEADS:
            reject(409, f"the tenant already has {MAX_LEADS} leads, the maximum; create another tenant")
        lead_id = wanted["id"].lower() if "id" in wanted else None
        if lead_id in tenant.leads:
            reject(409, "id: the tenant has a lead of this id")
        lead = provisioning.add_lead(
            tenant, wanted.get("name", ""), lead_id, wanted.get("conversation_status", "active")
        )
        return _lead(tenant, lead), 201


def get_lead(mock: Mock, tenant_id: str, lead_id: str) -> Json:
    """One lead."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        lead = tenant.leads.get(lead_id.lower())
        return reject(404, "The tenant has no lead with this id.") if lead is None else _lead(tenant, lead)


def list_handoffs(mock: Mock, tenant_id: str) -> Json | Response:
    """Return the handoffs, oldest first."""
    with mock.lock:
        rows = list(find_tenant(mock, tenant_id).handoffs)
    return listed(rows, lambda row: redact_deep({**asdict(row), "requested_at": iso(row.requested_at)}))


def list_audit_log(mock: Mock, tenant_id: str) -> Json | Response:
    """Return the audit log, oldest first."""
    with mock.lock:
        rows = list(find_tenant(mock, tenant_id).audit_log)
    return listed(rows, lambda row: redact_deep({**asdict(row), "at": iso(row.at)}))


def list_crm_records(mock: Mock, tenant_id: str) -> Json | Response:
    """Return the records in the tenant's CRM, under canonical names and under the vendor's."""
    with mock.lock:
        records = list(find_tenant(mock, tenant_id).crm_records)
    return listed(records, _record)


def _record(record: CrmRecord) -> Json:
    shown = asdict(record)
    del shown["fingerprint"]
    return dict(redact_deep({**shown, "at": iso(record.at)}))


def _key(key: ApiKey) -> Json:
    return {"id": key.id, "prefix": key.token[:PREFIX], "scopes": sorted(key.scopes), "revoked": key.revoked}


def _lead(tenant: Tenant, lead: Lead) -> Json:
    return {
        "id": lead.id,
        "name": lead.name,
        "conversation_id": lead.conversation_id,
        "conversation_status": tenant.conversations[lead.conversation_id].status,
    }


OPERATIONS: Operations = {
    "listKeys": list_keys,
    "mintKey": mint_key,
    "revokeKey": revoke_key,
    "listLeads": list_leads,
    "addLead": add_lead,
    "getLead": get_lead,
    "listHandoffs": list_handoffs,
    "listAuditLog": list_audit_log,
    "listCrmRecords": list_crm_records,
}
