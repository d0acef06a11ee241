"""The catalogue of named deviations: what can be made to go wrong, one thing each.

A fault's stage says when it happens: `before` instead of the answer, without any effect; `after` the effect is
committed, so that only the answer is wrong or lost; `crm` between the mock and the tenant's CRM; `webhook` on the way
to a receiver.
`clause` is the clause of the conformance kit that a server with this fault breaks, if it breaks one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from vorel_mock.api.messages import Answer, Exchange, Headers, Manner, Refusal
from vorel_mock.api.steps import rate_limit
from vorel_mock.contract.contract import Contract, RateLimitHeaders
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.crm import DETAILS, CrmError, ErrorName
from vorel_mock.model.rate_window import reset_at

Stage = Literal["before", "after", "crm", "webhook"]

#: Seconds that an answer is held back by a fault that says nothing of its own.
_A_WHILE = 1.0
#: Seconds after which a client that was never answered is cut off.
_NEVER = 60.0
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Situation:
    """What a fault may look at. `answer` is the true answer, for a fault of the stage `after`."""

    contract: Contract
    exchange: Exchange
    armed: ArmedFault
    answer: Answer | None = None

    def delay(self, otherwise: float) -> float:
        """Seconds, as armed or as the fault would have it."""
        return otherwise if self.armed.delay is None else self.armed.delay

    @property
    def true(self) -> Answer:
        """The true answer."""
        assert self.answer is not None
        return self.answer

    def changed(self, **members: Any) -> Answer:
        """The true answer with other members in its body; None takes a member away."""
        value = {**msgspec.json.decode(self.true.body), **members}
        body = msgspec.json.encode({name: member for name, member in value.items() if member is not None})
        return Answer(self.true.status, body, self.true.headers)


def _always(_: Situation) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the catalogue."""

    id: str
    sentence: str
    stage: Stage
    spoil: Callable[[Situation], Answer | None]
    """Makes the answer instead, or raises Refusal or CrmError; None lets the request go on."""
    clause: str | None = None
    operation: str | None = None
    """The only operation that can meet it; None for any."""
    applies: Callable[[Situation], bool] = _always
    """Whether an answer is one that it can spoil; others pass and are not counted."""
    takes_time: bool = False
    """Whether `delay` says anything to it."""


def _envelope(contract: Contract, status: int, message: str, code: str | None = None) -> bytes:
    code = code or contract.error_codes.get(status, "internal_error")
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def declared(status: int) -> Callable[[Situation], Answer]:
    """An error that the contract declares, now, in the document's own words; 429 with its headers."""

    def spoil(situation: Situation) -> Answer:
        reason = f"asked for: {situation.exchange.preference or situation.armed.fault}"
        if status == 429:
            raise _limited(situation, reason)
        # A document of another make may declare a status without a description, or not declare it at all.
        _, description = situation.contract.error_responses.get(status, ("", "A fault was asked for."))
        raise Refusal(status, description, reason=reason)

    return spoil


def _limited(situation: Situation, reason: str = "") -> Refusal:
    tenant = situation.exchange.tenant
    assert tenant is not None
    now = tenant.clock.now()
    limit = tenant.rate_limit or 1  # it may be switched off; the answer is that of one that is on
    return rate_limit.refusal(_limit_headers(situation), limit, "API key", reset_at(now), now, reason)


def _limit_headers(situation: Situation) -> RateLimitHeaders:
    return situation.contract.rate_limit_headers(situation.exchange.operation)


def _limited_with(change: Callable[[Headers, bytes], Headers]) -> Callable[[Situation], Answer]:
    """A 429 whose headers are changed; `change` is told the name of its Retry-After."""

    def spoil(situation: Situation) -> Answer:
        refusal = _limited(situation)
        headers = change(refusal.headers, (_limit_headers(situation).retry_after or "").encode())
        return Answer(429, _envelope(situation.contract, 429, refusal.message), [_JSON, *headers])

    return spoil


def _without_retry_after(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0] != name]


def _retry_after_in_milliseconds(headers: Headers, name: bytes) -> Headers:
    return [(key, b"%d" % (int(value) * 1000)) if key == name else (key, value) for key, value in headers]


