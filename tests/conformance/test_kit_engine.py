"""The engine: requests, pace, evidence, retries."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.internal import charmap
from tests.conformance.conftest import served
from tests.conformance.in_process import JumpingClock, inside
from tests.conformance.proof_runner import LIMIT, WINDOW, certify
from tests.conformance.reference import FAULTS, Running
from tests.conformance.reference.server import Answer, Variant

from vorel_conformance.checks import response
from vorel_conformance.http import strict_json
from vorel_conformance.http.client import Client
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.pacing import Pacer
from vorel_conformance.http.placeholders import resolve
from vorel_conformance.http.target import Target, TargetError
from vorel_conformance.spec import contract
from vorel_conformance.suite import fuzzing, rate_limit_bursts

Serve = Callable[..., Running]
KEYS = tuple(f"vapk_live_{n:048x}" for n in range(1, 4))
TARGET = Target("http://127.0.0.1:9", full=KEYS, limit=20, window_s=2.0, single={"revoked": "vapk_live_" + "f" * 48})


@pytest.fixture
def server() -> Serve:
    """Make the reference server in this process, or the faulty one with this id."""
    known = {fault.id: fault for fault in FAULTS}
    return lambda fault=None, **changes: inside(
        fault=known[fault] if fault else None, **{"limit": LIMIT, "window": WINDOW, **changes}
    )


def status_of(report: dict[str, Any], clause: str) -> str:
    return next(str(each["status"]) for each in report["clauses"] if each["id"] == clause)


def violations_of(report: dict[str, Any], clause: str) -> list[dict[str, Any]]:
    return next(each["violations"] for each in report["clauses"] if each["id"] == clause)


# --- the same seed, the same requests --------------------------------------------------------------------------------


def requests_of(running: Running, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    sent: list[Request] = []
    send = Client.send

    def listen(self: Client, request: Request, *, unpaced: bool = False) -> Exchange:
        sent.append(request)
        return send(self, request, unpaced=unpaced)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "send", listen)
        # Without the bursts: their repetition depends on the clock.
        certify(
            running, seed=seed, workers=1, fuzz=12, clauses=("envelope", "auth", "tenancy", "handoff", "crm", "fuzz")
        )
    return sent


def test_the_same_seed_sends_the_same_requests(server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, other = (requests_of(server(), seed, monkeypatch) for seed in (7, 7, 8))
    assert one == two
    assert Counter(one) != Counter(other)


# --- pacing ----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["full.0", "full.1", None]), min_size=1, max_size=120), st.floats(60, 60_000))
def test_no_key_is_ever_sent_over_its_limit(keys: list[str | None], rate: float) -> None:
    clock = JumpingClock()
    pacer = Pacer(TARGET, rate, clock)
    sent: dict[str | None, list[float]] = {}
    for key in keys:
        pacer.wait(key, unpaced=False)
        sent.setdefault(key, []).append(clock.monotonic())
    for key, times in sent.items():
        if key:
            for earlier, later in zip(times, times[TARGET.limit - 1 :], strict=False):
                assert later - earlier > TARGET.window_s
    everything = sorted(chain(*sent.values()))
    # Evenly, except for one request that may catch up after a delay.
    assert all(b - a >= 60 / rate - 1e-6 for a, b in zip(everything, everything[2:], strict=False))


def test_a_key_that_is_held_back_waits() -> None:
    clock = JumpingClock()
    pacer = Pacer(TARGET, 60_000, clock)
    pacer.hold_back("full.0", 1.5)
    pacer.wait("full.1", unpaced=False)
    assert clock.monotonic() < 0.1
    pacer.wait("full.0", unpaced=False)
    assert clock.monotonic() >= 1.5


def test_only_the_bursts_reach_the_limit(server: Serve) -> None:
    running = server()
    report = certify(running, clauses=("auth", "crm", "handoff", "fuzz"), fuzz=20)
    assert report["verdict"] == "passed"
    assert "429" not in str([each["violations"] for each in report["clauses"]])
    assert not any(tally.count > running.server.limit for tally in running.server.windows.values())


def test_a_key_that_is_always_limited_is_waited_for_once(server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Counter[str | None] = Counter()
    held_back: Counter[str] = Counter()
    send, hold_back = Client.send, Pacer.hold_back

    def listen(self: Client, request: Request, *, unpaced: bool = False) -> Exchange:
        sent[request.key] += 1
        return send(self, request, unpaced=unpaced)

    def count(self: Pacer, key: str, seconds: float) -> None:
        held_back[key] += 1
        hold_back(self, key, 0.1)

    monkeypatch.setattr(Client, "send", listen)
    monkeypatch.setattr(Pacer, "hold_back", count)
    report = certify(server("soft_failure_429"), clauses=("crm",))
    assert status_of(report, "crm.soft-failure-status") == "failed"
    assert sent["soft.rate_limited"] > 3
    assert held_back["soft.rate_limited"] == 2  # one more for the retry of the violation


def test_a_check_that_comes_too_late_is_no_evidence(server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit_bursts, "CHECKS_AT", (1.2,))  # like a run that is busy
    report = certify(server(window=8.0), window_s=8.0, clauses=("limit",))
    assert {each["id"]: each["violations"] for each in report["clauses"] if each["status"] != "passed"} == {}


# --- placeholders ----------------------------------------------------------------------------------------------------


def test_placeholders_are_replaced_by_keys() -> None:
    assert resolve("Bearer ${full.1}", TARGET, 1) == f"Bearer {KEYS[1]}"
    assert resolve("${full.0|cut.22}", TARGET, 1) == KEYS[0][:22]
    assert resolve("${full.0|add.2}", TARGET, 1) == KEYS[0] + "00"
    assert resolve("${random.0}", TARGET, 1) == resolve("${random.0}", TARGET, 1) != resolve("${random.0}", TARGET, 2)
    with pytest.raises(KeyError, match="read_only"):
        resolve("${read_only}", TARGET, 1)


@given(st.integers(10, 57))
def test_a_flipped_key_differs_in_one_digit(place: int) -> None:
    flipped = resolve(f"${{full.0|flip.{place}}}", TARGET, 1)
    assert [n for n, (a, b) in enumerate(zip(flipped, KEYS[0], strict=True)) if a != b] == [place]
    assert flipped.lower() != KEYS[0].lower()


# --- fuzzing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", list(contract.load().operations))
@pytest.mark.parametrize("valid", [True, False])
def test_generated_bodies_are_valid_or_invalid_as_asked(operation: str, valid: bool) -> None:
    bodies = fuzzing.bodies(operation, valid, 11, 30)
    assert len(set(bodies)) == 30
    assert bodies == fuzzing.bodies.__wrapped__(operation, valid, 11, 30)
    schema = contract.load().operations[operation].body
    validator = contract.validator_of({**schema, "components": contract.load().document["components"]})
    for body in bodies:
        parsed = strict_json.parse(body)
        assert (not parsed.error and validator.is_valid(parsed.value)) is valid


def test_imported_modules_do_not_change_generated_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fuzzing.bodies.__wrapped__("createCrmRecord", True, 5, 60)
    lines = "\n".join(f"C{n} = 'local {n}'" for n in range(200))
    (tmp_path / "local_module_with_constants.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("local_module_with_constants")
    assert fuzzing.bodies.__wrapped__("createCrmRecord", True, 5, 60) == before


NO_FOLDER = """
from hypothesis import configuration
from vorel_conformance.suite import fuzzing

