"""The evidence for every clause of a run, of a server or of an integration.

A clause passes only on evidence, that is, checks of the kind that it needs. A check that could not be made leaves a
gap. A clause with a gap and without a violation is inconclusive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from vorel_conformance.checks.response import Check
from vorel_conformance.spec.clauses import Clause

KEPT = 20  # violations of one clause that are kept with what shows them; any more are only counted

V = TypeVar("V")


@dataclass
class ClauseResult(Generic[V]):
    """The evidence for one clause so far. V: what is kept of a violation."""

    clause: Clause
    checks: int = 0
    broken: int = 0
    violations: list[V] = field(default_factory=list)
    situations: dict[str, int] = field(default_factory=dict)  # those in which an integration violates it, how often
    gaps: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    not_applicable: str = ""
    duration_s: float = 0.0  # of the tests that ask for it, shared with the other clauses of the same tests

    @property
    def status(self) -> str:
        """The verdict: `error` first, then `failed` or `warning`, then `not_applicable`, `inconclusive`, `passed`."""
        if self.errors:
            return "error"
        if self.broken:
            return "failed" if self.clause.level == "MUST" else "warning"
        if self.not_applicable and not self.checks:
            return "not_applicable"
        return "passed" if self.checks and not self.gaps else "inconclusive"


class Results(Generic[V]):
    """The results of all clauses of a run. Safe to use from several threads."""

    def __init__(
        self, clauses: Mapping[str, Clause], on_event: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> None:
        self.by_id: dict[str, ClauseResult[V]] = {id_: ClauseResult(each) for id_, each in clauses.items()}
        self._on_event = on_event
        self._lock = threading.RLock()

    def record(self, check: Check, violation: Callable[[], V], situation: str = "") -> None:
        """Record a check under its clause. `violation` makes what is kept if it failed.

        `situation`: where an integration showed it. What is kept is limited for each situation then.
        """
        with self._lock:
            result = self.by_id.get(check.clause)
            if result is None:
                return
            before = result.status
            result.checks += 1
            if not check.ok:
                result.broken += 1
                if (result.situations.get(situation, 0) if situation else len(result.violations)) < KEPT:
                    result.violations.append(violation())
                if situation:
                    result.situations[situation] = result.situations.get(situation, 0) + 1
            if result.status != before:
                self._tell(result)

    def gap(self, clause: str, reason: str) -> None:
        """Record that a part of a clause could not be checked, and why."""
        with self._lock:
            result = self.by_id.get(clause)
            if result and reason not in result.gaps:
                result.gaps.append(reason)
                self._tell(result)

    def does_not_apply(self, clause: str, reason: str) -> None:
        """Record that a clause does not apply, unless there is evidence for it already."""
        with self._lock:
            result = self.by_id.get(clause)
            if result and not result.checks:
                result.not_applicable = reason
                self._tell(result)

    def _tell(self, result: ClauseResult[V]) -> None:
        self._on_event({"event": "clause", "id": result.clause.id, "status": result.status, "checks": result.checks})
