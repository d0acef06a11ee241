"""The catalogue of named deviations: what can be made to go wrong, one thing each.

The stage of a fault says when it happens: `before` instead of the response, without any effect; `after` the effect is
committed, so that only the response is wrong or lost; `crm` between the mock and the tenant's CRM; `webhook` on the
way to a receiver.
`clause` is the clause of the conformance kit that a server with this fault breaks, if it breaks one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vorel_mock.api.faults import deviations
from vorel_mock.api.faults.deviations import BASE_URL, FaultContext
from vorel_mock.api.messages import Response, Transmission
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.crm import ErrorName
from vorel_mock.model.stubs import Stub

#: `operation`, in place of the operation, is the stage of a stub's own response alone.
Stage = Literal["before", "after", "crm", "webhook", "operation"]
Group = Literal["lawful"]

#: The options that only some faults have, each with what the others do not do.
OPTIONS = {"delay": "takes no time", "retry_after": "tells no time to wait", "location": "redirects nowhere"}

#: Seconds that a response is delayed by a fault, unless the fault was armed with `delay`.
_DELAY = 1.0
#: Seconds on the tenant's clock that an event is delivered late, unless the fault was armed with `delay`.
_LATE = 60.0


def _always(_: FaultContext) -> bool:
    return True


def _no_response(_: FaultContext) -> None:
    """A webhook fault leaves the response alone: the delivery meets it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the catalogue."""

    id: str
    sentence: str
    stage: Stage
    apply: Callable[[FaultContext], Response | None] = _no_response
    """Returns the response to send instead, or None to go on. May raise ApiError or CrmError."""
    clause: str | None = None
    operation: str | None = None
    """The only operation that can meet it; None for any."""
    applies: Callable[[FaultContext], bool] = _always
    """True for a response that it can change. Other responses pass and are not counted."""
    option: str | None = None
    """The option of its own that it is armed with, one of OPTIONS."""
    group: Group | None = None
    """`lawful`: the response is valid by the contract, and unlike the usual one."""
    delivery: Callable[[ArmedFault], dict[str, Any] | None] | None = None
    """For the stage `webhook`: the keywords of `Dispatcher.publish`; returns None if the event is not published."""


def _webhook(
    name: str, sentence: str, delivery: Callable[[ArmedFault], dict[str, Any] | None], *, option: str | None = None
) -> Fault:
    """Return a fault of the one event that this contract's operations publish."""
    return Fault(f"webhook_{name}", sentence, "webhook", operation="handoffLead", option=option, delivery=delivery)


_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

