"""Faults in reading the body, and faults that only many or unusual requests show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace as change
from typing import Any

from ..contract import CRM, HANDOFF
from ..server import Change, RefusedError, Visit, walk
from .helpers import (
    BODY_CLAUSES,
    FUZZ_INVALID,
    FUZZ_VALID,
    Fault,
    depth,
    fault,
    other_lead,
    refuses,
    refusing,
    strings,
    tolerates,
)


def crash(on: Callable[[Visit], bool], operation: str | None = None) -> Change:
    """For any hook: a 500 with the envelope."""

    def crashed(was: Any, v: Visit) -> Any:
        result = was(v)
        if operation in {None, v.name} and on(v):
            raise RefusedError(500, "Something went wrong.")
        return result

    return crashed


def crash_on_bytes(on: Callable[[bytes], bool]) -> Change:
    def parse(was: Any, v: Visit) -> Any:
        if on(v.request.body):
            raise RefusedError(500, "Something went wrong.")
        return was(v)

    return parse


def numbers(value: Any) -> list[float]:
    return [each for _, each in walk(value) if isinstance(each, int | float) and not isinstance(each, bool)]


def now_and_then(every: int, broken: Callable[[Any], Any], what: str = "now and then") -> Change:
    return lambda was, v: broken(was(v)) if v.once_more(what) % every == 0 else was(v)


def after_requests(number: int, broken: Callable[[Any], Any]) -> Change:
    return lambda was, v: broken(was(v)) if v.number > number else was(v)


def or_else(was: Any, v: Visit, otherwise: Any) -> Any:
    """For `parse`: another result for a body that is not JSON. None is a crash."""
    try:
        return was(v)
    except RefusedError as error:
        if otherwise is None:
            raise RefusedError(500, "Something went wrong.") from error
        if v.name == HANDOFF:
            return otherwise
        raise


def first_value(was: Any, v: Visit) -> Any:
    try:
        _, end = json.JSONDecoder().raw_decode(text := v.request.body.decode("utf-8").lstrip())
        v.request = change(v.request, body=text[:end].encode())
    except (ValueError, RecursionError):
        pass
    return was(v)


def with_nan(was: Any, v: Visit) -> Any:
    """For `parse`: accept everything that Python parses as JSON."""
    try:
        return was(v)
    except RefusedError:
        text = v.request.body.decode("utf-8", "replace").replace("-Infinity", "0").replace("Infinity", "0")
        v.request = change(v.request, body=text.replace("NaN", "0").encode())
        return was(v)


def as_latin_1(was: Any, v: Visit) -> Any:
    if not not_utf8(v.request.body):
        return was(v)
    v.request = change(v.request, body=v.request.body.decode("latin-1").encode("utf-8"))
    return was(v)


def not_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def has_lone_surrogate(body: bytes) -> bool:
    try:
        return any("\ud800" <= c <= "\udfff" for text in strings(json.loads(body)) for c in text)
    except (ValueError, RecursionError):
        return False


def without_reason(body: Any) -> Any:
    both = isinstance(body, dict) and "summary" in body
    return {name: member for name, member in body.items() if name != "reason"} if both else body


def two_errors(was: Any, v: Visit) -> Any:
    message = was(v)
    if v.name != CRM or not isinstance(v.value, dict):
        return message
    wrong = sum(
        (
            not isinstance(v.value.get("object"), str),
            not isinstance(v.value.get("fields"), dict),
            not isinstance(v.value.get("idempotency_key"), str),
        )
    )
    if wrong < 2:
        return message
    v.value = {"object": "contact", "fields": {}, "idempotency_key": f"two errors {v.number}"}
    return None


GENERATED_FAULTS: tuple[Fault, ...] = (
    fault(
        "broken_json_ignored",
        "A handoff's body that is not JSON counts as a missing body.",
        "body.json",
        also=f"body.strict {FUZZ_INVALID}",
        parse=lambda was, v: or_else(was, v, {}),
    ),
    fault(
        "broken_json_500",
        "A body that is not JSON is a 500.",
        "body.json fuzz.no-server-error",
        also="body.strict crm.body-required",
        parse=lambda was, v: or_else(was, v, None),
    ),
    fault(
        "first_value_taken",
        "Text after the first JSON value of a body is ignored.",
        "body.json",
        parse=lambda was, v: first_value(was, v),
    ),
    fault(
        "nan_accepted",
        "NaN is accepted in a body.",
        "body.strict",
        also=FUZZ_INVALID,
        parse=lambda was, v: with_nan(was, v),
    ),
    fault(
        "latin_1_accepted",
        "A body that is not UTF-8 is read as Latin-1.",
        "body.strict",
        parse=lambda was, v: as_latin_1(was, v),
    ),
    fault(
        "request_charset_refused",
        "A request with a charset in its Content-Type is rejected.",
        FUZZ_VALID,
        media_type_fits=lambda was, v: was(v) and "charset" not in v.request.headers.get("content-type", "").lower(),
    ),
    fault(
        "unknown_member_refused",
        "An unknown member of a handoff is rejected.",
        "body.unknown-members",
        also=f"{FUZZ_VALID} auth.header-only",
        body_error=refuses(HANDOFF, "body", lambda b: bool(set(b) - {"reason", "summary"})),
    ),
    fault(
        "unknown_member_refused_crm",
        "An unknown member of a write is rejected.",
        "body.unknown-members",
        also=f"{FUZZ_VALID} auth.header-only",
        body_error=refuses(CRM, "body", lambda b: len(b) > 3),
    ),
    fault(
        "astral_500",
        "An astral character in `summary` is a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} handoff.characters",
        body_error=crash(
            lambda v: isinstance(v.value, dict) and any(c > "\uffff" for c in str(v.value.get("summary", ""))), HANDOFF
        ),
    ),
    fault(
        "astral_name_500",
        "An astral character in a name of a field is a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(
            lambda v: (
                isinstance(v.value, dict)
                and isinstance(v.value.get("fields"), dict)
                and any(c > "\uffff" for n in v.value["fields"] for c in n)
            ),
            CRM,
        ),
    ),
    fault(
        "nul_500",
        "A NUL in any string is a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(lambda v: any("\0" in text for text in strings(v.value))),
    ),
    fault(
        "surrogate_500",
        "A lone surrogate is a 500.",
        "fuzz.no-server-error",
        also="body.strict body.json",
        parse=crash_on_bytes(lambda body: has_lone_surrogate(body)),
    ),
    fault(
        "deep_500",
        "Fields nested deeper than fifty are a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(lambda v: depth(v.value) > 50, CRM),
    ),
    fault(
        "wide_500",
        "More than 300 fields are a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(
            lambda v: (
                isinstance(v.value, dict) and isinstance(v.value.get("fields"), dict) and len(v.value["fields"]) > 300
            ),
            CRM,
        ),
    ),
    fault(
        "big_number_500",
        "A number beyond 64 bits is a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(lambda v: any(abs(n) >= 2**63 for n in numbers(v.value)), CRM),
    ),
    fault(
        "proto_500",
        "A field called __proto__ is a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(lambda v: "__proto__" in strings(v.value), CRM),
    ),
    fault(
        "empty_name_500",
        "An empty name of a field is a 500.",
        "fuzz.no-server-error",
        also=f"{FUZZ_VALID} crm.fields-free",
        body_error=crash(
            lambda v: isinstance(v.value, dict) and isinstance(v.value.get("fields"), dict) and "" in v.value["fields"],
            CRM,
        ),
    ),
    fault(
        "not_utf8_500",
        "A body that is not UTF-8 is a 500.",
        "fuzz.no-server-error",
        also="body.json body.strict",
        parse=crash_on_bytes(lambda body: not_utf8(body)),
    ),
    fault(
        "not_object_500",
        "A body that is no object is a 500.",
        "fuzz.no-server-error",
        also=f"{BODY_CLAUSES} {FUZZ_INVALID}",
        body_error=lambda was, v: (
            was(v) if isinstance(v.value, dict) else refusing(500, "has no attribute 'get'")(v, None)
        ),
    ),
    fault(
        "object_number_500",
        "An object that is a number is a 500.",
        "fuzz.no-server-error",
        also=f"crm.types {FUZZ_INVALID}",
        body_error=crash(lambda v: isinstance(v.value, dict) and isinstance(v.value.get("object"), int), CRM),
    ),
    fault(
        "quote_500",
        "A quotation mark in `reason` is a 500.",
        "fuzz.no-server-error",
        also=FUZZ_VALID,
        body_error=crash(lambda v: isinstance(v.value, dict) and "'" in str(v.value.get("reason", "")), HANDOFF),
    ),
    fault(
        "emoji_refused",
        "`reason` accepts only characters of the basic plane.",
        "fuzz.valid-accepted",
        also="handoff.characters",
        body_error=refuses(HANDOFF, "reason", lambda b: any(c > "\uffff" for c in b.get("reason", ""))),
    ),
    fault(
        "control_refused",
        "A line feed in `summary` is rejected.",
        "handoff.characters",
        also=f"{FUZZ_VALID} handoff.fields-optional",
        body_error=refuses(HANDOFF, "summary", lambda b: "\n" in b.get("summary", "")),
    ),
    fault(
        "reason_beside_summary",
        "Beside a `summary`, `reason` may be anything.",
        FUZZ_INVALID,
        also="handoff.types handoff.reason-length handoff.characters envelope.names-field",
        body_error=tolerates(HANDOFF, without_reason),
    ),
    fault(
        "two_errors_pass",
        "A write with two wrong members is accepted.",
        "fuzz.invalid-refused",
        also="crm.required crm.types",
        body_error=lambda was, v: two_errors(was, v),
    ),
    fault(
        "wrong_after_150",
        "After 150 requests, lead_id is that of another lead.",
        "handoff.lead-id",
        handoff=lambda was, v: other_lead(was, v) if v.number > 150 else was(v),
    ),
    fault(
        "no_id_after_150",
        "After 150 requests, a CRM success has no external_id.",
        "crm.success",
        also="crm.replay crm.distinct",
        crm=after_requests(150, lambda a: {k: m for k, m in a.items() if k != "external_id"}),
    ),
    fault(
        "flaky_ok",
        "In every seventh response to a CRM write `ok` is a string.",
        "crm.ok",
        also="crm.success crm.soft-failure crm.soft-failure-name",
        crm=now_and_then(7, lambda a: {**a, "ok": str(a["ok"]).lower()}),
    ),
    fault(
        "flaky_500",
        "Each thirtieth request is a 500.",
        "fuzz.no-server-error",
        also="*",
        steps=lambda was, v: refusing(500, "Something went wrong.")(v, None) if v.once_more("30") % 30 == 0 else was(v),
    ),
    fault(
        "flaky_channel",
        "Every fifth handoff has the notified_channel `none`.",
        "handoff.notified-channel",
        handoff=now_and_then(5, lambda a: {**a, "notified_channel": "none"}),
    ),
)
