"""handoffLead through the public door."""

import json
from uuid import UUID

import httpx
import pytest

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.model.handoffs import DEFAULT_REASON, DEFAULT_SUMMARY, HANDOFF_REQUESTED


def test_answers_with_the_five_members(api: httpx.Client, lead: str) -> None:
    answer = api.post(f"/api/v1/leads/{lead}/handoff", json={"reason": "no-response-7d"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["lead_id"] == lead
    assert body["conversation_status"] == "awaiting_human"
    assert body["notified_channel"] == "slack"
    assert UUID(body["handoff_id"]).version == 4
    assert UUID(body["conversation_id"])


def test_reposting_is_fresh_but_for_the_conversation(api: httpx.Client, mock: Mock, lead: str) -> None:
    tenant = next(mock.store.tenants())
    webhook = mock.webhooks.subscribe(tenant, "http://127.0.0.1:9/", [HANDOFF_REQUESTED])
    mock.webhooks.hold(tenant, webhook)
    first, second = (api.post(f"/api/v1/leads/{lead}/handoff").json() for _ in range(2))
    assert first["handoff_id"] != second["handoff_id"]
    assert first["conversation_id"] == second["conversation_id"]
    assert [row.handoff_id for row in tenant.audit_log] == [first["handoff_id"], second["handoff_id"]]
    told = [json.loads(delivery.body) for delivery in tenant.deliveries if delivery.event == HANDOFF_REQUESTED]
    assert [event["data"]["handoff_id"] for event in told] == [first["handoff_id"], second["handoff_id"]]
    assert len({event["id"] for event in told}) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b'{"unknown": 1}'])
def test_defaults_are_written_into_the_audit_log(api: httpx.Client, mock: Mock, lead: str, content: bytes) -> None:
    assert api.post(f"/api/v1/leads/{lead}/handoff", content=content).status_code == 200
    (row,) = next(mock.store.tenants()).audit_log
    assert (row.reason, row.summary) == (DEFAULT_REASON, DEFAULT_SUMMARY)


def test_an_empty_reason_is_not_an_absent_one(api: httpx.Client, mock: Mock, lead: str) -> None:
    assert api.post(f"/api/v1/leads/{lead}/handoff", json={"reason": ""}).status_code == 200
    (row,) = next(mock.store.tenants()).audit_log
    assert row.reason == ""


def test_an_id_in_upper_case_is_answered_in_lower_case(api: httpx.Client, lead: str) -> None:
    answer = api.post(f"/api/v1/leads/{lead.upper()}/handoff")
    assert answer.json()["lead_id"] == lead


def test_another_tenants_lead_answers_as_one_that_does_not_exist(api: httpx.Client) -> None:
    foreign = api.post(f"/api/v1/leads/{demo.lead_id(2, 1)}/handoff")
    unknown = api.post("/api/v1/leads/ffffffff-ffff-4fff-8fff-ffffffffffff/handoff")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content
    own = {"x-mock-request-id"}
    assert {k: v for k, v in foreign.headers.items() if k not in own} == {
        k: v for k, v in unknown.headers.items() if k not in own
    }
