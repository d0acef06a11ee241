"""What faults make of a response: the functions that the catalogue names. They receive a FaultContext; no I/O."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import msgspec

from vorel_mock.api.errors import JSON, error_body, error_response
from vorel_mock.api.messages import ApiError, Exchange, Headers, Response, Transmission
from vorel_mock.api.steps import rate_limit
from vorel_mock.contract.contract import Contract, RateLimitHeaders
from vorel_mock.contract.document_file import ContractError
from vorel_mock.contract.operation import Operation
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.crm import DETAILS, CrmError
from vorel_mock.model.rate_window import reset_at
from vorel_mock.model.stubs import Stub

#: The base URL that a redirect names: no path, and nothing that could end a header.
BASE_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
#: Seconds after which a client that gets no response is disconnected, unless the fault was armed with `delay`.
_NO_RESPONSE = 60.0
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


def limited_with(change: Callable[[Headers, bytes], Headers]) -> Callable[[FaultContext], Response]:
    """Return a 429 with changed headers; `change` receives the headers and the name of Retry-After."""

    def apply(context: FaultContext) -> Response:
        error = _limited(context)
        headers = change(error.headers, (_limit_headers(context).retry_after or "").encode())
        return Response(429, error_body(context.contract, 429, error.message), [JSON, *headers])

    return apply


def retry_after_alone(headers: Headers, name: bytes) -> Headers:
    """Leave out the headers of a 429 that are not Retry-After."""
    return [header for header in headers if header[0] == name]


def without_retry_after(headers: Headers, name: bytes) -> Headers:
    """Leave out Retry-After."""
    return [header for header in headers if header[0] != name]


def retry_after_in_milliseconds(headers: Headers, name: bytes) -> Headers:
    """Write Retry-After in milliseconds."""
    return [(key, b"%d" % (int(value) * 1000)) if key == name else (key, value) for key, value in headers]


def fixed(
    status: int, body: bytes | None, content_type: bytes = b"application/json", code: str | None = None
) -> Callable[[FaultContext], Response]:
    """Return a fixed response; without a body, the envelope of `status`."""

    def apply(context: FaultContext) -> Response:
        content = error_body(context.contract, status, "A fault was asked for.", code) if body is None else body
        return Response(status, content, [(b"content-type", content_type)])

    return apply


def sent(transmission: Callable[[ArmedFault], Transmission]) -> Callable[[FaultContext], Response]:
    """Return the true response, sent in another way."""

    def apply(context: FaultContext) -> Response:
        true = context.true
        return Response(true.status, true.body, true.headers, transmission(context.armed))

    return apply


def delay(armed: ArmedFault, default: float) -> float:
    """Return the seconds that the fault was armed with, or `default`."""
    return default if armed.delay is None else armed.delay


def reset(context: FaultContext) -> Response:
    """Reset the connection instead of the response."""
    return Response(503, b"", [], Transmission(end="reset"))


def close(context: FaultContext) -> Response:
    """Close the connection in order instead of the response."""
    return Response(503, b"", [], Transmission(end="closed"))


def never(context: FaultContext) -> Response:
    """Hold the response back, and reset the connection in the end."""
    return Response(503, b"", [], Transmission(delay=delay(context.armed, _NO_RESPONSE), end="reset"))


def body(change: Callable[[bytes], bytes]) -> Callable[[FaultContext], Response]:
    """Return the true response with another body."""

    def apply(context: FaultContext) -> Response:
        return Response(context.true.status, change(context.true.body), context.true.headers)

    return apply


def _handoff_ids(context: FaultContext) -> list[str]:
    """Return the ids of all handoffs of this lead that the tenant keeps, oldest first."""
    tenant = context.exchange.tenant
    assert tenant is not None
    lead_id = msgspec.json.decode(context.true.body)["lead_id"]
    return [handoff.id for handoff in tenant.handoffs if handoff.lead_id == lead_id]


def reposted(context: FaultContext) -> bool:
    """Return True if the lead was handed over before."""
    return len(_handoff_ids(context)) > 1


def redirect(status: int) -> Callable[[FaultContext], Response]:
    """Redirect to the same path of another host."""

    def apply(context: FaultContext) -> Response:
        base = (context.armed.location or _ELSEWHERE).encode("ascii")
        target = context.exchange.request.target
        if not target.startswith(b"/"):  # a client may send a whole URL (RFC 9112, 3.2.2)
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
        return Response(status, b"", [(b"location", base + target)])

    return apply


def is_object(context: FaultContext) -> bool:
    """Return True if the response is an object in JSON: other documents declare other bodies."""
    try:
        return isinstance(msgspec.json.decode(context.true.body), dict)
    except msgspec.DecodeError:
        return False


def has(member: str) -> Callable[[FaultContext], bool]:
    """Return whether the response has a member."""
    return lambda context: member in msgspec.json.decode(context.true.body)


def in_channel(channel: str) -> Callable[[FaultContext], Response]:
    """Return the true response with another notified_channel."""
    return lambda context: context.changed(notified_channel=channel)


def with_unlisted_members(context: FaultContext) -> Response:
    """Return the true response with members that no contract lists."""
    return context.changed(queue={"position": 3}, _links=[])


def may_have_more_members(context: FaultContext) -> bool:
    """Return True if the document allows members that it does not list."""
    operation = context.exchange.operation
    assert operation is not None
    schema = f"{operation.success_pointer}/content/application~1json/schema"
    if not is_object(context):
        return False
    try:
        validator = context.contract.validator(schema)
    except ContractError:  # another document may declare another media type, or a schema that cannot be compiled
        return False
    return validator.is_valid(msgspec.json.decode(with_unlisted_members(context).body))


def in_other_order(body: bytes) -> bytes:
    """Write the members of an object in reverse order."""
    return msgspec.json.encode(dict(reversed(msgspec.json.decode(body).items())))


def with_white_space(body: bytes) -> bytes:
    """Write JSON with white space between its tokens, and around it."""
    return b"\r\n" + msgspec.json.format(body, indent=3) + b"\n"


def with_charset(context: FaultContext) -> Response:
    """Return the true response with a parameter of its Content-Type."""
    return Response(context.true.status, context.true.body, [(b"content-type", b"application/json; charset=utf-8")])


def with_headers(change: Callable[[FaultContext, Headers], Headers]) -> Callable[[FaultContext], Response]:
    """Return the true response with headers that `change` makes of all that it has."""

    def apply(context: FaultContext) -> Response:
        true = context.true
        return Response(true.status, true.body, true.headers, finish=partial(change, context))

    return apply


def without_limit(context: FaultContext, headers: Headers) -> Headers:
    """Leave out the headers of the rate limit."""
    names = _limit_headers(context)
    of_limit = {name.encode() for name in (names.limit, names.remaining, names.reset) if name is not None}
    return [header for header in headers if header[0] not in of_limit]


def spelled(spell: Callable[[bytes], bytes]) -> Callable[[FaultContext, Headers], Headers]:
    """Spell the names of all headers."""
    return lambda _, headers: [(spell(name), value) for name, value in headers]


def stale_handoff_id(context: FaultContext) -> Response:
    """Return the true response with the id of the lead's first handoff."""
    return context.changed(handoff_id=_handoff_ids(context)[0])


