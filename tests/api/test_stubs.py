"""Stubs: which requests meet one, what the contract has to say about its response, and where it is seen."""

import json
import re
from contextlib import nullcontext
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from tests import checked_client as checked
from tests.api.test_faults import World
from tests.paths import DATA

from vorel_mock.api.faults.stub_check import check_stub
from vorel_mock.contract import contract
from vorel_mock.mock.journal.access_log import json_line, text_line
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.stubs import MAX_RESPONSE, MAX_STUBS, Stub

Json = dict[str, Any]
CONTRACT = contract.load()
LARGER = contract.load(DATA / "larger.yaml")
CREATE = "/api/v1/crm/create-record"
HANDED_OFF = {
    "handoff_id": "3f0c1b52-8f6e-4d3a-9b1e-5a7c2d9e4f10",
    "lead_id": "3f0c1b52-8f6e-4d3a-9b1e-5a7c2d9e4f11",
    "conversation_id": "3f0c1b52-8f6e-4d3a-9b1e-5a7c2d9e4f12",
    "conversation_status": "awaiting_human",
    "notified_channel": "slack",
}


@pytest.fixture
def world(shared: httpx.Client) -> World:
    return World(shared)


def add(world: World, response: Json, request: Json | None = None, **more: Any) -> Json:
    wanted = {"response": response, **more, **({} if request is None else {"request": request})}
    made = world.http.post(f"{world.path}/stubs", json=wanted)
    assert made.status_code == 201, made.text
    return dict(made.json())


def create(world: World, key: str = "k", **headers: str) -> httpx.Response:
    body = {"object": "contact", "fields": {"email": "ada@example.com", "tags": ["a"]}, "idempotency_key": key}
    return world.http.post(CREATE, json=body, headers={**world.headers, **headers})


def refused(world: World, response: Json, request: Json | None = None, status: int = 400, **more: Any) -> str:
    wanted = {"response": response, **more, **({} if request is None else {"request": request})}
    answer = world.http.post(f"{world.path}/stubs", json=wanted)
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


# -- which requests meet it


