"""The numbers as tables in Markdown, for docs/bench.md, and as JSON."""

import os
import platform
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

from bench.rounds import Ratio, Result, ratio
from bench.soak import Point
from bench.targets import checklist
from bench.workload import ROOT, Case


def show(results: list[Result], cases: list[Case], console: Console) -> None:
    """Print the tables: the speed of each case, start-up and memory, the targets."""
    console.print(_speed(results, cases))
    console.print(_footprint(results))
    if checks := checklist(results):
        table = _table("target", "measured", "")
        for check in checks:
            reached = {None: "not measured", True: "reached", False: "NOT reached"}[check.reached]
            table.add_row(check.target, check.measured or "-", reached)
        console.print(table)


def soak_table(points: list[Point]) -> Table:
    """Return the memory of a soak as a table."""
    table = _table("requests", "MiB", "errors")
    for point in points:
        table.add_row(str(point.requests), f"{point.rss:.1f}", str(point.errors))
    return table


def as_json(results: list[Result], cases: list[Case], notes: list[str], **settings: object) -> dict[str, Any]:
    """Return all numbers of all rounds, with their medians and ratios."""
    first = results[0] if results else None
    return {
        "machine": machine(),
        "settings": settings,
        "notes": notes,
        "results": [
            {
                "name": result.program.name,
                "title": result.program.title,
                "valid": result.valid,
                "problem": result.problem,
                "rounds": [asdict(turn) for turn in result.turns],
                "requests_per_second": {c.id: _rate(result, c.id) for c in cases if result.measured(c.id)},
                "first_is_faster_by": {
                    c.id: asdict(found)
                    for c in cases
                    if first is not None and first is not result and (found := ratio(first, result, c.id))
                },
            }
            for result in results
        ],
        "targets": [asdict(check) for check in checklist(results)],
    }


def machine() -> dict[str, str]:
    """Return the machine and the versions. The benchmark itself is 1 to 3 of the load average."""
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu(),
        "load average": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "vorel-mock": _first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "node": _first_line(["node", "--version"]),
        "java": _first_line(["java", "-version"]),
        "wrk": _first_line(["wrk", "--version"]).split(" Copyright")[0],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _first_line(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return (done.stdout or done.stderr).strip().partition("\n")[0] or "unknown"


def _table(*columns: str) -> Table:
    table = Table(box=rich.box.MARKDOWN)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _speed(results: list[Result], cases: list[Case]) -> Table:
    table = _table(
        "request, server", "requests/s", f"{results[0].program.title} is", "CPU µs", "p50 ms", "p99 ms", "errors"
    )
    for case in cases:
        for result in results:
            table.add_row(*_speed_row(results[0], result, case.id))
    return table


def _speed_row(first: Result, result: Result, case: str) -> list[str]:
    name = f"{case}, {result.program.title}"
    if not result.measured(case):
        return [name, "-", "-", "-", "-", "-", "-" if result.turns else "failed"]
    found = None if result is first else ratio(first, result, case)
    errors = result.errors(case)
    cpu = [turn.cpu_us[case] for turn in result.turns if case in turn.cpu_us]
    return [
        name,
        f"{_rate(result, case):.0f}",
        "" if found is None else _words(found),
        f"{median(cpu):.0f}" if cpu else "-",
        f"{result.middle(lambda turn: turn.loads[case].p50_ms):.2f}",
        f"{result.middle(lambda turn: turn.loads[case].p99_ms):.2f}",
        str(errors) if result.valid else f"{errors}, INVALID",
    ]


def _words(found: Ratio) -> str:
    return f"{found.median:.2f}x as fast ({found.least:.2f}-{found.most:.2f})"


def _rate(result: Result, case: str) -> float:
    return result.middle(lambda turn: turn.loads[case].rate)


def _footprint(results: list[Result]) -> Table:
    table = _table("server", "first answer s", "ready s", "MiB after start", "MiB after load")
    for result in results:
        if result.turns:
            table.add_row(
                result.program.title,
                f"{result.middle(lambda turn: turn.first_answer):.2f}",
                _said(result),
                f"{result.middle(lambda turn: turn.rss_start):.0f}",
                f"{result.middle(lambda turn: turn.rss_end):.0f}",
            )
    return table


def _said(result: Result) -> str:
    times = [turn.said for turn in result.turns if turn.said is not None]
    return f"{median(times):.2f}" if times else "-"
