"""The tenants of a log that are in memory: loading them, repeating what others did, writing checkpoints.

All of it runs in the sequencer's thread, or before that begins.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Protocol

from vorel_mock.api.messages import Exchange, Request, Response
from vorel_mock.mock.expiry import Expiry
from vorel_mock.mock.snapshot.rows import SnapshotDelivery
from vorel_mock.mock.store.logged import LoggedStore, token_hash
from vorel_mock.mock.tenant_log import checkpoints
from vorel_mock.mock.tenant_log.entries import CommandEntry, Content, Entry, RequestEntry, decode, encode
from vorel_mock.mock.tenant_log.interface import (
    NUMBER,
    PENDING,
    Append,
    Behind,
    Changes,
    Flags,
    Known,
    Log,
    NewCheckpoint,
    PlacedEntry,
)
from vorel_mock.model.clock import Timeline
from vorel_mock.model.tenant import Tenant
from vorel_mock.webhooks.dispatcher import Dispatcher

logger = logging.getLogger("vorel_mock")

#: Entries behind a checkpoint after which a new one is written, for a tenant without rows. One with many rows gets it
#: later: its checkpoint is large, and each entry shall cost the same.
CHECKPOINT_EVERY = 1_000
#: Tenants that are kept in memory. Beyond it, those go that nobody has used for longest.
MAX_LOADED = 10_000

Commands = Mapping[str, Callable[..., Any]]


class Machine(Protocol):
    """What entries are applied to: a mock."""

    lock: RLock
    webhooks: Dispatcher
    expiry: Expiry

    def answer_numbered(self, request: Request, number: int, *, again: bool = False) -> Exchange:
        """Answer a request. `again`: it was answered before; its effects are repeated."""

    def read_state(self, content: Any) -> Tenant:
        """Return the state that a snapshot describes."""

    def now(self) -> float:
        """Return the time of the mock's clock."""

    def facts(self) -> dict[str, bytes]:
        """Return what concerns the whole mock and changes."""

    def take_facts(self, facts: Mapping[str, bytes]) -> Collection[str]:
        """Take over facts that others have changed. Returns the tenants that stay in memory."""

    def unavailable(self, request: Request, why: str) -> Response:
        """Return the response to a request that cannot be answered now."""

    def forget(self, tenant: Tenant) -> None:
        """Let go of a tenant that stays in the log."""

    def remove_tenant(self, tenant: Tenant) -> None:
        """Delete a tenant."""


@dataclass(slots=True)
class Position:
    """How far a tenant in memory is in its log."""

    known: Known
    checkpoint: int
    at: float
    flags: Flags = field(default_factory=Flags)


class HeldTime:
    """A context in which a timeline shows one time."""

    __slots__ = ("_at", "_timeline")

    def __init__(self, timeline: Timeline, at: float) -> None:
        self._timeline, self._at = timeline, at

    def __enter__(self) -> None:
        self._timeline.hold_at(self._at)

    def __exit__(self, *exception: object) -> None:
        self._timeline.hold_at(None)