configuration.set_hypothesis_home_dir("mine")
fuzzing.bodies("handoffLead", True, 1, 5)
assert configuration.storage_directory("x").path.parts == ("mine", "x")
"""


def test_generating_leaves_no_folder(tmp_path: Path) -> None:  # K5
    subprocess.run([sys.executable, "-c", NO_FOLDER], cwd=tmp_path, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_hypothesis_is_given_the_characters_of_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charmap, "sys", SimpleNamespace(maxunicode=9))  # what it would find by itself
    with fuzzing._no_folder():
        encodable, lossy = charmap.intervals_from_codec.__wrapped__("utf-8")
    assert encodable.intervals == ((0, 0xD7FF), (0xE000, 0x10FFFF))
    assert not lossy.intervals
    with pytest.raises(UnicodeEncodeError):
        chr(0xD7FF + 1).encode()
    with pytest.raises(UnicodeEncodeError):
        chr(0xE000 - 1).encode()


def test_a_generated_violation_is_shrunk(server: Serve) -> None:
    report = certify(server("emoji_refused"), clauses=("fuzz.valid-accepted",), fuzz=60)
    assert status_of(report, "fuzz.valid-accepted") == "failed"
    smallest = violations_of(report, "fuzz.valid-accepted")[0]["request"]["body"]
    assert len(smallest) < 120


# --- evidence --------------------------------------------------------------------------------------------------------


def test_a_violation_that_is_not_seen_every_time_is_flaky(server: Serve) -> None:
    report = certify(server("flaky_ok"), clauses=("crm",))
    found = [each.get("flaky") for each in violations_of(report, "crm.ok")]
    assert status_of(report, "crm.ok") == "failed"
    assert any(each and 0 < each["failed"] < each["of"] for each in found)


def test_a_violation_that_is_seen_every_time_is_not_flaky(server: Serve) -> None:
    report = certify(server("channel_sms"), clauses=("handoff.notified-channel",))
    assert [each.get("flaky") for each in violations_of(report, "handoff.notified-channel")[:2]] == [None, None]


def test_a_disagreement_of_the_validators_is_a_fault_of_the_kit(server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    from vorel_conformance.checks import schema

    def contrary(value: Any, text: bytes | None) -> bool:
        return not contract.validator("/components/schemas/ErrorEnvelope").is_valid(value)

    monkeypatch.setattr(schema, "_second", lambda pointer: contrary)
    report = certify(server(), clauses=("auth.missing",))
    assert report["verdict"] == "error"
    assert "disagree" in str(report["clauses"])


def test_an_invalid_key_ends_the_run_in_the_preflight(server: Serve) -> None:
    running = server()
    profile = {**running.profile, "keys": {"full": ["vapk_live_" + "0" * 48]}}
    with pytest.raises(TargetError, match=r"keys\.full\[0\] does not authenticate"):
        certify(replace(running, profile=profile))


def test_a_run_with_several_workers() -> None:
    with served() as running:
        report = certify(running, workers=8)
    assert report["verdict"] == "passed"


# --- an operation that is not served (K17) ---------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "cause"), [("crm_501", "crm.served"), ("handoff_501", "handoff.served")])
def test_an_operation_that_is_not_served_is_one_cause(server: Serve, fault: str, cause: str) -> None:
    report = certify(server(fault))
    assert [each["id"] for each in report["clauses"] if each["status"] in ("failed", "warning")] == [cause]
    (violation,) = violations_of(report, cause)
    assert "every request leads to HTTP 501" in violation["message"]
    group, scope = cause.partition(".")[0], f"scope.{cause.partition('.')[0]}"
    unjudged = {each["id"]: each["reason"] for each in report["clauses"] if each["status"] == "inconclusive"}
    assert all(f"is not served, see {cause}" in reason for reason in unjudged.values())
    # Only what needs the operation itself.
    others = {each for each in unjudged if not each.startswith(f"{group}.") and each != scope}
    assert others <= {"limit.every-operation"} | ({"tenancy.crm-writes"} if group == "crm" else TENANCY_OF_LEADS)


TENANCY_OF_LEADS = {"tenancy.unknown-lead", "tenancy.foreign-lead", "tenancy.indistinguishable"}


def test_a_server_without_any_operation_cannot_be_tested() -> None:
    answer = Answer(501, {"error": {"code": "internal_error", "message": "Not implemented."}})
    nothing = Variant("nothing", "Every request is a 501.", {"answer": lambda was, v: answer})
    with pytest.raises(TargetError, match=r"serves none of .* leads to HTTP 501"):
        certify(inside(fault=nothing))


# --- strict JSON -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1,"a":2}',
        b"NaN",
        b"[Infinity]",
        b"1 2",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'"\\ud83d"',
        b"1e999",
    ],
)
def test_invalid_json_is_rejected(body: bytes) -> None:
    assert strict_json.parse(body).error


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_is_parsed(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert strict_json.parse(text.encode()) == strict_json.Parsed(value)


@given(st.binary(max_size=40))
def test_the_parser_never_raises(body: bytes) -> None:
    parsed = strict_json.parse(body)
    assert parsed.error or parsed.value is None or body


# --- response checks -------------------------------------------------------------------------------------------------


SECRET = "3f9a77b0c1d2e4856a0b9f13d7c82e64f05b9ad1c3e7284f"


def response_of(status: int, body: bytes, operation: str = "handoffLead", **headers: str) -> Exchange:
    found = contract.load().operations[operation]
    pairs = (
        ("Content-Type", "application/json"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    )
    sent = (("Content-Type", "application/json"),)
    request = Request(found.method, found.url("11111111-1111-4111-8111-111111111111"), sent, b"{}", "full.0")
    return Exchange(1, request, "", found, status, pairs, body, credential="Bearer vapk_live_" + SECRET)


def broken(exchange: Exchange) -> set[str]:
    checks = [check for each in response.RESPONSE_CHECKS for check in each(exchange, TARGET)]
    return {check.clause for check in checks if not check.ok}


ERROR = b'{"error": {"code": "%s", "message": "%s"}}'


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (response_of(404, ERROR % (b"not_found", b"no such lead")), set()),
        (response_of(404, ERROR % (b"gone", b"no such lead")), {"envelope.code"}),
        (response_of(404, ERROR % (b"forbidden", b"no")), {"envelope.code-matches-status"}),
        (response_of(404, ERROR % (b"not_found", b"")), {"envelope.message-readable"}),
        (response_of(404, ERROR % (b"not_found", b"for " + SECRET.encode())), {"envelope.message-safe"}),
        (response_of(404, ERROR % (b"not_found", b"Traceback (most recent call last):")), {"envelope.message-safe"}),
        (response_of(404, b'{"error": "x"}'), {"envelope.shape"}),
        (response_of(404, b"<html>"), {"envelope.strict-json"}),
        (response_of(418, ERROR % (b"bad_request", b"tea")), {"envelope.declared-status"}),
        (response_of(500, ERROR % (b"internal_error", b"sorry")), {"fuzz.no-server-error"}),
        (response_of(200, b'{"ok": true, "external_id": "1"}', "createCrmRecord"), set()),
        (response_of(200, b'{"ok": true}', "createCrmRecord"), {"crm.success"}),
        (response_of(200, b'{"ok": 1, "external_id": "1"}', "createCrmRecord"), {"crm.ok"}),
        (response_of(200, b'{"ok": false, "error": "It broke"}', "createCrmRecord"), {"crm.error-token"}),
        (
            response_of(200, b'{"ok": true, "external_id": "1", "record_url": "/x"}', "createCrmRecord"),
            {"crm.record-url"},
        ),
    ],
    ids=lambda value: "",
)
def test_response_checks(exchange: Exchange, expected: set[str]) -> None:
    assert broken(exchange) == expected
