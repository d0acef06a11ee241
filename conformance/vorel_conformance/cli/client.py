"""The command `vorel-conformance client`: certify an integration."""

from __future__ import annotations

from typing import Any

import click

from vorel_conformance.cli.common import (
    NO_TARGET,
    USAGE,
    ReportOptions,
    Signals,
    names_of,
    needs_extra,
    redacted,
    report_options,
    stop,
    stop_with_our_fault,
)

_DOES = ("handoff", "crm", "webhooks")


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARG...]")
@click.option("--trigger", metavar="URL", help="Give the tasks to a running service: POST to URL.")
@click.option("--does", default=None, help="What the integration does: handoff, crm, webhooks.  [default: handoff,crm]")
@click.option("--situation", metavar="NAME", help="Only this situation; --list shows their names.")
@click.option("--list", "list_them", is_flag=True, help="List situations and clauses, and do nothing else.")
@click.option("--jobs", type=click.IntRange(1, 32), default=4, show_default=True, help="Situations side by side.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.5),
    default=60.0,
    show_default=True,
    help="Seconds for one start of the command, or one answer of the service.",
)
@click.option("--mock", metavar="URL", help="Use this mock.  [default: start one]")
@click.option("--mock-token", envvar="VOREL_MOCK_CONTROL_TOKEN", help="Control token of that mock.", show_envvar=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the API.  [default: a free one]")
@click.option("--api-key", metavar="KEY", help="Key that the integration has.  [default: one of its own each time]")
@report_options
def client(
    command: tuple[str, ...],
    trigger: str | None,
    does: str | None,
    situation: str | None,
    list_them: bool,
    jobs: int,
    timeout: float,
    mock: str | None,
    mock_token: str | None,
    port: int,
    api_key: str | None,
    wanted: str,
    seed: int | None,
    reports: ReportOptions,
) -> None:
    """Certify an integration: put it into situations, and judge what it does, clause by clause.

    CMD is started for each situation, with VOREL_BASE_URL and VOREL_API_KEY in its environment and its tasks on stdin.
    It prints one line of JSON for each task: docs/integration.md.
    """
    needs_extra()
    from rich.console import Console

    from vorel_conformance.http.mock_control import MockError
    from vorel_conformance.report import client_entries, terminal
    from vorel_conformance.runs import client as runs
    from vorel_conformance.runs.accepted import AcceptedError
    from vorel_conformance.runs.integration import Command, Door, StartError, Trigger
    from vorel_conformance.spec import clauses

    if list_them:
        _list()
        return
    names = names_of(wanted)
    try:
        selected = clauses.select(names, clauses.CLIENT)
        apply_accepted = reports.prepare()
        kinds = runs.kinds_of(names_of(does or "handoff,crm"))
        runs.check_situation(situation, kinds)
    except (ValueError, OSError, AcceptedError) as error:
        stop(USAGE, str(error))
    door: Door
    if command and trigger:
        stop(USAGE, "give either -- CMD or --trigger URL, not both")
    if trigger:
        if not port or not api_key:
            stop(USAGE, "--trigger needs --port and --api-key: a running service cannot be told where the API is")
        door = Trigger(trigger, timeout)
    elif command:
        door = Command(command, timeout)
    else:
        stop(USAGE, "what is to be certified? For example: vorel-conformance client -- python3 adapter.py")
    options = runs.Options(
        does=kinds,
        clauses=names,
        situation=situation,
        seed=seed,
        jobs=jobs,
        timeout=timeout,
        mock=mock,
        mock_token=mock_token,
        port=port,
        api_key=api_key,
    )
    console = Console()
    signals = Signals()
    try:
        signals.catch()
        reports.remove_old()
        with terminal.Progress(console, clauses=len(selected)) as progress:
            session = runs.run(door, options, _Told(console, progress))
        found = client_entries.report_of(session)
    except (StartError, MockError) as error:
        stop(NO_TARGET, redacted(str(error)))
    except ValueError as error:
        stop(USAGE, redacted(str(error)))
    except KeyboardInterrupt as error:
        stop(signals.exit_code, f"{error}; no report was written")
    except Exception as error:
        stop_with_our_fault(error)
    reports.finish(apply_accepted(found), console, signals)


class _Told:
    """Prints one line for each situation, and drives the progress bar."""

    def __init__(self, console: Any, progress: Any) -> None:
        self._console = console
        self._progress = progress
        self._about: dict[str, str] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "situation":
                self._about[event["name"]] = event["about"]
                self._progress({"event": "phase", "name": event["name"]})
            case "situation-done":
                failed = ", ".join(event["failed"])
                line = f"{'✗' if failed else '✓'} {event['name']}: {self._about.get(event['name'], '')}"
                self._print(f"{line} {failed}" if failed else line)
            case _:
                self._progress(event)

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _list() -> None:
    from vorel_conformance.spec import clauses
    from vorel_conformance.suite.client import situations

    found = situations.load().values()
    width = max(len(each.name) for each in found)
    for each in found:
        click.echo(f"{each.name:{width}}  {each.about}")
    click.echo()
    known = clauses.load(clauses.CLIENT).values()
    width = max(len(each.id) for each in known)
    for clause in known:
        click.echo(f"{clause.id:{width}}  {clause.level:8}  {clause.title}")
