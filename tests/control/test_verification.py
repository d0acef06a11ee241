"""Verify which requests came: how many of a kind, in which order, since when; in vain, the nearest ones are told."""

import itertools
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from tests import checked_client as checked

from vorel_mock.api.messages import Exchange, Request
from vorel_mock.mock.journal import journal, verification
from vorel_mock.mock.journal.verification import Miss, expectation, verify
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings

Json = dict[str, Any]
CREATE = "/api/v1/crm/create-record"
RECORD: Json = {"object": "contact", "fields": {"email": "ann@example.com", "tags": ["a", "b"]}, "idempotency_key": "1"}


class Caller:
    """A tenant, and what a test asks of it."""

    def __init__(self, http: httpx.Client) -> None:
        made = http.post("/_mock/tenants", json={}).json()
        self.http, self.lead, self.own = http, made["leads"]["own"][0], made["leads"]["own"]
        self.key = made["keys"]["full"][0]
        self.headers = {"Authorization": f"Bearer {self.key}"}
        self.path = f"/_mock/tenants/{made['id']}/requests"

    def handoff(self, lead: int = 0, **body: Any) -> str:
        path = f"/api/v1/leads/{self.own[lead]}/handoff"
        return self.http.post(path, json=body, headers=self.headers).headers["X-Mock-Request-Id"]

    def create(self, body: Json = RECORD, trace: str = "1") -> str:
        answer = self.http.post(CREATE, json=body, headers={**self.headers, "X-Trace": trace})
        return answer.headers["X-Mock-Request-Id"]

    def verify(self, wanted: Any, at: str = "") -> httpx.Response:
        return self.http.post(f"{at or self.path}/verify", json=wanted)

    def met(self, wanted: Any) -> list[str]:
        answer = self.verify(wanted)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["data"])
        return [exchange["id"] for exchange in answer.json()["data"]]

    def missed(self, wanted: Any) -> Json:
        answer = self.verify(wanted)
        assert answer.status_code == 409, answer.text
        assert answer.json()["error"]["code"] == "conflict"
        return dict(answer.json())


@pytest.fixture
def caller(shared: httpx.Client) -> Caller:
    return Caller(shared)


def test_requests_are_verified_by_what_they_are(caller: Caller) -> None:
    one, two = caller.handoff(reason="why"), caller.handoff(1)
    three = caller.create(trace="42")
    for wanted, found in [
        ({}, [one, two, three]),
        ({"operation": "handoffLead", "exactly": 2}, [one, two]),
        ({"lead": caller.lead.upper()}, [one]),
        ({"key": "full_1", "at_least": 3}, [one, two, three]),
        ({"headers": {"x-trace": "42"}}, [three]),
        ({"headers": {"X-Trace": None}, "exactly": 2}, [one, two]),
        ({"body": {"reason": "why"}}, [one]),
        ({"body": {"fields": {"email": "ann@example.com"}}}, [three]),
        ({"body": {"/fields/tags/1": "b"}, "operation": "createCrmRecord"}, [three]),
        ({"body": {"reason": "no"}, "never": True}, []),
        ({"body": {"reason": "no"}, "exactly": 0}, []),
        ([{"lead": caller.lead}, {"operation": "createCrmRecord"}], [one, three]),
        ([{"operation": "handoffLead", "exactly": 2}, {"key": "burst_1", "never": True}, {}], [one, two, three]),
    ]:
        assert caller.met(wanted) == found, wanted


def test_what_came_instead_is_told(caller: Caller) -> None:
    assert caller.missed({"exactly": 2}) == {
        "error": {"code": "conflict", "message": "no request matches; exactly 2 must; none came"},
        "problem": "no request matches; exactly 2 must",
        "pattern": 0,
        "wanted": {},
        "compared": 0,
        "nearest": [],
    }
    assert caller.http.post(f"{caller.path}/verify").status_code == 409
    far, near = caller.handoff(), caller.create()
    farther = caller.create({"object": "lead"})
    wanted = {"operation": "createCrmRecord", "body": {"object": "contact", "fields": {"email": "bob@example.com"}}}
    missed = caller.missed(wanted)
    assert [(each["id"], len(each["differences"])) for each in missed["nearest"]] == [(near, 1), (farther, 2), (far, 3)]
    assert missed["nearest"][0] == {
        "id": near,
        "method": "POST",
        "path": CREATE,
        "status": 200,
        "differences": [
            {"place": "body.fields.email", "wanted": '"bob@example.com"', "found": '"ann@example.com"'},
        ],
    }
    assert (missed["wanted"], missed["compared"], missed["pattern"]) == (wanted, 3, 0)
    assert missed["error"]["message"] == (
        f"no request matches; at least 1 must; the nearest of 3 is {near}: "
        'body.fields.email: wanted "bob@example.com", found "ann@example.com"'
    )
    too_many = caller.missed({"operation": "createCrmRecord", "never": True})
    assert [(each["id"], each["differences"]) for each in too_many["nearest"]] == [(farther, []), (near, [])]
    assert too_many["error"]["message"] == f"2 requests match; none must; the latest is {farther}"
    assert caller.missed({"at_least": 4})["error"]["message"] == (
        "3 requests match; at least 4 must; there is no other one"
    )
    wide = caller.missed({"body": {f"member-{number}": number for number in range(50)}})
    assert all(len(each["differences"]) == 20 for each in wide["nearest"])
    assert len(wide["error"]["message"]) < 400


