"""Oracles for what happens after a failure: what is tried again, how often, how fast, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from vorel_conformance.checks.response import Check
from vorel_conformance.http.attempt import Attempt
from vorel_conformance.suite.client.observation import Observation, succeeded
from vorel_conformance.suite.client.oracles.common import (
    AT_ONCE_S,
    is_over_limit,
    is_soft_failure,
    name_of,
    same,
    success,
    told,
    was_lost,
)
from vorel_conformance.suite.client.tasks import HANDOFF, Task

# More attempts for one task than this are no bound.
MOST_ATTEMPTS = 15
# Pauses that differ by less than this factor do not grow.
_GROWTH = 1.25
_FINAL = {400: "retry.not-rejected", 401: "retry.not-unauthorized", 403: "retry.not-forbidden", 404: "retry.not-found"}


def final_answers(observation: Observation) -> Iterator[Check]:
    """400, 401, 403 and 404 are not tried again unchanged."""
    for number, attempt in enumerate(observation.attempts):
        clause = _FINAL.get(attempt.status)
        if clause is None or not attempt.answered or attempt.ended is None:
            continue
        again = next((each for each in observation.attempts[number + 1 :] if _repeats(each, attempt)), None)
        yield Check(
            clause,
            again is None,
            f"{attempt.method} {attempt.path}: was sent again unchanged after {told(attempt)}",
            "no further attempt: the answer stays the same",
            f"again after {again.started - attempt.ended:.2f} s" if again else "",
        )


def _repeats(later: Attempt, earlier: Attempt) -> bool:
    assert earlier.ended is not None
    if later.started < earlier.ended or (later.method, later.target) != (earlier.method, earlier.target):
        return False
    if later.body == earlier.body:
        return True
    return not later.parsed.error and not earlier.parsed.error and same(later.parsed.value, earlier.parsed.value)


def _failures(attempts: list[Attempt]) -> list[Attempt]:
    """Return the attempts that met trouble which may pass: 5xx, no answer, half an answer."""
    return [each for each in attempts if was_lost(each)]


def pace(observation: Observation) -> Iterator[Check]:
    """Attempts are bounded, with growing pauses."""
    for task in observation.tasks:
        attempts = observation.of(task)
        failed = _failures(attempts)
        if not failed:
            continue
        yield Check(
            "retry.bounded",
            len(attempts) <= MOST_ATTEMPTS,
            f"{name_of(task)}: {len(attempts)} requests were sent",
            f"at most {MOST_ATTEMPTS} attempts for one task",
            f"{len(attempts)} attempts",
        )
        problem, evidence = _pauses(attempts)
        # After one attempt that succeeds the pauses behind it are not known: a first one may be short.
        if evidence and len(failed) > 1:
            yield Check("retry.pauses", not problem, f"{name_of(task)}: {problem}", "pauses that grow", problem)


def _pauses(attempts: list[Attempt]) -> tuple[str, bool]:
    """Return what is wrong with the pauses between these attempts, and whether there were some to judge."""
    pairs = [
        (one, two, two.started - one.ended)
        for one, two in pairwise(attempts)
        if one.ended is not None and was_lost(one)
    ]
    answered = [pause for one, _, pause in pairs if one.answered]
    if answered and all(pause < AT_ONCE_S for pause in answered):
        return f"it was tried again at once, {max(answered) * 1000:.0f} ms after a {_status(pairs)}", True
    pauses = [pause for *_, pause in pairs]
    if len(pauses) >= 2 and all(pause < AT_ONCE_S for pause in pauses):
        return f"it was tried {len(pauses) + 1} times without a pause", True
    if len(pauses) >= 3 and max(pauses) < _GROWTH * max(min(pauses), 0.001):
        return f"{len(pauses)} pauses of {sum(pauses) / len(pauses):.2f} s each do not grow", True
    return "", bool(answered) or len(pauses) >= 2


def _status(pairs: list[tuple[Attempt, Attempt, float]]) -> str:
    return next(told(one) for one, _, _ in pairs if one.answered)


def ends(observation: Observation) -> Iterator[Check]:
    """What never comes is given up."""
    for task in observation.tasks:
        waiting = [each for each in observation.of(task) if each.end in ("no answer", "given up")]
        if not waiting:
            continue
        execution = next((each for each in observation.executions if task in each.tasks), None)
        stuck = execution is not None and execution.timed_out and observation.outcome(task) is None
        yield Check(
            "retry.gives-up",
            not stuck,
            f"{name_of(task)}: still waits for an answer after {observation.timeout:g} s",
            f"an outcome within {observation.timeout:g} s",
            "no outcome",
        )


def losses(observation: Observation) -> Iterator[Check]:
    """Trouble does not lose the work silently; something is tried again."""
    for task in observation.tasks:
        attempts = observation.of(task)
        failed = [each for each in attempts if was_lost(each) or each.status == 429]
        if not failed:
            continue
        outcome = observation.outcome(task)
        if not observation.told:
            pass
        elif success(observation, task) is None and not observation.effects_of(task):
            met = told(failed[-1])
            yield Check(
                "retry.reported",
                outcome is not None and not outcome.done,
                f"{name_of(task)}: met {met}, was never done, and "
                + ("is reported done" if outcome else "has no outcome"),
                "done later, or reported failed",
                outcome.outcome if outcome else "no outcome",
            )
        elif success(observation, task) is not None:
            yield Check("retry.reported", True, "")
        away = next((each for each in attempts if each.status == 503), None)
        if away is not None:
            tried = attempts[-1].number > away.number
            yield Check(
                "retry.tries-again",
                tried,
                f"{name_of(task)}: one 503 ended the task; it was never tried again",
                "another attempt after a pause: 503 is temporary",
                f"{len(attempts)} attempt",
            )


def twice(observation: Observation) -> Iterator[Check]:
    """One task hands a lead off once, also if its answer was lost."""
    for task in observation.tasks_of(HANDOFF):
        attempts = observation.of(task)
        if not any(map(was_lost, attempts)) or not observation.effects_of(task):
            continue
        times = observation.effects_of(task)
        lost = next(each for each in attempts if was_lost(each))
        again = next((each for each in attempts if each.number > lost.number), None)
        gap = again.started - lost.ended if again and lost.ended is not None else None
        by_itself = (
            f", {gap * 1000:.0f} ms later: probably the HTTP library sent it again by itself"
            if gap is not None and gap < AT_ONCE_S and not lost.answered
            else ""
        )
        yield Check(
            "retry.one-handoff",
            times <= 1,
            f"{name_of(task)}: the lead was handed off {times} times. After {told(lost)} the request was sent again"
            f"{by_itself}",
            "one handoff for one task; a task whose answer was lost is reported failed, or looked up",
            f"{times} handoffs",
        )


def isolated(observation: Observation) -> Iterator[Check]:
    """One failing task does not take the others with it."""
    if not observation.told:
        return
    refused = [task for task in observation.tasks if _is_refused(observation, task)]
    others = [task for task in observation.tasks if task not in refused]
    if not refused or not others:
        return
    lost = [task for task in others if not _was_worked_on(observation, task)]
    yield Check(
        "retry.isolated",
        not lost,
        f"{name_of(lost[0])}: was not worked on, because another task failed" if lost else "",
        "every other task is worked on",
        f"{len(lost)} of {len(others)} other tasks were not",
    )


def _is_refused(observation: Observation, task: Task) -> bool:
    """Return True if the task cannot succeed, for a reason of its own."""
    attempts: list[Attempt] = observation.of(task)
    own = any(each.status in (400, 404) or is_soft_failure(each) for each in attempts)
    return is_over_limit(task) or (own and not any(map(succeeded, attempts)))


def _was_worked_on(observation: Observation, task: Task) -> bool:
    outcome = observation.outcome(task)
    return bool(observation.of(task)) and outcome is not None


ORACLES = (final_answers, pace, ends, losses, twice, isolated)
