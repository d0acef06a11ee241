"""The typed rows of the client, and what a tenant gives a program under test."""

import asyncio
import copy
import dataclasses
import json
import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any, get_args, get_type_hints

import httpx
import pytest

from vorel_mock.contract import contract
from vorel_mock.control import document
from vorel_mock.testing import Control, InProcessMock, MockServer, Tenant, rows

COMPONENTS: dict[str, Any] = document.load(contract.load(None))["components"]["schemas"]
#: Rows whose schema is a member of another one.
WITHIN: dict[str, Any] = {
    "WebhookRequest": COMPONENTS["Attempt"]["properties"]["request"],
    "WebhookResponse": COMPONENTS["Attempt"]["properties"]["response"],
    "Request": COMPONENTS["Exchange"]["properties"]["request"],
    "Response": COMPONENTS["Exchange"]["properties"]["response"],
    "Explanation": COMPONENTS["Exchange"]["properties"]["explanation"],
    "Step": COMPONENTS["Exchange"]["properties"]["explanation"]["properties"]["steps"]["items"],
    "ClockState": COMPONENTS["Clock"],
    "TenantSettings": COMPONENTS["Tenant"],
    "Consumed": COMPONENTS["Consumption"],
}
TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "object": dict, "array": tuple}


@pytest.mark.parametrize("kind", rows.Row.__subclasses__(), ids=lambda kind: kind.__name__)
def test_a_row_has_the_members_of_its_schema(kind: type[rows.Row]) -> None:
    schema = WITHIN.get(kind.__name__) or COMPONENTS[kind.__name__]
    hints = get_type_hints(kind)
    assert list(hints) == list(schema["properties"])
    for name, hint in hints.items():
        member = schema["properties"][name]
        member = COMPONENTS[member["$ref"].rpartition("/")[2]] if "$ref" in member else member
        may_be_absent = name not in schema["required"]
        assert (NoneType in get_args(hint)) is bool(member.get("nullable") or may_be_absent), name
        wanted = datetime if member.get("format") == "date-time" else TYPES[member["type"]]
        kinds = [each for each in (get_args(hint) if NoneType in get_args(hint) else [hint]) if each is not NoneType]
        assert issubclass(getattr(kinds[0], "__origin__", kinds[0]), wanted), name


def test_a_row_is_what_it_was_and_has_types(vorel: Tenant, vorel_server: Control) -> None:
    vorel.clock.freeze()
    before = vorel.clock.now
    vorel.webhooks.subscribe("http://127.0.0.1:9/", ["conversation.handoff_requested"])
    armed = vorel.faults.arm("unavailable")
    with vorel.client() as api:
        for _ in range(2):
            api.post(f"/api/v1/leads/{vorel.lead}/handoff", json={"reason": "why"})
    vorel.clock.advance("1m")
    failed, served = vorel.requests.list()
    assert (failed.response.status, failed.fault, served.request.method) == (503, "unavailable", "POST")
    assert served.explanation.steps[-1].outcome == "decided"
    assert dict(served.request.headers)["authorization"] == "Bearer [redacted]"
    assert (vorel.faults.armed()[0].consumed[0].request_id, armed.delay) == (failed.id, None)
    (delivery,) = vorel.webhooks.deliveries(event="conversation.handoff_requested")
    first, second = delivery.attempts[:2]
    assert second.at - first.at == timedelta(seconds=5)
    assert (first.status, first.request.url) == (None, "http://127.0.0.1:9/")
    (handoff,) = vorel.handoffs()
    assert handoff.requested_at == before.astimezone(UTC)
    assert vorel.handoffs(since=handoff.requested_at) == [handoff]
    assert vorel.audit_log()[0].handoff_id == handoff.id == handoff["id"]
    assert vorel.lead_states()[0].conversation_status == "awaiting_human"
    assert vorel.key_states()[0].scopes
    assert vorel.patch(rate_limit=7) == vorel.settings()
    settings = next(each for each in vorel_server.tenants() if each.id == vorel.id)
    assert (settings.rate_limit, settings.clock.frozen, settings.clock.now) == (7, True, vorel.clock.now)
    assert settings.crm == settings["crm"]
    assert "lead_id" in vorel_server.events()[0].schema["properties"]
    plain = json.loads(json.dumps(handoff))
    assert handoff == plain == {**handoff}
    assert isinstance(plain["requested_at"], str)
    assert plain["reason"] == handoff.get("reason") == handoff.reason == "why"
    for other in (pickle.loads(pickle.dumps(served)), copy.deepcopy(served)):
        assert (other, other.at, other.request.path) == (served, served.at, served.request.path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        handoff.reason = "another"  # type: ignore[misc]  # that is what is tested
    assert "reason" in {field.name for field in dataclasses.fields(handoff)}


def test_a_row_of_another_version_is_read_as_far_as_it_goes() -> None:
    row: Any = rows.Lead({"id": "1", "colour": "red"})
    assert (row.id, row.name, row["colour"]) == ("1", None, "red")


PROGRAM = """
import os, httpx
url, lead = os.environ["VOREL_BASE_URL"], os.environ["VOREL_LEAD_ID"]
headers = {"Authorization": "Bearer " + os.environ["VOREL_API_KEY"]}
print(httpx.post(f"{url}/api/v1/leads/{lead}/handoff", headers=headers).status_code)
"""


def test_a_program_gets_what_it_needs(vorel: Tenant, vorel_server: Control) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **vorel.env}, capture_output=True, text=True, timeout=60
    )
    assert (run.stdout.strip(), run.stderr) == ("200", "")
    assert vorel.key not in repr(vorel.env)
    with vorel_server.new_tenant(keys={"full": 0}, leads=0) as bare:
        assert bare.env == {"VOREL_BASE_URL": bare.base_url}


def test_clients_on_a_port_and_in_process() -> None:
    with MockServer() as server, InProcessMock() as inside:
        for mock in (server, inside):
            tenant = mock.new_tenant()
            path = f"/api/v1/leads/{tenant.lead}/handoff"
            with tenant.client(headers={"x-of": "mine"}, timeout=3) as api:
                assert api.post(path).status_code == 200
                assert api.headers["x-of"] == "mine"
                assert api.timeout == httpx.Timeout(3)
            assert asyncio.run(_post(tenant, path)) == 200
            with tenant.client(headers={"Authorization": "Bearer x"}) as stranger:
                assert stranger.post(path).status_code == 401
            assert tenant.requests.count() == 2
        with pytest.raises(RuntimeError, match="use MockServer"):
            _ = tenant.env


async def _post(tenant: Tenant, path: str) -> int:
    async with tenant.asynchronous.async_client() as api:
        return (await api.post(path)).status_code
