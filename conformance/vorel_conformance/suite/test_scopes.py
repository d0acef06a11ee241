"""What a key may do: 403 for a valid key without the operation's scope."""

from __future__ import annotations

from vorel_conformance.session import Probe
from vorel_conformance.suite import covers


@covers("scope.handoff", requests=lambda plan: 2 * ("read_only" in plan.singles and plan.own > 0), writes=False)
def test_handoff_needs_its_scope(probe: Probe) -> None:
    # Without a lead of ours the answer may be a 404, whatever the scope.
    if probe.has("read_only", "scope.handoff") and probe.has("own", "scope.handoff"):
        for _ in range(2):
            probe.expect("scope.handoff", "the read-only key", probe.valid(probe.handoff, key="read_only"), {403})


@covers("scope.crm", requests=lambda plan: 2 * ("read_only" in plan.singles), writes=False)
def test_crm_needs_its_scope(probe: Probe) -> None:
    if probe.has("read_only", "scope.crm"):
        for _ in range(2):
            probe.expect("scope.crm", "the read-only key", probe.valid(probe.crm, key="read_only"), {403})


@covers("scope.no-crossover", requests=lambda plan: len({"leads_only", "crm_only"} & plan.singles) * 2, writes=False)
def test_one_scope_does_not_open_the_other(probe: Probe) -> None:
    for name, operation in (("leads_only", probe.crm), ("crm_only", probe.handoff)):
        if probe.has(name, "scope.no-crossover") and (
            not operation.takes_lead or probe.has("own", "scope.no-crossover")
        ):
            for _ in range(2):
                probe.expect("scope.no-crossover", f"{name} on {operation.id}", probe.valid(operation, key=name), {403})


@covers("scope.sufficient", requests=lambda plan: len({"leads_only", "crm_only"} & plan.singles) * 2)
def test_the_scope_is_enough(probe: Probe) -> None:
    for name, operation in (("leads_only", probe.handoff), ("crm_only", probe.crm)):
        if probe.has(name, "scope.sufficient") and (not operation.takes_lead or probe.has("own", "scope.sufficient")):
            for _ in range(2):
                probe.expect("scope.sufficient", f"{name} on {operation.id}", probe.valid(operation, key=name), {200})
