"""Checks of a single response: pure functions from an exchange to checks. The session runs them on every exchange.

A check names its clause and the verdict. A function yields no check for a response that it cannot judge (another
status, no body). The number of checks of a clause is therefore the amount of evidence for it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from vorel_conformance.checks import schema
from vorel_conformance.http.exchange import Exchange
from vorel_conformance.http.target import Target, is_telling
from vorel_conformance.spec import contract


@dataclass(frozen=True)
class Check:
    """The verdict on one clause for one exchange. `expected` and `got` are for the reader.

    `place`: the member or header that is judged, if the clause has several.
    """

    clause: str
    ok: bool
    message: str = ""
    expected: str = ""
    got: str = ""
    place: str = ""


ResponseCheck = Callable[[Exchange, Target], Iterator[Check]]

SEARCHED = 64 * 1024  # characters of a response in which internals are searched
# Without a part that may begin at many places and run on from each: a server could make the search last for hours.
_INTERNALS = re.compile(
    r"Traceback \(most recent call last\)"
    r"|^[ \t]*File \"[^\"\n]+\", line \d+"
    r"|^[ \t]+at [\w.$<>]+ ?\([^)\n]*:\d+(:\d+)?\)"
    r"|\bat [\w.$<>]+ \((/|node:|file:)[^)\n]{1,500}:\d+:\d+\)"
    r"|\.(py|js|ts|java|kt|scala|rb|go|php|cs|rs|ex|exs|cpp|swift):\d+"
    r"|\bin \S+:line \d+|\bin \S+\.php on line \d+"
    r"|\bpanicked at "
    r"|goroutine \d+ \["
    r"|\b(java\.lang|javax?|org\.springframework|System)\.[\w.]{0,200}Exception\b"
    r"|\b(SQLSTATE|ORA-\d{5}|psycopg2?|sqlalchemy\.|PrismaClient)"
    r"|\bnode_modules/|/site-packages/"
    r"|\b(SELECT .{1,500} FROM|INSERT INTO|UPDATE .{1,500} SET)\b",
    re.MULTILINE,
)
_TOKEN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_INTEGER = re.compile(r"[0-9]+")
# RFC 3986: a scheme, then the characters that a URI may contain.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def server_error(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check `fuzz.no-server-error`: no 5xx and no broken connection."""
    if not exchange.responded:
        yield Check("fuzz.no-server-error", False, f"no response: {exchange.failure}", "a response", "none")
    else:
        ok = exchange.status < 500
        expected = "a status below 500"
        yield Check("fuzz.no-server-error", ok, f"HTTP {exchange.status}", expected, str(exchange.status))


