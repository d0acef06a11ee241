"""The catalogue of named deviations: what can be made to go wrong, one thing each.

The stage of a fault says when it happens: `before` instead of the response, without any effect; `after` the effect is
committed, so that only the response is wrong or lost; `crm` between the mock and the tenant's CRM; `webhook` on the
way to a receiver.
`clause` is the clause of the conformance kit that a server with this fault breaks, if it breaks one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, Literal

import msgspec

from vorel_mock.api.errors import JSON, error_body
from vorel_mock.api.messages import ApiError, Exchange, Headers, Response, Transmission
from vorel_mock.api.steps import rate_limit
from vorel_mock.contract.contract import Contract, RateLimitHeaders
from vorel_mock.contract.document_file import ContractError
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.crm import DETAILS, CrmError, ErrorName
from vorel_mock.model.rate_window import reset_at

Stage = Literal["before", "after", "crm", "webhook"]
Group = Literal["lawful"]

#: The options that only some faults have, each with what the others do not do.
OPTIONS = {"delay": "takes no time", "retry_after": "tells no time to wait", "location": "redirects nowhere"}

#: The base URL that a redirect names: no path, and nothing that could end a header.
BASE_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
#: Seconds that a response is delayed by a fault, unless the fault was armed with `delay`.
_DELAY = 1.0
#: Seconds after which a client that gets no response is disconnected, unless the fault was armed with `delay`.
_NO_RESPONSE = 60.0
#: Seconds on the tenant's clock that an event is delivered late, unless the fault was armed with `delay`.
_LATE = 60.0
#: The base URL of a redirect, unless the fault was armed with `location`. The name never resolves (RFC 2606).
_ELSEWHERE = "http://elsewhere.invalid"


@dataclass(frozen=True, slots=True)
class FaultContext:
    """The input of a fault. `response` is the true response, for a fault of the stage `after`."""

    contract: Contract
    exchange: Exchange
    armed: ArmedFault
    response: Response | None = None

    @property
    def true(self) -> Response:
        """The true response."""
        assert self.response is not None
        return self.response

    def changed(self, **members: Any) -> Response:
        """Return the true response with other members in its body; None removes a member."""
        value = {**msgspec.json.decode(self.true.body), **members}
        body = msgspec.json.encode({name: member for name, member in value.items() if member is not None})
        return Response(self.true.status, body, self.true.headers)


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


def declared(status: int) -> Callable[[FaultContext], Response]:
    """Reject with an error that the contract declares, in the document's own words; 429 with its headers."""

    def apply(context: FaultContext) -> Response:
        reason = f"asked for: {context.exchange.preference or context.armed.fault}"
        if status == 429:
            raise _limited(context, reason)
        # Another document may declare a status without a description, or not declare it at all.
        _, description = context.contract.error_responses.get(status, ("", "A fault was asked for."))
        raise ApiError(status, description, reason=reason)

    return apply


def _limited(context: FaultContext, reason: str = "") -> ApiError:
    tenant = context.exchange.tenant
    assert tenant is not None
    now = context.exchange.at
    limit = tenant.rate_limit or 1  # if the limit is off, the error is that of a limit of one
    wait = context.armed.retry_after
    # A client may wait for either header: Reset is not before the end of Retry-After.
    end = reset_at(now) if wait is None else ceil(now + wait)
    return rate_limit.limited(_limit_headers(context), limit, "API key", end, now, reason, wait=wait)


def _limit_headers(context: FaultContext) -> RateLimitHeaders:
    return context.contract.rate_limit_headers(context.exchange.operation)


def _limited_with(change: Callable[[Headers, bytes], Headers]) -> Callable[[FaultContext], Response]:
    """Return a 429 with changed headers; `change` receives the headers and the name of Retry-After."""

    def apply(context: FaultContext) -> Response:
        error = _limited(context)
        headers = change(error.headers, (_limit_headers(context).retry_after or "").encode())
        return Response(429, error_body(context.contract, 429, error.message), [JSON, *headers])

    return apply


def _retry_after_alone(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0] == name]


