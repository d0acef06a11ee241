"""A report that somebody else wrote: `replay` sends only what the kit sends, and no key to another server."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conformance.hostile import hostile, response
from tests.conformance.report_samples import KEY, LEAD, report, violation

from vorel_conformance.http import urls
from vorel_conformance.http.target import Target
from vorel_conformance.runs.report_file import ReportError, load
from vorel_conformance.suite.server.test_auth import HEADERS, QUERIES

Kit = Callable[..., Result]
HANDOFF = f"/api/v1/leads/{LEAD}/handoff"
AUTHORIZATION = ["Authorization", "Bearer ${full.0}"]
FAST = ("--rate", 100_000)
ENVELOPE = b'{"error": {"code": "not_found", "message": "No such lead."}}'
NOT_FOUND = response(ENVELOPE, "Connection: close", status="404 Not Found")


def write_report(path: Path, target: str, *requests: dict[str, Any], clause: str = "envelope.shape") -> Path:
    """Write a report with one violation for each request."""
    base = {"method": "POST", "url": target, "path": HANDOFF, "headers": [AUTHORIZATION], "key": "full.0", "body": "{}"}
    violations = [violation(test="", request={**base, **each}) for each in requests]
    found = report({clause: "failed"})
    for entry in found["clauses"]:
        entry["violations"] = violations if entry["id"] == clause else []
    path.write_text(json.dumps({**found, "target": target}))
    return path


def write_profile(path: Path, base_url: str | None) -> Path:
    line = f'base_url = "{base_url}"\n' if base_url else ""
    # With a generous limit, so that the pace does not slow the tests down.
    path.write_text(f'{line}[keys]\nfull = ["{KEY}"]\n[rate_limit]\nrequests = 200\nwindow_s = 1\n')
    return path


@pytest.mark.parametrize(
    "path",
    ["@{evil}/x", ":{port}/x", ".evil.example/x", "//{evil}" + HANDOFF, "\\\\{evil}" + HANDOFF,
     "http://{evil}" + HANDOFF, "/@{evil}/x", "#@{evil}", "?@{evil}",
     "", "/_mock/reset", "/api/v1/leads/" + LEAD, HANDOFF + "/../../x",
     "/api/v1/leads/../handoff", "/api/v1/leads/%2E%2e/handoff", "/${{full.0}}", HANDOFF + "?x=${{full.0}}",
     "/api/v1/leads/${{full.0}}/handoff"],
)  # fmt: skip
def test_a_report_cannot_choose_where_a_request_goes(kit: Kit, tmp_path: Path, path: str) -> None:  # K6
    with hostile(NOT_FOUND) as target, hostile(NOT_FOUND) as evil:
        host = evil.base_url.removeprefix("http://")
        found = write_report(
            tmp_path / "r.json", target.base_url, {"path": path.format(evil=host, port=host.rpartition(":")[2])}
        )
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", target.base_url), *FAST)
        assert result.exit_code == 2, result.output
        assert "the kit never sends such a request" in result.output
        assert "Nothing was sent" in result.output
        assert evil.requests == target.requests == []


@pytest.mark.parametrize(
    "change",
    [
        {"headers": [AUTHORIZATION, ["Host", "evil.example"]]},
        {"headers": [AUTHORIZATION, ["X-Note", "${full.0}"]]},
        {"headers": [["User-Agent", "a ${read_only} b"]]},
        {"headers": [AUTHORIZATION, ["Content-Length", "0"]]},
        {"headers": [AUTHORIZATION, ["Transfer-Encoding", "chunked"]]},
        {"headers": [AUTHORIZATION, ["Connection", "Upgrade"]]},
        {"headers": [AUTHORIZATION, ["X-Note", "a\r\nHost: evil.example"]]},
        {"headers": [AUTHORIZATION, ["X Note:", "a"]]},
        {"method": "CONNECT"},
        {"method": "POST /_mock/reset"},
        {"body": '{"summary": "${full.0}"}'},
        {"body": '{"api_key": "${full.0}", "fields": {"note": "${read_only}"}}'},
        {"body": "${full.0}"},
        {"body": None, "body_base64": "!"},
    ],
)
def test_a_report_cannot_choose_what_is_done_with_a_key(kit: Kit, tmp_path: Path, change: dict[str, Any]) -> None:  # K6
    with hostile(NOT_FOUND) as target:
        found = write_report(tmp_path / "r.json", target.base_url, {}, change)
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", target.base_url), *FAST)
        assert result.exit_code == 2, result.output
        assert "violations[1]" in result.output
        assert target.requests == []


@pytest.mark.parametrize("change", ["flip.900", "cut.999", "from.70", "add.99999999999", "basic.1", "nothing.1"])
def test_a_damaged_placeholder_is_no_crash(kit: Kit, tmp_path: Path, change: str) -> None:  # K6
    with hostile(NOT_FOUND) as target:
        changed = {"headers": [["Authorization", f"Bearer ${{full.0|{change}}}"]]}
        others = [{"headers": [["Authorization", f"Bearer ${{full.{n}}}"]]} for n in ("x", "9" * 5000, "0.0")]
        found = write_report(tmp_path / "r.json", target.base_url, changed, *others)
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", target.base_url), *FAST)
        assert isinstance(result.exception, SystemExit), result.output
        assert KEY not in result.output
        assert all(len(each) < 2000 for each in target.requests if "9999" not in each)


def test_what_the_kit_sends_itself_may_be_sent_again(tmp_path: Path) -> None:  # K6
    requests: list[dict[str, Any]] = [{"path": f"{HANDOFF}?{name}=${{full.0}}", "headers": []} for name in QUERIES]
    requests += [{"headers": [[name, value]]} for name, value in HEADERS.items()]
    requests += [{"headers": [AUTHORIZATION, ["Connection", "close"]]}, {"path": "/api/v1/vorel-conformance"}]
    requests += [{"body": '{"api_key": "${full.0}", "token": "${full.0}", "summary": "${7*7}"}'}]
    found = load(write_report(tmp_path / "r.json", "http://127.0.0.1:9", *requests))
    assert len(found.items) == len(requests)


def test_a_report_of_another_server_gets_no_key(kit: Kit, tmp_path: Path) -> None:  # K6
    with hostile(NOT_FOUND) as evil:
        found = write_report(tmp_path / "r.json", evil.base_url, {})
        target = write_profile(tmp_path / "t.toml", "http://127.0.0.1:9")
        result = kit("replay", found, "--target", target)
        assert result.exit_code == 2, result.output
        assert evil.base_url in result.output  # both are named, and the remedy
        assert "http://127.0.0.1:9" in result.output
        assert "set base_url in" in result.output
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", None))
        assert result.exit_code == 2, result.output
        assert "base_url: missing" in result.output
        assert evil.requests == []


@pytest.mark.parametrize("base_url", ["http://LOCALHOST:{port}/", "http://localhost:{port}"])
def test_the_target_is_shown_before_anything_is_sent(kit: Kit, tmp_path: Path, base_url: str) -> None:  # K6
    shown: list[str] = []
    with hostile(NOT_FOUND) as target:
        url = base_url.format(port=target.base_url.rpartition(":")[2])
        found = write_report(tmp_path / "r.json", url.lower().rstrip("/"), {}, {})
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", url), *FAST)
        shown = result.output.splitlines()
        assert shown[0] == f"Target: {url.lower().rstrip('/')}, 2 violations.", result.output
        assert len(target.requests) > 1
        assert all(f"Authorization: Bearer {KEY}" in each for each in target.requests)


def test_a_report_of_another_machine_needs_permission(kit: Kit, tmp_path: Path) -> None:  # K6, K7
    for host in (
        "api.example.com",
        "127.evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "0x7f.1",
        "127.1",
    ):
        found = write_report(tmp_path / "r.json", f"http://{host}", {})
        target = write_profile(tmp_path / "t.toml", f"http://{host}")
        result = kit("replay", found, "--target", target)
        assert result.exit_code == 2, result.output
        assert "--i-own-this-target" in result.output


def test_a_server_that_is_down_is_not_a_violation_that_is_gone(kit: Kit, tmp_path: Path) -> None:  # K8
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    target = write_profile(tmp_path / "t.toml", url)
    for requests in (1, 3, 20):
        for clause in ("envelope.shape", "fuzz.no-server-error"):
            found = write_report(tmp_path / "r.json", url, *[{}] * requests, clause=clause)
            result = kit("replay", found, "--target", target, *FAST)
            assert result.exit_code == 3, result.output
            assert result.output.count("could not be asked") == requests
            assert "refused" in result.output
            assert "seen again" not in result.output


@pytest.mark.parametrize("answer", [b"", response(ENVELOPE, status="429 Too Many Requests")], ids=["closes", "429"])
def test_no_evidence_is_no_pass(kit: Kit, tmp_path: Path, answer: bytes) -> None:  # K8
    with hostile(answer) as target:
        found = write_report(tmp_path / "r.json", target.base_url, *[{}] * 4, clause="handoff.answer")
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", target.base_url), *FAST)
        assert result.exit_code == 3, result.output
        assert result.output.count("could not be asked") == 4


def test_what_is_seen_again_counts_more_than_what_could_not_be_asked(kit: Kit, tmp_path: Path) -> None:  # K8
    with hostile(response(b"[]", "Connection: close", status="404 Not Found")) as target:
        lacks = {"headers": [["Authorization", "Bearer ${revoked}"]]}
        found = write_report(tmp_path / "r.json", target.base_url, lacks, {})
        result = kit("replay", found, "--target", write_profile(tmp_path / "t.toml", target.base_url), *FAST)
        assert result.exit_code == 1, result.output
        assert "could not be asked: the target profile lacks the key revoked" in result.output
        assert "seen again (3 of 3)" in result.output


# --- one place that makes URLs ---------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=20) | st.text("/\\@:.?#[]%&a1 \t\r\n", max_size=12))
@example("@evil.example/x")
@example(":1/x")
@example("/\\evil.example")
@example("/x#@evil.example")
@example("/\ud800")
def test_no_path_leaves_the_origin(path: str) -> None:  # K6
    try:
        url = urls.join("http://127.0.0.1:3000", path)
    except urls.AddressError:
        assert not path.startswith("/")
        return
    assert url.startswith("http://127.0.0.1:3000/")
    assert all("!" <= character <= "~" and character not in "\\#" for character in url)


@pytest.mark.parametrize(
    "url",
    ["http://u@127.0.0.1", "http://@127.0.0.1", "http://127.0.0.1\\@evil.example", "http://127.0.0.1#@evil.example",
     "http://127.0.0.1?@evil.example", "http://127.0.0.1:80:80", "http://127.0.0.1:99999", "http://127.0.0.1:0",
     "http://127.0.0.1:x", "http://[::1", "http://[1.2.3.4]", "http://ev\u0131l.example", "http://127.0.0.1\t",
     "http://127.0.0.1/a b", "http://127.0.0.1/..", "http://127.0.0.1/a/%2e%2e/b", "http://-x", "http://a..b", "//x",
     "http:/x", "http:x", "", "http://127.0.0.1/\n::error::x", "javascript://127.0.0.1/", "http://%31"],
)  # fmt: skip
def test_what_is_no_base_url(kit: Kit, url: str) -> None:  # K6
    with pytest.raises(urls.AddressError):
        urls.base(url)
    result = kit("server", "--", url)
    assert result.exit_code == 3, result.output
    assert "base URL" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("http://localhost:3000", True), ("http://LOCALHOST", True), ("http://127.0.0.1", True), ("http://[::1]:1", True),
     ("http://127.8.9.1", True), ("http://127.evil.example", False), ("http://localhost.evil.example", False),
     ("http://localhost.", False), ("http://127.1", False), ("http://0.0.0.0", False), ("http://[::]", False),
     ("http://2130706433", False), ("http://notlocalhost", False)],
)  # fmt: skip
def test_what_is_this_machine(url: str, loopback: bool) -> None:  # K7
    assert Target(urls.base(url), ()).is_loopback is loopback


def test_the_same_server_in_another_spelling() -> None:
    assert urls.same_base("http://LOCALHOST:80/", "http://localhost")
    assert urls.same_base("https://a.example:443/v1/", "HTTPS://a.example/v1")
    for other in ("http://localhost:81", "https://localhost", "http://localhost/x", "http://127.0.0.1", "nonsense"):
        assert not urls.same_base("http://localhost", other)


def test_a_report_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for change in ({"path": None}, {"headers": None}):
        write_report(path, "http://127.0.0.1:9", change)
        with pytest.raises(ReportError, match=r"not a report|damaged"):
            load(path)
    write_report(path, "http://u:secret@127.0.0.1:9", {})
    with pytest.raises(ReportError, match="user, query or fragment") as caught:
        load(path)
    assert "secret" not in str(caught.value)
