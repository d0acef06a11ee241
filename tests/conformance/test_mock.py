"""The kit against the mock of this project: the mock passes, and the kit catches every fault of its catalogue.

By default both are in one process, on a clock that jumps; FULL_PROOF=1 has connections.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.conformance.in_process import JumpingClock, ToMock
from tests.conformance.proof_runner import FULL

from vorel_conformance.http.target import from_profile
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.server import run
from vorel_mock import Mock, Settings
from vorel_mock.api.faults.catalogue import CATALOGUE, Fault
from vorel_mock.server.app import App
from vorel_mock.testing import MockServer, MockTransport

BREACHES = [fault for fault in CATALOGUE.values() if fault.clause is not None]
URL = "http://127.0.0.1:3000"


def arm(control: httpx.Client, fault: Fault) -> None:
    """Arm a fault for the first demo tenant, whose keys the profile has."""
    # A fault of any operation must not hit every request: the preflight would reject the keys.
    every = 1 if fault.operation is not None else 3
    tenant = control.get("/_mock/target").json()["tenants"][0]["id"]
    armed = control.post(f"/_mock/tenants/{tenant}/faults", json={"fault": fault.id, "every": every})
    assert armed.status_code == 201, armed.text


def served(fault: Fault | None, options: Options) -> dict[str, Any]:
    """Return the kit's report on a mock that it reaches over connections."""
    with MockServer() as server, httpx.Client(base_url=server.base_url) as control:
        if fault:
            arm(control, fault)
        return run(server.base_url, options=options)


def inside(fault: Fault | None, options: Options) -> dict[str, Any]:
    """Return the kit's report on a mock in this process."""
    app, clock = App(Mock(Settings(seed=1, clock="frozen"))), JumpingClock()
    with httpx.Client(transport=MockTransport(app), base_url=URL) as control:
        if fault:
            arm(control, fault)
        target = from_profile(control.get("/_mock/target").json(), URL)
    try:
        return run(URL, target=target, options=options, clock=clock, way=ToMock(app, clock))
    finally:
        app.stop()


certify = served if FULL else inside


@pytest.mark.timeout(400)
def test_the_mock_keeps_every_clause() -> None:
    # The default of 150 takes as long to generate as all the rest.
    report = certify(None, Options(seed=1) if FULL else Options(seed=1, fuzz=60))
    assert {clause["id"]: clause["status"] for clause in report["clauses"] if clause["status"] != "passed"} == {}
    assert 1000 <= report["requests"] <= 4000


def test_a_mock_on_a_port_keeps_the_clauses_of_every_response() -> None:
    report = served(None, Options(seed=1, clauses=("envelope",)))
    assert {clause["id"]: clause["status"] for clause in report["clauses"] if clause["status"] != "passed"} == {}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", BREACHES, ids=lambda fault: fault.id)
def test_each_fault_of_the_mock_turns_its_clause_red(fault: Fault) -> None:
    # One worker: with several, every third response may by chance hit all three tries of one key in the preflight.
    report = certify(fault, Options(seed=1, clauses=(str(fault.clause),), workers=1))
    assert [(clause["id"], clause["status"]) for clause in report["clauses"]] == [(fault.clause, "failed")]