class Replica:
    """The tenants in memory."""

    def __init__(self, machine: Machine, store: LoggedStore, timeline: Timeline, log: Log) -> None:
        self._machine = machine
        self._store = store
        self._timeline = timeline
        self._log = log
        self.commands: Commands = {}
        """The handlers by operationId."""
        self.positions: dict[str, Position] = {}
        """Of the tenants in memory, the one used last at the end."""
        self.owned: set[str] = set()
        """Tenants whose deliveries this process makes, of a log that is shared."""
        self.users = 0
        """Those that want all tenants to stay that are in memory."""
        self.restarts_numbers = False
        self._stay: frozenset[str] = frozenset()
        self._touched: set[str] = set()
        """Tenants that something was applied to since the last commit."""
        self._lost: set[str] = set()
        """Tenants that must be read from the log again."""
        self._facts: dict[str, bytes] = {}
        self._writer = ThreadPoolExecutor(1, "vorel-mock-checkpoints")
        self._written: dict[str, tuple[NewCheckpoint, Future[bytes]]] = {}
        """Checkpoints that are being put into JSON: one of many rows takes a while, and nobody waits for it."""

    def stop(self) -> None:
        """End the thread that writes checkpoints."""
        self._writer.shutdown(wait=False, cancel_futures=True)

    def start(self, commands: Commands, stay: Iterable[str]) -> None:
        """Begin. `stay` are tenants that stay in memory."""
        self.commands, self._stay = commands, frozenset(stay)
        self.refresh()
        for tenant_id in [*self._stay, *self._log.flagged(PENDING)]:
            self.load(tenant_id)
        self.commit()

    def refresh(self) -> None:
        """See which tenants there are."""
        ids = self._log.tenant_ids()
        with self._machine.lock, self._store.quiet():
            for tenant_id in self.positions.keys() - set(ids):
                self._forget(tenant_id)
            new = [tenant.id for tenant in self._store.tenants() if tenant.id not in self.positions]
            self._store.see([*ids, *new])

    def load(self, tenant_id: str) -> bool:
        """Have a tenant be in memory. False: there is none."""
        if tenant_id in self.positions:
            return True
        stored = self._log.load(tenant_id)
        if stored is None:
            return False
        machine = self._machine
        tenant, at = checkpoints.read(tenant_id, stored.checkpoint, self._timeline, machine.read_state)
        position = Position(stored.known, stored.known.version, at)
        with machine.lock, self._store.quiet():
            self._store.add(tenant)
            machine.webhooks.pause(tenant)
            self.positions[tenant_id] = position
            if tenant.lease is not None:
                machine.expiry.set(tenant, tenant.lease.seconds)
            self._repeat(tenant_id, stored.entries)
            if not self._log.is_shared or tenant_id in self.owned:
                machine.webhooks.resume(tenant)
        position.flags = _flags(tenant)
        return True

    def owner(self, token: str) -> str | None:
        """Return the tenant that has a key; it is in memory then."""
        with self._machine.lock:
            found = self._store.by_token(token)
        if found is not None:
            return found[0].id if found[0].id in self.positions else None
        owner = self._log.owner(token_hash(token))
        return owner if owner is not None and self.load(owner) else None

    def append(self, tenant_id: str | None, at: float, content: Content) -> Append:
        """Return what is to be placed in the log."""
        position = None if tenant_id is None else self.positions.get(tenant_id)
        known = Known() if position is None else position.known
        is_request = isinstance(content, RequestEntry)
        return Append(None if position is None else tenant_id, known, encode(Entry(at, content)), is_request)

    def advance(self, tenant_id: str, version: int, missed: Iterable[PlacedEntry], at: float) -> HeldTime:
        """Note the place of an entry, after repeating what others have placed before it. Called with the lock held.

        Returns a context in which to apply it.
        """
        if missed:
            with self._store.quiet():
                self._repeat(tenant_id, missed)
        position = self.positions.pop(tenant_id)
        self.positions[tenant_id] = position  # now the one used last
        self._touched.add(tenant_id)
        tenant = self._store.tenant(tenant_id)
        if tenant is not None and tenant.lease is not None:
            tenant.lease.restart()
        return self._step(position, version, at)

    def _step(self, position: Position, version: int, at: float) -> HeldTime:
        position.known = Known(version, position.known.epoch)
        position.at = max(position.at, at)  # never one before that of the entry before
        return HeldTime(self._timeline, position.at)

    def _repeat(self, tenant_id: str, entries: Iterable[PlacedEntry]) -> None:
        """Apply entries that were applied before, in an earlier process or in another one."""
        position, tenant = self.positions[tenant_id], self._store.tenant(tenant_id)
        assert tenant is not None
        for version, number, packed in entries:
            entry = decode(packed)
            content = entry.content
            with self._step(position, version, entry.at):
                if isinstance(content, RequestEntry):
                    exchange = self._machine.answer_numbered(content.request(), number, again=True)
                    transmission = None if exchange.response is None else exchange.response.transmission
                    if transmission is not None and transmission.held is not None:
                        transmission.held.end()
                elif isinstance(content, CommandEntry):
                    try:
                        self.commands[content.name](**content.arguments())
                    except Exception as error:
                        logger.debug("%s was rejected, as it was the first time: %s", content.name, error)
                else:
                    self.take_over(tenant, content.delivery)

    def take_over(self, tenant: Tenant, row: SnapshotDelivery) -> None:
        """Have a delivery be what an attempt has made of it."""
        for delivery in reversed(tenant.deliveries):
            if delivery.id == row.id:
                made = row.made()
                delivery.state, delivery.due_at, delivery.attempts = made.state, made.due_at, made.attempts
                self._machine.webhooks.tell(tenant, delivery)
                return

    def catch_up(self, tenants: Iterable[str], used: Collection[str] = ()) -> None:
        """Repeat what others have done to tenants in memory."""
        wanted = [tenant_id for tenant_id in tenants if tenant_id in self.positions]
        while wanted and self._log.is_shared:
            try:
                found = self._log.read({each: self.positions[each].known for each in wanted}, used)
            except Behind as behind:
                self.reload(behind)
                wanted = [tenant_id for tenant_id in wanted if tenant_id in self.positions]
                continue
            with self._machine.lock, self._store.quiet():
                for tenant_id, missed in found.items():
                    if missed is None:
                        self._forget(tenant_id)
                    elif missed:
                        self._repeat(tenant_id, missed)
                    tenant = self._store.tenant(tenant_id)
                    if tenant is not None and tenant.lease is not None:
                        tenant.lease.restart()
            return

    def reload(self, behind: Behind) -> None:
        """Read again what others have replaced."""
        if not behind.tenants:
            self._stay = frozenset(self._machine.take_facts(self._log.facts()))
            self._facts = self._machine.facts()
        self.lose(behind.tenants)
        self.find_lost()

    def lose(self, tenants: Iterable[str]) -> None:
        """Let go of tenants in memory that are not what the log has."""
        with self._machine.lock, self._store.quiet():
            for tenant_id in tenants:
                if tenant_id in self.positions:
                    self._forget(tenant_id)
                    self._lost.add(tenant_id)

    def find_lost(self) -> None:
        """Read from the log what was let go of."""
        for tenant_id in list(self._lost):
            self.load(tenant_id)
            self._lost.discard(tenant_id)

    def gone(self, tenant_id: str) -> None:
        """Let go of a tenant that was deleted. Called with the lock held."""
        with self._store.quiet():
            self._forget(tenant_id)

    def _forget(self, tenant_id: str) -> None:
        self._written.pop(tenant_id, None)
        tenant = self._store.tenant(tenant_id)
        if tenant is not None:
            self._machine.forget(tenant)
        self.positions.pop(tenant_id, None)

    def take_deliveries(self) -> None:
        """See whose deliveries this process makes, and let other processes know that it lives."""
        mine = set(self._log.claim(self.owned))
        for tenant_id in mine - self.owned:
            self.load(tenant_id)
        self.catch_up(mine - self.owned)
        with self._machine.lock:
            for tenant_id in mine - self.owned:
                if (tenant := self._store.tenant(tenant_id)) is not None:
                    self._machine.webhooks.resume(tenant)
            for tenant_id in self.owned - mine:
                if (tenant := self._store.tenant(tenant_id)) is not None:
                    self._machine.webhooks.pause(tenant)
        self.owned = mine

    def end_leases(self) -> None:
        """Delete the tenants that nobody has used for too long, of a log that watches that."""
        for tenant_id in self._log.ended():
            self.load(tenant_id)
            with self._machine.lock:
                if (tenant := self._store.tenant(tenant_id)) is not None:
                    self._machine.remove_tenant(tenant)

    def commit(self) -> None:
        """Write the entries that were placed, and what changed beside them."""
        machine, changes = self._machine, Changes()
        captured: dict[str, tuple[NewCheckpoint, Callable[[], bytes]]] = {}
        """Of the tenants that were made or replaced, which nobody may use before that is written."""
        with machine.lock:
            notes = self._store.take_notes()
            changes.removed, changes.tokens = notes.removed, notes.tokens
            for tenant_id in notes.removed:
                self.positions.pop(tenant_id, None)
            for tenant_id in [*notes.removed, *notes.changed]:
                self._written.pop(tenant_id, None)
            for tenant_id, tenant in notes.changed.items():
                is_made = tenant_id not in self.positions
                if is_made:
                    self.positions[tenant_id] = Position(Known(), 0, machine.now())
                position = self.positions[tenant_id]
                position.checkpoint = position.known.version
                made = NewCheckpoint(position.known, b"", is_made, is_replaced=True)
                captured[tenant_id] = made, checkpoints.capture(tenant, position.at)
                self._touched.add(tenant_id)
            for tenant_id in self._touched - notes.changed.keys():
                if (due := self._due(tenant_id)) is not None:
                    position = self.positions[tenant_id]
                    position.checkpoint = position.known.version
                    written = checkpoints.capture(due, position.at)
                    self._written[tenant_id] = NewCheckpoint(position.known, b""), self._writer.submit(written)
            for tenant_id in [each for each, (_, future) in self._written.items() if future.done()]:
                made, future = self._written.pop(tenant_id)
                captured[tenant_id] = made, future.result
            for tenant_id in self._touched & self.positions.keys():
                known, position = self._store.tenant(tenant_id), self.positions[tenant_id]
                if known is not None and (flags := _flags(known)) != position.flags:
                    position.flags = flags
                    changes.flags[tenant_id] = position.known.version, flags
            facts = machine.facts()
            changes.facts = {name: value for name, value in facts.items() if self._facts.get(name) != value}
            self._facts = facts
            if self.restarts_numbers:
                changes.facts[NUMBER], self.restarts_numbers = b"0", False
        try:
            for tenant_id, (made, written) in captured.items():
                changes.checkpoints[tenant_id] = NewCheckpoint(made.known, written(), made.is_made, made.is_replaced)
            placed = self._log.commit(changes)
        except BaseException:
            with machine.lock:
                self._store.give_back(notes)
            self._facts = {}
            raise
        for tenant_id, known_now in placed.items():
            self.positions[tenant_id].known = known_now
        self._touched.clear()
        if self._log.is_shared and any(flags.pending for _, flags in changes.flags.values()):
            self.take_deliveries()

    def _due(self, tenant_id: str) -> Tenant | None:
        """Return the tenant if it is time for a checkpoint of it."""
        position = self.positions.get(tenant_id)
        if position is None or position.known.version - position.checkpoint < CHECKPOINT_EVERY:
            return None
        tenant = self._store.tenant(tenant_id)
        if tenant is None or position.known.version - position.checkpoint < CHECKPOINT_EVERY + _rows(tenant) // 4:
            return None
        return tenant

    def make_room(self) -> None:
        """Let go of tenants that nobody has used for longest."""
        surplus = len(self.positions) - MAX_LOADED
        if surplus <= 0:
            return
        with self._machine.lock, self._store.quiet():
            if self.users:
                return
            for tenant_id in [each for each in self.positions if each not in self._stay][:surplus]:
                tenant = self._store.tenant(tenant_id)
                leased = tenant is not None and tenant.lease is not None and not self._log.is_shared
                if not leased and not self.positions[tenant_id].flags.pending:
                    self._forget(tenant_id)


def _flags(tenant: Tenant) -> Flags:
    pending = bool(tenant.webhooks) and any(delivery.state == "pending" for delivery in tenant.deliveries)
    return Flags(pending, tenant.clock.held, None if tenant.lease is None else tenant.lease.seconds)


def _rows(tenant: Tenant) -> int:
    return len(tenant.handoffs) + len(tenant.audit_log) + len(tenant.crm_records) + len(tenant.deliveries)
