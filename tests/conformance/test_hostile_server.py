"""A server that means harm: every answer is bounded in time and in bytes, and the server learns and keeps nothing."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.conformance.hostile import Script, hostile, response
from tests.conformance.reference import FAULTS, wire
from tests.conformance.report_samples import KEY

from vorel_conformance import report as reports
from vorel_conformance.attestation import statements
from vorel_conformance.http.target import TargetError, fetch
from vorel_conformance.http.transport import READ_CAP, WIRE_CAP, NoAnswerError, Transport
from vorel_conformance.report.model import remarks
from vorel_conformance.spec.contract import validator_of

Kit = Callable[..., Result]
TIMEOUT = 0.2  # so a whole answer ends after 0.6 s


def repeat(data: bytes, before: bytes = b"", pause: float = 0.01) -> Script:
    """Send `data` again and again, until the kit has had enough."""

    def script(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(data)
            if pause:
                time.sleep(pause)

    return script


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "1xx without end": repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "100 without end": repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a dripping status line": repeat(b"x", b"HTTP/1.1 200 "),
    "a dripping head": repeat(b"x", HEAD + b"X-Drip: "),
    "a dripping body": repeat(b" ", HEAD + b"Content-Length: 100000\r\n\r\n"),
    "dripping chunks": repeat(b"1\r\n \r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    "a dripping extension of a chunk": repeat(b"x", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;"),
    "dripping trailers": repeat(b"x", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Drip: "),
    "no answer": lambda connection: connection.recv(1),
}


@pytest.mark.parametrize("script", ENDLESS.values(), ids=ENDLESS)
def test_a_whole_answer_ends_in_time(script: Script) -> None:  # K10
    with hostile(script) as server:
        transport = Transport(server.base_url, timeout=TIMEOUT, connect_timeout=TIMEOUT)
        began = time.monotonic()
        with pytest.raises(NoAnswerError, match="timeout"):
            transport.ask("GET", "/")
        assert time.monotonic() - began < 3 * TIMEOUT + 1
        transport.close()


def test_a_request_that_the_server_does_not_read_ends_in_time() -> None:  # K10
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=TIMEOUT, connect_timeout=TIMEOUT)
        began = time.monotonic()
        with pytest.raises(NoAnswerError, match="timeout"):
            transport.ask("POST", "/", body=bytes(20_000_000))
        assert time.monotonic() - began < 3 * TIMEOUT + 1
        transport.close()


FLOODS = {
    "1xx": repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4000, pause=0),
    "chunks": repeat(b"1;" + b"x" * 60_000 + b"\r\n \r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", pause=0),
    "a head": repeat(b"X-Padding: " + b"x" * 60_000 + b"\r\n", HEAD, pause=0),
}


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS)
def test_a_whole_answer_ends_after_some_bytes(script: Script) -> None:  # K10
    with hostile(script) as server:
        transport = Transport(server.base_url, timeout=20, connect_timeout=5)
        with pytest.raises(NoAnswerError, match=rf"more than {WIRE_CAP} bytes|too long|too large|exceed"):
            transport.ask("GET", "/")
        transport.close()


def test_a_body_is_read_up_to_a_bound() -> None:
    with hostile(repeat(b"x" * 65536, HEAD + b"\r\n", pause=0)) as server:
        transport = Transport(server.base_url, timeout=5, connect_timeout=5)
        answer = transport.ask("GET", "/")
        assert answer.truncated
        assert len(answer.body) == READ_CAP
        transport.close()


@pytest.mark.parametrize(
    "script", [ENDLESS["1xx without end"], ENDLESS["a dripping head"]], ids=["1xx", "a dripping head"]
)
def test_a_run_against_it_ends(kit: Kit, tmp_path: Path, script: Script) -> None:  # K10
    path = tmp_path / "t.toml"
    path.write_text(f'[keys]\nfull = ["{KEY}"]\n')
    with hostile(script) as server:
        result = kit("server", server.base_url, "--target", path, "--timeout", 0.1)
        assert result.exit_code == 3, result.output
        assert "timeout: the response was not complete after 0.3 s" in result.output


# --- the profile of a mock -------------------------------------------------------------------------------------------

BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (repeat(b"x" * 65536, HEAD + b"\r\n", pause=0), "no target profile"),
        (repeat(b"[" * 65536, HEAD + b"\r\n", pause=0), "no target profile"),
        (response(BOMB, "Content-Encoding: gzip"), "no target profile"),
        (response(b"[" * 100_000 + b"]" * 100_000), "no target profile"),
        (response(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "no target profile"),
        (response(b"", "Location: http://127.0.0.1:9/", status="302 Found"), "no target profile"),
        (b"", "does not respond"),
    ],
    ids=["without end", "brackets without end", "gzip", "deep lists", "deep objects", "redirect", "none"],
)
def test_a_profile_that_means_harm_is_bounded(script: Script | bytes, word: str) -> None:  # K11
    with hostile(script) as server:
        began = time.monotonic()
        with pytest.raises(TargetError, match=word) as caught:
            fetch(server.base_url)
        assert time.monotonic() - began < 5
        assert len(str(caught.value)) < 1000
        assert len(server.requests) == 1
        assert "accept-encoding: identity" in server.requests[0].lower()


def test_a_profile_that_drips_is_bounded() -> None:  # K11
    with hostile(ENDLESS["a dripping head"]) as server:
        began = time.monotonic()
        with pytest.raises(TargetError, match="timeout: the response was not complete after"):
            fetch(server.base_url, timeout=TIMEOUT)
        assert time.monotonic() - began < 3


# --- what a server may not plant -------------------------------------------------------------------------------------


def test_no_cookie_is_kept_or_sent() -> None:  # K15
    cookie = "Set-Cookie: session=planted; Path=/"
    with hostile(response(b"{}", cookie, "Connection: close")) as server:
        transport = Transport(server.base_url, timeout=5, connect_timeout=5)
        for path in ("/", "/api/v1/crm/create-record"):
            assert ("Set-Cookie", "session=planted; Path=/") in transport.ask("POST", path, body=b"{}").headers
        transport.close()
    assert len(server.requests) == 2
    assert not any("cookie" in each.lower() or "planted" in each for each in server.requests)


def test_no_redirect_is_followed() -> None:  # K6
    with hostile(b"") as other:
        there = response(b"", f"Location: {other.base_url}/", status="307 Temporary Redirect")
        with hostile(there) as server:
            transport = Transport(server.base_url, timeout=5, connect_timeout=5)
            assert transport.ask("POST", "/", [("Authorization", f"Bearer {KEY}")], b"{}").status == 307
            transport.close()
    assert other.requests == []


# --- memory and time -------------------------------------------------------------------------------------------------

LONG = b"x" * 1_000_000
TWICE = b"{" + b",".join(b'"m%d":1' % number for number in range(95_000)) + b',"m94999":2}'
LARGE = {
    "a long code": b'{"error": {"code": "%s", "message": "no"}}' % LONG,
    "not JSON": LONG,
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_large_answers_are_not_kept(kit: Kit, tmp_path: Path, body: bytes) -> None:  # K14
    answer = response(body, "X-Long: " + "x" * 10_000, "Connection: close", status="400 Bad Request")
    with hostile(answer) as server:
        tracemalloc.start()
        clauses = "auth.missing,envelope.strict-json,envelope.code"
        result = kit(*run_of(server.base_url, tmp_path), "--clauses", clauses)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert result.exit_code == 1, result.output
    assert len(server.requests) > 100
    assert len(result.output) < 100_000
    # All bodies together are more than 100 MB, twice that with what is parsed. Eight are read side by side.
    assert peak < 60_000_000, peak


HOSTILE_JSON = {
    "deep": b"[" * 400 + b"]" * 400,
    "one member twice": TWICE,
    "deep objects": b'{"a":' * 400 + b"1" + b"}" * 400,
}


@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_json_that_means_harm_breaks_a_clause(kit: Kit, tmp_path: Path, body: bytes) -> None:  # K13
    with hostile(response(body, "Connection: close", status="400 Bad Request")) as server:
        began = time.process_time()
        result = kit(*run_of(server.base_url, tmp_path), "--max-requests", 10)
        assert time.process_time() - began < 20
    assert result.exit_code == 1, result.output
    assert "envelope.strict-json" in result.output
    assert "nested deeper than 100 levels" in result.output or "duplicate member 'm94999'" in result.output


def run_of(base_url: str, folder: Path) -> tuple[object, ...]:
    """Return the arguments of a run with a small profile, so quick that only what the server does takes time."""
    path = folder / "t.toml"
    path.write_text(f'[keys]\nfull = ["{KEY}"]\n[rate_limit]\nrequests = 1000\nwindow_s = 1\n')
    return ("server", base_url, "--target", path, "--rate", 100_000)


# --- https on this machine -------------------------------------------------------------------------------------------


def test_the_hint_for_a_certificate_works(kit: Kit, tmp_path: Path) -> None:  # K40
    path = tmp_path / "t.json"
    with wire.serve_wire(wire.plain, tls=wire.LOOPBACK_CERTIFICATE) as running:
        path.write_text(json.dumps(running.profile, default=list))
        command = ("server", running.base_url, "--target", path, "--clauses", "auth.missing", "--rate", 100_000)
        result = kit(*command)
        assert result.exit_code == 3, result.output
        assert "CERTIFICATE_VERIFY_FAILED" in result.output
        assert "--cacert FILE" in result.output
        result = kit(*command, "--cacert", wire.LOOPBACK_CERTIFICATE)
        assert result.exit_code == 0, result.output
        result = kit(*command, "--cacert", wire.LOOPBACK_CERTIFICATE, "--insecure")
        assert result.exit_code == 2
        assert "give one of them" in result.output
        result = kit("server", running.base_url, "--cacert", wire.LOOPBACK_CERTIFICATE)
        assert result.exit_code == 3, result.output
        assert "no target profile" in result.output
    with wire.serve_wire(wire.plain, tls=wire.CERTIFICATE) as running:
        result = kit("server", running.base_url, "--cacert", wire.CERTIFICATE)
        assert result.exit_code == 3, result.output
        assert "--cacert FILE" not in result.output
        assert "a name that the certificate is for" in result.output


def _run_over_tls(kit: Kit, tmp_path: Path, base_url: str, path: Path, *options: object) -> dict[str, Any]:
    """Return the report of a run against a server that breaks a clause, over https."""
    report = tmp_path / "r.json"
    command = ("server", base_url, "--target", path, "--clauses", "auth.missing", "--rate", 100_000, "--json", report)
    result = kit(*command, *options)
    assert result.exit_code == 1, result.output
    found: dict[str, Any] = json.loads(report.read_text())
    validator_of(reports.schema()).validate(found)
    return found


def _pasted(curl: str) -> str:
    """Return the status line of the response to a curl line of a report."""
    done = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()[0]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_curl_line_trusts_what_the_run_trusted(kit: Kit, tmp_path: Path) -> None:  # K40
    path = tmp_path / "t.json"
    fault = next(each for each in FAULTS if each.id == "missing_key_works")
    with wire.serve_wire(wire.plain, tls=wire.LOOPBACK_CERTIFICATE, fault=fault) as running:
        path.write_text(json.dumps(running.profile, default=list))
        for options, words in (
            (("--cacert", wire.LOOPBACK_CERTIFICATE), f"--cacert {wire.LOOPBACK_CERTIFICATE} "),
            (("--insecure",), " -k "),
            (("-k",), " -k "),
        ):
            found = _run_over_tls(kit, tmp_path, running.base_url, path, *options)
            curl = found["causes"][0]["curl"]
            assert words in curl
            assert " 200" in _pasted(curl)
            assert found.get("unverified", False) == ("--cacert" not in options)
        remark = "The certificate of the target was not verified (--insecure)"
        assert remark in " ".join(remarks(found))
        assert statements.reason_against({**found, "verdict": "passed"}) == (
            "the certificate of the target was not verified (--insecure)"
        )


@pytest.mark.parametrize(("text", "word"), [("", "PEM"), ("nonsense", "PEM"), (None, "does not exist")])
def test_a_certificate_file_that_is_none(kit: Kit, tmp_path: Path, text: str | None, word: str) -> None:  # K40
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    result = kit("server", "https://127.0.0.1:9", "--cacert", path)
    assert result.exit_code == 2, result.output
    assert word in result.output
    assert "Traceback" not in result.output


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(response(b"{}")) as server, hostile(response(b"[]")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        monkeypatch.delenv("no_proxy", raising=False)
        transport = Transport(server.base_url, timeout=5, connect_timeout=5)
        assert transport.ask("GET", "/").body == b"{}"
        transport.close()
        transport = Transport("http://api.example.com", timeout=5, connect_timeout=5)
        assert transport.ask("GET", "/x").body == b"[]"
        transport.close()
    assert proxy.requests[0].startswith("GET http://api.example.com/x HTTP/1.1")
    assert len(server.requests) == 1
