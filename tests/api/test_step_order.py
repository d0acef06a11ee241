"""Scopes and tenancy, and the order of the steps: authentication, limit, scope, validation, operation."""

from typing import Any

import httpx
import pytest

from vorel_mock.contract.contract import load
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.leads import Conversation
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

FULL, READ_ONLY, LEADS_ONLY, CRM_ONLY, REVOKED = (demo.token(1, role, 1) for role in (1, 3, 4, 5, 6))
UNKNOWN = "vapk_live_" + "0" * 48
OWN, FOREIGN = demo.lead_id(1, 1), demo.lead_id(2, 1)
NOBODYS = "ffffffff-ffff-4fff-8fff-ffffffffffff"
RECORD = {"object": "contact", "fields": {"email": "ann@example.com"}, "idempotency_key": "order"}


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))


@pytest.fixture(scope="module")
def app(mock: Mock) -> App:
    return App(mock)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _handoff(http: httpx.Client, key: str, lead: str = OWN, **request: Any) -> httpx.Response:
    return http.post(f"/api/v1/leads/{lead}/handoff", headers=_bearer(key), **request)


def _create(http: httpx.Client, key: str, **request: Any) -> httpx.Response:
    return http.post("/api/v1/crm/create-record", headers=_bearer(key), **request)


# Scopes.


@pytest.mark.parametrize(
    ("key", "handoff", "create"),
    [(FULL, 200, 200), (LEADS_ONLY, 200, 403), (CRM_ONLY, 403, 200), (READ_ONLY, 403, 403)],
    ids=["full", "leads_only", "crm_only", "read_only"],
)
def test_each_operation_asks_for_its_own_scope(http: httpx.Client, key: str, handoff: int, create: int) -> None:
    assert _handoff(http, key).status_code == handoff
    assert _create(http, key, json=RECORD).status_code == create


@pytest.mark.parametrize("operation", load().operations, ids=lambda operation: operation.id)
def test_a_403_names_the_scope_that_the_document_asks_for(http: httpx.Client, operation: Any) -> None:
    path = operation.path.replace("{id}", OWN)
    answer = http.request(operation.method, path, headers=_bearer(READ_ONLY))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    (scope,) = operation.security[0].scopes
    assert answer.json()["error"]["message"].endswith(f"lacks the required scope: {scope}.")


# Tenancy.


def _same_but_for_their_number(*answers: httpx.Response) -> None:
    first, *others = (
        (answer.status_code, answer.content, [pair for pair in answer.headers.raw if pair[0] != b"x-mock-request-id"])
        for answer in answers
    )
    assert all(other == first for other in others)


@pytest.mark.parametrize("request_", [{}, {"json": {"reason": "x"}}], ids=["bare", "with a body"])
def test_every_foreign_lead_answers_as_one_that_is_nobodys(http: httpx.Client, request_: dict[str, Any]) -> None:
    foreign = http.get("/_mock/target").json()["leads"]["foreign"]
    assert len(foreign) == 25
    answers = [_handoff(http, FULL, lead, **request_) for lead in [NOBODYS, NOBODYS.upper(), *foreign]]
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (404, "not_found")
    _same_but_for_their_number(*answers)


@pytest.mark.parametrize("tenant", range(1, 7))
def test_a_lead_is_visible_to_its_own_tenant_alone(http: httpx.Client, tenant: int) -> None:
    lead = demo.lead_id(tenant, 3)
    statuses = [_handoff(http, demo.token(other, 1, 1), lead).status_code for other in range(1, 7)]
    assert statuses == [200 if other == tenant else 404 for other in range(1, 7)]


def test_a_404_changes_nothing_for_the_lead_s_own_tenant(http: httpx.Client, mock: Mock) -> None:
    owner = list(mock.store.tenants())[1]
    conversation = Conversation(owner.leads[FOREIGN].conversation_id, "closed")
    owner.conversations[conversation.id] = conversation
    before = len(owner.audit_log), len(owner.handoffs)
    assert _handoff(http, FULL, FOREIGN).status_code == 404
    assert (len(owner.audit_log), len(owner.handoffs)) == before
    assert owner.conversations[conversation.id] == conversation


# The order of the steps: of two things that are wrong, the earlier one is answered.

BROKEN: dict[str, Any] = {"content": b"{"}
ORDER = [
    ("no operation there, and no key", 404, lambda h: h.post("/api/v1/none")),
    ("another method, and no key", 405, lambda h: h.get("/api/v1/crm/create-record")),
    ("no key, broken body", 401, lambda h: h.post("/api/v1/crm/create-record", **BROKEN)),
    ("no key, malformed id", 401, lambda h: h.post("/api/v1/leads/none/handoff")),
    ("no key, body too long", 401, lambda h: h.post("/api/v1/crm/create-record", content=b"x" * 1_048_577)),
    ("unknown key, wrong media type", 401, lambda h: _create(h, UNKNOWN, data={"a": "b"})),
    ("revoked key, broken body", 401, lambda h: _create(h, REVOKED, **BROKEN)),
    ("revoked key, foreign lead", 401, lambda h: _handoff(h, REVOKED, FOREIGN)),
    ("lacking scope, broken body", 403, lambda h: _create(h, LEADS_ONLY, **BROKEN)),
    ("lacking scope, no body", 403, lambda h: _create(h, LEADS_ONLY)),
    ("lacking scope, malformed id", 403, lambda h: _handoff(h, CRM_ONLY, "none")),
    ("lacking scope, foreign lead", 403, lambda h: _handoff(h, CRM_ONLY, FOREIGN)),
    ("broken body, foreign lead", 400, lambda h: _handoff(h, FULL, FOREIGN, **BROKEN)),
    ("reason too long, nobody's lead", 400, lambda h: _handoff(h, FULL, NOBODYS, json={"reason": "x" * 201})),
    ("foreign lead", 404, lambda h: _handoff(h, FULL, FOREIGN)),
]


@pytest.mark.parametrize(("status", "send"), [row[1:] for row in ORDER], ids=[row[0] for row in ORDER])
def test_the_earlier_step_answers(http: httpx.Client, status: int, send: Any) -> None:
    assert send(http).status_code == status


def test_a_malformed_id_goes_before_a_broken_body(http: httpx.Client) -> None:
    answer = _handoff(http, FULL, "none", **BROKEN)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("id: ")


OVER = [
    ("over the limit, lacking scope", 429, lambda h: _create(h, LEADS_ONLY, json=RECORD)),
    ("over the limit, broken body", 429, lambda h: _handoff(h, LEADS_ONLY, **BROKEN)),
    ("over the limit, foreign lead", 429, lambda h: _handoff(h, LEADS_ONLY, FOREIGN)),
    ("over the limit, revoked", 401, lambda h: _handoff(h, REVOKED)),
    ("over the limit, another path", 404, lambda h: h.post("/api/v1/none", headers=_bearer(LEADS_ONLY))),
    ("over the limit, another key", 200, lambda h: _handoff(h, FULL)),
]


@pytest.fixture(scope="module")
def over() -> App:
    """A mock whose `leads_only` key has no request left in its window."""
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=100))
    key = next(key for key in next(mock.store.tenants()).keys.values() if key.token == LEADS_ONLY)
    for _ in range(100):
        key.window.add(mock.clock.now())
    return App(mock)


@pytest.mark.parametrize(("status", "send"), [row[1:] for row in OVER], ids=[row[0] for row in OVER])
def test_the_limit_goes_before_what_comes_after_it(over: App, status: int, send: Any) -> None:
    with httpx.Client(transport=MockTransport(over), base_url="http://127.0.0.1:3000") as client:
        assert send(client).status_code == status
