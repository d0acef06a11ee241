"""Oracles for the rate limit: nothing leaves before Retry-After is over, and the work is done afterwards, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from vorel_conformance.checks.response import Check
from vorel_conformance.http.attempt import Attempt
from vorel_conformance.spec import contract
from vorel_conformance.suite.client.observation import Observation, succeeded
from vorel_conformance.suite.client.oracles.common import name_of
from vorel_conformance.suite.client.tasks import Task

# A client that waits just as long as it was told may be early by the step of its clock.
EARLY_S = 0.05
# A thread that had looked before the 429 came may still send.
UNDER_WAY_S = 0.3
# Nobody can be asked to wait longer than this for a task; a failure is lawful then.
_LONGEST_WAIT_S = 10


def waits(observation: Observation) -> Iterator[Check]:
    """After a 429 nothing leaves on that key before Retry-After is over."""
    side_by_side = _works_side_by_side(observation.attempts)
    task_of = {each.number: task.id for task in observation.tasks for each in observation.of(task)}
    for limited in observation.attempts:
        if limited.status != 429 or limited.ended is None or limited.retry_after is None:
            continue
        over = limited.ended + limited.retry_after - EARLY_S
        later = [
            each
            for each in observation.attempts
            if each.header("Authorization") == limited.header("Authorization")
            and each.number > limited.number
            and limited.ended < each.started < over
        ]
        early = next(
            (each for each in later if _is_early(each, limited, later, task_of, side_by_side=side_by_side)), None
        )
        yield Check(
            "limit.waits",
            early is None,
            f"{early.started - limited.ended:.2f} s after a 429 with Retry-After: {limited.retry_after} the next "
            "request left on that key"
            if early
            else "",
            f"no request for {limited.retry_after} s",
            f"{early.method} {early.path} after {early.started - limited.ended:.2f} s" if early else "",
        )


def _is_early(
    attempt: Attempt, limited: Attempt, later: list[Attempt], task_of: dict[int, str], *, side_by_side: bool
) -> bool:
    """Return True unless the request may have been under way in another thread when the 429 came."""
    assert limited.ended is not None
    if not side_by_side or attempt.started > limited.ended + UNDER_WAY_S:
        return True
    if attempt.connection == limited.connection:
        return True
    if task_of.get(attempt.number) == task_of.get(limited.number) is not None:
        return True
    # The thread of this connection had an answer after the 429, so it looked again.
    return any(
        other.connection == attempt.connection and other.ended is not None and other.ended < attempt.started
        for other in later
    )


def _works_side_by_side(attempts: Sequence[Attempt]) -> bool:
    """Return True if two connections were open at the same time: the integration may have several threads."""
    spans = sorted(
        {each.connection: (each.opened, each.closed) for each in attempts}.values(), key=lambda span: span[0]
    )
    return any(closed is None or opened < closed for (_, closed), (opened, _) in pairwise(spans))


def _limited(observation: Observation, task: Task) -> list[Attempt]:
    return [each for each in observation.of(task) if each.status == 429]


def after_the_wait(observation: Observation) -> Iterator[Check]:
    """A task that was limited is done afterwards, once, and reported as it is."""
    others = [name for name in contract.load().limit_headers if name.lower() != "retry-after"]
    for task in observation.tasks:
        limited = _limited(observation, task)
        if not limited or any((each.retry_after or 0) > _LONGEST_WAIT_S for each in limited):
            continue
        outcome = observation.outcome(task)
        done, times = outcome is not None and outcome.done, observation.effects_of(task)
        waited = limited[-1].retry_after
        if not observation.told:
            done = any(map(succeeded, observation.of(task)))
        yield Check(
            "limit.completes",
            done,
            f"{name_of(task)}: was limited for {waited} s and never done. One busy minute loses the work",
            "the work is done after Retry-After",
            f"reported {outcome.outcome}" if outcome else "no outcome",
        )
        if not observation.told:
            continue  # a lead may be handed off again for another reason
        yield Check(
            "limit.once",
            times <= 1,
            f"{name_of(task)}: was done {times} times after a 429",
            "once",
            f"{times} times",
        )
        shown = any(map(succeeded, observation.of(task)))
        yield Check(
            "limit.honest",
            shown or not done,
            f"{name_of(task)}: is reported done, but every request was rejected with 429",
            "failed",
            "done",
        )
        if not any(each.response_header(name) is not None for each in limited for name in others):
            crashed = any(task in each.tasks and each.crashed for each in observation.executions)
            tried = len(observation.of(task)) > len(limited)
            yield Check(
                "limit.bare",
                outcome is not None and not crashed and (tried or not done),
                f"{name_of(task)}: a 429 without {', '.join(others)} left the task without an outcome",
                "an outcome: only Retry-After tells how long to wait",
                "no outcome",
            )


ORACLES = (waits, after_the_wait)