def test_the_request_that_is_meant_meets_it_and_no_other(world: World) -> None:
    key = world.http.get(f"{world.path}/keys").json()["data"][0]["id"]
    pattern = {
        "operation": "createCrmRecord",
        "key": key,
        "headers": {"X-Trace": "7"},
        "body": {"/fields/tags/0": "a", "fields": {"email": "ada@example.com"}, "idempotency_key": "k"},
    }
    stub = add(world, {"status": 403}, pattern)
    assert create(world).status_code == 200, "without the header"
    assert create(world, "other", **{"X-Trace": "7"}).status_code == 200
    assert world.post("handoffLead").status_code == 200
    assert world.effects() == 3
    answer = create(world, **{"X-Trace": "7"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert world.effects() == 3, "nothing is done"
    (shown,) = world.rows("stubs")
    assert shown == world.http.get(f"{world.path}/stubs/{stub['id']}").json()
    assert (shown["request"], shown["response"]) == (pattern, {"status": 403})
    assert (shown["seen"], shown["met"], shown["spent"], shown["times"]) == (1, 1, False, None)
    assert [met["request_id"] for met in shown["consumed"]] == [answer.headers["X-Mock-Request-Id"]]


def test_a_lead_and_the_first_stub_that_matches(world: World) -> None:
    body = {**HANDED_OFF, "lead_id": world.lead}
    only_one = '403, 404, 429; or add "unlawful": true'  # no other operation is about a lead
    assert refused(world, {"status": 409}, {"lead": world.lead}).endswith(only_one)
    add(world, {"status": 200, "body": body}, {"lead": world.lead.upper()}, times=1)
    add(world, {"status": 404}, {"operation": "handoffLead"})
    first, second, third = (world.post("handoffLead") for _ in range(3))
    assert (first.status_code, first.json()) == (200, body)
    assert [second.status_code, third.status_code] == [404, 404]
    assert [stub["met"] for stub in world.rows("stubs")] == [1, 2]
    assert world.rows("handoffs") == []


@settings(max_examples=15)
@given(nth=st.none() | st.integers(1, 4), times=st.none() | st.integers(1, 3))
def test_nth_and_times_count_the_requests_that_match(shared: httpx.Client, nth: int | None, times: int | None) -> None:
    world = World(shared)
    given = {} if nth is None else {"nth": nth}
    add(world, {"status": 403}, given, **({} if times is None else {"times": times}))
    statuses = [create(world, str(number)).status_code for number in range(6)]
    first = (nth or 1) - 1
    last = first + (times or (6 if nth is None else 1))
    assert statuses == [403 if first <= number < last else 200 for number in range(6)]


def test_a_request_that_breaks_the_contract_is_told_so_and_meets_no_stub(world: World) -> None:
    add(world, {"status": 200, "body": {"ok": True, "external_id": "1"}}, {"operation": "createCrmRecord"})
    for headers in ({}, world.headers):
        answer = world.http.post(CREATE, json={"object": "contact"}, headers=headers)
        assert answer.status_code == (400 if headers else 401)
    world.arm("broken_json")
    assert create(world).json() == {"ok": True, "external_id": "1"}, "no later fault changes it"
    assert world.armed()[0]["met"] == 0
    assert world.rows("crm-records") == []
    assert world.rows("stubs")[0]["seen"] == 1


def test_it_counts_towards_the_limit_and_its_headers_win(shared: httpx.Client) -> None:
    world = World(shared, rate_limit=2)
    add(world, {"status": 404, "headers": {"x-ratelimit-limit": "17", "X-Own": "é"}}, {"operation": "handoffLead"})
    answers = [world.post("handoffLead") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[0].headers.get_list("X-RateLimit-Limit") == ["17"]
    assert answers[0].headers["X-Own"] == "é"
    with checked.client(Mock(Settings(seed=1, rate_limit_headers="always"))) as http:
        own = World(http)
        add(own, {"status": 404, "headers": {"x-ratelimit-limit": "17"}}, {"operation": "handoffLead"})
        answer = own.post("handoffLead")
        assert answer.headers.get_list("X-RateLimit-Limit") == ["17"]
        assert "X-RateLimit-Remaining" in answer.headers


def test_it_may_be_a_fault_of_the_catalogue(world: World) -> None:
    broken = add(world, {"fault": "broken_json"}, {"body": {"/fields/email": "ada@example.com"}}, times=1)
    assert broken["response"] == {"fault": "broken_json"}
    assert create(world).text[-1] != "}"
    assert world.effects() == 1, "its stage is after the effect"
    assert create(world, "2").json()["ok"] is True
    add(world, {"fault": "rate_limited", "retry_after": "3s"}, {"lead": world.lead})
    answer = world.post("handoffLead")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    told = world.http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()
    assert (told["fault"], told["stub"]) == ("rate_limited", world.rows("stubs")[1]["id"])


# -- what the contract says


@pytest.mark.parametrize(
    ("response", "request_", "told"),
    [
        (
            {"status": 404},
            {"operation": "createCrmRecord"},
            "response.status: the contract declares no 404 for createCrmRecord; it declares 200, 400, 401, 403, 429; "
            'or add "unlawful": true',
        ),
        ({"status": 404}, {}, "name an operation that does"),
        ({"status": 409}, {"operation": "handoffLead"}, "declares no 409 for handoffLead"),
        ({"status": 200}, {"operation": "createCrmRecord"}, "response.body: is required; the contract declares appl"),
        (
            {"status": 200, "body": {**HANDED_OFF, "notified_channel": "sms"}},
            {"operation": "handoffLead"},
            "response.body.notified_channel: must be one of",
        ),
        ({"status": 200, "body": {}}, {"operation": "handoffLead"}, "response.body.handoff_id: is required"),
        ({"status": 200, "body": '{"ok":'}, {"operation": "createCrmRecord"}, "response.body: is not valid JSON"),
        (
            {"status": 403, "body": {"error": {"code": "unauthorized", "message": "no"}}},
            {},
            "response.body.error.code: must be forbidden, which the contract pairs with 403",
        ),
        ({"status": 403, "body": {"error": {"code": "teapot", "message": ""}}}, {}, "error.code: must be one of"),
        ({"status": 429}, {}, "response.headers.Retry-After: is required with a 429 (200 req/min per API key"),
        ({"status": 429, "headers": {"Retry-After": "soon"}}, {}, "response.headers.Retry-After: "),
        (
            {"status": 429, "headers": {"retry-after": "1", "X-RateLimit-Reset": "0.5"}},
            {},
            "response.headers.X-RateLimit-Reset: ",
        ),
        (
            {"status": 403, "headers": {"Content-Type": "text/html"}, "body": "<p>"},
            {},
            "response.headers.Content-Type: must be application/json",
        ),
    ],
)
def test_a_response_that_the_contract_does_not_allow_is_refused(
    world: World, response: Json, request_: Json, told: str
) -> None:
    assert told in (said := refused(world, response, request_))
    assert '"unlawful": true' in said
    assert world.rows("stubs") == []
    stub = add(world, response, request_, unlawful=True)
    assert stub["unlawful"] is True
    # An unlawful response is no concern of the client that checks each one.
    answer = create(world) if request_.get("operation") != "handoffLead" else world.post("handoffLead")
    assert answer.status_code == response["status"]
    if isinstance(response.get("body"), dict):
        assert answer.json() == response["body"]
    elif "body" in response:
        assert answer.text == response["body"]


@settings(max_examples=30)
@given(
    status=st.sampled_from([200, 400, 401, 403, 404, 409, 429, 500]),
    body=st.none()
    | st.sampled_from([{"ok": True, "external_id": "1"}, {"ok": True}, HANDED_OFF, {"error": {"code": "forbidden"}}])
    | st.fixed_dictionaries(
        {"error": st.fixed_dictionaries({"code": st.sampled_from(["forbidden", "not_found"]), "message": st.text()})}
    ),
    headers=st.sampled_from([{}, {"Retry-After": "7"}]),
    operation=st.sampled_from(["handoffLead", "createCrmRecord"]),
)
def test_what_is_taken_as_lawful_is_valid_by_the_document(
    status: int, body: Json | None, headers: Json, operation: str
) -> None:
    """By another way: the schemas of the document, and not the check of stubs, judge what is sent."""
    response = {"status": status, "headers": headers, **({} if body is None else {"body": body})}
    stub = Stub.of("1", {"request": {"operation": operation}, "response": response})
    declared = next(o for o in CONTRACT.operations if o.id == operation).responses.get(str(status))
    valid = declared is not None and (status != 429 or bool(headers))
    if valid and body is not None:
        assert declared is not None
        schema = CONTRACT.checker(declared["content"]["application/json"]["schema"])
        code = body.get("error", {}).get("code", CONTRACT.error_codes.get(status))
        valid = schema(body) and code == CONTRACT.error_codes.get(status)
    elif status == 200:
        valid = False
    with nullcontext() if valid else pytest.raises(ValueError, match="unlawful"):
        check_stub(CONTRACT, stub)


LEAD = {
    "id": HANDED_OFF["lead_id"],
    "name": "Ann",
    "created_at": "2026-01-01T00:00:00Z",
    "channel": "slack",
    "score": 3,
}
CSV = {"Content-Type": "text/csv"}


@pytest.mark.parametrize(
    ("operation", "response", "told"),
    [
        ("exportLeads", {"status": 200, "headers": CSV, "body": "id\n"}, None),
        ("exportLeads", {"status": 200, "body": "id\n"}, "response.headers.Content-Type: must be text/csv, as the con"),
        ("deleteLead", {"status": 204}, None),
        ("getLead", {"status": 200, "body": LEAD}, None),
        ("patchLead", {"status": 201, "body": LEAD}, None),  # `default`
        ("patchLead", {"status": 201, "body": {**LEAD, "score": 0}}, "response.body.score: "),
        ("patchLead", {"status": 404}, "response.body.name: is required"),  # of an error without a body of its own
        ("createLead", {"status": 200, "body": LEAD}, "it declares 201, 400, 403"),
        ("weekly", {"status": 200, "body": {}}, "request.operation: weekly asks for no key"),
        (None, {"status": 204}, "name an operation that does"),
    ],
)
def test_another_document_has_its_own_rules(operation: str | None, response: Json, told: str | None) -> None:
    request = {} if operation is None else {"operation": operation}
    stub = Stub.of("1", {"request": request, "response": response})
    with nullcontext() if told is None else pytest.raises(ValueError, match=re.escape(told)):
        check_stub(LARGER, stub)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"response": {}}, "response: must have exactly one of status, fault"),
        ({"response": {"status": 404, "fault": "forbidden"}}, "response: must have exactly one of status, fault"),
        ({"response": {"status": 403, "location": "http://a"}}, "response.location: goes with fault only"),
        ({"response": {"fault": "forbidden", "body": 1}}, "response.body: goes with status only"),
        ({"response": {"fault": "forbiden"}}, 'did you mean "forbidden"?'),
        ({"response": {"fault": "forbidden", "delay": "1s"}}, "response.delay: forbidden takes no time"),
        (
            {"response": {"fault": "ok_as_text"}, "request": {"operation": "handoffLead"}},
            "request.operation: ok_as_text is a fault of createCrmRecord only",
        ),
        ({"response": {"status": 403, "delay": "31d"}}, "response.delay: "),
        ({"response": {"status": 100}}, "response.status: must be at least 200"),
        ({"response": {"status": 204, "body": 1}, "unlawful": True}, "response.body: must be absent, because a 204"),
        ({"response": {"status": 403, "headers": {"Content-Length": "1"}}}, "response.headers.Content-Length: is the"),
        ({"response": {"status": 403, "headers": {"a b": "1"}}}, "response.headers: the name 'a b' is no name"),
        ({"response": {"status": 403, "headers": {"a": "1\r\nb: 2"}}}, "response.headers.a: must be at most 4,096"),
        ({"response": {"status": 403, "headers": {"a": "1", "A": "1"}}}, "response.headers.A: is given twice"),
        ({"response": {"status": 403}, "request": {"key": "fulll_1"}}, "request.key: "),
        ({"response": {"status": 403}, "request": {"lead": "1"}}, "request.lead: must be a UUID"),
        ({"response": {"status": 403}, "request": {"operation": "handofLead"}}, 'did you mean "handoffLead"?'),
        ({"response": {"status": 403}, "request": {"headers": {"Authorization": "x"}}}, "request.headers.Authoriz"),
        ({"response": {"status": 403}, "request": {"paths": 1}}, 'unknown field "request.paths"'),
        ({"response": {"status": 403}, "request": {"body": {"a": "x" * 16384}}}, "request: must be at most 16 KiB"),
    ],
)
def test_what_makes_no_sense_is_told_by_member(world: World, wanted: Json, told: str) -> None:
    answer = world.http.post(f"{world.path}/stubs", json=wanted)
    assert (answer.status_code, told in answer.json()["error"]["message"]) == (400, True), answer.text
    assert world.rows("stubs") == []


