"""What was seen of an integration in one situation: tasks, attempts, outcomes, effects, output."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vorel_conformance.http.attempt import Attempt
from vorel_conformance.suite.client.situations import Situation
from vorel_conformance.suite.client.tasks import HANDOFF, Outcome, Task, Told

# How languages begin the line of an error that nobody caught.
_ERROR = re.compile(
    r"(Uncaught |PHP Fatal error: +Uncaught )?([A-Za-z_][\w.:$]*(Error|Exception|Exit|Timeout)\b|panic:)"
)
_LONGEST = 160  # characters of a line


@dataclass(frozen=True)
class Execution:
    """One start of the integration, or one request to a running one. Times are seconds since the situation began."""

    tasks: Sequence[Task]
    told: Told
    started: float
    ended: float
    exit_status: int | None = None  # None for a running service, or if it had to be ended
    timed_out: bool = False
    output: str = ""  # the end of stderr, for the reader
    leaks: Mapping[str, str] = field(default_factory=dict)
    """The streams in which the key was seen, stdout and stderr, with what the line begins with."""

    @property
    def missing(self) -> list[Task]:
        """The tasks without an outcome."""
        told = {outcome.id for outcome in self.told.outcomes}
        return [task for task in self.tasks if task.id not in told]

    @property
    def crashed(self) -> bool:
        """True if it ended by itself, with an error, before every task had an outcome."""
        return bool(self.missing) and self.exit_status not in (None, 0)

    @property
    def last_words(self) -> str:
        """The line of stderr that says most of why it ended: the last one that names an error, or the last one."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [line for line in lines if _ERROR.match(line)]
        return (errors or lines or [""])[-1][:_LONGEST]


@dataclass(frozen=True)
class Observation:
    """One situation, and all that was seen in it."""

    situation: Situation
    tasks: Sequence[Task]  # each once
    executions: Sequence[Execution]
    attempts: Sequence[Attempt]
    key: str
    handoffs: Sequence[Mapping[str, Any]] = ()  # the rows of the tenant
    records: Sequence[Mapping[str, Any]] = ()
    elsewhere: Sequence[Attempt] = ()  # requests that followed a redirect to another host
    timeout: float = 60.0
    holds_key: Callable[[str], bool] = field(default=lambda _: False)

    @cached_property
    def outcomes(self) -> dict[str, list[Outcome]]:
        """All outcomes of each task, over all executions."""
        found: dict[str, list[Outcome]] = {task.id: [] for task in self.tasks}
        for execution in self.executions:
            for outcome in execution.told.outcomes:
                found[outcome.id].append(outcome)
        return found

    @property
    def told(self) -> bool:
        """True if the integration tells outcomes. One that is only watched does not."""
        return bool(self.executions)

    def outcome(self, task: Task) -> Outcome | None:
        """Return the last outcome of a task, or None."""
        return self.outcomes[task.id][-1] if self.outcomes[task.id] else None

    def of(self, task: Task) -> list[Attempt]:
        """Return the attempts that belong to a task, in their order."""
        return self._attempts[task.id]

    @cached_property
    def _attempts(self) -> dict[str, list[Attempt]]:
        found: dict[str, list[Attempt]] = {task.id: [] for task in self.tasks}
        for attempt in self.attempts:
            if attempt.operation and (task := self._task_of(attempt)):
                found[task.id].append(attempt)
        return found

    def _task_of(self, attempt: Attempt) -> Task | None:
        if attempt.lead:
            lead = attempt.lead.lower()
            return next((t for t in self.tasks if t.do == HANDOFF and (t.lead_id or "").lower() == lead), None)
        creates = [task for task in self.tasks if task.do != HANDOFF]
        text = attempt.body.decode("utf-8", "replace")
        marked = [task for task in creates if task.marker and task.marker in text]
        if len(marked) == 1:
            return marked[0]
        # Tasks of the same content: the id in the response tells which one told it.
        answer = attempt.answer.value
        external_id = answer.get("external_id") if isinstance(answer, dict) else None
        if external_id is not None:
            for task in marked or creates:
                if any(outcome.external_id == str(external_id) for outcome in self.outcomes[task.id]):
                    return task
        return creates[0] if len(creates) == 1 else None

    def handoffs_of(self, task: Task) -> list[Mapping[str, Any]]:
        """Return the handoffs that were made of the lead of this task."""
        lead = (task.lead_id or "").lower()
        return [row for row in self.handoffs if str(row.get("lead_id", "")).lower() == lead]

    def records_of(self, task: Task) -> list[Mapping[str, Any]]:
        """Return the records that were written for this task, as far as its marker tells."""
        return [row for row in self.records if task.marker and task.marker in str(row.get("fields"))]

    def effects_of(self, task: Task) -> int:
        """Return how often the work of a task was done."""
        return len(self.handoffs_of(task) if task.do == HANDOFF else self.records_of(task))

    def tasks_of(self, do: str) -> Iterable[Task]:
        """Return the tasks of a kind."""
        return (task for task in self.tasks if task.do == do)


def succeeded(attempt: Attempt) -> bool:
    """Return True if the response says, completely, that the work happened."""
    if not attempt.answered or attempt.status != 200 or not isinstance(attempt.answer.value, dict):
        return False
    return bool(attempt.lead) or attempt.answer.value.get("ok") is True
