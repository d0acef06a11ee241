"""A mock in a process of its own, as a user starts it."""

import re
import signal
import subprocess
import sys
from typing import Any

import httpx

from vorel_mock.mock import demo

HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
KEY = demo.token(1, 1, 2)
TENANT = "00000001-7e4a-4000-8000-000000000000"


def plain(line: str) -> str:
    """Return a line of the log without what differs from run to run: the real time (M41), and durations."""
    line = re.sub(r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z ", "TIME ", line)
    return re.sub(r"[0-9]+[.][0-9] ms", "0.1 ms", line)


class Started:
    """A mock in a process of its own, and what it says."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        # Unbuffered: what is read here by line is not to be missed by `communicate`.
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **options}
        self.process = subprocess.Popen([sys.executable, "-m", "vorel_mock", "--port", "0", *arguments], **pipes)
        self.lines: list[str] = []
        self.url = ""

    def ready(self) -> "Started":
        """Read the banner."""
        assert self.process.stdout is not None
        while not self.lines or "eady" not in self.lines[-1]:
            line = self.process.stdout.readline().decode()
            assert line, f"no banner: {self.lines}"
            self.lines.append(line.removesuffix("\n"))
        found = re.search(r"http://[0-9.:\[\]]+", self.lines[0])
        assert found
        self.url = found[0]
        return self

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    def post(self, path: str = HANDOFF, key: str = KEY) -> httpx.Response:
        return httpx.post(self.url + path, json={}, headers={"Authorization": f"Bearer {key}"}, trust_env=False)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Exit code, the rest of stdout, stderr. Three seconds are given, and some for a busy machine."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=3 + 5)
        return self.process.returncode, (out or b"").decode(), (err or b"").decode()
