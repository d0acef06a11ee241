"""How an answer came about: the steps in order, the rule that decided, the place in the document it stands on."""

import json
from typing import Any

import httpx
import pytest

from vorel_mock.api.messages import Request
from vorel_mock.mock import demo
from vorel_mock.mock.journal.access_log import json_line, text_line
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings

STEPS = ["routing", "authentication", "rate_limit", "scope", "validation", "operation"]
OWN = demo.lead_id(1, 1)
FULL = demo.token(1, 1, 1)
CREATE = "/api/v1/crm/create-record"
HANDOFF = f"/api/v1/leads/{OWN}/handoff"
RECORD = {"object": "contact", "fields": {"email": "ann@example.com"}, "idempotency_key": "k"}


@pytest.fixture
def settings() -> Settings:
    return Settings(seed=1, clock="frozen", rate_limit=3)


def _explained(http: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    told = http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}")
    assert told.status_code == 200
    return dict(told.json())


def _steps(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Each step of the contract's road with its outcome. Faults, a step of the mock's own, are another test's."""
    return [(step["step"], step["outcome"]) for step in told["explanation"]["steps"] if step["step"] in STEPS]


DECIDED: dict[str, tuple[str, str, str, dict[str, Any], str]] = {
    "unknown path": ("routing", "POST", "/api/v1/none", {}, "#/paths"),
    "method": ("routing", "GET", CREATE, {}, "#/paths"),
    "no key": (
        "authentication",
        "POST",
        CREATE,
        {"headers": {"Authorization": ""}},
        "#/components/responses/Unauthorized",
    ),
    "scope": (
        "scope",
        "POST",
        CREATE,
        {"headers": {"Authorization": f"Bearer {demo.token(1, 4, 1)}"}},
        "#/paths/~1api~1v1~1crm~1create-record/post/security/0",
    ),
    "id": (
        "validation",
        "POST",
        "/api/v1/leads/none/handoff",
        {},
        "#/paths/~1api~1v1~1leads~1{id}~1handoff/post/parameters/0/schema/format",
    ),
    "length": (
        "validation",
        "POST",
        HANDOFF,
        {"json": {"reason": "x" * 201}},
        "#/components/schemas/LeadHandoffBody/properties/reason/maxLength",
    ),
    "enum": (
        "validation",
        "POST",
        CREATE,
        {"json": {**RECORD, "object": "x"}},
        "#/components/schemas/CrmCreateRecordBody/properties/object/enum",
    ),
    "required": (
        "validation",
        "POST",
        CREATE,
        {"json": {"object": "contact", "fields": {}}},
        "#/components/schemas/CrmCreateRecordBody/required",
    ),
    "no body": ("validation", "POST", CREATE, {}, "#/paths/~1api~1v1~1crm~1create-record/post/requestBody"),
    "media type": (
        "validation",
        "POST",
        CREATE,
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        "#/paths/~1api~1v1~1crm~1create-record/post/requestBody",
    ),
    "foreign lead": (
        "operation",
        "POST",
        HANDOFF.replace(OWN, demo.lead_id(2, 1)),
        {},
        "#/components/responses/NotFound",
    ),
    "handoff": ("operation", "POST", HANDOFF, {}, "#/paths/~1api~1v1~1leads~1{id}~1handoff/post/responses/200"),
    "record": (
        "operation",
        "POST",
        CREATE,
        {"json": RECORD},
        "#/paths/~1api~1v1~1crm~1create-record/post/responses/200",
    ),
}


@pytest.mark.parametrize("name", DECIDED)
def test_the_step_that_decided_and_the_place_it_stands_on(api: httpx.Client, mock: Mock, name: str) -> None:
    step, method, path, request, pointer = DECIDED[name]
    answer = api.request(method, path, **request)
    told = _explained(api, answer)
    number = STEPS.index(step)
    assert _steps(told) == [
        *((earlier, "passed") for earlier in STEPS[:number]),
        (step, "decided"),
        *((later, "not reached") for later in STEPS[number + 1 :]),
    ]
    explanation = told["explanation"]
    assert (explanation["decided_by"], explanation["pointer"]) == (step, pointer)
    assert mock.contract.at(pointer) is not None
    assert explanation["rule"]
    assert all(step["detail"] for step in explanation["steps"] if step["outcome"] != "not reached")


def test_the_limit_decides(api: httpx.Client) -> None:
    for _ in range(4):
        answer = api.post(HANDOFF)
    told = _explained(api, answer)
    assert answer.status_code == 429
    assert [outcome for _, outcome in _steps(told)] == ["passed", "passed", "decided", *["not reached"] * 3]
    assert told["explanation"]["pointer"] == "#/components/responses/RateLimited"
    assert told["explanation"]["rule"] == "request 4 of a window in which the API key has 3"


def test_the_exchange_is_told_whole(api: httpx.Client) -> None:
    answer = api.post(f"{HANDOFF}?a=b", json={"reason": "no-response-7d"}, headers={"X-Own": "yes"})
    told = _explained(api, answer)
    assert told["id"] == answer.headers["X-Mock-Request-Id"]
    assert told["at"] == "2026-01-01T00:00:00.000Z"
    assert told["operation"] == "handoffLead"
    assert told["request"]["method"] == "POST"
    assert (told["request"]["path"], told["request"]["query"]) == (HANDOFF, "a=b")
    assert ["x-own", "yes"] in told["request"]["headers"]
    assert ["authorization", "Bearer [redacted]"] in told["request"]["headers"]
    assert told["request"]["body"] == '{"reason":"no-response-7d"}'
    assert told["response"]["status"] == 200
    assert told["response"]["body"] == answer.text
    assert dict(told["response"]["headers"]).items() >= {"content-type": "application/json"}.items()


def test_a_soft_failure_is_told(api: httpx.Client) -> None:
    answer = api.post(CREATE, json={**RECORD, "fields": {"email": "auth_failed@crm-error.test"}})
    assert _explained(api, answer)["explanation"]["rule"] == "soft failure: auth_failed"


@pytest.mark.parametrize("number", ["none", "req_99999999", "req_", "x" * 64])
def test_an_unknown_request_is_a_404(http: httpx.Client, number: str) -> None:
    answer = http.get(f"/_mock/requests/{number}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_every_answer_has_a_number_of_its_own(api: httpx.Client) -> None:
    numbers = {
        answer.headers["X-Mock-Request-Id"]
        for path in (HANDOFF, CREATE, "/", "/api/v1/leads/none/handoff")
        for answer in (api.post(path), api.get(path), api.post(path, headers={"Authorization": ""}))
    }
    assert len(numbers) == 12


# The line that the user sees.


def _lines(mock: Mock, answer: httpx.Response) -> tuple[str, str]:
    exchange = mock.journal.get(answer.headers["X-Mock-Request-Id"])
    assert exchange is not None
    return text_line(exchange), json_line(exchange)


def test_a_line_has_method_path_status_time_and_why(api: httpx.Client, mock: Mock) -> None:
    text, as_json = _lines(mock, api.post(HANDOFF))
    assert f"Z POST {HANDOFF} 200 " in text
    assert text.endswith(" req_00000001")
    answer = api.post("/api/v1/leads/none/handoff")
    text, as_json = _lines(mock, answer)
    assert 'bad_request: id: is not a "uuid"' in text
    assert answer.headers["X-Mock-Request-Id"] in text
    assert '"status":400' in as_json
    assert '"code":"bad_request"' in as_json
    text, _ = _lines(mock, api.post(CREATE, json={**RECORD, "fields": {"email": "auth_failed@crm-error.test"}}))
    assert text.endswith("soft failure: auth_failed")


@pytest.mark.parametrize("path", ["/a%0d%0aFAKE%20LINE", "/%1b[31mred", "/%c2%9bred", "/%e2%80%a8x", "/%00"])
def test_a_path_does_nothing_to_a_terminal(http: httpx.Client, mock: Mock, path: str) -> None:
    for line in _lines(mock, http.post(path)):
        assert line.isprintable()


@pytest.mark.parametrize(("fault", "seconds"), [("latency", 1.0), ("slow_body", 1.0), ("no_answer", 60.0)])
def test_durations_include_what_a_fault_adds(http: httpx.Client, mock: Mock, fault: str, seconds: float) -> None:
    """M21: in journal, HAR and log. The core never waits; the shell would."""
    fields = {b"authorization": f"Bearer {FULL}".encode(), b"prefer": f"fault={fault}".encode()}
    mock.answer(Request("POST", HANDOFF.encode(), HANDOFF, b"", list(fields.items()), fields))
    (exchange,) = mock.journal.latest(1)
    shown = http.get(f"/_mock/requests/{exchange.id}").json()["duration_ms"]
    assert seconds * 1000 <= shown < seconds * 1000 + 500
    (entry,) = http.get("/_mock/requests.har").json()["log"]["entries"]
    assert entry["time"] == entry["timings"]["wait"] == shown
    assert json.loads(json_line(exchange))["duration_ms"] == shown
    assert f" {shown:.1f} ms " in text_line(exchange)