def _answer(
    status: int, body: bytes | None, content_type: bytes = b"application/json", code: str | None = None
) -> Callable[[Situation], Answer]:
    """A fixed answer; without a body, the envelope of `status`."""

    def spoil(situation: Situation) -> Answer:
        content = _envelope(situation.contract, status, "A fault was asked for.", code) if body is None else body
        return Answer(status, content, [(b"content-type", content_type)])

    return spoil


def _manner(manner: Callable[[Situation], Manner]) -> Callable[[Situation], Answer]:
    """The true answer, sent badly."""

    def spoil(situation: Situation) -> Answer:
        true = situation.true
        return Answer(true.status, true.body, true.headers, manner(situation))

    return spoil


def _reset(situation: Situation) -> Answer:
    return Answer(503, b"", [], Manner(end="reset"))


def _silence(situation: Situation) -> Answer:
    return Answer(503, b"", [], Manner(delay=situation.delay(_NEVER), end="reset"))


def _body(change: Callable[[bytes], bytes]) -> Callable[[Situation], Answer]:
    def spoil(situation: Situation) -> Answer:
        return Answer(situation.true.status, change(situation.true.body), situation.true.headers)

    return spoil


def _handoff_ids(situation: Situation) -> list[str]:
    """Every handoff of this lead that the tenant keeps, oldest first."""
    tenant = situation.exchange.tenant
    assert tenant is not None
    lead_id = msgspec.json.decode(situation.true.body)["lead_id"]
    return [handoff.id for handoff in tenant.handoffs if handoff.lead_id == lead_id]


def _reposted(situation: Situation) -> bool:
    return len(_handoff_ids(situation)) > 1


def _stale_handoff_id(situation: Situation) -> Answer:
    return situation.changed(handoff_id=_handoff_ids(situation)[0])


def _succeeded(situation: Situation) -> bool:
    """Whether the record was written: a soft failure has neither `ok: true` nor a URL."""
    return msgspec.json.decode(situation.true.body)["ok"] is True


def _plain_text(situation: Situation) -> Answer:
    return Answer(situation.true.status, situation.true.body, [(b"content-type", b"text/plain")])


def _crm(error: str) -> Callable[[Situation], Answer | None]:
    details = {str(name): detail for name, detail in DETAILS.items()}

    def spoil(situation: Situation) -> Answer | None:
        raise CrmError(error, details.get(error, "A fault was asked for."))

    return spoil


def _on_the_way(situation: Situation) -> None:
    """A webhook fault does nothing to the answer: the delivery meets it."""


def _mishap(name: str, sentence: str, *, takes_time: bool = False) -> Fault:
    """A fault of the one event that this contract's operations publish."""
    return Fault(f"webhook_{name}", sentence, "webhook", _on_the_way, None, "handoffLead", takes_time=takes_time)


_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

