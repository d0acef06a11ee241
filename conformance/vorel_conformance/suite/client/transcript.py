"""The time line of a situation: what the integration sent, what came back, and what it claimed."""

from __future__ import annotations

from typing import Any

from vorel_conformance.http.attempt import Attempt
from vorel_conformance.suite.client.observation import Execution, Observation
from vorel_conformance.suite.client.oracles.common import name_of, told

# Entries of a transcript, and characters of a body in it.
LONGEST = 60
_BODY = 300

Entry = tuple[float, str, str]  # seconds, who, what


def transcript(observation: Observation) -> list[dict[str, Any]]:
    """Return the time line as numbered entries: `n`, `at_s`, `who` (kit, integration, mock) and `what`."""
    entries: list[Entry] = []
    for execution in observation.executions:
        entries += _execution(execution)
    for attempt in observation.attempts:
        entries += _attempt(attempt)
    for attempt in observation.elsewhere:
        entries.append((attempt.started, "integration", f"at the other host: {attempt.method} {attempt.target}"))
    entries.sort(key=lambda entry: entry[0])
    shown = [
        {"n": n, "at_s": round(max(at, 0.0), 3), "who": who, "what": what}
        for n, (at, who, what) in enumerate(entries[:LONGEST], 1)
    ]
    if len(entries) > LONGEST:
        more = f"… and {len(entries) - LONGEST} more"
        shown.append({"n": LONGEST + 1, "at_s": round(entries[LONGEST][0], 3), "who": "kit", "what": more})
    return shown


def _execution(execution: Execution) -> list[Entry]:
    tasks = "; ".join(map(name_of, execution.tasks))
    entries: list[Entry] = [(execution.started, "kit", f"starts the integration with {len(execution.tasks)}: {tasks}")]
    for outcome in execution.told.outcomes:
        ids = [f"{name} {value}" for name in ("handoff_id", "external_id") if (value := getattr(outcome, name))]
        error = f"({outcome.error[:200]})" if outcome.error else ""
        claim = " ".join([outcome.id, outcome.outcome, *ids, error]).strip()
        entries.append((outcome.at, "integration", f"says: {claim}"))
    entries += [(execution.ended, "integration", f"says: {problem}") for problem in execution.told.problems]
    end = (
        "was ended: it took too long"
        if execution.timed_out
        else "answered"
        if execution.exit_status is None
        else f"ended with exit status {execution.exit_status}"
    )
    if execution.crashed and execution.last_words:
        end += f": {execution.last_words}"  # before the rest, which a terminal cuts off
    said = f"; stderr ends with: {execution.output.strip()[-_BODY:]}" if execution.output.strip() else ""
    entries.append((execution.ended, "integration", end + said))
    return entries


def _attempt(attempt: Attempt) -> list[Entry]:
    place = f"connection {attempt.connection}, request {attempt.on_connection}"
    body = attempt.body.decode("utf-8", "replace")[:_BODY]
    sent = f"{attempt.method} {attempt.target} ({place})" + (f" {body}" if body else " without a body")
    entries: list[Entry] = [(attempt.started, "integration", attempt.problem or sent)]
    if attempt.end == "given up":
        assert attempt.ended is not None
        entries.append((attempt.ended, "integration", "gives up waiting for the answer"))
    elif attempt.ended is not None:
        entries.append((attempt.ended, "mock", _answer(attempt)))
    return entries


def _answer(attempt: Attempt) -> str:
    if not attempt.answered:
        return f"gives {told(attempt)}"
    wait = f", Retry-After: {attempt.retry_after}" if attempt.retry_after is not None else ""
    body = attempt.response.decode("utf-8", "replace")[:_BODY]
    return f"answers {attempt.status}{wait} {body}".rstrip()
