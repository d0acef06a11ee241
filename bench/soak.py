"""Does memory stay flat? A long load on the mock, its resident memory at ten points."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import programs, wrk
from bench.programs import Program
from bench.workload import Operation

POINTS = 10
#: Seconds of one slice; the operations take turns slice by slice.
_SLICE = 1


@dataclass(frozen=True, slots=True)
class Point:
    """Resident memory (MiB) after so many requests; `errors` so far."""

    requests: int
    rss: float
    errors: int


def soak(
    program: Program,
    operations: list[Operation],
    *,
    requests: int,
    connections: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Point]:
    """Send at least `requests` requests; the memory before them and at `POINTS` points on the way."""
    with programs.running(program, folder) as server:
        points = [Point(0, server.rss(), 0)]
        sent = errors = slices = 0
        while sent < requests:
            operation = operations[slices % len(operations)]
            slices += 1
            load = wrk.run(server.port, operation, seconds=_SLICE, connections=connections, name=secrets.token_hex(4))
            if not load.requests:
                raise programs.Broken(f"{program.title} answers no more after {sent} requests")
            sent += load.requests
            errors += load.errors
            if sent * POINTS >= requests * len(points):
                points.append(Point(sent, server.rss(), errors))
                tell(f"{sent} requests: {points[-1].rss:.1f} MiB")
    return points
