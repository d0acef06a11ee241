"""The load generator."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.workload import KEY, Operation

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. `errors`: sockets refused, broken or silent for 2 s, and answers that are not 2xx or 3xx."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class WrkFailed(Exception):
    """wrk did not get as far as a result."""


def available() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def run(port: int, operation: Operation, *, seconds: int, connections: int, name: str) -> Load:
    """Load one operation for `seconds` from one thread. `name` makes the requests unlike those of any other run."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{port}{operation.path}", "--", KEY, operation.body, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise WrkFailed(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return Load(**json.loads(lines[-1]))