def _without_retry_after(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0] != name]


def _retry_after_in_milliseconds(headers: Headers, name: bytes) -> Headers:
    return [(key, b"%d" % (int(value) * 1000)) if key == name else (key, value) for key, value in headers]


def _fixed(
    status: int, body: bytes | None, content_type: bytes = b"application/json", code: str | None = None
) -> Callable[[FaultContext], Response]:
    """Return a fixed response; without a body, the envelope of `status`."""

    def apply(context: FaultContext) -> Response:
        content = error_body(context.contract, status, "A fault was asked for.", code) if body is None else body
        return Response(status, content, [(b"content-type", content_type)])

    return apply


def _sent(transmission: Callable[[ArmedFault], Transmission]) -> Callable[[FaultContext], Response]:
    """Return the true response, sent in another way."""

    def apply(context: FaultContext) -> Response:
        true = context.true
        return Response(true.status, true.body, true.headers, transmission(context.armed))

    return apply


def _delay(armed: ArmedFault, default: float) -> float:
    """Return the seconds that the fault was armed with, or `default`."""
    return default if armed.delay is None else armed.delay


def _reset(context: FaultContext) -> Response:
    return Response(503, b"", [], Transmission(end="reset"))


def _close(context: FaultContext) -> Response:
    return Response(503, b"", [], Transmission(end="closed"))


def _never(context: FaultContext) -> Response:
    return Response(503, b"", [], Transmission(delay=_delay(context.armed, _NO_RESPONSE), end="reset"))


def _body(change: Callable[[bytes], bytes]) -> Callable[[FaultContext], Response]:
    def apply(context: FaultContext) -> Response:
        return Response(context.true.status, change(context.true.body), context.true.headers)

    return apply


def _handoff_ids(context: FaultContext) -> list[str]:
    """Return the ids of all handoffs of this lead that the tenant keeps, oldest first."""
    tenant = context.exchange.tenant
    assert tenant is not None
    lead_id = msgspec.json.decode(context.true.body)["lead_id"]
    return [handoff.id for handoff in tenant.handoffs if handoff.lead_id == lead_id]


def _reposted(context: FaultContext) -> bool:
    return len(_handoff_ids(context)) > 1


def _redirect(status: int) -> Callable[[FaultContext], Response]:
    def apply(context: FaultContext) -> Response:
        base = (context.armed.location or _ELSEWHERE).encode("ascii")
        return Response(status, b"", [(b"location", base + context.exchange.request.target)])

    return apply


def _is_object(context: FaultContext) -> bool:
    """Return True if the response is an object in JSON: other documents declare other bodies."""
    try:
        return isinstance(msgspec.json.decode(context.true.body), dict)
    except msgspec.DecodeError:
        return False


def _has(member: str) -> Callable[[FaultContext], bool]:
    return lambda context: member in msgspec.json.decode(context.true.body)


def _in_channel(channel: str) -> Callable[[FaultContext], Response]:
    return lambda context: context.changed(notified_channel=channel)


def _with_unlisted_members(context: FaultContext) -> Response:
    return context.changed(queue={"position": 3}, _links=[])


def _may_have_more_members(context: FaultContext) -> bool:
    operation = context.exchange.operation
    assert operation is not None
    schema = f"{operation.success_pointer}/content/application~1json/schema"
    if not _is_object(context):
        return False
    try:
        validator = context.contract.validator(schema)
    except ContractError:  # another document may declare another media type, or a schema that cannot be compiled
        return False
    return validator.is_valid(msgspec.json.decode(_with_unlisted_members(context).body))


def _in_other_order(body: bytes) -> bytes:
    return msgspec.json.encode(dict(reversed(msgspec.json.decode(body).items())))


def _with_white_space(body: bytes) -> bytes:
    return b"\r\n" + msgspec.json.format(body, indent=3) + b"\n"


def _with_charset(context: FaultContext) -> Response:
    return Response(context.true.status, context.true.body, [(b"content-type", b"application/json; charset=utf-8")])