def test_stubs_are_bounded_in_number_and_size(world: World) -> None:
    large = {"status": 403, "body": "x" * MAX_RESPONSE}
    assert refused(world, large, unlawful=True) == "response: must be at most 64 KiB"
    spent = add(world, {"status": 403}, times=1)
    assert create(world).status_code == 403
    for _ in range(MAX_STUBS - 1):
        add(world, {"status": 404}, {"operation": "handoffLead"})
    add(world, {"status": 404}, {"operation": "handoffLead"})
    assert spent["id"] not in [stub["id"] for stub in world.rows("stubs")], "a spent one makes room"
    assert f"already has {MAX_STUBS} stubs" in refused(world, {"status": 404}, {"operation": "handoffLead"}, 409)
    assert len(world.rows("stubs")) == MAX_STUBS


# -- where it is seen, and how it goes


def test_it_is_seen_in_explanation_log_and_dry_run(world: World) -> None:
    stub = add(world, {"status": 403, "delay": "2s"}, {"operation": "createCrmRecord"}, times=1)
    body = {"object": "contact", "fields": {"email": "a@b.test"}, "idempotency_key": "k"}
    asked = {"path": CREATE, "headers": world.headers, "body": body}
    rehearsed = world.http.post("/_mock/explain", json=asked).json()
    assert world.rows("stubs")[0]["met"] == 0, "a dry run has no effect"
    told = world.http.get(f"/_mock/requests/{create(world).headers['X-Mock-Request-Id']}").json()
    for explained in (rehearsed, told):
        assert (explained["stub"], explained["fault"]) == (stub["id"], None)
        assert explained["explanation"]["decided_by"] == "operation"
        assert explained["explanation"]["rule"] == "a stub asks for 403"
        assert explained["explanation"]["pointer"].endswith("create-record/post/responses/403")
    assert told["duration_ms"] >= 2000
    assert world.http.get(f"{world.path}/requests").json()["data"][-1]["stub"] == stub["id"]


