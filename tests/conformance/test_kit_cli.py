"""The command line: output, rejected input, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.conformance import report_samples
from tests.conformance.reference import Running

from vorel_conformance import __version__, report
from vorel_conformance.report import difference, model
from vorel_conformance.spec import clauses
from vorel_conformance.spec.contract import validator_of

Serve = Callable[..., Running]
Profile = Callable[..., Path]
Kit = Callable[..., Result]
FAST = ("--rate", 100_000)


def test_a_conformant_server_passes(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server()
    files = [tmp_path / name for name in ("r.json", "r.xml", "r.html", "r.sarif")]
    result = kit(
        "server", running.base_url, "--target", profile(running), "--clauses", "auth,scope,tenancy", *FAST,
        "--complete", "--json", files[0], "--junit", files[1], "--html", files[2], "--sarif", files[3],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert all(file.stat().st_size for file in files)
    found = json.loads(files[0].read_text())
    validator_of(report.schema()).validate(found)
    assert found["verdict"] == "passed"
    assert found["tool"] == {"name": "vorel-conformance", "version": __version__}
    assert {each["status"] for each in found["clauses"]} == {"passed"}
    assert all(each["checks"] > 0 for each in found["clauses"])


def test_no_secret_in_any_output(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server("key_in_403")
    files = [tmp_path / name for name in ("r.json", "r.xml", "r.html", "r.sarif")]
    result = kit(
        "server", running.base_url, "--target", profile(running), "--clauses", "auth,scope,envelope", *FAST,
        "--json", files[0], "--junit", files[1], "--html", files[2], "--sarif", files[3],
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    assert "envelope.message-safe" in result.output
    everything = result.output + "".join(file.read_text() for file in files)
    keys = json.loads(json.dumps(running.profile["keys"]))
    for key in [*keys["full"], *keys["burst"], *(value for value in keys.values() if isinstance(value, str))]:
        assert key[10:34] not in everything


@pytest.mark.parametrize(
    ("options", "code", "verdict"),
    [
        ((), 0, "passed"),
        (("--level", "must"), 0, "passed"),
        (("--level", "should"), 1, "failed"),
        (("--level", "advisory"), 1, "failed"),
        (("--strict",), 1, "failed"),
        (("--strict", "--level", "advisory"), 1, "failed"),
        (("--strict", "--level", "must"), 2, ""),
    ],
)
def test_a_level_says_what_counts_towards_the_verdict(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path, options: tuple[str, ...], code: int, verdict: str
) -> None:
    running = server("plain_unknown_path")  # breaks envelope.other-methods, a SHOULD
    files = [tmp_path / "r.json", tmp_path / "r.xml"]
    command = ("server", running.base_url, "--target", profile(running), "--clauses", "envelope.other-methods", *FAST)
    result = kit(*command, *options, "--json", files[0], "--junit", files[1])
    assert result.exit_code == code, result.output
    if not verdict:
        assert "--strict is --level advisory, and contradicts --level must" in result.output
        return
    found = json.loads(files[0].read_text())
    validator_of(report.schema()).validate(found)
    assert found["verdict"] == verdict
    assert ("<failure" in files[1].read_text()) == (verdict == "failed")
    assert ("only below MUST, which counts here (--level" in result.output) == (verdict == "failed")


def test_a_level_above_that_of_a_violation_lets_it_pass() -> None:
    made = report_samples.report({"crm.distinct": "warning", "envelope.other-methods": "warning"})
    expected: tuple[tuple[str, set[str]], ...] = (
        ("must", set()),
        ("should", {"envelope.other-methods"}),
        ("advisory", {"envelope.other-methods", "crm.distinct"}),
    )
    for level, failed in expected:
        found = model.at_level(made, level)
        assert {each["id"] for each in found["clauses"] if each["status"] == "failed"} == failed
        assert found["verdict"] == ("failed" if failed else "passed")
        # A team that gates on more than before has broken nothing since.
        assert {change.kind for change in difference.changes(made, found)} == {"unfixed"}


def test_a_broken_clause_exits_1_with_quote_and_curl(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server("code_403_unauthorized")
    found = tmp_path / "r.json"
    result = kit(
        "server", running.base_url, "--target", profile(running), "--clauses", "scope,envelope", *FAST, "--json", found
    )
    assert result.exit_code == 1, result.output
    failed = [each for each in json.loads(found.read_text())["clauses"] if each["status"] == "failed"]
    assert [each["id"] for each in failed] == ["envelope.code-matches-status"]
    assert failed[0]["violations"][0]["curl"].startswith("curl ")
    assert "$VOREL_API_KEY" in failed[0]["violations"][0]["curl"]
    assert "unauthorized" in failed[0]["violations"][0]["response"]["body"]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
@pytest.mark.parametrize(
    "fault",
    ["one_digit_ignored", "prefix_compared", "digits_compared", "key_in_basic", "key_in_query", "key_in_body",
     "unknown_key_works", "read_opens_crm"],
)  # fmt: skip
def test_the_curl_line_reproduces_what_was_found(server: Serve, profile: Profile, kit: Kit, fault: str) -> None:
    """Pasted into bash with the key that the report names, the line is accepted, although it must not be."""
    running = server(fault)
    result = kit("server", running.base_url, "--target", profile(running), "--clauses", "auth,scope", *FAST)
    assert result.exit_code == 1, result.output
    line = re.search(r"^  again     (curl .*)$", result.output, re.MULTILINE)
    hint = re.search(r"VOREL_API_KEY: (keys\.(\w+)(?:\[(\d+)\])?)", result.output)
    assert line
    # A key that the kit has made up is in the line.
    assert bool(hint) == ("VOREL_API_KEY" in line[1])
    keys = running.profile["keys"]
    given = "" if not hint else keys[hint[2]][int(hint[3])] if hint[3] else keys[hint[2]]
    running.server.windows.clear()  # the run may have used up the limit of the key
    told = subprocess.run(
        ["bash", "-c", line[1]], env={**os.environ, "VOREL_API_KEY": given}, capture_output=True, text=True, timeout=30
    )
    assert told.stdout.startswith("HTTP/1.1 200"), (line[1], told)


def test_replay_sends_the_violations_alone(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server("handoff_id_constant")
    found = tmp_path / "r.json"
    target = profile(running)
    result = kit(
        "server", running.base_url, "--target", target, "--clauses", "handoff.fresh-id", *FAST, "--json", found
    )
    assert result.exit_code == 1, result.output
    before = running.server.requests
    result = kit("replay", found, "--target", target, *FAST)
    assert result.exit_code == 1, result.output
    assert "handoff.fresh-id" in result.output
    assert ": seen again (" in result.output
    violations = sum(len(each["violations"]) for each in json.loads(found.read_text())["clauses"])
    assert running.server.requests - before <= 3 * violations + 10
    moved = server().base_url
    for path, name in ((found, "target"), (target, "base_url")):
        path.write_text(json.dumps({**json.loads(path.read_text()), name: moved}))
    result = kit("replay", found, "--target", target, *FAST)
    assert result.exit_code == 0, result.output
    assert "not seen again" in result.output
    assert ": seen again (" not in result.output


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
@pytest.mark.parametrize(
    ("fault", "clause", "sent", "shown"),
    [
        ("html_for_browsers", "envelope.accept", "Accept: text/html", "Content-Type: text/html"),
        ("always_gzip", "envelope.content-encoding", "Accept-Encoding: identity", "Content-Encoding: gzip"),
    ],
)
def test_a_header_that_decides_is_in_the_curl_line(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path, fault: str, clause: str, sent: str, shown: str
) -> None:
    """K18, K30: Accept was left to curl, so the line showed nothing."""
    running = server(fault)
    found = tmp_path / "r.json"
    arguments = ("--target", profile(running), "--clauses", clause, *FAST, "--json", found)
    kit("server", running.base_url, *arguments)
    (violations,) = [each["violations"] for each in json.loads(found.read_text())["clauses"]]
    assert f"-H '{sent}" in violations[0]["curl"]
    keys = running.profile["keys"]["full"]
    told = subprocess.run(
        ["bash", "-c", violations[0]["curl"]], env={**os.environ, "VOREL_API_KEY": keys[0]}, capture_output=True
    )
    assert shown.lower().encode() in told.stdout.lower()


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
@pytest.mark.parametrize(("fault", "shown"), [("unknown_key_works", "200"), ("long_key_500", "500")])
def test_keys_that_the_kit_made_up_are_sent_again_as_they_were(
    server: Serve, profile: Profile, kit: Kit, tmp_path: Path, fault: str, shown: str
) -> None:
    """A key of zeros stood in the report as $VOREL_API_KEY: the curl line sent a valid key, and replay those words."""
    running = server(fault)
    found, target = tmp_path / "r.json", profile(running)
    arguments = ("--target", target, *FAST)
    kit("server", running.base_url, "--clauses", "auth.unknown,auth.malformed", *arguments, "--json", found)
    violations = [each for clause in json.loads(found.read_text())["clauses"] for each in clause["violations"]]
    labels = {each["case"]["label"] for each in violations}
    assert labels >= ({"very long"} if shown == "500" else {"a key of zeros", *(f"unknown key {n}" for n in range(3))})
    assert "$VOREL_API_KEY" not in found.read_text()
    for each in violations:
        running.server.windows.clear()
        told = subprocess.run(["bash", "-c", each["curl"]], capture_output=True, text=True, timeout=30)
        assert told.stdout.startswith(f"HTTP/1.1 {shown}"), (each["curl"], told)
    running.server.windows.clear()
    result = kit("replay", found, *arguments)
    assert result.output.count(": seen again (") == len(violations), result.output
    # Reports of earlier releases have those words in the place of the key. Then the test is run again.
    found.write_text(re.sub(r"vapk_live_\$\{zeros[^}]*\}|\$\{random[^}]*\}", "$VOREL_API_KEY", found.read_text()))
    result = kit("replay", found, *arguments)
    assert result.output.count(": seen again (") == len(violations), result.output


def test_replay_of_something_else(kit: Kit, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"a": 1}')
    assert kit("replay", other).exit_code == 2
    assert "not a report" in kit("replay", other).output
    assert "cannot be read" in kit("replay", tmp_path / "missing.json").output
    other.write_text("{")
    assert "not JSON" in kit("replay", other).output


def test_inconclusive_clauses_exit_4_when_asked(server: Serve, profile: Profile, kit: Kit) -> None:
    running = server()
    target = profile(running, "keys.read_only")
    arguments = ("server", running.base_url, "--target", target, "--clauses", "scope", *FAST)
    assert kit(*arguments).exit_code == 0
    result = kit(*arguments, "--complete")
    assert result.exit_code == 4
    assert "[keys] read_only" in result.output


def test_a_small_budget_is_reported(server: Serve, profile: Profile, kit: Kit, tmp_path: Path) -> None:
    running = server()
    found = tmp_path / "r.json"
    result = kit(
        "server", running.base_url, "--target", profile(running), "--max-requests", 120, *FAST,
        "--json", found, "--complete",
    )  # fmt: skip
    assert result.exit_code == 4, result.output
    read = json.loads(found.read_text())
    assert read["requests"] == 120
    reasons = {each["id"]: each.get("reason", "") for each in read["clauses"]}
    assert "budget of 120 requests" in reasons["fuzz.valid-accepted"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keys": {"full": ["vapk_live_" + "0" * 48]}}, ["keys.full[0]", "401"]),
        ({"leads": {"own": ["00000000-0000-4000-8000-000000000000"]}}, ["leads.own[0]", "404"]),
    ],
)
def test_a_profile_that_is_not_valid_exits_3(
    server: Serve, profile: Profile, kit: Kit, change: dict[str, dict[str, Any]], words: list[str]
) -> None:
    running = server()
    path = profile(running)
    found = json.loads(path.read_text())
    for table, members in change.items():
        found[table] |= members
    path.write_text(json.dumps(found))
    result = kit("server", running.base_url, "--target", path, *FAST)
    assert result.exit_code == 3
    assert all(word in result.output for word in words), result.output
    assert "0" * 48 not in result.output


def test_a_target_that_does_not_respond_exits_3(kit: Kit, tmp_path: Path) -> None:
    result = kit("server", "http://127.0.0.1:9")
    assert result.exit_code == 3
    assert "does not respond" in result.output
    path = tmp_path / "t.toml"
    path.write_text(f'[keys]\nfull = ["vapk_live_{"1" * 48}"]\n')
    result = kit("server", "http://127.0.0.1:9", "--target", path)
    assert result.exit_code == 3
    assert "does not respond" in result.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keys = 1", "[keys]: must be a table"),
        ("[keys]\nfull = []", "keys.full: is empty"),
        ("[keys]\nfull = 'x'", "keys.full: must be a list"),
        ("[keys]\nfull = ['x']\nreadonly = 'y'", 'unknown field "keys.readonly"; did you mean "read_only"?'),
        ("[keys]\nfull = ['x']\nburst = ['x']", "keys.full[0] and keys.burst[0]: the same key"),
        ("[keys]\nfull = ['x y']", "keys.full[0]: an invalid character"),
        ("[keys]\nfull = ['x']\n[rate_limit]\nrequests = 0", "rate_limit.requests"),
        ("[keys", "not a TOML file"),
    ],
)
def test_a_profile_that_cannot_be_read(kit: Kit, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    result = kit("server", "http://127.0.0.1:9", "--target", path)
    assert result.exit_code == 3
    assert words in result.output
    assert "Traceback" not in result.output


def test_foreign_targets_need_permission(kit: Kit, tmp_path: Path) -> None:
    result = kit("server", "https://api.example.com")
    assert result.exit_code == 2
    assert "--i-own-this-target" in result.output
    path = tmp_path / "t.toml"
    path.write_text("[keys]\nfull = ['x']\n")
    result = kit("server", "https://app.vorel.ai", "--target", path, "--i-own-this-target")
    assert result.exit_code == 2
    assert "agreed = true" in result.output
    result = kit("server", "https://APP.vorel.ai./", "--target", path, "--i-own-this-target")
    assert result.exit_code == 2
    path.write_text("agreed = true\n[keys]\nfull = ['x']\n[leads]\nown = ['00000000-0000-4000-8000-000000000000']\n")
    result = kit("server", "https://app.vorel.ai", "--target", path, "--i-own-this-target", "--dry-run")
    assert result.exit_code == 0
    assert "clauses" in result.output


@pytest.mark.parametrize(
    "url", ["localhost:3000", "ftp://x", "http://", "http://u:p@127.0.0.1", "http://127.0.0.1?x=1"]
)
def test_invalid_base_urls(kit: Kit, url: str) -> None:
    result = kit("server", url)
    assert result.exit_code == 3
    assert "base URL" in result.output


def test_usage(kit: Kit, tmp_path: Path) -> None:
    assert kit("server").exit_code == 2
    result = kit("server", "http://127.0.0.1:9", "--clauses", "auth.mising")
    assert result.exit_code == 2
    assert "auth.mising" in result.output
    result = kit(
        "server", "http://127.0.0.1:9", "--json", tmp_path / "file" / "x" / "r.json", "--accepted", tmp_path / "a"
    )
    assert result.exit_code == 2


def test_dry_run_sends_nothing(server: Serve, profile: Profile, kit: Kit) -> None:
    running = server()
    result = kit("server", running.base_url, "--target", profile(running, "keys.burst"), "--dry-run")
    assert result.exit_code == 0
    assert running.server.requests == 0
    assert "[keys] burst" in result.output
    assert "writes" in result.output


def test_clauses_are_listed_and_explained(kit: Kit) -> None:
    listed = kit("clauses").output
    assert all(id_ in listed for id_ in clauses.load())
    assert len(json.loads(kit("clauses", "--json").output)) == len(clauses.load())
    for each in clauses.load().values():
        told = " ".join(kit("explain", each.id).output.split())
        for text in (each.title, each.quote, each.pointer, each.why, each.how, each.passing, each.failing):
            assert " ".join(text.split()) in told
    wrong = kit("explain", "auth.mis")
    assert wrong.exit_code == 2
    assert "auth.missing" in wrong.output


def test_init_writes_a_profile_that_is_read(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "target.toml"
    assert kit("init", path).exit_code == 0
    assert path.stat().st_mode & 0o077 == 0
    result = kit("server", "http://127.0.0.1:9", "--target", path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert kit("init", path).exit_code == 2


def test_a_missing_extra_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.py").write_text(
        "raise ModuleNotFoundError('No module named schemathesis', name='schemathesis')"
    )
    command = [sys.executable, "-m", "vorel_conformance", "server", "http://127.0.0.1:9"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'vorel-mock[conformance]'" in done.stderr
