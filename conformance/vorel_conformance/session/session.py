"""The state of one run against a server: what was sent, and the evidence for every clause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from vorel_conformance.checks.cross_exchange import CrossExchangeChecks
from vorel_conformance.checks.response import Check
from vorel_conformance.checks.schema import DisagreementError
from vorel_conformance.http.client import Client
from vorel_conformance.http.exchange import Exchange
from vorel_conformance.http.target import Target
from vorel_conformance.session import judging
from vorel_conformance.session.judging import Expectation, Judgement
from vorel_conformance.session.results import Results
from vorel_conformance.spec import clauses
from vorel_conformance.spec.clauses import Clause

_LONGEST_TEXT = 2_000  # characters of what a check says; a server may put a megabyte into it


@dataclass(frozen=True)
class Violation:
    """A failed check, with the exchange that shows it and the test that found it."""

    check: Check
    exchange: Exchange | None
    test: str
    expectation: Expectation | None = None
    alone: bool = False  # the exchange alone shows it, so its request alone can be sent again
    flaky: tuple[int, int] | None = None  # failed k times of n

    @property
    def places(self) -> tuple[str, ...]:
        """The names by which a clause may have a quote of its own for this violation."""
        operation = self.exchange.operation if self.exchange else None
        return (self.check.place, operation.id) if operation else (self.check.place,)


class TimedTests(Protocol):
    """Tests with steps that are due at certain times, while other tests run: the bursts over the rate limit."""

    @property
    def saw_429(self) -> bool:
        """True if a burst was rejected with 429."""

    def tick(self) -> None:
        """Run the steps that are due."""

    def stop(self) -> None:
        """End at once, without the remaining steps."""

    def finish(self) -> None:
        """Wait for the remaining steps, run them, and record the verdicts."""


class Session:
    """A run in progress. Safe to use from several threads."""

    def __init__(
        self,
        target: Target,
        client: Client,
        *,
        selected: dict[str, Clause] | None = None,
        workers: int = 1,
        fuzz_count: int = 0,
        on_event: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.target = target
        self.client = client
        self.seed = client.seed
        self.workers = workers
        self.fuzz_count = fuzz_count  # generated requests of each kind
        self._results: Results[Violation] = Results(selected or clauses.load(), on_event)
        self.results = self._results.by_id
        self.cross_exchange = CrossExchangeChecks()
        self.writes: list[str] = []  # operation, id, marker
        self.on_event = on_event
        self.exhausted_keys: set[str] = set()  # keys outside the pool that were limited again after waiting
        self.bursts: TimedTests | None = None  # set by the first rate limit test, finished by the last
        self.no_bursts = ""  # why the rate limit is not tested
        self.kept: dict[str, Any] = {}  # what the first part of a test leaves for the second one
        self.stopped = ""  # why the run ended early
        self.not_served: dict[str, str] = {}  # operations that the target does not serve, each with the reason
        self.clauses_of_tests: dict[str, tuple[str, ...]] = {}
        self._unless_seen: dict[str, str] = {}
        self._lock = threading.RLock()

    def wants(self, *ids: str) -> bool:
        """Return True if at least one of these clauses is selected."""
        return any(id_ in self.results for id_ in ids)

    def judge(self, exchange: Exchange, test: str, expectation: Expectation | None = None) -> Judgement:
        """Return the judgement on an exchange, compared with the earlier ones. It remembers the exchange's ids for
        later comparisons; the checks are recorded by `record` alone.
        """
        try:
            found = judging.judge(exchange, self.target, expectation)
        except DisagreementError as error:
            self.kit_error(test, expectation, error)
            return Judgement()
        with self._lock:
            compared = tuple(self.cross_exchange.compare(exchange))
        return Judgement(found.checks + compared, found.no_evidence)

    def record(
        self, checks: Iterable[Check], exchange: Exchange | None, test: str, expectation: Expectation | None = None
    ) -> None:
        """Record checks under their clauses."""
        for check in checks:
            self._results.record(check, partial(self._violation, check, exchange, test, expectation))

    def _violation(
        self, check: Check, exchange: Exchange | None, test: str, expectation: Expectation | None
    ) -> Violation:
        """Return what is kept of a violation. It is judged here, because later the whole body is gone."""
        alone = exchange is not None and any(
            each.clause == check.clause for each in self.judge(exchange, test, expectation).checks
        )
        texts = {name: getattr(check, name)[:_LONGEST_TEXT] for name in ("message", "expected", "got")}
        return Violation(replace(check, **texts), exchange.cut if exchange else None, test, expectation, alone)

    def took(self, ids: tuple[str, ...], seconds: float) -> None:
        """Record how long a test took: an equal share for each of its clauses."""
        with self._lock:
            for result in (self.results[id_] for id_ in ids if id_ in self.results):
                result.duration_s += seconds / len(ids)

    def gap(self, clause: str, reason: str) -> None:
        """Record that a part of a clause could not be checked, and why."""
        self._results.gap(clause, reason)

    def gap_unless_seen(self, clause: str, reason: str) -> None:
        """Record a gap when the run ends, unless there is evidence for the clause by then."""
        with self._lock:
            self._unless_seen.setdefault(clause, reason)

    def close_gaps(self) -> None:
        """Record the gaps of `gap_unless_seen`."""
        for clause, reason in self._unless_seen.items():
            self.gap_if_unseen(clause, reason)

    def does_not_apply(self, clause: str, reason: str) -> None:
        """Record that a clause does not apply to this target, unless there is evidence for it already."""
        self._results.does_not_apply(clause, reason)

    def gap_if_unseen(self, clause: str, reason: str) -> None:
        """Record a gap unless there is evidence for the clause already."""
        result = self.results.get(clause)
        if result and not result.checks:
            self.gap(clause, reason)

    def kit_error(self, test: str, expectation: Expectation | None, error: Exception) -> None:
        """Record a fault of the kit itself."""
        with self._lock:
            named = [expectation.clause] if expectation else []
            for id_ in [*named, *self.clauses_of_tests.get(test, ())][:1] or list(self.results)[:1]:
                if id_ in self.results:
                    self.results[id_].errors.append(f"{type(error).__name__} in {test}: {error}")