def _with_headers(change: Callable[[FaultContext, Headers], Headers]) -> Callable[[FaultContext], Response]:
    """Return the true response with headers that `change` makes of all that it has."""

    def apply(context: FaultContext) -> Response:
        true = context.true
        return Response(true.status, true.body, true.headers, finish=partial(change, context))

    return apply


def _without_limit(context: FaultContext, headers: Headers) -> Headers:
    names = _limit_headers(context)
    of_limit = {name.encode() for name in (names.limit, names.remaining, names.reset) if name is not None}
    return [header for header in headers if header[0] not in of_limit]


def _spelled(spell: Callable[[bytes], bytes]) -> Callable[[FaultContext, Headers], Headers]:
    return lambda _, headers: [(spell(name), value) for name, value in headers]


def _stale_handoff_id(context: FaultContext) -> Response:
    return context.changed(handoff_id=_handoff_ids(context)[0])


def _succeeded(context: FaultContext) -> bool:
    """Return True if the record was written. A soft failure has neither `ok: true` nor a URL."""
    return msgspec.json.decode(context.true.body)["ok"] is True


def _plain_text(context: FaultContext) -> Response:
    return Response(context.true.status, context.true.body, [(b"content-type", b"text/plain")])


def _crm(error: str) -> Callable[[FaultContext], Response | None]:
    details = {str(name): detail for name, detail in DETAILS.items()}

    def apply(context: FaultContext) -> Response | None:
        raise CrmError(error, details.get(error, "A fault was asked for."))

    return apply


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
        declared(429),
        option="retry_after",
    ),
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
        _fixed(500, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "bad_gateway",
        "502 with a proxy's HTML page; nothing was done.",
        "before",
        _fixed(502, _HTML, b"text/html"),
        "fuzz.no-server-error",
    ),
    Fault(
        "unavailable",
        "503 with the envelope; nothing was done.",
        "before",
        _fixed(503, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "undeclared_status",
        "422, which no operation declares.",
        "before",
        _fixed(422, None, code="bad_request"),
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
        _fixed(403, None, code="unauthorized"),
        "envelope.code-matches-status",
    ),
    Fault(
        "unknown_error_code",
        "403 with a code that the document does not list.",
        "before",
        _fixed(403, None, code="teapot"),
        "envelope.code",
    ),
    Fault(
        "bare_error",
        "403 with an error that is a string, not an object.",
        "before",
        _fixed(403, b'{"error":"forbidden"}'),
        "envelope.shape",
    ),
    Fault(
        "redirect",
        "307 to another host (`location`); nothing was done.",
        "before",
        _redirect(307),
        "envelope.declared-status",
        option="location",
    ),
    Fault(
        "permanent_redirect",
        "308 to another host (`location`); nothing was done.",
        "before",
        _redirect(308),
        "envelope.declared-status",
        option="location",
    ),
    Fault("connection_reset", "The connection is reset; nothing was done.", "before", _reset),
    Fault("no_answer", "The response never comes (`delay`, 60 s); nothing was done.", "before", _never, option="delay"),
    Fault(
        "connection_close",
        "The connection is closed in order (FIN), without a response; nothing was done.",
        "before",
        _close,
    ),
    # -- the effect is committed, the response is wrong or lost -----------------------------------------------------
    Fault(
        "latency",
        "The response is late (`delay`, 1 s).",
        "after",
        _sent(lambda armed: Transmission(delay=_delay(armed, _DELAY))),
        option="delay",
    ),
    Fault(
        "slow_body",
        "The body drips, a few bytes at a time (`delay`, 1 s in all).",
        "after",
        _sent(lambda armed: Transmission(drip=_delay(armed, _DELAY))),
        option="delay",
    ),
    Fault(
        "truncated_body",
        "The connection is reset half-way through the body.",
        "after",
        _sent(lambda armed: Transmission(end="truncated")),
    ),
    Fault("connection_reset_after_commit", "The work is done, then the connection is reset.", "after", _reset),
    Fault(
        "connection_close_after_commit",
        "The work is done, then the connection is closed in order (FIN), without a response.",
        "after",
        _close,
    ),
    Fault(
        "internal_error_after_commit",
        "The work is done, then 500.",
        "after",
        _fixed(500, None),
        "fuzz.no-server-error",
    ),
    Fault(
        "no_answer_after_commit",
        "The work is done, the response never comes (`delay`, 60 s).",
        "after",
        _never,
        option="delay",
    ),
    Fault(
        "broken_json",
        "The body ends before its JSON does.",
        "after",
        _body(lambda body: body[:-1]),
        "envelope.strict-json",
    ),
    Fault("empty_body", "200 without a body.", "after", _body(lambda body: b""), "envelope.strict-json"),
    Fault("wrong_media_type", "The response says text/plain.", "after", _plain_text, "envelope.json-media-type"),
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
    # -- the contract allows the response, and clients that expect too much fail ----------------------------------
    Fault(
        "bare_rate_limited",
        "429 with Retry-After (`retry_after`) and without the other headers of the limit; nothing was done.",
        "before",
        _limited_with(_retry_after_alone),
        option="retry_after",
        group="lawful",
    ),
    Fault(
        "unlisted_members",
        "The response has members that the contract does not list.",
        "after",
        _with_unlisted_members,
        applies=_may_have_more_members,
        group="lawful",
    ),
    Fault(
        "no_record_url",
        "record_url is left out.",
        "after",
        lambda s: s.changed(record_url=None),
        operation="createCrmRecord",
        applies=_has("record_url"),
        group="lawful",
    ),
    Fault(
        "no_detail",
        "A soft failure has no detail.",
        "after",
        lambda s: s.changed(detail=None),
        operation="createCrmRecord",
        applies=_has("detail"),
        group="lawful",
    ),
    *(
        Fault(
            f"{channel}_channel",
            f"notified_channel is `{channel}`.",
            "after",
            _in_channel(channel),
            operation="handoffLead",
            group="lawful",
        )
        for channel in ("email", "slack")
    ),
    Fault(
        "reordered_members",
        "The members of the response are in another order.",
        "after",
        _body(_in_other_order),
        applies=_is_object,
        group="lawful",
    ),
    Fault(
        "white_space",
        "The JSON of the response has blanks and line breaks.",
        "after",
        _body(_with_white_space),
        applies=_is_object,
        group="lawful",
    ),
    Fault(
        "charset_parameter",
        "Content-Type has the parameter charset=utf-8.",
        "after",
        _with_charset,
        applies=_is_object,
        group="lawful",
    ),
    Fault(
        "no_rate_limit_headers",
        "No X-RateLimit-* headers, also where the setting `rate_limit_headers` is `always`.",
        "after",
        _with_headers(_without_limit),
        group="lawful",
    ),
    Fault(
        "lower_case_header_names",
        "The names of all headers are in lower case.",
        "after",
        _with_headers(_spelled(bytes.lower)),
        group="lawful",
    ),
    Fault(
        "other_header_names",
        "The names of all headers begin their words with a capital.",
        "after",
        _with_headers(_spelled(bytes.title)),
        group="lawful",
    ),
    Fault(
        "chunked_framing",
        "The body has chunked framing instead of a Content-Length.",
        "after",
        _sent(lambda armed: Transmission(chunked=True)),
        applies=lambda context: not context.exchange.request.is_http_1_0,
        group="lawful",
    ),
    # -- between the mock and the tenant's CRM --------------------------------------------------------------------
    *(
        Fault(
            f"crm_{error}", f"The CRM write fails softly with `{error}`.", "crm", _crm(error), None, "createCrmRecord"
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
        lambda armed: {"late": _delay(armed, _LATE)},
        option="delay",
    ),
    _webhook("reordered", "The event is delivered after the one that follows it.", lambda armed: {"after_next": True}),
    _webhook("lost", "The event is not delivered.", lambda armed: None),
)

#: Every fault by its id.
CATALOGUE: Mapping[str, Fault] = {fault.id: fault for fault in _ENTRIES}


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
