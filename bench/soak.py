"""A long load on the mock, with its resident memory at ten points."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import programs, wrk
from bench.programs import Program
from bench.workload import Case

POINTS = 10
#: Seconds of one slice. The cases take turns, slice by slice.
_SLICE = 1


@dataclass(frozen=True, slots=True)
class Point:
    """Resident memory (MiB) and the count of errors after a number of requests."""

    requests: int
    rss: float
    errors: int


def soak(
    program: Program,
    cases: list[Case],
    *,
    requests: int,
    connections: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Point]:
    """Send at least `requests` requests. Returns the memory before them and at `POINTS` points on the way."""
    with programs.running(program, folder) as server:
        points = [Point(0, server.rss(), 0)]
        sent = errors = slices = 0
        while sent < requests:
            case = cases[slices % len(cases)]
            slices += 1
            load = wrk.run(server.port, case, seconds=_SLICE, connections=connections, name=secrets.token_hex(4))
            if not load.requests:
                raise programs.Broken(f"{program.title} stopped answering after {sent} requests")
            sent += load.requests
            errors += load.errors
            if sent * POINTS >= requests * len(points):
                points.append(Point(sent, server.rss(), errors))
                tell(f"{sent} requests: {points[-1].rss:.1f} MiB")
    return points
