"""The command `vorel-conformance client`: certify an integration."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
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
    trust_of,
    trust_options,
)


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARG...]")
@click.option("--trigger", metavar="URL", help="Give the tasks to a running service: POST to URL.")
@click.option("--watch", metavar="DURATION", help="Drive nothing: judge what comes by, for example for 10m.")
@click.option(
    "--har", type=click.Path(path_type=Path), metavar="FILE", help="Judge traffic that was recorded elsewhere."
)
@click.option("--receiver", metavar="URL", help="Certify the webhook receiver that runs at URL.")
@click.option("--receiver-command", metavar="CMD", help="Start this webhook receiver: it listens on PORT.")
@click.option("--receiver-path", metavar="PATH", default="/", show_default=True, help="Path of a started receiver.")
@click.option("--webhook-secret", metavar="SECRET", help="Secret of the subscription.  [default: one of our own]")
@click.option("--effects", metavar="URL", help="Where the receiver tells what it has acted upon.")
@click.option(
    "--does",
    default=None,
    help="What the integration does: handoff, crm, webhooks.  [default: what can be asked of it]",
)
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
@trust_options
@report_options
def client(
    command: tuple[str, ...],
    trigger: str | None,
    watch: str | None,
    har: Path | None,
    receiver: str | None,
    receiver_command: str | None,
    receiver_path: str,
    webhook_secret: str | None,
    effects: str | None,
    does: str | None,
    situation: str | None,
    list_them: bool,
    jobs: int,
    timeout: float,
    mock: str | None,
    mock_token: str | None,
    port: int,
    api_key: str | None,
    cacert: Path | None,
    insecure: bool,
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

    from vorel_conformance.http.har import HarError
    from vorel_conformance.http.mock_control import MockError
    from vorel_conformance.http.transport import SetupError
    from vorel_conformance.report import client_entries, terminal
    from vorel_conformance.runs import client as runs
    from vorel_conformance.runs import client_options
    from vorel_conformance.runs.accepted import AcceptedError
    from vorel_conformance.runs.integration import StartError

    if list_them:
        _list()
        return
    names = names_of(wanted)
    trust = trust_of(cacert, insecure=insecure)
    hook = None
    try:
        if receiver or receiver_command:
            hook = _receiver(receiver, receiver_command, receiver_path, webhook_secret, effects, trust)
        seconds = _seconds(watch) if watch else 0.0
        if sum(map(bool, (command, trigger, watch, har))) > 1:
            raise ValueError("give one of -- CMD, --trigger, --watch and --har")
        asked = [*(("handoff", "crm") if command or trigger or watch or har else ()), *(("webhooks",) if hook else ())]
        known = client_options.check_does(names_of(does) if does else asked)
        if does and (missing := known - set(asked)):
            raise ValueError(f"--does {', '.join(sorted(missing))}: {_HOW[sorted(missing)[0]]}")
        selected = client_options.select(names, known)
        client_options.check_situation(situation, known)
        apply_accepted = reports.prepare(whole=not names and not situation)
        door = _door(command, trigger, timeout, port, api_key, trust)
    except (ValueError, OSError, AcceptedError) as error:
        stop(USAGE, str(error))
    if not asked:
        stop(USAGE, "what is to be certified? For example: vorel-conformance client -- python3 adapter.py")
    options = client_options.Options(
        does=known,
        clauses=names,
        situation=situation,
        seed=seed,
        jobs=jobs,
        timeout=timeout,
        mock=mock,
        mock_token=mock_token,
        port=port,
        api_key=api_key,
        receiver=hook,
    )
    console = Console()
    signals = Signals()
    try:
        signals.catch()
        reports.remove_old()
        with terminal.Progress(console, clauses=len(selected)) as progress:
            told = _Told(console, progress)
            if har:
                session = runs.judge_har(har, options, told)
            elif watch:
                session = runs.watch(options, seconds, told)
                signals.exit_code = 0  # Ctrl-C is how a watch ends
            else:
                session = runs.run(door, options, told)
        found = client_entries.report_of(session)
        if any(trust.of(url or "").insecure for url in (receiver, trigger)):
            found["unverified"] = True
    except (StartError, MockError) as error:
        stop(NO_TARGET, redacted(str(error)))
    except (ValueError, HarError, SetupError) as error:
        stop(USAGE, redacted(str(error)))
    except KeyboardInterrupt as error:
        stop(signals.exit_code, f"{error}; no report was written")
    except Exception as error:
        stop_with_our_fault(error)
    reports.finish(apply_accepted(found), console, signals)


_HOW = {
    "handoff": "tasks are given to a command (-- CMD) or a service (--trigger URL)",
    "crm": "tasks are given to a command (-- CMD) or a service (--trigger URL)",
    "webhooks": "needs --receiver URL or --receiver-command CMD",
}


def _door(
    command: tuple[str, ...], trigger: str | None, timeout: float, port: int, api_key: str | None, trust: Any
) -> Any:
    """Return how tasks are given, or None. Raises ValueError if the options contradict each other."""
    from vorel_conformance.http import urls
    from vorel_conformance.runs.integration import Command, Trigger

    if command:
        return Command(command, timeout)
    if trigger is None:
        return None
    if not port or not api_key:
        raise ValueError("--trigger needs --port and --api-key: a running service cannot be told where the API is")
    urls.base(trigger.partition("?")[0])
    return Trigger(trigger, timeout, trust.of(trigger))


_DURATION = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>s|m|h|)")


def _seconds(text: str) -> float:
    """Return the seconds of a duration. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    seconds = float(found["number"]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found["unit"]] if found else 0.0
    if not 0 < seconds <= 86_400:
        raise ValueError(f"--watch: {text!r} is no duration; use one like 90s, 10m or 2h, at most 24h")
    return seconds


