"""The control plane as every user of the mock meets it: health, target, reset, reserved values, the documentation."""

import html
import re
from typing import Any
from uuid import UUID

import httpx
import pytest

import vorel_mock
from vorel_mock.control import handlers
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.model.crm import RESERVED_VALUES
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

BASE = "http://127.0.0.1:3000"


def test_health(http: httpx.Client, mock: Mock) -> None:
    health = http.get("/_mock/health").json()
    assert health["status"] == "ok"
    assert health["version"] == vorel_mock.__version__
    assert health["contract"]["operations"] == ["handoffLead", "createCrmRecord"]
    assert health["contract"]["version"] == mock.contract.document["info"]["version"]
    assert health["seed"] == 1
    assert health["clock"] == {"now": "2026-01-01T00:00:00.000Z", "frozen": True}


# The demo world: what is printed in a README, and pasted, never changes.


def test_the_target_profile_is_pinned(http: httpx.Client) -> None:
    target = http.get("/_mock/target").json()
    assert target["base_url"] == BASE
    keys, leads = target["keys"], target["leads"]
    assert keys["full"] == [f"vapk_live_00010001{n:04x}{'c0ffee' * 6}" for n in range(1, 41)]
    assert keys["burst"] == [f"vapk_live_00010002{n:04x}{'c0ffee' * 6}" for n in range(1, 5)]
    assert keys["read_only"] == "vapk_live_000100030001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee"
    assert keys["other_tenant"] == target["tenants"][1]["key"]
    assert keys["leads_only"] == "vapk_live_000100040001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee"
    assert keys["crm_only"] == "vapk_live_000100050001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee"
    assert keys["revoked"] == "vapk_live_000100060001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee"
    assert leads["own"] == [f"00000001-1ead-4000-8000-{n:012x}" for n in range(1, 6)]
    assert leads["foreign"] == [f"0000000{t}-1ead-4000-8000-{n:012x}" for t in range(2, 7) for n in range(1, 6)]
    assert target["soft_failures"] == {
        "no_crm_configured": "vapk_live_000400010001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee",
        "auth_failed": "vapk_live_000500010001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee",
        "rate_limited": "vapk_live_000600010001c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee",
    }
    assert [tenant["id"] for tenant in target["tenants"]] == [
        f"0000000{t}-7e4a-4000-8000-000000000000" for t in range(1, 7)
    ]


def test_keys_and_ids_have_the_shapes_of_the_contract(http: httpx.Client, mock: Mock) -> None:
    target = http.get("/_mock/target").json()
    tokens = [t for entry in target["keys"].values() for t in ([entry] if isinstance(entry, str) else entry)]
    tokens += target["soft_failures"].values()
    assert all(mock.contract.token_pattern.fullmatch(token) and len(token) == 58 for token in tokens)
    assert len(set(tokens)) == len(tokens) == 52
    for lead in target["leads"]["own"] + target["leads"]["foreign"]:
        assert str(UUID(lead)) == lead


def test_each_tenant_of_the_profile_works(http: httpx.Client) -> None:
    for tenant in http.get("/_mock/target").json()["tenants"]:
        headers = {"Authorization": f"Bearer {tenant['key']}"}
        answer = http.post(f"/api/v1/leads/{tenant['lead']}/handoff", headers=headers)
        assert answer.status_code == 200
        assert answer.json()["notified_channel"] == ("slack" if "Slack" in tenant["story"] else "email")


def test_the_base_url_is_the_one_that_was_asked(http: httpx.Client) -> None:
    assert http.get("http://localhost:3000/_mock/target").json()["base_url"] == "http://localhost:3000"


# Reset.


def test_a_reset_takes_everything_back(api: httpx.Client, mock: Mock, lead: str) -> None:
    def state() -> list[Any]:
        tenants = list(mock.store.tenants())
        return [
            (
                [c.status for c in tenant.conversations.values()],
                *(len(rows) for rows in (tenant.handoffs, tenant.audit_log, tenant.crm_records)),
                len(tenant.idempotency),
                tenant.window.count,
                sum(key.window.count for key in tenant.keys.values()),
            )
            for tenant in tenants
        ]

    before = state()
    record = {"object": "contact", "fields": {"email": "ann@example.com"}, "idempotency_key": "k"}
    first = api.post(f"/api/v1/leads/{lead}/handoff"), api.post("/api/v1/crm/create-record", json=record)
    number = first[0].headers["X-Mock-Request-Id"]
    assert state() != before
    answer = api.post("/_mock/reset")
    assert (answer.status_code, answer.content) == (204, b"")
    assert state() == before
    assert api.get(f"/_mock/requests/{number}").status_code == 404
    again = api.post(f"/api/v1/leads/{lead}/handoff"), api.post("/api/v1/crm/create-record", json=record)
    assert [answer.json().keys() for answer in again] == [answer.json().keys() for answer in first]
    assert again[0].json()["handoff_id"] != first[0].json()["handoff_id"]  # M16: ids go on
    assert again[1].json()["external_id"] != first[1].json()["external_id"]


