"""The certification of an integration: start a mock, put the integration into situations, judge, report."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vorel_conformance.http import har
from vorel_conformance.http.attempt import Attempt, attempts
from vorel_conformance.http.mock_control import MockControl, MockError
from vorel_conformance.http.redact import redactor
from vorel_conformance.http.tap import Relay, Tap
from vorel_conformance.runs import mock_process
from vorel_conformance.runs import receiver as receivers
from vorel_conformance.runs.integration import Door, StartError
from vorel_conformance.session.client_session import ClientSession, Situated
from vorel_conformance.spec import clauses, contract
from vorel_conformance.spec.clauses import Clause
from vorel_conformance.spec.unknown_name import unknown_name
from vorel_conformance.suite.client import deliveries, situations, watched
from vorel_conformance.suite.client.deliveries import DeliverySituation
from vorel_conformance.suite.client.making import leads_needed, make
from vorel_conformance.suite.client.observation import Execution, Observation
from vorel_conformance.suite.client.oracles import judge
from vorel_conformance.suite.client.situations import Armed, Situation
from vorel_conformance.suite.client.tasks import CREATE, HANDOFF, Task
from vorel_conformance.suite.client.transcript import transcript

Event = Callable[[dict[str, Any]], None]

WEBHOOKS = "webhooks"
DOES = {"handoff": HANDOFF, "crm": CREATE}
# Seconds of the tenant's window that are left when its quota is spent; Retry-After rounds up.
_LEFT_S = 1.5
_WATCHED_LEADS = 20
# Characters; a shorter word is no key, and would be found everywhere.
_SHORTEST_KEY = 20


@dataclass(frozen=True)
class ReceiverOptions:
    """A webhook receiver that runs at `url`, or a command that is started."""

    url: str = ""
    command: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    effects: str = ""
    path: str = "/"


@dataclass(frozen=True)
class Options:
    """The options of a run. `does`: handoff, crm, webhooks."""

    does: frozenset[str] = frozenset({"handoff", "crm"})
    clauses: tuple[str, ...] = ()
    situation: str | None = None
    seed: int | None = None
    jobs: int = 4
    timeout: float = 60.0
    mock: str | None = None
    mock_token: str | None = field(default=None, repr=False)
    port: int = 0
    api_key: str | None = field(default=None, repr=False)
    receiver: ReceiverOptions | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of tasks that are given."""
        return frozenset(DOES[each] for each in self.does if each in DOES)


def check_does(names: Sequence[str]) -> frozenset[str]:
    """Return the names for `--does`. Raises ValueError for an unknown one."""
    known = (*DOES, WEBHOOKS)
    for name in names:
        if name not in known:
            raise ValueError(f"--does: {unknown_name('work', name, known)}; it is one of {', '.join(known)}")
    return frozenset(names)


def check_situation(name: str | None, does: frozenset[str]) -> None:
    """Raise ValueError if there is no such situation for an integration that does this."""
    if name is None:
        return
    webhooks = [each.name for each in deliveries.load(0, "")]
    known = [*situations.load(), *webhooks]
    if name not in known:
        raise ValueError(f"{unknown_name('situation', name, known)} (--list shows them all)")
    kinds = frozenset(DOES[each] for each in does if each in DOES)
    if not (WEBHOOKS in does if name in webhooks else situations.select(name, kinds)):
        raise ValueError(f"the situation {name} is for integrations that do something else, see --does")


def select(names: tuple[str, ...], does: frozenset[str]) -> dict[str, Clause]:
    """Return the clauses for an integration that does this. Raises ValueError for an unknown name."""
    api = bool(does & DOES.keys())
    return {
        id_: each
        for id_, each in clauses.select(names, clauses.CLIENT).items()
        if (each.does in does if each.does else api)
    }


