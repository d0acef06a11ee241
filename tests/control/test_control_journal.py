"""The journal: list, find, count, wait, clear, HAR; and the rehearsal of a request, which has no effect at all."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from jsonschema import Draft7Validator
from tests import checked_client as checked

from vorel_mock.mock import snapshot
from vorel_mock.mock.journal import journal
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.clock import iso

Json = dict[str, Any]
CREATE = "/api/v1/crm/create-record"


@pytest.fixture
def made(shared: httpx.Client) -> Json:
    return dict(shared.post("/_mock/tenants", json={}).json())


@pytest.fixture
def requests(made: Json) -> str:
    return f"/_mock/tenants/{made['id']}/requests"


def handoff(http: httpx.Client, made: Json, key: str = "full", **body: str) -> httpx.Response:
    token = made["keys"][key] if key != "full" else made["keys"]["full"][0]
    path = f"/api/v1/leads/{made['leads']['own'][0]}/handoff"
    return http.post(path, headers={"Authorization": f"Bearer {token}"}, json=body)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [exchange["id"] for exchange in answer.json()["data"]]


def test_requests_are_found_by_what_they_are(shared: httpx.Client, made: Json, requests: str) -> None:
    tenant = requests.removesuffix("/requests")
    answers = [handoff(shared, made, reason="alpha"), handoff(shared, made, "crm_only")]
    shared.post(f"{tenant}/clock", json={"advance": "1h"})
    answers.append(handoff(shared, made, "leads_only", reason="beta é"))
    now = shared.get(f"{tenant}/clock").json()["now"]
    one, two, three = (answer.headers["X-Mock-Request-Id"] for answer in answers)
    found = {
        "": [one, two, three],
        "operation=handoffLead": [one, two, three],
        "operation=createCrmRecord": [],
        "status=403": [two],
        "key_id=leads_only": [three],
        "contains=alpha": [one],
        "contains=%C3%A9": [three],
        "contains=": [one, two, three],
        f"since={now}": [three],
        f"until={now}&since={now}&status=200": [three],
        "until=2026-01-01T00:00:01Z": [one, two],
        "limit=2": [two, three],
        "limit=1&status=403": [two],
    }
    for query, wanted in found.items():
        assert ids(shared.get(f"{requests}?{query}")) == wanted, query
        entries = shared.get(f"{requests}.har?{query}").json()["log"]["entries"]
        statuses = [shared.get(f"/_mock/requests/{number}").json()["response"]["status"] for number in wanted]
        assert [entry["response"]["status"] for entry in entries] == statuses
    assert shared.get(f"{requests}?limit=1").json()["total"] == 3
    assert set(ids(shared.get("/_mock/requests?limit=10000"))) >= {one, two, three}
    assert shared.delete(requests).status_code == 204
    assert ids(shared.get(requests)) == []
    assert shared.get(f"/_mock/requests/{one}").status_code == 404


@pytest.mark.parametrize("fault", ["connection_reset", "connection_reset_after_commit", "no_answer"])
def test_what_was_never_answered_has_no_status(shared: httpx.Client, made: Json, requests: str, fault: str) -> None:
    armed = {"fault": fault, **({"delay": "1ms"} if fault == "no_answer" else {})}
    assert shared.post(f"{requests.removesuffix('/requests')}/faults", json=armed).status_code == 201
    with pytest.raises(httpx.ReadError):
        handoff(shared, made)
    assert ids(shared.get(f"{requests}?status=503")) == []
    (exchange,) = shared.get(requests).json()["data"]
    assert exchange["response"] == {"status": None, "headers": [], "body": ""}
    assert exchange["explanation"]["rule"].startswith(f"the fault {fault}: ")
    (entry,) = shared.get(f"{requests}.har").json()["log"]["entries"]
    assert (entry["response"]["status"], entry["response"]["headers"]) == (0, [])


def test_nobody_s_requests_stand_in_the_journal_of_all(shared: httpx.Client) -> None:
    number = shared.get("/nothing").headers["X-Mock-Request-Id"]
    assert number in ids(shared.get("/_mock/requests"))


def test_waiting_ends_with_what_is_waited_for(shared: httpx.Client, made: Json, requests: str) -> None:
    answers: list[httpx.Response] = []
    wanted = {"count": 3, "operation": "handoffLead", "status": 200, "contains": "x", "timeout": "20s"}
    thread = threading.Thread(target=lambda: answers.append(shared.post(f"{requests}/wait", json=wanted)))
    thread.start()
    handoff(shared, made, reason="y")
    handoff(shared, made, "crm_only", reason="x")
    made_by_hand = [handoff(shared, made, reason="x").headers["X-Mock-Request-Id"] for _ in range(3)]
    thread.join(timeout=20)
    assert ids(answers[0]) == made_by_hand
    assert answers[0].json()["total"] == 3


def test_waiting_ends_in_time(shared: httpx.Client, made: Json, requests: str) -> None:
    answer = shared.post(f"{requests}/wait", json={"timeout": "50ms"})
    assert answer.status_code == 408
    assert answer.json()["error"]["message"] == (
        "0 of 1 requests that match were answered within 0.05 s; the tenant has received none at all"
    )


def test_whoever_waits_is_let_go_when_the_mock_ends(mock: Mock) -> None:
    with checked.client(mock) as control:
        tenant = f"/_mock/tenants/{control.post('/_mock/tenants').json()['id']}"
        answers: list[int] = []

        def wait(what: str) -> None:
            answers.append(control.post(f"{tenant}/{what}/wait", json={"timeout": "60s"}).status_code)

        threads = [threading.Thread(target=wait, args=(what,)) for what in ("requests", "deliveries")]
        for thread in threads:
            thread.start()
        mock.stop()
        for thread in threads:
            thread.join(timeout=10)
        assert answers == [408, 408]


def test_the_journal_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_EXCHANGES", 5)
    monkeypatch.setattr(journal, "MAX_IN_ALL", 12)
    with checked.client(Mock(Settings(seed=1, clock="frozen"))) as control:
        worlds = [control.post("/_mock/tenants").json() for _ in range(4)]
        for _ in range(6):
            for world in worlds:
                handoff(control, world)
        kept = ids(control.get("/_mock/requests"))
        assert len(kept) == 12
        assert kept == [f"req_{number:08d}" for number in range(13, 25)]
        for world in worlds:
            assert len(ids(control.get(f"/_mock/tenants/{world['id']}/requests"))) == 3


# The parts of har-schema that concern us: https://github.com/ahmadnassri/har-schema
_PAIRS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value"],
        "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
    },
}
_MESSAGE: Json = {"httpVersion": {"type": "string"}, "cookies": _PAIRS, "headers": _PAIRS}
_SIZES: Json = {"headersSize": {"type": "integer"}, "bodySize": {"type": "integer"}}
HAR = {
    "type": "object",
    "required": ["log"],
    "properties": {
        "log": {
            "type": "object",
            "required": ["version", "creator", "entries"],
            "properties": {
                "version": {"const": "1.2"},
                "creator": {"type": "object", "required": ["name", "version"]},
                "entries": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["startedDateTime", "time", "request", "response", "cache", "timings"],
                        "properties": {
                            "startedDateTime": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
                            "time": {"type": "number", "minimum": 0},
                            "cache": {"const": {}},
                            "request": {
                                "type": "object",
                                "required": ["method", "url", "queryString", *_MESSAGE, *_SIZES],
                                "properties": {
                                    "method": {"type": "string"},
                                    "url": {"type": "string", "pattern": r"^http://[!-~]+$"},
                                    "queryString": _PAIRS,
                                    "postData": {"type": "object", "required": ["mimeType", "text"]},
                                    **_MESSAGE,
                                    **_SIZES,
                                },
                            },
                            "response": {
                                "type": "object",
                                "required": ["status", "statusText", "content", "redirectURL", *_MESSAGE, *_SIZES],
                                "properties": {
                                    "status": {"type": "integer"},
                                    "content": {"type": "object", "required": ["size", "mimeType", "text"]},
                                    **_MESSAGE,
                                    **_SIZES,
                                },
                            },
                            "timings": {"type": "object", "required": ["send", "wait", "receive"]},
                        },
                    },
                },
            },
        }
    },
}


def test_the_export_is_a_har(shared: httpx.Client, made: Json, requests: str) -> None:
    secret = made["keys"]["full"][0]
    handoff(shared, made, reason="x")
    path = f"/api/v1/leads/a%20b%C3%A9%22/handoff?q=1&key={secret}&e="
    shared.post(path, headers={"Authorization": f"Bearer {secret}"})
    answer = shared.get(f"{requests}.har")
    har = answer.json()
    assert [error.message for error in Draft7Validator(HAR).iter_errors(har)] == []
    one, two = har["log"]["entries"]
    assert json.loads(one["request"]["postData"]["text"]) == {"reason": "x"}
    assert one["request"]["bodySize"] == len(one["request"]["postData"]["text"])
    assert "a%20b%C3%A9%22" in two["request"]["url"]
    assert {"name": "q", "value": "1"} in two["request"]["queryString"]
    assert secret not in answer.text
    assert secret[-24:] not in answer.text


# -- what would happen


class Rehearsals:
    """A world in which requests are rehearsed, and then made."""

    def __init__(self, http: httpx.Client, mock: Mock) -> None:
        self.http, self.mock = http, mock
        made = http.post("/_mock/tenants", json={"rate_limit": 12, "seed": 4}).json()
        self.path = f"/_mock/tenants/{made['id']}"
        self.tenant = mock.store.tenant(made["id"])
        self.leads = made["leads"]["own"]
        keys = made["keys"]
        self.keys = [*keys["full"], keys["read_only"], keys["crm_only"], keys["revoked"], "vapk_live_" + "0" * 48, "x"]

    def state(self) -> tuple[Any, ...]:
        assert self.tenant is not None
        log = self.mock.journal.exchanges()
        return snapshot.dump(self.tenant), [exchange.id for exchange in log], self.mock.ids.drawn, self.mock._number

    def check(self, path: str, headers: Json, content: str) -> None:
        before = self.state()
        rehearsal = {"path": path, "headers": headers, **({"body": content} if content else {})}
        answer = self.http.post("/_mock/explain", json=rehearsal)
        assert answer.status_code == 200, answer.text
        assert self.state() == before
        told = answer.json()
        real = self.http.post(path, headers=headers, content=content)
        kept = self.http.get(f"/_mock/requests/{real.headers['X-Mock-Request-Id']}").json()
        varying = ("x-mock-request-id",)
        for one in (told, kept):
            one["response"]["headers"] = [pair for pair in one["response"]["headers"] if pair[0] not in varying]
        for name in ("response", "explanation", "fault", "operation", "tenant_id", "key_id", "at"):
            assert told[name] == kept[name], name


FAULTS = st.fixed_dictionaries(
    {
        "fault": st.sampled_from(
            ["forbidden", "broken_json", "stale_handoff_id", "crm_auth_failed", "webhook_duplicate"]
        )
    },
    optional={"next": st.integers(1, 3), "every": st.integers(1, 3), "after": st.integers(0, 2)},
)
CHANCE = st.fixed_dictionaries(
    {"fault": st.sampled_from(["unauthorized", "empty_body", "ok_as_text", "webhook_tampered"]), "chance": st.just(0.5)}
)
REQUEST = st.fixed_dictionaries(
    {
        "what": st.sampled_from(["handoff", "create", "create", "odd"]),
        "key": st.integers(0, 6),
        "lead": st.integers(0, 3),
        "number": st.integers(0, 2),
        "prefer": st.sampled_from([None, None, "code=429", "code=200", "fault=latency", "fault=broken_json", "x"]),
        "content": st.sampled_from([None, None, '{"reason": 1}', "{", "[]", "é"]),
    }
)


@pytest.fixture(scope="module")
def rehearsing() -> Iterator[tuple[httpx.Client, Mock]]:
    mock = Mock(Settings(seed=1, clock="frozen"))
    with checked.client(mock) as http:
        yield http, mock
    mock.stop()


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FAULTS | CHANCE, max_size=3), st.lists(REQUEST, min_size=1, max_size=12), st.booleans())
def test_a_rehearsal_has_no_effect_and_comes_true(
    rehearsing: tuple[httpx.Client, Mock], faults: list[Json], asked: list[Json], subscribed: bool
) -> None:
    world = Rehearsals(*rehearsing)
    if subscribed:
        events = {"target_url": "http://127.0.0.1:9/", "events": ["conversation.handoff_requested"]}
        held = world.http.post(f"{world.path}/webhooks", json=events).json()["id"]
        world.http.patch(f"{world.path}/webhooks/{held}", json={"held": True})
        world.http.post(f"{world.path}/clock", json={"advance": "0s"})
    for fault in faults:
        assert world.http.post(f"{world.path}/faults", json=fault).status_code == 201
    for request in asked:
        headers = {"authorization": f"Bearer {world.keys[request['key'] % len(world.keys)]}"}
        if request["prefer"]:
            headers["prefer"] = request["prefer"]
        content = request["content"] or ""
        path = f"/api/v1/leads/{[*world.leads, 'x%20y'][request['lead']]}/handoff"
        if request["what"] == "create":
            path = CREATE
            body = {"object": "contact", "fields": {"email": f"{request['lead']}@b.test"}}
            content = content or json.dumps({**body, "idempotency_key": str(request["number"])})
        elif request["what"] == "odd":
            path = ["/nothing", "/api/v1/leads//handoff", "/api/v1/crm/create-record/", "/%2e"][request["lead"]]
        world.check(path, headers, content)


def test_a_rehearsal_of_too_much_comes_true(rehearsing: tuple[httpx.Client, Mock]) -> None:
    world = Rehearsals(*rehearsing)
    world.check(CREATE, {"authorization": f"Bearer {world.keys[0]}"}, '"' + "x" * 1024 * 1024 + '"')


def test_a_json_value_is_rehearsed_as_json(shared: httpx.Client, made: Json) -> None:
    headers = {"Authorization": f"Bearer {made['keys']['full'][0]}"}
    body = {"object": "contact", "fields": {"email": "a@b.test", "n": 10**30}, "idempotency_key": "k"}
    told = shared.post("/_mock/explain", json={"path": CREATE, "headers": headers, "body": body}).json()
    assert told["response"]["status"] == 200
    assert json.loads(told["response"]["body"])["ok"] is True
    assert json.loads(told["request"]["body"]) == body
    assert made["keys"]["full"][0] not in json.dumps(told)
    assert told["at"] == iso(1767225600)
    assert shared.post("/_mock/explain", json={"path": "/", "method": "GET"}).json()["response"]["status"] == 404
