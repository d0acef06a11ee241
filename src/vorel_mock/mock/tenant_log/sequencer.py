"""Gives everything that may change a tenant its place in that tenant's log, and applies it there.

One thread takes what has come in meanwhile as one batch: it places the entries, applies them in order, writes them for
good with one commit, and only then hands out the responses. So what a client has read was written. It is the same for
requests to the API, commands of the control plane and attempts of webhooks.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import RLock
from typing import Any, Protocol

from vorel_mock.api.messages import Exchange, Request, Response
from vorel_mock.api.steps.authentication import bearer_token
from vorel_mock.mock.expiry import Expiry
from vorel_mock.mock.snapshot.rows import SnapshotDelivery
from vorel_mock.mock.store.logged import LoggedStore, token_hash
from vorel_mock.mock.tenant_log import checkpoints
from vorel_mock.mock.tenant_log.entries import AttemptEntry, CommandEntry, Content, Entry, RequestEntry, decode, encode
from vorel_mock.mock.tenant_log.interface import FROZEN, NUMBER, PENDING, Append, Changes, Log, LogError, Placed
from vorel_mock.model.clock import Timeline
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.webhooks import Delivery
from vorel_mock.webhooks.dispatcher import Dispatcher

logger = logging.getLogger("vorel_mock")

#: Entries behind a checkpoint after which a new one is written, for a tenant without rows. One with many rows gets it
#: later: its checkpoint is large, and each entry shall cost the same.
CHECKPOINT_EVERY = 1_000
#: Tenants that are kept in memory. Beyond it, those go that nobody has used for longest.
MAX_LOADED = 10_000
#: Seconds that whoever asks for something waits for it.
PATIENCE = 30.0
_ENDED = "the mock has ended"


class Machine(Protocol):
    """What entries are applied to: a mock."""

    lock: RLock
    webhooks: Dispatcher
    expiry: Expiry

    def answer_numbered(self, request: Request, number: int, *, again: bool = False) -> Exchange:
        """Answer a request. `again`: it was answered before; its effects are repeated."""

    def read_state(self, content: Any) -> Tenant:
        """Return the state that a snapshot describes."""

    def facts(self) -> dict[str, bytes]:
        """Return what concerns the whole mock and changes."""

    def unavailable(self, request: Request, why: str) -> Response:
        """Return the response to a request that cannot be answered now."""

    def forget(self, tenant: Tenant) -> None:
        """Let go of a tenant that stays in the log."""


@dataclass(slots=True)
class _Request:
    request: Request
    at: float
    done: Callable[[Response], object]
    tenant_id: str | None = None
    response: Response | None = None


@dataclass(slots=True)
class _Command:
    """A command; or an attempt, which has been applied already."""

    tenant_id: str
    content: CommandEntry | AttemptEntry
    at: float
    done: "Future[Any] | None" = None
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Call:
    """Something to do between entries."""

    function: Callable[[], Any]
    done: "Future[Any]"
    result: Any = None
    error: BaseException | None = None


_Item = _Request | _Command | _Call
Commands = Mapping[str, Callable[..., Any]]


@dataclass(slots=True)
class _Position:
    """How far a tenant in memory is in its log."""

    version: int
    checkpoint: int
    at: float
    flags: int = 0


class Sequencer:
    """The thread, and what waits for it. All methods without an underscore may be called from any thread.

    Whoever calls one that waits must not hold the mock's lock.
    """

    def __init__(self, machine: Machine, store: LoggedStore, timeline: Timeline, log: Log) -> None:
        self._machine = machine
        self._store = store
        self._timeline = timeline
        self._log = log
        self._commands: Commands = {}
        self._stay: frozenset[str] = frozenset()
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._positions: dict[str, _Position] = {}
        """Of the tenants in memory, the one used last at the end."""
        self._touched: set[str] = set()
        """Tenants that something was applied to since the last commit."""
        self._lost: set[str] = set()
        """Tenants that must be read from the log again."""
        self._facts: dict[str, bytes] = {}
        self._restarts_numbers = False
        self._users = 0
        """Those that want all tenants to stay that are in memory."""
        self._ident = threading.get_ident()
        self._thread: threading.Thread | None = None
        self.problem: str | None = None
        """Why nothing can be written at present."""

    # Start and end.

    def start(self, commands: Commands, first: Iterable[str]) -> None:
        """Begin. `commands` are the handlers by operationId; `first`, tenants that stay in memory."""
        self._commands, self._stay = commands, frozenset(first)
        with self._machine.lock:
            self._store.ids.update(dict.fromkeys(self._log.tenant_ids()))
        for tenant_id in [*self._stay, *self._log.flagged(PENDING)]:
            self._load(tenant_id)
        self._commit()
        self._thread = threading.Thread(target=self._run, name="vorel-mock-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do what has come in, and end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(PATIENCE)
            self._log.close()
            self._fail(self._taken(), _ENDED)

    # What comes in.

    def submit(self, request: Request, at: float, done: Callable[[Response], object]) -> None:
        """Have a request to the API answered. `done` is called with the response, in the sequencer's thread."""
        self._put(_Request(request, at, done))

    def command(self, name: str, tenant_id: str, arguments: dict[str, Any], at: float) -> Any:
        """Have a command applied to a tenant, and return what its handler returns, or raise what it raises."""
        done: Future[Any] = Future()
        self._put(_Command(tenant_id, CommandEntry.of(name, arguments), at, done))
        return done.result(PATIENCE)

    def attempted(self, tenant: Tenant, delivery: Delivery, at: float) -> None:
        """Note what an attempt has made of a delivery. Does not wait."""
        self._put(_Command(tenant.id, AttemptEntry(SnapshotDelivery.of(delivery)), at))

    def call(self, function: Callable[[], Any]) -> Any:
        """Have a function called between entries; it may change what it likes. Returns once that is written."""
        done: Future[Any] = Future()
        self._put(_Call(function, done))
        return done.result(PATIENCE)

    def _put(self, item: _Item) -> None:
        if self._thread is None:
            self._fail([item], _ENDED)
        else:
            self._queue.put(item)

    def flush(self) -> None:
        """Return once everything that was changed until now is written."""
        self.call(lambda: None)

    def restart_numbers(self) -> None:
        """Have the next request be the first one again."""
        self._restarts_numbers = True

    def load(self, tenant_id: str) -> None:
        """Have a tenant be in memory, if there is one with that id."""
        if tenant_id not in self._positions:
            self.call(lambda: self._load(tenant_id))

    def load_owner(self, token: str) -> None:
        """Have the tenant of a key be in memory, if there is one."""
        self.call(lambda: self._owner(token))

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Have all tenants that are in memory stay there meanwhile."""
        with self._machine.lock:
            self._users += 1
        try:
            yield
        finally:
            with self._machine.lock:
                self._users -= 1

    def load_frozen(self) -> None:
        """Have all tenants be in memory whose clock is frozen."""
        self.call(lambda: [self._load(each) for each in self._log.flagged(FROZEN)])

    def load_all(self) -> None:
        """Have all tenants be in memory, as far as they have room there: those that were made last."""
        if len(self._positions) < len(self._store):
            ids = list(self._store.ids)[-MAX_LOADED:]
            self.call(lambda: [self._load(each) for each in ids])

    # Below, in the thread.

    @property
    def is_here(self) -> bool:
        """True in the thread that applies entries."""
        return threading.get_ident() == self._ident

    def _run(self) -> None:
        self._ident = threading.get_ident()
        ended = False
        while not ended:
            batch = [self._queue.get(), *self._taken()]
            ended = None in batch
            items = [item for item in batch if item is not None]
            try:
                self._process(items)
                self.problem = None
            except Exception as error:
                if not isinstance(error, LogError):
                    logger.exception("the log cannot go on")
                self._fail(items, str(error) if isinstance(error, LogError) else "the mock failed; its log says why")

    def _taken(self) -> list[_Item | None]:
        """Return what waits."""
        taken = []
        with suppress(Empty):
            while True:
                taken.append(self._queue.get_nowait())
        return taken

    def _process(self, items: list[_Item]) -> None:
        for tenant_id in list(self._lost):
            self._load(tenant_id)
            self._lost.discard(tenant_id)
        self._find_tenants(items)
        entries = [item for item in items if not isinstance(item, _Call)]
        places = dict(zip(map(id, entries), self._place(entries), strict=True))
        with self._machine.lock:
            for item in items:
                if isinstance(item, _Call):
                    continue
                self._apply_item(item, places[id(item)])
        for item in items:
            if isinstance(item, _Call):
                try:
                    item.result = item.function()
                except LogError:
                    raise
                except Exception as error:
                    item.error = error
        self._commit()
        self._deliver(items)
        self._make_room()

    def _find_tenants(self, items: list[_Item]) -> None:
        """Have the tenant of each item be in memory."""
        for item in items:
            if isinstance(item, _Request):
                credentials = item.request.fields.get(b"authorization")
                token = None if credentials is None else bearer_token(credentials)
                item.tenant_id = None if token is None else self._owner(token)
            elif isinstance(item, _Command):
                self._load(item.tenant_id)

    def _owner(self, token: str) -> str | None:
        """Return the tenant that has a key; it is in memory then."""
        with self._machine.lock:
            found = self._store.by_token(token)
        if found is not None:
            return found[0].id if found[0].id in self._positions else None
        owner = self._log.owner(token_hash(token))
        return owner if owner is not None and self._load(owner) else None

    def _place(self, entries: list[_Request | _Command]) -> Iterable[Placed | None]:
        return self._log.place(
            [
                Append(
                    entry.tenant_id if entry.tenant_id in self._positions else None,
                    self._positions[entry.tenant_id].version if entry.tenant_id in self._positions else 0,
                    encode(Entry(entry.at, self._content(entry))),
                    isinstance(entry, _Request),
                )
                for entry in entries
            ]
        )

    @staticmethod
    def _content(entry: _Request | _Command) -> Content:
        return RequestEntry.of(entry.request) if isinstance(entry, _Request) else entry.content

    def _apply_item(self, item: _Request | _Command, place: Placed | None) -> None:
        position = None if item.tenant_id is None else self._positions.get(item.tenant_id)
        if position is not None and place is not None:
            assert item.tenant_id is not None
            position.version = place.version
            self._positions[item.tenant_id] = self._positions.pop(item.tenant_id)  # now the one used last
            self._touched.add(item.tenant_id)
        with self._at(position, item.at):
            if isinstance(item, _Request):
                number = 0 if place is None else place.number
                exchange = self._machine.answer_numbered(item.request, number)
                item.response = exchange.response
            elif isinstance(item.content, CommandEntry):
                try:
                    item.result = self._commands[item.content.name](**item.content.arguments())
                except Exception as error:
                    item.error = error

    def _at(self, position: _Position | None, at: float) -> "_HeldTime":
        """Return a context in which the clocks show the time of an entry; never one before that of the entry before."""
        if position is not None:
            at = position.at = max(position.at, at)
        return _HeldTime(self._timeline, at)

    def _load(self, tenant_id: str) -> bool:
        """Have a tenant be in memory. False: there is none."""
        if tenant_id in self._positions:
            return True
        stored = self._log.load(tenant_id)
        if stored is None:
            return False
        machine = self._machine
        tenant, at = checkpoints.read(tenant_id, stored.checkpoint, self._timeline, machine.read_state)
        position = _Position(stored.version, stored.version, at)
        with machine.lock, self._store.quiet():
            self._store.add(tenant)
            machine.webhooks.quiet.add(tenant)
            self._positions[tenant_id] = position
            for version, number, content in stored.entries:
                position.version = version
                self._repeat(tenant, position, number, decode(content))
            machine.webhooks.quiet.discard(tenant)
            machine.webhooks.requeue(tenant)
            if tenant.lease is not None:
                machine.expiry.set(tenant, tenant.lease.seconds)
        position.flags = _flags(tenant)
        return True

    def _repeat(self, tenant: Tenant, position: _Position, number: int, entry: Entry) -> None:
        """Apply an entry that was applied before, in an earlier process or in another one."""
        content = entry.content
        with self._at(position, entry.at):
            if isinstance(content, RequestEntry):
                exchange = self._machine.answer_numbered(content.request(), number, again=True)
                transmission = None if exchange.response is None else exchange.response.transmission
                if transmission is not None and transmission.held is not None:
                    transmission.held.end()
            elif isinstance(content, CommandEntry):
                try:
                    self._commands[content.name](**content.arguments())
                except Exception:
                    logger.debug("%s was rejected, as it was the first time", content.name)
            else:
                _take_over(tenant, content.delivery)

    def _commit(self) -> None:
        """Write the entries that were placed, and what changed beside them."""
        machine, changes = self._machine, Changes()
        with machine.lock:
            notes = self._store.take_notes()
            changes.removed, changes.tokens = notes.removed, notes.tokens
            for tenant_id in notes.removed:
                self._positions.pop(tenant_id, None)
            due = dict(notes.changed)
            due |= {name: tenant for name in self._touched if (tenant := self._due(name)) is not None}
            captured = {}
            for tenant_id, tenant in due.items():
                position = self._positions.setdefault(tenant_id, _Position(0, 0, self._timeline.now()))
                position.checkpoint = position.version
                captured[tenant_id] = position.version, checkpoints.capture(tenant, position.at)
                self._touched.add(tenant_id)
            for tenant_id in self._touched & self._positions.keys():
                known, position = self._store.tenant(tenant_id), self._positions[tenant_id]
                if known is not None and (flags := _flags(known)) != position.flags:
                    changes.flags[tenant_id] = position.flags = flags
            facts = machine.facts()
            changes.facts = {name: value for name, value in facts.items() if self._facts.get(name) != value}
            self._facts = facts
            if self._restarts_numbers:
                changes.facts[NUMBER], self._restarts_numbers = b"0", False
        try:
            for tenant_id, (version, written) in captured.items():
                changes.checkpoints[tenant_id] = version, written()
            self._log.commit(changes)
        except BaseException:
            with machine.lock:
                self._store.give_back(notes)
            self._facts = {}
            raise
        self._touched.clear()

    def _due(self, tenant_id: str) -> Tenant | None:
        """Return the tenant if it is time for a checkpoint of it."""
        position = self._positions.get(tenant_id)
        if position is None or position.version - position.checkpoint < CHECKPOINT_EVERY:
            return None
        tenant = self._store.tenant(tenant_id)
        if tenant is None or position.version - position.checkpoint < CHECKPOINT_EVERY + _rows(tenant) // 4:
            return None
        return tenant

    def _make_room(self) -> None:
        """Let go of tenants that nobody has used for longest."""
        surplus = len(self._positions) - MAX_LOADED
        if surplus <= 0:
            return
        with self._machine.lock, self._store.quiet():
            if self._users:
                return
            for tenant_id in [each for each in self._positions if each not in self._stay][:surplus]:
                tenant = self._store.tenant(tenant_id)
                if tenant is not None and tenant.lease is None and not self._positions[tenant_id].flags & PENDING:
                    self._machine.forget(tenant)
                    del self._positions[tenant_id]

    def _deliver(self, items: list[_Item]) -> None:
        for item in items:
            if isinstance(item, _Request):
                assert item.response is not None
                item.done(item.response)
            elif item.done is not None:
                if item.error is not None:
                    item.done.set_exception(item.error)
                else:
                    item.done.set_result(item.result)

    def _fail(self, items: Sequence[_Item | None], why: str) -> None:
        """Tell everybody that nothing could be written. What was applied in memory is read again from the log."""
        self.problem = why
        machine = self._machine
        with machine.lock, self._store.quiet():
            for item in items:
                if item is not None and not isinstance(item, _Call) and item.tenant_id in self._positions:
                    tenant = self._store.tenant(item.tenant_id)
                    if tenant is not None:
                        machine.forget(tenant)
                    del self._positions[item.tenant_id]
                    self._lost.add(item.tenant_id)
        for item in items:
            if isinstance(item, _Request):
                item.done(machine.unavailable(item.request, why))
            elif item is not None and item.done is not None:
                item.done.set_exception(LogError(why))


class _HeldTime:
    """A context in which a timeline shows one time."""

    __slots__ = ("_at", "_timeline")

    def __init__(self, timeline: Timeline, at: float) -> None:
        self._timeline, self._at = timeline, at

    def __enter__(self) -> None:
        self._timeline.hold_at(self._at)

    def __exit__(self, *exception: object) -> None:
        self._timeline.hold_at(None)


def _take_over(tenant: Tenant, row: SnapshotDelivery) -> None:
    """Have a delivery be what an attempt has made of it."""
    for delivery in reversed(tenant.deliveries):
        if delivery.id == row.id:
            made = row.made()
            delivery.state, delivery.due_at, delivery.attempts = made.state, made.due_at, made.attempts
            return


def _flags(tenant: Tenant) -> int:
    pending = bool(tenant.webhooks) and any(delivery.state == "pending" for delivery in tenant.deliveries)
    return pending * PENDING + tenant.clock.held * FROZEN


def _rows(tenant: Tenant) -> int:
    return len(tenant.handoffs) + len(tenant.audit_log) + len(tenant.crm_records) + len(tenant.deliveries)
