"""Scopes: 403 for a valid key without the scope of the operation."""

from __future__ import annotations

from typing import Any

from vorel_conformance.session.probe import Probe, with_key
from vorel_conformance.spec.contract import Operation
from vorel_conformance.suite import covers


def _forms(probe: Probe, operation: Operation) -> dict[str, Any]:
    """Return different valid bodies of an operation. Each of them needs the scope."""
    if operation.takes_lead:
        return {"": probe.handoff_body(), ", no body": None, ", an empty object": {}}
    kinds = operation.body["properties"]["object"]["enum"]
    return {f", object {kind}": probe.record_body(object=kind) for kind in kinds}


def _rejected(probe: Probe, clause: str, key: str, operation: Operation) -> None:
    for form, body in _forms(probe, operation).items():
        request = probe.request(operation, body, key=key)
        probe.expect(clause, f"{key} on {operation.id}{form}", request, {403})
    # A replay of a successful write needs the scope too.
    if not operation.takes_lead:
        request = probe.valid(operation)
        probe.send(request)
        probe.expect(clause, f"{key} on {operation.id}, a replay", with_key(request, key), {403})
    # With an invalid body the server may check the body first, but it must not accept the request.
    probe.expect(clause, f"{key} on {operation.id}, an invalid body", probe.request(operation, [], key=key), {403, 400})


def _can_judge(probe: Probe, clause: str, key: str, operation: Operation) -> bool:
    """Return True if the operation is served, and the profile has the key and a lead. Otherwise record a gap."""
    return (
        probe.serves(operation, clause)
        and probe.has(key, clause)
        and (not operation.takes_lead or probe.has("own", clause))
    )


# Requests of `_rejected`: for the handoff, and for the CRM write.
HANDOFF_COST, CRM_COST = 4, 8


@covers(
    "scope.handoff", requests=lambda size: HANDOFF_COST * ("read_only" in size.singles and size.own > 0), writes=False
)
def test_handoff_needs_its_scope(probe: Probe) -> None:
    # Without a lead of our own, 404 is valid whatever the scope.
    if probe.has("read_only", "scope.handoff") and probe.has("own", "scope.handoff"):
        _rejected(probe, "scope.handoff", "read_only", probe.handoff)


@covers("scope.crm", requests=lambda size: CRM_COST * ("read_only" in size.singles))
def test_crm_needs_its_scope(probe: Probe) -> None:
    if probe.has("read_only", "scope.crm"):
        _rejected(probe, "scope.crm", "read_only", probe.crm)


@covers(
    "scope.no-crossover",
    requests=lambda size: (
        CRM_COST * ("leads_only" in size.singles) + HANDOFF_COST * ("crm_only" in size.singles and size.own > 0)
    ),
)
def test_one_scope_does_not_open_the_other(probe: Probe) -> None:
    for name, operation in (("leads_only", probe.crm), ("crm_only", probe.handoff)):
        if _can_judge(probe, "scope.no-crossover", name, operation):
            _rejected(probe, "scope.no-crossover", name, operation)


@covers("scope.sufficient", requests=lambda size: len({"leads_only", "crm_only"} & size.singles) * 2)
def test_the_scope_is_enough(probe: Probe) -> None:
    for name, operation in (("leads_only", probe.handoff), ("crm_only", probe.crm)):
        if _can_judge(probe, "scope.sufficient", name, operation):
            for _ in range(2):
                probe.expect("scope.sufficient", f"{name} on {operation.id}", probe.valid(operation, key=name), {200})
