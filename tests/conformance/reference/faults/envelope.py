"""Faults of the envelope: media type, JSON, shape, code, message, status."""

from __future__ import annotations

import base64
import gzip
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace as change
from typing import Any

from ..contract import CRM, HANDOFF
from ..server import Answer, Change, Reply, Visit
from .helpers import (
    BAD_BODY_400,
    CRM_SERVED,
    HANDOFF_SERVED,
    Fault,
    fault,
    no_header,
    other_status,
    refusing,
    revoked,
    same_body_under,
    trouble_as_status,
    with_members,
)


def error_body(status: int, edit: Callable[[Visit, dict[str, Any]], Any], operation: str | None = None) -> Change:
    """For `refuse`: another body. `edit` gets the visit and the error (code, message), and returns the whole body."""

    def refuse(was: Any, v: Visit) -> Answer:
        answer: Answer = was(v)
        if answer.status != status or not v.operation or operation not in {None, v.name}:
            return answer
        return change(answer, body=edit(v, dict(answer.body["error"])))

    return refuse


def with_code(status: int, code: Any, operation: str | None = None) -> Change:
    return error_body(status, lambda v, e: {"error": {**e, "code": code}}, operation)


def with_message(status: int, text: Callable[[Visit, str], str], operation: str | None = None) -> Change:
    return error_body(status, lambda v, e: {"error": {**e, "message": text(v, e["message"])}}, operation)


def coded(name: str, code: Callable[[bytes], bytes], reply: Reply) -> Reply:
    """Return the same response with a content coding."""
    return change(reply, headers=(*reply.headers, ("Content-Encoding", name)), body=code(reply.body))


def on_wire(status: int, edit: Callable[[Reply], Reply], operation: str | None = None) -> Change:
    """For `encode`: other bytes or headers for this status of a declared operation."""

    def encode(was: Any, v: Visit) -> Reply:
        reply: Reply = was(v)
        return edit(reply) if reply.status == status and v.operation and operation in {None, v.name} else reply

    return encode


def with_media_type(value: str) -> Callable[[Reply], Reply]:
    return lambda r: change(r, headers=tuple((n, value if n == "Content-Type" else h) for n, h in r.headers))


def get_works(was: Any, v: Visit) -> Answer:
    return Answer(200, {"status": "ready"}) if v.refusal and v.refusal.status == 405 else was(v)


def on_get(body: Callable[[Visit], Any], operation: str) -> Change:
    """For `refuse`: a success for GET on the path of an operation."""

    def refuse(was: Any, v: Visit) -> Answer:
        if v.request.method == "GET" and v.name == operation:
            return Answer(200, body(v))
        answer: Answer = was(v)
        return answer

    return refuse


def elsewhere(codes: Mapping[int, str], was: Any, v: Visit) -> Answer:
    """Use other codes for an unknown path or another method."""
    answer: Answer = was(v)
    if answer.status not in codes or (answer.status == 404 and v.operation is not None):
        return answer
    return change(answer, body={"error": {**answer.body["error"], "code": codes[answer.status]}})


def page_if(condition: bool, reply: Reply) -> Reply:
    if not condition or reply.status < 400:
        return reply
    return Reply(reply.status, (("Content-Type", "text/html"),), b"<!doctype html><title>Error</title>")


def plain_not_found(was: Any, v: Visit) -> Reply:
    reply: Reply = was(v)
    return Reply(404, (("Content-Type", "text/plain"),), b"404 page not found") if v.operation is None else reply


def trace(v: Visit, message: str) -> str:
    return message + '\nTraceback (most recent call last):\n  File "/srv/app/api.py", line 71, in validate\nValueError'


def duplicate(reply: Reply) -> Reply:
    return change(reply, body=reply.body.replace(b'"ok": true', b'"ok": true, "ok": true'))


