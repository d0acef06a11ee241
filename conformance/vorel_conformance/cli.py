"""The command line: `vorel-conformance server URL` and what goes with it."""

from __future__ import annotations

import json as json_format
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vorel_conformance.target import Target

# What a pipeline can tell a run by.
PASSED, FAILED, USAGE, NO_TARGET, INCOMPLETE, OUR_FAULT = 0, 1, 2, 3, 4, 70
FILE = click.Path(dir_okay=False, path_type=Path)


def _needs_extra() -> None:
    """Say in one line what is missing, instead of a traceback of imports."""
    try:
        import openapi_core  # noqa: F401
        import schemathesis  # noqa: F401

        import vorel_conformance.report  # noqa: F401
    except ImportError as error:
        _stop(USAGE, f"{error.name} is not installed. Install the kit's own: pip install 'vorel-mock[conformance]'")


def _stop(code: int, message: str) -> NoReturn:
    click.echo(f"vorel-conformance: {message}", err=True)
    raise SystemExit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="vorel-mock", prog_name="vorel-conformance")
def cli() -> None:
    """Certify any server of the Vorel API, clause by clause.

    Exit codes: 0 nothing failed; 1 a MUST clause failed; 2 usage; 3 the target is not reachable, or its keys or leads
    are not valid; 4 clauses without a verdict, under --complete; 70 a fault of the kit itself.
    """


def _of_the_target(command: Any) -> Any:
    """The options that say what to test, common to `server` and `replay`."""
    for option in (
        click.option(
            "--target", "target_file", type=FILE, help="Target profile; without it URL/_mock/target is asked."
        ),
        click.option("--i-own-this-target", "owned", is_flag=True, help="Needed for any target but this machine."),
        click.option(
            "--rate", type=click.FloatRange(min=1), help="Requests a minute over all keys.  [default: 2400 at most]"
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0.1),
            default=10.0,
            show_default=True,
            help="Seconds to wait for an answer; three times as long for the whole of it.",
        ),
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("url")
@_of_the_target
@click.option("--clauses", "wanted", default="", help="Only these clauses or groups, with commas between them.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="The same seed sends the same requests.  [default: drawn]"
)
@click.option("--max-requests", type=click.IntRange(min=1), default=4000, show_default=True, help="Budget of the run.")
@click.option("--json", type=FILE, help="Write the report as JSON.")
@click.option("--junit", type=FILE, help="Write the report as JUnit XML, one case a clause.")
@click.option("--html", type=FILE, help="Write the report as one self-contained HTML page.")
@click.option("--sarif", type=FILE, help="Write the report as SARIF 2.1.0.")
@click.option(
    "--accepted", "accepted_file", type=FILE, help="Accepted failures: TOML with clause, reason, owner, expires."
)
@click.option("--complete", is_flag=True, help="Exit 4 when a clause is inconclusive.")
@click.option("--dry-run", is_flag=True, help="Show the plan - clauses, requests, writes, minutes - and send nothing.")
def server(
    url: str,
    target_file: Path | None,
    owned: bool,
    rate: float | None,
    timeout: float,
    wanted: str,
    seed: int | None,
    max_requests: int,
    json: Path | None,
    junit: Path | None,
    html: Path | None,
    sarif: Path | None,
    accepted_file: Path | None,
    complete: bool,
    dry_run: bool,
) -> None:
    """Test the server at URL and say, clause by clause, whether it keeps the contract.

    The run hands leads off and writes CRM records, a few hundred of each: this API has no delete. What it writes
    carries `vorel-conformance` and is listed in the report.
    """
    _needs_extra()
    from rich.console import Console

    from vorel_conformance import accepted, clauses, report, run
    from vorel_conformance.report import terminal
    from vorel_conformance.target import ForbiddenError, TargetError

    names = tuple(name.strip() for name in wanted.split(",") if name.strip())
    try:
        selected = clauses.select(names)
        exceptions = accepted.load(accepted_file) if accepted_file else ()
        report.check_writable(json, junit, html, sarif)
    except (ValueError, OSError, accepted.AcceptedError) as error:
        _stop(USAGE, str(error))
    options = run.Options(seed=seed, max_requests=max_requests, rate=rate, clauses=names, timeout=timeout)
    console = Console()
    try:
        target = _target(url, target_file, owned)
        plan = run.plan(target, options)
        _print_plan(plan, console)
        if dry_run:
            return
        with terminal.Progress(console, clauses=len(selected)) as progress:
            found = run.run(target.base_url, target=target, options=options, on_event=progress)
    except ForbiddenError as error:
        _stop(USAGE, str(error))
    except TargetError as error:
        _stop(NO_TARGET, _redacted(str(error)))
    except KeyboardInterrupt:
        _stop(130, "stopped; nothing was reported")
    except Exception as error:  # a bug of ours: told in one line, with the code that says so
        _stop(OUR_FAULT, _redacted(f"the kit failed: {type(error).__name__}: {error}. Please report it, with --seed."))
    if accepted_file:
        found = accepted.apply(found, exceptions, datetime.now(UTC).date())
    terminal.summary(found, console)
    try:
        report.write(found, json=json, junit=junit, html=html, sarif=sarif)
    except OSError as error:
        _stop(USAGE, str(error))
    raise SystemExit(exit_code(found, complete=complete))


