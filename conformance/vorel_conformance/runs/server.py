"""The certification of a server: preflight, bursts, suite, retries of violations, recovery, report."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any

from vorel_conformance import suite
from vorel_conformance.http.client import Client, GoneError, SpentError
from vorel_conformance.http.clock import Clock
from vorel_conformance.http.target import Target, TargetError
from vorel_conformance.http.transport import Way
from vorel_conformance.report.entries import report_of
from vorel_conformance.runs.plan import (
    PHASES,
    PREFLIGHT,
    RETRY,
    SUITE,
    Options,
    Phase,
    rate_of,
    settle,
    size_of,
    within_budget,
)
from vorel_conformance.runs.preflight import preflight
from vorel_conformance.runs.retries import retry_violations
from vorel_conformance.session.probe import NotServedError, Probe
from vorel_conformance.session.session import Session
from vorel_conformance.spec import clauses
from vorel_conformance.suite import Test, When

CHEAP = 10  # requests of a test that may come before those of MUST clauses
Event = Callable[[dict[str, Any]], None]


def run(
    base_url: str,
    *,
    target: Target | None = None,
    options: Options | None = None,
    on_event: Event | None = None,
    clock: Clock | None = None,
    way: Way | None = None,
) -> dict[str, Any]:
    """Certify the server at `base_url` and return the JSON report.

    `target`: the profile of the server. Without one, the server is asked for it at `/_mock/target`.
    `on_event`: called with `{"event": "phase", "name"}`, `{"event": "exchange", "number"}` and
    `{"event": "clause", "id", "status", "checks"}`.
    `clock`, `way`: as for `Client`.

    Raises TargetError if the server cannot be tested, ValueError if `options.clauses` has an unknown name.
    """
    tell = on_event or (lambda _: None)
    options = options or Options()
    selected = clauses.select(options.clauses)
    found, no_bursts = within_budget(settle(base_url, target, options), options)
    started, began = datetime.now(UTC), time.monotonic()
    client = client_of(
        found,
        options,
        seed=options.seed if options.seed is not None else secrets.randbits(32),
        on_event=tell,
        clock=clock,
        way=way,
    )
    session = Session(found, client, selected=selected, fuzz_count=options.fuzz, on_event=tell)
    session.no_bursts = no_bursts
    tests = [each for each in suite.collect() if session.wants(*each.clauses)]
    passes = _Run(session, tests, options, tell)
    try:
        passes.phases()
    except KeyboardInterrupt as error:
        # What was done is reported all the same, above all what was written to the target.
        passes.interrupted(str(error) or "interrupted")
    finally:
        if session.bursts is not None:
            session.bursts.stop()
        client.close()
    session.close_gaps()
    return report_of(session, started, time.monotonic() - began)


def client_of(
    target: Target,
    options: Options,
    *,
    seed: int,
    on_event: Event = lambda _: None,
    clock: Clock | None = None,
    way: Way | None = None,
) -> Client:
    """Make the client of a run. Its time limit starts now."""
    client = Client(
        target,
        seed=seed,
        max_requests=options.max_requests,
        rate=rate_of(target, options),
        rate_binds_bursts=options.rate is not None,
        connect_timeout=options.connect_timeout,
        timeout=options.timeout,
        trust=options.trust,
        on_exchange=lambda exchange: on_event({"event": "exchange", "number": exchange.number}),
        clock=clock,
        way=way,
    )
    client.end_at(client.clock.monotonic() + options.time_limit)
    return client


class _Run:
    """One pass through the phases."""

    def __init__(self, session: Session, tests: Sequence[Test], options: Options, tell: Event) -> None:
        self._session = session
        self._tests = tests
        self._options = options
        self._tell = tell
        self._begun: set[str] = set()
        self._ended: set[str] = set()

    def phases(self) -> None:
        """Run all phases, in order. The run ends early if the budget is used up or the target is gone."""
        for phase in PHASES:
            try:
                self._phase(phase)
            except SpentError as error:
                return self._stop(error)
            except GoneError as error:
                if phase is PREFLIGHT:
                    raise TargetError(str(error)) from error
                return self._stop(error)
        return None

    def _phase(self, phase: Phase) -> None:
        tests = phase.tests(self._tests)
        if phase is SUITE:
            # If the run ends early, what matters most has a verdict: the cheapest first, dear SHOULD clauses last.
            size, known = size_of(self._session.target, self._options), clauses.load()

            def order(test: Test) -> tuple[bool, int]:
                requests = test.requests(size)
                return requests > CHEAP and all(known[id_].level != "MUST" for id_ in test.clauses), requests

            tests.sort(key=order)
        if phase.when is not None and not tests:
            return
        self._tell({"event": "phase", "name": phase.name})
        if phase is PREFLIGHT:
            preflight(self._session, self._options.workers)
        elif phase is RETRY:
            retry_violations(self._session, self._tests, self._options.retries)
        elif phase.concurrent and self._session.workers > 1:
            self._concurrently(tests)
        else:
            for each in tests:
                self._test(each)
                self._tick()

    def _concurrently(self, tests: Sequence[Test]) -> None:
        with ThreadPoolExecutor(self._session.workers) as pool:
            waiting = {pool.submit(self._test, each) for each in tests}
            try:
                while waiting:
                    finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                    self._tick()
                    for future in finished:
                        future.result()
            except KeyboardInterrupt:
                self._session.client.stop("interrupted")  # ends the threads, for which the pool waits
                raise

    def _test(self, test: Test) -> None:
        self._begun.add(test.name)
        self._session.clauses_of_tests[test.name] = test.clauses
        began = time.monotonic()
        try:
            test.function(Probe(self._session, test.name))
        except TargetError:
            raise
        except NotServedError as error:
            for id_ in test.clauses:
                self._session.gap_unless_seen(id_, str(error))
        except (SpentError, GoneError) as error:
            self._gap(test, str(error))
            raise
        except Exception as error:  # a fault of the kit must not end the run: the report shows it, exit code 70
            self._session.kit_error(test.name, None, error)
        else:
            self._ended.add(test.name)
        finally:
            self._session.took(test.clauses, time.monotonic() - began)

    def _gap(self, test: Test, reason: str) -> None:
        """Record that a test did not run, or not to its end."""
        for id_ in test.clauses:
            if test.again:
                self._session.gap_unless_seen(id_, reason)
            else:
                self._session.gap(id_, reason)

    def _tick(self) -> None:
        """Between two tests, run the steps of the bursts that are due."""
        if self._session.bursts is not None:
            self._session.bursts.tick()

    def _stop(self, error: Exception) -> None:
        """Record that the run ends early: the clauses of the tests that have not run get a gap."""
        for test in self._tests:
            if test.name not in self._begun or test.when == When.LATE:
                self._gap(test, str(error))
        self._session.stopped = str(error)

    def interrupted(self, reason: str) -> None:
        """Record that the user ended the run: the clauses of the tests that have not ended get a gap."""
        for test in self._tests:
            if test.name not in self._ended:
                self._gap(test, reason)
        self._session.stopped = reason