ENVELOPE_FAULTS: tuple[Fault, ...] = (
    fault(
        "error_as_text",
        "A 401 is text/plain.",
        "envelope.json-media-type",
        encode=on_wire(401, with_media_type("text/plain")),
    ),
    fault(
        "problem_json",
        "A 400 is application/problem+json.",
        "envelope.json-media-type",
        encode=on_wire(400, with_media_type("application/problem+json")),
    ),
    fault(
        "no_media_type",
        "A 404 has no Content-Type.",
        "envelope.json-media-type",
        encode=on_wire(404, lambda r: change(r, headers=())),
    ),
    fault(
        "text_json",
        "A successful write is text/json.",
        "envelope.json-media-type",
        encode=on_wire(200, with_media_type("text/json"), CRM),
    ),
    fault(
        "html_404",
        "An unknown lead gets an HTML page.",
        "envelope.json-media-type",
        also="envelope.strict-json envelope.shape",
        encode=on_wire(
            404, lambda r: Reply(404, (("Content-Type", "text/html"),), b"<!doctype html><title>404</title>Not found")
        ),
    ),
    fault(
        "empty_403",
        "A 403 has no body.",
        "envelope.strict-json",
        also="envelope.shape",
        encode=on_wire(403, lambda r: change(r, body=b"")),
    ),
    fault(
        "empty_200",
        "The response to a handoff has no body.",
        "envelope.strict-json",
        also="handoff.answer",
        encode=on_wire(200, lambda r: change(r, body=b""), HANDOFF),
    ),
    fault(
        "duplicate_member",
        "`ok` occurs twice in a response to a CRM write.",
        "envelope.strict-json",
        also="crm.success crm.ok",
        encode=on_wire(200, duplicate, CRM),
    ),
    fault(
        "nan",
        "An extra member of a handoff is NaN.",
        "envelope.strict-json",
        handoff=with_members(took_ms=float("nan")),
    ),
    fault(
        "infinity_in_error",
        "An extra member of a 400 is Infinity.",
        "envelope.strict-json",
        also="envelope.shape",
        refuse=error_body(400, lambda v, e: {"error": e, "limit": float("inf")}),
    ),
    fault(
        "trailing_garbage",
        "The JSON of a handoff is followed by other text.",
        "envelope.strict-json",
        also="handoff.answer",
        encode=on_wire(200, lambda r: change(r, body=r.body + b"\n<!-- 3 ms -->"), HANDOFF),
    ),
    fault(
        "byte_order_mark",
        "A 401 begins with a byte order mark.",
        "envelope.strict-json",
        also="envelope.shape",
        encode=on_wire(401, lambda r: change(r, body=b"\xef\xbb\xbf" + r.body)),
    ),
    fault(
        "latin_1",
        "A message is encoded in Latin-1.",
        "envelope.strict-json",
        also="envelope.shape",
        encode=on_wire(404, lambda r: change(r, body=r.body.replace(b"no such", b"no s\xfcch"))),
    ),
    fault(
        "cut_off",
        "The last byte of a 403 is missing.",
        "envelope.strict-json",
        also="envelope.shape",
        encode=on_wire(403, lambda r: change(r, body=r.body[:-1])),
    ),
    fault(
        "two_values",
        "A body with two JSON values is accepted.",
        "envelope.strict-json",
        also="envelope.shape",
        encode=on_wire(404, lambda r: change(r, body=r.body + b"\n" + r.body)),
    ),
    fault(
        "huge_answer",
        "A 400 for a missing member is longer than 1 MiB.",
        "envelope.strict-json",
        also="envelope.shape",
        refuse=error_body(400, lambda v, e: {"error": e, "pad": "x" * 1_200_000 * ("required" in e["message"])}),
    ),
    fault(
        "error_flat",
        "A 403 has code and message, but no `error`.",
        "envelope.shape",
        refuse=error_body(403, lambda v, e: e),
    ),
    fault(
        "error_string",
        "`error` is a string in a 404.",
        "envelope.shape",
        refuse=error_body(404, lambda v, e: {"error": e["message"]}),
    ),
    fault(
        "error_list",
        "A 400 is a list of errors.",
        "envelope.shape",
        also="envelope.names-field",
        refuse=error_body(400, lambda v, e: {"errors": [e]}),
    ),
    fault(
        "framework_error",
        "A body that is not JSON gets the framework's own error.",
        "envelope.shape",
        refuse=error_body(400, lambda v, e: {"detail": e["message"]} if "not JSON" in e["message"] else {"error": e}),
    ),
    fault(
        "no_message",
        "A 400 of the CRM operation has no message.",
        "envelope.shape",
        also="envelope.names-field",
        refuse=error_body(400, lambda v, e: {"error": {"code": e["code"]}}, CRM),
    ),
    fault(
        "null_message",
        "The message of a 401 is null.",
        "envelope.shape",
        refuse=error_body(401, lambda v, e: {"error": {**e, "message": None}}),
    ),
    fault(
        "no_code",
        "A 429 has no code.",
        "envelope.shape",
        refuse=error_body(429, lambda v, e: {"error": {"message": e["message"]}}),
    ),
    fault(
        "code_number",
        "The code of a 404 is a number.",
        "envelope.shape",
        also="envelope.code envelope.code-matches-status",
        refuse=with_code(404, 404),
    ),
    fault(
        "code_unknown",
        "The code of a 400 is `invalid_request`.",
        "envelope.code",
        also="envelope.code-matches-status",
        refuse=with_code(400, "invalid_request"),
    ),
    fault(
        "code_capitals",
        "The code of a 404 is `NOT_FOUND`.",
        "envelope.code",
        also="envelope.code-matches-status",
        refuse=with_code(404, "NOT_FOUND"),
    ),
    fault(
        "code_padded",
        "The code of a 403 ends in a blank.",
        "envelope.code",
        also="envelope.code-matches-status",
        refuse=with_code(403, "forbidden "),
    ),
    fault(
        "code_of_another_status",
        "A 400 of the handoff has the code `not_found`.",
        "envelope.code-matches-status",
        refuse=with_code(400, "not_found", HANDOFF),
    ),
    fault(
        "code_403_unauthorized",
        "A 403 of the CRM operation has the code `unauthorized`.",
        "envelope.code-matches-status",
        refuse=with_code(403, "unauthorized", CRM),
    ),
    fault(
        "code_429_bad_request",
        "A 429 has the code `bad_request`.",
        "envelope.code-matches-status",
        refuse=with_code(429, "bad_request"),
    ),
    fault(
        "code_401_forbidden",
        "A revoked key gets a 401 with the code `forbidden`.",
        "envelope.code-matches-status",
        refuse=lambda was, v: with_code(401, "forbidden")(was, v) if revoked(v) else was(v),
    ),
    fault(
        "empty_message",
        "The message of a 403 is empty.",
        "envelope.message-readable",
        refuse=with_message(403, lambda v, m: ""),
    ),
    fault(
        "blank_message",
        "The message of a 404 is a dash.",
        "envelope.message-readable",
        refuse=with_message(404, lambda v, m: " - "),
    ),
    fault(
        "key_in_401",
        "The message of a 401 repeats the key.",
        "envelope.message-safe",
        refuse=with_message(401, lambda v, m: f"{m} Got {v.request.headers.get('authorization')!r}."),
    ),
    fault(
        "key_in_403",
        "The message of a 403 repeats the key.",
        "envelope.message-safe",
        refuse=with_message(403, lambda v, m: f"{v.caller.token}: {m}"),
    ),
    fault(
        "secret_part_in_429",
        "The message of a 429 repeats the secret part of the key.",
        "envelope.message-safe",
        refuse=with_message(429, lambda v, m: f"{m} ({v.caller.token[22:]})"),
    ),
    fault(
        "key_in_header",
        "A 404 repeats the key in a header.",
        "envelope.message-safe",
        refuse=lambda was, v: (
            change(a := was(v), headers={**a.headers, "X-Debug-Key": v.key.token})
            if v.key and was(v).status == 404
            else was(v)
        ),
    ),
    fault(
        "stack_trace",
        "The message of a 400 ends in a stack trace.",
        "envelope.message-safe",
        refuse=with_message(400, trace),
    ),
    fault(
        "stack_trace_java",
        "The message of a 400 contains a Java stack trace.",
        "envelope.message-safe",
        refuse=with_message(400, lambda v, m: f"{m}\n\tat com.example.api.Handler.handle(Handler.java:42)"),
    ),
    fault(
        "stack_trace_node",
        "The message of a 400 contains a Node.js stack trace.",
        "envelope.message-safe",
        refuse=with_message(400, lambda v, m: f"{m}\n    at validate (/srv/app/dist/server.js:10:15)"),
    ),
    fault(
        "sql_in_404",
        "The message of a 404 contains the SQL statement.",
        "envelope.message-safe",
        refuse=with_message(404, lambda v, m: "psycopg2.errors.NoData: SELECT id FROM leads WHERE tenant_id = $1"),
    ),
    fault(
        "field_not_named",
        "No 400 of a body names a field.",
        "envelope.names-field",
        refuse=with_message(400, lambda v, m: "Invalid request."),
    ),
    fault(
        "field_not_named_handoff",
        "A 400 of the handoff names no field.",
        "envelope.names-field",
        refuse=with_message(400, lambda v, m: "Invalid request.", HANDOFF),
    ),
    fault(
        "wrong_field_named",
        "A 400 of the CRM operation always names `object`.",
        "envelope.names-field",
        refuse=with_message(400, lambda v, m: "object: invalid", CRM),
    ),
    fault(
        "missing_field_not_named",
        "The error for a missing member does not name it.",
        "envelope.names-field",
        refuse=with_message(400, lambda v, m: "A required member is missing." if "required" in m else m),
    ),
    fault(
        "status_422",
        "An invalid body is a 422.",
        "envelope.declared-status",
        also=BAD_BODY_400,
        refuse=other_status(400, 422),
    ),
    fault(
        "status_201",
        "A CRM write is a 201.",
        "envelope.declared-status",
        also=f"{CRM_SERVED} crm.ok crm.success",
        answer=same_body_under(201, lambda v: v.name == CRM and v.answer.status == 200 and v.answer.body["ok"]),
    ),
    fault(
        "error_under_200",
        "An unknown lead gets the error with status 200.",
        "tenancy.unknown-lead tenancy.foreign-lead",
        also="handoff.answer handoff.malformed-id tenancy.indistinguishable",
        answer=same_body_under(200, lambda v: v.answer.status == 404 and v.name == HANDOFF),
    ),
    fault(
        "status_202",
        "A handoff is a 202.",
        "envelope.declared-status",
        also=f"{HANDOFF_SERVED} handoff.answer handoff.uuids handoff.fresh-id",
        answer=same_body_under(202, lambda v: v.name == HANDOFF and v.answer.status == 200),
    ),
    fault(
        "status_404_crm",
        "A soft failure of the CRM operation is a 404, which it does not declare.",
        "envelope.declared-status",
        also="crm.soft-failure-status",
        crm=trouble_as_status(404),
    ),
    fault(
        "redirect_to_login",
        "Without a key the handoff redirects to a login page.",
        "auth.missing",
        also="auth.header-only envelope.declared-status envelope.json-media-type envelope.strict-json envelope.shape",
        encode=lambda was, v: (
            Reply(302, (("Location", "/login"),), b"") if v.name == HANDOFF and no_header(v) else was(v)
        ),
    ),
    fault(
        "status_415",
        "Another media type is a 415.",
        "envelope.wrong-media-type",
        also="envelope.declared-status",
        media_type_fits=lambda was, v: was(v) or refusing(415, "Content-Type: send JSON.")(v, None),
        refuse=other_status(415, 415),
    ),
    fault(
        "framework_page",
        "Another media type gets the framework's page, a 415.",
        "envelope.shape envelope.wrong-media-type",
        also="envelope.declared-status envelope.json-media-type envelope.strict-json",
        media_type_fits=lambda was, v: was(v) or refusing(415, "Unsupported Media Type")(v, None),
        refuse=other_status(415, 415),
        encode=lambda was, v: (
            Reply(415, (("Content-Type", "text/html"),), b"<h1>Unsupported Media Type</h1>")
            if v.answer.status == 415
            else was(v)
        ),
    ),
    fault("get_works", "GET of an operation is a 200.", "envelope.other-methods", refuse=get_works),
    fault(
        "get_hands_off",
        "GET hands the lead off.",
        "envelope.safe-get",
        also="envelope.other-methods",
        refuse=on_get(
            lambda v: {
                "handoff_id": str(uuid.uuid4()),
                "lead_id": v.lead_id,
                "conversation_id": str(uuid.uuid4()),
                "conversation_status": "awaiting_human",
                "notified_channel": "email",
            },
            HANDOFF,
        ),
    ),
    fault(
        "get_writes",
        "GET writes to the CRM.",
        "envelope.safe-get",
        also="envelope.other-methods",
        refuse=on_get(lambda v: {"ok": True, "external_id": str(8_000_000 + v.number)}, CRM),
    ),
    fault(
        "unknown_path_code",
        "The 404 of an unknown path has the code `not_foundx`.",
        "envelope.other-methods",
        refuse=lambda was, v: elsewhere({404: "not_foundx"}, was, v),
    ),
    fault(
        "other_method_code",
        "The 405 has the code `method_not_allowed`.",
        "envelope.other-methods",
        refuse=lambda was, v: elsewhere({405: "method_not_allowed"}, was, v),
    ),
    fault(
        "codes_of_404_and_405",
        "The codes of 404 and 405 are exchanged outside of the operations.",
        "envelope.other-methods",
        refuse=lambda was, v: elsewhere({404: "bad_request", 405: "not_found"}, was, v),
    ),
    fault(
        "other_method_not_found",
        "The 405 has the code `not_found`.",
        "envelope.other-methods",
        refuse=lambda was, v: elsewhere({405: "not_found"}, was, v),
    ),
    fault(
        "other_method_trace",
        "The 405 contains a stack trace.",
        "envelope.other-methods",
        refuse=with_message(405, trace),
    ),
    # What a browser's Accept changes (K30).
    fault(
        "html_for_browsers",
        "An error is a page of HTML if Accept names text/html.",
        "envelope.accept",
        encode=lambda was, v: page_if("text/html" in v.request.headers.get("accept", ""), was(v)),
    ),
    fault(
        "browsers_406",
        "A request whose Accept begins with text/html is a 406.",
        "envelope.accept",
        answer=lambda was, v: (
            change(was(v), status=406) if v.request.headers.get("accept", "").startswith("text/html") else was(v)
        ),
    ),
    fault(
        "html_unless_json",
        "An error is a page of HTML unless Accept names JSON.",
        "envelope.json-media-type envelope.strict-json",
        also="envelope.accept",
        encode=lambda was, v: page_if("application/json" not in v.request.headers.get("accept", ""), was(v)),
    ),
    fault("plain_unknown_path", "An unknown path is text/plain.", "envelope.other-methods", encode=plain_not_found),
    fault(
        "key_base64_in_message",
        "A 401 repeats the key, in Base64.",
        "envelope.message-safe",
        refuse=with_message(
            401, lambda v, m: f"{m} {base64.b64encode((v.server.hooks.token(v) or '').encode()).decode()}"
        ),
    ),
    fault(
        "trace_of_dotnet",
        "A 400 contains a .NET stack trace.",
        "envelope.message-safe",
        refuse=with_message(400, lambda v, m: f"{m}\n   at Vorel.Api.Crm.Validate(Record r) in /src/Crm.cs:line 71"),
    ),
    fault(
        "trace_of_rust",
        "A 400 contains a Rust panic message.",
        "envelope.message-safe",
        refuse=with_message(400, lambda v, m: f"{m} thread 'main' panicked at src/crm.rs:71:9"),
    ),
    fault(
        "encoding_not_kept",
        "A 404 declares compression, but is not compressed.",
        "envelope.strict-json",
        encode=on_wire(404, lambda r: change(r, headers=(*r.headers, ("Content-Encoding", "gzip")))),
    ),
    fault(
        "always_gzip",
        "Every response is compressed, although the request accepts no coding.",
        "envelope.content-encoding",
        encode=lambda was, v: coded("gzip", gzip.compress, was(v)),
    ),
    fault(
        "gzip_of_errors",
        "Only errors are compressed, although the request accepts no coding.",
        "envelope.content-encoding",
        encode=lambda was, v: coded("gzip", gzip.compress, r) if (r := was(v)).status >= 400 else r,
    ),
    fault(
        "gzip_cut",
        "A compressed 404 ends early.",
        "envelope.strict-json",
        encode=on_wire(404, lambda r: coded("gzip", lambda body: gzip.compress(body)[:-9], r)),
    ),
    fault(
        "gzip_bomb",
        "A 404 of a thousand bytes holds a megabyte and more.",
        "envelope.strict-json",
        also="envelope.content-encoding",
        encode=on_wire(404, lambda r: coded("gzip", lambda body: gzip.compress(body + b" " * (1 << 20)), r)),
    ),
    fault(
        "two_media_types",
        "A 404 has two Content-Type headers.",
        "envelope.json-media-type",
        encode=on_wire(404, lambda r: change(r, headers=(*r.headers, ("Content-Type", "text/html")))),
    ),
)