def run(door: Door | None, options: Options, on_event: Event = lambda _: None) -> ClientSession:
    """Put the integration into every situation, and return the evidence.

    `door`: how tasks are given; None for a webhook receiver alone.
    Raises StartError if it cannot be started, crashes in every situation or sends nothing, MockError if the mock
    cannot be used.
    """
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    started, began = datetime.now(UTC), time.monotonic()
    receiver = options.receiver
    subject = door.name if door else shlex.join(receiver.command) or receiver.url if receiver else ""
    session = ClientSession(select(options.clauses, options.does), subject, seed, started, on_event)
    chosen: list[Situation] = []
    if door and options.situation not in {each.name for each in deliveries.load(0, "")}:
        chosen = situations.select(options.situation, options.kinds)
        chosen = [each for each in chosen if options.situation or _is_wanted(each.clauses, options)]
    with contextlib.ExitStack() as stack:
        control = None
        if chosen or (receiver and receiver.command):
            base_url = options.mock or stack.enter_context(mock_process.started(seed))
            control = MockControl(base_url, options.mock_token)
            stack.callback(control.close)
            control.check({armed.fault for each in chosen for armed in each.faults})
        if door and chosen and control:
            relay = stack.enter_context(Relay())
            _Runner(door, options, seed, control, relay, session).run_all(chosen)
        if receiver and not session.stopped and options.situation not in situations.load():
            _certify_receiver(receiver, options, control, session, stack)
    session.duration_s = time.monotonic() - began
    if door and chosen and not session.stopped:
        _check_that_it_works(session, door, whole=not options.situation and not options.clauses)
    if options.situation:
        session.keep_judged(next(each.clauses for each in _made_for(seed) if each.name == options.situation))
    session.explain_gaps(_made_for(seed))
    return session


def _made_for(seed: int) -> list[Situation | DeliverySituation]:
    return [*situations.load().values(), *deliveries.load(seed, "")]


def _certify_receiver(
    wanted: ReceiverOptions,
    options: Options,
    control: MockControl | None,
    session: ClientSession,
    stack: contextlib.ExitStack,
) -> None:
    found = receivers.Receiver(wanted.url, wanted.secret, wanted.effects)
    if wanted.command:
        assert control is not None
        tenant = control.create_tenant(keys={"full": 1, "burst": 0})
        found = stack.enter_context(
            receivers.started(
                wanted.command,
                port=options.port,
                path=wanted.path,
                effects=wanted.effects,
                secret=wanted.secret or f"whsec_{secrets.token_hex(24)}",
                base_url=control.base_url,
                key=options.api_key or tenant["keys"]["full"][0],
            )
        )
    chosen = [
        each
        for each in deliveries.load(session.seed, found.secret)
        if options.situation == each.name or (not options.situation and _is_wanted(each.clauses, options))
    ]
    receivers.certify(found, session, chosen)


def _is_wanted(made_for: Sequence[str], options: Options) -> bool:
    """Return True unless clauses are chosen, and a situation is made for none of them."""
    if not options.clauses:
        return True
    return any(clause in options.clauses or clause.split(".", 1)[0] in options.clauses for clause in made_for)


class NothingSentError(StartError):
    """The integration sent no request in any situation."""


def judge_har(path: Path, options: Options, on_event: Event = lambda _: None) -> ClientSession:
    """Judge traffic that was recorded elsewhere, as far as it gives evidence. Raises HarError."""
    began, started = time.monotonic(), datetime.now(UTC)
    session = ClientSession(select(options.clauses, options.does), str(path), options.seed or 0, started, on_event)
    seen = har.attempts(path)
    tokens = {value.rpartition(" ")[2] for each in seen if (value := each.header("Authorization"))}
    finders = [_finder(token) for token in tokens if len(token) >= _SHORTEST_KEY]
    observation = Observation(
        watched.HAR,
        watched.tasks_of(seen),
        (),
        seen,
        key="",
        holds_key=lambda text: any(finder(text) for finder in finders),
    )
    _add_watched(session, observation, tuple(tokens), f"vorel-conformance client --har {shlex.quote(str(path))}")
    session.duration_s = time.monotonic() - began
    return session


def watch(options: Options, seconds: float, on_event: Event = lambda _: None) -> ClientSession:
    """Offer a tenant of a mock for some time, and judge what comes by. Raises MockError.

    Ends early with KeyboardInterrupt, and judges what there is.
    """
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    began, started = time.monotonic(), datetime.now(UTC)
    session = ClientSession(select(options.clauses, options.does), "watched", seed, started, on_event)
    faults = tuple(each for each in watched.WATCH.faults if each.do in options.kinds)
    with contextlib.ExitStack() as stack:
        base_url = options.mock or stack.enter_context(mock_process.started(seed))
        control = MockControl(base_url, options.mock_token)
        stack.callback(control.close)
        control.check({each.fault for each in faults})
        relay = stack.enter_context(Relay())
        runner = _Runner(None, options, seed, control, relay, session)
        observation = runner.watch(replace(watched.WATCH, faults=faults), seconds)
    again = f"vorel-conformance client --watch {seconds:g}s --seed {seed}"
    _add_watched(session, observation, (observation.key,), again)
    session.duration_s = time.monotonic() - began
    return session


