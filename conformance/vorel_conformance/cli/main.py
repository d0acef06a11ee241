"""The command line: `vorel-conformance server URL` and its other commands."""

from __future__ import annotations

import json as json_format
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vorel_conformance.cli.certificate import keygen, verify
from vorel_conformance.cli.client import client
from vorel_conformance.cli.common import (
    FAILED,
    FILE,
    NO_TARGET,
    PASSED,
    USAGE,
    ReportOptions,
    Signals,
    names_of,
    needs_extra,
    redacted,
    report_options,
    say,
    stop,
    stop_with_our_fault,
    trust_of,
    trust_options,
)
from vorel_conformance.cli.compare import diff, drift, matrix

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="vorel-mock", prog_name="vorel-conformance")
def cli() -> None:
    """Certify any server of the Vorel API, and any integration with it, clause by clause.

    Exit codes: 0 nothing failed; 1 a MUST clause failed; 2 usage; 3 the target is not reachable, or its keys or leads
    are invalid, or the integration does not work at all; 4 no clause was judged, or, with --complete, not every clause;
    70 a fault of the kit itself; 130 or 143 stopped by SIGINT or SIGTERM.
    """


cli.add_command(client)
cli.add_command(diff)
cli.add_command(drift)
cli.add_command(keygen)
cli.add_command(matrix)
cli.add_command(verify)


def _target_options(command: Any) -> Any:
    """Add the options for the target, which `server` and `replay` share."""
    for option in (
        click.option("--target", "target_file", type=FILE, help="Target profile.  [default: from URL/_mock/target]"),
        trust_options,
        click.option("--i-own-this-target", "owned", is_flag=True, help="Required for any target except this machine."),
        click.option(
            "--rate", type=click.FloatRange(min=1), help="Requests a minute over all keys.  [default: 3000 at most]"
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0.1),
            default=10.0,
            show_default=True,
            help="Seconds between two bytes; a whole response, head included, may take three times as long.",
        ),
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("url")
@_target_options
@report_options
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    default=4000,
    show_default=True,
    help="Maximum number of requests.",
)
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0.01, max=24 * 60),
    default=8.0,
    show_default=True,
    help="Maximum duration of the run.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan (clauses, requests, writes, minutes) and send nothing.")
def server(
    url: str,
    target_file: Path | None,
    owned: bool,
    rate: float | None,
    timeout: float,
    cacert: Path | None,
    insecure: bool,
    wanted: str,
    seed: int | None,
    max_requests: int,
    max_minutes: float,
    dry_run: bool,
    reports: ReportOptions,
) -> None:
    """Test the server at URL against the contract, clause by clause.

    The run hands leads off and writes CRM records, a few hundred of each. The API cannot delete them. The records
    contain `vorel-conformance`, and the report lists them.
    """
    needs_extra()
    from rich.console import Console

    from vorel_conformance.http.target import ForbiddenError, TargetError, load
    from vorel_conformance.http.transport import SetupError
    from vorel_conformance.report import terminal
    from vorel_conformance.runs import plan
    from vorel_conformance.runs.accepted import AcceptedError
    from vorel_conformance.runs.server import run
    from vorel_conformance.spec import clauses

    trust = trust_of(cacert, insecure=insecure)
    names = names_of(wanted)
    try:
        selected = clauses.select(names)
        apply_accepted = reports.prepare(whole=not names)
    except (ValueError, OSError, AcceptedError) as error:
        stop(USAGE, str(error))
    options = plan.Options(
        seed=seed,
        max_requests=max_requests,
        time_limit=60 * max_minutes,
        rate=rate,
        clauses=names,
        timeout=timeout,
        trust=trust,
    )
    console = Console()
    signals = Signals()
    try:
        if not dry_run:
            signals.catch()
            reports.remove_old()
        target = load(url, target_file, owned=owned, trust=trust)
        _print_plan(plan.plan(target, options))
        if dry_run:
            return
        with terminal.Progress(console, clauses=len(selected)) as progress:
            found = run(target.base_url, target=target, options=options, on_event=progress)
    except (ForbiddenError, SetupError) as error:
        stop(USAGE, str(error))
    except TargetError as error:
        stop(NO_TARGET, redacted(str(error)))
    except KeyboardInterrupt as error:  # before the run, or for the second time
        stop(signals.exit_code, f"{error}; no report was written")
    except Exception as error:  # a bug of the kit: one line and an exit code of its own
        stop_with_our_fault(error)
    reports.finish(apply_accepted(found), console, signals)


def _print_plan(plan: Mapping[str, Any]) -> None:
    from vorel_conformance.report.model import number_of

    say(
        f"{plan['target']}: {number_of(plan['clauses'], 'clause')}, about {plan['requests']} requests "
        f"at {plan['rate']:g} a minute, up to {plan['writes']} writes, about {plan['minutes']:g} minutes."
    )
    missing = [f"for a verdict on all clauses, add to the target profile: {line}" for line in plan["missing"]]
    for line in [*plan["notes"], *missing]:
        say(f"  {line}")


