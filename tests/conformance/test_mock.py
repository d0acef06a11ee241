"""The kit against the mock of this project: the mock passes, and the kit catches every fault of its catalogue."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.conformance.proof_runner import FULL

from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.server import run
from vorel_mock.api.faults.catalogue import CATALOGUE, Fault
from vorel_mock.testing import MockServer

BREACHES = [fault for fault in CATALOGUE.values() if fault.clause is not None]
#: After the limit, a key is rejected for a minute.
QUICK = [fault for fault in BREACHES if not str(fault.clause).startswith("limit.")]


@pytest.mark.timeout(400)
def test_the_mock_keeps_every_clause() -> None:
    with MockServer() as mock:
        report = run(mock.base_url, options=Options(seed=1))
    assert {clause["id"]: clause["status"] for clause in report["clauses"] if clause["status"] != "passed"} == {}
    assert 1000 <= report["requests"] <= 4000


@pytest.mark.timeout(600)
def test_each_fault_of_the_mock_turns_its_clause_red() -> None:
    with ThreadPoolExecutor(4) as pool:
        complaints = [complaint for complaint in pool.map(_complaint, BREACHES if FULL else QUICK) if complaint]
    assert not complaints, "\n".join(complaints)


def _complaint(fault: Fault) -> str:
    """Arm `fault` for the demo tenant and judge its clause. Returns an empty string if the clause is violated."""
    # A fault of any operation must not hit every request: the preflight would reject the keys.
    every = 1 if fault.operation is not None else 3
    with MockServer() as mock:
        tenant = mock.control.target()["tenants"][0]["id"]
        armed = httpx.post(f"{mock.base_url}/_mock/tenants/{tenant}/faults", json={"fault": fault.id, "every": every})
        assert armed.status_code == 201, armed.text
        # One worker: with several, every third response may by chance hit all three tries of one key in the preflight.
        report = run(mock.base_url, options=Options(seed=1, clauses=(str(fault.clause),), workers=1))
    (clause,) = report["clauses"]
    return "" if clause["status"] == "failed" else f"{fault.id}: {fault.clause} is {clause['status']}"
