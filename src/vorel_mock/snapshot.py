"""A tenant's world as JSON, and back: import of what was exported gives the same answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from vorel_mock.clock import Clock
from vorel_mock.ids import Ids
from vorel_mock.model.crm_records import CrmRecord
from vorel_mock.model.faults import ArmedFault
from vorel_mock.model.handoffs import AuditRow, Event, Handoff
from vorel_mock.model.history import History
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.quota import Window
from vorel_mock.model.tenant import CrmConnection, Tenant
from vorel_mock.model.webhooks import Delivery, Webhook

Row = TypeVar("Row")


@dataclass(slots=True)
class ClockState:
    """What a clock shows, in seconds since the epoch, and whether it stands still."""

    now: float
    frozen: bool


@dataclass(slots=True)
class IdsState:
    """How far a stream of ids has been drawn."""

    seed: int
    stream: str
    drawn: int


@dataclass(slots=True)
class Snapshot:
    """All that a tenant is."""

    name: str
    notified_channel: str
    crm: CrmConnection | None
    rate_limit: int
    tenant_rate_limit: int
    clock: ClockState
    ids: IdsState
    keys: list[ApiKey]
    leads: list[Lead]
    conversations: list[Conversation]
    handoffs: list[Handoff] = field(default_factory=list)
    audit_log: list[AuditRow] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    crm_records: list[CrmRecord] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    webhook_timeout: float = 10.0
    faults: list[ArmedFault] = field(default_factory=list)
    window: Window = field(default_factory=Window)


class SnapshotError(ValueError):
    """What was given is not a snapshot; the message says where it is not."""


def dump(tenant: Tenant) -> bytes:
    """The tenant's world as JSON."""
    return msgspec.json.encode(_state(tenant, history=True))


def _state(tenant: Tenant, *, history: bool) -> Snapshot:
    state = Snapshot(
        name=tenant.name,
        notified_channel=tenant.notified_channel,
        crm=tenant.crm,
        rate_limit=tenant.rate_limit,
        tenant_rate_limit=tenant.tenant_rate_limit,
        clock=ClockState(tenant.clock.now(), tenant.clock.frozen),
        ids=IdsState(tenant.ids.seed, tenant.ids.stream, tenant.ids.drawn),
        keys=list(tenant.keys.values()),
        leads=list(tenant.leads.values()),
        conversations=list(tenant.conversations.values()),
        webhooks=list(tenant.webhooks.values()),
        webhook_timeout=tenant.webhook_timeout,
        faults=tenant.faults,
        window=tenant.window,
    )
    if history:
        state.deliveries = list(tenant.deliveries)
        state.handoffs = list(tenant.handoffs)
        state.audit_log = list(tenant.audit_log)
        state.events = list(tenant.events)
        state.crm_records = list(tenant.crm_records)
    return state


def read(content: bytes | Any) -> Snapshot:
    """What `dump` made, as bytes or as parsed JSON; SnapshotError names the member that does not fit."""
    try:
        if isinstance(content, bytes):
            return msgspec.json.decode(content, type=Snapshot)
        return msgspec.convert(content, Snapshot)
    except msgspec.ValidationError as error:
        raise SnapshotError(f"snapshot: {error}") from None


def load(tenant: Tenant, world: Snapshot, *, clock: bool) -> None:
    """Make `tenant` what `world` says; its own id stays. `clock`: whether its clock is set as well, even backwards."""
    conversations = {conversation.id: conversation for conversation in world.conversations}
    for lead in world.leads:
        if lead.conversation_id not in conversations:
            raise SnapshotError(f"snapshot: lead {lead.id} is in a conversation that is not there")
    if clock:
        tenant.clock.restore(world.clock.now, frozen=world.clock.frozen)
    tenant.name = world.name
    tenant.notified_channel = world.notified_channel
    tenant.crm = world.crm
    tenant.rate_limit = world.rate_limit
    tenant.tenant_rate_limit = world.tenant_rate_limit
    tenant.ids = Ids(world.ids.seed, world.ids.stream, world.ids.drawn)
    tenant.keys = {key.id: key for key in world.keys}
    tenant.leads = {lead.id: lead for lead in world.leads}
    tenant.conversations = conversations
    _refill(tenant.handoffs, world.handoffs)
    _refill(tenant.audit_log, world.audit_log)
    _refill(tenant.events, world.events)
    _refill(tenant.crm_records, world.crm_records)
    _refill(tenant.deliveries, world.deliveries)
    tenant.webhooks = {webhook.id: webhook for webhook in world.webhooks}
    tenant.webhook_timeout = world.webhook_timeout
    tenant.idempotency = {record.idempotency_key: record for record in world.crm_records}
    tenant.faults = world.faults
    tenant.window = world.window


def rehearsal(tenant: Tenant) -> Tenant:
    """A copy of `tenant` on which a request can be tried without an effect; its histories are empty."""
    world = read(msgspec.json.encode(_state(tenant, history=False)))
    copy = Tenant(tenant.id, tenant.name, Clock(at=tenant.clock.now()), tenant.ids.copy(), tenant.notified_channel)
    load(copy, world, clock=False)
    copy.idempotency = dict(tenant.idempotency)
    return copy


def _refill(history: History[Row], rows: Iterable[Row]) -> None:
    history.clear()
    for row in rows:
        history.append(row)