def test_the_latest_are_compared(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_COMPARED", 2)
    caller.handoff(reason="near")
    latest = [caller.create({"object": "lead"}), caller.create()]
    assert [each["id"] for each in caller.missed({"body": {"reason": "nearer"}})["nearest"]] == latest[::-1]


def test_no_number_is_exact_once_requests_were_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_EXCHANGES", 3)
    with checked.client(Mock(Settings(seed=1))) as http:
        caller, other = Caller(http), Caller(http)
        other.handoff()
        first, kept = caller.create(), [caller.handoff() for _ in range(3)]
        for at in (caller.path, "/_mock/requests"):
            for wanted in ({"operation": "createCrmRecord", "never": True}, {"lead": caller.lead, "exactly": 3}):
                told = caller.verify(wanted, at).json()["error"]["message"]
                assert "; older ones that may count were forgotten, because the journal was full; " in told
            assert caller.verify({"key": "full_1", "at_least": 3}, at).status_code == 200
        assert "were forgotten" in caller.missed([{"operation": "createCrmRecord"}, {}])["error"]["message"]
        assert "were forgotten" not in caller.missed({"lead": caller.lead, "exactly": 2})["error"]["message"]
        assert caller.met({"exactly": 2, "since": kept[0]}) == kept[1:], "whatever is older does not count"
        assert other.met({"exactly": 1}), "nothing was forgotten of this tenant"
        caller.http.delete(caller.path)
        assert caller.met({"never": True}) == []
        assert first < kept[0]


def test_an_order_that_was_not_kept_is_told(caller: Caller) -> None:
    one, two = caller.create(), caller.handoff()
    wanted = [{"operation": "handoffLead"}, {"operation": "createCrmRecord"}]
    missed = caller.missed(wanted)
    assert missed["pattern"] == 1
    assert missed["nearest"][0]["id"] == one
    assert missed["nearest"][0]["differences"] == [{"place": "order", "wanted": f"after {two}", "found": "before it"}]
    assert missed["error"]["message"].startswith("pattern 1: 1 request matches, but none of them after ")
    three = caller.create()
    assert caller.met(wanted) == [one, two, three]
    assert caller.missed([*wanted, {"body": {"object": "lead"}}])["pattern"] == 2


def test_only_what_came_since_the_mark_counts(caller: Caller) -> None:
    def mark() -> str:
        return str(caller.http.get("/_mock/requests/mark").json()["mark"])

    first = mark()
    one = caller.handoff()
    second = mark()
    assert (second, caller.met({"since": first, "exactly": 1})) == (one, [one])
    assert caller.met({"since": second, "never": True}) == []
    assert caller.missed({"since": second})["compared"] == 0
    assert caller.http.post(f"{caller.path}/wait", json={"since": second, "timeout": "10ms"}).status_code == 408
    two = caller.handoff(reason="two")
    waited = {"lead": caller.lead, "body": {"reason": "two"}, "headers": {"x-trace": None}, "timeout": "5s"}
    assert caller.http.post(f"{caller.path}/wait", json=waited).json()["total"] == 1
    for wrong in ({"headers": {"x-trace": "1"}}, {"body": {"reason": "one"}}, {"lead": caller.own[1]}):
        answer = caller.http.post(f"{caller.path}/wait", json={**waited, **wrong, "timeout": "10ms"})
        assert answer.status_code == 408
    assert caller.http.post(f"{caller.path}/wait", json={"body": {"/~": 1}}).status_code == 400
    for path in (f"{caller.path}/wait", caller.path):
        filters = {"since": second, "operation": "handoffLead"}
        answer = caller.http.post(path, json=filters) if "wait" in path else caller.http.get(path, params=filters)
        assert [exchange["id"] for exchange in answer.json()["data"]] == [two]
    assert caller.met([{"since": first}, {"since": second}]) == [one, two]
    assert caller.met({"since": "2020-01-01T00:00:00Z", "exactly": 2}) == [one, two]
    whole = caller.verify({"since": first, "lead": caller.lead, "exactly": 2}, "/_mock/requests")
    assert whole.status_code == 200


def test_a_reset_makes_marks_void_and_tells_so() -> None:
    with checked.client(Mock(Settings(seed=1))) as http:
        assert http.get("/_mock/requests/mark").json() == {"mark": "req_00000000"}
        for _ in range(2):
            http.get("/nothing")
        mark = http.get("/_mock/requests/mark").json()["mark"]
        assert http.post("/_mock/requests/verify", json={"exactly": 2}).status_code == 200
        http.post("/_mock/reset", json={"all": True})
        answer = http.post("/_mock/requests/verify", json={"since": mark, "never": True})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("since: is the id of a request that the mock has not ")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"never": True, "exactly": 1}, "never: does not go with exactly"),
        ({"operation": "handofLead"}, 'did you mean "handoffLead"?'),
        ({"opration": "handoffLead"}, 'did you mean "operation"?'),
        ({"key": "fill_1", "never": True}, 'did you mean "full_1"?'),
        ({"lead": "x"}, "lead: must be a UUID"),
        ({"since": "yesterday"}, "since: 'yesterday' is not an RFC 3339 timestamp"),
        ({"headers": {"Authorization": "x"}}, "headers.Authorization: carries the key"),
        ({"at_least": 0}, "at_least: must be at least 1"),
        ([{}, {"since": "req_99999999"}], "1.since: is the id of a request that the mock has not answered"),
        ([{}, {"lead": "x"}], "1.lead: must be a UUID"),
        ([], "must have at least 1 item"),
        ([{}] * 21, "must have at most 20 items"),
        ("handoffLead", "must be an object or a list"),
    ],
)
def test_what_makes_no_sense_is_told(caller: Caller, wanted: Any, told: str) -> None:
    answer = caller.verify(wanted)
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["error"]["message"]


