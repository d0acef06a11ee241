"""Lenient servers: the kit passes all of them.

By default a server is lenient in several ways at once, and tested with one seed; with FULL_PROOF=1, in one way, and
with twenty seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.conformance.proof_runner import FULL, at_once, batches, broken, name_of, report_on
from tests.conformance.reference import READINGS, Reading

SEEDS = range(1, 21) if FULL else (1,)
WAYS = 4  # of one server at most


def in_several_ways() -> list[Reading]:
    """Return fewer servers: those that choose different things are one, if all need connections, or none does."""
    servers: list[list[Reading]] = []
    for reading in READINGS:
        for ways in servers:
            chosen = {hook for way in ways for hook in way.changes}
            if len(ways) < WAYS and ways[0].wire == reading.wire and not chosen & set(reading.changes):
                ways.append(reading)
                break
        else:
            servers.append([reading])
    return [
        Reading(
            "+".join(way.id for way in ways),
            " ".join(way.sentence for way in ways),
            {hook: change for way in ways for hook, change in way.changes.items()},
            date=all(way.date for way in ways),
            wire=ways[0].wire,
            warns=tuple(id_ for way in ways for id_ in way.warns),
            inconclusive=tuple(id_ for way in ways for id_ in way.inconclusive),
        )
        for ways in servers
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch", batches(READINGS if FULL else in_several_ways()), ids=name_of)
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
