"""The benchmark measures: it yields numbers without errors. How large they are is no matter of a test."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from bench import hostile, programs, targets, workload, wrk
from bench.programs import Program
from bench.rounds import Result, Turn

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


needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk, which makes the load, is not installed")
CASES = [case.id for case in workload.cases()]
VALID = [case.id for case in workload.cases() if case.valid]


@needs_wrk
def test_ours_beside_the_bare_function(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    short = ("--rounds", "1", "--seconds", "1", "--warm-up", "0", "--connections", "2")
    done = bench("--peers", "ours,bare", *short, "--json", str(file))
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text("utf-8"))
    ours, bare = found["results"]
    for result, cases in ((ours, CASES), (bare, VALID)):
        assert result["valid"]
        (turn,) = result["rounds"]
        assert turn["first_answer"] > 0
        assert turn["rss_start"] > 1
        assert turn["rss_end"] > 1
        assert list(turn["loads"]) == list(turn["cpu_us"]) == cases
        assert all(microseconds > 0 for microseconds in turn["cpu_us"].values())
        for case, load in turn["loads"].items():
            assert load["errors"] == 0
            assert load["requests"] > 0
            assert 0 < load["p50_ms"] <= load["p99_ms"]
            assert result["requests_per_second"][case] > 0
    assert ours["rounds"][0]["said"] > 0
    assert list(bare["first_is_faster_by"]) == VALID
    assert all(f"{case}, vorel-mock" in done.stdout for case in CASES)
    reached = {each["target"]: each["reached"] for each in found["targets"]}
    assert len(reached) == len(targets.SPEED) + 2
    assert reached["handoffLead >= 6.0x prism"] is None
    assert isinstance(reached["handoffLead >= 0.65x bare"], bool)
    assert "handoffLead >= 0.65x bare" in done.stdout


@needs_wrk
def test_an_unexpected_status_makes_a_load_invalid(tmp_path: Path) -> None:
    valid, _, invalid = workload.cases()
    swapped = [replace(valid, status=400), replace(invalid, status=200)]
    with programs.running(programs.ours(ROOT), tmp_path) as server:
        for case in swapped:
            load = wrk.run(server.port, case, seconds=1, connections=2, name="a")
            assert load.errors == load.requests > 0
            with pytest.raises(workload.BadAnswer, match=f"expected {case.status}"):
                workload.probe(server.port, case, "b")


@pytest.mark.parametrize(
    ("status", "rejected", "failed", "errors"), [(200, 0, 0, 0), (200, 2, 1, 3), (400, 10, 0, 0), (400, 9, 1, 2)]
)
def test_errors_of_a_load(status: int, rejected: int, failed: int, errors: int) -> None:
    case = replace(workload.cases()[0], status=status)
    load = wrk.load(case, requests=10, seconds=1, p50_ms=1, p99_ms=2, rejected=rejected, failed=failed)
    assert load.errors == errors


def test_errors_leave_a_target_unmeasured() -> None:
    def result(name: str, errors: int, rate: int) -> Result:
        load = wrk.Load(requests=rate, seconds=1, p50_ms=1, p99_ms=2, errors=errors)
        turn = Turn(0.6, 0.65, 64, 90, {"handoffLead": load}, {})
        return Result(Program(name, name, lambda port, folder: []), [turn])

    def reached(*results: Result) -> dict[str, bool | None]:
        return {check.target: check.reached for check in targets.checklist(list(results))}

    sound = reached(result("ours", 0, 600), result("prism", 0, 100), result("wiremock", 0, 700), result("bare", 1, 700))
    assert list(sound.values()) == [True, False, None, None, True, True]
    assert set(reached(result("ours", 1, 600), result("prism", 0, 100)).values()) == {None}
    assert reached(result("prism", 0, 100)) == {}


def test_without_wrk_it_says_what_to_install(tmp_path: Path) -> None:
    done = bench(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "install wrk" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_peer() -> None:
    done = bench("--peers", "ours,prisma")
    assert done.returncode == 2 if shutil.which("wrk") else 1
    assert "unknown peer 'prisma'; the peers are ours, file, redis, redis-2, bare, prism, wiremock" in done.stderr


def test_a_short_soak_finds_nothing_wrong(tmp_path: Path) -> None:
    with programs.running(programs.ours(ROOT), tmp_path) as mock:
        found = hostile.soak(mock, 300, seed=1, deadline=time.monotonic() + 90)
    assert hostile.problems(found) == []
    assert sum(found.counts.values()) >= 300
    assert {status for _, status in found.counts} >= {200, 201, 400, 401, 403, 404, 405, 500, None}


def test_a_soak_says_what_is_wrong() -> None:
    found = hostile.Found(points=[(0, 60.0, 10), (50, 80.0, 10), (100, 100.0, 12)])
    found.wrong["noise", "500 is none of 400"] += 2
    assert hostile.problems(found) == [
        "noise: 500 is none of 400 (2 times)",
        "memory: 80 MiB at half of the requests, 100 MiB at the end",
        "descriptors: 10 at the start, 12 at the end",
    ]
