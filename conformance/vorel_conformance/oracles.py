"""What every exchange is asked, whichever test made it: pure functions from an exchange to checks.

A check names its clause and says whether the exchange keeps it. What a function cannot judge (another status, no
body) it leaves out, so that a clause has as many checks as there was evidence.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from vorel_conformance import contract, validators
from vorel_conformance.exchange import Exchange
from vorel_conformance.target import Target


@dataclass(frozen=True)
class Check:
    """One clause, asked of one exchange. `expected` and `got` are for the reader."""

    clause: str
    ok: bool
    message: str = ""
    expected: str = ""
    got: str = ""


Oracle = Callable[[Exchange, Target], Iterator[Check]]

_INTERNALS = re.compile(
    r"Traceback \(most recent call last\)"
    r"|^\s*File \"[^\"]+\", line \d+"
    r"|^\s+at [\w.$<>]+ ?\([^)]*:\d+(:\d+)?\)"
    r"|\bat [\w.$<>]+ \((/|node:|file:)[^)]*:\d+:\d+\)"
    r"|\.(py|js|ts|java|kt|scala|rb|go|php|cs|rs|ex|exs|cpp|swift):\d+"
    r"|\bin \S+:line \d+|\bin \S+\.php on line \d+"
    r"|\bpanicked at "
    r"|goroutine \d+ \["
    r"|\b(java\.lang|javax?|org\.springframework|System)\.[\w.]*Exception\b"
    r"|\b(SQLSTATE|ORA-\d{5}|psycopg2?|sqlalchemy\.|PrismaClient)"
    r"|\bnode_modules/|/site-packages/"
    r"|\b(SELECT .+ FROM|INSERT INTO|UPDATE .+ SET)\b",
    re.MULTILINE,
)
_TOKEN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_INTEGER = re.compile(r"[0-9]+")
# RFC 3986: the characters that a URI is made of, behind a scheme.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def server_error(exchange: Exchange, target: Target) -> Iterator[Check]:
    """`fuzz.no-server-error`: neither a 5xx nor a broken connection."""
    if not exchange.answered:
        yield Check("fuzz.no-server-error", False, f"no answer: {exchange.failure}", "an answer", "none")
    else:
        ok = exchange.status < 500
        yield Check("fuzz.no-server-error", ok, f"HTTP {exchange.status}", "a declared status", str(exchange.status))


def status(exchange: Exchange, target: Target) -> Iterator[Check]:
    """`envelope.declared-status`, and `auth.accepts-valid` for requests that carry a valid key."""
    if not exchange.operation or exchange.status >= 500:
        return
    declared = exchange.status in exchange.operation.statuses
    clause = "envelope.declared-status" if sends_json(exchange) else "envelope.wrong-media-type"
    listed = ", ".join(map(str, sorted(exchange.operation.statuses)))
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
            "auth.accepts-valid", ok, f"401 with a valid key ({exchange.request.key})", "anything but 401", "401"
        )


def sends_json(exchange: Exchange) -> bool:
    """Whether the request says that its body is JSON, or has none."""
    given = next((value for name, value in exchange.request.headers if name.lower() == "content-type"), "")
    return not exchange.request.body or given.partition(";")[0].strip().lower() == contract.MEDIA_TYPE


def document(exchange: Exchange, target: Target) -> Iterator[Check]:
    """`envelope.json-media-type` and `envelope.strict-json`, for every answer that the contract knows."""
    # What a server says beyond the contract (a 5xx page of its proxy) has a clause already: its status.
    if not exchange.operation or exchange.status not in exchange.operation.statuses:
        return
    found = ", ".join(value for name, value in exchange.headers if name.lower() == "content-type")
    message = f"Content-Type is {found!r}"
    # Two of them are one too many: which one counts is anybody's guess.
    ok = exchange.is_json and "," not in found.partition(";")[0]
    yield Check("envelope.json-media-type", ok, message, contract.MEDIA_TYPE, found or "none")
    error = exchange.parsed.error
    coding = (exchange.header("Content-Encoding") or "identity").strip().lower()
    if not error and coding != "identity":
        # Every client takes the body for compressed, and fails to read what could be read as it is.
        error = f"Content-Encoding is {coding}, and the body is not encoded"
    yield Check("envelope.strict-json", not error, error, "one strict JSON value in UTF-8", error)


def envelope(exchange: Exchange, target: Target) -> Iterator[Check]:
    """The error envelope: its shape, its code, its message."""
    if not exchange.operation or exchange.status < 400:
        return
    if exchange.parsed.error:
        # Of a declared status, envelope.strict-json has said so; an undeclared one has to be an envelope all the same.
        if exchange.status not in exchange.operation.statuses and exchange.status < 500:
            yield Check("envelope.shape", False, exchange.parsed.error, "the error envelope", text(exchange.body))
        return
    value = exchange.parsed.value
    problems = [
        each for each in validators.problems("/components/schemas/ErrorEnvelope", value) if each.keyword != "enum"
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
    wanted = contract.load().code_of(exchange.operation, exchange.status)
    if wanted and code in codes:
        yield Check(
            "envelope.code-matches-status",
            code == wanted,
            f"HTTP {exchange.status} with error.code {code!r}",
            f"error.code {wanted!r}",
            repr(code),
        )
    readable = re.search(r"\w", message) is not None
    yield Check("envelope.message-readable", readable, "error.message says nothing", "a word at least", repr(message))


def leak(exchange: Exchange, target: Target) -> Iterator[Check]:
    """`envelope.message-safe`: nothing of the credential, nothing of the machinery, in an error."""
    if not exchange.operation or exchange.status < 400:
        return
    where = text(exchange.body, limit=None) + "\n" + "\n".join(value for _, value in exchange.headers)
    token = exchange.credential.rpartition(" ")[2]
    # The part behind vapk_live_ is the secret; what is left of a short or broken one proves nothing.
    secret = token.rpartition("_")[2]
    parts = [secret, secret[:12], secret[-12:], *map(_base64, (token, secret))] if len(secret) >= 12 else []
    if any(part in where for part in parts):
        yield Check(
            "envelope.message-safe", False, "the answer repeats the credential", "no part of the key", "it is there"
        )
        return
    if any(key in where for key in target.secrets):
        yield Check("envelope.message-safe", False, "the answer holds a key", "no key", "it is there")
        return
    found = _INTERNALS.search(where)
    yield Check(
        "envelope.message-safe",
        not found,
        "the answer shows the server's internals",
        "a message for people",
        found.group(0)[:80] if found else "",
    )


def handoff(exchange: Exchange, target: Target) -> Iterator[Check]:
    """The answer of a handoff."""
    if not exchange.operation or not exchange.operation.takes_lead or exchange.status != 200 or exchange.parsed.error:
        return
    value = exchange.parsed.value
    problems = validators.problems("/components/schemas/LeadHandoffResponse", value)
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
    asked = exchange.request.path.partition("?")[0].split("/")[-2]
    given = as_uuid(value.get("lead_id"))
    if given and as_uuid(asked):
        ok = given == as_uuid(asked)
        yield Check("handoff.lead-id", ok, "lead_id is not the lead of the path", asked, str(value["lead_id"]))
    for member in ("handoff_id", "lead_id", "conversation_id"):
        found_id = as_uuid(value.get(member))
        if found_id:
            ok = str(found_id) == value[member]
            yield Check("handoff.canonical-id", ok, f"{member} is not canonical", str(found_id), str(value[member]))


def crm(exchange: Exchange, target: Target) -> Iterator[Check]:
    """The answer of a CRM write."""
    if not exchange.operation or exchange.operation.takes_lead or exchange.parsed.error:
        return
    value = exchange.parsed.value
    if not isinstance(value, dict):
        if exchange.status == 200:
            yield Check("crm.ok", False, "the answer is no object", "an object with `ok`", text(exchange.body))
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
    problems = validators.problems(f"/components/schemas/CrmCreateRecordResponse/oneOf/{branch}", value)
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


def refusal(exchange: Exchange, target: Target) -> Iterator[Check]:
    """The headers of a 429."""
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
            yield Check("limit.headers-integer", ok, f"{name} is {value!r}", "digits", repr(value))
        if name != "Retry-After":
            yield Check("limit.headers-present", value is not None, f"no {name}", name, "none")
    limit, remaining, reset = (exchange.header(f"X-RateLimit-{name}") or "" for name in ("Limit", "Remaining", "Reset"))
    if _INTEGER.fullmatch(limit):
        ok = int(limit) == target.limit
        yield Check("limit.limit-value", ok, f"X-RateLimit-Limit is {limit}", str(target.limit), limit)
    if _INTEGER.fullmatch(remaining):
        ok = int(remaining) == 0
        yield Check("limit.remaining-zero", ok, f"X-RateLimit-Remaining is {remaining}", "0", remaining)
    if _INTEGER.fullmatch(reset):
        # Date may be a second old, and all three are rounded. Without it there is our own clock, which may be off.
        grace = 3.0 if exchange.header("Date") else 120.0
        soonest, latest = exchange.at, exchange.at + window
        if exchange.wait_s is not None and 1 <= exchange.wait_s <= window:
            soonest = latest = exchange.at + exchange.wait_s
        ok = soonest - grace <= int(reset) <= latest + grace
        wanted = f"{soonest:.0f}" if soonest == latest else f"{soonest:.0f} to {latest:.0f}"
        yield Check("limit.reset", ok, f"X-RateLimit-Reset is {reset}", f"{wanted}, give or take {grace:g}", reset)


ORACLES: tuple[Oracle, ...] = (server_error, status, document, envelope, leak, handoff, crm, refusal)


@dataclass
class Memory:
    """What the kit remembers from exchange to exchange, for the clauses about more than one."""

    handoffs: dict[UUID, int] = field(default_factory=dict)
    conversations: dict[UUID, UUID] = field(default_factory=dict)

    def ask(self, exchange: Exchange) -> Iterator[Check]:
        """`handoff.fresh-id` and `handoff.same-conversation`."""
        if not exchange.operation or not exchange.operation.takes_lead or exchange.status != 200:
            return
        value = exchange.parsed.value
        if not isinstance(value, dict):
            return
        handoff_id, lead_id, conversation = (
            as_uuid(value.get(m)) for m in ("handoff_id", "lead_id", "conversation_id")
        )
        if handoff_id:
            first = self.handoffs.setdefault(handoff_id, exchange.number)
            yield Check(
                "handoff.fresh-id",
                first == exchange.number,
                f"the handoff_id of request {first} again",
                "a fresh handoff_id",
                str(handoff_id),
            )
        # By the lead that was asked for: what the answer calls it has a clause of its own.
        asked = as_uuid(exchange.request.path.partition("?")[0].split("/")[-2])
        if asked and conversation and lead_id:
            known = self.conversations.setdefault(asked, conversation)
            yield Check(
                "handoff.same-conversation",
                known == conversation,
                f"the conversation of lead {asked} has changed",
                str(known),
                str(conversation),
            )


def as_uuid(value: Any) -> UUID | None:
    """A UUID in its form with hyphens, in any letter case; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", value):
        return UUID(value)
    return None


def text(body: bytes, limit: int | None = 200) -> str:
    """A body for the reader: UTF-8 as far as it goes, cut."""
    shown = body.decode("utf-8", "replace")
    return shown if limit is None or len(shown) <= limit else shown[:limit] + "..."


def _base64(text: str) -> str:
    """What of `text` in Base64 depends on nothing that may stand behind it."""
    return base64.b64encode(text.encode()).decode()[: len(text) // 3 * 4]


def _schema_check(clause: str, problems: list[validators.Problem], exchange: Exchange) -> Check:
    if not problems:
        return Check(clause, True)
    first = problems[0]
    return Check(
        clause, False, f"{first.where or 'the answer'}: {first.message}", "what the schema says", text(exchange.body)
    )
