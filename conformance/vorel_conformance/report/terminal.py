"""Terminal output: a progress bar, then a table, worst first, and the evidence of clauses that have not passed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import rich.progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vorel_conformance.http.harmless import harmless
from vorel_conformance.http.redact import redactor
from vorel_conformance.report import github
from vorel_conformance.report.model import (
    LOOKS,
    WORST_FIRST,
    Report,
    body_text,
    key_hint,
    number_of,
    place,
    remarks,
    shorten,
    shown_status,
    total_violations,
    transcript_lines,
    verdict_sentence,
    verdict_title,
    worst_first,
)

_VIOLATIONS_SHOWN = 2
_CURL_LIMIT = 2_000
_TRANSCRIPT_SHOWN = 16


class Progress:
    """A progress bar with the counts of the clauses. Shows nothing if the output is not a terminal.

    Use it as a context manager and call it with each event: `{"event": "phase", "name"}`, `{"event": "exchange"}`,
    `{"event": "clause", "id", "status", "checks"}`. It ignores other events. Safe to call from any thread.
    """

    def __init__(self, console: Console, *, clauses: int | None = None) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, str] = {}
        self._requests = 0
        self._phase = "starting"
        self._bar = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[counts]}"),
            rich.progress.TextColumn("[dim]{task.fields[requests]} requests"),
            rich.progress.TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(self._phase, total=clauses, counts="", requests=0)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        with self._lock:
            match event.get("event"):
                case "exchange":
                    self._requests += 1
                case "clause":
                    self._statuses[event["id"]] = event["status"]
                case "phase":
                    self._phase = harmless(str(event["name"]))
            counts = self.counts
            self._bar.update(
                self._task,
                description=self._phase.replace("[", r"\["),
                completed=len(self._statuses),
                counts=" ".join(
                    f"[{LOOKS[status].style}]{LOOKS[status].sign} {counts[status]}[/]"
                    for status in WORST_FIRST
                    if counts.get(status)
                ),
                requests=self._requests,
            )

    @property
    def counts(self) -> dict[str, int]:
        """The number of clauses of each status so far."""
        return dict(Counter(self._statuses.values()))

    @property
    def requests(self) -> int:
        """The number of exchanges so far."""
        return self._requests


def summary(report: Report, console: Console, *, secrets: Iterable[str] = ()) -> None:
    """Print the table, the evidence and the verdict. In GitHub Actions, also write annotations and the job summary.

    Redacts the report once more, like `report.write`.
    """
    report = redactor(secrets)(report)
    if console.is_terminal:
        _print_table(report, console)
    else:
        _print_lines(report, console)
    told: set[str] = set()  # situations whose transcript was printed
    for number, cause in enumerate(report.get("causes", ()), 1):
        _print_cause(number, cause, report, console, told)
    explained = {name for cause in report.get("causes", ()) for name in cause["clauses"]}
    for clause in worst_first(report["clauses"]):
        if shown_status(clause) in ("failed", "error", "warning", "accepted") and clause["id"] not in explained:
            _print_evidence(clause, console, told)
    _print_reasons(report, console)
    _print_verdict(report, console)
    if github.running():
        for line in github.commands(report):
            # A workflow command must be one complete line without styles.
            print(line, file=console.file)
        try:
            github.add_summary(report)
        except OSError as error:  # the verdict matters more than its summary
            _line(console, (f"cannot write the job summary: {error.strerror}", "yellow"))


def _print_table(report: Report, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("status", no_wrap=True)
    table.add_column("clause", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("checks", justify="right")
    table.add_column("")
    for clause in worst_first(report["clauses"]):
        status = shown_status(clause)
        look = LOOKS[status]
        table.add_row(
            Text(look.sign, style=look.style),
            Text(look.word, style=look.style),
            harmless(clause["id"]),
            Text(clause["level"], style="" if clause["level"] == "MUST" else "dim"),
            str(clause["checks"]),
            harmless(clause["title"]),
        )
    console.print(table)


def _print_lines(report: Report, console: Console) -> None:
    """Print one unwrapped line for each clause that has not passed, and one for all that have: for the log of a CI."""
    clauses = worst_first(report["clauses"])
    others = [clause for clause in clauses if shown_status(clause) != "passed"]
    width = max((len(clause["id"]) for clause in others), default=0)
    for clause in others:
        look = LOOKS[shown_status(clause)]
        what = f"{look.sign} {look.word:<14} {clause['id']:<{width}}  {clause['level']:<8}  {clause['title']}"
        _line(console, (what, look.style))
    if passed := len(clauses) - len(others):
        look = LOOKS["passed"]
        _line(console, (f"{look.sign} {number_of(passed, 'clause')} passed", look.style))


def _print_cause(number: int, cause: Mapping[str, Any], report: Report, console: Console, told: set[str]) -> None:
    """Print what is wrong, the smallest request that shows it, what to change, and the clauses that are hit by it."""
    clause = next(each for each in report["clauses"] if each["id"] == cause["clauses"][0])
    look = LOOKS[shown_status(clause)]
    console.print()
    _line(console, (f"{number}. {cause['title']}", look.style))
    _label(console, "contract", f"“{shorten(cause['quote'], 400)}” {place(cause)}")
    _label(console, "change", cause["fix"])
    _print_violation(clause["violations"][cause["violation"]], console, told)
    _label(console, "breaks", ", ".join(cause["clauses"]))
    if cause["hides"]:
        _label(console, "hides", ", ".join(cause["hides"]))


def _print_evidence(clause: Mapping[str, Any], console: Console, told: set[str]) -> None:
    look = LOOKS[shown_status(clause)]
    console.print()
    _line(console, (f"{look.sign} {clause['id']}", look.style), f"  {clause['title']}")
    _line(console, (f"  “{shorten(clause['quote'], 400)}”", "italic"))
    _line(console, (f"  {place(clause)}", "dim"))
    if accepted := clause.get("accepted"):
        _label(console, "accepted", f"until {accepted['expires']} by {accepted['owner']}: {accepted['reason']}")
        return
    if clause.get("reason"):
        _label(console, "reason", clause["reason"])
    violations = clause["violations"]
    for violation in violations[:_VIOLATIONS_SHOWN]:
        console.print()
        _label(console, "found", violation["message"])
        if "quote" in violation:
            _label(console, "contract", f"“{shorten(violation['quote'], 400)}” {place(violation)}")
        _print_violation(violation, console, told)
    if (more := total_violations(clause) - len(violations[:_VIOLATIONS_SHOWN])) > 0:
        _label(console, "", f"… and {more} more")


def _print_violation(violation: Mapping[str, Any], console: Console, told: set[str]) -> None:
    if "situation" in violation:
        _label(console, "situation", f"{violation['situation']}: {violation['about']}")
    if flaky := violation.get("flaky"):
        _label(console, "flaky", f"seen in {flaky['failed']} of {flaky['of']} tries")
    if violation.get("expected"):
        _label(console, "expected", violation["expected"])
    if violation.get("got"):
        _label(console, "got", violation["got"])
    if response := violation["response"]:
        text, cut = body_text(response, 300)
        _label(console, "response", f"{response['status']} {text}" + (f" … {cut} more characters" if cut else ""))
    elif violation.get("failure"):
        _label(console, "response", f"none: {violation['failure']}")
    if 0 < len(violation["curl"]) <= _CURL_LIMIT:
        _line(console, ("  again     ", "dim"), violation["curl"])
    elif violation["curl"]:
        _label(console, "again", "the curl line is too long for the terminal; the reports contain it")
    if hint := key_hint(violation):
        _label(console, "", hint)
    if violation.get("situation") in told:
        _label(console, "", "the transcript of this situation is above")
    elif "situation" in violation:
        told.add(violation["situation"])
        _print_transcript(violation, console)


def _print_transcript(violation: Mapping[str, Any], console: Console) -> None:
    """Print what happened in the situation, and the command that repeats it alone."""
    lines = transcript_lines(violation)
    for line in lines[:_TRANSCRIPT_SHOWN]:
        _line(console, (f"  {shorten(line, 200)}", "dim"))
    if len(lines) > _TRANSCRIPT_SHOWN:
        _line(console, (f"  … {len(lines) - _TRANSCRIPT_SHOWN} more lines in the reports", "dim"))
    if again := violation.get("again"):
        _line(console, ("  again     ", "dim"), again)


def _print_reasons(report: Report, console: Console) -> None:
    """Print the reasons for missing verdicts. Not in the table: there, a wrapped line may begin with server text."""
    reasons = [
        (LOOKS[clause["status"]], clause)
        for clause in worst_first(report["clauses"])
        if clause["status"] in ("inconclusive", "not_applicable") and clause.get("reason")
    ]
    if reasons:
        console.print()
    for look, clause in reasons:
        _line(console, (f"{look.sign} {clause['id']}", look.style), f"  {shorten(clause['reason'], 600)}")


def _print_verdict(report: Report, console: Console) -> None:
    console.print()
    for problem in report.get("accepted", {}).get("problems", []):
        _line(console, ("✗ accepted failures ", "bold red"), problem)
    for note in remarks(report):
        _line(console, (f"  {note}", "dim"))
    look = LOOKS[report["verdict"]]
    _line(console, (f"{look.sign} {verdict_title(report)}.", look.style), f" {verdict_sentence(report)}")
    contract = report["contract"]
    facts = (
        f"  {report['target']} · contract {contract['version']} {contract['sha256'][:12]} · "
        f"{report['requests']} requests in {report['duration_s']:.0f} s · seed {report['seed']}"
    )
    _line(console, (facts, "dim"))


def _label(console: Console, name: str, text: str) -> None:
    """Print a line with a label. Server text never begins a line, because CI servers look for commands there."""
    _line(console, (f"  {name:<10}", "dim"), shorten(text, 600))


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print a line from texts, and texts with a style. Whoever wrote them, they cannot do more than be read."""
    styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
    # Only the terminal wraps the line, so that a curl line can be copied as a whole.
    console.print(Text.assemble(*((harmless(text), style) for text, style in styled)), soft_wrap=True)
