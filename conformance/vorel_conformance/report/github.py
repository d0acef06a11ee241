"""Output for GitHub Actions: annotations at lines of the contract, and the summary of the job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vorel_conformance.http.harmless import harmless
from vorel_conformance.report import markdown
from vorel_conformance.report.model import Report, shown_status, worst_first
from vorel_conformance.report.sarif import CONTRACT_FILE, cause_message, level, message
from vorel_conformance.report.source_lines import line_of

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def running() -> bool:
    """Return True in a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def commands(report: Report) -> Iterator[str]:
    """Yield a workflow command for every cause, then for every other clause without a pass, worst first.

    Accepted failures are notices.
    """
    for problem in report.get("accepted", {}).get("problems", []):
        yield f"::error title=Accepted failures::{_data(problem)}"
    clauses = {clause["id"]: clause for clause in report["clauses"]}
    told: set[str] = set()
    for cause in report.get("causes", ()):
        told |= {*cause["clauses"], *cause["hides"]}
        command = _COMMANDS[level(clauses[cause["clauses"][0]])]
        where = f"file={CONTRACT_FILE},line={line_of(cause['pointer'])},title={_property(cause['id'])}"
        yield f"::{command} {where}::{_data(cause_message(cause))}"
    for clause in worst_first(report["clauses"]):
        status = shown_status(clause)
        if status in ("passed", "not_applicable") or clause["id"] in told:
            continue
        command = "notice" if status == "accepted" else _COMMANDS[level(clause)]
        place = f"file={CONTRACT_FILE},line={line_of(clause['pointer'])},title={_property(clause['id'])}"
        yield f"::{command} {place}::{_data(message(clause))}"


def add_summary(report: Report) -> None:
    """Append the report to the summary of the job, if there is one. Raises OSError if the file cannot be written."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(markdown.render(report))


def _data(text: str) -> str:
    return harmless(text, newlines=True).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
