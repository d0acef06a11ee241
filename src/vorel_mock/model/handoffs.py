"""Escalating a lead to a human: the conversation's status, the audit row, the event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from vorel_mock.model.types import Moment, Uuid

if TYPE_CHECKING:
    from vorel_mock.model.leads import Lead
    from vorel_mock.model.tenant import Tenant

# "Defaults are written into the audit log so the trail is never empty" (#/components/schemas/LeadHandoffBody);
# the texts are ours, docs/assumptions.md.
DEFAULT_REASON = "operator_request"
DEFAULT_SUMMARY = "No summary provided."

#: The event that a handoff publishes (#/paths/~1api~1v1~1leads~1{id}~1handoff/post/description).
HANDOFF_REQUESTED = "conversation.handoff_requested"


# msgspec.Struct and not a frozen dataclass: each handoff makes one of each class below, and a Struct is made in C.
class Handoff(msgspec.Struct, frozen=True):
    """One request for a human. Times are seconds since the epoch."""

    id: Uuid
    lead_id: Uuid
    conversation_id: Uuid
    reason: str
    summary: str
    notified_channel: str
    requested_at: Moment


class AuditRow(msgspec.Struct, frozen=True):
    """One row of the append-only audit log."""

    id: Uuid
    at: Moment
    action: str
    handoff_id: str
    lead_id: str
    conversation_id: str
    reason: str
    summary: str
    key_id: str


class Event(msgspec.Struct, frozen=True):
    """Something that happened and that webhooks tell of."""

    id: str
    event: str
    created_at: Moment
    data: dict[str, Any]


def request_handoff(
    tenant: Tenant, lead: Lead, *, reason: str | None, summary: str | None, status: str, key_id: str, now: float
) -> Handoff:
    """Set the lead's conversation to `status`, and write a fresh handoff and audit row.

    Doing it again does all of it again; only the status stays what it is. None for `reason` or `summary` stands for the
    default.
    """
    conversation = tenant.conversations[lead.conversation_id]
    conversation.status = status
    handoff = Handoff(
        id=tenant.ids.uuid(),
        lead_id=lead.id,
        conversation_id=conversation.id,
        reason=DEFAULT_REASON if reason is None else reason,
        summary=DEFAULT_SUMMARY if summary is None else summary,
        notified_channel=tenant.notified_channel,
        requested_at=now,
    )
    tenant.handoffs.append(handoff)
    tenant.audit_log.append(
        AuditRow(
            tenant.ids.uuid(),
            now,
            "lead.handoff",
            handoff.id,
            lead.id,
            conversation.id,
            handoff.reason,
            handoff.summary,
            key_id,
        )
    )
    return handoff


def handoff_requested(tenant: Tenant, handoff: Handoff) -> Event:
    """Return the event that tells the tenant's webhooks about a handoff."""
    data = {
        "handoff_id": handoff.id,
        "lead_id": handoff.lead_id,
        "conversation_id": handoff.conversation_id,
        "reason": handoff.reason,
        "summary": handoff.summary,
        "notified_channel": handoff.notified_channel,
        "requested_at": handoff.requested_at,
    }
    return Event(tenant.ids.uuid(), HANDOFF_REQUESTED, handoff.requested_at, data)
