"""Gives everything that may change a tenant its place in that tenant's log, and applies it there.

One thread takes what has come in meanwhile as one batch: it places the entries, applies them in order, writes them for
good with one commit, and only then hands out the responses. So what a client has read was written. It is the same for
requests to the API, commands of the control plane and attempts of webhooks.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from vorel_mock.api.messages import Request, Response
from vorel_mock.api.steps.authentication import bearer_token
from vorel_mock.mock.snapshot.rows import SnapshotDelivery
from vorel_mock.mock.store.logged import LoggedStore
from vorel_mock.mock.tenant_log.entries import AttemptEntry, CommandEntry, RequestEntry
from vorel_mock.mock.tenant_log.interface import FROZEN, PENDING, Behind, Log, LogError, Placed
from vorel_mock.mock.tenant_log.replica import MAX_LOADED, Commands, Machine, Replica
from vorel_mock.model.clock import Timeline
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.webhooks import Delivery
from vorel_mock.unpatched.clocks import monotonic

logger = logging.getLogger("vorel_mock")

#: Seconds that whoever asks for something waits for it.
PATIENCE = 30.0
#: Seconds between two looks, in a log that others write as well: for tenants that somebody waits for, for deliveries
#: to make that another process has published, and for processes that have died and leases that have ended.
FOLLOW_EVERY, OWNED_EVERY, CLAIM_EVERY = 0.05, 0.2, 2.0
_ENDED = "the mock has ended"


@dataclass(slots=True)
class _Request:
    request: Request
    at: float
    done: Callable[[Response], object]
    tenant_id: str | None = None
    response: Response | None = None


@dataclass(slots=True)
class _Command:
    """A command; or an attempt."""

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


class Sequencer:
    """The thread, and what waits for it. All methods without an underscore may be called from any thread.

    Whoever calls one that waits must not hold the mock's lock.
    """

    def __init__(self, machine: Machine, store: LoggedStore, timeline: Timeline, log: Log) -> None:
        self._machine = machine
        self._store = store
        self._log = log
        self._replica = Replica(machine, store, timeline, log)
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._followed: Counter[str] = Counter()
        """Tenants that somebody waits for, and how many do."""
        self._follow_at = self._owned_at = self._claim_at = 0.0
        self._ident = threading.get_ident()
        self._thread: threading.Thread | None = None

    @property
    def is_shared(self) -> bool:
        """True if other processes use the log as well."""
        return self._log.is_shared

    # Start and end.

    def start(self, commands: Commands, first: Iterable[str]) -> None:
        """Begin. `commands` are the handlers by operationId; `first`, tenants that stay in memory."""
        self._replica.start(commands, first)
        self._thread = threading.Thread(target=self._run, name="vorel-mock-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do what has come in, and end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(PATIENCE)
            self._log.close()
            self._replica.stop()
            self._fail(self._taken(), _ENDED)

    # What comes in.

    def submit(self, request: Request, at: float, done: Callable[[Response], object]) -> None:
        """Have a request to the API answered. `done` is called with the response, in the sequencer's thread."""
        self._put(_Request(request, at, done))

    def command(self, name: str, tenant_id: str, arguments: dict[str, Any]) -> Any:
        """Have a command applied to a tenant, and return what its handler returns, or raise what it raises."""
        done: Future[Any] = Future()
        self._put(_Command(tenant_id, CommandEntry.of(name, arguments), self._machine.now(), done))
        return done.result(PATIENCE)

    def move_frozen(self, seconds: float) -> None:
        """Move the clocks of the tenants forward whose clock is frozen."""
        for tenant_id in self.call(lambda: self._log.flagged(FROZEN)):
            self.command("moveTenantClock", tenant_id, {"tenant_id": tenant_id, "seconds": seconds})

    def attempted(self, tenant: Tenant, delivery: Delivery) -> None:
        """Note what an attempt has made of a delivery. Does not wait."""
        self._put(_Command(tenant.id, AttemptEntry(SnapshotDelivery.of(delivery)), self._machine.now()))

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

    def check(self) -> None:
        """Count the tenants. Raises LogError if the log cannot be used."""
        self._store.count(self.call(self._log.count))

    def restart_numbers(self) -> None:
        """Have the next request be the first one again."""
        self._replica.restarts_numbers = True

    def load(self, tenant_id: str) -> None:
        """Have a tenant be in memory, if there is one with that id, as it is now."""
        if self.is_shared or tenant_id not in self._replica.positions:
            self.call(partial(self._load, [tenant_id], [tenant_id]))

    def _load(self, ids: Sequence[str], used: Sequence[str] = ()) -> None:
        for tenant_id in ids:
            self._replica.load(tenant_id)
        self._replica.catch_up(ids, used)

    def load_owners(self, tokens: Iterable[str]) -> None:
        """Have the tenants of keys be in memory."""
        wanted = list(tokens)
        self.call(lambda: self._replica.catch_up(filter(None, map(self._replica.owner, wanted))))

    def load_all(self) -> None:
        """Have all tenants be in memory, as far as they have room there: those that were made last."""
        if self.is_shared or len(self._replica.positions) < self._store.total:
            self.call(self._load_all)

    def _load_all(self) -> None:
        self._replica.refresh()
        self._load(list(self._store.ids)[-MAX_LOADED:])

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Have all tenants that are in memory stay there meanwhile."""
        with self._machine.lock:
            self._replica.users += 1
        try:
            yield
        finally:
            with self._machine.lock:
                self._replica.users -= 1

    @contextmanager
    def following(self, tenant_id: str | None) -> Iterator[None]:
        """Have what others do to a tenant be seen soon; None: to all that have deliveries to make."""
        ids = [tenant_id] if tenant_id is not None else []
        if tenant_id is None and self.is_shared:
            ids = self.call(self._pending)
        with self._machine.lock:
            self._followed.update(ids)
        if self.is_shared:
            self.flush()  # which has the thread look again
        try:
            yield
        finally:
            with self._machine.lock:
                self._followed.subtract(ids)
                self._followed += Counter()

    def _pending(self) -> list[str]:
        ids = list(self._log.flagged(PENDING))
        for each in ids:
            self._replica.load(each)
        return ids

    # Below, in the thread.

    @property
    def is_here(self) -> bool:
        """True in the thread that applies entries."""
        return threading.get_ident() == self._ident

    def _run(self) -> None:
        self._ident = threading.get_ident()
        ended = False
        while not ended:
            batch = self._wait()
            ended = None in batch
            items = [item for item in batch if item is not None]
            try:
                if batch:
                    self._process(items)
                    items = []  # they have their answers, whatever comes now
                if self.is_shared:
                    self._look()
            except Exception as error:
                if not isinstance(error, LogError):
                    logger.exception("the log cannot go on")
                self._fail(items, str(error) if isinstance(error, LogError) else "the mock failed; its log says why")

    def _wait(self) -> list[_Item | None]:
        """Return what has come in; nothing, if it is time to look what others did."""
        with suppress(Empty):
            return [self._queue.get(timeout=self._pause()), *self._taken()]
        return []

    def _pause(self) -> float | None:
        if not self.is_shared:
            return None
        looks = [self._claim_at]
        if self._followed:
            looks.append(self._follow_at)
        if self._replica.owned:
            looks.append(self._owned_at)
        return max(0.001, min(looks) - monotonic())

    def _taken(self) -> list[_Item | None]:
        """Return what waits."""
        taken = []
        with suppress(Empty):
            while True:
                taken.append(self._queue.get_nowait())
        return taken

    def _look(self) -> None:
        """See what others did."""
        now, replica = monotonic(), self._replica
        if now >= self._claim_at:
            self._claim_at = now + CLAIM_EVERY
            replica.take_deliveries()
            replica.end_leases()
            replica.commit()
        if self._followed and now >= self._follow_at:
            self._follow_at = now + FOLLOW_EVERY
            with self._machine.lock:
                followed = list(self._followed)
            replica.catch_up(followed, followed)
        if replica.owned and now >= self._owned_at:
            self._owned_at = now + OWNED_EVERY
            replica.catch_up(replica.owned)

    def _process(self, items: list[_Item]) -> None:
        self._replica.find_lost()
        entries = [item for item in items if not isinstance(item, _Call)]
        if entries:
            places = self._placed(entries)
            with self._machine.lock:
                for item, place in zip(entries, places, strict=True):
                    self._apply(item, place)
        for call in items:
            if isinstance(call, _Call):
                try:
                    call.result = call.function()
                except LogError:
                    raise
                except Exception as error:
                    call.error = error
        self._replica.commit()
        self._deliver(items)
        self._replica.make_room()

    def _placed(self, entries: list[_Request | _Command]) -> Sequence[Placed]:
        """Have the tenants of entries be in memory, and the entries in their places."""
        replica = self._replica
        while True:
            for entry in entries:
                if isinstance(entry, _Request):
                    credentials = entry.request.fields.get(b"authorization")
                    token = None if credentials is None else bearer_token(credentials)
                    entry.tenant_id = None if token is None else replica.owner(token)
                else:
                    replica.load(entry.tenant_id)
            try:
                return self._log.place(
                    [
                        replica.append(
                            entry.tenant_id,
                            entry.at,
                            RequestEntry.of(entry.request) if isinstance(entry, _Request) else entry.content,
                        )
                        for entry in entries
                    ]
                )
            except Behind as behind:
                replica.reload(behind)
                for entry in entries:
                    entry.at = max(entry.at, self._machine.now())

    def _apply(self, item: _Request | _Command, place: Placed) -> None:
        replica, tenant_id = self._replica, item.tenant_id
        if place.is_gone and tenant_id is not None:
            replica.gone(tenant_id)
        is_there = tenant_id is not None and tenant_id in replica.positions
        with (
            replica.advance(tenant_id, place.version, place.missed, item.at)
            if is_there and tenant_id is not None
            else nullcontext()
        ):
            if isinstance(item, _Request):
                item.response = self._machine.answer_numbered(item.request, place.number).response
            elif isinstance(item.content, CommandEntry):
                try:
                    item.result = replica.commands[item.content.name](**item.content.arguments())
                except Exception as error:
                    item.error = error
            elif (tenant := self._store.tenant(item.tenant_id)) is not None:
                replica.take_over(tenant, item.content.delivery)

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
        self._replica.lose(
            item.tenant_id for item in items if isinstance(item, _Request | _Command) and item.tenant_id is not None
        )
        for item in items:
            if isinstance(item, _Request):
                item.done(self._machine.unavailable(item.request, why))
            elif item is not None and item.done is not None:
                item.done.set_exception(LogError(why))
