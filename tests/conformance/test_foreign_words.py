"""Words of a server, a profile or a report on stdout, on stderr, in annotations and in the summary of a job. K9."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from tests.conformance.hostile import hostile, response
from tests.conformance.report_samples import KEY, LEAD, report, violation

from vorel_conformance.http.harmless import harmless
from vorel_conformance.report.curl import curl_line

Kit = Callable[..., Result]
# Moves the cursor, clears the screen, reverses text, ends the line, and gives commands to three CI servers.
WORDS = (
    "a \x1b[2J\x1b]0;x\x07 \x9b31m \u202egnp\u2066 \u2028 b\r\n::error file=x::planted\n"
    "c ::warning::planted ::add-mask::x ::stop-commands::x ##[error]planted ##vso[task.setvariable variable=x]y "
    "##teamcity[message text='x'] ::endgroup::"
)
PLANTED = re.compile(r"::(error|warning|add-mask|stop-commands|endgroup)(\s|::|$)|##(\[|vso\[|teamcity\[)")


def assert_harmless(text: str, *, commands: int = 0) -> None:
    """Nobody but the kit has given a command, or more than characters, in this output."""
    lines = text.split("\n")
    ours = [line for line in lines if re.match(r"::(error|warning|notice) (title=|file=openapi\.json,)", line)]
    assert len(ours) >= commands
    for line in [line for line in lines if line not in ours] + [line[2:].partition("::")[2] for line in ours]:
        assert line.isprintable(), line
        assert not PLANTED.search(line), line


@pytest.fixture
def own_profile(tmp_path: Path) -> Path:
    path = tmp_path / "t.toml"
    # One kind of request, and no burst: what is tested is what the kit prints.
    path.write_text(
        f'[keys]\nfull = ["{KEY}"]\n[leads]\nown = ["{LEAD}"]\n[rate_limit]\nrequests = 200\nwindow_s = 1\n'
    )
    return path


@pytest.mark.parametrize(
    "profile",
    [
        {"keys": {"full": [KEY], WORDS: ""}},
        {"keys": {"full": [KEY]}, "soft_failures": {WORDS: 1}},
        {"keys": {"full": [KEY]}, "leads": {"own": [WORDS]}},
        {"keys": {"full": [KEY], "x" * 900_000: ""}},
    ],
    ids=["member", "soft failure", "lead", "long member"],
)
def test_words_of_a_profile(kit: Kit, profile: object) -> None:  # K9
    with hostile(response(json.dumps(profile).encode())) as server:
        result = kit("server", server.base_url)
    assert result.exit_code == 3, result.output
    assert_harmless(result.output)
    assert len(result.output) < 5000


def test_words_of_a_profile_in_a_file(kit: Kit, tmp_path: Path) -> None:  # K9
    path = tmp_path / "t.toml"
    path.write_text(f'[keys]\nfull = ["{KEY}"]\n{json.dumps(WORDS)} = ""\n')
    result = kit("server", "http://127.0.0.1:9", "--target", path)
    assert result.exit_code == 3, result.output
    assert_harmless(result.output)


@pytest.mark.parametrize(
    "answer",
    [
        response(b"", f"Location: {WORDS.partition(chr(0x202E))[0]} ::error::x ##[error]x", status="302 Found"),
        response(json.dumps({"error": {"message": WORDS}}).encode(), "Connection: close", status="401 Unauthorized"),
        b"HTTP/1.1 200 ##[error]\x1b[2J\r\n::error::x\r\n\r\n",
    ],
    ids=["Location", "message", "damaged head"],
)
def test_words_of_a_server_in_an_error_line(kit: Kit, own_profile: Path, answer: bytes) -> None:  # K9
    with hostile(answer) as server:
        result = kit("server", server.base_url, "--target", own_profile, "--rate", 100_000)
    assert result.exit_code == 3, result.output
    assert_harmless(result.output)


@pytest.mark.parametrize("raw", [False, True], ids=["in JSON", "as they are"])
def test_words_of_a_server_in_a_run(
    kit: Kit, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bool
) -> None:  # K9
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    error = {"error": {"code": WORDS, "message": f"{WORDS} Traceback (most recent call last)"}}
    body = WORDS.encode() if raw else json.dumps(error, ensure_ascii=False).encode()
    headers = ("Connection: close", "X-RateLimit-Limit: ##[error]::error::x", "Retry-After: ::error::x")
    with hostile(response(body, *headers, status="400 Bad Request")) as server:
        clauses = "auth.missing,envelope.code,envelope.message-safe,envelope.strict-json,limit.headers-integer"
        command = ("server", server.base_url, "--target", own_profile, "--rate", 100_000, "--clauses", clauses)
        result = kit(*command, "--json", tmp_path / "r.json")
    assert result.exit_code == 1, result.output
    assert_harmless(result.output, commands=2)
    assert_harmless(summary.read_text())


def test_words_of_a_report(kit: Kit, tmp_path: Path) -> None:  # K9
    found = report({"envelope.shape": "failed"})
    with hostile(b"") as server:
        for entry in found["clauses"]:
            entry["violations"] = [violation(message=WORDS, test="", request=None)] if entry["violations"] else []
        path = tmp_path / "r.json"
        path.write_text(json.dumps({**found, "target": server.base_url}))
        profile = tmp_path / "t.toml"
        profile.write_text(f'base_url = "{server.base_url}"\n[keys]\nfull = ["{KEY}"]\n')
        result = kit("replay", path, "--target", profile)
    assert result.exit_code == 3, result.output
    assert "could not be asked" in result.output
    assert_harmless(result.output)


def test_a_curl_line_gives_no_command_and_sends_the_same() -> None:  # K9
    headers = [("X-Note", "##[error]x"), ("Content-Type", "application/json")]
    line = curl_line("POST", "http://127.0.0.1/a", headers, b'{"a": "::error ::x::y ##vso[x]"}')
    assert_harmless(line)
    shown = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True).stdout
    assert "X-Note: ##[error]x\n" in shown
    assert '{"a": "::error ::x::y ##vso[x]"}\n' in shown


def test_ordinary_words_stay_as_they_are() -> None:
    for text in (
        "http://[::1]:3000/x",
        "http://[::ffff:127.0.0.1]/",
        "std::vector<int>",
        "# a ## b [c]",
        "Müller · 日本",
    ):
        assert harmless(text) == text
