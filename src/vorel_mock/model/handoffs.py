"""The rows of a handoff, the escalation of a lead to a human."""

from typing import Any

import msgspec

from vorel_mock.model.types import Moment, Uuid

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
