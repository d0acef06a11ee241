"""The console: pages below /_mock that a person reads, made of what the JSON operations give."""

import hashlib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

import vorel_mock.control.console as console
from vorel_mock.control.console import pages
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

HTML = {"Accept": "text/html"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> \u202e \N{PILE OF POO}"
FIRST = 100 * 1024


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen"))


@pytest.fixture(scope="module")
def http(mock: Mock) -> Iterator[httpx.Client]:
    transport = MockTransport(App(mock))
    with httpx.Client(transport=transport, base_url="http://127.0.0.1:3000", headers=HTML) as client:
        yield client


@pytest.fixture
def tenant(http: httpx.Client) -> dict[str, Any]:
    return dict(http.post("/_mock/tenants", json={}).json())


def hand_off(http: httpx.Client, tenant: dict[str, Any], **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {tenant['keys']['full'][0]}"}
    return http.post(f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff", headers=headers, json=body)


def page(http: httpx.Client, path: str, status: int = 200) -> str:
    answer = http.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    # Neither scripts nor styles nor handlers within the page: the policy would stop them.
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=\"", answer.text)
    return answer.text


def test_a_browser_is_led_to_the_console(http: httpx.Client) -> None:
    for path in ("/", "/_mock"):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (307, "/_mock/")
    assert http.get("/", headers={"Accept": "*/*"}).status_code == 404
    assert http.post("/").status_code == 404


def test_the_overview_has_what_one_needs_first(http: httpx.Client, mock: Mock) -> None:
    text = page(http, "/_mock/")
    for wanted in ("http://127.0.0.1:3000", demo.token(1, 1, 1), demo.lead_id(1, 1), "demo-salesforce", "frozen"):
        assert wanted in text
    line = unescape(re.findall(r"<pre[^>]*>(curl [^<]*)</pre>", text)[0])
    assert f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff" in line
    size = len(text.encode())
    for name in ("console.css", "console.js"):
        size += len(http.get(f"/_mock/console/static/{name}").content)
    assert size < FIRST


def test_a_request_is_explained_and_quoted(http: httpx.Client, tenant: dict[str, Any]) -> None:
    refused = hand_off(http, tenant, reason="x" * 201)
    text = page(http, f"/_mock/console/requests/{refused.headers['X-Mock-Request-Id']}")
    for wanted in (
        "Why not 200?",
        "Change the field that the message names.",
        "reason: is longer than 200 characters",
        "&#34;maxLength&#34;: 200",
        "#/components/schemas/LeadHandoffBody/properties/reason/maxLength",
        "$VOREL_API_KEY",
    ):
        assert wanted in text
    assert tenant["keys"]["full"][0] not in text
    accepted = hand_off(http, tenant)
    text = page(http, f"/_mock/console/requests/{accepted.headers['X-Mock-Request-Id']}")
    assert "Why not 200?" not in text
    assert "no such request" in page(http, "/_mock/console/requests/req_99999999", 404)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status=4", [400, 401]),
        ("status=2", [200]),
        ("status=5", []),
        ("operation=createCrmRecord", []),
        ("text=needle", [400]),
        ("fault=latency", []),
        ("status=7&text=%F0%9F%92%A9", []),
    ],
)
def test_the_list_is_filtered(http: httpx.Client, query: str, shown: list[int]) -> None:
    tenant = dict(http.post("/_mock/tenants", json={}).json())
    hand_off(http, tenant)
    hand_off(http, tenant, reason=["needle"])
    headers = {"Authorization": f"Bearer {tenant['keys']['revoked']}"}
    http.post(f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff", headers=headers)
    mine = page(http, f"/_mock/console/requests?{query}&tenant={tenant['id']}")
    found = [int(status) for status in re.findall(r'<span class="status s.">(\d+)</span>', mine)]
    assert found == [status for status in shown if status != 401]  # a revoked key is no tenant's
    assert "passes this filter" in mine or found
    # The selection as HAR has the same filters, and no key.
    if found:
        (link,) = re.findall(r'href="([^"]+requests.har[^"]*)" download', mine)
        har = http.get(unescape(link))
        assert "attachment" in har.headers["Content-Disposition"]
        assert [each["response"]["status"] for each in har.json()["log"]["entries"]] == found[::-1]
        assert tenant["keys"]["full"][0] not in har.text


def test_a_tenant_is_shown_with_its_quota(http: httpx.Client, tenant: dict[str, Any]) -> None:
    hand_off(http, tenant, summary="Asked for a person")
    text = page(http, f"/_mock/console/tenants/{tenant['id']}")
    assert 'value="1" aria-label="Requests of full_1 in this minute"' in text
    assert "1 of 200" in text
    assert "1 of 5000" in text
    for wanted in (*tenant["leads"]["own"], "awaiting_human", "Asked for a person", "lead.handoff"):
        assert wanted in text
    assert http.get("/_mock/console/tenants/none").status_code == 404


def test_webhooks_and_faults_are_shown(http: httpx.Client, tenant: dict[str, Any]) -> None:
    path = f"/_mock/tenants/{tenant['id']}"
    http.post(f"{path}/webhooks", json={"target_url": "http://127.0.0.1:9/hook", "events": ["booking.created"]})
    http.post(f"{path}/events", json={"event": "booking.created"})
    text = page(http, f"/_mock/console/webhooks?tenant={tenant['id']}")
    assert "http://127.0.0.1:9/hook" in text
    assert text.count("Deliver again") == 2  # with the test event
    http.post(f"{path}/faults", json={"fault": "internal_error", "next": 3})
    hit = hand_off(http, tenant)
    assert hit.status_code == 500
    text = page(http, f"/_mock/console/faults?tenant={tenant['id']}")
    assert "any operation, next 3" in text
    assert f"requests/{hit.headers['X-Mock-Request-Id']}" in text
    assert "None. A stub is" in text
    http.delete(f"{path}/faults")
    pattern = {"operation": "handoffLead", "body": {"reason": "<b>"}}
    http.post(f"{path}/stubs", json={"request": pattern, "response": {"status": 404, "delay": "0s"}})
    met = hand_off(http, tenant, reason="<b>")
    text = page(http, f"/_mock/console/faults?tenant={tenant['id']}")
    assert "<code>handoffLead</code>; <small>body</small> <code>{&#34;reason&#34;:&#34;&lt;b&gt;&#34;}</code>" in text
    assert f"requests/{met.headers['X-Mock-Request-Id']}" in text
    text = page(http, f"/_mock/console/requests/{met.headers['X-Mock-Request-Id']}")
    assert "A stub decided this response." in text
    assert re.search("stub [0-9a-f-]{36}", text)
    assert '<span class="tag warn">stub</span>' in page(http, f"/_mock/console/requests?tenant={tenant['id']}")
    assert '<span class="tag warn">1 stub</span>' in page(http, "/_mock/")
    assert http.get("/_mock/console/faults?tenant=none").status_code == 404


def test_a_list_has_the_newest_rows_and_the_tenant_that_the_page_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS", 3)
    transport = MockTransport(App(Mock(Settings(seed=1))))
    with httpx.Client(transport=transport, base_url="http://127.0.0.1:3000", headers=HTML) as http:
        made = [http.post("/_mock/tenants", json={"name": f"tenant {number}"}).json()["id"] for number in range(5)]
        path = f"/_mock/tenants/{made[0]}"
        overview = page(http, "/_mock/")
        assert re.findall(r">(tenant \d)</a>", overview) == ["tenant 2", "tenant 3", "tenant 4"]
        assert "The newest 3 of 11." in overview
        assert re.findall(r">(tenant \d)</a>", page(http, "/_mock/?text=TENANT+1")) == ["tenant 1"]
        assert re.findall(r">(tenant \d)</a>", page(http, f"/_mock/?text={made[0][:13]}")) == ["tenant 0"]
        assert "No tenant has this in its name or id." in page(http, "/_mock/?text=none+like+it")
        for name in ("webhooks", "faults"):  # without a choice it is the first
            assert " selected>demo-hubspot</option>" in page(http, f"/_mock/console/{name}")
        for name in ("webhooks", "faults", "requests"):
            assert " selected>tenant 0</option>" in page(http, f"/_mock/console/{name}?tenant={made[0]}")
        for number in range(5):
            http.post(f"{path}/keys", json={"scopes": ["read"]})
            fault = "unavailable" if number < 2 else ("internal_error", "latency", "broken_json")[number - 2]
            http.post(f"{path}/faults", json={"fault": fault})
            http.post(f"{path}/stubs", json={"request": {"nth": number + 1}, "response": {"status": 403}})
        newest = [key["id"] for key in http.get(f"{path}/keys").json()["data"]][-3:]
        text = page(http, f"/_mock/console/tenants/{made[0]}")
        assert re.findall(r"<summary>key ([^<]+)", text) == newest
        assert '<a href="#keys">Keys</a> <small>12</small>' in text
        card = page(http, "/_mock/?text=tenant+0")
        assert re.findall(r'<span class="tag warn">([^<]+)', card)[0] == "unavailable \N{MULTIPLICATION SIGN} 2"
        assert '<span class="tag warn">1 more</span>' in card
        assert page(http, f"/_mock/console/faults?tenant={made[0]}").count("The newest 3 of 5.") == 2


def test_a_mock_with_fixtures_of_its_own_and_almost_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bare.toml"
    file.write_text('[[tenants]]\nname = "bare"\nkeys = []\nleads = 0\ncrm = "none"\n', "utf-8")
    transport = MockTransport(App(Mock(Settings(seed=1, fixtures=file))))
    with httpx.Client(transport=transport, base_url="http://127.0.0.1:3000", headers=HTML) as http:
        overview = page(http, "/_mock/")
        for wanted in (", 1 tenant<", ">0 requests<", "Reset to the fixtures"):
            assert wanted in overview
        (tenant,) = http.get("/_mock/tenants", headers={"Accept": "application/json"}).json()["data"]
        assert page(http, f"/_mock/console/tenants/{tenant['id']}").count('<p class="empty">None') == 5


def test_texts_of_others_are_only_text(http: httpx.Client) -> None:
    made = http.post("/_mock/tenants", json={"name": HOSTILE[:190]}).json()
    path = f"/_mock/tenants/{made['id']}"
    http.post(f"{path}/leads", json={"name": HOSTILE, "conversation_status": HOSTILE[:90]})
    http.post(
        f"{path}/crm-records",
        json={"object": "contact", "fields": {"email": "a@b.test", "x": HOSTILE}, "idempotency_key": HOSTILE},
    )
    stub = {"request": {"body": {HOSTILE: HOSTILE}}, "response": {"status": 403, "body": HOSTILE}, "unlawful": True}
    assert http.post(f"{path}/stubs", json=stub).status_code == 201
    refused = hand_off(http, made, reason=HOSTILE * 30, summary=[HOSTILE])
    hand_off(http, made, reason=HOSTILE, summary="x" * 1000)
    http.post(f"{path}/webhooks", json={"target_url": f"http://127.0.0.1:9/{'a' * 1500}", "events": ["lead.created"]})
    for each in (
        "/_mock/",
        f"/_mock/console/requests?text={'%3Cscript%3E' * 9}&fault=%22%3E%3Cscript%3E",
        f"/_mock/console/requests/{refused.headers['X-Mock-Request-Id']}",
        f"/_mock/console/tenants/{made['id']}",
        f"/_mock/console/webhooks?tenant={made['id']}",
        f"/_mock/console/faults?tenant={made['id']}",
    ):
        text = page(http, each)
        assert "<script>alert" not in text
        assert "<img" not in text


def test_a_request_is_sent_again(http: httpx.Client, mock: Mock, tenant: dict[str, Any]) -> None:
    first = hand_off(http, tenant, reason="once more")
    again = http.post(f"/_mock/requests/{first.headers['X-Mock-Request-Id']}/send-again")
    assert again.status_code == 200
    told = again.json()
    assert told["id"] != first.headers["X-Mock-Request-Id"]
    assert (told["response"]["status"], told["tenant_id"]) == (200, tenant["id"])
    rows = http.get(f"/_mock/tenants/{tenant['id']}/handoffs").json()["data"]
    assert [row["reason"] for row in rows] == ["once more", "once more"]
    assert http.post("/_mock/requests/none/send-again").status_code == 404


def test_the_page_is_told_of_changes(http: httpx.Client, mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    told = http.get("/_mock/console/changes?since=-1")
    assert told.headers["Content-Type"].startswith("text/event-stream")
    assert told.text == f"retry: 300\n\nevent: changed\nid: {mock.changes}\ndata: {mock.changes}\n\n"
    monkeypatch.setattr(pages, "LISTENING", 0.5)
    before = mock.changes
    waited = http.get("/_mock/console/changes", headers={"Last-Event-ID": str(before)})
    assert f"id: {before}\n" in waited.text
    http.post("/_mock/clock", json={"advance": "1s"})
    assert mock.changes != before


def test_only_so_many_pages_listen(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LISTENERS", 0)
    with httpx.Client(transport=MockTransport(App(Mock(Settings(seed=1)))), base_url="http://127.0.0.1:3000") as other:
        refused = other.get("/_mock/console/changes")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "5"


def test_the_console_is_behind_the_guard(http: httpx.Client) -> None:
    assert http.get("/_mock/", headers={"Host": "evil.example"}).status_code == 403
    assert http.get("/_mock/console/changes", headers={"Origin": "http://evil.example"}).status_code == 403
    settings = Settings(seed=1, control_token="a-long-control-token")
    with httpx.Client(transport=MockTransport(App(Mock(settings))), base_url="http://127.0.0.1:3000") as other:
        refused = other.get("/_mock/", headers=HTML)
        assert refused.status_code == 401
        assert "Basic" in refused.headers["WWW-Authenticate"]  # the browser asks for the token
        assert other.get("/_mock/", auth=("", "a-long-control-token")).status_code == 200


def test_what_is_unknown_below_it_is_told(http: httpx.Client) -> None:
    answer = http.get("/_mock/console/nothing")
    assert answer.status_code == 404
    assert "Nothing is at this path" in answer.json()["error"]["message"]


def test_the_files_are_those_of_the_package(http: httpx.Client) -> None:
    folder = Path(str(console.__file__)).parent / "static"
    for file in folder.iterdir():
        served = http.get(f"/_mock/console/static/{file.name}").content
        assert hashlib.sha256(served).digest() == hashlib.sha256(file.read_bytes()).digest()
