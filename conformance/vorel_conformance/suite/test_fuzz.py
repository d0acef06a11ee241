"""Generated requests: valid ones are accepted, invalid ones refused, and none makes the server fail."""

from __future__ import annotations

from vorel_conformance import fuzz
from vorel_conformance.session import Probe
from vorel_conformance.suite import covers


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
