"""The numbers as tables (which are Markdown, so that a document can take them over) and as JSON."""

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
from bench.workload import ROOT, Operation


def show(results: list[Result], operations: list[Operation], console: Console) -> None:
    """Print the tables: speed for each operation, then start-up and memory."""
    console.print(_speed(results, operations))
    console.print(_footprint(results))


def soak_table(points: list[Point]) -> Table:
    """The memory of a soak, point by point."""
    table = _table("requests", "MiB", "errors")
    for point in points:
        table.add_row(str(point.requests), f"{point.rss:.1f}", str(point.errors))
    return table


def as_json(results: list[Result], operations: list[Operation], notes: list[str], **settings: object) -> dict[str, Any]:
    """Everything that was measured, round by round, and what it comes to."""
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
                "requests_per_second": {o.id: _rate(result, o.id) for o in operations if result.turns},
                "first_is_faster_by": {
                    o.id: asdict(found)
                    for o in operations
                    if first is not None and first is not result and (found := ratio(first, result, o.id))
                },
            }
            for result in results
        ],
    }


def machine() -> dict[str, str]:
    """What the numbers were measured on; the load average of the last minute holds the benchmark itself, 1 to 3."""
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


def _speed(results: list[Result], operations: list[Operation]) -> Table:
    table = _table(
        "operation, server", "requests/s", f"{results[0].program.title} is", "CPU µs", "p50 ms", "p99 ms", "errors"
    )
    for operation in operations:
        for result in results:
            table.add_row(*_speed_row(results[0], result, operation.id))
    return table


def _speed_row(first: Result, result: Result, operation: str) -> list[str]:
    name = f"{operation}, {result.program.title}"
    if not result.turns:
        return [name, "-", "-", "-", "-", "-", "failed"]
    found = None if result is first else ratio(first, result, operation)
    errors = result.errors(operation)
    cpu = [turn.cpu_us[operation] for turn in result.turns if operation in turn.cpu_us]
    return [
        name,
        f"{_rate(result, operation):.0f}",
        "" if found is None else _words(found),
        f"{median(cpu):.0f}" if cpu else "-",
        f"{result.middle(lambda turn: turn.loads[operation].p50_ms):.2f}",
        f"{result.middle(lambda turn: turn.loads[operation].p99_ms):.2f}",
        str(errors) if result.valid else f"{errors}, INVALID",
    ]


def _words(found: Ratio) -> str:
    return f"{found.median:.2f}x as fast ({found.least:.2f}-{found.most:.2f})"


def _rate(result: Result, operation: str) -> float:
    return result.middle(lambda turn: turn.loads[operation].rate)


def _footprint(results: list[Result]) -> Table:
    table = _table("server", "first answer s", "says it is ready s", "MiB after start", "MiB after load")
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