def test_no_key_is_shown(caller: Caller) -> None:
    caller.create({**RECORD, "idempotency_key": caller.key})
    answer = caller.verify({"body": {"idempotency_key": "another"}, "headers": {"x": caller.key}})
    assert answer.status_code == 409
    assert caller.key not in answer.text
    assert "[redacted]" in answer.text
    word = "z9" * 12  # no key of the mock: known as a secret because it stands in Authorization
    headers = {**caller.headers, "Authorization": f"Bearer {word}"}
    body = {"object": "contact", "fields": {}, "idempotency_key": "x" * 80 + word}
    mark = caller.http.get("/_mock/requests/mark").json()["mark"]
    caller.http.post(CREATE, json=body, headers=headers)
    whole = caller.verify({"since": mark, "body": {"idempotency_key": "y"}}, "/_mock/requests")
    assert (whole.status_code, "z9z9" in whole.text) == (409, False)


KINDS = "abc"


def exchange(number: int, kind: str) -> Exchange:
    request = Request("POST", b"/", "/", b"", [(b"kind", kind.encode())], {b"kind": kind.encode()})
    return Exchange(f"req_{number:08d}", 0.0, request)


COUNTS = st.sampled_from([{}, {"at_least": 2}, {"exactly": 1}, {"exactly": 2}, {"never": True}])
PATTERNS = st.builds(lambda kind, count: {"headers": {"kind": kind}, **count}, st.sampled_from(KINDS), COUNTS)


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(came=st.text(KINDS, max_size=7), patterns=st.lists(PATTERNS, min_size=1, max_size=3))
def test_it_holds_if_and_only_if_there_are_such_requests_in_that_order(came: str, patterns: list[Json]) -> None:
    kept = [exchange(number, kind) for number, kind in enumerate(came, 1)]
    expected = [expectation(pattern, len(came)) for pattern in patterns]
    found = verify(expected, kept)
    counts = all(
        each.least <= came.count(pattern["headers"]["kind"]) <= (each.most if each.most is not None else len(came))
        for each, pattern in zip(expected, patterns, strict=True)
    )
    needed = "".join(p["headers"]["kind"] * each.least for each, p in zip(expected, patterns, strict=True))
    # By trying every choice of requests, which the code under test does not.
    in_order = any("".join(chosen) == needed for chosen in itertools.combinations(came, len(needed)))
    assert isinstance(found, Miss) is not (counts and in_order)
    if isinstance(found, Miss):
        assert len(found.nearest) <= 3
    else:
        kinds = {pattern["headers"]["kind"] for pattern in patterns}
        assert found == [each for each, kind in zip(kept, came, strict=True) if kind in kinds]
