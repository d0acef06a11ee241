"""The shape of a snapshot: a structure for each object in it, made of a row of the model, and made into one.

The names are those of the control plane's lists. Times are RFC 3339, durations are texts such as `10s`. The JSON Schema
of a snapshot (`schema`) is made of these structures, so that the control plane's document says what is accepted.
"""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from vorel_mock.mock.provisioning import MAX_MAPPED
from vorel_mock.model.armed_faults import LONGEST_LOCATION, MAX_CONSUMED, MAX_FAULTS, ArmedFault, Consumption
from vorel_mock.model.clock import LATEST, parse_duration, write_duration
from vorel_mock.model.crm_records import CrmRecord, canonical, share_values
from vorel_mock.model.handoffs import AuditRow, Handoff
from vorel_mock.model.ids import Ids
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.rate_window import WINDOW, Window
from vorel_mock.model.request_pattern import MAX_MEMBERS
from vorel_mock.model.stubs import MAX_HEADERS, MAX_STUBS, Stub
from vorel_mock.model.tenant import MAX_KEYS, MAX_LEADS, MAX_LIMIT, CrmConnection
from vorel_mock.model.webhooks import Attempt, Delivery, State, Webhook
from vorel_mock.unpatched.dates import real_datetime
from vorel_mock.webhooks.dispatcher import MAX_WEBHOOKS
from vorel_mock.webhooks.queue import RETRY_SCHEDULE
from vorel_mock.webhooks.sender import MAX_KEPT

#: The version that is written. What is read: this one, and 1 (`version_1`), which has no member `version`.
VERSION = 2

Made = TypeVar("Made")

_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_KEY_ID = "^[A-Za-z0-9_-]+$"
VISIBLE = "^[!-~]+$"
_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
#: What a text that does not match a pattern must be.
PATTERNS = {
    _UUID: "a UUID in lower case",
    _KEY_ID: "1 to 64 letters, digits, _ and -",
    _DURATION: "a duration such as 61s, 2h, 1h30m or 500ms",
    VISIBLE: "visible ASCII characters, without spaces",
}

Uuid = Annotated[str, msgspec.Meta(max_length=36, pattern=_UUID)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Ordinal = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Limit = Annotated[int, msgspec.Meta(ge=0, le=MAX_LIMIT)]
Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]
if TYPE_CHECKING:
    Time = Annotated[datetime, msgspec.Meta(tz=True)]
else:  # msgspec knows no subclass, such as the one that freezegun puts in its place
    Time = Annotated[real_datetime(), msgspec.Meta(tz=True)]