def status(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check `envelope.declared-status`, and `auth.accepts-valid` for requests with a valid key."""
    if not exchange.operation or not exchange.responded or exchange.status >= 500:
        return
    declared = exchange.status in exchange.operation.statuses
    clause = "envelope.declared-status" if sends_json(exchange) else "envelope.wrong-media-type"
    listed = ", ".join(map(str, sorted(exchange.operation.statuses)))
    if exchange.asks_for_json:
        yield Check(
            clause,
            declared,
            f"{exchange.operation.id} does not declare {exchange.status}",
            f"one of {listed}",
            str(exchange.status),
        )
    if exchange.valid_key:
        ok = exchange.status != 401
        yield Check(
            "auth.accepts-valid", ok, f"401 with a valid key ({exchange.request.key})", "any status but 401", "401"
        )


def sends_json(exchange: Exchange) -> bool:
    """Return True if the request has no body, or declares it as JSON."""
    given = request_header(exchange, "Content-Type")
    return not exchange.request.body or given.partition(";")[0].strip().lower() == contract.MEDIA_TYPE


def request_header(exchange: Exchange, name: str) -> str:
    """Return the first value of a header of the request, or an empty string."""
    return next((value for key, value in exchange.request.headers if key.lower() == name.lower()), "")


def document(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check `envelope.json-media-type` and `envelope.strict-json` for every response with a declared status."""
    # An undeclared status, for example a 5xx page of a proxy, has a clause of its own.
    if exchange.operation and exchange.status in exchange.operation.statuses and exchange.asks_for_json:
        yield from _document(exchange)


def is_declared_json(exchange: Exchange) -> bool:
    """Return True for a JSON document with a status that the operation declares."""
    declared = exchange.operation is not None and exchange.status in exchange.operation.statuses
    return declared and all(check.ok for check in _document(exchange))


def _document(exchange: Exchange) -> Iterator[Check]:
    found = ", ".join(value for name, value in exchange.headers if name.lower() == "content-type")
    message = f"HTTP {exchange.status}: " + (f"Content-Type is {found!r}" if found else "no Content-Type")
    # With two Content-Type values a client cannot know which one counts.
    ok = exchange.is_json and "," not in found.partition(";")[0]
    yield Check("envelope.json-media-type", ok, message, contract.MEDIA_TYPE, found or "none")
    if exchange.unknown_coding:
        return  # nobody can say what is inside; envelope.content-encoding reports it
    error = exchange.parsed.error
    yield Check("envelope.strict-json", not error, error, "one strict JSON value in UTF-8", error)


def envelope(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check the error envelope: its shape, its code and its message."""
    if not exchange.operation or exchange.status < 400 or exchange.unknown_coding or not exchange.asks_for_json:
        return
    if exchange.parsed.error:
        # For a declared status, envelope.strict-json reports it. An undeclared one needs an envelope too.
        if exchange.status not in exchange.operation.statuses and exchange.status < 500:
            media_type = exchange.header("Content-Type") or "no Content-Type"
            message = f"the response, HTTP {exchange.status} with {media_type}, is not the error envelope"
            yield Check("envelope.shape", False, message, "the error envelope", text(exchange.body))
        return
    wanted = contract.load().code_of(exchange.operation, exchange.status)
    yield from _error(exchange, [wanted] if wanted else [])


def _error(exchange: Exchange, wanted: list[str]) -> Iterator[Check]:
    """Check an error envelope. `wanted`: the codes that match the status, none for any code."""
    value = exchange.parsed.value
    problems = [
        each
        for each in schema.problems("/components/schemas/ErrorEnvelope", value, exchange.body)
        if each.keyword != "enum"
    ]
    first = problems[0] if problems else None
    yield Check(
        "envelope.shape",
        not problems,
        f"{first.where}: {first.message}" if first else "",
        "an object `error` with the strings `code` and `message`",
        text(exchange.body),
    )
    if problems:
        return
    code, message = value["error"]["code"], value["error"]["message"]
    codes = contract.load().codes
    yield Check("envelope.code", code in codes, f"error.code is {code!r}", f"one of {', '.join(codes)}", repr(code))
    if wanted and code in codes:
        yield Check(
            "envelope.code-matches-status",
            code in wanted,
            f"HTTP {exchange.status} with error.code {code!r}",
            f"error.code {' or '.join(map(repr, wanted))}",
            repr(code),
        )
    readable = re.search(r"\w", message) is not None
    yield Check(
        "envelope.message-readable", readable, "error.message contains no word", "at least one word", repr(message)
    )


def leak(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check `envelope.message-safe`: an error contains no credential and no internals of the server."""
    if exchange.operation and exchange.status >= 400:
        yield from _leak(exchange, target)


def outside(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check an error for a path or method outside the contract like any other error. The clause is not of interest."""
    yield from _document(exchange)
    if not exchange.parsed.error:
        yield from _error(exchange, contract.load().codes_of_undeclared(exchange.status))
    yield from _leak(exchange, target)


def _leak(exchange: Exchange, target: Target) -> Iterator[Check]:
    where = "\n".join([*(value for _, value in exchange.headers), text(exchange.body, limit=None)])
    token = exchange.credential.rpartition(" ")[2]
    # The part after vapk_live_ is the secret. A short or broken one may be in the response by chance.
    secret = token.rpartition("_")[2]
    parts = [part for part in (secret, secret[:12], secret[-12:]) if is_telling(part)]
    if is_telling(secret):
        parts += map(_base64, (token, secret))
    if any(part in where for part in parts):
        yield Check(
            "envelope.message-safe",
            False,
            "the response repeats the credential",
            "no part of the key",
            "a part of the key",
        )
        return
    if any(key in where for key in target.telling):
        yield Check("envelope.message-safe", False, "the response contains a key", "no key", "a key")
        return
    found = _internals(where[:SEARCHED])
    yield Check(
        "envelope.message-safe",
        not found,
        "the response shows internals of the server",
        "a message for people",
        found,
    )


@lru_cache(maxsize=256)  # a server says the same again and again, and the search takes milliseconds
def _internals(where: str) -> str:
    """Return what looks like internals of a server in a text, shortened, or an empty string."""
    found = _INTERNALS.search(where)
    return found.group(0)[:80] if found else ""


def handoff(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check a successful handoff: its members, ids and enumerations."""
    if not exchange.operation or not exchange.operation.takes_lead or exchange.status != 200 or exchange.parsed.error:
        return
    value = exchange.parsed.value
    problems = schema.problems("/components/schemas/LeadHandoffResponse", value, exchange.body)
    shape = [each for each in problems if each.keyword not in ("format", "enum")]
    yield _schema_check("handoff.answer", shape, exchange)
    if not isinstance(value, dict):
        return
    formats = [each for each in problems if each.keyword == "format"]
    yield _schema_check("handoff.uuids", formats, exchange)
    for member in ("conversation_status", "notified_channel"):
        if isinstance(value.get(member), str):
            found = [each for each in problems if each.keyword == "enum" and each.where == f"/{member}"]
            yield _schema_check(f"handoff.{member.replace('_', '-')}", found, exchange)
    asked = lead_of(exchange)
    given = as_uuid(value.get("lead_id"))
    if given and as_uuid(asked):
        ok = given == as_uuid(asked)
        yield Check("handoff.lead-id", ok, "lead_id is not the lead of the path", asked, str(value["lead_id"]))
    for member in ("handoff_id", "lead_id", "conversation_id"):
        found_id = as_uuid(value.get(member))
        if found_id:
            ok = str(found_id) == value[member]
            yield Check(
                "handoff.canonical-id", ok, f"{member} is not canonical", str(found_id), str(value[member]), member
            )


def crm(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check the response to a CRM write: success, soft failure, or neither."""
    if not exchange.operation or exchange.operation.takes_lead or exchange.parsed.error:
        return
    value = exchange.parsed.value
    if not isinstance(value, dict):
        if exchange.status == 200:
            yield Check("crm.ok", False, "the response is not an object", "an object with `ok`", text(exchange.body))
        return
    ok = value.get("ok")
    if ok is False:
        yield Check(
            "crm.soft-failure-status",
            exchange.status == 200,
            f"a soft failure with HTTP {exchange.status}",
            "200",
            str(exchange.status),
        )
    if exchange.status != 200:
        return
    yield Check("crm.ok", isinstance(ok, bool), f"ok is {ok!r}", "true or false", repr(ok))
    if not isinstance(ok, bool):
        return
    branch = 0 if ok else 1
    problems = schema.problems(f"/components/schemas/CrmCreateRecordResponse/oneOf/{branch}", value, exchange.body)
    if ok:
        yield _schema_check("crm.success", [each for each in problems if each.where != "/record_url"], exchange)
        if "record_url" in value:
            url = value["record_url"]
            fine = isinstance(url, str) and _URI.fullmatch(url) is not None
            yield Check("crm.record-url", fine, f"record_url is {url!r}", "an absolute URI", repr(url))
    else:
        yield _schema_check("crm.soft-failure", problems, exchange)
        error = value.get("error")
        if isinstance(error, str):
            fine = _TOKEN.fullmatch(error) is not None
            yield Check("crm.error-token", fine, f"error is {error!r}", "a snake_case token", repr(error))
    other = "error" if ok else "external_id"
    apart = value.get(other) is None
    yield Check("crm.branches-apart", apart, f"{other} beside ok: {str(ok).lower()}", "one branch", text(exchange.body))


def rate_limited(exchange: Exchange, target: Target) -> Iterator[Check]:
    """Check the headers of a 429."""
    if not exchange.operation or exchange.status != 429:
        return
    wait = exchange.header("Retry-After")
    window = -(-target.window_s // 1)
    if wait is None:
        yield Check("limit.retry-after", False, "no Retry-After", f"1 to {window:g}", "none")
    elif exchange.wait_s is not None:
        ok = 1 <= exchange.wait_s <= window
        yield Check("limit.retry-after", ok, f"Retry-After is {wait}", f"1 to {window:g}", wait)
    for name in contract.load().limit_headers:
        value = ", ".join(value for key, value in exchange.headers if key.lower() == name.lower()) or None
        if value is not None:
            ok = _INTEGER.fullmatch(value) is not None
            yield Check("limit.headers-integer", ok, f"{name} is {value!r}", "digits", repr(value), name)
        if name != "Retry-After":
            yield Check("limit.headers-present", value is not None, f"no {name}", name, "none", name)
    limit, remaining, reset = (exchange.header(f"X-RateLimit-{name}") or "" for name in ("Limit", "Remaining", "Reset"))
    if _INTEGER.fullmatch(limit):
        ok = int(limit) == target.limit
        yield Check("limit.limit-value", ok, f"X-RateLimit-Limit is {limit}", str(target.limit), limit)
    if _INTEGER.fullmatch(remaining):
        ok = int(remaining) == 0
        yield Check("limit.remaining-zero", ok, f"X-RateLimit-Remaining is {remaining}", "0", remaining)
    if _INTEGER.fullmatch(reset):
        # Date may be a second old, and all three values are rounded. Without Date, our own clock may be wrong.
        grace = 3.0 if exchange.header("Date") else 120.0
        soonest, latest = exchange.at, exchange.at + window
        if exchange.wait_s is not None and 1 <= exchange.wait_s <= window:
            soonest = latest = exchange.at + exchange.wait_s
        ok = soonest - grace <= int(reset) <= latest + grace
        wanted = f"{soonest:.0f}" if soonest == latest else f"{soonest:.0f} to {latest:.0f}"
        yield Check("limit.reset", ok, f"X-RateLimit-Reset is {reset}", f"{wanted}, tolerance {grace:g} s", reset)


RESPONSE_CHECKS: tuple[ResponseCheck, ...] = (
    server_error,
    status,
    document,
    envelope,
    leak,
    handoff,
    crm,
    rate_limited,
)


def lead_of(exchange: Exchange) -> str:
    """Return the id of the lead in the path of a handoff."""
    return exchange.request.path.partition("?")[0].split("/")[-2]


def as_uuid(value: Any) -> UUID | None:
    """Return a UUID in the form with hyphens, in any letter case. None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", value):
        return UUID(value)
    return None


def text(body: bytes, limit: int | None = 200) -> str:
    """Return a body for the reader: decoded with replacements and shortened to `limit` characters."""
    shown = body.decode("utf-8", "replace")
    return shown if limit is None or len(shown) <= limit else shown[:limit] + "..."


def _base64(text: str) -> str:
    """Return the part of `text` in Base64 that is the same whatever follows `text`."""
    return base64.b64encode(text.encode()).decode()[: len(text) // 3 * 4]


def _schema_check(clause: str, problems: list[schema.Problem], exchange: Exchange) -> Check:
    if not problems:
        return Check(clause, True)
    first = problems[0]
    return Check(
        clause,
        False,
        f"{first.where or 'the response'}: {first.message}",
        "a value that the schema allows",
        text(exchange.body),
    )
