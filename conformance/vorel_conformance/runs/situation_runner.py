"""Puts an integration into situations: a tenant, faults, a port of its own; and sees what it does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from vorel_conformance.http.attempt import Attempt, attempts
from vorel_conformance.http.mock_control import MockControl, MockError
from vorel_conformance.http.redact import redactor
from vorel_conformance.http.tap import Relay, Tap
from vorel_conformance.runs.client_options import Options
from vorel_conformance.runs.integration import Door
from vorel_conformance.session.client_session import ClientSession, Situated
from vorel_conformance.spec import contract
from vorel_conformance.suite.client import watched
from vorel_conformance.suite.client.making import leads_needed, make
from vorel_conformance.suite.client.observation import Execution, Observation
from vorel_conformance.suite.client.oracles import judge
from vorel_conformance.suite.client.situations import Armed, Situation
from vorel_conformance.suite.client.tasks import CREATE, HANDOFF, Task
from vorel_conformance.suite.client.transcript import transcript

# Seconds of the tenant's window that are left when its quota is spent; Retry-After rounds up.
_LEFT_S = 1.5
_WATCHED_LEADS = 20


class SituationRunner:
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
        id_, key = tenant["id"], self._options.api_key or tenant["keys"]["full"][0]
        try:
            if self._options.api_key:
                self._control.add_key(id_, key, _scopes(situation))
            self._arm(situation, id_, None)
            # Last: whoever finds the port open may begin.
            tap = self._open_tap()
            try:
                return self._watched(situation, tenant, key, tap, seconds)
            finally:
                tap.close()
        finally:
            self._control.delete_tenant(id_)

    def _watched(
        self, situation: Situation, tenant: Mapping[str, Any], key: str, tap: Tap, seconds: float
    ) -> Observation:
        began = time.monotonic()
        try:
            leads = tenant["leads"]["own"]
            self._session.on_event(
                {
                    "event": "watching",
                    "base_url": tap.base_url,
                    "key": key,
                    "leads": leads,
                    "about": situation.about,
                }
            )
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
            handoffs=self._control.handoffs(tenant["id"]),
            records=self._control.records(tenant["id"]),
            holds_key=find_key(key),
        )

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
        holds_key = find_key(key)
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


def find_key(key: str) -> Callable[[str], bool]:
    """Return a function that finds the key, or half of its secret part, in a text, in usual encodings."""
    rest = key[22:] if len(key) >= 40 else key
    halves = (rest[: len(rest) // 2], rest[len(rest) // 2 :])
    redact = redactor(halves)
    return lambda text: redact(text) != text