def test_the_access_log_names_it() -> None:
    mock = Mock(Settings(seed=1))
    with checked.client(mock) as http:
        world = World(http)
        stub = add(world, {"status": 404}, {"operation": "handoffLead"})
        world.post("handoffLead")
    (exchange,) = mock.journal.exchanges(world.id)
    assert (
        f"404 {exchange.duration * 1000:.1f} ms  {world.id} {exchange.id}  stub {stub['id']}  not_found: a stub asks"
        in (text_line(exchange))
    )
    assert json.loads(json_line(exchange))["stub"] == stub["id"]


def test_it_goes_by_itself_with_all_and_with_a_reset(world: World) -> None:
    first, second = (add(world, {"status": 404}, {"operation": "handoffLead"}) for _ in range(2))
    path = f"{world.path}/stubs"
    assert world.http.delete(f"{path}/{first['id']}").status_code == 204
    assert world.http.delete(f"{path}/{first['id']}").status_code == 404
    assert world.http.get(f"{path}/{first['id']}").status_code == 404
    assert [stub["id"] for stub in world.rows("stubs")] == [second["id"]]
    assert world.post("handoffLead").status_code == 404
    world.arm("forbidden", operation="createCrmRecord")
    assert world.http.delete(f"{world.path}/faults").status_code == 204
    assert len(world.rows("stubs")) == 1, "faults go without them"
    assert world.http.delete(path).status_code == 204
    assert world.post("handoffLead").status_code == 200
    add(world, {"status": 404}, {"operation": "handoffLead"})
    assert world.http.post(f"{world.path}/reset").status_code == 204
    assert world.rows("stubs") == []


