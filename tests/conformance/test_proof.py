"""The proof of the kit: each fault of the catalogue is caught by the clauses that it breaks, and by no other.

By default one fault for each clause is run, FULL_PROOF=1 runs all of them. `docs/kill-table.md` is made from the
catalogue, whose every row the proof asserts; WRITE_KILL_TABLE=1 writes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.conformance.proof_runner import FULL, at_once, batches, broken, name_of, report_on
from tests.conformance.reference import FAULTS, READINGS, Fault

from vorel_conformance.spec import clauses

TABLE = Path(__file__).parents[2] / "docs" / "kill-table.md"
CLAUSES = list(clauses.load())


def one_for_each_clause() -> list[Fault]:
    """A few faults that between them break every clause: each that breaks one not broken by those before it.

    Those that take long are chosen last, and run first.
    """
    left = set(CLAUSES)
    chosen = []
    for fault in sorted(FAULTS, key=lambda fault: fault.window):
        if left & set(fault.clauses):
            left -= set(fault.clauses)
            chosen.append(fault)
    return chosen[::-1]


def complaint(fault: Fault) -> str:
    """What is wrong with the kit's verdict on a fault; nothing when it is right."""
    found = broken(report_on(fault=fault))
    missed = set(fault.clauses) - set(found)
    strangers = {id_: found[id_] for id_ in set(found) - {*fault.clauses, *fault.also} if "*" not in fault.also}
    if missed:
        return f"{fault.id}: {fault.sentence} Not seen by {sorted(missed)}; complaints: {found}"
    return f"{fault.id}: {fault.sentence} Clauses complain that have nothing to do with it: {strangers}" * bool(
        strangers
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", batches(FAULTS if FULL else one_for_each_clause()), ids=name_of)
def test_each_fault_is_caught_by_its_clauses_and_no_other(batch: Sequence[Fault]) -> None:
    complaints = at_once(complaint, batch)
    assert not complaints, "\n".join(complaints)


def test_every_clause_has_a_fault() -> None:
    assert set(CLAUSES) - {id_ for fault in FAULTS for id_ in fault.clauses} == set()


def test_faults_name_clauses_that_exist() -> None:
    named = {id_ for fault in FAULTS for id_ in (*fault.clauses, *fault.also)} - {"*"}
    assert named - set(CLAUSES) == set()
    assert all(fault.clauses for fault in FAULTS)


def test_ids_are_told_apart() -> None:
    ids = [variant.id for variant in (*FAULTS, *READINGS)]
    assert len(ids) == len(set(ids))


def kill_table() -> str:
    """The catalogue as a page: which clause catches which fault."""
    lines = [
        "# What catches what",
        "",
        "Made by `WRITE_KILL_TABLE=1 python -m pytest tests/conformance/test_proof.py`; do not edit.",
        "",
        f"{len(FAULTS)} servers, each with one fault, and the clauses of the kit that have to catch it. A test runs",
        "the kit against each: it fails when one of these clauses stays silent, and when a clause complains that has",
        "nothing to do with the fault.",
        f"{len(READINGS)} more servers read a silence of the contract their own way; all of them pass.",
        "",
    ]
    for id_ in CLAUSES:
        lines += [f"## {id_}", "", "| fault | what is wrong | also caught by |", "|---|---|---|"]
        for fault in FAULTS:
            if id_ in fault.clauses:
                others = ", ".join(other for other in fault.clauses if other != id_)
                lines.append(f"| `{fault.id}` | {fault.sentence} | {others} |")
        lines.append("")
    lines += ["## Servers that pass", "", "| reading | what it does |", "|---|---|"]
    lines += [f"| `{reading.id}` | {reading.sentence} |" for reading in READINGS]
    return "\n".join([*lines, ""])


def test_kill_table_is_up_to_date() -> None:
    if os.environ.get("WRITE_KILL_TABLE"):
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(kill_table(), encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == kill_table(), "WRITE_KILL_TABLE=1 writes it anew"
