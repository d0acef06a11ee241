"""A larger document of the same API: what it says is followed, and what has no handler answers from its schema."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.paths import DATA

from vorel_mock.contract.contract import default_path
from vorel_mock.mock import demo
from vorel_mock.mock.journal.access_log import json_line, text_line
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

Judge = Callable[[Mock, httpx.Response], list[str]]

LARGER = DATA / "larger.yaml"
LEAD = demo.lead_id(1, 1)
#: A demo key that may do this and nothing else, by this document.
KEYS = {"read": demo.token(1, 3, 1), "conversations:write": demo.token(1, 4, 1), "crm:write": demo.token(1, 5, 1)}


@pytest.fixture(scope="module")
def mock() -> Mock:
    """One for all of these tests, which hold nothing against it: to check a document takes a while."""
    return Mock(Settings(seed=1, clock="frozen", contract=LARGER, rate_limit=0, tenant_rate_limit=0))


@pytest.fixture(scope="module")
def app(mock: Mock) -> App:
    return App(mock)


def _message(answer: httpx.Response) -> str:
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
    return str(answer.json()["error"]["message"])


def test_an_error_response_without_a_name_has_the_code_of_its_status(api: httpx.Client) -> None:
    answer = api.post(f"/base/api/v1/leads/{demo.lead_id(2, 1)}/handoff")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "text", ["1_0", "+5", "%205", "5%20", "%D9%A3", "--5", "nan", "inf", "1e400", "", "0x5", "9" * 5000]
)
def test_a_number_in_a_query_is_written_as_json_has_it(api: httpx.Client, text: str) -> None:
    for name in ("limit", "min_score"):
        assert _message(api.get(f"/base/api/v1/leads?{name}={text}")).startswith(f"{name}: ")


@pytest.mark.parametrize(("text", "status"), [("5", 200), ("-5", 200), ("x", 400), ("5.5", 400)])
def test_a_composed_schema_admits_its_types_in_a_query(api: httpx.Client, text: str, status: int) -> None:
    assert api.get(f"/base/api/v1/leads?cursor={text}").status_code == status


@pytest.mark.parametrize(
    ("query", "field"), [("status=new&status=x", "status.1"), ("ids=1,x", "ids.1"), ("ids=1,2,3,4", "ids")]
)
def test_an_item_of_a_list_in_a_query_is_named_with_the_parameter(api: httpx.Client, query: str, field: str) -> None:
    assert _message(api.get(f"/base/api/v1/leads?{query}")).startswith(f"{field}: ")


PHOTO = "/base/api/v1/leads/7/photo"


def test_a_body_that_is_not_json_is_taken_as_the_document_says(api: httpx.Client) -> None:
    png = {"Content-Type": "image/png"}
    assert api.put(PHOTO, content=b"\x89PNG", headers=png).status_code == 204
    assert _message(api.put(PHOTO, headers=png)) == "body: is required"


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {"Content-Type": "image/jpeg"}])
def test_a_body_of_another_media_type_than_the_document_says_is_a_400(
    api: httpx.Client, headers: dict[str, str]
) -> None:
    assert _message(api.put(PHOTO, content=b"{}", headers=headers)) == "Content-Type: must be image/png"


def test_a_json_media_type_with_a_parameter_is_json(api: httpx.Client) -> None:
    answer = api.get(f"/base/api/v1/leads/{LEAD}")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json()["channel"] in ("slack", "email")


def test_an_answer_without_content_has_no_length(api: httpx.Client) -> None:
    answer = api.delete(f"/base/api/v1/leads/{LEAD}?verbose=true")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer.headers  # RFC 9110, 8.6


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/base/api/v1/leads", "GET, HEAD, POST"),
        ("POST", f"/base/api/v1/leads/{LEAD}", "DELETE, GET, HEAD, PATCH"),
        ("HEAD", f"/base/api/v1/leads/{LEAD}/handoff", "POST"),
        ("GET", "/base/api/v1/leads/7/photo", "PUT"),
        ("OPTIONS", "/base/status", "GET, HEAD"),
    ],
)
def test_another_method_is_told_all_that_are_allowed(api: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)


def test_head_is_get_without_its_content(api: httpx.Client) -> None:
    head, get = api.head("/base/status"), api.get("/base/status")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.content))


def _explained(client: httpx.Client, answer: httpx.Response) -> dict[str, str]:
    """What each step that was passed or that decided says of itself."""
    told = client.get(f"http://127.0.0.1:3000/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()
    return {step["step"]: step.get("detail", "") for step in told["explanation"]["steps"]}


def test_the_alternative_that_let_a_key_in_is_told(http: httpx.Client) -> None:
    answer = http.post(
        "/base/api/v1/leads",
        json={"name": "Ann", "channel": "slack"},
        headers={"Authorization": f"Bearer {KEYS['crm:write']}"},
    )
    assert answer.status_code == 201
    assert _explained(http, answer)["scope"] == "the key has crm:write"


# What each operation that has no handler answers.

READS = [
    "/api/v1/leads",
    "/api/v1/leads/export",
    f"/api/v1/leads/{LEAD}",
    "/api/v1/conversations/c_1/threads/3",
    "/api/v1/analytics/weekly",
    "/status",
    "/openings",
]
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/v1/leads", {"json": {"name": "Ann", "channel": "slack"}}),
    ("PATCH", f"/api/v1/leads/{LEAD}?verbose=true", {"json": {"name": None}}),
    ("DELETE", f"/api/v1/leads/{LEAD}?verbose=true", {}),
    ("PUT", "/api/v1/leads/7/photo", {"content": b"\x89PNG", "headers": {"Content-Type": "image/png"}}),
    ("POST", f"/api/v1/leads/{LEAD}/handoff", {"json": {"reason": "12345"}}),
    (
        "POST",
        "/api/v1/crm/create-record",
        {"json": {"object": "contact", "fields": {"last_name": "Lee"}, "idempotency_key": "k"}},
    ),
]


@pytest.mark.parametrize(("method", "path", "request_"), [*(("GET", path, {}) for path in READS), *WRITES])
def test_every_operation_answers_what_its_schema_admits(
    api: httpx.Client, mock: Mock, judge: Judge, method: str, path: str, request_: dict[str, Any]
) -> None:
    answer = api.request(method, f"/base{path}", **request_)
    assert answer.status_code < 300
    assert judge(mock, answer) == []


def test_the_example_of_a_response_is_its_answer(api: httpx.Client) -> None:
    assert api.get("/base/status").json() == {"up": True, "since": "2026-01-01"}
    assert api.get("/base/api/v1/leads/export").text == "id,name\n1,Ann\n"


def test_an_answer_by_example_says_so(api: httpx.Client) -> None:
    answer = api.get("/base/api/v1/leads")
    assert _explained(api, answer)["operation"].startswith("answered by example")
    assert api.get("/base/api/v1/leads").content == answer.content


def test_what_recurs_ends(api: httpx.Client) -> None:
    thread = api.get("/base/api/v1/conversations/c_1/threads/3").json()
    assert thread["replies"][0]["text"] == "string"
    assert len(json.dumps(thread)) < 2_000


# Routing.


def test_a_concrete_path_goes_before_a_template(api: httpx.Client) -> None:
    assert api.get("/base/api/v1/leads/export").headers["Content-Type"] == "text/csv"
    assert _message(api.get("/base/api/v1/leads/import")).startswith("lead-id: ")


@pytest.mark.parametrize("path", ["/api/v1/leads", "/status", "/base", "/base/", "/base/base/status", "/base/status/"])
def test_a_path_outside_of_the_base_path_is_not_found(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


# Keys, scopes, limit.


@pytest.mark.parametrize("path", ["/status", "/openings", "/api/v1/analytics/weekly"])
def test_an_operation_that_asks_for_no_key_asks_for_none(http: httpx.Client, path: str) -> None:
    answer = http.get(f"/base{path}")
    assert answer.status_code == 200
    assert _explained(http, answer)["authentication"] == "the operation asks for no key"


@pytest.mark.parametrize("path", ["/api/v1/leads", f"/api/v1/leads/{LEAD}", "/api/v1/leads/export"])
def test_the_document_s_own_security_holds_where_an_operation_has_none(http: httpx.Client, path: str) -> None:
    assert http.get(f"/base{path}").status_code == 401
    statuses = {
        scope: http.get(f"/base{path}", headers={"Authorization": f"Bearer {key}"}).status_code
        for scope, key in KEYS.items()
    }
    assert statuses == {"read": 200, "conversations:write": 403, "crm:write": 403}


def test_the_scopes_of_the_two_handlers_are_read_from_the_document(http: httpx.Client) -> None:
    for scope, key in KEYS.items():
        headers = {"Authorization": f"Bearer {key}"}
        handoff = http.post(f"/base/api/v1/leads/{LEAD}/handoff", headers=headers)
        assert handoff.status_code == (200 if scope == "conversations:write" else 403)
        create = http.post("/base/api/v1/crm/create-record", headers=headers, json={})
        assert create.status_code == (400 if scope == "crm:write" else 403)


def test_the_handlers_follow_the_document(api: httpx.Client) -> None:
    path = f"/base/api/v1/leads/{LEAD}/handoff"
    assert api.post(path).json()["conversation_status"] == "with_human"
    assert _message(api.post(path, json={"reason": "123456"})).startswith("reason: ")
    record = {"object": "deal", "fields": {}, "idempotency_key": "123456789"}
    message = _message(api.post("/base/api/v1/crm/create-record", json=record))
    assert 'object: must be one of "contact", "asset"' in message
    assert "idempotency_key: is longer than 8 characters" in message


def test_an_object_that_the_vendor_has_not_is_a_soft_failure(api: httpx.Client) -> None:
    record = {"object": "asset", "fields": {}, "idempotency_key": "asset"}
    assert api.post("/base/api/v1/crm/create-record", json=record).json()["error"] == "validation_error"


def test_the_limit_s_headers_are_the_document_s(http: httpx.Client) -> None:
    mock = Mock(Settings(seed=1, clock="frozen", contract=LARGER, rate_limit=1))
    headers = {"Authorization": f"Bearer {KEYS['read']}"}
    with httpx.Client(transport=MockTransport(App(mock)), base_url="http://127.0.0.1:3000", headers=headers) as client:
        assert client.get("/base/status").status_code == 200  # asks for no key, so it counts for none
        assert client.get("/base/api/v1/leads").status_code == 200
        refused = client.get("/base/api/v1/leads")
    assert refused.status_code == 429
    told = {name for name in refused.headers if "limit" in name or name == "retry-after"}
    assert told == {"retry-after", "ratelimit-limit", "ratelimit-reset"}


# Validation.


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("limit=1", 200),
        ("limit=100", 200),
        ("limit=5.0", 200),
        ("min_score=-0.5", 200),
        ("min_score=1e3", 200),
        ("archived=true", 200),
        ("archived=false", 200),
        ("status=new&status=lost", 200),
        ("ids=1,2,3", 200),
        ("channel=slack", 200),
        ("unknown=1", 200),
        ("limit=0", 400),
        ("limit=101", 400),
        ("limit=5.5", 400),
        ("archived=True", 400),
        ("archived=1", 400),
        ("status=new,lost", 400),
        ("ids=1,2,3,4", 400),
        ("channel=fax", 400),
    ],
)
def test_query_parameters(api: httpx.Client, query: str, status: int) -> None:
    answer = api.get(f"/base/api/v1/leads?{query}")
    assert answer.status_code == status
    if status == 400:
        assert _message(answer).startswith(query.partition("=")[0])


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("X-Trace-Id", LEAD, 200),
        ("x-trace-id", "none", 400),
        ("Cookie", "a=b; session=abcd; c=d", 200),
        ("Cookie", "session=abc", 400),
    ],
)
def test_headers_and_cookies(api: httpx.Client, name: str, value: str, status: int) -> None:
    answer = api.get("/base/api/v1/leads", headers={name: value})
    assert answer.status_code == status
    if status == 400:
        assert _message(answer).startswith("session: " if name == "Cookie" else "X-Trace-Id: ")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/leads/none", "lead-id"),
        ("/api/v1/conversations/x/threads/1", "conversation"),
        ("/api/v1/conversations/c_1/threads/x", "depth"),
        ("/api/v1/conversations/c_1/threads/-1", "depth"),
        (f"/api/v1/leads/{LEAD}?verbose=maybe", "verbose"),
    ],
)
def test_path_and_overridden_parameters(api: httpx.Client, path: str, field: str) -> None:
    assert _message(api.get(f"/base{path}")).startswith(f"{field}: ")


def test_a_required_parameter_is_required(api: httpx.Client) -> None:
    assert _message(api.delete(f"/base/api/v1/leads/{LEAD}")) == "verbose: is required"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "body: "),
        ({"name": "12345678901"}, "name: "),
        ({"score": 0}, "score: "),
        ({"other": 1}, "body: "),
        ([], "body: "),
    ],
)
def test_a_body_in_another_json_type(api: httpx.Client, body: Any, said: str) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = api.patch(f"/base/api/v1/leads/{LEAD}?verbose=true", content=json.dumps(body), headers=headers)
    assert _message(answer).startswith(said)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": "A", "channel": "fax"}, ["name", "channel"]),
        ({"name": "Ann"}, ["channel"]),
        ({"name": "Ann", "channel": "email", "tags": ["a", "a"]}, ["tags"]),
        ({"name": "Ann", "channel": "email", "tags": ["a", 1]}, ["tags.1"]),
        ({"name": "Ann", "channel": "email", "email": "none"}, ["email"]),
    ],
)
def test_a_composed_body(api: httpx.Client, body: dict[str, Any], fields: list[str]) -> None:
    message = _message(api.post("/base/api/v1/leads", json=body))
    assert [part.partition(":")[0] for part in message.split("; ")] == fields


@pytest.mark.parametrize("name", ["\x1b[31m", "\n00:00:00 FAKE LINE", "\x9b31m", "\u2028"])
def test_the_name_of_a_member_does_nothing_to_a_terminal(api: httpx.Client, mock: Mock, name: str) -> None:
    answer = api.patch(f"/base/api/v1/leads/{LEAD}?verbose=true", json={name: 1})
    assert answer.status_code == 400
    exchange = mock.journal.get(answer.headers["X-Mock-Request-Id"])
    assert exchange is not None
    assert text_line(exchange).isprintable()
    assert json_line(exchange).isprintable()


def test_a_target_s_base_url_is_where_the_api_is(api: httpx.Client) -> None:
    made = api.post("/_mock/tenants").json()
    for profile in (api.get("/_mock/target").json(), api.get(f"/_mock/tenants/{made['id']}/target").json(), made):
        url = f"{profile['base_url']}/api/v1/leads/{profile['leads']['own'][0]}/handoff"
        answer = api.post(url, headers={"Authorization": f"Bearer {profile['keys']['full'][0]}"})
        assert answer.status_code == 200, url


def test_a_document_that_leaves_the_channels_open_has_worlds_taken_over(tmp_path: Path) -> None:
    document = json.loads(default_path().read_text("utf-8"))
    del document["components"]["schemas"]["LeadHandoffResponse"]["properties"]["notified_channel"]["enum"]
    file = tmp_path / "open.json"
    file.write_text(json.dumps(document))
    app = App(Mock(Settings(seed=1, clock="frozen", contract=file)))
    with httpx.Client(transport=MockTransport(app), base_url="http://127.0.0.1:3000") as client:
        made = client.post("/_mock/tenants", json={"notified_channel": "pager"}).json()
        world = client.get(f"/_mock/tenants/{made['id']}/snapshot").json()
        assert world["notified_channel"] == "pager"
        assert client.put(f"/_mock/tenants/{made['id']}/snapshot", json=world).status_code == 204