def _receiver(
    url: str | None, command: str | None, path: str, secret: str | None, effects: str | None, trust: Any
) -> Any:
    """Return the options for a webhook receiver. Raises ValueError if they contradict each other."""
    from vorel_conformance.http import urls
    from vorel_conformance.runs.client_options import ReceiverOptions

    if url and command:
        raise ValueError("give either --receiver URL or --receiver-command CMD, not both")
    if url and not secret:
        raise ValueError("--receiver needs --webhook-secret: without it no delivery can be signed")
    for name, each in (("--receiver", url), ("--effects", effects)):
        if each:
            try:
                urls.base(each.partition("?")[0])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
    if not path.startswith("/"):
        raise ValueError("--receiver-path: begins with a slash")
    try:
        argv = tuple(shlex.split(command or ""))
    except ValueError as error:
        raise ValueError(f"--receiver-command: {error}") from error
    return ReceiverOptions(url or "", argv, secret or "", effects or "", path, trust.of(url or ""))


class _Told:
    """Prints one line for each situation, and drives the progress bar."""

    def __init__(self, console: Any, progress: Any) -> None:
        self._console = console
        self._progress = progress
        self._about: dict[str, str] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "watching":
                self._print(f"VOREL_BASE_URL={event['base_url']}")
                self._print(f"VOREL_API_KEY={event['key']}")
                self._print(f"Leads: {' '.join(event['leads'])}")
                self._print(event["about"])
                self._print("Use the integration now. Ctrl-C ends the watch, and judges what came by.")
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
    from vorel_conformance.suite.client import deliveries, situations

    found = {each.name: each.about for each in situations.load().values()}
    found |= {each.name: each.about for each in deliveries.load(0, "")}
    width = max(map(len, found))
    for name, about in found.items():
        click.echo(f"{name:{width}}  {about}")
    click.echo()
    known = clauses.load(clauses.CLIENT).values()
    width = max(len(each.id) for each in known)
    for clause in known:
        click.echo(f"{clause.id:{width}}  {clause.level:8}  {clause.title}")