def _add_watched(session: ClientSession, observation: Observation, keys: tuple[str, ...], again: str) -> None:
    situation = observation.situation
    session.add(
        Situated(
            name=situation.name,
            about=situation.about,
            again=again,
            transcript=transcript(observation),
            requests=len(observation.attempts),
            secrets=keys,
        ),
        judge(observation),
    )
    for id_, result in session.results.by_id.items():
        if not result.checks:
            session.results.gap(id_, "no evidence: what came by does not tell; a run with -- CMD would")


def _check_that_it_works(session: ClientSession, door: Door, *, whole: bool) -> None:
    """Raise StartError for an integration that crashes always, or sends nothing: that is no verdict.

    `whole`: all situations were run. In a few of them a crash may be just what is to be seen.
    """
    runs = [each for each in session.situations if each.name in situations.load()]
    sent = any(each.requests for each in runs)
    if runs and all(each.crashed for each in runs) and (whole or not sent):
        said = next((each.output for each in runs if each.output), "")
        raise StartError(
            f"{door.name}: crashed in every situation (exit status {runs[0].exit_status})"
            + (f". Its last words: {said.strip()[-500:]}" if said.strip() else "")
        )
    if runs and not sent:
        raise NothingSentError(
            f"{door.name}: never sent a request. It must use VOREL_BASE_URL and VOREL_API_KEY of its environment, "
            "and read its tasks from stdin (docs/integration.md)"
        )


