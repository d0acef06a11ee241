"""Lenient servers: the kit passes all of them.

By default each server is tested with one seed; with FULL_PROOF=1, with twenty.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.conformance.proof_runner import FULL, at_once, batches, broken, name_of, report_on
from tests.conformance.reference import READINGS, Reading

SEEDS = range(1, 21) if FULL else (1,)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch", batches(READINGS), ids=name_of)
def test_each_reading_passes(batch: Sequence[Reading], seed: int) -> None:
    def complaint(reading: Reading) -> str:
        report = report_on(reading, seed=seed)
        accused = {id_: messages for id_, messages in broken(report).items() if id_ not in reading.warns}
        unclear = {each["id"] for each in report["clauses"] if each["status"] == "inconclusive"}
        if accused or unclear - set(reading.inconclusive):
            return f"{reading.id}: {reading.sentence} That is no breach, yet: {report['verdict']}, {accused}, {unclear}"
        return ""

    complaints = at_once(complaint, batch)
    assert not complaints, "\n".join(complaints)
