"""Oracles for idempotency_key: one for each task, the same in each attempt, and its effect in the CRM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from vorel_conformance.checks.response import Check
from vorel_conformance.http.attempt import Attempt
from vorel_conformance.spec import contract
from vorel_conformance.suite.client.observation import Observation
from vorel_conformance.suite.client.oracles.common import body_of, name_of, same, shown, told, was_lost
from vorel_conformance.suite.client.tasks import CREATE, Task


def keys(observation: Observation) -> Iterator[Check]:
    """A key in each create, of a lawful length."""
    schema = contract.load().schema("CrmCreateRecordBody")["properties"]["idempotency_key"]
    shortest, longest = schema["minLength"], schema["maxLength"]
    for attempt in observation.attempts:
        if not attempt.operation or attempt.lead or attempt.sent is None or attempt.parsed.error:
            continue
        key = body_of(attempt).get("idempotency_key")
        yield Check(
            "idempotency.key",
            isinstance(key, str) and shortest <= len(key) <= longest,
            f"idempotency_key is {shown(key)}" if key is not None else "there is no idempotency_key",
            f"a string of {shortest} to {longest} characters",
            shown(key),
        )


def attempts_of_one_task(observation: Observation) -> Iterator[Check]:
    """The same key and the same body in each attempt of one start, and one record."""
    shared = _shared_markers(observation)
    for task in observation.tasks_of(CREATE):
        if task.marker in shared:
            continue  # which of the equal tasks an attempt belongs to is not certain
        for tries in _by_execution(observation, task):
            if len(tries) < 2:
                continue
            used = _keys(tries)
            yield Check(
                "idempotency.same-key",
                len(used) == 1,
                f"{name_of(task)}: after {told(tries[0])} it was tried again with another idempotency_key",
                f"the key of the first attempt, {shown(used[0])}" if used else "the key of the first attempt",
                ", then ".join(map(shown, used)),
            )
            first = body_of(tries[0])
            changed = next((each for each in tries if not _same_record(body_of(each), first)), None)
            yield Check(
                "idempotency.same-body",
                changed is None,
                f"{name_of(task)}: another attempt has another object or other fields",
                shown({name: first.get(name) for name in ("object", "fields")}),
                shown({name: body_of(changed).get(name) for name in ("object", "fields")}) if changed else "",
            )
        once = observation.told and len(_by_execution(observation, task)) == 1
        if once and any(map(was_lost, observation.of(task))):
            written = len(observation.records_of(task))
            yield Check(
                "idempotency.one-record",
                written <= 1,
                f"{name_of(task)}: {written} records were written",
                "one record at most",
                f"{written} records",
            )


def tasks_apart(observation: Observation) -> Iterator[Check]:
    """No key for two tasks, in one start or in two."""
    users: dict[str, dict[tuple[str, int], None]] = defaultdict(dict)  # key -> marker of the task, execution
    for task in observation.tasks_of(CREATE):
        for number, execution in enumerate(observation.executions):
            if task not in execution.tasks:
                continue
            for attempt in observation.attempts:
                if _is_create(attempt, task) and execution.started <= attempt.started <= execution.ended:
                    for key in _keys([attempt]):
                        users[key][task.marker, number] = None
    creates = list(observation.tasks_of(CREATE))
    if len(creates) < 2 or not users:
        return
    for number, execution in enumerate(observation.executions):
        mixed = [key for key, uses in users.items() if len({marker for marker, n in uses if n == number}) > 1]
        done = [task for task in execution.tasks if task.do == CREATE and _is_done(observation, task)]
        for marker in _shared_markers(observation):
            equal = [task for task in done if task.marker == marker]
            used = [key for key, uses in users.items() if (marker, number) in uses]
            if len(equal) > len(used) > 0:
                mixed += used
        if len(done) > 1:
            yield Check(
                "idempotency.distinct",
                not mixed,
                "two tasks have one idempotency_key: the second record is not written",
                "a key of its own for each task",
                f"{shown(mixed[0])} for two tasks" if mixed else "",
            )
    if len(observation.executions) > 1:
        yield from _restarted(observation, users)


def _restarted(observation: Observation, users: dict[str, dict[tuple[str, int], None]]) -> Iterator[Check]:
    first, second = ([task.id for task in each.tasks] for each in observation.executions[:2])
    again = [task for task in observation.tasks if task.id in first and task.id in second]
    again_markers = {task.marker for task in again}
    reused = [
        key
        for key, uses in users.items()
        for marker, number in uses
        if number == 1 and marker not in again_markers and any(n == 0 for _, n in uses)
    ]
    yield Check(
        "idempotency.distinct-restart",
        not reused,
        "after a restart a new task has the idempotency_key of an earlier one: its record is not written",
        "a key that no other task ever had",
        shown(reused[0]) if reused else "",
    )
    for task in again:
        used = [key for key, uses in users.items() if any(marker == task.marker for marker, _ in uses)]
        yield Check(
            "idempotency.restart",
            len(used) == 1,
            f"{name_of(task)}: after a restart the same task has another idempotency_key",
            "a key that follows from the task, or is kept with it",
            f"{len(used)} keys",
        )


def _is_create(attempt: Attempt, task: Task) -> bool:
    text = attempt.body.decode("utf-8", "replace")
    return attempt.operation is not None and not attempt.lead and task.marker in text


def _is_done(observation: Observation, task: Task) -> bool:
    outcome = observation.outcome(task)
    return outcome is not None and outcome.done


def _same_record(one: object, other: object) -> bool:
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    return all(same(one.get(name), other.get(name)) for name in ("object", "fields"))


def _keys(attempts: list[Attempt]) -> list[str]:
    """Return the different keys of these attempts, in their order."""
    found = (body_of(each).get("idempotency_key") for each in attempts)
    return list(dict.fromkeys(key for key in found if isinstance(key, str)))


def _by_execution(observation: Observation, task: Task) -> list[list[Attempt]]:
    """Return the attempts of a task in each execution that has some.

    Without executions, in traffic that was watched, an attempt belongs to the one before if that one's answer was lost.
    """
    if not observation.told:
        runs: list[list[Attempt]] = []
        for attempt in observation.of(task):
            if runs and was_lost(runs[-1][-1]):
                runs[-1].append(attempt)
            else:
                runs.append([attempt])
        return runs
    found = [
        [each for each in observation.of(task) if execution.started <= each.started <= execution.ended]
        for execution in observation.executions
    ]
    return [[each for each in tries if not each.parsed.error] for tries in found if tries]


def _shared_markers(observation: Observation) -> set[str]:
    markers = [task.marker for task in observation.tasks_of(CREATE)]
    return {marker for marker in markers if markers.count(marker) > 1}


ORACLES = (keys, attempts_of_one_task, tasks_apart)
