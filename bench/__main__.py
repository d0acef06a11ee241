"""`python -m bench`: see docs/bench.md."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import programs, report, rounds, soak, wrk
from bench.programs import Program
from bench.targets import OURS
from bench.workload import ROOT, BadAnswer, cases

_MAKERS = {
    OURS: lambda: programs.ours(ROOT),
    "file": programs.in_file,
    "redis": lambda: programs.in_redis(1),
    "redis-2": lambda: programs.in_redis(2),
    "bare": programs.bare,
    "prism": programs.prism,
    "wiremock": programs.wiremock,
}
#: The mock with its state elsewhere: measured when asked for (docs/scale.md).
STATES = ("file", "redis", "redis-2")


class Names(click.ParamType[list[str]]):
    """A list of peers, such as ours,prism."""

    name = ",".join(_MAKERS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Check each name."""
        names: list[str] = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
        for name in names:
            if name not in _MAKERS:
                self.fail(f"unknown peer {name!r}; the peers are {', '.join(_MAKERS)}", param, ctx)
        return list(dict.fromkeys(names))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--peers", type=Names(), help="Programs that take part. The first is compared with the others.  [default: all]"
)
@click.option("--rounds", "count", default=5, show_default=True, type=click.IntRange(1), help="Turns of each program.")
@click.option("--seconds", default=5, show_default=True, type=click.IntRange(1), help="Load on each kind of request.")
@click.option("--warm-up", default=5, show_default=True, type=click.IntRange(0), help="Load that does not count.")
@click.option("--connections", default=8, show_default=True, type=click.IntRange(1), help="Connections of wrk.")
@click.option("--against", metavar="REF", help="Compare with the mock of another git commit, branch or tag.")
@click.option(
    "--memory",
    type=click.IntRange(100_000, 1_000_000),
    help="Send this many requests to the mock instead, and watch its memory.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="File for all numbers.")
def main(
    peers: list[str] | None,
    count: int,
    seconds: int,
    warm_up: int,
    connections: int,
    against: str | None,
    memory: int | None,
    json_file: Path | None,
) -> None:
    """Run the mock and its peers in turn on loopback, and compare them. docs/bench.md explains the numbers."""
    if not wrk.available():
        raise click.ClickException(
            "`wrk`, which makes the load, is not installed: apt install wrk, or brew install wrk"
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=160, highlight=False)  # in a file, rows may be long

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vorel-bench-")))
        if memory is not None:
            found, valid = _soak(memory, connections, folder, console)
        else:
            names = peers or ([OURS] if against else [name for name in _MAKERS if name not in STATES])
            if against is not None:
                names = [OURS, *(name for name in names if name != OURS)]
            candidates, notes = _candidates(names)
            if against is not None:
                tree = stack.enter_context(_checkout(against, folder / "tree"))
                candidates.insert(1, programs.ours(tree, "against", f"vorel-mock at {against}"))
            if not candidates:
                raise click.ClickException("no program is left to measure. " + " ".join(notes))
            results = rounds.measure(
                candidates,
                cases(),
                rounds=count,
                seconds=seconds,
                warm_up=warm_up,
                connections=connections,
                folder=folder,
                tell=_tell,
            )
            notes += [result.problem for result in results if result.problem is not None]
            valid = all(result.valid for result in results)
            report.show(results, cases(), console)
            for note in notes:
                console.print(f"Note: {note}", markup=False, soft_wrap=True)
            found = report.as_json(
                results, cases(), notes, rounds=count, seconds=seconds, warm_up=warm_up, connections=connections
            )
    machine = ", ".join(f"{name}: {value}" for name, value in report.machine().items())
    console.print(machine, markup=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    if not valid:
        click.echo("Error: some requests did not get the expected response, so the numbers are not valid.", err=True)
        sys.exit(1)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _candidates(names: list[str]) -> tuple[list[Program], list[str]]:
    """Return the programs that can take part, and a note for each that cannot."""
    found, notes = [], []
    for name in names:
        try:
            found.append(_MAKERS[name]())
        except programs.Unavailable as why:
            notes.append(f"{name} is left out: {why}")
    return found, notes


@contextlib.contextmanager
def _checkout(ref: str, folder: Path) -> Iterator[Path]:
    """Check out another commit of this project, and remove the checkout afterwards."""
    git = ["git", "-C", str(ROOT), "worktree"]
    added = subprocess.run(
        [*git, "add", "--quiet", "--detach", str(folder), ref], capture_output=True, text=True, check=False
    )
    if added.returncode:
        raise click.UsageError(f"--against {ref}: git cannot check it out: {added.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], capture_output=True, check=False)


def _soak(requests: int, connections: int, folder: Path, console: Console) -> tuple[dict[str, Any], bool]:
    """Run the soak and print it. Returns its numbers, and whether they are valid."""
    try:
        points = soak.soak(
            programs.ours(ROOT),
            cases(),
            requests=requests,
            connections=connections,
            folder=folder,
            tell=_tell,
        )
    except (programs.Broken, BadAnswer, wrk.WrkFailed) as problem:
        raise click.ClickException(str(problem)) from None
    console.print(report.soak_table(points))
    return {"machine": report.machine(), "points": [asdict(point) for point in points]}, not points[-1].errors


if __name__ == "__main__":
    main(prog_name="python -m bench")
