"""The proof of the kit: its clauses catch every fault of the catalogue, and no other clause does.

By default one fault for each clause runs, and a server has up to three; FAULT=ID runs one fault, FULL_PROOF=1 all of
them, each in a server of its own. `docs/kill-table.md` is generated from the catalogue. The proof asserts every row of
it. WRITE_KILL_TABLE=1 writes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.proof_runner import FULL, at_once, batches, broken, report_on
from tests.conformance.reference import ENDURANCE_FAULTS, FAULTS, KINDS, READINGS, Fault, merged

from vorel_conformance.spec import clauses

TABLE = Path(__file__).parents[2] / "docs" / "kill-table.md"
CLAUSES = list(clauses.load())


def one_for_each_clause() -> list[Fault]:
    """Return faults that violate every clause at least once. The slow ones are chosen last, and run first."""
    if only := os.environ.get("FAULT"):
        return [fault for fault in FAULTS if fault.id == only]
    left = set(CLAUSES)
    chosen = []
    for fault in sorted(FAULTS, key=lambda fault: fault.window):
        if left & set(fault.clauses):
            left -= set(fault.clauses)
            chosen.append(fault)
    return chosen[::-1]


MOST = 3  # faults of one server
#: What they do hides, or changes, what others lead to.
ALONE = {"crm_501", "handoff_501", "one_limit_for_tenant", "replay_400", "repost_409"}
Faults = tuple[Fault, ...]


def few_servers(faults: Sequence[Fault]) -> list[Faults]:
    """Distribute faults to servers, such that each clause of a fault can be violated by that fault alone."""
    servers: list[list[Fault]] = []
    for fault in faults:
        others = next((others for others in servers if _fits(fault, others)), None)
        if others is None:
            servers.append(others := [])
        others.append(fault)
    return [tuple(each) for each in servers]


def _fits(fault: Fault, others: Sequence[Fault]) -> bool:
    return (
        len(others) < MOST
        and not ALONE & {fault.id, *(other.id for other in others)}
        and all((other.wire, other.window) == (fault.wire, fault.window) for other in others)
        and all(_apart(fault, other) and _apart(other, fault) for other in others)
    )


def _apart(one: Fault, other: Fault) -> bool:
    return not set(one.changes) & set(other.changes) and not set(one.clauses) & {*other.clauses, *other.also}


def complaint(faults: Faults, **options: Any) -> str:
    """Return what is wrong with the verdict of the kit on a server with faults, or an empty string."""
    found = broken(report_on(fault=merged(faults), **options))
    said = " ".join(f"{fault.id}: {fault.sentence}" for fault in faults)
    missed = {id_ for fault in faults for id_ in fault.clauses} - set(found)
    allowed = {id_ for fault in faults for id_ in (*fault.clauses, *fault.also)}
    strangers = {id_: found[id_] for id_ in set(found) - allowed if "*" not in allowed}
    if missed:
        return f"{said} Not caught by {sorted(missed)}; violated: {found}"
    return f"{said} Unrelated clauses are violated: {strangers}" * bool(strangers)


def name(batch: Sequence[Faults]) -> str:
    return "..".join(dict.fromkeys("+".join(fault.id for fault in each) for each in (batch[0], batch[-1])))


SERVERS = [(fault,) for fault in FAULTS] if FULL else few_servers(one_for_each_clause())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", batches(SERVERS), ids=name)
def test_each_fault_is_caught_by_its_clauses_and_no_other(batch: Sequence[Faults]) -> None:
    complaints = at_once(complaint, batch)
    assert not complaints, "\n".join(complaints)


# K1, K2, K3 and their kinds. FULL_PROOF has them among all faults.
@pytest.mark.skipif(FULL, reason="among all faults")
@pytest.mark.parametrize("fault", [each for each in ENDURANCE_FAULTS if not each.wire], ids=lambda fault: fault.id)
def test_rules_hold_late_and_for_near_values_and_for_each_key(fault: Fault) -> None:
    assert not complaint((fault,))


@pytest.mark.skipif(FULL, reason="among all faults")
@pytest.mark.parametrize("fault", [each for each in ENDURANCE_FAULTS if each.wire], ids=lambda fault: fault.id)
def test_rules_hold_side_by_side(fault: Fault) -> None:
    groups = dict.fromkeys(id_.partition(".")[0] for id_ in fault.clauses)
    # Two requests must really be in progress at the same time; on a busy machine they are not in each run.
    complaints = []
    while found := complaint((fault,), clauses=tuple(groups)):
        complaints.append(found)
        assert len(complaints) < 3, complaints


def test_every_clause_has_a_fault() -> None:
    assert set(CLAUSES) - {id_ for fault in FAULTS for id_ in fault.clauses} == set()


def test_faults_name_clauses_that_exist() -> None:
    named = {id_ for fault in FAULTS for id_ in (*fault.clauses, *fault.also)} - {"*"}
    assert named - set(CLAUSES) == set()
    assert all(fault.clauses for fault in FAULTS)


def test_each_kind_names_faults_and_each_fault_of_endurance_has_a_kind() -> None:
    named = {name for names in KINDS.values() for name in names}
    assert named <= {fault.id for fault in FAULTS}
    assert {fault.id for fault in ENDURANCE_FAULTS} <= named


def test_ids_are_told_apart() -> None:
    ids = [variant.id for variant in (*FAULTS, *READINGS)]
    assert len(ids) == len(set(ids))


def kill_table() -> str:
    """Return the catalogue as a page: the clauses, and the faults that each of them catches."""
    lines = [
        "# Faults and the clauses that catch them",
        "",
        "Generated by `WRITE_KILL_TABLE=1 python -m pytest tests/conformance/test_proof.py`. Do not edit.",
        "",
        f"{len(FAULTS)} servers with one fault each, and the clauses of the kit that must catch it. A test runs",
        "the kit against each server. It fails if one of these clauses does not catch the fault, or if an",
        "unrelated clause is violated.",
        "",
        "What nobody thought of is in [mutation.md](mutation.md): mutants of the reference server, made mechanically.",
        "",
        f"{len(READINGS)} more servers differ only where the contract leaves a choice. The kit must pass all of them.",
        "",
    ]
    lines += [
        "## Rules that hold only sometimes",
        "",
        "A rule may hold in one place and not in another. What shows that:",
        "",
    ]
    lines += ["| a rule that holds … | faulty servers |", "|---|---|"]
    lines += [f"| {kind} | {', '.join(f'`{name}`' for name in names)} |" for kind, names in KINDS.items()]
    lines.append("")
    for id_ in CLAUSES:
        lines += [f"## {id_}", "", "| fault | description | also caught by |", "|---|---|---|"]
        for fault in FAULTS:
            if id_ in fault.clauses:
                others = ", ".join(other for other in fault.clauses if other != id_)
                lines.append(f"| `{fault.id}` | {fault.sentence} | {others} |")
        lines.append("")
    lines += ["## Servers that pass", "", "| server | description |", "|---|---|"]
    lines += [f"| `{reading.id}` | {reading.sentence} |" for reading in READINGS]
    return "\n".join([*lines, ""])


def test_kill_table_is_up_to_date() -> None:
    if os.environ.get("WRITE_KILL_TABLE"):
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(kill_table(), encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == kill_table(), "WRITE_KILL_TABLE=1 writes it again"
