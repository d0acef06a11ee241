"""The data of a tenant: keys, leads, handoffs, audit log, CRM records."""

from functools import partial
from typing import Any

from flask import Response
from msgspec.structs import asdict

from vorel_mock.api.operations import handoff_status
from vorel_mock.control.handlers.streaming import listed
from vorel_mock.control.handlers.support import Operations, chosen, find_tenant, merge_patch, reject
from vorel_mock.mock import provisioning
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.store.memory import PREFIX
from vorel_mock.model.clock import iso
from vorel_mock.model.commands import create_record, handoff_requested, happened, request_handoff
from vorel_mock.model.crm import CrmError
from vorel_mock.model.crm_records import CrmRecord
from vorel_mock.model.handoffs import Handoff
from vorel_mock.model.ids import Ids, undrawn
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.redaction import redact_deep
from vorel_mock.model.tenant import MAX_KEYS, MAX_LEADS, Tenant
from vorel_mock.webhooks import event_kinds

Json = dict[str, Any]

#: The status of a conversation whose end webhooks are told of.
CLOSED = "closed"
#: The key of audit rows that no request to the API has caused.
CONTROL_PLANE = "control-plane"


def list_keys(mock: Mock, tenant_id: str, **filters: Any) -> Json:
    """The keys, without their tokens."""
    with mock.lock:
        return {"data": [_key(key) for key in chosen(find_tenant(mock, tenant_id).keys.values(), filters)]}


def get_key(mock: Mock, tenant_id: str, key_id: str) -> Json:
    """One key, without its token."""
    with mock.lock:
        return _key(_find_key(find_tenant(mock, tenant_id), key_id))


def change_key(mock: Mock, tenant_id: str, key_id: str, body: Json | None = None) -> Json:
    """Change the scopes of a key, revoke it or restore it."""
    wanted = body or {}
    with mock.lock:
        key = _find_key(find_tenant(mock, tenant_id), key_id)
        if "revoked" in wanted:
            key.revoked = bool(wanted["revoked"])
        if "scopes" in wanted:
            key.scopes = frozenset(wanted["scopes"])
        return _key(key)


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
        _find_key(find_tenant(mock, tenant_id), key_id).revoked = True
    return None, 204


def list_leads(
    mock: Mock, tenant_id: str, conversation_status: str | None = None, limit: int | None = None
) -> Json | Response:
    """Return the leads, each with the status of its conversation."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        leads = [lead for lead in tenant.leads.values() if conversation_status in (None, _status(tenant, lead))]
    return listed(leads if limit is None else leads[-limit:], partial(_lead, tenant))


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
        _tell(mock, tenant, "lead.created", lead)
        return _lead(tenant, lead), 201


def get_lead(mock: Mock, tenant_id: str, lead_id: str) -> Json:
    """One lead."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        return _lead(tenant, _find_lead(tenant, lead_id))


def change_lead(mock: Mock, tenant_id: str, lead_id: str, body: Json | None = None) -> Json:
    """Change the name of a lead, or the status of its conversation, and tell the webhooks."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        lead = _find_lead(tenant, lead_id)
        before = _lead(tenant, lead)
        wanted = {"name": "", "conversation_status": "active"} | merge_patch(
            {name: before[name] for name in ("name", "conversation_status")}, body or {}
        )
        changed = Lead(lead.id, lead.conversation_id, wanted["name"])
        tenant.leads[lead.id] = changed
        tenant.conversations[lead.conversation_id] = Conversation(lead.conversation_id, wanted["conversation_status"])
        after = _lead(tenant, changed)
        if after != before:
            _tell(mock, tenant, "lead.updated", changed)
        if after["conversation_status"] == CLOSED != before["conversation_status"]:
            _tell(mock, tenant, "conversation.closed", changed)
        return after


def delete_lead(mock: Mock, tenant_id: str, lead_id: str) -> tuple[None, int]:
    """Delete a lead and its conversation. What was written because of it stays."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        lead = tenant.leads.pop(_find_lead(tenant, lead_id).id)
        tenant.conversations.pop(lead.conversation_id, None)
    return None, 204


