"""How often the kit tells one mistake as one cause, and two as two.

`python -m tests.conformance.measure_causes [PAIRS]` takes some ten minutes. Faults whose difference is on the wire
are left out: they need connections.
`python -m tests.conformance.measure_causes clients` does the same with the mutants of the reference integration.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from tests.conformance import test_client_proof as client_proof
from tests.conformance.proof_runner import report_on
from tests.conformance.reference import FAULTS, merged

from vorel_conformance.report.causes import causes
from vorel_conformance.report.model import BREACHES
from vorel_conformance.runs import mock_process

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


def clients() -> None:
    """Print the integrations with one mistake that are told wrongly, and the share of the others."""
    with mock_process.started(7) as url:

        def told(name: str) -> list[list[str]]:
            argv = (sys.executable, str(client_proof.PROGRAMS / "mutants.py"), name)
            return [cause["clauses"] for cause in causes(client_proof.run(url, argv, jobs=4))]

        names = list(client_proof.mutants())
        with ThreadPoolExecutor(3) as pool:
            results = list(zip(names, pool.map(told, names), strict=True))
    for name, found in results:
        if len(found) != 1:
            print(f"{name}: {len(found)} causes: {'; '.join(map(', '.join, found))}")
    right = sum(len(found) == 1 for _, found in results)
    print(f"one mistake of an integration, one cause: {right} of {len(results)} ({100 * right / len(results):.1f} %)")


if __name__ == "__main__":
    if sys.argv[1:] == ["clients"]:
        clients()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
