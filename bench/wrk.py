"""The load generator."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.workload import KEY, Case

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw of one case."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    """Sockets that were refused, broken or silent for 2 s, and responses with an unexpected status."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class WrkFailed(Exception):
    """wrk ended without a result."""


def available() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def run(port: int, case: Case, *, seconds: int, connections: int, name: str) -> Load:
    """Load one case for `seconds` from one thread. `name` makes the requests differ from those of any other run."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{port}{case.path}", "--", KEY, case.body, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise WrkFailed(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return load(case, **json.loads(lines[-1]))


def load(
    case: Case, *, requests: int, seconds: float, p50_ms: float, p99_ms: float, rejected: int, failed: int
) -> Load:
    """Judge a summary of requests.lua: `rejected` responses have status 400 or above, `failed` sockets had none."""
    unexpected = rejected if case.valid else requests - rejected
    return Load(requests, seconds, p50_ms, p99_ms, failed + unexpected)
