"""What the commands share: exit codes, messages, signals, options of a report."""

from __future__ import annotations

import json as json_format
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from vorel_conformance.http.harmless import harmless

# Exit codes.
PASSED, FAILED, USAGE, NO_TARGET, INCOMPLETE, OUR_FAULT = 0, 1, 2, 3, 4, 70
_LONGEST_LINE = 4_000  # characters; a profile may have a member with a name of a megabyte
#: The environment variable with the passphrase of a signing key.
PASSPHRASE = "VOREL_SIGN_PASSPHRASE"  # noqa: S105 - the name, not a passphrase
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


def exit_code(found: Mapping[str, Any], *, complete: bool) -> int:
    """Return the exit code of a report."""
    if found["verdict"] in ("failed", "error"):
        return FAILED if found["verdict"] == "failed" else OUR_FAULT
    statuses = {each["status"] for each in found["clauses"] if not each.get("accepted")}
    # A run that judged nothing is no pass, whatever was asked for.
    judged = statuses & {"passed", "failed", "warning"}
    return INCOMPLETE if not judged or ("inconclusive" in statuses and complete) else PASSED


def redacted(text: str) -> str:
    """Return a message without anything that has the form of a key."""
    from vorel_conformance.http.redact import redactor

    return redactor()(text)


def ask_passphrase(*, confirm: bool = False) -> str:
    """Return the passphrase of a signing key: from the environment, or from whoever sits at the terminal.

    Raises ValueError if there is neither.
    """
    given = os.environ.get(PASSPHRASE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise ValueError(f"the key needs a passphrase: set {PASSPHRASE}; leave it empty for a key without one")
    asked: str = click.prompt(
        "Passphrase (empty for none)", default="", hide_input=True, show_default=False, confirmation_prompt=confirm
    )
    return asked


@dataclass(frozen=True)
class Certification:
    """The signer of a certificate, and what is certified beside the report."""

    signer: Any
    subjects: list[dict[str, Any]]

    def write(self, path: Path, report_file: Path) -> None:
        """Write the certificate of the run that the report is of, or say why there is none. Raises OSError."""
        from vorel_conformance import report
        from vorel_conformance.attestation import envelope, statements

        written = report_file.read_bytes()
        found = json_format.loads(written)
        if reason := statements.reason_against(found):
            say(f"No certificate: {reason}.", err=True)
            return
        report.replace(path, envelope.sign(statements.statements(found, written, self.subjects), self.signer))
        say(f"Certificate: {path}, signed by {self.signer.public_key.keyid[:16]}.")


@dataclass
class ReportOptions:
    """What is to become of a report."""

    json: Path | None
    junit: Path | None
    html: Path | None
    sarif: Path | None
    badge: Path | None
    certificate: Path | None
    sign_key: Path | None
    subjects: tuple[str, ...]
    accepted_file: Path | None
    complete: bool
    strict: bool
    level: str | None
    certification: Certification | None = field(init=False, default=None)
    """What a certificate is signed with, once `prepare` was called."""

    @property
    def files(self) -> list[Path | None]:
        """The files that the run writes."""
        return [self.json, self.junit, self.html, self.sarif, self.badge, self.certificate]

    def prepare(self, *, whole: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Check, before a run, what can be checked. Return the function that applies the accepted failures.

        `whole`: all clauses are asked for. Raises OSError, ValueError or AcceptedError.
        """
        from vorel_conformance import report
        from vorel_conformance.report import badge, model
        from vorel_conformance.runs import accepted

        exceptions = accepted.load(self.accepted_file) if self.accepted_file else ()
        level = self._level()
        if self.badge:
            badge.check(self.badge)
        self.certification = self._certification(whole)
        report.check_writable(*self.files)
        self._leave_stdout_to_a_report()
        if not self.accepted_file:
            return lambda found: model.at_level(found, level)
        return lambda found: accepted.apply(model.at_level(found, level), exceptions, datetime.now(UTC).date())

    def _leave_stdout_to_a_report(self) -> None:
        """If a report goes to the standard output, say everything else on stderr. Raises ValueError for two of them."""
        from vorel_conformance.report import descriptor

        there = [path for path in self.files if path is not None and descriptor(path) == 1]
        if len(there) > 1:
            raise ValueError("only one report can go to the standard output; give the others a file")
        if there:
            click.get_current_context().with_resource(redirect_stdout(sys.stderr))

    def _level(self) -> str:
        """Return the lowest level of the clauses that count towards the verdict. Raises ValueError."""
        if self.strict and self.level not in (None, "advisory"):
            raise ValueError(f"--strict is --level advisory, and contradicts --level {self.level}; give one of them")
        return self.level or ("advisory" if self.strict else "must")

    def remove_old(self) -> None:
        """Remove the reports of an earlier run. Raises OSError."""
        from vorel_conformance import report

        report.remove(*self.files)

    def _certification(self, whole: bool) -> Certification | None:
        """Return what a certificate is signed with; None if none is asked for. Raises ValueError."""
        if not self.certificate:
            if self.sign_key or self.subjects:
                raise ValueError("--sign-key and --subject go with --certificate FILE")
            return None
        if not self.sign_key:
            raise ValueError("--certificate: needs --sign-key; `vorel-conformance keygen FILE` makes a key")
        from vorel_conformance.report import is_device

        if not self.json or is_device(self.json):
            raise ValueError("--certificate: needs --json FILE: it certifies that report, by its digest")
        if not whole:
            raise ValueError("--certificate: certifies a complete run; leave out --clauses and --situation")
        from vorel_conformance.attestation import keys, statements

        subjects = [statements.subject(each) for each in self.subjects]
        try:
            return Certification(keys.load_signer(self.sign_key, ask_passphrase), subjects)
        except keys.KeyFileError as error:
            raise ValueError(f"--sign-key {error}") from None

    def finish(self, found: dict[str, Any], console: Any, signals: Signals) -> NoReturn:
        """Print the report, write the files and end the command."""
        from vorel_conformance import report
        from vorel_conformance.report import terminal
        from vorel_conformance.report.causes import causes

        found = {**found, "causes": causes(found)}
        terminal.summary(found, console)
        try:
            report.write(found, json=self.json, junit=self.junit, html=self.html, sarif=self.sarif, badge=self.badge)
            if self.certification and self.certificate and self.json:
                self.certification.write(self.certificate, self.json)
        except OSError as error:
            stop(USAGE, str(error))
        raise SystemExit(signals.exit_code or exit_code(found, complete=self.complete))


def trust_options(command: Any) -> Any:
    """Add the options for the certificate of an https server."""
    for option in (
        click.option(
            "-k",
            "--insecure",
            is_flag=True,
            help="Do not verify the certificate of an https target. The report says so.",
        ),
        click.option(
            "--cacert",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Certificates in PEM that an https target must have, or be signed by.  [default: the usual ones]",
        ),
    ):
        command = option(command)
    return command


def trust_of(cacert: Path | None, *, insecure: bool) -> Any:
    """Return the servers that are trusted. Ends the command if the options contradict each other."""
    from vorel_conformance.http.transport import Trust

    if cacert and insecure:
        stop(USAGE, "--cacert says what to verify, --insecure not to; give one of them")
    return Trust(cacert, insecure)


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all runs share: `wanted`, `seed`, and those of the report as one argument `reports`."""
    names = [each.name for each in fields(ReportOptions) if each.init]

    @wraps(command)
    def with_reports(**arguments: Any) -> Any:
        return command(reports=ReportOptions(**{name: arguments.pop(name) for name in names}), **arguments)

    decorated: Callable[..., Any] = with_reports
    for option in (
        click.option(
            "--level",
            type=click.Choice(["must", "should", "advisory"]),
            help="The clauses that fail the run: of MUST, of SHOULD too, or all.  [default: must]",
        ),
        click.option("--strict", is_flag=True, help="Exit 1 on warnings, too: --level advisory."),
        click.option("--complete", is_flag=True, help="Exit 4 if a clause is inconclusive."),
        click.option(
            "--accepted",
            "accepted_file",
            type=FILE,
            help="Accepted failures: TOML with clause, reason, owner, expires.",
        ),
        click.option(
            "--subject", "subjects", multiple=True, metavar="FILE", help="Certify this too: a file, NAME@sha256:DIGEST."
        ),
        click.option("--sign-key", type=FILE, help="Private key that signs the certificate."),
        click.option("--certificate", type=FILE, help="Write a signed certificate of a complete run without failures."),
        click.option("--badge", type=FILE, help="Write a badge: FILE.svg, or FILE.json for shields.io."),
        click.option("--sarif", type=FILE, help="Write the report as SARIF 2.1.0."),
        click.option("--html", type=FILE, help="Write the report as one self-contained HTML page."),
        click.option("--junit", type=FILE, help="Write the report as JUnit XML, one case for each clause."),
        click.option("--json", type=FILE, help="Write the report as JSON; - is the standard output."),
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