@cli.command("clauses")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--for", "kind", type=click.Choice(["server", "client"]), default="server", show_default=True)
def list_clauses(as_json: bool, kind: str) -> None:
    """List the clauses. The levels are defined by the kit: the contract does not use these words."""
    from vorel_conformance.spec import clauses

    found = clauses.load(kind).values()
    if as_json:
        click.echo(json_format.dumps([vars(each) for each in found], indent=2, ensure_ascii=False))
        return
    width = max(len(each.id) for each in found)
    for each in found:
        click.echo(f"{each.id:{width}}  {each.level:8}  {each.title}")


@cli.command()
@click.argument("clause")
def explain(clause: str) -> None:
    """Explain one clause: quote of the contract, reason, method of the test, a passing and a failing example."""
    from vorel_conformance.spec import clauses
    from vorel_conformance.spec.unknown_name import unknown_name

    found = clauses.load_all().get(clause)
    if found is None:
        near = [each for each in clauses.load_all() if clause in each]
        if near:
            stop(USAGE, f"unknown clause {json_format.dumps(clause)}; did you mean {', '.join(near[:5])}?")
        stop(
            USAGE, f"{unknown_name('clause', clause, clauses.load_all())} (`vorel-conformance clauses` lists them all)"
        )
    click.echo(f"{found.id} ({found.level}): {found.title}\n")
    for title, text in (
        ("The contract", f"{found.quote}\n({found.document}{', ' * bool(found.pointer)}{found.pointer})"),
        ("Why", found.why),
        ("How it is tested", found.how),
        ("Passes", found.passing),
        ("Fails", found.failing),
    ):
        click.echo(f"{title}:")
        for line in text.splitlines():
            click.echo(textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="  ", break_long_words=False))
    click.echo("\nThe level is defined by the kit: the contract does not use these words.")


ADAPTERS = {"python": "adapter.py", "typescript": "adapter.mjs", "bash": "adapter.sh"}


@cli.command()
@click.argument("file", type=FILE, required=False)
@click.option("--client", "language", type=click.Choice(list(ADAPTERS)), help="Write an adapter for an integration.")
def init(file: Path | None, language: str | None) -> None:
    """Write a commented target profile to FILE (target.toml), or an adapter (adapter.py, adapter.mjs, adapter.sh)."""
    from vorel_conformance.http.target import TEMPLATE

    if language:
        name = ADAPTERS[language]
        file = file or Path(name)
        text = (Path(__file__).parents[1] / "adapters" / name).read_text(encoding="utf-8")
        then = f"Try it: vorel-conformance client -- {shlex.quote(str(file.absolute()))}"
    else:
        file = file or Path("target.toml")
        text, then = TEMPLATE, f"Fill it in, then: vorel-conformance server URL --target {file}"
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
        file.chmod(0o755 if language else 0o600)  # a profile will contain keys
    except FileExistsError:
        stop(USAGE, f"{file} exists already; nothing was written.")
    except OSError as error:
        stop(USAGE, f"{file}: cannot be written: {error.strerror}")
    click.echo(f"Wrote {file}. {then}")


@cli.command()
@click.argument("report", type=FILE)
@_target_options
def replay(
    report: Path,
    target_file: Path | None,
    owned: bool,
    rate: float | None,
    timeout: float,
    cacert: Path | None,
    insecure: bool,
) -> None:
    """Send the violations of a JSON REPORT again, each alone, to the server of the report.

    The keys of a target profile are sent to its base_url only, so the report must be of that server. Exit 1 if at least
    one violation is seen again, 3 if one could not be asked, 0 otherwise.
    """
    needs_extra()
    from vorel_conformance.http.redact import redactor
    from vorel_conformance.http.target import ForbiddenError, Target, TargetError, fetch
    from vorel_conformance.http.transport import SetupError
    from vorel_conformance.report.model import number_of
    from vorel_conformance.runs import replay as again
    from vorel_conformance.runs import report_file

    trust = trust_of(cacert, insecure=insecure)
    try:
        found = report_file.load(report)
        Target(found.target, (), agreed=True).permit(owned=owned)
        target = again.profile_for(found, target_file) if target_file else None
        say(f"Target: {found.target}, {number_of(len(found.items), 'violation')}.")
        if not found.items:
            return
        target = target or fetch(found.target, trust)
        target.permit(owned=owned)
        results = again.replay(found, target, rate=rate, timeout=timeout, trust=trust)
    except (report_file.ReportError, ForbiddenError, SetupError) as error:
        stop(USAGE, str(error))
    except TargetError as error:
        stop(NO_TARGET, redacted(str(error)))
    redact = redactor(target.secrets)
    for result in results:
        seen = (
            f"could not be asked: {result.unasked}"
            if result.unasked
            else f"seen again ({result.failed} of {result.of})"
            if result.failed
            else f"not seen again ({result.of} tries)"
        )
        say(redact(f"{result.clause}: {result.message}: {seen}"))
    if any(result.failed for result in results):
        raise SystemExit(FAILED)
    raise SystemExit(NO_TARGET if any(result.unasked for result in results) else PASSED)


def main() -> None:
    """Run the command line."""
    cli(prog_name="vorel-conformance")
