"""The benchmark measures: it yields numbers without errors. How large they are is no matter of a test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def bench(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", *args],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk, which makes the load, is not installed")
def test_ours_alone(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    done = bench("--peers", "ours", "--rounds", "1", "--seconds", "1", "--connections", "2", "--json", str(file))
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(file.read_text("utf-8"))["results"]
    assert result["valid"]
    (turn,) = result["rounds"]
    assert turn["said"] > 0
    assert turn["first_answer"] > 0
    assert turn["rss_start"] > 1
    assert turn["rss_end"] > 1
    assert all(microseconds > 0 for microseconds in turn["cpu_us"].values())
    assert set(turn["loads"]) == {"handoffLead", "createCrmRecord"}
    for operation, load in turn["loads"].items():
        assert load["errors"] == 0
        assert load["requests"] > 0
        assert 0 < load["p50_ms"] <= load["p99_ms"]
        assert result["requests_per_second"][operation] > 0
        assert f"{operation}, vorel-mock" in done.stdout


def test_without_wrk_it_says_what_to_install(tmp_path: Path) -> None:
    done = bench(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "install wrk" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_peer() -> None:
    done = bench("--peers", "ours,prisma")
    assert done.returncode == 2 if shutil.which("wrk") else 1
    assert "'prisma' is none of ours, prism, wiremock" in done.stderr
