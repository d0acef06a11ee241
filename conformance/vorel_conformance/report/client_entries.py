"""The JSON report of a run against an integration: as for a server, with situations and transcripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vorel_conformance import __version__
from vorel_conformance.http.redact import redactor
from vorel_conformance.report.entries import result_entry
from vorel_conformance.report.model import verdict
from vorel_conformance.session.client_session import ClientSession, ClientViolation
from vorel_conformance.session.results import KEPT, ClauseResult
from vorel_conformance.spec import contract


def report_of(session: ClientSession) -> dict[str, Any]:
    """Return the JSON report of a run, without any secret."""
    document = contract.load()
    found: dict[str, Any] = {
        "tool": {"name": "vorel-conformance", "version": __version__},
        "contract": {"version": document.version, "sha256": document.sha256},
        "kind": "client",
        "target": session.subject,
        "seed": session.seed,
        "started": session.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": round(session.duration_s, 1),
        "requests": sum(each.requests for each in session.situations),
        "verdict": "",
        "clauses": [_entry(each) for each in session.results.by_id.values()],
        "situations": [
            {"name": each.name, "about": each.about, "requests": each.requests, "again": each.again}
            for each in session.situations
        ],
    }
    if session.stopped:
        found["stopped"] = session.stopped
    found["verdict"] = verdict(found)
    secrets = {secret for each in session.situations for secret in each.secrets}
    redacted: dict[str, Any] = redactor(secrets)(found)
    return redacted


def _entry(result: ClauseResult[ClientViolation]) -> dict[str, Any]:
    entry = result_entry(result, [_violation(each) for each in _listed(result.violations)])
    return entry | ({"situations": list(result.situations)} if result.situations else {})


def _listed(violations: Sequence[ClientViolation]) -> list[ClientViolation]:
    """Return the violations that the report lists: the first of each situation, then others."""
    firsts = {each.situation.name: index for index, each in reversed(list(enumerate(violations)))}
    order = sorted(range(len(violations)), key=lambda index: (index not in firsts.values(), index))
    return [violations[index] for index in sorted(order[:KEPT])]


def _violation(violation: ClientViolation) -> dict[str, Any]:
    check, situation = violation.check, violation.situation
    return {
        "message": check.message,
        "expected": check.expected,
        "got": check.got,
        "request": None,
        "response": None,
        "curl": "",
        "situation": situation.name,
        "about": situation.about,
        "transcript": list(situation.transcript),
        "again": situation.again,
    }
