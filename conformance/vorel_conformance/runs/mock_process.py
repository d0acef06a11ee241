"""The mock as a process: started on a free port, ended by its id."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from vorel_conformance.http.mock_control import HOW_TO_GET_ONE, MockError

_START_S = 60.0
_URL = re.compile(r"^vorel-mock \S+ at (http://\S+)$", re.MULTILINE)


@contextlib.contextmanager
def started(seed: int) -> Iterator[str]:
    """Start a mock, yield its base URL, and end it. Raises MockError if it does not start."""
    if importlib.util.find_spec("vorel_mock") is None:
        raise MockError(f"vorel-mock is not installed beside the kit. {HOW_TO_GET_ONE}, or use --mock URL")
    command = [sys.executable, "-m", "vorel_mock", "serve", "--host", "127.0.0.1", "--port", "0", "--seed", str(seed)]
    # Its settings are ours: neither variables nor a file of the current folder change what is judged.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VOREL_MOCK_")}
    with (
        tempfile.TemporaryDirectory(prefix="vorel-conformance-") as folder,
        tempfile.TemporaryFile() as output,
        subprocess.Popen(  # noqa: S603 - our own module, no shell
            [*command, "--log-level", "warning", "--end-with-stdin"],
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends, however that is
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            cwd=folder,
            start_new_session=True,  # Ctrl-C ends the run; the run ends the mock
        ) as process,
    ):
        try:
            yield _base_url(process, output)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _base_url(process: subprocess.Popen[bytes], output: object) -> str:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        output.seek(0)  # type: ignore[attr-defined]  # a temporary file, whose type is private
        text = output.read().decode("utf-8", "replace")  # type: ignore[attr-defined]
        found = _URL.search(text)
        if found and "Ready." in text:
            return found[1]
        if process.poll() is not None:
            raise MockError(f"the mock did not start (exit status {process.returncode}): {text.strip()[-500:]}")
        time.sleep(0.05)
    raise MockError(f"the mock was not ready within {_START_S:g} s")
