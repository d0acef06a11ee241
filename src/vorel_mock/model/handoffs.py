"""The rows of a handoff, the escalation of a lead to a human."""

from sys import getsizeof
from typing import Any

import msgspec

# "Defaults are written into the audit log so the trail is never empty" (#/components/schemas/LeadHandoffBody);
# the texts are ours, docs/assumptions.md.
DEFAULT_REASON = "operator_request"
DEFAULT_SUMMARY = "No summary provided."

#: Bytes of a row without its texts: itself, its ids, its time.
_ROW = 512

#: The event that a handoff publishes (#/paths/~1api~1v1~1leads~1{id}~1handoff/post/description).
HANDOFF_REQUESTED = "conversation.handoff_requested"


#: What the audit log calls a handoff (`docs/assumptions.md`).
HANDOFF = "lead.handoff"


# msgspec.Struct and not a frozen dataclass: each handoff makes one of each class below, and a Struct is made in C.
class Handoff(msgspec.Struct, frozen=True):
    """One request for a human. Times are seconds since the epoch."""

    id: str
    lead_id: str
    conversation_id: str
    reason: str
    summary: str
    notified_channel: str
    requested_at: float


class AuditRow(msgspec.Struct, frozen=True):
    """One row of the append-only audit log."""

    id: str
    at: float
    action: str
    handoff_id: str
    lead_id: str
    conversation_id: str
    reason: str
    summary: str
    key_id: str


def row_size(row: Handoff | AuditRow) -> int:
    """Return about how many bytes a row takes."""
    return _ROW + getsizeof(row.reason) + getsizeof(row.summary)


class Event(msgspec.Struct, frozen=True):
    """Something that happened and that webhooks tell of. `data` is JSON, times in it are RFC 3339."""

    id: str
    event: str
    created_at: float
    data: dict[str, Any]
