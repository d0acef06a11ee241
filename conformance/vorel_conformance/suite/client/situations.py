"""The situations that an integration is put into: its tasks, and what the mock does meanwhile. Data.

Everything that happens here is lawful by the contract, or is what networks do. Trouble of the network comes in two
situations, on a fresh connection and on one that was used before: libraries behave differently there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from vorel_conformance.spec import contract
from vorel_conformance.suite.client.tasks import CREATE, HANDOFF
from vorel_conformance.suite.values import SUSPICIOUS

# What networks and services do, for `_trouble`: name, sentence, fault, and the options that it is armed with.
_LATE_S = 1.5
_RETRY_AFTER_S = 2

# The clauses about the form of any request.
_FORM = (
    "request.http",
    "request.declared",
    "request.method",
    "request.bearer",
    "request.media-type",
    "request.strict-json",
    "request.schema",
)


@dataclass(frozen=True)
class Work:
    """A task to be made."""

    do: str
    reason: str | None = None
    summary: str | None = None
    object: str = "contact"
    fields: Mapping[str, Any] = field(default_factory=dict)  # beside those that each object needs
    unknown_lead: bool = False
    like: int | None = None  # the number of an earlier create in this situation: the same object and fields
    again: int | None = None  # the number of an earlier task in this situation: that very task


@dataclass(frozen=True)
class Armed:
    """A fault that is armed in the mock before the tasks are given."""

    fault: str
    do: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """One situation."""

    name: str
    about: str
    executions: tuple[tuple[Work, ...], ...]
    clauses: tuple[str, ...]  # the clauses that it is made for; others get evidence from it as well
    faults: tuple[Armed, ...] = ()
    key: str = "full"  # the key of the tenant's profile that the integration gets
    tenant: Mapping[str, Any] = field(default_factory=dict)
    quota: bool = False  # the tenant's clock stands before the end of a window until the first 429
    seconds: float = 1.0  # what it takes at least; long ones are started first

    def only(self, does: frozenset[str]) -> Situation | None:
        """Return the situation with the tasks of these kinds alone, or None if that leaves none."""
        executions = tuple(tuple(each for each in works if each.do in does) for works in self.executions)
        if not any(executions):
            return None
        faults = tuple(each for each in self.faults if each.do in does)
        if self.faults and not faults:
            return None
        return replace(self, executions=tuple(filter(None, executions)), faults=faults)


def _handoff(**members: Any) -> Work:
    return Work(HANDOFF, **{"reason": "no-response-7d", **members})


def _create(**members: Any) -> Work:
    return Work(CREATE, **members)


def _each(fault: str, **options: Any) -> tuple[Armed, ...]:
    """Arm a fault for both operations."""
    return tuple(Armed(fault, do, options) for do in (HANDOFF, CREATE))


def _trouble(
    name: str, about: str, fault: str, *clauses: str, reused: bool = True, seconds: float = 1.0, **options: Any
) -> Iterator[Situation]:
    """Yield the situations of one trouble, which the next request of each operation meets once."""
    target = (_handoff(summary="The one that meets trouble."), _create())
    yield Situation(name, about, (target,), clauses, _each(fault, **options), seconds=seconds)
    if reused:
        yield Situation(
            f"{name}-reused",
            f"{about} Requests on the same connection succeeded before.",
            ((_handoff(), _create(), *target),),
            clauses,
            _each(fault, **options, after=1),
            seconds=seconds,
        )


@cache
def load() -> dict[str, Situation]:
    """Return all situations by name, in the order in which reports show them."""
    return {each.name: each for each in _situations()}


def _longest(member: str) -> int:
    found: int = contract.load().schema("LeadHandoffBody")["properties"][member]["maxLength"]
    return found


def _text_of(length: int) -> str:
    """Return a text of this length whose end shows if it was cut."""
    return ("All work and no play. " * length)[: length - 4] + " end"


def _situations() -> Iterator[Situation]:
    objects = contract.load().at("/components/schemas/CrmCreateRecordBody/properties/object/enum")
    yield Situation(
        "plain",
        "Nothing goes wrong.",
        (
            (
                _handoff(summary="Asked for a call back twice; prefers the afternoon."),
                Work(HANDOFF),
                _handoff(),
                *(_create(object=each) for each in objects),
                _create(
                    fields={
                        "amount": 1250.5,
                        "seats": 12,
                        "vip": True,
                        "middle_name": None,
                        "tags": ["north", "summer", 3],
                        "address": {"street": "Main St", "no": 7, "geo": {"lat": 52.52, "lon": -13.4}},
                        "notes": "",
                        "zero": 0,
                        "customField_9": "as given",
                    }
                ),
            ),
        ),
        (
            *_FORM,
            "request.lead",
            "request.object",
            "request.fields",
            "request.left-out",
            "idempotency.key",
            "answers.done",
            "answers.one-outcome",
            "answers.exit",
            "answers.reported-id",
            "secrets.url",
            "secrets.body",
            "secrets.header",
            "secrets.output",
        ),
    )
    letters = "Ünïcode 漢字 кириллица עברית हिन्दी 🙂 \U00020000 e\u0301 \u200d"
    yield Situation(
        "letters",
        "The texts of the tasks have letters of all planes, quotation marks, line breaks and marks that escape.",
        (
            (
                Work(HANDOFF, reason="näher 🙂", summary=f'{letters}\n"quoted" \\ back\tslash </p> & %41 \u2028'),
                *(_handoff(summary=text) for text in SUSPICIOUS.values()),
                _create(fields={"first_name": letters, "nickname": '"Ann" \\n {{x}} ${y}', "ключ": "значение"}),
            ),
        ),
        ("request.reason", "request.summary", "request.fields", "request.strict-json"),
    )
    longest = {member: _longest(member) for member in ("reason", "summary")}
    yield Situation(
        "at-limit",
        "Reason and summary are just as long as the contract allows.",
        ((_handoff(), _handoff(reason=_text_of(longest["reason"]), summary=_text_of(longest["summary"]))),),
        ("request.at-limit",),
    )
    yield Situation(
        "over-limit",
        "In two tasks a text is one character longer than the contract allows. A third task is fine.",
        (
            (
                _handoff(reason=_text_of(longest["reason"] + 1)),
                _handoff(summary=_text_of(longest["summary"] + 1)),
                _handoff(),
            ),
        ),
        ("request.over-limit", "retry.not-rejected", "retry.isolated"),
    )
    yield Situation(
        "same-fields",
        "Two tasks are to create records with the same object and fields.",
        ((_create(), _create(like=0)),),
        ("idempotency.distinct",),
    )
    yield Situation(
        "restart",
        "The integration is started twice. The second time it gets one task again, and a new one with the same fields.",
        ((_create(), _create()), (_create(again=0), _create(like=1))),
        ("idempotency.distinct-restart", "idempotency.restart"),
        seconds=2,
    )
    yield from _answers()
    yield from _rejections()
    yield from _limits()
    yield from _network()


def _answers() -> Iterator[Situation]:
    for name, about, clauses, faults in (
        (
            "lawful-members",
            "Responses have members that the contract does not list, or lack those that it does not require.",
            ("answers.unlisted-members", "answers.optional-members", "answers.channels"),
            ("unlisted_members", "no_record_url", "email_channel", "slack_channel", "reordered_members"),
        ),
        (
            "lawful-spelling",
            "Responses are spelled in other ways that the contract and HTTP allow.",
            ("answers.spelling",),
            ("charset_parameter", "white_space", "chunked_framing", "lower_case_header_names", "other_header_names"),
        ),
    ):
        only = {"no_record_url": (CREATE,), "email_channel": (HANDOFF,), "slack_channel": (HANDOFF,)}
        armed = tuple(Armed(fault, do) for fault in faults for do in only.get(fault, (HANDOFF, CREATE)))
        works = tuple(_handoff() if each.do == HANDOFF else _create() for each in armed)
        yield Situation(name, about, (works,), clauses, armed)
    yield Situation(
        "late",
        f"Responses come late, after {_LATE_S:g} s.",
        ((_handoff(), _create()),),
        ("answers.late",),
        _each("latency", delay=f"{round(_LATE_S * 1000)}ms"),
        seconds=3,
    )
    errors = ("no_crm_configured", "auth_failed", "validation_error", "quota_exceeded")
    yield Situation(
        "soft-failures",
        "The CRM refuses some records: HTTP 200 with ok: false, one with an error that the contract does not name.",
        ((*(_create(fields={"source": f"{error}@crm-error.test"}) for error in errors), _create()),),
        ("answers.soft-failure", "answers.soft-not-repeated", "answers.error-name", "retry.isolated"),
    )
    yield Situation(
        "soft-failure-bare",
        "The CRM refuses a record, and the response has no detail.",
        ((_create(),),),
        ("answers.optional-members", "answers.soft-failure"),
        (Armed("no_detail", CREATE, {"every": 1}),),
        tenant={"crm": None},
    )
    yield Situation(
        "soft-rate-limited",
        "The CRM is limiting: ok: false with rate_limited, once for the first task, always for the second one.",
        ((_create(), _create(fields={"source": "rate_limited@crm-error.test"})),),
        ("answers.soft-rate-limited",),
        (Armed("crm_rate_limited", CREATE),),
        seconds=3,
    )


def _rejections() -> Iterator[Situation]:
    yield Situation(
        "unknown-lead",
        "The lead of one task does not exist: 404. The tasks around it are fine.",
        ((_handoff(), _handoff(unknown_lead=True), _handoff(), _create()),),
        ("retry.not-found", "retry.isolated"),
    )
    yield Situation(
        "revoked-key",
        "The API key is revoked: 401 for everything.",
        ((_handoff(), _create()),),
        ("retry.not-unauthorized",),
        key="revoked",
    )
    yield Situation(
        "missing-scope",
        "The API key lacks the scope: 403 for everything.",
        ((_handoff(), _create()),),
        ("retry.not-forbidden",),
        key="read_only",
    )


def _limits() -> Iterator[Situation]:
    clauses = ("limit.waits", "limit.completes", "limit.once", "limit.honest")
    options = {"retry_after": f"{_RETRY_AFTER_S}s"}
    some = (_handoff(), _create(), _handoff(), _create(), _handoff(), _create())
    for name, about, after in (
        ("limited", "The first request of each kind is rejected: 429 with Retry-After.", 0),
        ("limited-reused", "The third request of each kind is rejected: 429 with Retry-After.", 2),
    ):
        armed = _each("rate_limited", **options, after=after)
        yield Situation(name, about, (some,), clauses, armed, seconds=_RETRY_AFTER_S * 2)
    yield Situation(
        "limited-bare",
        "A request is rejected: 429 with Retry-After, without the other headers of the limit.",
        ((_handoff(), _create()),),
        ("limit.bare", "limit.waits"),
        _each("bare_rate_limited", **options),
        seconds=_RETRY_AFTER_S * 2,
    )
    yield Situation(
        "quota",
        "There are more tasks than the key may send in this window of its rate limit, which ends soon.",
        (some,),
        clauses,
        tenant={"rate_limit": 4},
        quota=True,
        seconds=_RETRY_AFTER_S + 1,
    )


def _network() -> Iterator[Situation]:
    lost = (
        "retry.one-handoff",
        "idempotency.same-key",
        "idempotency.same-body",
        "idempotency.one-record",
        "answers.honest",
    )
    yield from _trouble(
        "unavailable",
        "The API is away for a moment: 503, nothing was done.",
        "unavailable",
        "retry.reported",
        "retry.tries-again",
    )
    yield Situation(
        "outage",
        "The API is away for good: 503 for everything.",
        ((_handoff(), _create()),),
        ("retry.bounded", "retry.pauses", "retry.reported"),
        _each("unavailable", every=1),
        seconds=8,
    )
    yield from _trouble(
        "bad-gateway",
        "A proxy answers with 502 and a page of HTML, nothing was done.",
        "bad_gateway",
        "answers.html",
        "retry.reported",
    )
    yield from _trouble(
        "error-after-commit",
        "The work is done, but the answer is a 500.",
        "internal_error_after_commit",
        *lost,
        reused=False,
    )
    yield from _trouble(
        "reset-before", "The connection is reset before anything was done.", "connection_reset", "retry.reported"
    )
    yield from _trouble(
        "reset-after",
        "The work is done, then the connection is reset without an answer.",
        "connection_reset_after_commit",
        *lost,
    )
    yield from _trouble(
        "closed-after",
        "The work is done, then the connection is closed without an answer.",
        "connection_close_after_commit",
        *lost,
    )
    yield from _trouble("cut-body", "The work is done, but the answer breaks off half-way.", "truncated_body", *lost)
    for do, name in ((HANDOFF, "handoff"), (CREATE, "crm")):
        yield Situation(
            f"no-answer-{name}",
            "The work is done, but the answer never comes.",
            ((Work(do, reason="no-response-7d" if do == HANDOFF else None), Work(do)),),
            ("retry.gives-up", *lost),
            (Armed("no_answer_after_commit", do, {"delay": "1h"}),),
            seconds=20,
        )
    yield Situation(
        "redirect",
        "Requests are redirected to another host: 307 and 308.",
        ((_handoff(), _create(), _handoff(), _create()),),
        ("secrets.redirect",),
        (*_each("redirect"), *_each("permanent_redirect")),
    )


def select(name: str | None, does: frozenset[str]) -> list[Situation]:
    """Return the situations to run: one by name, or all, each with the tasks that the integration does."""
    chosen = [load()[name]] if name else list(load().values())
    return [found for each in chosen if (found := each.only(does)) is not None]
