"""One exchange: the request as it came, what each step learned of it, and the answer."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vorel_mock.contract.contract import Operation
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.tenant import Tenant

Headers = list[tuple[bytes, bytes]]


class Quota(NamedTuple):
    """What the limiter saw: requests of the window so far, this one included, and the limits (0 = off)."""

    key_count: int
    key_limit: int
    tenant_count: int
    tenant_limit: int
    reset_at: int


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer leaves when a fault spoils more than its content."""

    delay: float = 0.0
    """Seconds before anything is sent."""
    drip: float = 0.0
    """Seconds over which the body is spread."""
    end: Literal["whole", "reset", "truncated"] = "whole"
    """`reset`: the connection is reset and nothing is sent. `truncated`: it is, half-way through the body."""


@dataclass(slots=True, eq=False)
class Answer:
    """What the client gets."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)
    manner: Manner | None = None


class Refusal(Exception):
    """A step refuses the request: everything that becomes an ErrorEnvelope.

    `message` is what the client reads, and names nothing secret. `reason` is what the journal tells of why, when that
    is more than a client may know. `pointer` is the place in the document on which the refusal stands; None is the
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


@dataclass(slots=True, eq=False)
class Exchange:
    """A request on its way. The journal keeps it as it is, and explains it when asked."""

    id: str
    at: float
    """Seconds since the epoch, on the clock of its tenant; on the mock's as long as that is not known."""
    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes = b""
    unreadable: str | None = None
    """Why the body could not be had whole, if so."""
    operation: Operation | None = None
    path_values: dict[str, str] = field(default_factory=dict)
    tenant: Tenant | None = None
    key: ApiKey | None = None
    quota: Quota | None = None
    asked: ArmedFault | None = None
    """The fault that the request asked for by itself."""
    fault: str | None = None
    """The id of the fault that this request consumed."""
    preference: str | None = None
    """What the request asked for by its Prefer header."""
    decided_by: str = "routing"
    """The step that the request got to, and that decided the answer."""
    reason: str = ""
    pointer: str = ""
    answer: Answer | None = None
    duration: float = 0.0
    """Seconds, from the request's head to its answer."""
    size: int = 0
    """Bytes that it takes in the journal, about."""

    @property
    def status(self) -> int | None:
        """The status of the answer; None when none was sent, because a fault reset the connection instead."""
        answer = self.answer
        if answer is None or (answer.manner is not None and answer.manner.end == "reset"):
            return None
        return answer.status

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
