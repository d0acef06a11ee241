"""Traffic of an integration whose tasks are not known: what was probably one piece of work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from vorel_conformance.http.attempt import Attempt
from vorel_conformance.suite.client.situations import Armed, Situation
from vorel_conformance.suite.client.tasks import CREATE, HANDOFF, Task

# Of each operation, the first requests succeed; then each third one meets the next trouble.
_FIRST, _EVERY = 2, 3
_TROUBLE: tuple[tuple[str, dict[str, str]], ...] = (
    ("unavailable", {}),
    ("rate_limited", {"retry_after": "2s"}),
    ("unlisted_members", {}),
    ("connection_reset_after_commit", {}),
    ("bad_gateway", {}),
    ("internal_error_after_commit", {}),
    ("charset_parameter", {}),
    ("connection_close_after_commit", {}),
    ("bare_rate_limited", {"retry_after": "2s"}),
    ("truncated_body", {}),
)
_CLAUSES = (
    "request.http",
    "request.bearer",
    "request.media-type",
    "request.strict-json",
    "request.schema",
    "idempotency.key",
    "limit.waits",
    "retry.bounded",
    "secrets.url",
    "secrets.body",
    "secrets.header",
)

WATCH = Situation(
    "watch",
    "Nothing is driven. Of each operation, two requests succeed; then each third one meets the next trouble: "
    + ", ".join(fault for fault, _ in _TROUBLE)
    + ".",
    (),
    _CLAUSES,
    tuple(
        Armed(fault, do, {**options, "after": _FIRST + _EVERY * n})
        for do in (HANDOFF, CREATE)
        for n, (fault, options) in enumerate(_TROUBLE)
    ),
)
HAR = Situation("har", "The traffic was recorded elsewhere.", (), _CLAUSES)


def tasks_of(attempts: Sequence[Attempt]) -> list[Task]:
    """Return what was probably one piece of work: handoffs of one lead, creates of one object with the same fields."""
    found: dict[str, Task] = {}
    for attempt in attempts:
        for task in _task(attempt):
            found.setdefault(task.id, task)
    return list(found.values())


def _task(attempt: Attempt) -> Iterator[Task]:
    if attempt.lead:
        yield Task(f"lead {attempt.lead}", HANDOFF, lead_id=attempt.lead)
    elif attempt.operation and isinstance(body := attempt.parsed.value, dict):
        fields = body.get("fields")
        # As it stands in the body, so that it is found there again.
        text = attempt.body.decode("utf-8", "replace")
        content = json.dumps(fields, sort_keys=True, ensure_ascii=False)
        if isinstance(fields, dict) and fields:
            marker = _longest_text(fields)
            if marker and marker in text:
                yield Task(f"record {content[:80]}", CREATE, object=str(body.get("object")), marker=marker)


def _longest_text(fields: dict[str, object]) -> str:
    return max((value for value in fields.values() if isinstance(value, str)), key=len, default="")
