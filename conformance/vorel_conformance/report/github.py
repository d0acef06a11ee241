"""What GitHub Actions shows of a run: annotations at the contract's lines, and the summary of the job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vorel_conformance.report import markdown
from vorel_conformance.report.lines import line_of
from vorel_conformance.report.model import Report, shown_status, visible, worst_first
from vorel_conformance.report.sarif import CONTRACT_FILE, level, message

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def running() -> bool:
    """Whether this is a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def commands(report: Report) -> Iterator[str]:
    """One workflow command a broken or unjudged clause, worst first; accepted ones are notices."""
    for problem in report.get("accepted", {}).get("problems", []):
        yield f"::error title=Accepted failures::{_data(problem)}"
    for clause in worst_first(report["clauses"]):
        status = shown_status(clause)
        if status in ("passed", "not_applicable"):
            continue
        command = "notice" if status == "accepted" else _COMMANDS[level(clause)]
        place = f"file={CONTRACT_FILE},line={line_of(clause['pointer'])},title={_property(clause['id'])}"
        yield f"::{command} {place}::{_data(message(clause))}"


def add_summary(report: Report) -> None:
    """Append the report to the job's summary, where there is one; OSError when its file cannot be written."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(markdown.render(report))


def _data(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