def test_a_fork_and_a_snapshot_have_it_and_count_on_their_own(world: World) -> None:
    null = {"status": 200, "body": None}
    add(world, {"status": 403}, {"operation": "createCrmRecord", "nth": 2, "headers": {"X-No": None}}, times=2)
    add(world, {"status": 500, "body": {"a": None}, "headers": {"X-A": "1"}, "delay": "0s"}, unlawful=True, times=1)
    add(world, null, {"lead": world.lead, "body": {"/reason": None}}, unlawful=True)
    add(world, {"fault": "redirect", "location": "http://127.0.0.1:1"}, {"headers": {"X-Away": "1"}})
    assert create(world).status_code == 500, "the first one has seen its first, and lets it go"
    stubs = world.rows("stubs")
    exported = world.http.get(f"{world.path}/snapshot").json()
    made = [
        world.http.post("/_mock/tenants", json={"fork": world.id}).json(),
        world.http.post("/_mock/tenants", json={"snapshot": exported, "keys": "fresh"}).json(),
    ]
    for other in made:
        assert world.http.get(f"/_mock/tenants/{other['id']}/stubs").json()["data"] == stubs
        headers = {"Authorization": f"Bearer {other['keys']['full'][0]}"}
        body = {"object": "contact", "fields": {"email": "a@b.test"}, "idempotency_key": "k"}
        answers = [world.http.post(CREATE, json=body, headers=headers).status_code for _ in range(3)]
        assert answers == [403, 403, 200]
    assert world.rows("stubs") == stubs
    changed = json.loads(json.dumps(exported))
    changed["stubs"][0]["request"]["key"] = "nobody"
    answer = world.http.post("/_mock/tenants", json={"snapshot": changed, "keys": "fresh"})
    assert "snapshot.stubs[0].request.key: " in answer.json()["error"]["message"]
    changed["stubs"][0] = {**exported["stubs"][1], "unlawful": False}
    answer = world.http.post("/_mock/tenants", json={"snapshot": changed, "keys": "fresh"})
    assert "snapshot.stubs[0].response.status: the contract declares no 500" in answer.json()["error"]["message"]


# -- Prefer


def test_a_code_that_the_document_has_an_error_for_can_be_asked_for_unlawfully(world: World) -> None:
    answer = world.post("handoffLead", prefer=["code=409; unlawful"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert answer.headers["Preference-Applied"] == "code=409"
    assert world.effects() == 0
    told = world.http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()
    assert told["explanation"]["decided_by"] == "faults"
    for prefer, said in [
        (["code=409"], "and no other; code=409; unlawful gets it nevertheless"),
        (["code=422; unlawful"], "and the document has no error for 422; a stub can have any status"),
        (["code=422"], "declares the codes 200, 400, 401, 403, 404, 429, and no other"),
        (["unlawful"], "unlawful goes with a code only"),
        (["fault=latency", "unlawful"], "unlawful goes with a code only"),
        (["code=409; unlawfull"], 'did you mean "unlawful"?'),
    ]:
        answer = world.post("handoffLead", prefer=prefer)
        assert (answer.status_code, said in answer.json()["error"]["message"]) == (400, True), answer.text
    assert world.post("handoffLead", prefer=["code=404, unlawful"]).status_code == 404, "a declared one, too"
