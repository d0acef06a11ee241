"""Faults of authentication, scopes and tenancy."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace as change
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..contract import CRM, HANDOFF
from ..server import Answer, Change, RefusedError, Visit, bearer
from ..world import Lead, identifier
from .helpers import (
    Fault,
    always,
    fault,
    malformed,
    no_header,
    other_status,
    refusing,
    revoked,
    same_body_under,
)


def all_keys(v: Visit) -> Any:
    return next(iter(v.server.world.keys.values()))


def opens(scope: str, operation: str) -> Change:
    """For `allowed`: accept the scope of another operation."""
    return lambda was, v: was(v) or (v.name == operation and scope in v.caller.scopes)


def token_from(find: Callable[[Visit], str | None]) -> Change:
    return lambda was, v: was(v) or find(v)


def query_key(v: Visit) -> str | None:
    known = v.server.world.keys
    return next((value for _, value in parse_qsl(v.request.query) if value in known), None)


def body_key(v: Visit) -> str | None:
    body = v.request.body.decode("utf-8", "replace")
    return next((token for token in v.server.world.keys if token in body), None)


def cookie_key(v: Visit) -> str | None:
    cookie = v.request.headers.get("cookie", "")
    return next((token for token in v.server.world.keys if token in cookie), None)


def header_key(*names: str) -> Change:
    """For `token`: accept the key in these headers too."""

    def find(v: Visit) -> str | None:
        given = (v.request.headers.get(name, "").rpartition(" ")[2] for name in names)
        return next((token for token in given if token in v.server.world.keys), None)

    return token_from(find)


def basic_key(v: Visit) -> str | None:
    scheme, _, given = v.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(given).decode()
    except ValueError:
        return None
    return next((part for part in text.split(":") if part in v.server.world.keys), None)


def same_digits(v: Visit) -> str | None:
    """Find the key by its digits, with any prefix."""
    digits = (bearer(v) or "").rpartition("_")[2]
    return next((token for token in v.server.world.keys if token.rpartition("_")[2] == digits), None)


def but_for(place: int) -> Change:
    """For `find_key`: do not compare one position of the key."""

    def find(was: Any, v: Visit) -> Any:
        token = v.server.hooks.token(v) or ""

        def rest(text: str) -> str:
            return text[:place] + text[place + 1 :]

        return was(v) or next((k for k in v.server.world.keys.values() if rest(k.token) == rest(token)), None)

    return find


def any_scheme(was: Any, v: Visit) -> str | None:
    return v.request.headers.get("authorization", "").split(" ")[-1].strip()


def by_prefix(length: int) -> Change:
    """For `find_key`: compare only the beginning of the key."""

    def find(was: Any, v: Visit) -> Any:
        token = v.server.hooks.token(v) or ""
        if len(token) < length:
            return was(v)
        return was(v) or next(
            (key for key in v.server.world.keys.values() if key.token[:length] == token[:length]), None
        )

    return find


def by_tail(was: Any, v: Visit) -> Any:
    """Compare only the last 24 hexadecimal digits."""
    token = v.server.hooks.token(v) or ""
    return was(v) or next(
        (k for k in v.server.world.keys.values() if len(token) == 58 and k.token[-24:] == token[-24:]), None
    )


def any_length(was: Any, v: Visit) -> Any:
    token = v.server.hooks.token(v) or ""
    return was(v) or next((key for key in v.server.world.keys.values() if token.startswith(key.token)), None)


def other_status_for_key(is_so: Callable[[Visit], bool], status: int, message: str = "No.") -> Change:
    """For `find_key`: another status than 401 for some of the rejected keys."""

    def find(was: Any, v: Visit) -> Any:
        key = was(v)
        if is_so(v) and (key is None or key.revoked):
            raise RefusedError(status, message)
        return key

    return find


def well_formed_unknown(v: Visit) -> bool:
    token = v.server.hooks.token(v) or ""
    return re.fullmatch("vapk_live_[0-9a-f]{48}", token) is not None and token not in v.server.world.keys


def in_pool(v: Visit) -> bool:
    """Return True for a key that is not a burst key."""
    return v.server.hooks.token(v) in v.server.world.profile["keys"]["full"]


def foreign(v: Visit) -> bool:
    """Return True for a lead of another tenant."""
    lead = v.server.world.leads.get(v.lead_id.lower())
    return lead is not None and v.key is not None and lead.tenant != v.key.tenant


def foreign_found(was: Any, v: Visit) -> Any:
    return v.server.world.leads.get(v.lead_id.lower())


def foreign_by_capitals(was: Any, v: Visit) -> Any:
    """Compare the tenant only if the id is in canonical form."""
    return was(v) or (v.server.world.leads.get(v.lead_id.lower()) if v.lead_id != v.lead_id.lower() else None)


def on_foreign(edit: Callable[[Answer], Answer]) -> Change:
    """For `refuse`: another response for a lead of another tenant."""
    return lambda was, v: edit(was(v)) if v.refusal and v.refusal.status == 404 and foreign(v) else was(v)


def existence_first(was: Any, v: Visit) -> tuple[str, ...]:
    """Check the body before the lead, except for unknown leads."""
    if v.lead_id.lower() in v.server.world.leads:
        return ("authenticate", "limit", "scope", "path", "body", "lookup")
    return ("authenticate", "limit", "scope", "path", "lookup", "body")


def known_lead(v: Visit) -> bool:
    return v.lead_id.lower() in v.server.world.leads


def existence_before_scope(was: Any, v: Visit) -> tuple[str, ...]:
    """Return 404 for an unknown lead before the scope is checked."""
    if known_lead(v):
        return ("authenticate", "limit", "scope", "path", "body", "lookup")
    return ("authenticate", "limit", "path", "body", "lookup", "scope")


def existence_before_key(was: Any, v: Visit) -> Any:
    """Return 404 for an unknown lead before authentication."""
    key = was(v)
    if key is None and well_formed_unknown(v) and v.name == HANDOFF and not known_lead(v):
        raise RefusedError(404, "There is no such lead.")
    return key


def request_id(of_foreign: Callable[[], str], of_unknown: Callable[[], str]) -> Change:
    """For `refuse`: a request id for every 404, in two forms."""

    def refuse(was: Any, v: Visit) -> Answer:
        answer: Answer = was(v)
        if answer.status != 404 or v.name != HANDOFF:
            return answer
        return change(answer, headers={**answer.headers, "X-Request-Id": (of_foreign if foreign(v) else of_unknown)()})

    return refuse


def scope_unless(is_free: Callable[[Visit], bool]) -> Change:
    """For `allowed`: accept some requests without the scope."""
    return lambda was, v: was(v) or is_free(v)


def is_replay(v: Visit) -> bool:
    value = sent(v)
    key = value.get("idempotency_key") if isinstance(value, dict) else None
    return isinstance(key, str) and (v.caller.tenant, key) in v.server.records


def sent(v: Visit) -> Any:
    """Return the body of a request that is not validated yet."""
    try:
        return json.loads(v.request.body)
    except ValueError:
        return None


def made_up_lead(was: Any, v: Visit) -> Any:
    if foreign(v):
        return was(v)
    return was(v) or Lead(v.lead_id.lower(), v.caller.tenant, identifier(v.lead_id.lower()))


ACCESS_FAULTS: tuple[Fault, ...] = (
    fault(
        "valid_key_401",
        "Every fortieth request with a valid key is a 401.",
        "auth.accepts-valid",
        also="fuzz.valid-accepted fuzz.invalid-refused tenancy.indistinguishable",
        find_key=lambda was, v: None if in_pool(v) and v.once_more("401") % 40 == 0 else was(v),
    ),
    fault(
        "missing_key_works",
        "Without a key, a key of the first tenant is used.",
        "auth.missing",
        also="auth.header-only",
        find_key=lambda was, v: all_keys(v) if no_header(v) else was(v),
    ),
    fault(
        "missing_key_works_crm",
        "Without a key, the CRM operation uses a key of the first tenant.",
        "auth.missing",
        also="auth.header-only",
        find_key=lambda was, v: all_keys(v) if no_header(v) and v.name == CRM else was(v),
    ),
    fault(
        "missing_key_403",
        "A missing key is a 403.",
        "auth.missing",
        also="auth.header-only",
        find_key=other_status_for_key(no_header, 403),
    ),
    fault(
        "missing_key_400",
        "Without a key, the handoff is a 400.",
        "auth.missing",
        also="auth.header-only",
        find_key=other_status_for_key(lambda v: no_header(v) and v.name == HANDOFF, 400, "Authorization: missing"),
    ),
    fault(
        "empty_bearer_works",
        "`Bearer` without a key is accepted.",
        "auth.malformed",
        also="auth.missing",
        find_key=lambda was, v: (
            all_keys(v) if v.request.headers.get("authorization", "").strip().lower() == "bearer" else was(v)
        ),
    ),
    fault("any_scheme", "The scheme is not checked.", "auth.malformed", token=any_scheme),
    fault(
        "bare_key",
        "The key counts without a scheme.",
        "auth.malformed",
        token=lambda was, v: was(v) or v.request.headers.get("authorization"),
    ),
    fault(
        "malformed_key_400",
        "A malformed key is a 400.",
        "auth.malformed",
        also="auth.whole-key",
        find_key=other_status_for_key(malformed, 400, "Authorization: malformed"),
    ),
    fault(
        "malformed_key_500",
        "A key that is not in ASCII is a 500.",
        "fuzz.no-server-error",
        also="auth.malformed",
        find_key=other_status_for_key(lambda v: not v.request.headers.get("authorization", "").isascii(), 500),
    ),
    fault(
        "long_key_500",
        "A key of a thousand characters is a 500.",
        "fuzz.no-server-error",
        also="auth.malformed",
        find_key=other_status_for_key(lambda v: len(v.request.headers.get("authorization", "")) > 1000, 500),
    ),
    fault(
        "unknown_key_403",
        "An unknown key is a 403.",
        "auth.unknown",
        also="auth.whole-key",
        find_key=other_status_for_key(well_formed_unknown, 403),
    ),
    fault(
        "unknown_key_404",
        "An unknown key is a 404 on the handoff.",
        "auth.unknown",
        also="auth.whole-key",
        find_key=other_status_for_key(lambda v: well_formed_unknown(v) and v.name == HANDOFF, 404),
    ),
    fault(
        "unknown_key_works",
        "Any key of the right form is accepted.",
        "auth.unknown",
        also="auth.whole-key",
        find_key=lambda was, v: all_keys(v) if well_formed_unknown(v) else was(v),
    ),
    fault("revoked_works", "A revoked key works.", "auth.revoked", revoked_works=always(True)),
    fault(
        "revoked_works_crm",
        "A revoked key works on the CRM operation.",
        "auth.revoked",
        revoked_works=lambda was, v: v.name == CRM,
    ),
    fault(
        "revoked_403",
        "A revoked key is a 403.",
        "auth.revoked",
        find_key=other_status_for_key(lambda v: revoked(v), 403),
    ),
    fault(
        "prefix_compared",
        "Only the first 22 characters of a key are compared.",
        "auth.whole-key",
        also="auth.malformed",
        find_key=by_prefix(22),
    ),
    fault(
        "last_digit_ignored",
        "The last digit of a key is not compared.",
        "auth.whole-key",
        also="auth.malformed",
        find_key=by_prefix(57),
    ),
    fault(
        "tail_compared",
        "Only the second half of a key is compared.",
        "auth.whole-key",
        also="auth.malformed",
        find_key=by_tail,
    ),
    fault(
        "longer_key_works",
        "Text after a key is ignored.",
        "auth.whole-key",
        also="auth.malformed",
        find_key=any_length,
    ),
    fault("key_in_query", "The key counts in the query.", "auth.header-only", token=token_from(query_key)),
    fault(
        "key_in_x_api_key",
        "The key counts in X-Api-Key.",
        "auth.header-only",
        token=token_from(lambda v: v.request.headers.get("x-api-key")),
    ),
    fault("key_in_cookie", "The key counts in a cookie.", "auth.header-only", token=token_from(cookie_key)),
    fault("key_in_body", "The key counts in the body.", "auth.header-only", token=token_from(body_key)),
    fault(
        "read_opens_handoff",
        "A read-only key hands off.",
        "scope.handoff",
        also="scope.no-crossover",
        allowed=opens("read", HANDOFF),
    ),
    fault(
        "read_opens_crm",
        "A read-only key writes into the CRM.",
        "scope.crm",
        also="scope.no-crossover",
        allowed=opens("read", CRM),
    ),
    fault(
        "leads_write_opens_crm",
        "`leads:write` allows the CRM operation.",
        "scope.no-crossover",
        allowed=opens("leads:write", CRM),
    ),
    fault(
        "crm_write_opens_handoff",
        "`crm:write` allows the handoff.",
        "scope.no-crossover",
        allowed=opens("crm:write", HANDOFF),
    ),
    fault(
        "scope_401",
        "A key without the scope is a 401.",
        "auth.accepts-valid",
        also="scope.handoff scope.crm scope.no-crossover",
        refuse=other_status(403, 401),
    ),
    fault(
        "scope_401_crm",
        "A key without the scope is a 401 on the CRM operation.",
        "auth.accepts-valid",
        also="scope.crm scope.no-crossover",
        refuse=other_status(403, 401, CRM),
    ),
    fault(
        "scope_404",
        "A key without the scope is a 404 on the handoff.",
        "scope.handoff",
        also="scope.no-crossover",
        refuse=other_status(403, 404, HANDOFF),
    ),
    fault(
        "scope_200",
        "A key without the scope gets the error with status 200.",
        "scope.handoff",
        also="scope.no-crossover handoff.answer",
        answer=same_body_under(200, lambda v: v.answer.status == 403 and v.name == HANDOFF),
    ),
    fault(
        "crm_needs_leads_write",
        "The CRM operation also needs `leads:write`.",
        "scope.sufficient",
        allowed=lambda was, v: was(v) and (v.name == HANDOFF or "leads:write" in v.caller.scopes),
    ),
    fault(
        "handoff_needs_conversations",
        "The handoff also needs `conversations:write`.",
        "scope.sufficient",
        allowed=lambda was, v: was(v) and (v.name == CRM or "conversations:write" in v.caller.scopes),
    ),
    fault(
        "unknown_lead_200",
        "An unknown lead is handed off.",
        "tenancy.unknown-lead",
        also="tenancy.indistinguishable",
        find_lead=made_up_lead,
    ),
    fault(
        "unknown_lead_400",
        "An unknown lead and another tenant's lead are a 400.",
        "tenancy.unknown-lead tenancy.foreign-lead",
        refuse=other_status(404, 400),
    ),
    fault(
        "foreign_lead_200",
        "Another tenant's lead is handed off.",
        "tenancy.foreign-lead",
        also="tenancy.indistinguishable",
        find_lead=foreign_found,
    ),
    fault(
        "foreign_lead_by_capitals",
        "Another tenant's lead is handed off if its id is in upper case.",
        "tenancy.foreign-lead",
        also="tenancy.indistinguishable",
        find_lead=foreign_by_capitals,
    ),
    fault(
        "foreign_lead_403",
        "Another tenant's lead is a 403.",
        "tenancy.foreign-lead",
        also="tenancy.indistinguishable",
        not_found_message=lambda was, v: refusing(403, "This lead is not yours.")(v, None) if foreign(v) else was(v),
    ),
    fault(
        "foreign_message",
        "The message for another tenant's lead differs.",
        "tenancy.indistinguishable",
        not_found_message=lambda was, v: "Lead not found." if foreign(v) else was(v),
    ),
    fault(
        "foreign_message_blank",
        "The message for another tenant's lead has one more blank.",
        "tenancy.indistinguishable",
        not_found_message=lambda was, v: was(v) + (" " if foreign(v) else ""),
    ),
    fault(
        "foreign_header",
        "The response for another tenant's lead has one more header.",
        "tenancy.indistinguishable",
        refuse=on_foreign(lambda a: change(a, headers={**a.headers, "X-Tenant": "other"})),
    ),
    fault(
        "foreign_header_value",
        "The response for another tenant's lead has another Cache-Control.",
        "tenancy.indistinguishable",
        refuse=lambda was, v: (
            change(a := was(v), headers={**a.headers, "Cache-Control": "private" if foreign(v) else "no-store"})
            if was(v).status == 404
            else was(v)
        ),
    ),
    fault(
        "foreign_member",
        "The response for another tenant's lead has one more member.",
        "tenancy.indistinguishable",
        refuse=on_foreign(lambda a: change(a, body={**a.body, "retry": False})),
    ),
    fault(
        "foreign_member_order",
        "The members of the error for another tenant's lead are in another order.",
        "tenancy.indistinguishable",
        refuse=on_foreign(lambda a: change(a, body={"error": dict(reversed(a.body["error"].items()))})),
    ),
    fault(
        "foreign_after_body",
        "The body is validated only for leads that exist.",
        "tenancy.indistinguishable",
        also="tenancy.foreign-lead",
        steps=existence_first,
    ),
    fault(
        "foreign_request_id_length",
        "The request id for another tenant's lead is shorter.",
        "tenancy.indistinguishable",
        refuse=request_id(lambda: secrets.token_hex(8), lambda: secrets.token_hex(16)),
    ),
    fault(
        "foreign_request_id_prefix",
        "The request id for another tenant's lead has another prefix.",
        "tenancy.indistinguishable",
        refuse=request_id(lambda: f"db-{secrets.token_hex(8)}", lambda: f"no-{secrets.token_hex(8)}"),
    ),
    fault(
        "foreign_message_with_part_of_id",
        "The message has the first digits of the id, and differs for another tenant's lead.",
        "tenancy.indistinguishable",
        not_found_message=lambda was, v: f"Lead {v.lead_id[:8]}: {'not visible to you' if foreign(v) else 'not found'}",
    ),
    fault(
        "foreign_before_scope",
        "Keys without the scope can find out whether a lead exists.",
        "tenancy.indistinguishable",
        steps=existence_before_scope,
    ),
    fault(
        "foreign_before_key",
        "Unknown keys can find out whether a lead exists.",
        "tenancy.indistinguishable",
        find_key=existence_before_key,
    ),
    fault(
        "foreign_without_body",
        "The message for another tenant's lead differs if the request has no body.",
        "tenancy.indistinguishable",
        not_found_message=lambda was, v: "Lead not found." if foreign(v) and not v.request.body else was(v),
    ),
    fault("key_in_basic", "The key counts as the user of Basic.", "auth.malformed", token=token_from(basic_key)),
    fault(
        "digits_compared",
        "Only the digits of a key are compared.",
        "auth.malformed",
        token=lambda was, v: same_digits(v) or was(v),
    ),
    fault(
        "key_unescaped",
        "Percent escapes in a key are decoded.",
        "auth.malformed",
        token=lambda was, v: unquote(token) if (token := was(v)) else token,
    ),
    fault(
        "one_digit_ignored",
        "The 31st character of a key is not compared.",
        "auth.whole-key",
        find_key=but_for(30),
    ),
    fault(
        "key_in_other_headers",
        "The key counts in X-Auth-Token and X-Access-Token.",
        "auth.header-only",
        token=header_key("x-auth-token", "x-access-token"),
    ),
    fault(
        "key_in_x_authorization",
        "The key counts in X-Authorization.",
        "auth.header-only",
        token=header_key("x-authorization"),
    ),
    fault(
        "scope_unchecked_without_body",
        "A handoff without a body needs no scope.",
        "scope.handoff scope.no-crossover",
        allowed=scope_unless(lambda v: v.name == HANDOFF and not v.request.body),
    ),
    fault(
        "scope_unchecked_for_deals",
        "A deal needs no scope.",
        "scope.crm scope.no-crossover",
        allowed=scope_unless(
            lambda v: v.name == CRM and isinstance(value := sent(v), dict) and value.get("object") == "deal"
        ),
    ),
    fault(
        "scope_unchecked_for_replays",
        "A replay of a write needs no scope.",
        "scope.crm scope.no-crossover",
        allowed=scope_unless(lambda v: v.name == CRM and is_replay(v)),
    ),
)
