"""The state of a run against an integration: the situations that it was in, and the evidence for every clause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from vorel_conformance.checks.response import Check
from vorel_conformance.session.results import Results
from vorel_conformance.spec.clauses import Clause


@dataclass(frozen=True)
class Situated:
    """What a report says of one situation."""

    name: str
    about: str
    again: str  # the command that repeats it alone
    transcript: Sequence[Mapping[str, Any]]
    requests: int
    crashed: bool = False
    exit_status: int | None = None
    output: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ClientViolation:
    """A failed check, with the situation that shows it."""

    check: Check
    situation: Situated


class MadeFor(Protocol):
    """A situation, as far as gaps are concerned."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def clauses(self) -> tuple[str, ...]:
        """The clauses that it is made for."""


class ClientSession:
    """A run in progress. Safe to use from several threads."""

    def __init__(
        self,
        selected: Mapping[str, Clause],
        subject: str,
        seed: int,
        started: datetime,
        on_event: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.results: Results[ClientViolation] = Results(selected, on_event)
        self.subject = subject  # the command line, or the URL, of the integration
        self.seed = seed
        self.started = started
        self.duration_s = 0.0
        self.situations: list[Situated] = []
        self.stopped = ""  # why the run ended early
        self.on_event = on_event
        self._lock = threading.Lock()

    def add(self, situation: Situated, checks: Iterable[Check]) -> None:
        """Record what one situation showed."""
        with self._lock:
            self.situations.append(situation)
        failed = []
        for check in checks:
            self.results.record(check, lambda check=check: ClientViolation(check, situation), situation.name)  # type: ignore[misc]
            if not check.ok and check.clause in self.results.by_id and check.clause not in failed:
                failed.append(check.clause)
        self.on_event({"event": "situation-done", "name": situation.name, "failed": failed})

    def sort(self, names: Sequence[str]) -> None:
        """Bring the situations into this order: they ended in another one. Those of other names stay behind."""
        self.situations.sort(key=lambda each: names.index(each.name))

    def keep_judged(self, made_for: Sequence[str]) -> None:
        """Leave out the clauses without evidence, except those that the only situation is made for."""
        for id_, result in list(self.results.by_id.items()):
            if not result.checks and id_ not in made_for:
                del self.results.by_id[id_]

    def explain_gaps(self, situations: Iterable[MadeFor]) -> None:
        """Give clauses without evidence a reason: the situations that would have given some."""
        known = list(situations)
        for id_, result in self.results.by_id.items():
            if result.checks:
                continue
            names = [each.name for each in known if id_ in each.clauses]
            self.results.gap(
                id_,
                f"no evidence; the situation{'s' * (len(names) > 1)} {', '.join(names)} would give some"
                if names
                else "no evidence: the integration did nothing that this clause is about",
            )
