"""What the commands share: exit codes, messages, signals, options of a report."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from vorel_conformance.http.harmless import harmless

# Exit codes.
PASSED, FAILED, USAGE, NO_TARGET, INCOMPLETE, OUR_FAULT = 0, 1, 2, 3, 4, 70
_LONGEST_LINE = 4_000  # characters; a profile may have a member with a name of a megabyte
FILE = click.Path(dir_okay=False, path_type=Path)


def needs_extra() -> None:
    """Exit with one line, instead of a traceback, if the dependencies of the kit are not installed."""
    try:
        import openapi_core  # noqa: F401
        import schemathesis  # noqa: F401

        import vorel_conformance.report  # noqa: F401
    except ImportError as error:
        stop(USAGE, f"{error.name} is not installed. Install it with: pip install 'vorel-mock[conformance]'")


def say(text: str, *, err: bool = False) -> None:
    """Print one line, in which others may have a word: a server, a profile, a report."""
    shown = harmless(text)
    click.echo(shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}…", err=err)


def stop(code: int, message: str) -> NoReturn:
    """End the command with one line on stderr."""
    say(f"vorel-conformance: {message}", err=True)
    raise SystemExit(code)


def stop_with_our_fault(error: Exception) -> NoReturn:
    """End the command after a bug of the kit: one line, and an exit code of its own."""
    what = f"the kit failed: {type(error).__name__}: {error}. Please report it, with the seed."
    stop(OUR_FAULT, redacted(what))


class Signals:
    """SIGINT and SIGTERM end the run, and the reports of what was done are written. A second one ends the command."""

    exit_code = 0

    def catch(self) -> None:
        """Begin to catch signals, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._caught)
                click.get_current_context().call_on_close(partial(signal.signal, number, before))

    def _caught(self, number: int, _: object) -> NoReturn:
        self.exit_code = 128 + number
        raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}")


def exit_code(found: Mapping[str, Any], *, complete: bool, strict: bool = False) -> int:
    """Return the exit code of a report."""
    if found["verdict"] in ("failed", "error"):
        return FAILED if found["verdict"] == "failed" else OUR_FAULT
    statuses = {each["status"] for each in found["clauses"] if not each.get("accepted")}
    if strict and "warning" in statuses:
        return FAILED
    # A run that judged nothing is no pass, whatever was asked for.
    judged = statuses & {"passed", "failed", "warning"}
    return INCOMPLETE if not judged or ("inconclusive" in statuses and complete) else PASSED


def redacted(text: str) -> str:
    """Return a message without anything that has the form of a key."""
    from vorel_conformance.http.redact import redactor

    return redactor()(text)


@dataclass(frozen=True)
class ReportOptions:
    """What is to become of a report."""

    json: Path | None
    junit: Path | None
    html: Path | None
    sarif: Path | None
    accepted_file: Path | None
    complete: bool
    strict: bool

    @property
    def files(self) -> dict[str, Path | None]:
        """The files by their form."""
        return {"json": self.json, "junit": self.junit, "html": self.html, "sarif": self.sarif}

    def prepare(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Check, before a run, what can be checked. Return the function that applies the accepted failures.

        Raises OSError or AcceptedError.
        """
        from vorel_conformance import report
        from vorel_conformance.runs import accepted

        exceptions = accepted.load(self.accepted_file) if self.accepted_file else ()
        report.check_writable(*self.files.values())
        if not self.accepted_file:
            return lambda found: found
        return lambda found: accepted.apply(found, exceptions, datetime.now(UTC).date())

    def remove_old(self) -> None:
        """Remove the reports of an earlier run. Raises OSError."""
        from vorel_conformance import report

        report.remove(*self.files.values())

    def finish(self, found: dict[str, Any], console: Any, signals: Signals) -> NoReturn:
        """Print the report, write the files and end the command."""
        from vorel_conformance import report
        from vorel_conformance.report import terminal

        terminal.summary(found, console)
        try:
            report.write(found, json=self.json, junit=self.junit, html=self.html, sarif=self.sarif)
        except OSError as error:
            stop(USAGE, str(error))
        raise SystemExit(signals.exit_code or exit_code(found, complete=self.complete, strict=self.strict))


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all runs share: `wanted`, `seed`, and those of the report as one argument `reports`."""
    names = [each.name for each in fields(ReportOptions)]

    @wraps(command)
    def with_reports(**arguments: Any) -> Any:
        return command(reports=ReportOptions(**{name: arguments.pop(name) for name in names}), **arguments)

    decorated: Callable[..., Any] = with_reports
    for option in (
        click.option("--strict", is_flag=True, help="Exit 1 on warnings, too."),
        click.option("--complete", is_flag=True, help="Exit 4 if a clause is inconclusive."),
        click.option(
            "--accepted",
            "accepted_file",
            type=FILE,
            help="Accepted failures: TOML with clause, reason, owner, expires.",
        ),
        click.option("--sarif", type=FILE, help="Write the report as SARIF 2.1.0."),
        click.option("--html", type=FILE, help="Write the report as one self-contained HTML page."),
        click.option("--junit", type=FILE, help="Write the report as JUnit XML, one case for each clause."),
        click.option("--json", type=FILE, help="Write the report as JSON."),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            help="The same seed sends the same requests.  [default: random]",
        ),
        click.option("--clauses", "wanted", default="", help="Only these clauses or groups, separated by commas."),
    ):
        decorated = option(decorated)
    return decorated


def names_of(wanted: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(name.strip() for name in wanted.split(",") if name.strip())
