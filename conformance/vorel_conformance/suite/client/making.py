"""Tasks made of the work of a situation. The same seed makes the same tasks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from vorel_conformance.suite.client.situations import Situation, Work
from vorel_conformance.suite.client.tasks import HANDOFF, Task

# Fields of each object that CRMs ask for. Canonical names are not listed by the contract: these are docs/crm.md's.
_FIELDS: dict[str, dict[str, Any]] = {
    "contact": {"first_name": "Ann", "last_name": "Lee"},
    "lead": {"name": "Ann Lee", "last_name": "Lee", "company": "Lee & Sons"},
    "deal": {"name": "Spring order", "stage": "qualified", "amount": 1250.5, "close_date": "2027-03-31"},
    "appointment": {"title": "First visit", "starts_at": "2027-03-31T09:30:00Z"},
    "case": {"subject": "Heating is off", "status": "1", "priority": "HIGH"},
}


def leads_needed(situation: Situation) -> int:
    """Return the number of leads of the tenant that the situation needs."""
    return max(1, sum(work.do == HANDOFF for works in situation.executions for work in works))


def make(situation: Situation, leads: Sequence[str], seed: int) -> list[list[Task]]:
    """Return the tasks of each execution."""
    rng = random.Random(f"{seed} {situation.name}")  # noqa: S311 - test data, no secret
    unused = iter(leads)
    made: list[Task] = []
    executions = []
    for works in situation.executions:
        tasks = []
        for work in works:
            creates = [task for task in made if task.do != HANDOFF]
            if work.again is not None:
                task = creates[work.again]
            else:
                task = _task(work, rng, unused, creates)
                made.append(task)
            tasks.append(task)
        executions.append(tasks)
    return executions


def _task(work: Work, rng: random.Random, leads: Any, creates: Sequence[Task]) -> Task:
    id_ = f"t-{rng.getrandbits(48):012x}"
    if work.do == HANDOFF:
        lead = str(UUID(int=rng.getrandbits(128), version=4)) if work.unknown_lead else next(leads)
        return Task(id_, work.do, lead_id=lead, reason=work.reason, summary=work.summary)
    if work.like is not None:
        twin = creates[work.like]
        return Task(id_, work.do, object=twin.object, fields=twin.fields, marker=twin.marker)
    marker = f"{rng.getrandbits(40):010x}"
    fields = {**_FIELDS.get(work.object, {"name": "Ann Lee"}), "email": f"ann.{marker}@example.com", **work.fields}
    return Task(id_, work.do, object=work.object, fields=fields, marker=marker)