class _Runner:
    """Runs situations side by side, each in a tenant of its own."""

    def __init__(
        self,
        door: Door | None,
        options: Options,
        seed: int,
        control: MockControl,
        relay: Relay,
        session: ClientSession,
    ) -> None:
        self._door = door
        self._options = options
        self._seed = seed
        self._control = control
        self._relay = relay
        self._session = session
        url = urlsplit(control.base_url)
        self._upstream = (url.hostname or "127.0.0.1", url.port or 80)

    def run_all(self, chosen: Sequence[Situation]) -> None:
        """Run the situations, long ones first. Raises the first StartError or MockError."""
        # A running service is told neither port nor key: it has one of each, so it meets one situation at a time.
        fixed = self._options.port or self._options.api_key
        jobs = 1 if fixed else self._options.jobs
        longest_first = sorted(chosen, key=lambda each: -each.seconds)
        with ThreadPoolExecutor(jobs, thread_name_prefix="situation") as pool:
            futures = [pool.submit(self._run, each) for each in longest_first]
            try:
                for future in futures:
                    future.result()
            except KeyboardInterrupt as interrupt:
                # What was seen so far is reported; situations under way are not judged.
                self._session.stopped = str(interrupt)
                self._end(futures)
            except BaseException:
                self._end(futures)
                raise
        self._session.sort([each.name for each in chosen])

    def _end(self, futures: Sequence[Future[None]]) -> None:
        assert self._door is not None
        self._door.stop.set()
        for future in futures:
            future.cancel()

    def _run(self, situation: Situation) -> None:
        assert self._door is not None
        if self._door.stop.is_set():
            return
        self._session.on_event({"event": "situation", "name": situation.name, "about": situation.about})
        observation = self._observe(situation)
        if self._door.stop.is_set():
            return
        checks = judge(observation)
        self._session.add(
            Situated(
                name=situation.name,
                about=situation.about,
                again=self._again(situation),
                transcript=transcript(observation),
                requests=len(observation.attempts),
                crashed=all(each.crashed for each in observation.executions),
                exit_status=observation.executions[0].exit_status,
                output=observation.executions[0].output,
                secrets=(observation.key,),
            ),
            checks,
        )

    def watch(self, situation: Situation, seconds: float) -> Observation:
        """Offer a tenant, and return what came by."""
        tenant = self._control.create_tenant(keys={"full": 1, "burst": 0}, leads=_WATCHED_LEADS)
        tap = self._open_tap()
        id_, key = tenant["id"], self._options.api_key or tenant["keys"]["full"][0]
        try:
            if self._options.api_key:
                self._control.add_key(id_, key, _scopes(situation))
            self._arm(situation, id_, None)
            began = time.monotonic()
            leads = tenant["leads"]["own"]
            self._session.on_event({"event": "watching", "base_url": tap.base_url, "key": key, "leads": leads})
            try:
                time.sleep(seconds)
            except KeyboardInterrupt as interrupt:
                self._session.stopped = str(interrupt)
            seen = attempts(tap.connections, began)
            return Observation(
                situation,
                watched.tasks_of(seen),
                (),
                seen,
                key,
                handoffs=self._control.handoffs(id_),
                records=self._control.records(id_),
                holds_key=_finder(key),
            )
        finally:
            tap.close()
            self._control.delete_tenant(id_)

    def _again(self, situation: Situation) -> str:
        return f"vorel-conformance client --situation {situation.name} --seed {self._seed} -- {self._session.subject}"

    def _observe(self, situation: Situation) -> Observation:
        settings = {"keys": {"full": 1, "burst": 0}, "leads": leads_needed(situation), **situation.tenant}
        tenant = self._control.create_tenant(**settings)
        tap = self._open_tap()
        try:
            return self._in_tenant(situation, tenant, tap)
        finally:
            tap.close()
            self._control.delete_tenant(tenant["id"])

    def _open_tap(self) -> Tap:
        try:
            return self._relay.open(self._upstream, self._options.port)
        except OSError as error:
            raise MockError(
                f"port {self._options.port} cannot be used: {(error.strerror or str(error)).lower()}. "
                "Choose another one with --port, or end the program that has it"
            ) from error

    def _in_tenant(self, situation: Situation, tenant: Mapping[str, Any], tap: Tap) -> Observation:
        id_ = tenant["id"]
        keys = {**tenant["keys"], "full": tenant["keys"]["full"][0]}
        key = self._options.api_key or keys[situation.key]
        if self._options.api_key:
            self._control.add_key(id_, key, _scopes(situation), revoked=situation.key == "revoked")
        elsewhere = self._relay.sink() if any(_redirects(each) for each in situation.faults) else None
        self._arm(situation, id_, elsewhere)
        holds_key = _finder(key)
        began = time.monotonic()
        executions: list[Execution] = []
        door = self._door
        assert door is not None
        with self._quota(situation, id_, tap):
            executions += [
                door.give(tasks, tap.base_url, key, holds_key, began)
                for tasks in make(situation, tenant["leads"]["own"], self._seed)
            ]
        self._control.disarm(id_)
        seen = attempts(tap.connections, began)
        return Observation(
            situation=situation,
            tasks=_each_once(executions),
            executions=executions,
            attempts=seen,
            key=key,
            handoffs=self._control.handoffs(id_),
            records=self._control.records(id_),
            elsewhere=_at(elsewhere, began),
            timeout=self._options.timeout,
            holds_key=holds_key,
        )

    def _arm(self, situation: Situation, tenant: str, elsewhere: Tap | None) -> None:
        operations = {HANDOFF: contract.load().handoff.id, CREATE: contract.load().crm.id}
        for armed in situation.faults:
            options = dict(armed.options)
            if _redirects(armed):
                assert elsewhere is not None
                # Another name and another port: libraries compare either.
                options["location"] = f"http://localhost:{elsewhere.port}"
            self._control.arm(tenant, armed.fault, operations[armed.do], options)

    @contextlib.contextmanager
    def _quota(self, situation: Situation, tenant: str, tap: Tap) -> Iterator[None]:
        """Hold the tenant's clock shortly before the end of a window of its limit, until a request is rejected."""
        if not situation.quota:
            yield
            return
        now = datetime.fromisoformat(self._control.clock(tenant, {"freeze": True})["now"])
        end = now.replace(second=0, microsecond=0) + timedelta(minutes=2)
        at = (end - timedelta(seconds=_LEFT_S)).isoformat().replace("+00:00", "Z")
        self._control.clock(tenant, {"set": at})
        done = threading.Event()

        def resume() -> None:
            while not done.wait(0.01):
                if any(each.status == 429 for each in attempts(tap.connections, 0.0)):
                    self._control.clock(tenant, {"resume": True})
                    return

        watcher = threading.Thread(target=resume, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join(10)


def _redirects(armed: Armed) -> bool:
    return armed.fault.endswith("redirect")


def _scopes(situation: Situation) -> list[str]:
    if situation.key == "read_only":
        return ["read"]
    return sorted({scope for each in contract.load().operations.values() for scope in each.scopes})


def _each_once(executions: Sequence[Execution]) -> list[Task]:
    return list({task.id: task for execution in executions for task in execution.tasks}.values())


def _at(elsewhere: Tap | None, began: float) -> list[Attempt]:
    if elsewhere is None:
        return []
    elsewhere.close()
    return attempts(elsewhere.connections, began)


def _finder(key: str) -> Callable[[str], bool]:
    """Return a function that finds the key, or half of its secret part, in a text, in usual encodings."""
    rest = key[22:] if len(key) >= 40 else key
    halves = (rest[: len(rest) // 2], rest[len(rest) // 2 :])
    redact = redactor(halves)
    return lambda text: redact(text) != text
