"""Oracles for how an integration reads responses, and for what it reports."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from vorel_conformance.checks.response import Check
from vorel_conformance.http.attempt import Attempt
from vorel_conformance.spec import contract
from vorel_conformance.suite.client.observation import Observation, succeeded
from vorel_conformance.suite.client.oracles.common import (
    AT_ONCE_S,
    answer_of,
    error_of,
    is_over_limit,
    is_soft_failure,
    name_of,
    shown,
    success,
    told,
)
from vorel_conformance.suite.client.oracles.retry import MOST_ATTEMPTS
from vorel_conformance.suite.client.tasks import HANDOFF, Task

# A response that takes longer than this is a late one, and a pause shorter than this is none.
_LATE_S = 1.0
_SOON_S = AT_ONCE_S


def outcomes(observation: Observation) -> Iterator[Check]:
    """Each task has one outcome, and the integration ends well."""
    for execution in observation.executions:
        for problem in execution.told.problems:
            yield Check("answers.one-outcome", False, problem, "one outcome for each task", problem)
        for task in execution.tasks:
            count = sum(outcome.id == task.id for outcome in execution.told.outcomes)
            how = (
                f"; it crashed (exit status {execution.exit_status})"
                + (f": {execution.last_words}" if execution.last_words else "")
                if execution.crashed
                else f"; it was ended after {observation.timeout:g} s"
                if execution.timed_out
                else ""
            )
            yield Check(
                "answers.one-outcome",
                count == 1,
                f"{name_of(task)}: has {count or 'no'} outcome{'s' * (count > 1)}{how}",
                "one outcome for each task",
                f"{count} outcomes",
            )
        if not execution.missing and execution.exit_status is not None:
            yield Check(
                "answers.exit",
                execution.exit_status == 0,
                f"every task has an outcome, but the exit status is {execution.exit_status}",
                "exit status 0",
                f"exit status {execution.exit_status}",
            )


def reports(observation: Observation) -> Iterator[Check]:
    """What is reported of each task is what the API answered."""
    if not observation.told:
        return
    for task in observation.tasks:
        outcome, answered = observation.outcome(task), success(observation, task)
        if answered is not None:
            yield Check(
                "answers.done",
                outcome is not None and outcome.done,
                f"{name_of(task)}: the API did it, but it is reported {outcome.outcome if outcome else 'not at all'}",
                "done",
                f"{outcome.outcome} {shown(outcome.error)}" if outcome else "no outcome",
            )
        elif _is_easy(observation):
            yield Check(
                "answers.done",
                False,
                f"{name_of(task)}: nothing stands in the way, but the API never did it",
                "a request that succeeds",
                told(observation.of(task)[-1]) if observation.of(task) else "no request for this task",
            )
        if outcome is None:
            continue
        if outcome.done:
            yield from _honest(observation, task, answered)
            if answered is not None:
                yield _reported_id(observation, task)
        elif (error := _last_error(observation, task)) and answered is None:
            yield Check(
                "answers.error-name",
                error in (outcome.error or ""),
                f"{name_of(task)}: the API answered {error}, but the outcome has {shown(outcome.error)}",
                f"an error that names {error}",
                shown(outcome.error),
            )


def _is_easy(observation: Observation) -> bool:
    """Return True if nothing stands in the way of any task."""
    situation = observation.situation
    return (
        not situation.faults
        and situation.key == "full"
        and not situation.quota
        and not situation.tenant
        and len(situation.executions) == 1
        and not any(is_over_limit(task) for task in observation.tasks)
        and all(each.status == 200 and not is_soft_failure(each) for each in observation.attempts)
        and not any(each.timed_out for each in observation.executions)
    )


def _honest(observation: Observation, task: Task, answered: Attempt | None) -> Iterator[Check]:
    attempts = observation.of(task)
    if any(map(is_soft_failure, attempts)) and answered is None:
        return  # answers.soft-failure
    # The status of an answer that broke off has said that the lead was handed off.
    half = task.do == HANDOFF and any(each.status == 200 for each in attempts)
    met = f"the last request met {told(attempts[-1])}" if attempts else "no request was sent for it"
    yield Check(
        "answers.honest",
        answered is not None or half or _earlier(observation, task),
        f"{name_of(task)}: is reported done, but {met}",
        "failed: done says that the API said so",
        "done",
    )


def _earlier(observation: Observation, task: Task) -> bool:
    """Return True if an earlier execution did the task: what it kept need not be sent again."""
    return len(observation.executions) > 1 and len(observation.outcomes[task.id]) > 1


def _reported_id(observation: Observation, task: Task) -> Check:
    member = "handoff_id" if task.do == HANDOFF else "external_id"
    outcome = observation.outcome(task)
    reported = getattr(outcome, member)
    answered = [answer_of(each).get(member) for each in observation.of(task) if succeeded(each)]
    return Check(
        "answers.reported-id",
        reported in answered,
        f"{name_of(task)}: {member} is {shown(reported)}, which is not the one that was answered",
        shown(answered[-1]),
        shown(reported),
    )


def _last_error(observation: Observation, task: Task) -> str:
    """Return the error of the last answer, if it is one that the integration can do something about."""
    attempts = observation.of(task)
    return error_of(attempts[-1]) if attempts and attempts[-1].status < 500 else ""


def soft_failures(observation: Observation) -> Iterator[Check]:
    """`ok: false` is a failure, whatever its name; only `rate_limited` may be tried again."""
    for task in observation.tasks:
        attempts = observation.of(task)
        failed = [each for each in attempts if is_soft_failure(each)]
        if not failed:
            continue
        outcome, error = observation.outcome(task), error_of(failed[-1])
        if success(observation, task) is None and observation.told:
            yield Check(
                "answers.soft-failure",
                outcome is not None and not outcome.done,
                f"{name_of(task)}: the answer was ok: false with {error}, but it is "
                + ("reported done" if outcome else "not reported at all"),
                "failed",
                outcome.outcome if outcome else "no outcome",
            )
        again = [each for each in attempts if each.number > failed[0].number]
        if error != "rate_limited":
            yield Check(
                "answers.soft-not-repeated",
                not again,
                f"{name_of(task)}: was sent again after ok: false with {error}",
                "no further attempt: the CRM would refuse it again",
                f"{len(attempts)} attempts",
            )
        else:
            yield _limited_softly(task, attempts, failed)


def _limited_softly(task: Task, attempts: list[Attempt], failed: list[Attempt]) -> Check:
    pauses = [
        later.started - earlier.ended
        for earlier, later in pairwise(attempts)
        if earlier in failed and earlier.ended is not None
    ]
    problem = (
        f"{len(attempts)} requests were sent"
        if len(attempts) > MOST_ATTEMPTS
        else f"it was tried again after {min(pauses) * 1000:.0f} ms"
        if pauses and min(pauses) < _SOON_S
        else ""
    )
    return Check(
        "answers.soft-rate-limited",
        not problem,
        f"{name_of(task)}: after ok: false with rate_limited {problem}",
        f"no further attempt, or a few, later: at most {MOST_ATTEMPTS}, {_SOON_S:g} s apart at least",
        problem,
    )


def tolerance(observation: Observation) -> Iterator[Check]:
    """Lawful answers of any kind are understood."""
    if not observation.told:
        return
    for task in observation.tasks:
        outcome = observation.outcome(task)
        for attempt in observation.of(task):
            for clause, what in _kinds(attempt):
                understood = outcome is not None and (outcome.done or not succeeded(attempt))
                yield Check(
                    clause,
                    understood,
                    f"{name_of(task)}: an answer with {what} was not understood",
                    "done" if succeeded(attempt) else "an outcome",
                    f"{outcome.outcome} {shown(outcome.error)}" if outcome else "no outcome",
                )


def _kinds(attempt: Attempt) -> Iterator[tuple[str, str]]:
    """Yield the clauses for which a response is evidence, each with what is special about it."""
    if attempt.answered and attempt.status in (502, 503) and attempt.response.lstrip().startswith(b"<"):
        yield "answers.html", f"status {attempt.status} and a page of HTML"
    answer = answer_of(attempt)
    if attempt.status != 200 or not answer:
        return
    known = _members(attempt)
    if more := [name for name in answer if name not in known]:
        yield "answers.unlisted-members", f"the member {shown(more[0])}, which the contract does not list"
    if succeeded(attempt) and not attempt.lead and "record_url" not in answer:
        yield "answers.optional-members", "no record_url"
    if is_soft_failure(attempt) and "detail" not in answer:
        yield "answers.optional-members", "no detail"
    if attempt.lead and isinstance(channel := answer.get("notified_channel"), str):
        yield "answers.channels", f"the notified_channel {channel}"
    yield from (("answers.spelling", what) for what in _spellings(attempt))
    if attempt.sent is not None and attempt.ended is not None and attempt.ended - attempt.sent > _LATE_S:
        yield "answers.late", f"{attempt.ended - attempt.sent:.1f} s of waiting"


def _members(attempt: Attempt) -> set[str]:
    schemas = contract.load().document["components"]["schemas"]
    if attempt.lead:
        return set(schemas["LeadHandoffResponse"]["properties"])
    return {name for branch in schemas["CrmCreateRecordResponse"]["oneOf"] for name in branch["properties"]}


def _spellings(attempt: Attempt) -> Iterator[str]:
    media_type = attempt.response_header("Content-Type") or ""
    if ";" in media_type:
        yield f"Content-Type: {media_type}"
    if "chunked" in (attempt.response_header("Transfer-Encoding") or "").lower():
        yield "chunked framing"
    text = attempt.response.decode("utf-8", "replace")
    if text != text.strip() or "\n" in text or '": ' in text:
        yield "white space in its JSON"
    if any(name != name.lower() for name, _ in attempt.response_headers):
        yield "header names that have capitals"


ORACLES = (outcomes, reports, soft_failures, tolerance)
