"""Servers that misbehave on the wire: the kit ends by itself, with a verdict or a clear error message."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from tests.conformance.proof_runner import FULL, LIMIT, WINDOW, certify
from tests.conformance.reference import wire

from vorel_conformance.http.target import TargetError, from_profile
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.server import run

MIB = 1 << 20
# These servers do the same to every response: a part of the clauses meets it. FULL_PROOF: all.
SOME = () if FULL else ("envelope", "auth", "handoff.repost", "crm.replay-at-once", "limit")


def verdict(manner: wire.Manner, **options: Any) -> dict[str, Any]:
    with wire.serve_wire(manner, limit=LIMIT, window=WINDOW) as running:
        return certify(running, **options)


def failed(report: dict[str, Any]) -> set[str]:
    return {clause["id"] for clause in report["clauses"] if clause["status"] in {"failed", "error"}}


@pytest.mark.parametrize(
    "manner",
    [wire.plain, wire.close_silently, wire.close_said, wire.http_1_0, wire.no_reason],
    ids=["plain", "closes silently", "closes", "HTTP/1.0", "no reason phrase"],
)
def test_valid_behavior_passes(manner: wire.Manner) -> None:
    assert failed(verdict(manner, clauses=SOME)) == set()


@pytest.mark.parametrize("manner", [wire.drop_one_in(50), wire.cut_one_in(50)], ids=["drops", "cuts"])
def test_rare_broken_connections_are_no_violation(manner: wire.Manner) -> None:
    assert failed(verdict(manner, clauses=SOME)) == set()


@pytest.mark.timeout(600)
def test_slow_server_gets_a_verdict() -> None:
    # FULL_PROOF: two seconds for a response, and all clauses. By default a part of both.
    some = ("auth", "scope", "tenancy", "handoff.repost", "handoff.answer")
    report = verdict(wire.slow(2.0 if FULL else 0.3), fuzz=5, clauses=() if FULL else some)
    assert failed(report) == set()
    assert report["verdict"] in ({"passed", "inconclusive"} if FULL else {"passed"})


def test_rare_huge_responses_are_a_violation() -> None:
    report = verdict(wire.endless_one_in(40, 100 * MIB), timeout=2.0, clauses=("envelope", "handoff"))
    assert "envelope.strict-json" in failed(report)


@pytest.mark.parametrize(
    ("manner", "word"),
    [
        (wire.never, "does not respond"),
        (wire.drip, "does not respond"),
        (wire.garbage, "does not respond"),
        (wire.long_headers, "does not respond"),
        (wire.redirect, "redirects"),
        (wire.gone_after(0), "does not respond"),
        (wire.web_page, "web page"),
        (wire.endless(100 * MIB), "MiB|bytes"),
    ],
    ids=["never", "drip", "garbage", "long headers", "redirect", "closes at once", "web page", "100 MB"],
)
def test_an_unusable_target_ends_the_run_in_the_preflight(manner: wire.Manner, word: str) -> None:
    with pytest.raises(TargetError, match=word):
        verdict(manner, timeout=0.5, connect_timeout=0.5)


@pytest.mark.parametrize("manner", [wire.never_after(150), wire.gone_after(150)], ids=["silent", "gone"])
def test_a_server_that_stops_responding_never_passes(manner: wire.Manner) -> None:
    report = verdict(manner, timeout=0.3)
    assert report["verdict"] in {"failed", "inconclusive"}
    assert "error" not in {clause["status"] for clause in report["clauses"]}


def test_untrusted_certificate_is_named() -> None:
    with (
        wire.serve_wire(wire.plain, tls=wire.CERTIFICATE) as running,
        pytest.raises(TargetError, match=r"(?i)certificate"),
    ):
        certify(running)


def test_plain_http_on_a_tls_port_is_a_target_error() -> None:
    with wire.serve_wire(wire.plain, tls=wire.CERTIFICATE) as running:
        url = running.base_url.replace("https:", "http:")
        target = from_profile(running.profile, url)
        with pytest.raises(TargetError):
            run(url, target=target, options=Options(timeout=0.5))


def test_refused_connection_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with wire.serve_wire(wire.plain) as running, pytest.raises(TargetError, match=r"(?i)refused"):
        run(url, target=from_profile(running.profile, url), options=Options(timeout=0.5, connect_timeout=0.5))


def test_a_run_ends_at_its_time_limit() -> None:
    began = time.monotonic()
    report = verdict(wire.slow(0.2), time_limit=3.0)
    assert time.monotonic() - began < 60
    assert report["verdict"] == "inconclusive"
