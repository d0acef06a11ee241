"""How often the kit tells one mistake as one cause, and two as two: `python -m tests.conformance.measure_causes`.

Takes some ten minutes. Faults whose difference is on the wire are left out: they need connections.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.conformance.proof_runner import report_on
from tests.conformance.reference import FAULTS, merged

from vorel_conformance.report.causes import causes
from vorel_conformance.report.model import BREACHES

BY_ID = {fault.id: fault for fault in FAULTS if not fault.wire}


def told(names: Sequence[str]) -> list[list[str]] | None:
    """Return the clauses of each cause of a server with these faults; None if the run does not see each of them."""
    warnings.simplefilter("ignore")
    faults = [BY_ID[name] for name in names]
    report = report_on(None, merged(faults))
    seen = {clause["id"] for clause in report["clauses"] if clause["status"] in BREACHES}
    return [cause["clauses"] for cause in causes(report)] if all(seen & set(each.clauses) for each in faults) else None


def main(pairs: int) -> None:
    """Print the servers that are told wrongly, and two shares."""
    draw = random.Random(12)
    groups: list[list[tuple[str, ...]]] = [
        [(name,) for name in BY_ID],
        [tuple(draw.sample(sorted(BY_ID), 2)) for _ in range(pairs)],
    ]
    with ProcessPoolExecutor() as pool:
        for group in groups:
            results = list(zip(group, pool.map(told, group, chunksize=4), strict=True))
            seen = [(names, found) for names, found in results if found is not None]
            for names, found in seen:
                if len(found) != len(names):
                    print(f"{' + '.join(names)}: {len(found)} causes: {'; '.join(map(', '.join, found))}")
            right = sum(len(found) == len(names) for names, found in seen)
            kind = "one mistake, one cause" if len(group[0]) == 1 else "two mistakes, two causes"
            print(f"{kind}: {right} of {len(seen)} ({100 * right / len(seen):.1f} %)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
