"""The tasks that an integration is given, and the outcomes that it tells: lines of JSON (docs/integration.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HANDOFF, CREATE = "handoff", "create_record"
# Characters of an error text, or of a line, that a report repeats.
_SHOWN = 200


@dataclass(frozen=True)
class Task:
    """One piece of work. Members that are None are left out of the document."""

    id: str
    do: str
    lead_id: str | None = None
    reason: str | None = None
    summary: str | None = None
    object: str | None = None
    fields: Mapping[str, Any] | None = None
    marker: str = ""  # text in `fields` that no other task has, unless the situation says so

    @property
    def document(self) -> dict[str, Any]:
        """The task as the integration reads it."""
        names = ("id", "do", "lead_id", "reason", "summary", "object", "fields")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Outcome:
    """What the integration told of a task. `at` is in seconds since the situation began."""

    at: float
    id: str
    outcome: str  # done or failed
    handoff_id: str | None = None
    external_id: str | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """True if the integration says that the work happened."""
        return self.outcome == "done"


@dataclass
class Told:
    """All that an integration told in one execution: outcomes, and lines that are meant as some but are none."""

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add_line(self, line: bytes, at: float, known: Iterable[str]) -> None:
        """Read one line of stdout. A line that is no JSON object with an `outcome` is a log line."""
        try:
            value = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict) and "outcome" in value:
            self.add(value, at, known)

    def add(self, value: Mapping[str, Any], at: float, known: Iterable[str]) -> None:
        """Read one outcome."""
        id_, outcome = value.get("id"), value.get("outcome")
        if not isinstance(id_, str) or id_ not in known:
            self.problems.append(f"an outcome for {_shown(id_)}, which is the id of no task that was given")
        elif outcome not in ("done", "failed"):
            self.problems.append(f"{id_}: the outcome {_shown(outcome)}; it is done or failed")
        else:
            texts = {name: _text(value.get(name)) for name in ("handoff_id", "external_id", "error")}
            self.outcomes.append(Outcome(at, id_, outcome, **texts))


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SHOWN]


def document(tasks: Iterable[Task]) -> dict[str, Any]:
    """Return the document that the integration reads."""
    return {"tasks": [task.document for task in tasks]}
