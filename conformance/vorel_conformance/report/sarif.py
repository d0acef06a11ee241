"""SARIF 2.1.0: a finding for each violated clause, at its line of openapi.json, with its cause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from vorel_conformance.report import junit
from vorel_conformance.report.model import Report, group, place, shown_status, total_violations, verdict_sentence
from vorel_conformance.report.source_lines import line_of

CONTRACT_FILE = "openapi.json"
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"MUST": "error", "SHOULD": "warning", "advisory": "note"}


def render(report: Report) -> str:
    """Return the report as SARIF. One result for each clause, so that a scanner keeps one alert for it."""
    told = by_clause(report)
    results = [
        _result(clause, told.get(clause["id"])) for clause in report["clauses"] if shown_status(clause) in _REPORTED
    ]
    for index, clause in enumerate(report["clauses"]):
        for result in results:
            if result["ruleId"] == clause["id"]:
                result["ruleIndex"] = index
    problems = report.get("accepted", {}).get("problems", [])
    errors = [clause for clause in report["clauses"] if clause["status"] == "error"]
    notifications = [_notification(f"accepted failures: {problem}") for problem in problems]
    notifications += [_notification(f"{clause['id']}: {clause.get('reason', clause['title'])}") for clause in errors]
    started = datetime.fromisoformat(report["started"])
    run = {
        "tool": {
            "driver": {
                "name": report["tool"]["name"],
                "version": report["tool"]["version"],
                "rules": [_rule(clause) for clause in report["clauses"]],
            }
        },
        "automationDetails": {"id": "vorel-conformance/"},
        "invocations": [
            {
                "executionSuccessful": not errors,
                "startTimeUtc": report["started"],
                "endTimeUtc": (started + timedelta(seconds=report["duration_s"])).isoformat(),
                "toolExecutionNotifications": notifications,
            }
        ],
        "artifacts": [
            {
                "location": {"uri": CONTRACT_FILE},
                "hashes": {"sha-256": report["contract"]["sha256"]},
                "roles": ["policy"],
            }
        ],
        "results": results,
        "properties": {
            "target": report["target"],
            "seed": report["seed"],
            "requests": report["requests"],
            "verdict": report["verdict"],
            "counts": verdict_sentence(report),
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


_REPORTED = ("failed", "warning", "accepted", "inconclusive")


def level(clause: Mapping[str, Any]) -> str:
    """Return the SARIF level of a clause's finding."""
    status = clause["status"]
    if status == "inconclusive":
        return "note"
    return "error" if status in ("failed", "error") else _LEVELS[clause["level"]].replace("error", "warning")


def by_clause(report: Report) -> dict[str, Mapping[str, Any]]:
    """Return the cause of each violated clause, the most harmful one if there are several."""
    found: dict[str, Mapping[str, Any]] = {}
    for cause in report.get("causes", ()):
        for id_ in cause["clauses"]:
            found.setdefault(id_, cause)
    return found


def cause_message(cause: Mapping[str, Any]) -> str:
    """Return what is wrong, what to change, and which other clauses are broken or hidden by it."""
    parts = [cause["title"], *([cause["fix"]] if cause["fix"] else [])]
    if others := cause["clauses"][1:]:
        parts.append(f"Breaks also: {', '.join(others)}.")
    if cause["hides"]:
        parts.append(f"Hides: {', '.join(cause['hides'])}.")
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts)


def message(clause: Mapping[str, Any]) -> str:
    """Return the message of a clause's finding, one or two sentences."""
    violations = clause["violations"]
    found = violations[0]["message"] if violations else clause.get("reason", "")
    total = total_violations(clause)
    more = f" (and {total - 1} more)" if total > 1 else ""
    return f"{clause['title']}. {found}{more}" if found else clause["title"]


def _result(clause: Mapping[str, Any], cause: Mapping[str, Any] | None) -> dict[str, Any]:
    text = message(clause)
    if cause and cause["clauses"][0] == clause["id"]:
        text = f"{cause_message(cause)} ({clause['title']}.)"
    elif cause:
        text = f"{text} (The same cause as {cause['clauses'][0]}: {cause['title']})"
    result: dict[str, Any] = {
        "ruleId": clause["id"],
        "level": level(clause),
        "message": {"text": f"{text}\n\n{junit.evidence(clause)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": CONTRACT_FILE, "index": 0},
                    "region": {"startLine": line_of(clause["pointer"])},
                },
                "logicalLocations": [{"fullyQualifiedName": clause["pointer"], "kind": "object"}],
            }
        ],
        "partialFingerprints": {"clause/v1": clause["id"]},
        "properties": {"status": clause["status"], "checks": clause["checks"]},
    }
    if cause:
        result["properties"]["cause"] = cause["id"]
    if accepted := clause.get("accepted"):
        why = f"{accepted['reason']} ({accepted['owner']}, until {accepted['expires']})"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def _rule(clause: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": clause["id"],
        "shortDescription": {"text": clause["title"]},
        "fullDescription": {"text": f"{clause['pointer'] or place(clause)}: “{clause['quote']}”"},
        "help": _help(clause),
        "defaultConfiguration": {"level": _LEVELS[clause["level"]]},
        "properties": {"tags": [group(clause), clause["level"]]},
    }


def _help(clause: Mapping[str, Any]) -> dict[str, str]:
    """Return what GitHub shows beside a finding: the quote, and how to find out more."""
    more = f"vorel-conformance explain {clause['id']}"
    quote, pointer = clause["quote"], clause["pointer"] or place(clause)
    fence = "~~~" if "```" in quote else "```"
    return {
        "text": f"{pointer}: “{quote}” For the reason and the test, run: {more}",
        "markdown": f"`{pointer}`:\n\n{fence}\n{quote}\n{fence}\n\nReason and test: `{more}`",
    }


def _notification(text: str) -> dict[str, Any]:
    return {"level": "error", "message": {"text": text}}