def test_a_reset_gives_back_the_quota(api: httpx.Client, mock: Mock, lead: str, key: str) -> None:
    spent = next(k for k in next(mock.store.tenants()).keys.values() if k.token == key)
    for _ in range(200):
        spent.window.add(mock.clock.now())
    assert api.post(f"/api/v1/leads/{lead}/handoff").status_code == 429
    api.post("/_mock/reset")
    assert api.post(f"/api/v1/leads/{lead}/handoff").status_code == 200


def test_a_reset_leaves_the_clock(http: httpx.Client, mock: Mock) -> None:
    mock.clock.advance(90)
    http.post("/_mock/reset")
    assert http.get("/_mock/health").json()["clock"]["now"] == "2026-01-01T00:01:30.000Z"


def test_the_profile_of_a_demo_world_that_has_lost_its_keys_and_leads(control: httpx.Client, mock: Mock) -> None:
    for tenant in mock.fixtures[:4]:
        path = f"/_mock/tenants/{tenant.id}/snapshot"
        assert control.put(path, json={**control.get(path).json(), "keys": [], "leads": []}).status_code == 204
    target = control.get("/_mock/target").json()
    assert target["keys"] == {"full": [], "burst": []}
    assert [(tenant["key"], tenant["lead"]) for tenant in target["tenants"][:4]] == [(None, None)] * 4
    assert set(target["soft_failures"]) == {"auth_failed", "rate_limited"}


@pytest.mark.parametrize(
    "error", [StopIteration, StopAsyncIteration, SystemExit, GeneratorExit, RecursionError, KeyError]
)
def test_whatever_a_handler_raises_is_answered(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def fails(mock: Mock) -> None:
        raise error("secret")

    monkeypatch.setitem(handlers._BY_OPERATION_ID, "health", fails)
    with httpx.Client(transport=MockTransport(App(mock)), base_url=BASE, timeout=20) as http:
        answer = http.get("/_mock/health")
        assert answer.status_code == 500
        assert answer.json()["error"] == {
            "code": "internal_error",
            "message": "The mock failed. This is a bug of the mock.",
        }
        assert http.get("/_mock/target").status_code == 200
    assert error.__name__ in caplog.text


# What is listed.


def test_the_reserved_values_are_listed(http: httpx.Client) -> None:
    assert http.get("/_mock/reserved-values").json() == {"data": [dict(value) for value in RESERVED_VALUES]}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/_mock/none", 404), ("DELETE", "/_mock/health", 405), ("GET", "/_mock/reset", 405)],
)
def test_an_error_of_the_control_plane_is_the_envelope(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize("path", ["/_mockery", "/_moc", "/x/_mock/health", "//_mock/health"])
def test_the_control_plane_lies_below_its_prefix_alone(http: httpx.Client, path: str) -> None:
    answer = http.get(f"{BASE}{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "X-Mock-Request-Id" in answer.headers


# The documentation, offline.


def test_the_documentation_is_found_without_the_slash(http: httpx.Client) -> None:
    answer = http.get("/_mock/docs")
    assert answer.status_code == 308
    assert answer.headers["Location"] in ("/_mock/docs/", f"{BASE}/_mock/docs/")


def test_the_documentation_needs_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/_mock/docs/")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert [url for url in re.findall(r"https?://[^\s\"'<>)]+", page.text) if not url.startswith(BASE)] == []
    assert not re.search(r"""(?:src|href)=["']//""", page.text)
    assets = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", page.text)
    assert len(assets) >= 4
    for asset in assets:
        answer = http.get(str(httpx.URL(f"{BASE}/_mock/docs/").join(asset)))
        assert (answer.status_code, bool(answer.content)) == (200, True), asset
        if asset.endswith(".css"):
            assert re.findall(r"(?:url\(|@import)\s*[\"']?(https?:|//)", answer.text) == []


def test_the_documents_of_the_page_answer(http: httpx.Client, mock: Mock) -> None:
    page = html.unescape(http.get("/_mock/docs/").text)
    urls = {httpx.URL(f"{BASE}/_mock/docs/").join(url).path for url in re.findall(r'"url": "([^"]+)"', page)}
    assert urls == {"/_mock/contract.json", "/_mock/openapi.json"}
    contract = http.get("/_mock/contract.json").json()
    assert contract["paths"].keys() == mock.contract.document["paths"].keys()
    assert contract["components"] == mock.contract.document["components"]
    assert contract["servers"] == [{"url": "/", "description": "this mock"}]
    assert "/health" in http.get("/_mock/openapi.json").json()["paths"]


def test_no_key_of_the_demo_world_is_in_a_page(http: httpx.Client) -> None:
    for path in ("/_mock/docs/", "/_mock/contract.json", "/_mock/openapi.json", "/_mock/health"):
        assert demo.token(1, 1, 1) not in http.get(path).text
