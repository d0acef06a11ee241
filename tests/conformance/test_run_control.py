"""A run that is slowed, stopped, interrupted by a restart, or that judges nothing. K23, K32, K35 to K38, K41."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.conformance.reference import Running

Serve = Callable[..., Running]
Profile = Callable[..., Path]
Kit = Callable[..., Result]
FAST = ("--rate", 100_000)
# Three clauses that few requests decide.
FEW = ("--clauses", "auth.missing,auth.accepts-valid,crm.ok")


class Door:
    """A port that passes bytes on to another one, and that can be shut for a while."""

    def __init__(self, port: int) -> None:
        self._inner = port
        self._open_sockets: set[socket.socket] = set()
        self.passed = 0  # bytes
        self._listener = self._open(0)
        self.port: int = self._listener.getsockname()[1]

    def _open(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                outer, _ = listener.accept()
                inner = socket.create_connection(("127.0.0.1", self._inner))
                for one, other in ((outer, inner), (inner, outer)):
                    self._open_sockets.add(one)
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
                self.passed += len(data)
            other.shutdown(socket.SHUT_WR)
        self._open_sockets.discard(one)

    def await_bytes(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while self.passed < count and time.monotonic() < deadline:
            time.sleep(0.02)

    def shut(self) -> None:
        # This wakes the threads that wait in accept() and recv(), and they close their sockets.
        for each in (self._listener, *list(self._open_sockets)):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        while self._open_sockets or self._listener.fileno() >= 0:
            time.sleep(0.01)

    def reopen(self) -> None:
        self._listener = self._open(self.port)


@pytest.fixture
def door() -> Iterator[Callable[[Running], Door]]:
    doors: list[Door] = []

    def make(running: Running) -> Door:
        doors.append(Door(int(running.base_url.rpartition(":")[2])))
        return doors[-1]

    yield make
    for each in doors:
        each.shut()


def statuses(file: Path) -> dict[str, str]:
    return {clause["id"]: clause["status"] for clause in json.loads(file.read_text("utf-8"))["clauses"]}


# K32: a target that is restarted.


def test_a_restart_in_mid_run_is_waited_for_and_told(
    server: Serve, profile: Profile, kit: Kit, door: Callable[[Running], Door], tmp_path: Path
) -> None:
    running = server()
    between = door(running)
    report = tmp_path / "r.json"

    def restart() -> None:
        between.await_bytes(120_000)
        between.shut()
        time.sleep(0.8)
        between.reopen()

    restarting = threading.Thread(target=restart)
    restarting.start()
    result = kit(
        "server", f"http://127.0.0.1:{between.port}", "--target", profile(running),
        "--clauses", "auth,scope,tenancy,handoff,crm", *FAST, "--json", report,
    )  # fmt: skip
    restarting.join()
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text("utf-8"))
    assert set(statuses(report).values()) <= {"passed"}
    assert len(found["outages_s"]) == 1
    assert "The target accepted no connection for" in result.output


def test_a_target_that_stays_away_is_gone(
    server: Serve,
    profile: Profile,
    kit: Kit,
    door: Callable[[Running], Door],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vorel_conformance.http.client.AWAY_S", 0.2)
    running = server()
    between = door(running)

    def leave() -> None:
        between.await_bytes(120_000)
        between.shut()

    threading.Thread(target=leave).start()
    report = tmp_path / "r.json"
    result = kit(
        "server", f"http://127.0.0.1:{between.port}", "--target", profile(running),
        "--clauses", "auth,scope,tenancy,handoff,crm", *FAST, "--json", report,
    )  # fmt: skip
    assert "stopped responding" in json.loads(report.read_text("utf-8"))["stopped"]
    assert "failed" not in statuses(report).values(), result.output


# K35: nothing was judged.


@pytest.mark.parametrize("more", [(), ("--complete",)])
def test_a_run_that_judges_nothing_is_no_pass(server: Serve, profile: Profile, kit: Kit, more: tuple[str, ...]) -> None:
    running = server()
    result = kit("server", running.base_url, "--target", profile(running), *FEW, *FAST, "--max-requests", 1, *more)
    assert result.exit_code == 4, result.output
    assert "No violation, not all clauses judged" in result.output


# K36 and K38: the plan, and a rate.


def plan(kit: Kit, running: Running, target: Path, *arguments: object) -> str:
    result = kit("server", running.base_url, "--target", target, "--dry-run", *arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("arguments", [FEW, ("--max-requests", 60), ("--clauses", "crm")])
def test_the_plan_does_not_promise_fewer_writes_than_are_made(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    running = server()
    target = profile(running)
    found = re.search(r"up to (\d+) writes", plan(kit, running, target, *arguments, *FAST))
    assert found is not None
    report = tmp_path / "r.json"
    kit("server", running.base_url, "--target", target, *arguments, *FAST, "--json", report, "--seed", 1)
    assert 0 < len(json.loads(report.read_text("utf-8"))["writes"]) <= int(found[1])


def test_a_rate_that_is_too_low_for_the_limit_says_so_and_binds_all(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path
) -> None:
    running = server()  # its limit is 20 in 2 s: a burst of 32 within a second is 1920 a minute
    target = profile(running)
    said = "the rate limit cannot be tested at 1200 requests a minute"
    assert said in plan(kit, running, target, "--rate", 1200)
    assert "the rate limit cannot" not in plan(kit, running, target, "--rate", 1920)
    assert "the rate limit cannot" not in plan(kit, running, target)
    report = tmp_path / "r.json"
    clauses = ("--clauses", "limit,auth.missing")
    began = time.monotonic()
    result = kit("server", running.base_url, "--target", target, *clauses, "--rate", 1200, "--json", report)
    found = json.loads(report.read_text("utf-8"))
    assert found["requests"] <= 1200 / 60 * (time.monotonic() - began) + 3
    assert said in result.output
    assert statuses(report).pop("auth.missing") == "passed"
    assert statuses(report)["limit.enforced"] == "inconclusive"


def test_bursts_keep_to_the_rate_of_the_user(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server(limit=5, window=1.0)
    target = profile(running)
    content = json.loads(target.read_text("utf-8"))
    content["rate_limit"] = {"requests": 5, "window_s": 1.0}
    target.write_text(json.dumps(content), "utf-8")
    report = tmp_path / "r.json"
    began = time.monotonic()
    kit(
        "server", running.base_url, "--target", target, "--clauses", "limit.enforced,limit.retry-after",
        "--rate", 1200, "--json", report,
    )  # fmt: skip
    assert json.loads(report.read_text("utf-8"))["requests"] <= 20 * (time.monotonic() - began) + 3
    assert statuses(report)["limit.enforced"] == "passed"


def test_a_rate_that_is_far_too_low_ends_with_the_time_limit(server: Serve, profile: Profile) -> None:
    """It waited for its turn beyond the end of the run."""
    from vorel_conformance.http.target import load
    from vorel_conformance.runs.plan import Options
    from vorel_conformance.runs.server import run

    running = server()
    target = load(running.base_url, profile(running), owned=False)
    began = time.monotonic()
    found = run(running.base_url, target=target, options=Options(rate=30, time_limit=3.0))
    assert time.monotonic() - began < 10
    assert "time limit" in found["stopped"]


# K37: signals.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_is_reported_when_a_run_is_stopped(
    server: Serve, profile: Profile, door: Callable[[Running], Door], tmp_path: Path, number: signal.Signals
) -> None:
    running = server()
    between = door(running)
    report = tmp_path / "r.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "vorel_conformance", "server", f"http://127.0.0.1:{between.port}"),
            *("--target", str(profile(running)), "--clauses", "handoff,crm,auth"),
            *("--rate", "600", "--json", str(report)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
    )
    between.await_bytes(30_000)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number, output
    found = json.loads(report.read_text("utf-8"))
    assert found["stopped"] == f"stopped by {number.name}"
    assert found["writes"]
    assert "inconclusive" in statuses(report).values()
    assert f"The run ended early: stopped by {number.name}" in output
    assert "Traceback" not in output


# K41: reports.


def test_an_old_report_is_not_taken_for_that_of_a_run_that_failed_to_start(kit: Kit, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.json", "r.xml", "r.html", "r.sarif")]
    for file in files:
        file.write_text("old", "utf-8")
    options = ("--json", files[0], "--junit", files[1], "--html", files[2], "--sarif", files[3])
    usage = kit("server", "http://127.0.0.1:1", *options, "--clauses", "nope")
    assert usage.exit_code == 2
    assert all(file.read_text("utf-8") == "old" for file in files)
    assert kit("server", "http://127.0.0.1:1", *options).exit_code == 3
    assert not any(file.exists() for file in files)


def test_an_accepted_failure_is_part_of_the_verdict_in_words(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path
) -> None:
    running = server("code_403_unauthorized")
    accepted = tmp_path / "accepted.toml"
    accepted.write_text(
        '[[accepted]]\nclause = "envelope.code-matches-status"\nreason = "known"\nowner = "a"\nexpires = 2999-01-01\n'
    )
    page = tmp_path / "r.html"
    result = kit(
        "server", running.base_url, "--target", profile(running), "--clauses", "scope,envelope", *FAST,
        "--accepted", accepted, "--html", page,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Keeps the contract, but for what was accepted." in result.output
    assert "Keeps the contract, but for what was accepted" in page.read_text("utf-8")


def test_times_and_help_for_ci_servers(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server()
    junit, sarif = tmp_path / "r.xml", tmp_path / "r.sarif"
    kit("server", running.base_url, "--target", profile(running), *FEW, *FAST, "--junit", junit, "--sarif", sarif)
    assert len(re.findall(r'<testcase [^>]*time="\d+\.\d{3}"', junit.read_text("utf-8"))) == 3
    rules: list[dict[str, Any]] = json.loads(sarif.read_text("utf-8"))["runs"][0]["tool"]["driver"]["rules"]
    assert all("vorel-conformance explain" in rule["help"]["markdown"] for rule in rules)


# K23: without a terminal.


def test_a_log_has_one_line_for_a_clause_and_one_for_all_that_passed(server: Serve, profile: Profile, kit: Kit) -> None:
    running = server("code_403_unauthorized")
    result = kit("server", running.base_url, "--target", profile(running), "--clauses", "scope,envelope,auth", *FAST)
    lines = result.output.splitlines()
    (breach,) = [line for line in lines if re.match("✗ failed +envelope.code-matches-status  MUST", line)]
    assert breach.endswith("error.code matches the HTTP status")
    assert sum(line.startswith("✓") for line in lines) == 1
    assert re.search(r"^✓ \d+ clauses passed$", result.output, re.MULTILINE)
    assert lines.index(breach) <= 3


# K19 and K29: a limit that makes a run long, or its bursts dear.


def written(path: Path, keys: int, limit: str) -> Path:
    """Write a profile with this many full keys, four burst keys, a lead and a limit."""
    names = [f"vapk_live_{n:048x}" for n in range(keys + 4)]
    path.write_text(
        f"[keys]\nfull = {json.dumps(names[4:])}\nburst = {json.dumps(names[:4])}\n"
        f'[leads]\nown = ["00000000-0000-4000-8000-000000000000"]\n[rate_limit]\n{limit}\n'
    )
    return path


def test_the_plan_of_a_long_run_says_what_makes_it_shorter(kit: Kit, tmp_path: Path) -> None:  # K19
    command = ("server", "http://127.0.0.1:9", "--dry-run", "--target")
    result = kit(*command, written(tmp_path / "a.toml", 12, "requests = 10"))
    assert result.exit_code == 0, result.output
    assert "about 8 minutes" in result.output
    needed = re.search(r"with (\d+) keys in \[keys\] full instead of 12 the run takes about 1.5 minutes", result.output)
    assert needed is not None, result.output
    longer = re.search(
        r"the run ends after 8 minutes, before all clauses are judged; use --max-minutes (\d+)", result.output
    )
    assert longer is not None, result.output
    result = kit(*command, tmp_path / "a.toml", "--max-minutes", longer[1])
    assert "the run ends after" not in result.output
    assert re.search(r"about (9|1\d)(\.5)? minutes", result.output)
    result = kit(*command, written(tmp_path / "b.toml", int(needed[1]), "requests = 10"))
    assert "about 1.5 minutes" in result.output
    assert "[keys] full" not in result.output
    result = kit(*command, written(tmp_path / "c.toml", 20, "requests = 200"), "--max-requests", 100)
    assert "the run ends after 100 requests, before all clauses are judged; use --max-requests" in result.output


def test_the_time_of_a_run_can_be_set(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:  # K19
    running, report = server(), tmp_path / "r.json"
    command = ("server", running.base_url, "--target", profile(running), "--rate", 600, "--json", report)
    result = kit(*command, "--max-minutes", 0.04, "--clauses", "auth.accepts-valid,auth.malformed,crm.replay")
    assert "the time limit of the run is reached" in result.output
    assert json.loads(report.read_text())["duration_s"] < 10


def test_a_limit_that_is_too_dear_leaves_the_other_clauses(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path
) -> None:  # K29
    running, report = server(limit=10_000), tmp_path / "r.json"
    target = profile(running)
    target.write_text(target.read_text().replace('"requests": 20', '"requests": 10000'))
    command = ("server", running.base_url, "--target", target, "--clauses", "limit,auth.missing,crm.ok", *FAST)
    result = kit(*command, "--json", report)
    assert result.exit_code == 0, result.output
    found = {each["id"]: each for each in json.loads(report.read_text())["clauses"]}
    assert found["auth.missing"]["status"] == found["crm.ok"]["status"] == "passed"
    assert found["limit.enforced"]["status"] == "inconclusive"
    enough = re.search(r"bursts over a limit of 10000 take \d+ at least, .*; use --max-requests (\d+)", result.output)
    assert enough is not None
    assert enough[0] in found["limit.enforced"]["reason"]
    assert "the rate limit cannot be tested within" not in plan(
        kit, running, target, "--max-requests", enough[1], "--clauses", "limit,auth.missing,crm.ok"
    )


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/proc/self/fd/1"])
def test_a_report_on_the_standard_output_is_alone_there(
    server: Serve, profile: Profile, tmp_path: Path, name: str
) -> None:
    """The plan and the verdict stood around it, and in a file that the shell had opened they were written over it."""
    running = server()
    log = tmp_path / "log"
    log.write_text("kept\n")
    arguments = [running.base_url, "--target", profile(running), "--clauses", "handoff.lead-id", "--json", name]
    with log.open("ab") as opened:
        done = subprocess.run(
            [sys.executable, "-m", "vorel_conformance", "server", *map(str, arguments)],
            stdout=opened,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
    kept, _, written = log.read_text().partition("\n")
    assert kept == "kept"
    assert json.loads(written)["verdict"] == "passed"
    assert done.stderr.startswith(f"{running.base_url}: 1 clause, about ")
    assert "Keeps the contract" in done.stderr


def test_two_reports_on_the_standard_output_are_refused(kit: Kit) -> None:
    result = kit("server", "http://127.0.0.1:1", "--json", "-", "--junit", "/dev/stdout")
    assert result.exit_code == 2
    assert "only one report can go to the standard output" in result.output
