"""Faults of the CRM operation."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace as change
from typing import Any

from ..contract import CRM
from ..server import ABSENT, Answer, Change, RefusedError, Visit
from .helpers import (
    BAD_BODY_400,
    FUZZ_INVALID,
    FUZZ_VALID,
    Fault,
    always,
    cut,
    depth,
    failure,
    fault,
    longer_than,
    not_there,
    other_status,
    refuses,
    refusing,
    repair_member,
    same_body_under,
    strings,
    success,
    tolerates,
    trouble_as_status,
    utf8,
    utf16,
    without,
)


def with_default(name: str, value: Any) -> Callable[[Any], Any]:
    return lambda body: {name: value, **body} if isinstance(body, dict) else body


def validation_as_soft_failure(was: Any, v: Visit) -> Answer:
    answer: Answer = was(v)
    if answer.status == 400 and v.name == CRM and v.value is not ABSENT:
        return Answer(200, {"ok": False, "error": "validation_error", "detail": answer.body["error"]["message"]})
    return answer


def pairs(value: Any) -> Any:
    """Return a list of pairs as an object, anything else unchanged."""
    good = isinstance(value, list) and value and all(isinstance(e, list) and len(e) == 2 for e in value)
    return {str(name): each for name, each in value} if good else value


def known(v: Visit) -> bool:
    return (v.caller.tenant, v.value["idempotency_key"]) in v.server.records


def replay_conflict(was: Any, v: Visit) -> Any:
    if known(v):
        raise RefusedError(409, "idempotency_key: used before")
    return was(v)


def new_record_each_time(was: Any, v: Visit) -> Any:
    answer = was(v)
    return {**answer, "external_id": str(9_000_000 + v.number)} if answer["ok"] else answer


def key_of(v: Visit) -> tuple[str, str]:
    return v.caller.tenant, v.value["idempotency_key"]


def forgets(is_forgotten: Callable[[Visit, int], bool]) -> Change:
    """For `crm`: forget an idempotency_key. The condition gets the number of records when the record was made."""

    def crm(was: Any, v: Visit) -> Any:
        key = key_of(v)
        if key in v.server.records and is_forgotten(v, v.notes["made", key]):
            v.server.records[key[0], f"{key[1]} {v.number}"] = v.server.records.pop(key)  # the count goes on
        if key not in v.server.records:
            v.notes["made", key], v.notes["made at", key] = len(v.server.records), (v.now, v.request.connection)
        return was(v)

    return crm


def at_once(v: Visit, made: int) -> bool:
    """Return True if the record was made a moment before, on another connection."""
    at, connection = v.notes["made at", key_of(v)]
    return bool(v.now - at < 0.05 and v.request.connection != connection)


def shared_table(was: Any, v: Visit) -> Any:
    v.key = change(v.caller, tenant="everyone")
    return was(v)


def first_answer_of_any(was: Any, v: Visit) -> Any:
    """Answer like the first tenant that has used this idempotency_key. Ids are drawn at random."""
    known = v.notes.get(("any", v.value["idempotency_key"]))
    answer = known or was(v)
    if answer["ok"] and not known:
        answer = {**answer, "external_id": secrets.token_hex(6)}
        v.notes["any", v.value["idempotency_key"]] = answer
    return dict(answer)


CRM_FAULTS: tuple[Fault, ...] = (
    # K17: the other operation is judged as ever.
    fault("crm_501", "Every CRM write is a 501.", "crm.served", answer=not_there(CRM, 501)),
    fault("crm_not_routed", "The path of the CRM write is a 404.", "crm.served", answer=not_there(CRM, 404)),
    fault("ok_string", '`ok` is "true".', "crm.ok", also="crm.success", crm=success(ok="true")),
    fault("ok_number", "`ok` is 1.", "crm.ok", also="crm.success", crm=success(ok=1)),
    fault(
        "ok_missing",
        "A success has no `ok`.",
        "crm.ok",
        also="crm.success",
        crm=lambda was, v: {k: m for k, m in was(v).items() if k != "ok" or m is False},
    ),
    fault(
        "ok_missing_in_failure",
        "A soft failure has no `ok`.",
        "crm.ok",
        also="crm.soft-failure crm.soft-failure-name",
        crm=lambda was, v: {k: m for k, m in was(v).items() if k != "ok" or m is True},
    ),
    fault(
        "external_id_missing",
        "A success has no external_id.",
        "crm.success",
        also="crm.replay crm.distinct",
        crm=without("external_id"),
    ),
    fault(
        "external_id_number",
        "external_id is a number.",
        "crm.success",
        crm=lambda was, v: {**a, "external_id": int(a["external_id"])} if (a := was(v))["ok"] else a,
    ),
    fault(
        "external_id_null",
        "external_id is null.",
        "crm.success",
        also="crm.replay crm.distinct",
        crm=success(external_id=None),
    ),
    fault(
        "external_id_camel",
        "external_id is called externalId.",
        "crm.success",
        also="crm.replay crm.distinct",
        crm=lambda was, v: {("externalId" if k == "external_id" else k): m for k, m in was(v).items()},
    ),
    fault(
        "record_url_relative",
        "record_url is relative.",
        "crm.record-url",
        also="crm.success",
        crm=success(record_url="/records/7"),
    ),
    fault(
        "record_url_no_scheme",
        "record_url has no scheme.",
        "crm.record-url",
        also="crm.success",
        crm=success(record_url="crm.example/records/7"),
    ),
    fault(
        "record_url_blank",
        "record_url contains a blank.",
        "crm.record-url",
        also="crm.success",
        crm=success(record_url="https://crm.example/records/a b"),
    ),
    fault(
        "record_url_escape",
        "record_url contains an invalid escape.",
        "crm.record-url",
        also="crm.success",
        crm=success(record_url="https://crm.example/records/%zz"),
    ),
    fault(
        "record_url_iri",
        "record_url contains letters beyond ASCII.",
        "crm.record-url",
        also="crm.success",
        crm=success(record_url="https://crm.example/Kontakte/M\u00fcller"),
    ),
    fault(
        "record_url_braces",
        "record_url is a template with an unfilled variable.",
        "crm.record-url",
        also="crm.success",
        crm=success(record_url="https://crm.example/records/{id}"),
    ),
    fault("record_url_null", "record_url is null.", "crm.record-url", also="crm.success", crm=success(record_url=None)),
    fault("record_url_empty", "record_url is empty.", "crm.record-url", also="crm.success", crm=success(record_url="")),
    fault(
        "error_missing",
        "A soft failure has no `error`.",
        "crm.soft-failure",
        also="crm.soft-failure-name crm.error-token",
        crm=without("error"),
    ),
    fault(
        "error_object",
        "`error` of a soft failure is an object.",
        "crm.soft-failure",
        also="crm.soft-failure-name crm.error-token",
        crm=lambda was, v: {**a, "error": {"code": a["error"]}} if not (a := was(v))["ok"] else a,
    ),
    fault(
        "detail_list",
        "`detail` of a soft failure is a list.",
        "crm.soft-failure",
        crm=failure(detail=["The CRM did not take the record."]),
    ),
    fault("detail_null", "`detail` of a soft failure is null.", "crm.soft-failure", crm=failure(detail=None)),
    fault("soft_failure_400", "A soft failure is a 400.", "crm.soft-failure-status", crm=trouble_as_status(400)),
    fault(
        "soft_failure_502",
        "A soft failure is a 502.",
        "fuzz.no-server-error",
        also="crm.soft-failure-status envelope.declared-status",
        crm=trouble_as_status(502),
        refuse=other_status(502, 502),
    ),
    fault(
        "soft_failure_429",
        "A CRM that is rate limited is a 429.",
        "crm.soft-failure-status",
        also="limit.retry-after limit.headers-present limit.not-before",
        crm=lambda was, v: trouble_as_status(429)(was, v) if v.caller.trouble == "rate_limited" else was(v),
    ),
    fault(
        "soft_failure_body_400",
        "A soft failure keeps its body, but has the status 400.",
        "crm.soft-failure-status",
        also="envelope.shape",
        answer=same_body_under(400, lambda v: v.name == CRM and v.answer.status == 200 and not v.answer.body["ok"]),
    ),
    fault(
        "soft_failure_name",
        "A missing CRM has the error `not_configured`.",
        "crm.soft-failure-name",
        crm_trouble=lambda was, v: "not_configured" if was(v) == "no_crm_configured" else was(v),
    ),
    fault(
        "soft_failure_one_name",
        "Every soft failure is a `validation_error`.",
        "crm.soft-failure-name",
        crm_trouble=lambda was, v: was(v) and "validation_error",
    ),
    fault(
        "error_sentence",
        "`error` of a failed authentication is a sentence.",
        "crm.error-token",
        also="crm.soft-failure-name",
        crm_trouble=lambda was, v: "The CRM refused its credentials." if was(v) == "auth_failed" else was(v),
    ),
    fault(
        "error_camel",
        "`error` is in camel case.",
        "crm.error-token",
        also="crm.soft-failure-name",
        crm_trouble=lambda was, v: "rateLimited" if was(v) == "rate_limited" else was(v),
    ),
    fault(
        "both_branches",
        "A success also has `error`.",
        "crm.branches-apart",
        also="crm.error-token",
        crm=success(error="none"),
    ),
    fault(
        "failure_with_id",
        "A soft failure also has external_id.",
        "crm.branches-apart",
        crm=failure(external_id="0"),
    ),
    fault(
        "no_case",
        "`case` is rejected.",
        "crm.objects",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "object", lambda b: b["object"] == "case"),
    ),
    fault(
        "no_appointment",
        "`appointment` is rejected.",
        "crm.objects",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "object", lambda b: b["object"] == "appointment"),
    ),
    fault(
        "object_company",
        "`company` is accepted.",
        "crm.object-enum",
        also=FUZZ_INVALID,
        body_error=tolerates(CRM, repair_member("object", lambda o: "contact" if o == "company" else o)),
    ),
    fault(
        "object_any",
        "Any string is accepted as `object`.",
        "crm.object-enum",
        also=f"{FUZZ_INVALID} envelope.names-field",
        body_error=tolerates(CRM, repair_member("object", lambda o: "contact" if isinstance(o, str) else o)),
    ),
    fault(
        "object_any_case",
        "`Contact` is accepted.",
        "crm.object-enum",
        also=FUZZ_INVALID,
        body_error=tolerates(CRM, repair_member("object", lambda o: o.lower() if isinstance(o, str) else o)),
    ),
    fault(
        "object_padded",
        "Blanks around the object are ignored.",
        "crm.object-enum",
        also=FUZZ_INVALID,
        body_error=tolerates(CRM, repair_member("object", lambda o: o.strip() if isinstance(o, str) else o)),
    ),
    fault(
        "object_optional",
        "A write without `object` is a contact.",
        "crm.required",
        also=f"{FUZZ_INVALID} envelope.names-field",
        body_error=tolerates(CRM, with_default("object", "contact")),
    ),
    fault(
        "fields_optional",
        "A write without `fields` is accepted.",
        "crm.required",
        also=f"{FUZZ_INVALID} envelope.names-field",
        body_error=tolerates(CRM, with_default("fields", {})),
    ),
    fault(
        "key_optional",
        "A write without idempotency_key is accepted.",
        "crm.required",
        also=f"{FUZZ_INVALID} envelope.names-field crm.distinct",
        body_error=tolerates(CRM, with_default("idempotency_key", "none")),
    ),
    fault(
        "crm_no_body",
        "A write without a body is accepted.",
        "crm.body-required",
        also=FUZZ_INVALID,
        body_required=always(False),
        crm=lambda was, v: {"ok": True, "external_id": "0"} if v.value is ABSENT else was(v),
    ),
    fault(
        "crm_null_body",
        "A write of null is accepted.",
        "crm.body-required",
        also=FUZZ_INVALID,
        body_error=lambda was, v: None if v.value is None and v.name == CRM else was(v),
        crm=lambda was, v: {"ok": True, "external_id": "0"} if v.value is None else was(v),
    ),
    fault(
        "crm_list_body",
        "A list of writes is accepted.",
        "crm.body-required",
        also=FUZZ_INVALID,
        body_error=lambda was, v: None if isinstance(v.value, list) and v.name == CRM else was(v),
        crm=lambda was, v: {"ok": True, "external_id": "0"} if isinstance(v.value, list) else was(v),
    ),
    fault(
        "key_empty",
        "An empty idempotency_key is accepted.",
        "crm.key-length",
        also=f"{FUZZ_INVALID} envelope.names-field",
        body_error=tolerates(CRM, repair_member("idempotency_key", lambda k: k or "none" if isinstance(k, str) else k)),
    ),
    fault(
        "key_199",
        "An idempotency_key of 200 characters is rejected.",
        "crm.key-length",
        also=f"{FUZZ_VALID} crm.characters",
        body_error=refuses(CRM, "idempotency_key", longer_than("idempotency_key", 199)),
    ),
    fault(
        "key_201",
        "An idempotency_key of 201 characters is accepted.",
        "crm.key-length",
        also=f"{FUZZ_INVALID} crm.characters envelope.names-field",
        body_error=tolerates(CRM, repair_member("idempotency_key", cut(200, longest=201))),
    ),
    fault(
        "key_255",
        "An idempotency_key of up to 255 characters is accepted.",
        "crm.key-length",
        also=f"{FUZZ_INVALID} crm.characters envelope.names-field",
        body_error=tolerates(CRM, repair_member("idempotency_key", cut(200, longest=255))),
    ),
    fault(
        "blank_key_refused",
        "An idempotency_key of blanks is rejected.",
        "crm.characters",
        also=f"{FUZZ_VALID} crm.key-length",
        body_error=refuses(CRM, "idempotency_key", lambda b: b["idempotency_key"].isspace()),
    ),
    fault(
        "key_two",
        "An idempotency_key of one character is rejected.",
        "crm.key-length",
        also=f"crm.characters {FUZZ_VALID}",
        body_error=refuses(CRM, "idempotency_key", lambda b: len(b["idempotency_key"]) < 2),
    ),
    fault(
        "key_in_bytes",
        "idempotency_key is measured in bytes.",
        "crm.characters",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "idempotency_key", longer_than("idempotency_key", 200, utf8)),
    ),
    fault(
        "key_in_utf16",
        "idempotency_key is measured in UTF-16 units.",
        "crm.characters",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "idempotency_key", longer_than("idempotency_key", 200, utf16)),
    ),
    fault(
        "key_ascii",
        "An idempotency_key beyond ASCII is rejected.",
        "crm.characters",
        also=f"{FUZZ_VALID} crm.key-length",
        body_error=refuses(CRM, "idempotency_key", lambda b: not b["idempotency_key"].isascii()),
    ),
    fault(
        "key_number",
        "A number is accepted as idempotency_key.",
        "crm.types",
        also=FUZZ_INVALID,
        body_error=tolerates(
            CRM,
            repair_member(
                "idempotency_key", lambda k: str(k) if isinstance(k, int | float) and not isinstance(k, bool) else k
            ),
        ),
    ),
    fault(
        "key_null",
        "null is accepted as idempotency_key.",
        "crm.types",
        also=f"{FUZZ_INVALID} crm.distinct",
        body_error=tolerates(CRM, repair_member("idempotency_key", lambda k: "none" if k is None else k)),
    ),
    fault(
        "fields_list",
        "A list is accepted as fields.",
        "crm.types",
        also=f"{FUZZ_INVALID} envelope.names-field",
        body_error=tolerates(CRM, repair_member("fields", lambda f: {} if isinstance(f, list) else f)),
    ),
    fault(
        "fields_string",
        "A string is accepted as fields.",
        "crm.types",
        also=f"{FUZZ_INVALID} envelope.names-field",
        body_error=tolerates(CRM, repair_member("fields", lambda f: {} if isinstance(f, str) else f)),
    ),
    fault(
        "fields_null",
        "null counts as empty `fields`.",
        "crm.types",
        also=FUZZ_INVALID,
        body_error=tolerates(CRM, repair_member("fields", lambda f: {} if f is None else f)),
    ),
    fault(
        "object_list",
        "A list with one kind is accepted as `object`.",
        "crm.types",
        also=f"{FUZZ_INVALID} crm.object-enum",
        body_error=tolerates(CRM, repair_member("object", lambda o: "contact" if isinstance(o, list) else o)),
    ),
    fault(
        "fields_empty_refused",
        "Empty fields are rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: b["fields"] == {}),
    ),
    fault(
        "fields_nested_refused",
        "Nested fields are rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: any(isinstance(f, dict) for f in b["fields"].values())),
    ),
    fault(
        "fields_list_refused",
        "A field that is a list is rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: any(isinstance(f, list) for f in b["fields"].values())),
    ),
    fault(
        "fields_boolean_refused",
        "A field that is a boolean is rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: any(isinstance(f, bool) for f in b["fields"].values())),
    ),
    fault(
        "fields_long_refused",
        "A field of more than 4096 characters is rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: any(len(text) > 4096 for text in strings(b["fields"]))),
    ),
    fault(
        "fields_dotted_refused",
        "A dot or a dollar in the name of a field is rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: any("." in n or "$" in n for n in b["fields"])),
    ),
    fault(
        "fields_null_refused",
        "A field that is null is rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: None in b["fields"].values()),
    ),
    fault(
        "fields_names_refused",
        "Names of fields that are not snake_case are rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: not all(n.isascii() and n.isidentifier() for n in b["fields"])),
    ),
    fault(
        "fields_wide_refused",
        "More than fifty fields are rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: len(b["fields"]) > 50),
    ),
    fault(
        "fields_deep_refused",
        "Fields nested deeper than eight are rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda b: depth(b["fields"]) > 8),
    ),
    fault(
        "invalid_write_soft",
        "An invalid write is a soft failure.",
        "crm.required",
        also=BAD_BODY_400,
        answer=validation_as_soft_failure,
    ),
    fault(
        "replay_409",
        "A replay is a 409.",
        "envelope.declared-status",
        also=f"crm.replay envelope.wrong-media-type {FUZZ_VALID}",
        crm=replay_conflict,
        refuse=other_status(409, 409),
    ),
    fault(
        "replay_new_id",
        "A replay returns another external_id.",
        "crm.replay crm.replay-late crm.replay-at-once",
        crm=new_record_each_time,
    ),
    # What a replay finds late, or at the same time (K28).
    fault(
        "keys_forgotten",
        "A replay after fifty other writes creates another record.",
        "crm.replay-late",
        also="crm.replay",
        crm=forgets(lambda v, made: len(v.server.records) - made > 50),
    ),
    fault(
        "two_at_once",
        "Two equal writes at the same time create two records.",
        "crm.replay-at-once",
        wire=True,
        crm=forgets(at_once),
    ),
    # The idempotency_keys of all tenants (K27).
    fault(
        "keys_of_all_tenants",
        "All tenants share one table of idempotency_keys.",
        "tenancy.crm-writes",
        crm=shared_table,
    ),
    fault(
        "keys_of_all_tenants_first",
        "The idempotency_key of any tenant is looked up before the tenant's CRM.",
        "tenancy.crm-writes",
        crm=lambda was, v: first_answer_of_any(was, v),
    ),
    fault("one_external_id", "All writes have one external_id.", "crm.distinct", crm=success(external_id="1")),
    fault(
        "object_in_list",
        "A list with one object is accepted instead of the object.",
        "crm.types",
        also=f"crm.object-enum {FUZZ_INVALID}",
        body_error=tolerates(
            CRM,
            repair_member("object", lambda value: value[0] if isinstance(value, list) and len(value) == 1 else value),
        ),
    ),
    fault(
        "fields_empty_list",
        "An empty list is accepted as `fields`.",
        "crm.types",
        also=FUZZ_INVALID,
        body_error=tolerates(CRM, repair_member("fields", lambda value: {} if value == [] else value)),
    ),
    fault(
        "fields_of_pairs",
        "A list of pairs is accepted as `fields`.",
        "crm.types",
        also=FUZZ_INVALID,
        body_error=tolerates(CRM, repair_member("fields", pairs)),
    ),
    fault(
        "object_until_nul",
        "In `object`, text after NUL is ignored.",
        "crm.object-enum",
        also=FUZZ_INVALID,
        body_error=tolerates(
            CRM, repair_member("object", lambda value: value.partition("\0")[0] if isinstance(value, str) else value)
        ),
    ),
    fault(
        "key_zero_refused",
        "The idempotency_key `0` counts as missing.",
        "crm.characters",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "idempotency_key", lambda body: body.get("idempotency_key") == "0"),
    ),
    fault(
        "fields_named_id_refused",
        "A field called `id` is rejected.",
        "crm.fields-free",
        also=FUZZ_VALID,
        body_error=refuses(CRM, "fields", lambda body: "id" in body.get("fields", {})),
    ),
    fault(
        "over_2000_fields_refused",
        "More than 2000 fields are rejected.",
        "crm.fields-free",
        body_error=refuses(CRM, "fields", lambda body: len(body.get("fields", {})) > 2000),
    ),
    fault(
        "replay_400",
        "A replay is a 400.",
        FUZZ_VALID,
        also="crm.replay",
        crm=lambda was, v: refusing(400, "idempotency_key: used before")(v, None) if known(v) else was(v),
    ),
)
