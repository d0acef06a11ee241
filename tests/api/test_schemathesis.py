"""A stock schemathesis, with a valid key and lead ids that are known, finds nothing."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App


def test_schemathesis_finds_nothing(tmp_path: Path, serve: Callable[[App], str]) -> None:
    mock = Mock(Settings(seed=1, rate_limit=0, tenant_rate_limit=0))
    url = serve(App(mock))
    (tmp_path / "schemathesis.toml").write_text(f'[parameters]\n"path.id" = "{demo.lead_id(1, 1)}"\n')
    command = [sys.executable, "-c", "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"]
    command += ["run", f"{url}/_mock/contract.json", "--url", url, "--seed", "1", "--max-examples", "25"]
    command += ["--header", f"Authorization: Bearer {demo.token(1, 1, 1)}", "--no-color", "--checks", "all"]
    run = subprocess.run(
        command,
        cwd=tmp_path,  # a seed reproduces in a fresh folder only
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout
    # Green on evidence: each operation was served and refused, and the key was not the reason.
    seen = Counter(
        (exchange.operation.id, exchange.response.status)
        for exchange in mock.journal._by_id.values()
        if exchange.operation is not None and exchange.response is not None
    )
    for operation in ("handoffLead", "createCrmRecord"):
        assert seen[operation, 200] >= 10
        assert seen[operation, 400] >= 10
        assert seen[operation, 500] == 0