def succeeded(context: FaultContext) -> bool:
    """Return True if the record was written. A soft failure has neither `ok: true` nor a URL."""
    return msgspec.json.decode(context.true.body)["ok"] is True


def plain_text(context: FaultContext) -> Response:
    """Return the true response as text/plain."""
    return Response(context.true.status, context.true.body, [(b"content-type", b"text/plain")])


def crm(error: str) -> Callable[[FaultContext], Response | None]:
    """Fail softly, as the CRM does."""
    details = {str(name): detail for name, detail in DETAILS.items()}

    def apply(context: FaultContext) -> Response | None:
        raise CrmError(error, details.get(error, "A fault was asked for."))

    return apply


def document_error(contract: Contract, status: int, operation: Operation) -> Response:
    """Return the error that the document has for a status of an operation."""
    _, description = contract.error_responses.get(status, ("", "A stub was asked for."))
    return error_response(contract, ApiError(status, description), operation)


def stubbed(context: FaultContext) -> Response:
    """Return the response that a stub asks for. Without a body an error has that of the document."""
    stub, exchange = context.armed, context.exchange
    assert isinstance(stub, Stub)
    assert stub.response is not None
    assert exchange.operation is not None
    status, body = stub.response.status, stub.response.body
    declared_as = exchange.operation.declared_as(status)
    exchange.reason = f"a stub asks for {status}"
    exchange.pointer = f"{exchange.operation.pointer}/responses{f'/{declared_as}' if declared_as else ''}"
    given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stub.response.headers.items()]
    names = {name.lower() for name, _ in given}
    usual: Headers = []
    if body is not None:
        usual, content = [JSON] if body else [], body
    elif status >= 400:
        made = document_error(context.contract, status, exchange.operation)
        usual, content = made.headers, made.body
    else:
        content = b""
    headers = [*given, *(header for header in usual if header[0] not in names)]
    how = Transmission(delay=stub.delay) if stub.delay else None
    # The setting `rate_limit_headers` adds headers later; those of the stub win.
    return Response(status, content, headers, how, partial(_first_of, names))


def _first_of(names: set[bytes], headers: Headers) -> Headers:
    """Leave out headers of these names but for the first of each."""
    left = set(names)
    kept = []
    for header in headers:
        name = header[0].lower()
        if name not in names or name in left:
            kept.append(header)
            left.discard(name)
    return kept