_ENTRIES = (
    # -- instead of the response ------------------------------------------------------------------------------------
    Fault(
        "rate_limited",
        "The key is over its limit, now (`retry_after`, until the end of the window).",
        "before",
        deviations.declared(429),
        option="retry_after",
    ),
    Fault(
        "unauthorized",
        "The key is not accepted, now.",
        "before",
        deviations.declared(401),
    ),
    Fault("forbidden", "The key lacks the scope, now.", "before", deviations.declared(403)),
    Fault(
        "internal_error",
        "500 with the envelope; nothing was done.",
        "before",
        deviations.fixed(500, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "bad_gateway",
        "502 with a proxy's HTML page; nothing was done.",
        "before",
        deviations.fixed(502, _HTML, b"text/html"),
        "fuzz.no-server-error",
    ),
    Fault(
        "unavailable",
        "503 with the envelope; nothing was done.",
        "before",
        deviations.fixed(503, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "undeclared_status",
        "422, which no operation declares.",
        "before",
        deviations.fixed(422, None, code="bad_request"),
        "envelope.declared-status",
    ),
    Fault(
        "missing_retry_after",
        "429 without Retry-After.",
        "before",
        deviations.limited_with(deviations.without_retry_after),
        "limit.retry-after",
    ),
    Fault(
        "retry_after_milliseconds",
        "429 whose Retry-After counts milliseconds.",
        "before",
        deviations.limited_with(deviations.retry_after_in_milliseconds),
        "limit.retry-after",
    ),
    Fault(
        "wrong_error_code",
        "403 whose code is `unauthorized`.",
        "before",
        deviations.fixed(403, None, code="unauthorized"),
        "envelope.code-matches-status",
    ),
    Fault(
        "unknown_error_code",
        "403 with a code that the document does not list.",
        "before",
        deviations.fixed(403, None, code="teapot"),
        "envelope.code",
    ),
    Fault(
        "bare_error",
        "403 with an error that is a string, not an object.",
        "before",
        deviations.fixed(403, b'{"error":"forbidden"}'),
        "envelope.shape",
    ),
    Fault(
        "redirect",
        "307 to another host (`location`); nothing was done.",
        "before",
        deviations.redirect(307),
        "envelope.declared-status",
        option="location",
    ),
    Fault(
        "permanent_redirect",
        "308 to another host (`location`); nothing was done.",
        "before",
        deviations.redirect(308),
        "envelope.declared-status",
        option="location",
    ),
    Fault("connection_reset", "The connection is reset; nothing was done.", "before", deviations.reset),
    Fault(
        "no_answer",
        "The response never comes (`delay`, 60 s); nothing was done.",
        "before",
        deviations.never,
        option="delay",
    ),
    Fault(
        "connection_close",
        "The connection is closed in order (FIN), without a response; nothing was done.",
        "before",
        deviations.close,
    ),
    # -- the effect is committed, the response is wrong or lost -----------------------------------------------------
    Fault(
        "latency",
        "The response is late (`delay`, 1 s).",
        "after",
        deviations.sent(lambda armed: Transmission(delay=deviations.delay(armed, _DELAY))),
        option="delay",
    ),
    Fault(
        "slow_body",
        "The body drips, a few bytes at a time (`delay`, 1 s in all).",
        "after",
        deviations.sent(lambda armed: Transmission(drip=deviations.delay(armed, _DELAY))),
        option="delay",
    ),
    Fault(
        "truncated_body",
        "The connection is reset half-way through the body.",
        "after",
        deviations.sent(lambda armed: Transmission(end="truncated")),
    ),
    Fault(
        "connection_reset_after_commit", "The work is done, then the connection is reset.", "after", deviations.reset
    ),
    Fault(
        "connection_close_after_commit",
        "The work is done, then the connection is closed in order (FIN), without a response.",
        "after",
        deviations.close,
    ),
    Fault(
        "internal_error_after_commit",
        "The work is done, then 500.",
        "after",
        deviations.fixed(500, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "no_answer_after_commit",
        "The work is done, the response never comes (`delay`, 60 s).",
        "after",
        deviations.never,
        option="delay",
    ),
    Fault(
        "broken_json",
        "The body ends before its JSON does.",
        "after",
        deviations.body(lambda body: body[:-1]),
        "envelope.strict-json",
    ),
    Fault("empty_body", "200 without a body.", "after", deviations.body(lambda body: b""), "envelope.strict-json"),
    Fault(
        "wrong_media_type", "The response says text/plain.", "after", deviations.plain_text, "envelope.json-media-type"
    ),
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
        "The response to a re-post has the handoff_id of the first handoff.",
        "after",
        deviations.stale_handoff_id,
        "handoff.fresh-id",
        "handoffLead",
        applies=deviations.reposted,
    ),
    Fault(
        "ok_as_text",
        'ok is the text "true".',
        "after",
        lambda s: s.changed(ok="true"),
        "crm.ok",
        "createCrmRecord",
        applies=deviations.succeeded,
    ),
    Fault(
        "relative_record_url",
        "record_url has no scheme and no host.",
        "after",
        lambda s: s.changed(record_url="/record/1"),
        "crm.record-url",
        "createCrmRecord",
        applies=deviations.succeeded,
    ),
    # -- the contract allows the response, and clients that expect too much fail ----------------------------------
    Fault(
        "bare_rate_limited",
        "429 with Retry-After (`retry_after`) and without the other headers of the limit; nothing was done.",
        "before",
        deviations.limited_with(deviations.retry_after_alone),
        option="retry_after",
        group="lawful",
    ),
    Fault(
        "unlisted_members",
        "The response has members that the contract does not list.",
        "after",
        deviations.with_unlisted_members,
        applies=deviations.may_have_more_members,
        group="lawful",
    ),
    Fault(
        "no_record_url",
        "record_url is left out.",
        "after",
        lambda s: s.changed(record_url=None),
        operation="createCrmRecord",
        applies=deviations.has("record_url"),
        group="lawful",
    ),
    Fault(
        "no_detail",
        "A soft failure has no detail.",
        "after",
        lambda s: s.changed(detail=None),
        operation="createCrmRecord",
        applies=deviations.has("detail"),
        group="lawful",
    ),
    *(
        Fault(
            f"{channel}_channel",
            f"notified_channel is `{channel}`.",
            "after",
            deviations.in_channel(channel),
            operation="handoffLead",
            group="lawful",
        )
        for channel in ("email", "slack")
    ),
    Fault(
        "reordered_members",
        "The members of the response are in another order.",
        "after",
        deviations.body(deviations.in_other_order),
        applies=deviations.is_object,
        group="lawful",
    ),
    Fault(
        "white_space",
        "The JSON of the response has blanks and line breaks.",
        "after",
        deviations.body(deviations.with_white_space),
        applies=deviations.is_object,
        group="lawful",
    ),
    Fault(
        "charset_parameter",
        "Content-Type has the parameter charset=utf-8.",
        "after",
        deviations.with_charset,
        applies=deviations.is_object,
        group="lawful",
    ),
    Fault(
        "no_rate_limit_headers",
        "No X-RateLimit-* headers, also where the setting `rate_limit_headers` is `always`.",
        "after",
        deviations.with_headers(deviations.without_limit),
        group="lawful",
    ),
    Fault(
        "lower_case_header_names",
        "The names of all headers are in lower case.",
        "after",
        deviations.with_headers(deviations.spelled(bytes.lower)),
        group="lawful",
    ),
    Fault(
        "other_header_names",
        "The names of all headers begin their words with a capital.",
        "after",
        deviations.with_headers(deviations.spelled(bytes.title)),
        group="lawful",
    ),
    Fault(
        "chunked_framing",
        "The body has chunked framing instead of a Content-Length.",
        "after",
        deviations.sent(lambda armed: Transmission(chunked=True)),
        applies=lambda context: not context.exchange.request.is_http_1_0,
        group="lawful",
    ),
    # -- between the mock and the tenant's CRM --------------------------------------------------------------------
    *(
        Fault(
            f"crm_{error}",
            f"The CRM write fails softly with `{error}`.",
            "crm",
            deviations.crm(error),
            None,
            "createCrmRecord",
        )
        for error in (*ErrorName, "upstream_unavailable")
    ),
    # -- on the way to a webhook receiver -------------------------------------------------------------------------
    _webhook("duplicate", "The event is delivered twice.", lambda armed: {"duplicate": True}),
    _webhook(
        "tampered", "The event is delivered with a signature that does not match.", lambda armed: {"tampered": True}
    ),
    _webhook(
        "late",
        "The event is delivered late (`delay`, 60 s on the tenant's clock).",
        lambda armed: {"late": deviations.delay(armed, _LATE)},
        option="delay",
    ),
    _webhook("reordered", "The event is delivered after the one that follows it.", lambda armed: {"after_next": True}),
    _webhook("lost", "The event is not delivered.", lambda armed: None),
)

#: Every fault by its id.
CATALOGUE: Mapping[str, Fault] = {fault.id: fault for fault in _ENTRIES}

#: What a stub with a response of its own does. It is not in the catalogue: without a stub there is no response.
_STUBBED = Fault("stub", "The response of a stub.", "operation", deviations.stubbed)


def fault_of(armed: ArmedFault) -> Fault:
    """Return what an armed fault, or a stub, does."""
    return _STUBBED if isinstance(armed, Stub) and armed.response is not None else CATALOGUE[armed.fault]


def check_armed(armed: ArmedFault) -> None:
    """Raises ValueError, which names the member at fault, if the fault cannot be armed in this way."""
    fault = CATALOGUE[armed.fault]
    if armed.operation is not None and fault.operation not in (None, armed.operation):
        raise ValueError(f"operation: {fault.id} is a fault of {fault.operation} only")
    for option, not_done in OPTIONS.items():
        if getattr(armed, option) is not None and fault.option != option:
            those = ", ".join(known.id for known in CATALOGUE.values() if known.option == option)
            raise ValueError(f"{option}: {fault.id} {not_done}; those that do are {those}")
    if armed.location is not None and not BASE_URL.fullmatch(armed.location):
        raise ValueError("location: must be a base URL, such as http://127.0.0.1:8080, without a path")
