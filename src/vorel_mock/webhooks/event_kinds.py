"""The events: what the data of each holds, and an example made of what a tenant has.

The vendor lists the twelve names, and says that a body carries `data`. What is in it is ours (docs/assumptions.md), in
`events.json`: the members of each event. What a member may be is told here once, for all events.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from vorel_mock.contract.document import Document
from vorel_mock.contract.schemas import Validator
from vorel_mock.model.clock import iso
from vorel_mock.model.commands import handoff_data
from vorel_mock.model.handoffs import DEFAULT_REASON, DEFAULT_SUMMARY, HANDOFF_REQUESTED
from vorel_mock.model.ids import Ids
from vorel_mock.model.leads import Lead
from vorel_mock.model.tenant import Tenant

Json = dict[str, Any]

#: Bytes of the data of an event, as JSON.
MAX_DATA = 64 * 1024

_ID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string", "maxLength": 10_000}
_MEMBERS: Mapping[str, Json] = {
    "reason": _TEXT,
    "summary": _TEXT,
    "name": _TEXT,
    "notified_channel": _TEXT,
    "conversation_status": _TEXT,
    "booking_status": {"type": "string", "enum": ["booked", "rescheduled", "cancelled", "completed"]},
    "duration_minutes": {"type": "integer", "minimum": 1},
    "price": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,2})?$"},
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
}
#: Violations that one response lists.
_MOST = 5
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class EventKind:
    """One event of the twelve. `schema` is JSON Schema 2020-12 of its data; members that it does not list are taken."""

    event: str
    description: str
    schema: Json


@cache
def kinds() -> Mapping[str, EventKind]:
    """Return the events by name, in the order in which the vendor lists them."""
    told = json.loads(Path(__file__).with_name("events.json").read_text("utf-8"))
    return {
        name: EventKind(
            name,
            kind["description"],
            {
                "type": "object",
                "required": kind["required"],
                "properties": {member: _schema(member) for member in kind["members"]},
            },
        )
        for name, kind in told.items()
    }


def check(event: str, data: Json) -> None:
    """Raises ValueError with the members that are wrong, if `data` is not what the event carries."""
    size = len(msgspec.json.encode(data))
    if size > MAX_DATA:
        raise ValueError(f"data: has {size} bytes as JSON; the most are {MAX_DATA}")
    violations = _validator(event).violations(data)
    problems = [f"data.{violation.field}: {violation.message}" for violation in islice(violations, _MOST)]
    if problems:
        raise ValueError(f"{'; '.join(problems)} (GET /_mock/events has the schema)")


def about_lead(event: str, tenant: Tenant, lead: Lead, now: float) -> Json:
    """Return the data of an event that is about a lead of the tenant, or about its conversation."""
    conversation = tenant.conversations.get(lead.conversation_id)
    values: Json = {
        "lead_id": lead.id,
        "conversation_id": lead.conversation_id,
        "name": lead.name,
        "conversation_status": "active" if conversation is None else conversation.status,
    }
    # Any other member is the time at which it happened.
    return {member: values[member] if member in values else iso(now) for member in kinds()[event].schema["properties"]}


def example(event: str, tenant: Tenant, now: float) -> Json:
    """Return data for an event: about the tenant's first lead where it has one, at times around `now`.

    Its ids are those of the tenant, or derived from the tenant's, and not drawn: a booking that is created is the one
    that is rescheduled afterwards. A handoff is the latest one of the tenant, if there is one.
    """
    if event == HANDOFF_REQUESTED and tenant.handoffs.newest is not None:
        return handoff_data(tenant.handoffs.newest)
    lead = next(iter(tenant.leads.values()), None)
    conversation = None if lead is None else tenant.conversations.get(lead.conversation_id)
    starts = (now // _HOUR + 24) * _HOUR
    if event == "booking.rescheduled":
        starts += 2 * _HOUR
    elif event == "booking.completed":
        starts = max(0.0, (now // _HOUR - 1) * _HOUR)
    status = "active" if conversation is None else conversation.status
    values: Json = {
        **({} if lead is None else {"lead_id": lead.id, "conversation_id": lead.conversation_id}),
        "name": "Consultation" if event.startswith("offering.") else "Ada Lovelace" if lead is None else lead.name,
        "conversation_status": "closed" if event == "conversation.closed" else status,
        "reason": DEFAULT_REASON,
        "summary": DEFAULT_SUMMARY,
        "notified_channel": tenant.notified_channel,
        "starts_at": iso(starts),
        "ends_at": iso(starts + _HOUR),
        "previous_starts_at": iso(starts - 2 * _HOUR),
        "booking_status": {"booking.created": "booked"}.get(event, event.partition(".")[2]),
        "duration_minutes": 60,
        "price": "90.00",
        "currency": "EUR",
    }
    made: Json = {}
    for member in kinds()[event].schema["properties"]:
        if member in values:
            made[member] = values[member]
        else:
            made[member] = Ids(0, f"{tenant.id}/{member}").uuid() if member.endswith("_id") else iso(now)
    return made


def _schema(member: str) -> Json:
    if member in _MEMBERS:
        return _MEMBERS[member]
    return _ID if member.endswith("_id") else _TIME


@cache
def _validator(event: str) -> Validator:
    return Document({name: kind.schema for name, kind in kinds().items()}).validator(f"#/{event}")
