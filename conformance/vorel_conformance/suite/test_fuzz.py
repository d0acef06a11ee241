"""Generated requests: valid ones are accepted, invalid ones refused, and none makes the server fail."""

from __future__ import annotations

from dataclasses import replace

from vorel_conformance import fuzz
from vorel_conformance.session import Probe, strict_dumps
from vorel_conformance.suite import covers

DEEP = (60, 90, 500, 5_000, 20_000)
# Stands for the value of a member. Valid or not is a matter of taste; a declared status it has to be.
AWKWARD = {
    "half a surrogate pair": b'"\\ud83d"',
    "the halves of a pair the wrong way round": b'"\\ude00\\ud83d"',
    "NUL": b'"a\\u0000b"',
    "a number beyond every range": b"1e400",
    "a number of 5000 digits": b"9" * 5000,
    "a member twice": b'{"a": 1, "a": 2}',
    "noncharacters": '"\ufffe\uffff\U0010ffff"'.encode(),
    "the last characters of the planes": '"\ud7ff\ue000\ufffd\U0001fffd\U000e0001"'.encode(),
    "a very long name": b'{"' + b"n" * 30_000 + b'": 1}',
    "a byte order mark": b'"\xef\xbb\xbf"',
}


@covers("fuzz.no-server-error", requests=2 * len(DEEP) + len(AWKWARD))
def test_awkward_values(probe: Probe) -> None:
    """Only the oracles judge: whatever the server thinks of these, it must not fail."""
    template = strict_dumps(probe.record(fields={"value": "HERE"}))
    values = (
        [b"[" * n + b"]" * n for n in DEEP] + [b'{"a":' * n + b"1" + b"}" * n for n in DEEP] + list(AWKWARD.values())
    )
    for value in values:
        probe.send(probe.request(probe.crm, template.replace(b'"HERE"', value)))


@covers("fuzz.no-server-error", requests=lambda plan: len(AWKWARD) * bool(plan.own))
def test_awkward_texts(probe: Probe) -> None:
    if probe.target.own:
        template = strict_dumps(probe.note(reason="HERE"))
        for value in AWKWARD.values():
            probe.send(probe.request(probe.handoff, template.replace(b'"HERE"', value)))


@covers("fuzz.no-server-error", requests=lambda plan: 5 + 6 * bool(plan.own) + ("read_only" in plan.singles))
def test_awkward_requests(probe: Probe) -> None:
    """Only the oracles judge: requests that are odd as a whole, or wrong in two ways at once."""
    for operation in probe.contract.operations.values():
        if operation.takes_lead and not probe.target.own:
            continue
        valid = probe.valid(operation)
        body = valid.body or b""
        probe.send(replace(valid, body=b"\xef\xbb\xbf" + body))
        probe.send(replace(valid, body=body.decode().encode("utf-16")))
        probe.send(replace(valid, path=f"{valid.path}?trace=1&page[]=%00&q=%F0%9F%98%80"))
        probe.send(probe.request(operation, body, content_type=None))
        probe.send(probe.request(operation, body, headers=[("X-Forwarded-For", "127.0.0.1, ::1")]))
        if operation.takes_lead:
            probe.send(probe.request(operation, {"reason": 7}, lead=probe.unknown_lead()))
    if "read_only" in probe.target.single:
        probe.send(probe.request(probe.crm, b"{", key="read_only"))


@covers("fuzz.valid-accepted", "fuzz.no-server-error", requests=lambda plan: plan.fuzz)
def test_valid_crm_writes(probe: Probe) -> None:
    _generated(probe, "crm", valid=True)


@covers("fuzz.invalid-refused", "fuzz.no-server-error", requests=lambda plan: plan.fuzz, writes=False)
def test_invalid_crm_writes(probe: Probe) -> None:
    _generated(probe, "crm", valid=False)


@covers("fuzz.valid-accepted", "fuzz.no-server-error", requests=lambda plan: plan.fuzz * bool(plan.own))
def test_valid_handoffs(probe: Probe) -> None:
    if probe.target.own:
        _generated(probe, "handoff", valid=True)


@covers("fuzz.invalid-refused", "fuzz.no-server-error", requests=lambda plan: plan.fuzz * bool(plan.own), writes=False)
def test_invalid_handoffs(probe: Probe) -> None:
    if probe.target.own:
        _generated(probe, "handoff", valid=False)


def _generated(probe: Probe, kind: str, *, valid: bool) -> None:
    operation = probe.crm if kind == "crm" else probe.handoff
    clause = "fuzz.valid-accepted" if valid else "fuzz.invalid-refused"
    count = probe.session.shared.get("fuzz", 0)
    bodies = fuzz.bodies(operation.id, valid, probe.session.seed, count)
    requests = [probe.request(operation, fuzz.marked(body, probe.session.seed)) for body in bodies]
    label = f"a generated {'valid' if valid else 'invalid'} body"
    status = 200 if valid else 400
    probe.each(lambda request: probe.expect(clause, label, request, {status}), requests)
    fuzz.shrink_breaches(probe, clause, operation.id, valid=valid, label=label, status=status)
