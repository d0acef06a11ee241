"""Run the kit against the project's own mock, as tox and CI do.

`python conformance/against_mock.py [OPTIONS]`, with the options of `vorel-conformance server`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
START_S = 30


def main(options: list[str]) -> int:
    """Start a mock on a free port, certify it, stop it. Returns the exit code of the kit."""
    mock = subprocess.Popen(  # noqa: S603 - our own program, beside this interpreter
        [str(BIN / "vorel-mock"), "serve", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = base_url(mock)
        return subprocess.run(  # noqa: S603 - as above
            [str(BIN / "vorel-conformance"), "server", url, "--complete", *options], check=False
        ).returncode
    finally:
        mock.terminate()
        mock.wait(START_S)


def base_url(mock: subprocess.Popen[str]) -> str:
    """Return the base URL that the mock prints. Waits until the mock is ready."""
    assert mock.stdout is not None, "started with a pipe"
    url = ""
    for line in mock.stdout:
        found = re.search(r"https?://[\w.:-]+", line)
        url = url or (found.group(0) if found else "")
        if line.strip() == "Ready.":
            break
    if not url:
        raise SystemExit(f"the mock did not start (exit code {mock.poll()})")
    return url


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
