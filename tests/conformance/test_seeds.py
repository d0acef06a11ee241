"""The same verdict with five seeds, for conformant and for faulty servers: no verdict is luck.

The seed decides which bodies are generated, in which order keys and leads are used, and what is sent side by side.
FULL_PROOF=1 takes every fault that is not shown by a connection. Lenient servers have twenty seeds there, in
test_lenient_servers.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.proof_runner import FULL, broken, report_on
from tests.conformance.reference import FAULTS, Fault

SEEDS = (2, 3, 5, 8, 13)
#: Faults that few requests show, one for each way of looking: generated bodies, near values, late requests, bursts.
RARE = (
    "two_errors_pass",
    "flaky_channel",
    "lead_digit_ignored",
    "other_keys_by_prefix",
    "one_key_sees_all",
    "scope_forgotten_when_busy",
    "limit_now_and_then",
    "foreign_request_id_prefix",
    "keys_forgotten",
)
CHOSEN = [fault for fault in FAULTS if not fault.wire and (FULL or fault.id in RARE)]


def with_each_seed(fault: Fault | None, **options: Any) -> list[dict[str, Any]]:
    # To generate bodies takes longer than all the rest.
    settings = options if FULL else {"fuzz": 8} | options
    return [report_on(None, fault, seed=seed, **settings) for seed in SEEDS]


def test_a_conformant_server_passes_with_each_seed() -> None:
    reports = with_each_seed(None)
    assert [report["verdict"] for report in reports] == ["passed"] * len(SEEDS)
    # No clause passes on less evidence than with another seed: what is checked does not depend on it.
    for clauses in zip(*(report["clauses"] for report in reports), strict=True):
        checks = [clause["checks"] for clause in clauses]
        assert min(checks) > 0
        assert max(checks) <= 1.5 * min(checks) + 5, (clauses[0]["id"], checks)


def test_the_faults_exist() -> None:
    assert set(RARE) <= {fault.id for fault in FAULTS}


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda fault: fault.id)
def test_a_fault_is_seen_with_each_seed(fault: Fault) -> None:
    groups = () if FULL else tuple(dict.fromkeys(id_.partition(".")[0] for id_ in fault.clauses))
    for seed, report in zip(SEEDS, with_each_seed(fault, clauses=groups), strict=True):
        missed = set(fault.clauses) - set(broken(report))
        assert not missed, (seed, missed)
