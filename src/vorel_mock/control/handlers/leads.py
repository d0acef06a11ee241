"""The leads of a tenant and their conversations: list, add, change, delete. Changes are told to the webhooks."""

from typing import Any

from flask import Response

from vorel_mock.control.handlers.streaming import counted
from vorel_mock.control.handlers.support import Operations, find_tenant, merge_patch, reject
from vorel_mock.mock import provisioning
from vorel_mock.mock.mock import Mock
from vorel_mock.model.commands import happened
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.tenant import MAX_LEADS, Tenant
from vorel_mock.webhooks import event_kinds

Json = dict[str, Any]

#: The status of a conversation whose end webhooks are told of.
CLOSED = "closed"


def list_leads(
    mock: Mock, tenant_id: str, conversation_status: str | None = None, limit: int | None = None
) -> Json | Response:
    """Return the leads, in the order in which they were added, each with the status of its conversation."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        leads, conversations = list(tenant.leads.values()), tenant.conversations.copy()
    pairs = [(lead, conversations[lead.conversation_id]) for lead in leads]
    found = [pair for pair in pairs if conversation_status in (None, pair[1].status)]
    return counted((found if limit is None else found[-limit:], len(found)), lambda pair: _shown(*pair))


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
        return _of(tenant, lead), 201


def get_lead(mock: Mock, tenant_id: str, lead_id: str) -> Json:
    """One lead."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        return _of(tenant, _find_lead(tenant, lead_id))


def change_lead(mock: Mock, tenant_id: str, lead_id: str, body: Json | None = None) -> Json:
    """Change the name of a lead, or the status of its conversation, and tell the webhooks."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        lead = _find_lead(tenant, lead_id)
        before = _of(tenant, lead)
        wanted = {"name": "", "conversation_status": "active"} | merge_patch(
            {name: before[name] for name in ("name", "conversation_status")}, body or {}
        )
        changed = Lead(lead.id, lead.conversation_id, wanted["name"])
        tenant.leads[lead.id] = changed
        tenant.conversations[lead.conversation_id] = Conversation(lead.conversation_id, wanted["conversation_status"])
        after = _of(tenant, changed)
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
        del tenant.conversations[lead.conversation_id]
    return None, 204


def _find_lead(tenant: Tenant, lead_id: str) -> Lead:
    return tenant.leads.get(lead_id.lower()) or reject(404, "The tenant has no lead with this id.")


def _tell(mock: Mock, tenant: Tenant, event: str, lead: Lead) -> None:
    """Publish an event about a lead, if the tenant has webhooks."""
    if tenant.webhooks:
        data = event_kinds.about_lead(event, tenant, lead, tenant.clock.now())
        mock.webhooks.publish(tenant, happened(tenant, event, data))


def _of(tenant: Tenant, lead: Lead) -> Json:
    return _shown(lead, tenant.conversations[lead.conversation_id])


def _shown(lead: Lead, conversation: Conversation) -> Json:
    return {
        "id": lead.id,
        "name": lead.name,
        "conversation_id": lead.conversation_id,
        "conversation_status": conversation.status,
    }


OPERATIONS: Operations = {
    "listLeads": list_leads,
    "addLead": add_lead,
    "getLead": get_lead,
    "changeLead": change_lead,
    "deleteLead": delete_lead,
}
