"""Export the state of a tenant as JSON, and import it. After an import the same requests get the same responses."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast, get_origin, get_type_hints

import msgspec

from vorel_mock.api.faults.catalogue import CATALOGUE
from vorel_mock.contract.contract import Contract
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.clock import LATEST
from vorel_mock.model.crm import VENDORS
from vorel_mock.model.crm_records import CrmRecord, size
from vorel_mock.model.handoffs import AuditRow, Handoff
from vorel_mock.model.history import History
from vorel_mock.model.ids import Ids
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.rate_window import Window
from vorel_mock.model.tenant import CrmConnection, Tenant
from vorel_mock.model.types import Count, Limit, Moment, Seconds
from vorel_mock.model.unknown_name import unknown_name
from vorel_mock.model.webhooks import EVENTS, Delivery, Webhook

Row = TypeVar("Row")

#: Rows that are put into JSON at once.
_ROWS = 100
#: The id of a key, which is part of the path of the request that revokes it.
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class ClockState:
    """The time of a clock, in seconds since the epoch, and whether it is frozen."""

    now: Moment
    frozen: bool


@dataclass(slots=True)
class IdsState:
    """The position in a stream of ids."""

    seed: int
    stream: str
    drawn: Count

    @classmethod
    def of(cls, ids: Ids) -> "IdsState":
        """Return the position of `ids`."""
        return cls(ids.seed, ids.stream, ids.drawn)


@dataclass(slots=True)
class Snapshot:
    """All that a tenant is."""

    name: str
    notified_channel: str
    crm: CrmConnection | None
    rate_limit: Limit
    tenant_rate_limit: Limit
    clock: ClockState
    ids: IdsState
    keys: list[ApiKey]
    leads: list[Lead]
    conversations: list[Conversation]
    handoffs: list[Handoff] = field(default_factory=list)
    audit_log: list[AuditRow] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    """Written by earlier versions; read and ignored."""
    crm_records: list[CrmRecord] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    webhook_timeout: Seconds = 10.0
    faults: list[ArmedFault] = field(default_factory=list)
    window: Window = field(default_factory=Window)


class SnapshotError(ValueError):
    """The input is not a snapshot; the message names the place."""


def dump(tenant: Tenant) -> bytes:
    """Return the tenant as JSON."""
    return b"".join(pieces(take(tenant)))


def take(tenant: Tenant) -> Snapshot:
    """Return the tenant's present state: references to immutable rows, copies of the others."""
    return Snapshot(
        name=tenant.name,
        notified_channel=tenant.notified_channel,
        crm=tenant.crm,
        rate_limit=tenant.rate_limit,
        tenant_rate_limit=tenant.tenant_rate_limit,
        clock=ClockState(tenant.clock.now(), tenant.clock.frozen),
        ids=IdsState.of(tenant.ids),
        keys=[_copied(key, window=copy(key.window)) for key in tenant.keys.values()],
        leads=list(tenant.leads.values()),
        conversations=[copy(conversation) for conversation in tenant.conversations.values()],
        handoffs=list(tenant.handoffs),
        audit_log=list(tenant.audit_log),
        crm_records=list(tenant.crm_records),
        webhooks=[copy(webhook) for webhook in tenant.webhooks.values()],
        deliveries=[delivery.copy() for delivery in tenant.deliveries],
        webhook_timeout=tenant.webhook_timeout,
        faults=[_copied(armed, consumed=list(armed.consumed)) for armed in tenant.faults],
        window=copy(tenant.window),
    )


def _copied(row: Row, **members: Any) -> Row:
    made = copy(row)
    for name, member in members.items():
        setattr(made, name, member)
    return made


def pieces(state: Snapshot) -> Iterator[bytes]:
    """Yield the JSON of a snapshot in pieces, none of which takes long to make."""
    for number, member in enumerate(fields(Snapshot)):
        yield b"%c%s:" % (b"," if number else b"{", msgspec.json.encode(member.name))
        value = getattr(state, member.name)
        if isinstance(value, list):
            for start in range(0, len(value), _ROWS):
                rows = msgspec.json.encode(value[start : start + _ROWS], order="deterministic")
                yield (b"," if start else b"[") + rows[1:-1]
            yield b"]" if value else b"[]"
        else:
            yield msgspec.json.encode(value, order="deterministic")
    yield b"}"


def read(content: bytes | Any) -> Snapshot:
    """Return the snapshot that JSON, as bytes or parsed, is. Raises SnapshotError that names the member at fault.

    Rows are converted a few at a time, so that a large snapshot keeps no other thread from running for long.
    """
    if isinstance(content, bytes):
        return cast(Snapshot, _converted(msgspec.json.decode, content, Snapshot, "snapshot"))
    if not isinstance(content, dict):
        return cast(Snapshot, _converted(msgspec.convert, content, Snapshot, "snapshot"))
    types = {name: hint for name, hint in get_type_hints(Snapshot).items() if get_origin(hint) is list}
    lists = {name: rows for name, rows in content.items() if name in types and isinstance(rows, list)}
    outline = {**content, **{name: [] for name in lists}}
    state = cast(Snapshot, _converted(msgspec.convert, outline, Snapshot, "snapshot"))
    _check_known(content, {**msgspec.to_builtins(state), **lists}, "snapshot")
    for name, rows in lists.items():
        read_rows = getattr(state, name)
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            made = _converted(msgspec.convert, some, types[name], f"snapshot.{name}", start)
            for number, (given, taken) in enumerate(zip(some, msgspec.to_builtins(made), strict=True), start):
                _check_known(given, taken, f"snapshot.{name}[{number}]")
            read_rows += made
    return state


