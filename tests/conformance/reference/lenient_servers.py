"""Lenient servers: conformant servers that differ where the contract leaves a choice. The kit must pass all of them.

A function here gets the hook that it replaces (`was`) and the visit.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import random
import uuid
import zlib
from dataclasses import dataclass
from dataclasses import replace as change
from typing import Any

from .server import Answer, RefusedError, Reply, Tally, Variant, Visit, walk


@dataclass(frozen=True)
class Reading(Variant):
    """A conformant server that makes one choice of its own.

    `warns`: the clauses below MUST that may warn, because they test something that the contract leaves open.
    """

    warns: tuple[str, ...] = ()
    inconclusive: tuple[str, ...] = ()
    """The clauses that may lack a verdict, because this server does not show what they need."""


def _steps(*names: str) -> dict[str, Any]:
    return {"steps": lambda was, v: names}


def _headers(**more: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return lambda was, v: change(a := was(v), headers={**a.headers, **named})


def _clock_window(was: Any, v: Visit) -> Tally:
    window = math.floor(v.now / v.server.window)
    number = v.once_more(f"{v.server.hooks.bucket(v)} {window}")
    return Tally(number, (window + 1) * v.server.window)


def _sliding(was: Any, v: Visit, *, refused_count: bool) -> Tally:
    """Count the requests of this key in the last `window` seconds. The quota returns one request at a time."""
    times = [t for t in v.notes.get(v.caller.token, []) if t > v.now - v.server.window]
    count = len(times) + 1
    if count <= v.server.limit or refused_count:
        times.append(v.now)
    v.notes[v.caller.token] = times
    return Tally(count, times[max(0, len(times) - v.server.limit)] + v.server.window)


def _free_errors(was: Any, v: Visit) -> Answer:
    """Do not count a request that is rejected for any other reason than the limit."""
    answer: Answer = was(v)
    if v.tally and answer.is_error and answer.status != 429:
        bucket = v.server.hooks.bucket(v)
        v.server.windows[bucket] = Tally(v.server.windows[bucket].count - 1, v.tally.ends)
    return answer


def _limit_headers_always(was: Any, v: Visit) -> Answer:
    answer: Answer = was(v)
    return change(answer, headers={**answer.headers, **v.server.hooks.limit_headers(v)}) if v.tally else answer


def _limit_headers_but_retry_after(was: Any, v: Visit) -> Answer:
    answer = _limit_headers_always(was, v)
    if answer.status == 429:
        return answer
    return change(answer, headers={k: h for k, h in answer.headers.items() if k != "Retry-After"})


def _dated(was: Any, v: Visit) -> Answer:
    answer: Answer = was(v)
    more = {"timestamp": repr(v.now), "request": f"{v.number:x}"}
    return change(answer, body={"error": {**answer.body["error"], **more}})


def _extra(value: Any) -> Any:
    """Add members to every object of a response."""
    if isinstance(value, dict):
        return {
            "_meta": {"region": "eu", "code": 7},
            **{k: _extra(v) for k, v in value.items()},
            "extra": [None, 1.5, "x"],
        }
    return value


def _crm_member(**members: Any) -> Any:
    def crm(was: Any, v: Visit) -> dict[str, Any]:
        answer: dict[str, Any] = was(v)
        return {**answer, **members} if answer["ok"] else answer

    return crm


def _without(*names: str) -> Any:
    return lambda was, v: {k: member for k, member in was(v).items() if k not in names}


def _null_members(was: Any, v: Visit) -> dict[str, Any]:
    """Add the members of the other branch as null. Neither branch describes them."""
    answer: dict[str, Any] = was(v)
    return answer | ({"error": None, "detail": None} if answer["ok"] else {"external_id": None, "record_url": None})


def _flaky_crm(was: Any, v: Visit) -> str | None:
    return was(v) or ("rate_limited" if v.once_more("writes") % 3 == 0 else None)


def _message(text: str) -> Any:
    """Return a 404 that quotes the id of the request."""
    return lambda was, v: text.format(v.lead_id)


def _etag(was: Any, v: Visit) -> Reply:
    """Add the ETag of Express: the length of the body and a hash of it."""
    reply: Reply = was(v)
    digest = base64.b64encode(hashlib.sha1(reply.body).digest())[:27].decode()
    return change(reply, headers=(*reply.headers, ("ETag", f'W/"{len(reply.body):x}-{digest}"')))


def _digits_of_id(was: Any, v: Visit) -> str:
    return f"No lead {v.lead_id[:8]}... here."


def _node_of_id(was: Any, v: Visit) -> Answer:
    answer: Answer = was(v)
    if answer.status != 404:
        return answer
    checksum = zlib.crc32(v.lead_id.encode())
    error = {**answer.body["error"], "reference": f"{checksum:x}"}
    return change(answer, body={"error": error}, headers={**answer.headers, "X-Served-By": f"node-{checksum % 2}"})


def _causes(was: Any, v: Visit) -> Any:
    token = v.server.hooks.token(v)
    key = was(v)
    if "authorization" not in v.request.headers:
        raise RefusedError(401, "Authorization: send a bearer API key.")
    if key is None:
        raise RefusedError(
            401, "This is not an API key that we know." if token else "Authorization: the scheme must be Bearer."
        )
    if key.revoked:
        raise RefusedError(401, "This API key was revoked.")
    return key


def _german(was: Any, v: Visit) -> Answer:
    answer: Answer = was(v)
    message = f"Abgelehnt, bitte prüfen: {answer.body['error']['message'].partition(':')[0]}"
    return change(answer, body={"error": {**answer.body["error"], "message": message}})


def _on_other_method(status: int, body: Any, headers: dict[str, str]) -> Any:
    def answer(was: Any, v: Visit) -> Answer:
        return Answer(status, body, headers) if v.refusal and v.refusal.status == 405 else was(v)

    return answer


def _remembered(was: Any, v: Visit) -> dict[str, Any]:
    v.notes["last handoff", v.lead_id.lower()] = answer = was(v)
    return dict(answer)


def _last_handoff(was: Any, v: Visit) -> Answer:
    last = v.notes.get(("last handoff", v.lead_id.lower()))
    return Answer(200, last) if last and v.request.method == "GET" else was(v)


def _html_at_unknown_path(was: Any, v: Visit) -> Reply:
    reply: Reply = was(v)
    if v.operation is None:
        return Reply(404, (("Content-Type", "text/html"),), b"<html><h1>404</h1></html>")
    return reply


def _bare_405(was: Any, v: Visit) -> Reply:
    reply: Reply = was(v)
    return Reply(405, (("Allow", "POST"),), b"") if reply.status == 405 else reply


def _media_type(value: str) -> Any:
    return {"answer": _headers(Content_Type=value)}


def _names(letter_case: Any) -> Any:
    return lambda was, v: change(r := was(v), headers=tuple((letter_case(name), value) for name, value in r.headers))


def _json(**options: Any) -> Any:
    def written(was: Any, v: Visit) -> Reply:
        reply: Reply = was(v)
        return change(reply, body=json.dumps(v.answer.body, **options).encode("utf-8"))

    return written


def _gzip(was: Any, v: Visit) -> Reply:
    reply: Reply = was(v)
    if "gzip" not in v.request.headers.get("accept-encoding", ""):
        return reply
    return Reply(
        reply.status,
        (*reply.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")),
        gzip.compress(reply.body),
    )


def _deflate(reply: Reply) -> Reply:
    return change(reply, headers=(*reply.headers, ("Content-Encoding", "deflate")), body=zlib.compress(reply.body))


def _chunked(was: Any, v: Visit) -> Reply:
    reply: Reply = was(v)
    return change(reply, headers=(*reply.headers, ("Transfer-Encoding", "chunked")))


def _close_after_error(was: Any, v: Visit) -> Reply:
    reply: Reply = was(v)
    return change(reply, headers=(*reply.headers, ("Connection", "close"))) if reply.status >= 400 else reply


def _no_duplicates(was: Any, v: Visit) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise RefusedError(400, "body: a member stands twice")
        return dict(pairs)

    value = was(v)
    json.loads(v.request.body, object_pairs_hook=once)
    return value


def _at_most(size: int, depth: int) -> Any:
    def parse(was: Any, v: Visit) -> Any:
        if len(v.request.body) > size:
            raise RefusedError(400, f"body: longer than {size} bytes")
        value = was(v)
        if max(at for at, _ in walk(value)) > depth:
            raise RefusedError(400, f"body: nested deeper than {depth}")
        return value

    return parse


def _any_json(was: Any, v: Visit) -> Any:
    """Accept lone surrogates, but nothing else that is not JSON."""
    try:
        return json.loads(v.request.body.decode("utf-8"), parse_constant=lambda name: _raise(ValueError(name)))
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "body: not JSON") from error


def _any_error(was: Any, v: Visit) -> str | None:
    """Validate with question marks instead of lone surrogates, which jsonschema-rs does not accept."""
    v.value = json.loads(json.dumps(v.value, ensure_ascii=False).encode("utf-8", "replace"))
    result: str | None = was(v)
    return result


def _uuid7(was: Any, v: Visit) -> str:
    return str(uuid.UUID(int=(int(v.now * 1000) << 80 | 7 << 76 | 2 << 62 | random.getrandbits(60))))


def _one_conversation(was: Any, v: Visit) -> dict[str, Any]:
    return {**was(v), "conversation_id": "0e9c1a52-2f6e-4f0b-9a55-64a0a53d5b11"}


READINGS: tuple[Reading, ...] = (
    Reading("reference", "The reference server as it is.", wire=True),
    # The order of the steps.
    Reading(
        "order_scope_body_lookup",
        "Checks scope, body, path and lead in this order.",
        _steps("authenticate", "limit", "scope", "body", "path", "lookup"),
    ),
    Reading(
        "order_lookup_first",
        "The lead is looked up before scope and body.",
        _steps("authenticate", "limit", "path", "lookup", "scope", "body"),
    ),
    Reading(
        "order_body_before_scope",
        "The body is validated before the scope is checked.",
        _steps("authenticate", "limit", "path", "body", "scope", "lookup"),
    ),
    Reading(
        "order_lookup_before_body",
        "An unknown lead with an invalid body is a 404.",
        _steps("authenticate", "limit", "scope", "path", "lookup", "body"),
    ),
    Reading(
        "order_scope_last",
        "The scope is checked last.",
        _steps("authenticate", "limit", "path", "body", "lookup", "scope"),
    ),
    Reading(
        "limit_last",
        "Only requests that pass all other checks count towards the limit.",
        _steps("authenticate", "scope", "path", "body", "lookup", "limit"),
    ),
    Reading(
        "body_before_authentication",
        "An invalid body is a 400, even without authentication.",
        _steps("path", "body", "authenticate", "limit", "scope", "lookup"),
    ),
    Reading(
        "limit_before_authentication",
        "The limit is counted before authentication, for every token.",
        {
            **_steps("limit", "authenticate", "scope", "path", "body", "lookup"),
            "bucket": lambda was, v: v.server.hooks.token(v) or "nobody",
            "limit": lambda was, v: was(v) if v.server.hooks.find_key(v) else 1_000_000,
        },
    ),
    # The rate limit.
    Reading("window_of_the_clock", "Windows are aligned to the clock.", {"tally": _clock_window}),
    Reading(
        "sliding_window",
        "The limit applies to a sliding minute.",
        {"tally": lambda was, v: _sliding(was, v, refused_count=False)},
    ),
    Reading(
        "errors_are_free",
        "A rejected request does not count towards the limit.",
        {"answer": _free_errors, "tally": lambda was, v: was(v)},  # it takes back what the usual tally counts
    ),
    Reading("limit_headers_always", "Every response has the rate-limit headers.", {"answer": _limit_headers_always}),
    Reading(
        "limit_headers_but_retry_after",
        "Every response has all rate-limit headers except Retry-After.",
        {"answer": _limit_headers_but_retry_after},
    ),
    Reading(
        "reset_rounded_down",
        "The window's end is rounded down to the second.",
        {
            "limit_headers": lambda was, v: {
                **was(v),
                "X-RateLimit-Reset": str(math.floor(v.tally.ends)) if v.tally else "",
            }
        },
    ),
    Reading(
        "limit_headers_of_a_draft",
        "The headers RateLimit and RateLimit-Policy are sent in addition to the declared ones.",
        {
            "limit_headers": lambda was, v: {
                **was(v),
                "RateLimit-Policy": '"key";q=200;w=60',
                "RateLimit": '"key";r=0;t=30',
            }
        },
    ),
    # Authentication and scope.
    Reading(
        "bearer_exact_case",
        "The scheme `Bearer` is case-sensitive.",
        {
            "token": lambda was, v: (
                was(v) if v.request.headers.get("authorization", "").startswith("Bearer ") else None
            ),
        },
    ),
    Reading(
        "key_hex_any_case",
        "The hexadecimal digits of a key are accepted in upper case too.",
        {
            "token": lambda was, v: (t := was(v)) and t[:10] + t[10:].lower(),
        },
    ),
    Reading(
        "causes_of_401", "The message of a 401 distinguishes missing, unknown and revoked keys.", {"find_key": _causes}
    ),
    Reading(
        "www_authenticate",
        "A 401 has the header WWW-Authenticate.",
        {
            "refuse": lambda was, v: (
                _headers(WWW_Authenticate='Bearer realm="vorel"')(was, v)
                if v.refusal and v.refusal.status == 401
                else was(v)
            ),
        },
    ),
    Reading(
        "key_hint",
        "A 403 contains the first characters of the key.",
        {"allowed": lambda was, v: was(v) or _raise(RefusedError(403, f"The key {v.caller.token[:14]}... lacks it."))},
    ),
    Reading(
        "scope_named",
        "A 403 has a detailed message.",
        {
            "allowed": lambda was, v: was(v) or _raise(RefusedError(403, f"Each key for {v.name} needs a scope.")),
        },
    ),
    # Paths, ids, other methods.
    Reading("malformed_id_404", "A malformed id is an unknown lead.", {"well_formed_id": lambda was, v: True}),
    Reading(
        "id_case_sensitive",
        "An id in upper case is an unknown id.",
        {"find_lead": lambda was, v: was(v) if v.lead_id == v.lead_id.lower() else None},
    ),
    Reading(
        "any_uuid_spelling",
        "Every form of UUID that Python accepts is accepted: braces, no hyphens.",
        {"well_formed_id": lambda was, v: _is_uuid(v.lead_id)},
    ),
    Reading(
        "message_quotes_id",
        "A 404 quotes the id of the request.",
        {"not_found_message": _message("Lead {} not found")},
    ),
    Reading(
        "message_quotes_id_twice",
        "A 404 quotes the id of the request more than once.",
        {"not_found_message": _message("{0}: no lead. Asked for /leads/{0}/handoff")},
    ),
    Reading(
        "etag_of_the_body",
        "A 404 quotes the id of the request, and every response has an ETag that is computed from its body.",
        {"not_found_message": _message("Lead {} not found"), "encode": _etag},
    ),
    Reading(
        "values_of_the_id",
        "A 404 has values that follow from the id: its first digits, a checksum, and the node that serves it.",
        {"not_found_message": _digits_of_id, "refuse": _node_of_id},
    ),
    Reading(
        "other_method_404",
        "Another method is a 404.",
        {
            "answer": _on_other_method(404, {"error": {"code": "not_found", "message": "There is nothing here."}}, {}),
        },
    ),
    Reading(
        "get_reads_the_handoff",
        "GET returns the last handoff of a lead.",
        {"handoff": _remembered, "refuse": _last_handoff},
        warns=("envelope.other-methods",),
    ),
    Reading(
        "other_method_bare_405",
        "A router returns 405 without a body.",
        {"encode": _bare_405},
        warns=("envelope.other-methods",),
    ),
    Reading(
        "unknown_path_html",
        "A gateway returns HTML for paths outside the API.",
        {"encode": _html_at_unknown_path},
        warns=("envelope.other-methods",),
    ),
    # The response on the wire.
    Reading("charset", "The media type has a charset.", _media_type("application/json; charset=utf-8")),
    Reading(
        "charset_quoted",
        "The charset is quoted, without a space before it.",
        _media_type('application/json;charset="UTF-8"'),
    ),
    Reading("media_type_capitals", "The media type is in another letter case.", _media_type("Application/JSON")),
    Reading("header_names_lower", "Header names are in lower case.", {"encode": _names(str.lower)}, wire=True),
    Reading("header_names_upper", "Header names are in upper case.", {"encode": _names(str.upper)}, wire=True),
    Reading(
        "more_headers",
        "Responses have a request id, cache and security headers, and a cookie.",
        {
            "encode": lambda was, v: change(
                r := was(v),
                headers=(
                    *r.headers,
                    ("X-Request-Id", str(uuid.uuid4())),
                    ("Cache-Control", "no-store"),
                    ("Set-Cookie", "lb=1"),
                    ("Set-Cookie", "zone=eu"),
                    ("Strict-Transport-Security", "max-age=1"),
                    ("X-Took-Ms", str(v.number)),
                ),
            ),
        },
    ),
    Reading("no_date", "Responses have no Date header.", date=False),
    Reading(
        "pretty_json",
        "JSON has line breaks, indentation and sorted keys.",
        {"encode": _json(indent=2, sort_keys=True)},
    ),
    Reading(
        "compact_json_newline",
        "JSON is compact, without escapes, with a line feed at the end.",
        {
            "encode": lambda was, v: change(
                r := _json(separators=(",", ":"), ensure_ascii=False)(was, v), body=r.body + b"\n"
            ),
        },
    ),
    Reading("gzip", "Responses are compressed if the request allows it.", {"encode": _gzip}),
    Reading(
        "always_deflate",
        "A proxy compresses every response, whatever the request accepts.",
        {"encode": lambda was, v: _deflate(was(v))},
        warns=("envelope.content-encoding",),
    ),
    Reading("chunked", "Responses are chunked, without Content-Length.", {"encode": _chunked}, wire=True),
    Reading(
        "closes_now_and_then",
        "Every seventh response closes its connection.",
        {"answer": lambda was, v: change(a := was(v), headers=a.headers | _every(v, 7, {"Connection": "close"}))},
        wire=True,
    ),
    Reading(
        "cache_now_and_then",
        "One response in ten has a header of a cache.",
        {"answer": lambda was, v: change(a := was(v), headers=a.headers | _every(v, 10, {"X-Cache": "MISS from a3"}))},
    ),
    Reading(
        "errors_dated",
        "An error contains its time and the number of the request, so its length varies.",
        {"refuse": _dated},
    ),
    Reading("close_after_error", "The connection is closed after an error.", {"encode": _close_after_error}, wire=True),
    Reading(
        "extra_members",
        "Every object of every response has additional members.",
        {
            "encode": lambda was, v: was(_with_answer(v, change(v.answer, body=_extra(v.answer.body)))),
        },
    ),
    Reading(
        "german",
        "Messages are in another language and contain characters beyond ASCII.",
        {"refuse": _german, "encode": _json(ensure_ascii=False)},
    ),
    Reading(
        "long_messages",
        "Messages have a few thousand characters.",
        {
            "refuse": lambda was, v: change(
                a := was(v),
                body={"error": {**a.body["error"], "message": a.body["error"]["message"] + " Please read on." * 300}},
            ),
        },
    ),
    Reading(
        "request_id_in_error",
        "Every error has an id of its own.",
        {
            "refuse": lambda was, v: change(
                a := was(v), body={"error": {**a.body["error"], "request_id": str(uuid.uuid4())}}
            ),
        },
    ),
    # Bodies of requests.
    Reading(
        "any_media_type", "A JSON body is accepted with any Content-Type.", {"media_type_fits": lambda was, v: True}
    ),
    Reading(
        "media_type_needed",
        "A body without a Content-Type is rejected.",
        {"media_type_fits": lambda was, v: "content-type" in v.request.headers and was(v)},
    ),
    Reading("duplicate_members_refused", "A duplicate member in a request is rejected.", {"parse": _no_duplicates}),
    Reading(
        "body_bounded", "A body over 256 KiB or nested deeper than 100 is a 400.", {"parse": _at_most(256 * 1024, 100)}
    ),
    Reading(
        "lone_surrogates_pass",
        "A lone surrogate in a request is accepted.",
        {"parse": _any_json, "body_error": _any_error},
    ),
    # Handoff.
    Reading(
        "slack", "The notified_channel is slack.", {"handoff": lambda was, v: {**was(v), "notified_channel": "slack"}}
    ),
    Reading(
        "channel_varies",
        "notified_channel alternates between slack and email.",
        {
            "handoff": lambda was, v: {**was(v), "notified_channel": ("slack", "email")[v.once_more("handoffs") % 2]},
        },
    ),
    Reading("uuid_7", "Handoffs have UUIDs of version 7.", {"new_id": _uuid7}),
    Reading("one_conversation", "All leads of the tenant share a conversation.", {"handoff": _one_conversation}),
    # CRM.
    Reading("no_record_url", "`record_url` is omitted.", {"crm": _without("record_url")}),
    Reading("no_detail", "`detail` is omitted.", {"crm": _without("detail")}),
    Reading(
        "record_url_of_an_app",
        "`record_url` has the scheme of an app.",
        {"crm": _crm_member(record_url="salesforce1://sObject/0035g00000XyZ/view")},
    ),
    Reading(
        "record_url_escaped",
        "`record_url` has a query, a fragment and escapes.",
        {"crm": _crm_member(record_url="https://crm.example:8443/r/%F0%9F%98%80?id=7&x=a%20b#top")},
    ),
    Reading("null_members", "Members of the other branch are present as null.", {"crm": _null_members}),
    Reading(
        "external_id_shapes",
        "External ids contain slashes and upper-case letters.",
        {
            "crm": lambda was, v: {
                **(a := was(v)),
                **({"external_id": f"Contact/é {a['external_id']}"} if a["ok"] else {}),
            },
        },
    ),
    Reading("no_crm", "The tenant has no CRM.", {"crm_trouble": lambda was, v: was(v) or "no_crm_configured"}),
    Reading("flaky_crm", "Every third write is a soft failure.", {"crm_trouble": _flaky_crm}),
    Reading(
        "crm_of_contacts",
        "The tenant's CRM accepts contacts only.",
        {
            "crm_trouble": lambda was, v: (
                was(v) or (None if v.value["object"] == "contact" else "object_not_supported")
            ),
        },
    ),
    Reading(
        "crm_needs_fields",
        "The CRM rejects a record without fields, as a soft failure.",
        {"crm_trouble": lambda was, v: was(v) or (None if v.value["fields"] else "validation_error")},
    ),
    Reading(
        "replay_soft_failure",
        "A replay is a soft failure.",
        {"crm": lambda was, v: _no_replay(was, v)},
    ),
    Reading(
        "no_idempotency",
        "Every write creates a record, because the contract does not define idempotency_key.",
        {"crm": lambda was, v: _forget(was, v)},
        warns=("crm.replay", "crm.replay-late", "crm.replay-at-once"),
    ),
    Reading(
        "external_id_of_the_key",
        "The external_id follows from the idempotency_key alone, for every tenant.",
        {"crm": lambda was, v: _hash_of_key(was, v)},
        inconclusive=("tenancy.crm-writes",),
    ),
    Reading(
        "counters_keep_step",
        "Every tenant has a counter of its own for its external_ids.",
        {"crm": lambda was, v: _own_counter(was, v)},
    ),
    Reading(
        "idempotency_by_key_alone",
        "A replay returns the first response, even if its content differs.",
        {"crm": lambda was, v: _first_answer(was, v)},
    ),
)


def _every(v: Visit, n: int, headers: dict[str, str]) -> dict[str, str]:
    return headers if v.number % n == 0 else {}


def _raise(error: Exception) -> Any:
    raise error


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _with_answer(v: Visit, answer: Answer) -> Visit:
    v.answer = answer
    return v


def _hash_of_key(was: Any, v: Visit) -> Any:
    if v.caller.trouble:
        return was(v)
    return {"ok": True, "external_id": hashlib.sha256(v.value["idempotency_key"].encode()).hexdigest()[:12]}


def _own_counter(was: Any, v: Visit) -> Any:
    answer = was(v)
    if not answer["ok"]:
        return answer
    ids = v.notes.setdefault(("ids", v.caller.tenant), {})
    return {**answer, "external_id": str(ids.setdefault(v.value["idempotency_key"], len(ids) + 1))}


def _no_replay(was: Any, v: Visit) -> Any:
    known = (v.caller.tenant, v.value["idempotency_key"]) in v.server.records
    return {"ok": False, "error": "duplicate_record"} if known else was(v)


def _forget(was: Any, v: Visit) -> Any:
    count = len(v.server.records)
    v.value = {**v.value, "idempotency_key": f"{v.value['idempotency_key']} {count}"}
    return was(v)


def _first_answer(was: Any, v: Visit) -> Any:
    known = v.server.records.get((v.caller.tenant, v.value["idempotency_key"]))
    return dict(known[1]) if known and not v.caller.trouble else was(v)
