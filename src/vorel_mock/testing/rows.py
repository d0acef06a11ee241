"""The rows that the control plane returns, with types: frozen dataclasses that are the JSON object as well.

`row["at"]` is the member of the JSON, a text; `row.at` is the same as a datetime. The names and types are those of the
schemas in the control plane's document, which a test compares.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vorel_mock.testing.connection import Json

Headers = tuple[tuple[str, str], ...]
"""In the order in which they were sent."""

R = TypeVar("R", bound="Row")


# A dict and no wrapper around one: what tests did with the plain dicts goes on working, json.dumps(row) included.
class Row(Json):
    """A row: its members are attributes with types, and the JSON that came is in it as in a dict."""

    def __init__(self, json: Json) -> None:
        super().__init__(json)
        for name, read in _members(type(self)).items():
            object.__setattr__(self, name, read(json.get(name)))


def read_rows(kind: type[R], answer: Json) -> list[R]:
    """Return the rows of a list of the control plane."""
    return [kind(row) for row in answer["data"]]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Key(Row):
    """A key of a tenant, without its token."""

    id: str
    prefix: str
    scopes: tuple[str, ...]
    revoked: bool


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Lead(Row):
    """A lead, and the state of its conversation."""

    id: str
    name: str
    conversation_id: str
    conversation_status: str


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Handoff(Row):
    """A lead that was handed to a human."""

    id: str
    lead_id: str
    conversation_id: str
    reason: str
    summary: str
    notified_channel: str
    requested_at: datetime


@dataclass(frozen=True, init=False, eq=False, repr=False)
class AuditRow(Row):
    """A row of the audit log."""

    id: str
    at: datetime
    action: str
    handoff_id: str
    lead_id: str
    conversation_id: str
    reason: str
    summary: str
    key_id: str


@dataclass(frozen=True, init=False, eq=False, repr=False)
class CrmRecord(Row):
    """A record in the CRM, under canonical names and under the vendor's."""

    id: str
    at: datetime
    object: str
    fields: Json
    idempotency_key: str
    vendor: str
    vendor_object: str
    vendor_fields: Json
    external_id: str
    record_url: str | None


@dataclass(frozen=True, init=False, eq=False, repr=False)
class WebhookRequest(Row):
    """A webhook as it was sent."""

    method: str
    url: str
    headers: Headers
    body: str
    """The bytes that were signed, as text."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class WebhookResponse(Row):
    """The response of a receiver."""

    headers: Headers
    body: str


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Attempt(Row):
    """An attempt to deliver an event."""

    at: datetime
    status: int | None
    error: str | None
    """Why there is no status."""
    duration_ms: float
    request: WebhookRequest
    response: WebhookResponse


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Delivery(Row):
    """An event on its way to a subscription."""

    id: str
    webhook_id: str
    event: str
    event_id: str
    state: str
    """pending, delivered, failed or dead."""
    created_at: datetime
    due_at: datetime | None
    tampered: bool
    copy_of: str | None
    """The delivery that this one repeats."""
    body: Json
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Request(Row):
    """A request to the API, redacted."""

    method: str
    path: str
    query: str
    headers: Headers
    body: str


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Response(Row):
    """The response of the API."""

    status: int | None
    """None if a fault ended the connection before one was sent."""
    headers: Headers
    body: str


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Step(Row):
    """A step in which a request was checked."""

    step: str
    outcome: str
    """passed, decided or not reached."""
    detail: str | None


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Explanation(Row):
    """How a response came about."""

    decided_by: str
    """The step that determined it."""
    rule: str
    pointer: str
    """The place in the contract: a JSON pointer."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Exchange(Row):
    """A request to the API, its response, and how it came about."""

    id: str
    at: datetime
    duration_ms: float
    operation: str | None
    tenant_id: str | None
    key_id: str | None
    fault: str | None
    stub: str | None
    """The id of the stub that answered, or whose fault was met."""
    request: Request
    response: Response
    explanation: Explanation


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Consumed(Row):
    """A request that met a fault, or a stub."""

    request_id: str
    at: datetime


@dataclass(frozen=True, init=False, eq=False, repr=False)
class ArmedFault(Row):
    """A fault that is armed, or was."""

    id: str
    fault: str
    operation: str | None
    next: int | None
    every: int
    after: int
    chance: float | None
    delay: str | None
    retry_after: str | None
    location: str | None
    seen: int
    met: int
    spent: bool
    consumed: tuple[Consumed, ...]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Stub(Row):
    """A stub, and the requests that met it."""

    id: str
    request: Json
    response: Json
    times: int | None
    """None: without end."""
    unlawful: bool
    seen: int
    """Requests that matched."""
    met: int
    """Requests that it answered."""
    spent: bool
    consumed: tuple[Consumed, ...]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Fault(Row):
    """A fault of the catalogue."""

    id: str
    sentence: str
    stage: str
    clause: str | None
    operation: str | None
    option: str | None
    group: str | None


@dataclass(frozen=True, init=False, eq=False, repr=False)
class EventKind(Row):
    """An event of webhooks."""

    event: str
    description: str
    schema: Json
    """JSON Schema of its data."""
    example: Json


@dataclass(frozen=True, init=False, eq=False, repr=False)
class ClockState(Row):
    """A clock as it was."""

    now: datetime
    frozen: bool


@dataclass(frozen=True, init=False, eq=False, repr=False)
class TenantSettings(Row):
    """The settings of a tenant, and its clock."""

    id: str
    name: str
    crm: Json | None
    notified_channel: str
    rate_limit: int
    tenant_rate_limit: int
    webhook_timeout: str
    clock: ClockState
    ttl: str | None
    expires_in: str | None


@cache
def _members(kind: type[Row]) -> dict[str, Callable[[Any], Any]]:
    """Return by name what makes an attribute of a member of the JSON."""
    hints = get_type_hints(kind)
    return {field.name: _reader(hints[field.name]) for field in fields(kind)}  # type: ignore[arg-type]  # each subclass is one


def _reader(hint: Any) -> Callable[[Any], Any]:
    wanted = [kind for kind in get_args(hint) or [hint] if kind is not NoneType]
    if get_origin(hint) is tuple:
        item = _reader(wanted[0])
        return lambda values: tuple(map(item, values or ()))
    if wanted[0] is datetime:
        return lambda text: None if text is None else datetime.fromisoformat(text)
    if isinstance(wanted[0], type) and issubclass(wanted[0], Row):
        return lambda json: wanted[0](json or {})
    return lambda value: value