def exit_code(found: Mapping[str, Any], *, complete: bool) -> int:
    """What a report comes to."""
    if found["verdict"] in ("failed", "error"):
        return FAILED if found["verdict"] == "failed" else OUR_FAULT
    inconclusive = any(each["status"] == "inconclusive" for each in found["clauses"])
    return INCOMPLETE if inconclusive and complete else PASSED


def _target(url: str, target_file: Path | None, owned: bool) -> Target:
    """The target. TargetError when there is none, or ForbiddenError when it may not be tested."""
    from vorel_conformance.target import Target, check_url, fetch, from_file

    base_url = check_url(url)
    if target_file is None:
        Target(base_url, ()).permit(owned=owned)  # before anything is sent there
        return fetch(base_url)
    found = from_file(target_file, base_url)
    found.permit(owned=owned)
    return found


def _redacted(text: str) -> str:
    from vorel_conformance.report.redact import redactor

    return redactor()(text)


def _print_plan(plan: Mapping[str, Any], console: Any) -> None:
    from vorel_conformance.report.model import number_of

    console.print(
        f"{plan['target']}: {number_of(plan['clauses'], 'clause')}, about {plan['requests']} requests "
        f"at {plan['rate']:g} a minute, up to {plan['writes']} writes, about {plan['minutes']:g} minutes.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for line in plan["missing"]:
        console.print(
            f"  some clauses stay without a verdict; add {line}", highlight=False, markup=False, soft_wrap=True
        )


@cli.command("clauses")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_clauses(as_json: bool) -> None:
    """List the clauses. The levels are the kit's own: the contract uses no such words."""
    from vorel_conformance import clauses

    found = clauses.load().values()
    if as_json:
        click.echo(json_format.dumps([vars(each) for each in found], indent=2, ensure_ascii=False))
        return
    width = max(len(each.id) for each in found)
    for each in found:
        click.echo(f"{each.id:{width}}  {each.level:8}  {each.title}")


@cli.command()
@click.argument("clause")
def explain(clause: str) -> None:
    """Tell one clause whole: the contract's words, why, how it is tested, a passing and a failing example."""
    from vorel_conformance import clauses

    found = clauses.load().get(clause)
    if found is None:
        near = [each for each in clauses.load() if clause in each]
        _stop(
            USAGE, f"no clause {clause!r}." + (f" Did you mean {', '.join(near[:5])}?" if near else " See `clauses`.")
        )
    click.echo(f"{found.id} ({found.level}): {found.title}\n")
    for title, text in (
        ("The contract", f"{found.quote}\n(openapi.json, {found.pointer})"),
        ("Why", found.why),
        ("How it is tested", found.how),
        ("Passes", found.passing),
        ("Fails", found.failing),
    ):
        click.echo(f"{title}:")
        for line in text.splitlines():
            click.echo(textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="  ", break_long_words=False))
    click.echo("\nThe level is the kit's own: the contract uses no such words.")


@cli.command()
@click.argument("file", type=FILE, default="target.toml")
def init(file: Path) -> None:
    """Write a commented target profile to FILE (target.toml)."""
    from vorel_conformance.target import TEMPLATE

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(TEMPLATE)
        file.chmod(0o600)  # it will hold keys
    except FileExistsError:
        _stop(USAGE, f"{file} is there already; nothing was written.")
    except OSError as error:
        _stop(USAGE, f"{file}: cannot be written: {error.strerror}")
    click.echo(f"Wrote {file}. Fill it in, then: vorel-conformance server URL --target {file}")


@cli.command()
@click.argument("report", type=FILE)
@_of_the_target
def replay(report: Path, target_file: Path | None, owned: bool, rate: float | None, timeout: float) -> None:
    """Send the breaches of a JSON REPORT again, alone, to the server that it is about.

    Exit 1 when one of them still shows, 0 when none does.
    """
    _needs_extra()
    from vorel_conformance import replay as again
    from vorel_conformance.target import ForbiddenError, TargetError

    try:
        found = again.load(report)
        target = _target(found["target"], target_file, owned)
        results = again.replay(found, target, rate=rate, timeout=timeout)
    except again.ReportError as error:
        _stop(USAGE, str(error))
    except ForbiddenError as error:
        _stop(USAGE, str(error))
    except TargetError as error:
        _stop(NO_TARGET, _redacted(str(error)))
    if not results:
        click.echo("The report has no breaches.")
    for result in results:
        seen = f"shows again ({result.failed} of {result.of})" if result.failed else f"is gone ({result.of} tries)"
        click.echo(_redacted(f"{result.clause}: {result.message}: {seen}"))
    raise SystemExit(FAILED if any(result.failed for result in results) else PASSED)


def main() -> None:
    """The entry point of the command."""
    cli(prog_name="vorel-conformance")
