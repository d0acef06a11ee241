"""Sample reports: the real catalogue, with the statuses that a test needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vorel_conformance.report import verdict
from vorel_conformance.report.curl import curl_line
from vorel_conformance.spec import clauses, contract

KEY = "vapk_live_" + "0123456789ab" + "cdef01234567" * 3
BASE_URL = "https://api.example.test"
LEAD = "7d0a1c54-3f0e-4b7a-9a55-0f6a4b3c2d1e"

# One clause of the catalogue for each status.
ONE_OF_EACH = {
    "limit.retry-after": "failed",
    "handoff.fresh-id": "failed",
    "auth.revoked": "inconclusive",
    "crm.record-url": "warning",
    "tenancy.foreign-lead": "not_applicable",
    "fuzz.no-server-error": "error",
}
REASONS = {
    "inconclusive": 'The profile has no revoked key. Add to [keys]: revoked = "vapk_live_..."',
    "not_applicable": "Every write is a soft failure on this target.",
    "error": "Two validators disagree about the response of exchange 341.",
}


def violation(number: int = 1, *, body: str | None = None, **members: Any) -> dict[str, Any]:
    """Return a violation with its exchange. `body` is the body of the response."""
    url = f"{BASE_URL}/api/v1/leads/{LEAD}/handoff"
    sent = json.dumps(
        {"reason": "no-response-7d", "summary": f"vorel-conformance-{number:04d} «ünïcödé»"}, ensure_ascii=False
    )
    answer = {"error": {"code": "rate_limited", "message": "Too many requests."}}
    headers = [("Authorization", "Bearer $VOREL_API_KEY"), ("Content-Type", "application/json")]
    return {
        "message": "A 429 without a Retry-After that a client can wait for.",
        "expected": "Retry-After: an integer of seconds from 1 to 60",
        "got": f"Retry-After: {47_000 + number}",
        "test": "limit",
        "request": {
            "method": "POST",
            "url": url,
            "path": f"/api/v1/leads/{LEAD}/handoff",
            "headers": [["Authorization", "Bearer ${burst.0}"], ["Content-Type", "application/json"]],
            "key": "burst.0",
            "body": sent,
        },
        "response": {
            "status": 429,
            "headers": [
                ["content-type", "application/json; charset=utf-8"],
                ["retry-after", f"{47_000 + number}"],
                ["x-ratelimit-limit", "200"],
                ["x-ratelimit-remaining", "0"],
            ],
            "body": json.dumps(answer) if body is None else body,
            "truncated": False,
            "elapsed_s": 0.012,
        },
        "curl": curl_line("POST", url, headers, sent.encode()),
        "exchange": 200 + number,
        **members,
    }


def report(statuses: Mapping[str, str] | None = None, **members: Any) -> dict[str, Any]:
    """Return a report with these statuses by clause id, `passed` for all others, and `members` at its top level."""
    statuses = statuses or {}
    entries = []
    for index, clause in enumerate(clauses.load().values()):
        status = statuses.get(clause.id, "passed")
        entry: dict[str, Any] = {
            "id": clause.id,
            "title": clause.title,
            "level": clause.level,
            "pointer": clause.pointer,
            "quote": clause.quote,
            "status": status,
            "checks": 0 if status in ("inconclusive", "not_applicable") else 12 + index * 7 % 90,
            "violations": [violation()] if status in ("failed", "warning") else [],
        }
        if status in REASONS:
            entry["reason"] = REASONS[status]
        entries.append(entry)
    made: dict[str, Any] = {
        "tool": {"name": "vorel-conformance", "version": "0.1.0"},
        "contract": {"version": contract.load().version, "sha256": contract.load().sha256},
        "target": BASE_URL,
        "seed": 20261123,
        "started": "2026-11-23T08:15:02Z",
        "duration_s": 74.2,
        "requests": 1862,
        "verdict": "",
        "clauses": entries,
        "writes": [f"vorel-conformance-{number:04d}" for number in range(1, 40)],
    } | members
    return {**made, "verdict": verdict(made)}


def one_of_each(**members: Any) -> dict[str, Any]:
    """Return a report with every status and a flaky violation."""
    made = report(ONE_OF_EACH, **members)
    by_id = {clause["id"]: clause for clause in made["clauses"]}
    by_id["handoff.fresh-id"]["violations"] = [
        violation(2, message="The handoff_id of a re-post is that of the first post.", flaky={"failed": 2, "of": 5})
    ]
    return made
