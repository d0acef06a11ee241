"""The messages of the core: Request, Response, and the Exchange that joins them.

Plain data. The shells in `vorel_mock.server` make a Request and carry out a Response; the journal keeps the Exchange.
"""

from collections.abc import Callable
from mmap import mmap
from typing import Literal, get_args

import msgspec

from vorel_mock.contract.operation import Operation, lead_parameter
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.held_responses import HeldResponse
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.request_pattern import SeenRequest
from vorel_mock.model.tenant import Tenant

#: Bytes of a request body. Ours (docs/assumptions.md): the contract names no limit.
MAX_BODY = 1024 * 1024

#: Names in lower case, but for those that the contract spells otherwise.
Headers = list[tuple[bytes, bytes]]


#: The steps of a request, in their order. The explanation of a request lists them by these names.
Step = Literal["routing", "authentication", "faults", "rate_limit", "scope", "validation", "operation"]
STEPS: tuple[Step, ...] = get_args(Step)


# msgspec.Struct and not a frozen dataclass: each request makes one of each class below, and a Struct is made in C.
class Request(msgspec.Struct, frozen=True):
    """A request as it arrived, read completely."""

    method: str
    """Empty if what arrived cannot be parsed as HTTP."""
    target: bytes
    """As in the request line."""
    path: str
    """Percent-decoded, except for an encoded slash (`decode_path`)."""
    query: bytes
    headers: Headers
    fields: dict[bytes, bytes]
    """The headers by name (`first_values`). Of one that is repeated, the first value."""
    body: bytes = b""
    unreadable: str | None = None
    """Why the body could not be read completely, if so: too long, badly framed, too slow."""
    malformed: str | None = None
    """Why the request cannot be parsed as HTTP, if so."""
    is_http_1_0: bool = False
    """The client does not know chunked framing."""
    large: mmap | None = None
    """The body in place of `body`, in a temporary file: of a request to the control plane alone."""


class Transmission(msgspec.Struct, frozen=True):
    """The way a response is sent when a fault changes more than its content. The shell carries it out."""

    delay: float = 0.0
    """Seconds before anything is sent."""
    drip: float = 0.0
    """Seconds over which the body is spread."""
    end: Literal["whole", "reset", "closed", "truncated"] = "whole"
    """`reset`, `closed`: nothing is sent; the connection is reset, or closed. `truncated`: it is reset half-way
    through the body."""
    chunked: bool = False
    """The body has chunked framing, and there is no Content-Length."""
    held: HeldResponse | None = None
    """Ends `delay` and `drip` before their time."""


class Response(msgspec.Struct):
    """The response to a request."""

    status: int
    body: bytes
    headers: Headers = []
    transmission: Transmission | None = None
    finish: Callable[[Headers], Headers] | None = None
    """Makes other headers of all that the response has, if a fault asks for it."""


class ApiError(Exception):
    """A step rejects the request; the client receives an ErrorEnvelope.

    `message` is what the client reads, and contains no secret. `reason` is what the journal records when it is more
    than a client may know. `pointer` is the place in the document that the error is based on; None is the
    error response of that status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str | None = None,
        pointer: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or message
        self.pointer = pointer
        self.headers = headers or []


class Quota(msgspec.Struct, frozen=True):
    """The state of both rate limit windows, this request included. A limit of 0 is switched off."""

    key_count: int
    key_limit: int
    tenant_count: int
    tenant_limit: int
    reset_at: int


class Exchange(msgspec.Struct, eq=False):
    """A request, what each step found out about it, and the response."""

    id: str
    at: float
    """When the request was handled, in seconds since the epoch: on its tenant's clock, or on the mock's without one."""
    request: Request
    operation: Operation | None = None
    path_values: dict[str, str] = {}
    tenant: Tenant | None = None
    key: ApiKey | None = None
    quota: Quota | None = None
    asked: ArmedFault | None = None
    """The fault that the request asked for by its Prefer header."""
    fault: str | None = None
    """The id of the fault that this request consumed."""
    stub: str | None = None
    """The id of the stub that this request met."""
    preference: str | None = None
    """The preference of the Prefer header, as Preference-Applied repeats it."""
    decided_by: Step = "routing"
    """The step that determined the response."""
    reason: str = ""
    pointer: str = ""
    response: Response | None = None
    duration: float = 0.0
    """Seconds from the complete request to the end of its response, delays of a fault included."""
    size: int = 0
    """Approximate bytes that it takes in the journal."""

    @property
    def status(self) -> int | None:
        """The status of the response; None if a fault ended the connection before one was sent."""
        response = self.response
        if response is None or (response.transmission is not None and response.transmission.end in ("reset", "closed")):
            return None
        return response.status


def seen_request(exchange: Exchange) -> SeenRequest:
    """Return a request as a `RequestPattern` looks at it."""
    operation, request = exchange.operation, exchange.request
    lead = None if operation is None else exchange.path_values.get(lead_parameter(operation.path) or "")
    return SeenRequest(
        None if operation is None else operation.id,
        None if lead is None else lead.lower(),
        None if exchange.key is None else exchange.key.id,
        request.headers,
        request.body,
    )


def first_values(headers: Headers) -> dict[bytes, bytes]:
    """Return the first value of each header, by name."""
    return dict(reversed(headers))


def cut(body: bytes, limit: int = MAX_BODY) -> tuple[bytes, str | None]:
    """Return `body` and `unreadable` of a Request: nothing, and the reason, if it is longer than `limit` bytes."""
    return (b"", too_long(limit)) if len(body) > limit else (body, None)


def too_long(limit: int = MAX_BODY) -> str:
    """Return the reason for rejecting a body of more than `limit` bytes."""
    return f"is longer than {limit >> 20} MiB"