Duration = Annotated[str, msgspec.Meta(max_length=32, pattern=_DURATION)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Word = Annotated[str, msgspec.Meta(max_length=100)]
Url = Annotated[str, msgspec.Meta(max_length=2048)]
KeyId = Annotated[str, msgspec.Meta(max_length=64, pattern=_KEY_ID)]
Location = Annotated[str, msgspec.Meta(max_length=LONGEST_LOCATION)]
Mappings = dict[str, Annotated[dict[str, Name], msgspec.Meta(max_length=MAX_MAPPED)]]
Headers = dict[str, Annotated[str, msgspec.Meta(max_length=MAX_KEPT)]]


#: Rows that the API lets a tenant have. Of histories, which forget, any number is read.
MOST = {"keys": MAX_KEYS, "leads": MAX_LEADS, "webhooks": MAX_WEBHOOKS, "faults": MAX_FAULTS, "stubs": MAX_STUBS}


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """An object in a snapshot. `of` makes it, `made` makes the row of the model and raises ValueError."""


class SnapshotCrm(Row):
    """The CRM that the tenant has set up."""

    vendor: Word
    account: Word
    mappings: Mappings = {}
    failure: Word | None = None

    @classmethod
    def of(cls, crm: CrmConnection) -> "SnapshotCrm":
        return _like(cls, crm)


class SnapshotClock(Row):
    """The time of the tenant's clock, and whether it is frozen."""

    now: Time
    frozen: bool


class SnapshotIds(Row):
    """The position in the tenant's stream of ids."""

    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    stream: Word
    drawn: Count

    @classmethod
    def of(cls, ids: Ids) -> "SnapshotIds":
        return cls(ids.seed, ids.stream, ids.drawn)

    def made(self) -> Ids:
        return Ids(self.seed, self.stream, self.drawn)


class SnapshotWindow(Row):
    """The requests that were counted in the minute that begins at `start`; null if there was none."""

    start: Time | None = None
    count: Count = 0

    @classmethod
    def of(cls, window: Window) -> "SnapshotWindow":
        return cls(None if window.number < 0 else time(window.number * WINDOW), window.count)

    def made(self) -> Window:
        return (
            Window() if self.start is None else Window(int(seconds(self.start, "window.start") // WINDOW), self.count)
        )


class SnapshotKey(Row):
    """A key with its token."""

    id: KeyId
    token: Name
    scopes: Annotated[list[Word], msgspec.Meta(max_length=100)]
    revoked: bool = False
    window: SnapshotWindow = msgspec.field(default_factory=SnapshotWindow)

    @classmethod
    def of(cls, key: ApiKey) -> "SnapshotKey":
        return _like(cls, key, scopes=sorted(key.scopes), window=SnapshotWindow.of(key.window))

    def made(self) -> ApiKey:
        return _like(ApiKey, self, scopes=frozenset(self.scopes), window=self.window.made())


class SnapshotLead(Row):
    """A lead with the status of its conversation, which is its own."""

    id: Uuid
    conversation_id: Uuid
    name: Name = ""
    conversation_status: Word = "active"

    @classmethod
    def of(cls, pair: tuple[Lead, Conversation]) -> "SnapshotLead":
        return _like(cls, pair[0], conversation_status=pair[1].status)

    def made(self) -> tuple[Lead, Conversation]:
        return _like(Lead, self), Conversation(self.conversation_id, self.conversation_status)


class SnapshotHandoff(Row):
    """A handoff."""

    id: Uuid
    lead_id: Uuid
    conversation_id: Uuid
    reason: str
    summary: str
    notified_channel: Word
    requested_at: Time

    @classmethod
    def of(cls, row: Handoff) -> "SnapshotHandoff":
        return _like(cls, row, requested_at=time(row.requested_at))

    def made(self) -> Handoff:
        return _like(Handoff, self, requested_at=seconds(self.requested_at, "requested_at"))


class SnapshotAuditRow(Row):
    """A row of the audit log."""

    id: Uuid
    at: Time
    action: Word
    handoff_id: Uuid
    lead_id: Uuid
    conversation_id: Uuid
    reason: str
    summary: str
    key_id: Word

    @classmethod
    def of(cls, row: AuditRow) -> "SnapshotAuditRow":
        return _like(cls, row, at=time(row.at))

    def made(self) -> AuditRow:
        return _like(AuditRow, self, at=seconds(self.at, "at"))


class SnapshotRecord(Row):
    """A record in the tenant's CRM."""

    id: Uuid
    at: Time
    object: Word
    fields: dict[str, Any]
    idempotency_key: str
    vendor: Word
    vendor_object: Word
    vendor_fields: dict[str, Any]
    external_id: Name
    record_url: Url | None

    @classmethod
    def of(cls, record: CrmRecord) -> "SnapshotRecord":
        return _like(cls, record, at=time(record.at))

    def made(self) -> CrmRecord:
        fingerprint = sha256(canonical(self.object, self.fields)).digest()
        vendor_fields = share_values(self.fields, self.vendor_fields)
        return _like(CrmRecord, self, at=seconds(self.at, "at"), fingerprint=fingerprint, vendor_fields=vendor_fields)


class SnapshotWebhook(Row):
    """A subscription with its secret."""

    id: Uuid
    target_url: Url
    events: Annotated[list[Word], msgspec.Meta(min_length=1, max_length=100)]
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    held: bool = False

    @classmethod
    def of(cls, webhook: Webhook) -> "SnapshotWebhook":
        return _like(cls, webhook, events=sorted(webhook.events))

    def made(self) -> Webhook:
        return _like(Webhook, self, events=frozenset(self.events))


class SnapshotAttempt(Row):
    """An attempt to deliver."""

    at: Time
    status: Annotated[int, msgspec.Meta(ge=0, le=999)] | None = None
    error: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    duration: Duration = "0s"
    url: Url = ""
    request_headers: Headers = {}
    response_headers: Headers = {}
    response_body: Annotated[str, msgspec.Meta(max_length=MAX_KEPT)] = ""

    @classmethod
    def of(cls, attempt: Attempt) -> "SnapshotAttempt":
        return _like(cls, attempt, at=time(attempt.at), duration=write_duration(attempt.duration))

    def made(self) -> Attempt:
        return _like(Attempt, self, at=seconds(self.at, "attempts.at"), duration=parse_duration(self.duration))


class SnapshotDelivery(Row):
    """A delivery. The body is in base64: the signature is made of these very bytes."""

    id: Uuid
    webhook_id: Uuid
    event: Word
    event_id: Uuid
    body: bytes
    created_at: Time
    state: State = "pending"
    due_at: Time | None = None
    attempts: Annotated[list[SnapshotAttempt], msgspec.Meta(max_length=len(RETRY_SCHEDULE))] = []
    tampered: bool = False
    copy_of: Uuid | None = None

    @classmethod
    def of(cls, delivery: Delivery) -> "SnapshotDelivery":
        return _like(
            cls,
            delivery,
            created_at=time(delivery.created_at),
            due_at=None if delivery.due_at is None else time(delivery.due_at),
            attempts=[SnapshotAttempt.of(attempt) for attempt in delivery.attempts],
        )

    def made(self) -> Delivery:
        return _like(
            Delivery,
            self,
            created_at=seconds(self.created_at, "created_at"),
            due_at=None if self.due_at is None else seconds(self.due_at, "due_at"),
            attempts=[attempt.made() for attempt in self.attempts],
        )


class SnapshotConsumption(Row):
    """A request that met a fault."""

    request_id: Word
    at: Time


class SnapshotFault(Row):
    """An armed fault."""

    id: Uuid
    fault: Word
    operation: Word | None = None
    next: Ordinal | None = None
    every: Ordinal = 1
    after: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    chance: Chance | None = None
    delay: Duration | None = None
    retry_after: Duration | None = None
    location: Location | None = None
    seen: Count = 0
    met: Count = 0
    consumed: Annotated[list[SnapshotConsumption], msgspec.Meta(max_length=MAX_CONSUMED)] = []

    @classmethod
    def of(cls, armed: ArmedFault) -> "SnapshotFault":
        return _like(
            cls,
            armed,
            delay=None if armed.delay is None else write_duration(armed.delay),
            retry_after=None if armed.retry_after is None else write_duration(armed.retry_after),
            consumed=[SnapshotConsumption(met.request_id, time(met.at)) for met in armed.consumed],
        )

    def made(self) -> ArmedFault:
        return _like(
            ArmedFault,
            self,
            delay=None if self.delay is None else parse_duration(self.delay),
            retry_after=None if self.retry_after is None else parse_duration(self.retry_after),
            consumed=[Consumption(met.request_id, seconds(met.at, "consumed.at")) for met in self.consumed],
        )


class SnapshotStubRequest(Row):
    """The requests that a stub is for."""

    operation: Word | None = None
    lead: Uuid | None = None
    key: KeyId | None = None
    headers: Annotated[dict[str, str | None], msgspec.Meta(max_length=MAX_MEMBERS)] = {}
    body: Annotated[dict[str, Any], msgspec.Meta(max_length=MAX_MEMBERS)] = {}
    nth: Ordinal | None = None


class SnapshotStubResponse(Row):
    """The response of a stub: a status, or a fault of the catalogue."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    headers: Annotated[dict[str, str], msgspec.Meta(max_length=MAX_HEADERS)] | None = None
    body: Any = msgspec.UNSET
    fault: Word | None = None
    delay: Duration | None = None
    retry_after: Duration | None = None
    location: Location | None = None


class SnapshotStub(Row):
    """A stub, and the requests that met it."""

    id: Uuid
    response: SnapshotStubResponse
    request: SnapshotStubRequest = msgspec.field(default_factory=SnapshotStubRequest)
    times: Ordinal | None = None
    unlawful: bool = False
    seen: Count = 0
    met: Count = 0
    consumed: Annotated[list[SnapshotConsumption], msgspec.Meta(max_length=MAX_CONSUMED)] = []

    @classmethod
    def of(cls, stub: Stub) -> "SnapshotStub":
        told = stub.as_json()
        return cls(
            id=stub.id,
            request=SnapshotStubRequest(**told["request"]),
            response=SnapshotStubResponse(**told["response"]),
            times=stub.next,
            unlawful=stub.unlawful,
            seen=stub.seen,
            met=stub.met,
            consumed=[SnapshotConsumption(met.request_id, time(met.at)) for met in stub.consumed],
        )

    def made(self) -> Stub:
        stub = Stub.of(
            self.id,
            {
                "request": stub_members(self.request),
                "response": stub_members(self.response),
                "times": self.times,
                "unlawful": self.unlawful,
            },
        )
        stub.seen, stub.met = self.seen, self.met
        stub.consumed = [Consumption(met.request_id, seconds(met.at, "consumed.at")) for met in self.consumed]
        return stub


def stub_members(row: Row) -> dict[str, Any]:
    """Return the members that a part of a stub has. A body may be null; what else is null is absent."""
    members = {name: getattr(row, name) for name in row.__struct_fields__}
    return {
        name: value
        for name, value in members.items()
        if value is not msgspec.UNSET and (value is not None or name == "body")
    }


class Snapshot(Row):
    """All that a tenant is: the response of GET …/snapshot."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION, description="Absent in version 1, which is read too.")]
    name: Name
    notified_channel: Word
    crm: SnapshotCrm | None
    rate_limit: Limit
    tenant_rate_limit: Limit
    clock: SnapshotClock
    ids: SnapshotIds
    keys: Annotated[list[SnapshotKey], msgspec.Meta(max_length=MOST["keys"])]
    leads: Annotated[list[SnapshotLead], msgspec.Meta(max_length=MOST["leads"])]
    webhook_timeout: Duration = "10s"
    window: SnapshotWindow = msgspec.field(default_factory=SnapshotWindow)
    webhooks: Annotated[list[SnapshotWebhook], msgspec.Meta(max_length=MOST["webhooks"])] = []
    faults: Annotated[list[SnapshotFault], msgspec.Meta(max_length=MOST["faults"])] = []
    stubs: Annotated[list[SnapshotStub], msgspec.Meta(max_length=MOST["stubs"])] = []
    handoffs: list[SnapshotHandoff] = []
    audit_log: list[SnapshotAuditRow] = []
    crm_records: list[SnapshotRecord] = []
    deliveries: list[SnapshotDelivery] = []


#: The members of a snapshot that are lists of rows.
ROWS: dict[str, Any] = {
    "keys": SnapshotKey,
    "leads": SnapshotLead,
    "webhooks": SnapshotWebhook,
    "faults": SnapshotFault,
    "stubs": SnapshotStub,
    "handoffs": SnapshotHandoff,
    "audit_log": SnapshotAuditRow,
    "crm_records": SnapshotRecord,
    "deliveries": SnapshotDelivery,
}

LISTS: dict[str, Any] = {name: GenericAlias(list, (row,)) for name, row in ROWS.items()}


_COMPONENTS = "#/components/schemas/"


def time(moment: float) -> datetime:
    """Return seconds since the epoch as a time."""
    return real_datetime().fromtimestamp(moment, UTC)


def seconds(moment: datetime, place: str) -> float:
    """Return a time as seconds since the epoch. Raises ValueError if no clock of a tenant shows it."""
    value = moment.timestamp()
    if not 0 <= value < LATEST:
        raise ValueError(f"{place}: must lie in the years 1970 to 9998")
    return value


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a snapshot, as OpenAPI 3.0 writes it: the components by name."""
    inlined: set[str] = set()
    _, components = msgspec.json.schema_components(
        [Snapshot], ref_template=f"{_COMPONENTS}{{name}}", schema_hook=schema_of_time
    )

    def in_openapi(node: Any) -> Any:
        if isinstance(node, list):
            return [in_openapi(item) for item in node]
        if not isinstance(node, dict):
            return node
        made = {name: in_openapi(value) for name, value in node.items() if name not in ("title", "anyOf")}
        if made.pop("contentEncoding", None):
            made["format"] = "byte"
        if "anyOf" in node:  # always one schema, or null
            (other,) = (branch for branch in node["anyOf"] if branch != {"type": "null"})
            reference = other.get("$ref", "").removeprefix(_COMPONENTS)
            inlined.add(reference)
            made |= in_openapi(components.get(reference, other)) | {"nullable": True}
        for name, nothing in (("default", None), ("required", [])):  # neither is allowed there
            if name in made and made[name] == nothing:
                del made[name]
        return made

    made = {name: in_openapi(component) for name, component in components.items()}
    return {name: component for name, component in made.items() if name not in inlined}


def schema_of_time(kind: Any) -> dict[str, Any]:
    """Return the schema of a time, which msgspec does not recognise while freezegun is at work."""
    if kind is not real_datetime():
        raise NotImplementedError
    return {"type": "string", "format": "date-time"}


def _like(made: Callable[..., Made], source: Any, **own: Any) -> Made:
    """Return a `made` with the members of `source` that have the same names, and with `own` in the place of some."""
    kind: Any = type(source)
    return made(**{name: getattr(source, name) for name in _common(made, kind) if name not in own}, **own)


@lru_cache
def _common(one: Any, other: Any) -> tuple[str, ...]:
    return tuple(name for name in _members(one) if name in _members(other))


def _members(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    return tuple(member.name for member in fields(kind))