_ENTRIES = (
    # -- instead of the answer ------------------------------------------------------------------------------------
    Fault("rate_limited", "The key is over its limit, now.", "before", declared(429)),
    Fault(
        "unauthorized",
        "The key is not accepted, now.",
        "before",
        declared(401),
    ),
    Fault("forbidden", "The key lacks the scope, now.", "before", declared(403)),
    Fault(
        "internal_error",
        "500 with the envelope; nothing was done.",
        "before",
        _answer(500, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "bad_gateway",
        "502 with a proxy's HTML page; nothing was done.",
        "before",
        _answer(502, _HTML, b"text/html"),
        "fuzz.no-server-error",
    ),
    Fault(
        "unavailable",
        "503 with the envelope; nothing was done.",
        "before",
        _answer(503, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "undeclared_status",
        "422, which no operation declares.",
        "before",
        _answer(422, None, code="bad_request"),
        "envelope.declared-status",
    ),
    Fault(
        "missing_retry_after",
        "429 without Retry-After.",
        "before",
        _limited_with(_without_retry_after),
        "limit.retry-after",
    ),
    Fault(
        "retry_after_milliseconds",
        "429 whose Retry-After counts milliseconds.",
        "before",
        _limited_with(_retry_after_in_milliseconds),
        "limit.retry-after",
    ),
    Fault(
        "wrong_error_code",
        "403 whose code is `unauthorized`.",
        "before",
        _answer(403, None, code="unauthorized"),
        "envelope.code-matches-status",
    ),
    Fault(
        "unknown_error_code",
        "403 with a code that the document does not list.",
        "before",
        _answer(403, None, code="teapot"),
        "envelope.code",
    ),
    Fault(
        "bare_error",
        "403 with an error that is a string, not an object.",
        "before",
        _answer(403, b'{"error":"forbidden"}'),
        "envelope.shape",
    ),
    Fault("connection_reset", "The connection is reset; nothing was done.", "before", _reset),
    Fault(
        "no_answer", "The answer never comes (`delay`, 60 s); nothing was done.", "before", _silence, takes_time=True
    ),
    # -- the effect is committed, the answer is wrong or lost -----------------------------------------------------
    Fault(
        "latency",
        "The answer takes a while (`delay`, 1 s).",
        "after",
        _manner(lambda s: Manner(delay=s.delay(_A_WHILE))),
        takes_time=True,
    ),
    Fault(
        "slow_body",
        "The body drips, a few bytes at a time (`delay`, 1 s in all).",
        "after",
        _manner(lambda s: Manner(drip=s.delay(_A_WHILE))),
        takes_time=True,
    ),
    Fault(
        "truncated_body",
        "The connection is reset half-way through the body.",
        "after",
        _manner(lambda s: Manner(end="truncated")),
    ),
    Fault("connection_reset_after_commit", "The work is done, then the connection is reset.", "after", _reset),
    Fault(
        "internal_error_after_commit",
        "The work is done, then 500.",
        "after",
        _answer(500, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "no_answer_after_commit",
        "The work is done, the answer never comes (`delay`, 60 s).",
        "after",
        _silence,
        takes_time=True,
    ),
    Fault(
        "broken_json",
        "The body ends before its JSON does.",
        "after",
        _body(lambda body: body[:-1]),
        "envelope.strict-json",
    ),
    Fault("empty_body", "200 without a body.", "after", _body(lambda body: b""), "envelope.strict-json"),
    Fault("wrong_media_type", "The answer says text/plain.", "after", _plain_text, "envelope.json-media-type"),
    Fault(
        "wrong_conversation_status",
        "conversation_status is `queued`, which is not in its enum.",
        "after",
        lambda s: s.changed(conversation_status="queued"),
        "handoff.conversation-status",
        "handoffLead",
    ),
    Fault(
        "wrong_notified_channel",
        "notified_channel is `sms`, which is not in its enum.",
        "after",
        lambda s: s.changed(notified_channel="sms"),
        "handoff.notified-channel",
        "handoffLead",
    ),
    Fault(
        "missing_member",
        "notified_channel is left out.",
        "after",
        lambda s: s.changed(notified_channel=None),
        "handoff.answer",
        "handoffLead",
    ),
    Fault(
        "other_lead_id",
        "lead_id is not the one of the path.",
        "after",
        lambda s: s.changed(lead_id="00000000-0000-4000-8000-000000000000"),
        "handoff.lead-id",
        "handoffLead",
    ),
    Fault(
        "stale_handoff_id",
        "A re-post answers with the handoff_id of the first.",
        "after",
        _stale_handoff_id,
        "handoff.fresh-id",
        "handoffLead",
        applies=_reposted,
    ),
    Fault(
        "ok_as_text",
        'ok is the text "true".',
        "after",
        lambda s: s.changed(ok="true"),
        "crm.ok",
        "createCrmRecord",
        applies=_succeeded,
    ),
    Fault(
        "relative_record_url",
        "record_url has no scheme and no host.",
        "after",
        lambda s: s.changed(record_url="/record/1"),
        "crm.record-url",
        "createCrmRecord",
        applies=_succeeded,
    ),
    # -- between the mock and the tenant's CRM --------------------------------------------------------------------
    *(
        Fault(
            f"crm_{error}", f"The CRM write fails softly with `{error}`.", "crm", _crm(error), None, "createCrmRecord"
        )
        for error in (*ErrorName, "upstream_unavailable")
    ),
    # -- on the way to a webhook receiver -------------------------------------------------------------------------
    _mishap("duplicate", "The event is delivered twice."),
    _mishap("tampered", "The event is delivered with a signature that does not match."),
    _mishap("late", "The event is delivered late (`delay`, 60 s on the tenant's clock).", takes_time=True),
    _mishap("reordered", "The event is delivered after the one that follows it."),
    _mishap("lost", "The event is not delivered."),
)

#: Every fault by its id.
CATALOGUE: Mapping[str, Fault] = {fault.id: fault for fault in _ENTRIES}
