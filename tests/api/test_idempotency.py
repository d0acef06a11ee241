"""Re-posting and idempotency against a model of them; and thirty creates that race with one idempotency_key."""

import json
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.tenant import Tenant
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

CREATE = "/api/v1/crm/create-record"
#: As they are written: what differs in more than the order of members is another record.
GOOD = [
    '{"last_name": "Lee", "email": "lee@example.com"}',
    '{"email": "lee@example.com",   "last_name": "\\u004cee"}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": 1}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": 1.0}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": true}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": null}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": {"a": [1, 2], "b": {}}}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": {"b": {}, "a": [1, 2]}}',
    '{"last_name": "Lee", "email": "lee@example.com", "n": {"b": {}, "a": [2, 1]}}',
]
#: Each with the soft failure that it makes.
BAD = {
    "{}": "validation_error",
    '{"email": "none"}': "validation_error",
    '{"last_name": "Lee", "email": "auth_failed@crm-error.test"}': "auth_failed",
    '{"last_name": "rate_limited@crm-error.test"}': "rate_limited",
}
#: Tenants: HubSpot, Salesforce, none, credentials refused. The contact of each vendor takes what is good above.
TENANTS = {1: None, 2: None, 4: "no_crm_configured", 5: "auth_failed"}


def _what(object_: str, fields: str) -> str:
    """Object and fields in one form, in which 1, 1.0 and true differ."""
    return json.dumps([object_, json.loads(fields)], sort_keys=True)


class Worlds(RuleBasedStateMachine):
    """Handoffs and records of several tenants, beside what is remembered of them."""

    def __init__(self, mock: Mock, client: httpx.Client) -> None:
        super().__init__()
        mock.reset()
        self.mock, self.client = mock, client
        self.begin()

    def begin(self) -> None:
        self.made: dict[tuple[int, str], tuple[str, dict[str, Any]]] = {}
        self.handoffs: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)

    def post(self, tenant: int, path: str, body: str) -> dict[str, Any]:
        answer = self.client.post(path, content=body, headers={"Authorization": f"Bearer {demo.token(tenant, 1, 1)}"})
        assert answer.status_code == 200
        return dict(answer.json())

    @rule(
        tenant=st.sampled_from(sorted(TENANTS)),
        key=st.sampled_from(["a", "A", "a "]),
        object_=st.sampled_from(["contact", "contact", "lead"]),
        fields=st.sampled_from(GOOD + sorted(BAD)),
    )
    def create(self, tenant: int, key: str, object_: str, fields: str) -> None:
        body = f'{{"object": "{object_}", "fields": {fields}, "idempotency_key": "{key}"}}'
        answer = self.post(tenant, CREATE, body)
        known = self.made.get((tenant, key))
        if known is not None:
            what, first = known
            if what == _what(object_, fields):
                assert answer == first
            else:
                assert (answer["ok"], answer["error"]) == (False, "validation_error")
                assert "idempotency_key" in answer["detail"]
        elif failure := TENANTS[tenant] or BAD.get(fields) or (object_ == "lead" and "validation_error"):
            assert (answer["ok"], answer["error"]) == (False, failure)
            assert "idempotency_key" not in answer["detail"]
        else:
            assert answer["ok"] is True
            ids = [first["external_id"] for (owner, _), (_, first) in self.made.items() if owner == tenant]
            assert answer["external_id"] not in ids
            self.made[tenant, key] = _what(object_, fields), answer

    @rule(
        tenant=st.sampled_from(sorted(TENANTS)),
        lead=st.integers(1, 2),
        body=st.sampled_from(["", "{}", '{"reason": "again"}', '{"reason": "", "summary": "s"}']),
    )
    def hand_off(self, tenant: int, lead: int, body: str) -> None:
        lead_id = demo.lead_id(tenant, lead)
        answer = self.post(tenant, f"/api/v1/leads/{lead_id}/handoff", body)
        assert answer["lead_id"] == lead_id
        assert answer["handoff_id"] not in [earlier["handoff_id"] for earlier in self.handoffs[tenant]]
        for earlier in self.handoffs[tenant]:
            same = earlier["lead_id"] == lead_id
            assert (answer["conversation_id"] == earlier["conversation_id"]) is same
        given_reason = json.loads(body or "{}").get("reason", "operator_request")
        self.handoffs[tenant].append({**answer, "reason": given_reason})

    @rule()
    def reset(self) -> None:
        if len(self.made) > 2:
            self.mock.reset()
            self.begin()

    @invariant()
    def what_is_stored_is_what_was_answered(self) -> None:
        worlds: list[Tenant] = list(self.mock.store.tenants())
        for number in TENANTS:
            tenant = worlds[number - 1]
            made = {key: first["external_id"] for (owner, key), (_, first) in self.made.items() if owner == number}
            assert {record.idempotency_key: record.external_id for record in tenant.crm_records} == made
            assert len(tenant.crm_records) == len(made)
            handoffs = [(told["handoff_id"], told["reason"]) for told in self.handoffs[number]]
            assert [(row.handoff_id, row.reason) for row in tenant.audit_log] == handoffs
            waiting = {told["conversation_id"] for told in self.handoffs[number]}
            assert waiting == {c.id for c in tenant.conversations.values() if c.status == "awaiting_human"}


def test_reposting_and_idempotency_do_as_their_model() -> None:
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))
    with httpx.Client(transport=MockTransport(App(mock)), base_url="http://127.0.0.1:3000") as client:
        few = budget(max_examples=30, stateful_step_count=25, deadline=None)
        run_state_machine_as_test(lambda: Worlds(mock, client), settings=few)  # type: ignore[arg-type]  # it calls it


def test_a_soft_failure_may_be_tried_again(api: httpx.Client) -> None:
    record = {"object": "contact", "fields": {"email": "rate_limited@crm-error.test"}, "idempotency_key": "again"}
    assert api.post(CREATE, json=record).json()["error"] == "rate_limited"
    record["fields"] = {"email": "ann@example.com"}
    assert api.post(CREATE, json=record).json()["ok"] is True


@pytest.mark.parametrize("fields", [{"email": "ann@example.com"}, {}], ids=["made", "refused"])
def test_thirty_racing_creates_make_one_record(
    app: App, serve: Callable[[App], str], key: str, fields: dict[str, str]
) -> None:
    url, together = serve(app), Barrier(30)
    record = {"object": "contact", "fields": fields, "idempotency_key": "race"}

    def create(_: int) -> httpx.Response:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
            together.wait(30)
            return client.post(CREATE, json=record)

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(create, range(30)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["ok"] is bool(fields)
    assert len(next(app.mock.store.tenants()).crm_records) == len(fields)


def test_racing_handoffs_are_each_their_own(app: App, serve: Callable[[App], str], key: str, lead: str) -> None:
    client = httpx.Client(base_url=serve(app), headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    with client, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.post(f"/api/v1/leads/{lead}/handoff").json(), range(50)))
    assert len({answer["handoff_id"] for answer in answers}) == 50
    assert len({answer["conversation_id"] for answer in answers}) == 1
    logged = [row.handoff_id for row in next(app.mock.store.tenants()).audit_log]
    assert sorted(logged) == sorted(answer["handoff_id"] for answer in answers)
