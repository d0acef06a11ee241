"""What several oracles ask of attempts and tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vorel_conformance.http.attempt import Attempt
from vorel_conformance.spec import contract
from vorel_conformance.suite.client.observation import Observation, succeeded
from vorel_conformance.suite.client.tasks import HANDOFF, Task

# Pauses shorter than this are none: a library sent the request again by itself, or a loop did not wait.
AT_ONCE_S = 0.03


def body_of(attempt: Attempt) -> Mapping[str, Any]:
    """Return the body as an object; an empty one if it is none."""
    return attempt.parsed.value if isinstance(attempt.parsed.value, dict) else {}


def answer_of(attempt: Attempt) -> Mapping[str, Any]:
    """Return the complete response as an object; an empty one if it is none."""
    return attempt.answer.value if attempt.answered and isinstance(attempt.answer.value, dict) else {}


def is_soft_failure(attempt: Attempt) -> bool:
    """Return True for HTTP 200 with `ok: false`."""
    return attempt.status == 200 and answer_of(attempt).get("ok") is False


def was_lost(attempt: Attempt) -> bool:
    """Return True if the client cannot know from the response whether the work was done."""
    return not attempt.answered or attempt.status >= 500


def error_of(attempt: Attempt) -> str:
    """Return the code of an error, or the name of a soft failure. Empty if there is none."""
    answer = answer_of(attempt)
    error = answer.get("error")
    if isinstance(error, dict):
        error = error.get("code")
    return error if isinstance(error, str) else ""


def told(attempt: Attempt) -> str:
    """Return in a few words what an attempt met."""
    if attempt.answered:
        error = error_of(attempt)
        return f"{attempt.status} {error}".rstrip()
    return {"cut short": "an answer that broke off", "reset": "a reset", "closed": "a closed connection"}.get(
        attempt.end, "no answer"
    )


def longest(member: str) -> int:
    """Return the number of characters that the contract allows for a member of a handoff."""
    found: int = contract.load().schema("LeadHandoffBody")["properties"][member]["maxLength"]
    return found


def is_over_limit(task: Task) -> bool:
    """Return True if a text of the task is longer than the contract allows."""
    return any(len(getattr(task, member) or "") > longest(member) for member in ("reason", "summary"))


def same(one: Any, other: Any) -> bool:
    """Return True for equal JSON values. Numbers are equal by value: 1.0 is 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def shown(value: Any, limit: int = 120) -> str:
    """Return a value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def name_of(task: Task) -> str:
    """Return a task in a few words."""
    if task.do == HANDOFF:
        return f"{task.id} (hand off {task.lead_id})"
    return f"{task.id} (create {task.object})"


def success(observation: Observation, task: Task) -> Attempt | None:
    """Return the last attempt of a task whose response says that the work happened."""
    return next((each for each in reversed(observation.of(task)) if succeeded(each)), None)
