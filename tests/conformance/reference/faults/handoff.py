"""Faults of the handoff."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable
from typing import Any

from ..contract import HANDOFF
from ..server import Change, Visit
from ..world import Lead
from .helpers import (
    FUZZ_INVALID,
    FUZZ_VALID,
    HANDOFF_SERVED,
    OTHER_BODIES,
    Fault,
    always,
    cut,
    fault,
    longer_than,
    not_there,
    other_lead,
    other_status,
    refuses,
    refusing,
    repair_member,
    tolerates,
    utf8,
    utf16,
    with_members,
    without,
)


def drop_null(body: Any) -> Any:
    return {name: member for name, member in body.items() if member is not None} if isinstance(body, dict) else body


def first_lead(was: Any, v: Visit) -> Any:
    """Return the lead of the first handoff in every response."""
    answer = was(v)
    return {**answer, "lead_id": v.notes.setdefault("lead_id", answer["lead_id"])}


def handoff_id_of_lead(was: Any, v: Visit) -> str:
    return str(v.notes.setdefault(("handoff", v.lead_id.lower()), was(v)))


def handoff_id_shared(was: Any, v: Visit) -> str:
    """Use the same id for two handoffs, at intervals."""
    if v.once_more("handoffs") % 10 == 0:
        return str(v.notes["last id"])
    v.notes["last id"] = was(v)
    return str(v.notes["last id"])


def new_conversation(was: Any, v: Visit) -> Any:
    answer = was(v)
    again = v.once_more(f"handoff of {answer['lead_id']}") > 1
    return {**answer, "conversation_id": v.server.hooks.new_id(v)} if again else answer


def repost(handle: Callable[[Visit, dict[str, Any]], Any]) -> Change:
    """For `handoff`: another response from the second handoff of a lead on."""

    def handoff(was: Any, v: Visit) -> Any:
        answer = was(v)
        return handle(v, answer) if v.once_more(f"handoff of {answer['lead_id']}") > 1 else answer

    return handoff


def own_lead(v: Visit, id_: str) -> Lead | None:
    lead = v.server.world.leads.get(id_.lower())
    return lead if lead and lead.tenant == v.caller.tenant else None


HANDOFF_FAULTS: tuple[Fault, ...] = (
    fault("handoff_501", "Every handoff is a 501.", "handoff.served", answer=not_there(HANDOFF, 501)),
    fault(
        "no_conversation_id",
        "A handoff has no conversation_id.",
        "handoff.answer",
        also="handoff.uuids handoff.same-conversation",
        handoff=without("conversation_id"),
    ),
    fault(
        "no_channel",
        "A handoff has no notified_channel.",
        "handoff.answer",
        also="handoff.notified-channel",
        handoff=without("notified_channel"),
    ),
    fault(
        "null_channel",
        "notified_channel is null.",
        "handoff.answer",
        also="handoff.notified-channel",
        handoff=with_members(notified_channel=None),
    ),
    fault(
        "wrapped_handoff",
        "The members of a handoff are nested in `data`.",
        "handoff.answer",
        also="handoff.uuids",
        handoff=lambda was, v: {"data": was(v)},
    ),
    fault(
        "handoff_id_number",
        "handoff_id is a number.",
        "handoff.answer",
        also="handoff.uuids",
        handoff=lambda was, v: {**was(v), "handoff_id": v.number},
    ),
    fault(
        "handoff_id_prefixed",
        "handoff_id has a prefix.",
        "handoff.uuids",
        also="handoff.canonical-id",
        handoff=lambda was, v: {**(a := was(v)), "handoff_id": f"hnd_{a['handoff_id']}"},
    ),
    fault(
        "handoff_id_urn",
        "handoff_id is a URN.",
        "handoff.uuids",
        also="handoff.canonical-id",
        handoff=lambda was, v: {**(a := was(v)), "handoff_id": f"urn:uuid:{a['handoff_id']}"},
    ),
    fault(
        "conversation_id_hex",
        "conversation_id has no hyphens.",
        "handoff.uuids",
        also="handoff.canonical-id",
        handoff=lambda was, v: {**(a := was(v)), "conversation_id": a["conversation_id"].replace("-", "")},
    ),
    fault(
        "status_active",
        "conversation_status is `active`.",
        "handoff.conversation-status",
        handoff=with_members(conversation_status="active"),
    ),
    fault(
        "status_capitals",
        "conversation_status is `AWAITING_HUMAN`.",
        "handoff.conversation-status",
        handoff=with_members(conversation_status="AWAITING_HUMAN"),
    ),
    fault(
        "status_on_repost",
        "A lead handed off again has the status `already_awaiting_human`.",
        "handoff.conversation-status",
        handoff=repost(lambda v, a: {**a, "conversation_status": "already_awaiting_human"}),
    ),
    fault(
        "channel_sms",
        "notified_channel is `sms`.",
        "handoff.notified-channel",
        handoff=with_members(notified_channel="sms"),
    ),
    fault(
        "channel_capitals",
        "notified_channel is `Slack`.",
        "handoff.notified-channel",
        handoff=with_members(notified_channel="Slack"),
    ),
    fault("lead_id_of_another", "lead_id is that of another lead.", "handoff.lead-id", handoff=other_lead),
    fault(
        "lead_id_of_the_first",
        "Every response has the lead_id of the first request.",
        "handoff.lead-id",
        handoff=first_lead,
    ),
    fault(
        "lead_id_is_conversation",
        "lead_id and conversation_id are swapped.",
        "handoff.lead-id",
        also="handoff.same-conversation",
        handoff=lambda was, v: {**(a := was(v)), "lead_id": a["conversation_id"], "conversation_id": a["lead_id"]},
    ),
    fault(
        "ids_in_capitals",
        "The ids are in upper case.",
        "handoff.canonical-id",
        handoff=lambda was, v: {**(a := was(v)), "lead_id": a["lead_id"].upper()},
    ),
    fault(
        "id_echoed",
        "lead_id has the letter case of the request.",
        "handoff.canonical-id",
        handoff=lambda was, v: {**was(v), "lead_id": v.lead_id},
    ),
    fault(
        "body_needed",
        "A handoff without a body is a 400.",
        "handoff.body-optional",
        also="tenancy.unknown-lead tenancy.foreign-lead handoff.repost",
        body_required=always(True),
    ),
    fault(
        "media_type_without_body",
        "A handoff without a body and without a Content-Type is a 400.",
        "handoff.body-optional",
        also="tenancy.unknown-lead tenancy.foreign-lead handoff.repost",
        has_body=lambda was, v: (
            was(v)
            or (
                "content-type" not in v.request.headers
                and v.name == HANDOFF
                and refusing(400, "Content-Type: missing")(v, None)
            )
        ),
    ),
    fault(
        "empty_object_refused",
        "`{}` is rejected.",
        "handoff.fields-optional",
        also=f"{OTHER_BODIES} {FUZZ_VALID} handoff.repost",
        body_error=refuses(HANDOFF, "body", lambda b: b == {}),
    ),
    fault(
        "reason_needed",
        "A body without `reason` is rejected.",
        "handoff.fields-optional",
        also=f"{OTHER_BODIES} {FUZZ_VALID} "
        "handoff.summary-length handoff.characters body.unknown-members handoff.repost",
        body_error=refuses(HANDOFF, "reason", lambda b: "reason" not in b),
    ),
    fault(
        "summary_needed",
        "A body without `summary` is rejected.",
        "handoff.fields-optional",
        also=f"{OTHER_BODIES} {FUZZ_VALID} "
        "handoff.reason-length handoff.characters body.unknown-members handoff.repost",
        body_error=refuses(HANDOFF, "summary", lambda b: "summary" not in b),
    ),
    fault(
        "empty_reason_refused",
        "An empty `reason` is rejected.",
        "handoff.fields-optional",
        also=FUZZ_VALID,
        body_error=refuses(HANDOFF, "reason", lambda b: b.get("reason") == ""),
    ),
    fault(
        "blank_reason_refused",
        "A `reason` of blanks is rejected.",
        "handoff.characters",
        also=f"{FUZZ_VALID} handoff.reason-length handoff.fields-optional",
        body_error=refuses(HANDOFF, "reason", lambda b: b.get("reason", "x").isspace()),
    ),
    fault(
        "reason_199",
        "`reason` of 200 characters is rejected.",
        "handoff.reason-length",
        also=f"{FUZZ_VALID} handoff.characters",
        body_error=refuses(HANDOFF, "reason", longer_than("reason", 199)),
    ),
    fault(
        "reason_201",
        "`reason` of 201 characters is accepted.",
        "handoff.reason-length",
        also=f"{FUZZ_INVALID} handoff.characters envelope.names-field",
        body_error=tolerates(HANDOFF, repair_member("reason", cut(200, longest=201))),
    ),
    fault(
        "reason_cut",
        "A `reason` that is too long is shortened instead of rejected.",
        "handoff.reason-length",
        also=f"{FUZZ_INVALID} handoff.characters envelope.names-field",
        body_error=tolerates(HANDOFF, repair_member("reason", cut(200))),
    ),
    fault(
        "summary_999",
        "`summary` of 1000 characters is rejected.",
        "handoff.summary-length",
        also=f"{FUZZ_VALID} handoff.characters",
        body_error=refuses(HANDOFF, "summary", longer_than("summary", 999)),
    ),
    fault(
        "summary_1001",
        "`summary` of 1001 characters is accepted.",
        "handoff.summary-length",
        also=f"{FUZZ_INVALID} handoff.characters envelope.names-field",
        body_error=tolerates(HANDOFF, repair_member("summary", cut(1000, longest=1001))),
    ),
    fault(
        "summary_1024",
        "`summary` is limited to 1024 characters.",
        "handoff.summary-length",
        also=f"{FUZZ_INVALID} handoff.characters envelope.names-field",
        body_error=tolerates(HANDOFF, repair_member("summary", cut(1000, longest=1024))),
    ),
    fault(
        "reason_in_bytes",
        "`reason` is measured in bytes.",
        "handoff.characters",
        also=FUZZ_VALID,
        body_error=refuses(HANDOFF, "reason", longer_than("reason", 200, utf8)),
    ),
    fault(
        "notes_in_bytes",
        "reason and summary are measured in bytes.",
        "handoff.characters",
        also=FUZZ_VALID,
        body_error=refuses(
            HANDOFF, "reason", lambda b: longer_than("reason", 200, utf8)(b) or longer_than("summary", 1000, utf8)(b)
        ),
    ),
    fault(
        "summary_in_utf16",
        "`summary` is measured in UTF-16 units.",
        "handoff.characters",
        also=FUZZ_VALID,
        body_error=refuses(HANDOFF, "summary", longer_than("summary", 1000, utf16)),
    ),
    fault(
        "reason_in_escapes",
        "`reason` is measured with its escapes.",
        "handoff.characters",
        also=FUZZ_VALID,
        body_error=refuses(HANDOFF, "reason", longer_than("reason", 200, lambda t: len(json.dumps(t)) - 2)),
    ),
    fault(
        "reason_composed",
        "`reason` is measured after normalization.",
        "handoff.characters",
        also=FUZZ_INVALID,
        body_error=tolerates(
            HANDOFF, repair_member("reason", lambda t: unicodedata.normalize("NFC", t) if isinstance(t, str) else t)
        ),
    ),
    fault(
        "reason_trimmed",
        "Blanks around `reason` are not counted.",
        "handoff.reason-length",
        also=f"{FUZZ_INVALID} handoff.characters",
        body_error=tolerates(HANDOFF, repair_member("reason", lambda t: t.strip() if isinstance(t, str) else t)),
    ),
    fault(
        "reason_number",
        "A number is accepted as `reason`.",
        "handoff.types",
        also=FUZZ_INVALID,
        body_error=tolerates(
            HANDOFF,
            repair_member("reason", lambda t: str(t) if isinstance(t, int | float) and not isinstance(t, bool) else t),
        ),
    ),
    fault(
        "reason_null",
        "null counts as a missing `reason`.",
        "handoff.types",
        also=FUZZ_INVALID,
        body_error=tolerates(HANDOFF, drop_null),
    ),
    fault(
        "summary_list",
        "A list is accepted as `summary`.",
        "handoff.types",
        also=FUZZ_INVALID,
        body_error=tolerates(HANDOFF, repair_member("summary", lambda t: "" if isinstance(t, list) else t)),
    ),
    fault(
        "summary_boolean",
        "A boolean is accepted as `summary`.",
        "handoff.types",
        also=FUZZ_INVALID,
        body_error=tolerates(HANDOFF, repair_member("summary", lambda t: str(t) if isinstance(t, bool) else t)),
    ),
    fault(
        "null_body",
        "null counts as a missing body.",
        "handoff.body-object",
        also=FUZZ_INVALID,
        body_error=tolerates(HANDOFF, lambda b: {} if b is None else b),
    ),
    fault(
        "list_body",
        "A list counts as an empty body.",
        "handoff.body-object",
        also=FUZZ_INVALID,
        body_error=tolerates(HANDOFF, lambda b: {} if isinstance(b, list) else b),
    ),
    fault(
        "string_body",
        "A string counts as an empty body.",
        "handoff.body-object",
        also=FUZZ_INVALID,
        body_error=tolerates(HANDOFF, lambda b: {} if isinstance(b, str) else b),
    ),
    fault(
        "malformed_id_500",
        "A malformed id is a 500.",
        "fuzz.no-server-error",
        also="handoff.malformed-id",
        well_formed_id=lambda was, v: was(v) or refusing(500, "invalid input syntax")(v, None),
    ),
    fault(
        "malformed_id_200",
        "A malformed id hands off the first lead.",
        "handoff.malformed-id",
        also="handoff.lead-id handoff.answer",
        well_formed_id=always(True),
        find_lead=lambda was, v: (
            was(v) or (next(iter(v.server.world.leads.values())) if len(v.lead_id) != 36 else None)
        ),
    ),
    fault(
        "malformed_id_422",
        "A malformed id is a 422.",
        "envelope.declared-status",
        also="handoff.malformed-id",
        well_formed_id=lambda was, v: was(v) or refusing(422, "id: not a UUID")(v, None),
        refuse=other_status(422, 422),
    ),
    fault(
        "repost_409",
        "A second handoff is a 409.",
        "handoff.repost",
        also=f"{HANDOFF_SERVED} envelope.declared-status handoff.fresh-id handoff.same-conversation",
        handoff=repost(refusing(409, "Already handed off.")),
        refuse=other_status(409, 409),
    ),
    fault(
        "repost_same_id",
        "A second handoff of a lead has the id of the first.",
        "handoff.fresh-id",
        new_id=handoff_id_of_lead,
    ),
    fault(
        "handoff_id_constant",
        "Every handoff has the same id.",
        "handoff.fresh-id",
        new_id=lambda was, v: str(v.notes.setdefault("id", was(v))),
    ),
    fault(
        "handoff_id_shared",
        "Every tenth handoff has the id of the previous one.",
        "handoff.fresh-id",
        new_id=handoff_id_shared,
    ),
    fault(
        "handoff_id_is_lead",
        "handoff_id is the lead's id.",
        "handoff.fresh-id",
        handoff=lambda was, v: {**(a := was(v)), "handoff_id": a["lead_id"]},
    ),
    fault(
        "new_conversation",
        "A second handoff has another conversation_id.",
        "handoff.same-conversation",
        handoff=new_conversation,
    ),
    fault(
        "id_with_more_behind",
        "Text after a lead's id is ignored.",
        "handoff.malformed-id",
        also="handoff.lead-id",
        well_formed_id=lambda was, v: was(v) or len(v.lead_id) > 36,
        find_lead=lambda was, v: was(v) or own_lead(v, v.lead_id[:36]),
    ),
    fault(
        "id_trimmed",
        "Blanks around a lead's id are removed.",
        "handoff.malformed-id",
        also="handoff.lead-id",
        well_formed_id=lambda was, v: was(v) or len(v.lead_id.strip()) == 36,
        find_lead=lambda was, v: was(v) or own_lead(v, v.lead_id.strip()),
    ),
    fault(
        "summary_counted_in_html",
        "`summary` is measured after HTML escaping.",
        "handoff.characters",
        also=FUZZ_VALID,
        body_error=refuses(HANDOFF, "summary", longer_than("summary", 2000, lambda text: len(html.escape(text)))),
    ),
    fault(
        "line_breaks_counted_once",
        "A line break of two characters is counted as one in `reason`.",
        "handoff.characters",
        also=FUZZ_INVALID,
        body_error=tolerates(
            HANDOFF, repair_member("reason", lambda text: text.replace("\r\n", "\n") if isinstance(text, str) else text)
        ),
    ),
    fault(
        "gateway_refuses_sql",
        "A gateway rejects texts that look like SQL.",
        "handoff.characters crm.characters crm.fields-free",
        also=FUZZ_VALID,
        parse=lambda was, v: refusing(403, "Blocked.")(v, None) if b"UNION SELECT" in v.request.body else was(v),
    ),
)