def list_handoffs(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the handoffs, oldest first."""
    with mock.lock:
        rows = list(find_tenant(mock, tenant_id).handoffs)
    return listed(chosen(rows, filters, lambda row: row.requested_at), _handoff)


def add_handoff(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Hand a lead off, as the API does."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        lead = tenant.leads.get(body["lead_id"].lower())
        if lead is None:
            reject(404, "lead_id: the tenant has no lead with this id.")
        handoff = request_handoff(
            tenant,
            lead,
            reason=body.get("reason"),
            summary=body.get("summary"),
            status=handoff_status(mock.contract),
            key_id=CONTROL_PLANE,
            now=tenant.clock.now(),
        )
        if tenant.webhooks:
            mock.webhooks.publish(tenant, handoff_requested(tenant, handoff))
    return _handoff(handoff), 201


def list_audit_log(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the audit log, oldest first."""
    with mock.lock:
        rows = list(find_tenant(mock, tenant_id).audit_log)
    rows = chosen(rows, filters, lambda row: row.at)
    return listed(rows, lambda row: redact_deep({**asdict(row), "at": iso(row.at)}))


def list_crm_records(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the records in the tenant's CRM, under canonical names and under the vendor's."""
    with mock.lock:
        records = list(find_tenant(mock, tenant_id).crm_records)
    return listed(chosen(records, filters, lambda row: row.at), _record)


def add_crm_record(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Write a record to the tenant's CRM, as the API does; 409 for a soft failure."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        try:
            record = create_record(tenant, **body, now=tenant.clock.now())
        except CrmError as failure:
            reject(409, str(failure))
    return _record(record), 201


def _handoff(handoff: Handoff) -> Json:
    return dict(redact_deep({**asdict(handoff), "requested_at": iso(handoff.requested_at)}))


def _find_key(tenant: Tenant, key_id: str) -> ApiKey:
    return tenant.keys.get(key_id) or reject(404, "The tenant has no key with this id.")


def _find_lead(tenant: Tenant, lead_id: str) -> Lead:
    return tenant.leads.get(lead_id.lower()) or reject(404, "The tenant has no lead with this id.")


def _status(tenant: Tenant, lead: Lead) -> str:
    return tenant.conversations[lead.conversation_id].status


def _tell(mock: Mock, tenant: Tenant, event: str, lead: Lead) -> None:
    """Publish an event about a lead, if the tenant has webhooks."""
    if tenant.webhooks:
        data = event_kinds.about_lead(event, tenant, lead, tenant.clock.now())
        mock.webhooks.publish(tenant, happened(tenant, event, data))


def _record(record: CrmRecord) -> Json:
    shown = asdict(record)
    del shown["fingerprint"]
    return dict(redact_deep({**shown, "at": iso(record.at)}))


def _key(key: ApiKey) -> Json:
    return {"id": key.id, "prefix": key.token[:PREFIX], "scopes": sorted(key.scopes), "revoked": key.revoked}


def _lead(tenant: Tenant, lead: Lead) -> Json:
    conversation = tenant.conversations.get(lead.conversation_id)
    return {
        "id": lead.id,
        "name": lead.name,
        "conversation_id": lead.conversation_id,
        # A list is written without the lock, and the lead may be deleted meanwhile.
        "conversation_status": CLOSED if conversation is None else conversation.status,
    }


OPERATIONS: Operations = {
    "listKeys": list_keys,
    "getKey": get_key,
    "changeKey": change_key,
    "mintKey": mint_key,
    "revokeKey": revoke_key,
    "listLeads": list_leads,
    "addLead": add_lead,
    "getLead": get_lead,
    "changeLead": change_lead,
    "deleteLead": delete_lead,
    "listHandoffs": list_handoffs,
    "addHandoff": add_handoff,
    "listAuditLog": list_audit_log,
    "listCrmRecords": list_crm_records,
    "addCrmRecord": add_crm_record,
}
