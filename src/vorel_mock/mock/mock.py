"""One running mock: contract, clock, ids, tenants, journal and webhooks, and the lock that guards them."""

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import RLock
from typing import Any

from vorel_mock.api.core import Core
from vorel_mock.api.messages import ApiError, Exchange, Request, Response
from vorel_mock.api.pipeline import Pipeline, Publish
from vorel_mock.api.router import Router
from vorel_mock.api.steps import authentication
from vorel_mock.contract import contract as contract_module
from vorel_mock.mock import provisioning
from vorel_mock.mock.dry_run import copy_for_dry_run
from vorel_mock.mock.expiry import Expiry
from vorel_mock.mock.fixtures import Fixtures, Loaded
from vorel_mock.mock.journal.access_log import AccessLog
from vorel_mock.mock.journal.journal import Journal
from vorel_mock.mock.journal.mark import request_id
from vorel_mock.mock.settings import Settings, is_loopback
from vorel_mock.mock.snapshot import Reader
from vorel_mock.mock.store.logged import LoggedStore
from vorel_mock.mock.store.memory import MemoryStore
from vorel_mock.mock.tenant_log import opening
from vorel_mock.mock.tenant_log.replica import Commands
from vorel_mock.mock.tenant_log.sequencer import Sequencer
from vorel_mock.mock.tenant_tokens import TenantTokens
from vorel_mock.mock.waiting_places import WaitingPlaces
from vorel_mock.model.clock import Clock, Timeline
from vorel_mock.model.ids import Ids, SharedIds, fresh_seed, fresh_token, undrawn
from vorel_mock.model.redaction import redact
from vorel_mock.model.store import Store
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.tenant_state import adopt, copy_of
from vorel_mock.model.webhooks import Delivery
from vorel_mock.unpatched.clocks import stopwatch
from vorel_mock.webhooks.dispatcher import Dispatcher
from vorel_mock.webhooks.target_policy import TargetPolicy

logger = logging.getLogger("vorel_mock")

#: Seconds that moving a clock may take because receivers of webhooks are slow.
SETTLE_TIMEOUT = 90.0
#: What a client reads while the log cannot be written. The contract declares no 503; a client of HTTP has to expect it.
UNAVAILABLE = "The state of the mock cannot be written at present. Try again in a moment."
_SOON = (b"retry-after", b"1")


class NoRoom(Exception):
    """There are as many tenants as the settings allow. The text says what to do."""