def _converted(convert: Callable[..., Any], content: Any, wanted: Any, place: str, first: int = 0) -> Any:
    """Convert the part of a snapshot at `place`; its first row is number `first` there."""
    try:
        return convert(content, type=wanted)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        where = re.sub(r"^\[(\d+)\]", lambda match: f"[{int(match[1]) + first}]", where.rstrip("`"))
        raise SnapshotError(f"{place}{where}: {what}") from None


def _check_known(given: Any, taken: Any, place: str) -> None:
    for problem in _unknown(given, taken, place):
        raise SnapshotError(problem)


def _unknown(given: Any, taken: Any, place: str) -> Iterator[str]:
    """Yield a message for each field of `given` that was not `taken` over: a misspelt one would have no effect."""
    if isinstance(given, dict) and isinstance(taken, dict):
        for name, member in given.items():
            if name in taken:
                yield from _unknown(member, taken[name], f"{place}.{name}")
            else:
                yield unknown_name("field", name, taken, f"{place}.")
    elif isinstance(given, list) and isinstance(taken, list):
        for number, (one, other) in enumerate(zip(given, taken, strict=False)):
            yield from _unknown(one, other, f"{place}[{number}]")


def check(state: Snapshot, contract: Contract) -> None:
    """Raises SnapshotError if `state`, which a client sent, is not one that `dump` can have made."""
    for problem in _problems(state, contract):
        raise SnapshotError(f"snapshot.{problem}")


def _problems(state: Snapshot, contract: Contract) -> Iterator[str]:
    channels = contract.notified_channels  # none, where the document leaves them open
    if channels and state.notified_channel not in channels:
        yield f"notified_channel: must be one of {', '.join(channels)}"
    if state.crm is not None and state.crm.vendor not in VENDORS:
        yield f"crm.vendor: must be one of {', '.join(VENDORS)}"
    if state.clock.now >= LATEST:
        yield "clock.now: lies beyond the year 9998"
    yield from _repeated("keys", "id", [key.id for key in state.keys])
    yield from _repeated("keys", "token", [key.token for key in state.keys])
    yield from _repeated("leads", "id", [lead.id for lead in state.leads])
    yield from _repeated("conversations", "id", [conversation.id for conversation in state.conversations])
    yield from _repeated("crm_records", "idempotency_key", [record.idempotency_key for record in state.crm_records])
    yield from _repeated("webhooks", "id", [webhook.id for webhook in state.webhooks])
    yield from _repeated("deliveries", "id", [delivery.id for delivery in state.deliveries])
    for number, key in enumerate(state.keys):
        if not _KEY_ID.fullmatch(key.id):
            yield f"keys[{number}].id: must be 1 to 64 letters, digits, _ and -"
        if not contract.token_pattern.fullmatch(key.token):
            yield f"keys[{number}].token: has not the shape of a key"
    conversations = {conversation.id for conversation in state.conversations}
    for number, lead in enumerate(state.leads):
        if lead.conversation_id not in conversations:
            yield f"leads[{number}].conversation_id: there is no such conversation in the snapshot"
    for number, webhook in enumerate(state.webhooks):
        if not webhook.events.issubset(EVENTS):
            yield f"webhooks[{number}].events: must be of {', '.join(EVENTS)}"
    for number, delivery in enumerate(state.deliveries):
        if not _is_object(delivery.body):
            yield f"deliveries[{number}].body: must be a JSON object in base64"
    operations = {operation.id for operation in contract.operations}
    for number, armed in enumerate(state.faults):
        if armed.fault not in CATALOGUE:
            yield f"faults[{number}].fault: no such fault; GET /_mock/faults lists them"
        if armed.operation is not None and armed.operation not in operations:
            yield f"faults[{number}].operation: must be one of {', '.join(sorted(operations))}"


def _repeated(name: str, member: str, values: Collection[str]) -> Iterator[str]:
    if len(set(values)) < len(values):
        yield f"{name}: two have the same {member}"


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def load(tenant: Tenant, state: Snapshot, *, clock: bool) -> None:
    """Make `tenant` what `state` says; its own id stays. `clock`: whether its clock is set as well, even backwards."""
    if clock:
        tenant.clock.restore(state.clock.now, frozen=state.clock.frozen)
    tenant.name = state.name
    tenant.notified_channel = state.notified_channel
    tenant.crm = state.crm
    tenant.rate_limit = state.rate_limit
    tenant.tenant_rate_limit = state.tenant_rate_limit
    tenant.ids = Ids(state.ids.seed, state.ids.stream, state.ids.drawn)
    tenant.keys = {key.id: key for key in state.keys}
    tenant.leads = {lead.id: lead for lead in state.leads}
    tenant.conversations = {conversation.id: conversation for conversation in state.conversations}
    _refill(tenant.handoffs, state.handoffs)
    _refill(tenant.audit_log, state.audit_log)
    _refill(tenant.crm_records, state.crm_records, size)
    _refill(tenant.deliveries, state.deliveries, lambda delivery: len(delivery.body))
    tenant.webhooks = {webhook.id: webhook for webhook in state.webhooks}
    tenant.webhook_timeout = state.webhook_timeout
    tenant.idempotency.clear()
    tenant.idempotency.update({record.idempotency_key: record for record in tenant.crm_records})
    tenant.faults = state.faults
    tenant.window = state.window


def _refill(history: History[Row], rows: Iterable[Row], size: Callable[[Row], int] = lambda row: 0) -> None:
    history.clear()
    for row in rows:
        history.append(row, size(row))