class Mock:
    """One mock. All code that reads or changes its state holds `lock`: requests to the API and to the control plane."""

    def __init__(self, settings: Settings, log: AccessLog | None = None) -> None:
        self.settings = settings
        self.contract = contract_module.load(settings.contract)
        provisioning.check_token_shape(self.contract)
        fixtures = self._read_fixtures()
        self.clock = fixtures.clock(settings)
        seed = fixtures.seed(settings)
        past, tenant_log = None, None
        if settings.state is not None:
            tenant_log, past = opening.opened(settings.state, self.contract, seed)
        if past is not None:
            seed = past.whole.seed
            self.clock.take_position(past.whole.offset, past.whole.frozen_at)
        self.seed = fresh_seed() if seed is None else seed
        self.timeline = self.clock
        """The clock that tenants' clocks follow: the mock's, unless entries of a log are being applied."""
        self.limits = fixtures.limits(settings)
        """The limits of tenants that have none of their own."""
        self.lock = RLock()
        self.store = MemoryStore()
        self.state: Sequencer | None = None
        """Keeps the tenants beyond the end of the process. None: they are in memory alone."""
        if tenant_log is not None:
            self.timeline, self.store = timeline, store = Timeline(self.clock), LoggedStore()
            self.state = Sequencer(self, store, timeline, tenant_log)
        self.journal = Journal()
        self.log = log or AccessLog(off=True)
        targets = TargetPolicy(settings.webhook_hosts, loopback=not settings.no_loopback_webhooks)
        self.webhooks = Dispatcher(self.lock, targets, self.clock, self._attempted)
        self.snapshots = Reader(self.contract, targets.check)
        self.ids = Ids(self.seed, "mock", 0 if past is None else past.drawn)
        if tenant_log is not None and tenant_log.is_shared:
            self.ids = SharedIds(self.seed, "mock", tenant_log.draw)
        self._number = 0 if past is None else past.number
        """Requests answered since the start, or the last reset: each has its number as its id."""
        self.writes = 0
        """What the control plane has changed, and attempts of webhooks, since the start."""
        self.waits = WaitingPlaces()
        self.expiry = Expiry(self.lock, self._expired)
        self.stopped = False
        self.control_token = settings.control_token
        if self.control_token is None and not settings.trust_network and not is_loopback(settings.host):
            self.control_token = fresh_token()
        self.tenant_tokens = None if self.control_token is None else TenantTokens(self.control_token)
        """Those of the owners of tenants. None: the control plane requires no token."""
        self.secrets = () if self.control_token is None else (self.control_token,)
        """Secrets of the mock itself: never shown, wherever a client put them."""
        self.log.secrets = self.secrets
        self.router = Router(self.contract)
        for warning in self.router.warnings():
            logger.warning("%s", warning)
        self._core = self._make_core(self.store, self.webhooks.publish)
        self._stories: dict[str, str] = {}
        """The tenants of the fixtures, in the order of the file, each with its story."""
        if past is not None:
            self._stories = past.whole.stories
        else:
            loaded = self._load(fixtures)
            self._stories = loaded.stories
            for tenant in loaded.tenants:
                self.store.add(tenant)

    def _make_core(self, store: Store, publish: Publish) -> Core:
        always = self.settings.rate_limit_headers == "always"
        return Core(self.contract, self.router, Pipeline(self.contract, store, publish), self.clock, always=always)

    def _read_fixtures(self) -> Fixtures:
        """Raises FixturesError. Takes time if the file is large: without the lock."""
        path = self.settings.fixtures
        return Fixtures(None if path is None else Path(path), self.contract)

    def _load(self, fixtures: Fixtures) -> Loaded:
        return fixtures.load(self.snapshots, seed=self.seed, limits=self.limits, clock=self.timeline)

    @property
    def fixtures(self) -> tuple[Tenant, ...]:
        """The tenants of the fixtures, in the order of the file: without a file, the demo tenants. They stay."""
        return tuple(tenant for each in self._stories if (tenant := self.store.tenant(each)) is not None)

    def is_fixture(self, tenant: Tenant) -> bool:
        """Return True if a tenant is one of the fixtures."""
        return tenant.id in self._stories

    def story(self, tenant: Tenant) -> str:
        """Return the sentence about a tenant of the fixtures."""
        return self._stories[tenant.id]

    @property
    def answered(self) -> int:
        """The number of the newest request: how many were answered since the start, or the last reset."""
        return self._number

    @property
    def changes(self) -> int:
        """A number that is another one whenever something has happened: a page that shows it is out of date."""
        return self._number + self.writes

    def _attempted(self, tenant: Tenant, delivery: Delivery) -> None:
        self.writes += 1
        self.log.attempt(tenant, delivery)
        if self.state is not None:
            self.state.attempted(tenant, delivery)

    def answer(self, request: Request) -> Response:
        """Answer a request to the API: the one function that each shell in `vorel_mock.server` calls.

        Never waits, unless the tenants are kept in a log (`submit`).
        """
        if self.state is not None:
            done: Future[Response] = Future()
            self.submit(request, done.set_result)
            return done.result()
        with self.lock:
            self._number = number = self._number + 1
            exchange = self.answer_numbered(request, number)
            response = exchange.response
            assert response is not None
        return response

    def submit(self, request: Request, done: Callable[[Response], object]) -> None:
        """Have a request answered through the log. `done` is called in another thread, when its effects are written."""
        assert self.state is not None
        self.state.submit(request, self.clock.now(), done)

    def answer_numbered(self, request: Request, number: int, *, again: bool = False) -> Exchange:
        """Answer a request, with the lock held. `again`: it was answered before, and has its effects once more."""
        if self.state is not None:
            self._number = max(self._number, number)
        started = stopwatch()
        exchange = self._core.answer(request, request_id(number))
        response = exchange.response
        assert response is not None
        exchange.duration = stopwatch() - started
        if response.transmission is not None:
            exchange.duration += response.transmission.delay + response.transmission.drip
        self.journal.add(exchange)
        if not again:
            self.log.write(exchange)
        return exchange

    def dry_run(self, request: Request) -> Exchange:
        """Answer a request on a copy of the tenant whose key it has: without an effect, and without a record."""
        store = MemoryStore()
        with self.lock:
            token = authentication.bearer_token(request.fields.get(b"authorization", b""))
            found = None if token is None else self.store.by_token(token)
            if found is not None:
                store.add(copy_for_dry_run(*found))
            return self._make_core(store, _discard).answer(request, "dry-run")

    def settle(self, moved: list[Tenant] | None) -> bool:
        """Have every webhook attempt made that is due now that clocks were moved; None is all tenants.

        False when some were not made in time.
        """
        if self.state is not None and self.state.is_here:  # whoever asked for the command waits, elsewhere
            self.webhooks.wake(moved)
            return True
        return self.webhooks.settle(moved, timeout=SETTLE_TIMEOUT)

    # What a log needs (`tenant_log/sequencer.py`).

    def start(self, commands: Commands) -> None:
        """Have the tenants that are kept in a log be there. `commands` are the handlers of the control plane."""
        if self.state is not None:
            self.state.start(commands, self._stories)

    def read_state(self, content: Any) -> Tenant:
        """Return the state of a snapshot in a log. Where webhooks may go is asked when they are sent."""
        return Reader(self.contract, lambda url: None).read(content)

    def now(self) -> float:
        """Return the time of the mock's clock."""
        return self.clock.now()

    def take_facts(self, facts: Mapping[str, bytes]) -> Collection[str]:
        """Take over what another process has changed of the whole mock. Returns the tenants of the fixtures."""
        whole = opening.read(facts[opening.WHOLE])
        with self.lock:
            self.clock.take_position(whole.offset, whole.frozen_at)
            self._stories = whole.stories
        self.webhooks.wake()
        return self._stories

    def facts(self) -> dict[str, bytes]:
        """Return what a log shall know of the mock."""
        return opening.facts(self.contract, self.seed, self.ids.drawn, self.clock, self._stories)

    def unavailable(self, request: Request, why: str) -> Response:
        """Return the response to a request that cannot be answered now, because its log cannot be written."""
        logger.error("%s %s: %s", request.method, redact(request.path), why)
        exchange = self._core.reject(request, "unavailable", ApiError(503, UNAVAILABLE, reason=why, headers=[_SOON]))
        assert exchange.response is not None
        return exchange.response

    def forget(self, tenant: Tenant) -> None:
        """Let go of a tenant that stays in its log."""
        self.expiry.forget(tenant)
        self.webhooks.forget(tenant)
        self.store.remove(tenant)
        self.journal.forget(tenant.id)
        tenant.held.release()

    def stop(self) -> None:
        """End the webhooks, and all requests that wait."""
        self.stopped = True
        with self.lock:
            self.journal.release()
            self.expiry.stop()
        self.webhooks.stop()
        if self.state is not None:
            self.state.stop()

    def tenant(self, tenant_id: str) -> Tenant | None:
        """Return the tenant with that id, whose lease begins anew."""
        tenant = self.store.tenant(tenant_id)
        if tenant is not None and tenant.lease is not None and not tenant.lease.renew():
            self._expired(tenant)
            return self.store.tenant(tenant_id)
        return tenant

    def tenants(self) -> list[Tenant]:
        """Return all tenants, in the order in which they were added."""
        self.expiry.sweep()
        return list(self.store.tenants())

    def make_tenant(self, wanted: Mapping[str, Any]) -> Tenant:
        """Create a tenant. Raises ValueError, which names the problem, and NoRoom."""
        self.check_room()
        return provisioning.create(
            wanted,
            store=self.store,
            contract=self.contract,
            limits=self.limits,
            clock=self.timeline,
            ids=self.ids,
            stream=self._stream,
        )

    def check_room(self) -> None:
        """Raises NoRoom if there are as many tenants as the settings allow. Called with the lock held."""
        most = self.settings.max_tenants
        if most is not None and self.store.total - len(self._stories) >= most:
            raise NoRoom(
                f"this mock takes {most} tenants at most (--max-tenants), and there are as many; "
                "delete some, or give them a ttl"
            )

    def _stream(self, name: str) -> Ids:
        """Return a stream of ids and keys that follows the seed, and the control token if one is required."""
        return Ids(self.seed if self.tenant_tokens is None else self.tenant_tokens.seed(self.seed, name), name)

    def secrets_of(self, tenant: Tenant) -> Ids:
        """Return a stream for the next secret of a tenant. Its own stream may be known: forks of one share theirs."""
        name = f"{tenant.id}/secrets/{tenant.ids.drawn}"
        if self.state is not None and self.state.is_shared:  # another process may be about to make one
            name += fresh_token()
        return self._stream(name)

    def remove_tenant(self, tenant: Tenant) -> None:
        """Forget a tenant and all that it owns."""
        self.expiry.forget(tenant)
        self.webhooks.forget(tenant)
        self.store.remove(tenant)
        self.journal.forget(tenant.id)
        self.journal.release(tenant.id)
        tenant.held.release()

    def _expired(self, tenant: Tenant) -> None:
        """Delete a tenant that nobody has used for too long; where others may have used it, their log decides."""
        if self.state is not None and self.state.is_shared:
            assert tenant.lease is not None
            tenant.lease.restart()
        else:
            self.remove_tenant(tenant)

    def reset_tenant(self, tenant: Tenant) -> None:
        """Restore the initial state of a tenant. Its clock stays, because time runs forward only.

        Its ids go on as well: a consumer takes an event with an id that it has seen for a duplicate.

        ValueError, and nothing is changed, when another tenant has taken over one of its keys.
        """
        self._reset([tenant])

    def create_from(self, state: Tenant, *, fresh_keys: bool) -> Tenant:
        """Create a tenant from a state, which becomes it. Call it without the lock.

        `fresh_keys`: with tokens of its own. Raises ValueError, and creates nothing, if a token is another tenant's;
        NoRoom if there are as many tenants as the settings allow.
        """
        with self.lock:
            if not fresh_keys:
                self._check_tokens(state, ())
            state.id = undrawn(self.ids.uuid, self.store.tenant)
        if fresh_keys:
            provisioning.renew_tokens(state, state.id, self._stream, self.store)
        clock, state.clock = state.clock, Clock(self.timeline)
        state.clock.restore(clock.now(), frozen=clock.held)
        state.initial = copy_of(state)
        with self.lock:
            self._check_tokens(state, ())
            self.check_room()
            self.store.add(state)
            self.webhooks.requeue(state)
        return state

    def fork(self, state: Tenant) -> Tenant:
        """Create a tenant from the state of one that lives on, with tokens of its own. Call it without the lock.

        Deliveries that are pending stay the original's: a receiver would get them twice.
        """
        for delivery in state.deliveries:
            if delivery.state == "pending":
                delivery.state, delivery.due_at = "failed", None
        return self.create_from(state, fresh_keys=True)

    def renew_tokens(self, state: Tenant) -> None:
        """Give the keys of a state tokens that no key has had. Call it without the lock: a state may have many."""
        with self.lock:
            name = self.ids.uuid()
        provisioning.renew_tokens(state, name, self._stream, self.store)

    def restore(self, tenant: Tenant, state: Tenant) -> object:
        """Make `tenant` what `state` is, its clock and its ids included. The state may not be used any more.

        Raises ValueError, and changes nothing, if a token is another tenant's. Returns what is to be let go of without
        the lock.
        """
        before = self._replace({tenant: state})
        tenant.clock.restore(state.clock.now(), frozen=state.clock.held)
        tenant.ids = state.ids
        return before

    def _check_tokens(self, state: Tenant, owners: Collection[Tenant]) -> None:
        """Raises ValueError if a key of `state` belongs to a tenant that is not one of `owners`."""
        for key in state.keys.values():
            owner = self.store.by_token(key.token)
            if owner is not None and owner[0] not in owners:
                raise ValueError(f"the token of key {key.id} belongs to tenant {owner[0].id}; delete that one first")

    def _reset(self, chosen: list[Tenant]) -> object:
        before = self._replace({tenant: copy_of(tenant.initial) for tenant in chosen if tenant.initial is not None})
        for tenant in chosen:
            self.journal.forget(tenant.id)
        return before

    def _replace(self, states: Mapping[Tenant, Tenant]) -> object:
        for state in states.values():
            self._check_tokens(state, states.keys())
        before = []
        for tenant in states:  # all of them first: they may have exchanged their keys
            self.webhooks.forget(tenant)
            tenant.held.release()
            for key in tenant.keys.values():
                self.store.unindex(key)
        for tenant, state in states.items():
            before.append(adopt(tenant, state))
            for key in tenant.keys.values():
                self.store.index(tenant, key)
            self.store.note(tenant)
            self.webhooks.requeue(tenant)
        return before

    def reset(self, *, everything: bool = False) -> None:
        """Restore the initial state of the fixtures, whose file is read again; `everything`: delete all other tenants.

        Raises FixturesError if the file is wrong, ValueError as `reset_tenant` does; then nothing is changed. Call it
        without the lock: a file may be large.

        If there are no other tenants, the journal is cleared and request ids start anew. All other ids go on.
        """
        fixtures = None if self.settings.fixtures is None else self._read_fixtures()
        limits = self.limits if fixtures is None else fixtures.limits(self.settings)
        loaded = (
            None
            if fixtures is None
            else fixtures.load(self.snapshots, seed=self.seed, limits=limits, clock=self.timeline)
        )
        with self.lock:
            if loaded is not None and not everything:
                self._check_free(loaded)
            if everything:
                for tenant in list(self.store.tenants()):
                    if not self.is_fixture(tenant):
                        self.remove_tenant(tenant)
                self.store.forget_others(self._stories)
            self.limits = limits
            before = self._reset(list(self.fixtures)) if loaded is None else self._take_over(loaded)
            if len(self.fixtures) == self.store.total:
                self.journal.clear()
                self._number = 0
                if self.state is not None:
                    self.state.restart_numbers()
        del before  # without the lock: it may be large

    def _check_free(self, loaded: Loaded) -> None:
        """Raises ValueError if a tenant that stays has an id or a token of the fixtures."""
        own = set(self.fixtures)
        for state in loaded.tenants:
            if (owner := self.store.tenant(state.id)) is not None and not self.is_fixture(owner):
                raise ValueError(f"there is a tenant with the id {state.id}; delete that one first")
            self._check_tokens(state, own)

    def _take_over(self, loaded: Loaded) -> object:
        """Have the tenants of the fixtures be those that were loaded: some go, some are reset, some come.

        Returns what is to be let go of without the lock.
        """
        known = {tenant.id: tenant for tenant in self.fixtures}
        kept = {known[state.id]: state for state in loaded.tenants if state.id in known}
        for tenant in known.values():
            if tenant not in kept:
                self.remove_tenant(tenant)
        for tenant, state in kept.items():
            tenant.initial = state.initial
        before = self._replace(kept)
        for state in loaded.tenants:
            if state.id in known:
                self.journal.forget(state.id)
            else:
                self.store.add(state)
        self._stories = loaded.stories
        return before, known


def _discard(*_: Any, **__: Any) -> None:
    """Discard the event: a dry run publishes no webhooks."""
