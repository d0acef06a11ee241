"""A world that is exported and imported gives the same answers; what is no world is refused, and nothing is changed."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from tests import checked_client as checked
from tests.paths import DATA

from vorel_mock.api.strict_json import MAX_DEPTH
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings

Json = dict[str, Any]
CREATE = "/api/v1/crm/create-record"
HOOK = {"target_url": "http://127.0.0.1:9/", "events": ["conversation.handoff_requested"]}

REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["handoff", "create", "create", "advance", "fault", "key", "lead", "webhook"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


class World:
    """One tenant, and what can be done to it."""

    def __init__(self, http: httpx.Client, made: Json) -> None:
        self.http, self.made = http, made
        self.path = f"/_mock/tenants/{made['id']}"

    def do(self, what: str, number: int) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.made['keys']['full'][number % 2]}"}
        match what:
            case "handoff":
                lead = [*self.made["leads"]["own"], "x"][number]
                answer = self.http.post(f"/api/v1/leads/{lead}/handoff", headers=headers)
            case "create":
                body = {
                    "object": "contact",
                    "fields": {"email": f"{number}@b.test"},
                    "idempotency_key": str(number // 2),
                }
                answer = self.http.post(CREATE, json=body, headers=headers)
            case "advance":
                answer = self.http.post(f"{self.path}/clock", json={"advance": f"{number * 20}s"})
            case "fault":
                fault = ["forbidden", "broken_json", "webhook_reordered", "crm_auth_failed"][number]
                armed = {"fault": fault, "chance": 0.5, "after": number, "next": 2}
                answer = self.http.post(f"{self.path}/faults", json=armed)
            case "key":
                answer = self.http.post(f"{self.path}/keys", json={"scopes": [], "id": f"k{number}"})
            case "lead":
                answer = self.http.post(f"{self.path}/leads", json={"name": str(number)})
            case _:
                answer = self.http.post(f"{self.path}/webhooks", json=HOOK)
                if answer.status_code == 201:
                    self.http.patch(f"{self.path}/webhooks/{answer.json()['id']}", json={"held": True})
        told = [(name, value) for name, value in answer.headers.items() if name != "x-mock-request-id"]
        # The attempts of deliveries are made by another thread: what they came to is not of the world that is compared.
        return answer.status_code, (told, answer.content)

    def shown(self) -> Json:
        names = ("keys", "leads", "handoffs", "audit-log", "crm-records", "webhooks", "faults")
        told = {name: self.http.get(f"{self.path}/{name}").json() for name in names}
        deliveries = self.http.get(f"{self.path}/deliveries").json()["data"]
        held = [delivery for delivery in deliveries if delivery["event"] != "webhook.test"]
        return {**told, "deliveries": held, "clock": self.http.get(f"{self.path}/clock").json()}


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Two mocks of one seed."""
    mocks = [Mock(Settings(seed=1, clock="frozen")) for _ in range(2)]
    with checked.client(mocks[0]) as one, checked.client(mocks[1]) as other:
        yield one, other
    for mock in mocks:
        mock.stop()


@hypothesis_settings(max_examples=8, deadline=None)
@given(before=REQUESTS, between=REQUESTS, after=REQUESTS)
def test_what_was_imported_answers_as_what_was_exported(
    two: tuple[httpx.Client, httpx.Client], before: Any, between: Any, after: Any
) -> None:
    http, other = two
    for client in two:
        assert client.post("/_mock/reset", json={"all": True}).status_code == 204
    world = World(http, http.post("/_mock/tenants", json={"rate_limit": 9}).json())
    for step in before:
        world.do(*step)
    exported = http.get(f"{world.path}/snapshot").json()
    shown = world.shown()
    answers = [world.do(*step) for step in after]

    for step in between:
        world.do(*step)
    assert http.put(f"{world.path}/snapshot", json=exported).status_code == 204
    assert world.shown() == shown
    assert [world.do(*step) for step in after] == answers

    same = World(other, {**world.made, "id": other.post("/_mock/tenants").json()["id"]})
    assert same.path == world.path
    assert other.put(f"{same.path}/snapshot", json=exported).status_code == 204
    assert same.shown() == shown
    assert [same.do(*step) for step in after] == answers


def test_a_new_tenant_is_made_from_a_snapshot_and_reset_to_it(control: httpx.Client, mock: Mock) -> None:
    world = World(control, control.post("/_mock/tenants", json={"name": "old"}).json())
    world.do("handoff", 0)
    exported = control.get(f"{world.path}/snapshot").json()
    taken = control.post("/_mock/tenants", json={"snapshot": exported})
    assert taken.status_code == 409
    assert f"belongs to tenant {world.made['id']}; delete that one first" in taken.json()["error"]["message"]
    drawn = mock.ids.drawn
    assert control.delete(world.path).status_code == 204
    made = control.post("/_mock/tenants", json={"snapshot": exported}).json()
    assert mock.ids.drawn == drawn + 1
    assert made["keys"] == world.made["keys"]
    fresh = World(control, made)
    assert len(fresh.shown()["audit-log"]["data"]) == 1
    fresh.do("handoff", 0)
    assert control.post(f"{fresh.path}/reset").status_code == 204
    assert control.get(fresh.path).json()["name"] == "old"
    assert len(fresh.shown()["audit-log"]["data"]) == 1


def test_a_snapshot_is_forked_at_once_and_again(control: httpx.Client, mock: Mock) -> None:  # M12
    """Each fork has keys of its own and the whole state; no fork sees another, nor the tenant that was exported."""
    world = World(control, control.post("/_mock/tenants", json={"rate_limit": 4}).json())
    for step in (("handoff", 0), ("create", 0), ("fault", 3), ("webhook", 0)):
        world.do(*step)
    control.post(f"{world.path}/keys", json={"scopes": ["leads:write"], "id": "mine"})
    exported, shown = control.get(f"{world.path}/snapshot").json(), world.shown()

    def fork(_: int) -> World:
        made = control.post("/_mock/tenants", json={"snapshot": exported, "keys": "fresh"})
        assert made.status_code == 201, made.text
        return World(control, made.json())

    with ThreadPoolExecutor(4) as threads:
        forks = list(threads.map(fork, range(12)))
    assert len({fork.path for fork in forks} | {world.path}) == 13
    tokens = [key["token"] for one in (world, *forks) for key in control.get(f"{one.path}/snapshot").json()["keys"]]
    assert len(set(tokens)) == len(tokens) == 13 * 8
    own = [_without_prefixes(fork.shown()) for fork in forks]
    assert own == [_without_prefixes(shown)] * 12
    answers = [[fork.do("handoff", number)[1][1] for number in (0, 1, 0, 0, 0, 0, 0)] for fork in forks]
    assert answers == [answers[0]] * 12, "the same state gives the same answers, the limit included"
    assert b"rate_limited" in answers[0][-1]
    revoked = {"Authorization": f"Bearer {forks[0].made['keys']['revoked']}"}
    assert control.post(CREATE, json={}, headers=revoked).status_code == 401
    assert _without_prefixes(world.shown()) == _without_prefixes(shown)
    assert control.post(f"{forks[0].path}/reset").status_code == 204
    assert forks[0].shown() == own[0] | {"keys": forks[0].shown()["keys"]}, "a fork is reset to what it was made of"
    assert control.get(f"{forks[0].path}/target").json()["keys"] == forks[0].made["keys"]


def test_a_tenant_takes_a_snapshot_over_with_tokens_of_its_own(control: httpx.Client) -> None:
    world, other = (World(control, control.post("/_mock/tenants").json()) for _ in range(2))
    world.do("handoff", 0)
    exported = control.get(f"{world.path}/snapshot").json()
    taken = control.put(f"{other.path}/snapshot", json=exported)
    assert taken.status_code == 409
    assert taken.json()["error"]["message"].endswith("delete that one first, or ask for tokens of its own: ?keys=fresh")
    seen = {*other.made["keys"]["full"], *world.made["keys"]["full"]}
    for _ in range(2):
        assert control.put(f"{other.path}/snapshot?keys=fresh", json=exported).status_code == 204
        made = control.get(f"{other.path}/target").json()
        assert not seen & set(made["keys"]["full"])
        seen |= set(made["keys"]["full"])
        assert made["leads"]["own"] == world.made["leads"]["own"]
        fork = World(control, made)
        assert len(fork.shown()["handoffs"]["data"]) == 1
        assert fork.do("handoff", 0)[0] == 200
    old = {"Authorization": f"Bearer {other.made['keys']['full'][0]}"}
    assert control.post(CREATE, json={}, headers=old).status_code == 401


def _without_prefixes(shown: Json) -> Json:
    return {**shown, "keys": [{**key, "prefix": ""} for key in shown["keys"]["data"]]}


def test_a_snapshot_of_version_1_is_read(control: httpx.Client) -> None:
    kept = json.loads((DATA / "snapshot_version_1.json").read_text("utf-8"))
    for old in (kept["snapshot"], {**kept["snapshot"], "version": 1, "events": [{"id": "x"}]}):
        made = control.post("/_mock/tenants", json={"snapshot": old}).json()
        path = f"/_mock/tenants/{made['id']}"
        for name, rows in kept["shown"].items():
            assert _sorted(control.get(f"{path}/{name}").json()["data"]) == _sorted(rows), name
        assert {**control.get(path).json(), "id": kept["tenant"]["id"]} == {
            **kept["tenant"],
            "ttl": None,
            "expires_in": None,
        }
        now = control.get(f"{path}/snapshot").json()
        assert now["version"] == 2
        again = control.post("/_mock/tenants", json={"snapshot": now, "keys": "fresh"}).json()
        renewed = control.get(f"/_mock/tenants/{again['id']}/snapshot").json()
        assert [key.pop("token") for key in now["keys"]] != [key.pop("token") for key in renewed["keys"]]
        assert renewed == now
        # The record is known by its idempotency key: what version 1 kept of it is made anew.
        record = kept["snapshot"]["crm_records"][1]
        body = {name: record[name] for name in ("object", "fields", "idempotency_key")}
        headers = {"Authorization": f"Bearer {made['keys']['full'][0]}"}
        answer = control.post(CREATE, json=body, headers=headers).json()
        assert answer["external_id"] == record["external_id"]
        for one in (path, f"/_mock/tenants/{again['id']}"):
            assert control.delete(one).status_code == 204


def _sorted(rows: list[Json]) -> list[Json]:
    """Rows with the headers in them sorted, as they were in version 1."""
    for attempt in (attempt for row in rows for attempt in row.get("attempts", ())):
        attempt["request"]["headers"].sort()
        attempt["response"]["headers"].sort()
    return rows


OLD: dict[str, tuple[Callable[[Json], Any], str]] = {
    "lead without conversation": (
        lambda world: world["leads"][0].update(conversation_id="ffffffff-ffff-4fff-8fff-ffffffffffff"),
        "snapshot.leads[0].conversation_id: no such conversation in the snapshot",
    ),
    "conversations of another type": (
        lambda world: world.update(conversations=7),
        "snapshot.leads[0].conversation_id: ",
    ),
    "conversation that is none": (
        lambda world: world.update(conversations=[None]),
        "snapshot.leads[0].conversation_id: ",
    ),
    "time": (lambda world: world["clock"].update(now=-1), "snapshot.clock.now: must be an RFC 3339 timestamp"),
    "huge time": (
        lambda world: world["handoffs"][0].update(requested_at=1e300),
        "snapshot.handoffs[0].requested_at: must",
    ),
    "window": (lambda world: world["window"].update(number="x"), "snapshot.window.start: must be an RFC 3339"),
    "huge window": (
        lambda world: world.update(window={"number": 10**40}),
        "snapshot.window.start: must be an RFC 3339",
    ),
    "timeout": (lambda world: world.update(webhook_timeout=-1), "snapshot.webhook_timeout: must be a string"),
    "attempts": (
        lambda world: world["deliveries"][0].update(attempts=[7]),
        "snapshot.deliveries[0].attempts[0]: must be",
    ),
    "no rows": (lambda world: world.update(keys=[7, 8]), "snapshot.keys[0]: must be an object"),
    "unknown member": (lambda world: world.update(rate_limits=1), 'unknown field "snapshot.rate_limits"; did you mean'),
}


@pytest.mark.parametrize("case", OLD)
def test_a_hostile_snapshot_of_version_1_is_refused(shared: httpx.Client, case: str) -> None:
    old = json.loads((DATA / "snapshot_version_1.json").read_text("utf-8"))["snapshot"]
    spoil, begins = OLD[case]
    spoil(old)
    refused = shared.post("/_mock/tenants", json={"snapshot": old})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(begins), refused.text


def test_times_and_durations_are_texts(control: httpx.Client) -> None:
    world = World(control, control.post("/_mock/tenants", json={"webhook_timeout": "250ms"}).json())
    for step in (("webhook", 0), ("handoff", 0), ("create", 0), ("fault", 0)):
        world.do(*step)
    control.post(f"{world.path}/faults", json={"fault": "latency", "delay": "1m1.5s"})
    exported = control.get(f"{world.path}/snapshot").json()
    times = [exported["clock"]["now"], exported["window"]["start"], exported["handoffs"][0]["requested_at"]]
    times += [exported["audit_log"][0]["at"], exported["crm_records"][0]["at"], exported["deliveries"][0]["created_at"]]
    assert times == ["2026-01-01T00:00:00Z"] * 6
    assert (exported["webhook_timeout"], exported["faults"][1]["delay"]) == ("0.25s", "61.5s")


def _first(name: str, **members: Any) -> Callable[[Json], None]:
    return lambda world: world[name][0].update(members)


def _twice(name: str) -> Callable[[Json], None]:
    return lambda world: world[name].append(world[name][0])


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _key(number: int) -> Json:
    return {"id": f"k{number}", "token": f"vapk_live_{number:048x}"}


HOSTILE: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no keys": (lambda world: world.pop("keys"), "snapshot.keys: is required"),
    "keys of another type": (lambda world: world.update(keys={}), "snapshot.keys: must be a list"),
    "no token": (lambda world: world["keys"][0].pop("token"), "snapshot.keys[0].token: is required"),
    "odd token": (_first("keys", token="x"), "snapshot.keys[0].token: has not the shape of a key"),
    "odd key id": (_first("keys", id="a/b"), "snapshot.keys[0].id: must be 1 to 64 letters, digits, _ and -"),
    "unknown member": (
        lambda world: world.update(rate_limits=1),
        'unknown field "snapshot.rate_limits"; did you mean "rate_limit"?',
    ),
    "unknown member of a key": (
        _first("keys", scope=[]),
        'unknown field "snapshot.keys[0].scope"; did you mean "scopes"?',
    ),
    "unknown member of a window": (
        _first("keys", window={"start": None, "count": 0, "total": 1}),
        'unknown field "snapshot.keys[0].window.total"; allowed: ',
    ),
    "key twice": (_twice("keys"), "snapshot.keys[7].id: is that of an earlier row as well"),
    "token twice": (
        lambda world: world["keys"].append({**world["keys"][0], "id": "other"}),
        "snapshot.keys[7].token: is that of an earlier row as well",
    ),
    "lead twice": (_twice("leads"), "snapshot.leads[3].id: is that of an earlier row as well"),
    "odd lead": (_first("leads", id="x"), "snapshot.leads[0].id: must be a UUID in lower case"),
    "lead in upper case": (
        lambda world: world["leads"][0].update(id=world["leads"][0]["id"].upper().replace("4", "A")),
        "snapshot.leads[0].id: must be a UUID in lower case",
    ),
    "two leads of one conversation": (
        lambda world: world["leads"][1].update(conversation_id=world["leads"][0]["conversation_id"]),
        "snapshot.leads[1].conversation_id: is that of an earlier row as well",
    ),
    "channel": (lambda world: world.update(notified_channel="sms"), "snapshot.notified_channel: must be one of slack"),
    "vendor": (lambda world: world["crm"].update(vendor="x"), "snapshot.crm.vendor: 'x' is not one of hubspot"),
    "failure": (lambda world: world["crm"].update(failure="x"), "snapshot.crm.failure: 'x' is not one of "),
    "limit": (lambda world: world.update(rate_limit=-1), "snapshot.rate_limit: must be at least 0"),
    "large limit": (lambda world: world.update(rate_limit=10**30), "snapshot.rate_limit: "),
    "count": (_first("keys", window={"start": None, "count": -1}), "snapshot.keys[0].window.count: must be at least 0"),
    "past": (
        lambda world: world["clock"].update(now="1969-01-01T00:00:00Z"),
        "snapshot.clock.now: must lie in the years 1970 to 9998",
    ),
    "future": (
        lambda world: world["clock"].update(now=1767225606),
        "snapshot.clock.now: must be an RFC 3339 timestamp",
    ),
    "end of time": (lambda world: world["clock"].update(now="9999-01-01T00:00:00Z"), "snapshot.clock.now: must lie in"),
    "ids": (lambda world: world["ids"].update(drawn=-1), "snapshot.ids.drawn: must be at least 0"),
    "time-out": (lambda world: world.update(webhook_timeout=1), "snapshot.webhook_timeout: must be a string"),
    "fault": (_first("faults", fault="x"), "snapshot.faults[0].fault: no such fault"),
    "fault's operation": (
        _first("faults", operation="x"),
        "snapshot.faults[0].operation: must be of createCrmRecord, handoffLead",
    ),
    "every zeroth": (_first("faults", every=0), "snapshot.faults[0].every: must be at least 1"),
    "chance": (_first("faults", chance=2), "snapshot.faults[0].chance: must be at most 1.0"),
    "events": (_first("webhooks", events=["x"]), "snapshot.webhooks[0].events: must be of"),
    "state": (_first("deliveries", state="x"), "snapshot.deliveries[0].state: is not one of the allowed values"),
    "body": (_first("deliveries", body=b64encode(b"{").decode()), "snapshot.deliveries[0].body: must be a JSON object"),
    "not base64": (_first("deliveries", body="{"), "snapshot.deliveries[0].body: is not valid base64"),
    "due": (
        _first("deliveries", due_at="9999-01-01T00:00:00Z"),
        "snapshot.deliveries[0].due_at: must lie in the years",
    ),
    "record twice": (
        _twice("crm_records"),
        "snapshot.crm_records[1].idempotency_key: is that of an earlier row as well",
    ),
    "audited": (_first("audit_log", at="now"), "snapshot.audit_log[0].at: must be an RFC 3339 timestamp"),
    "time without an offset": (
        lambda world: world["clock"].update(now="2026-01-01T00:00:00"),
        "snapshot.clock.now: has no offset from UTC",
    ),
    "unknown version": (
        lambda world: world.update(version=3),
        "snapshot.version: 3 is newer than this mock, which reads 1 and 2; update vorel-mock, or export the tenant",
    ),
    "odd version": (
        lambda world: world.update(version="2"),
        "snapshot.version: must be 2; a snapshot of version 1 has",
    ),
    # M28: what the API refuses
    "many faults": (
        lambda world: world.update(faults=[{**world["faults"][0], "id": _uuid(n)} for n in range(201)]),
        "snapshot.faults: is too long; at most 200 are allowed",
    ),
    "many webhooks": (
        lambda world: world.update(webhooks=[{**world["webhooks"][0], "id": _uuid(n)} for n in range(51)]),
        "snapshot.webhooks: is too long; at most 50 are allowed",
    ),
    "a stream of a long name": (
        lambda world: world["ids"].update(stream="x" * 101),
        "snapshot.ids.stream: is too long; at most 100 are allowed",
    ),
    "many keys": (
        lambda world: world.update(keys=[{**world["keys"][0], **_key(n)} for n in range(10_001)]),
        "snapshot.keys: is too long; at most 10000 are allowed",
    ),
    "many leads": (
        lambda world: world.update(leads=[{"id": _uuid(n), "conversation_id": _uuid(n)} for n in range(10_001)]),
        "snapshot.leads: is too long; at most 10000 are allowed",
    ),
    "long name": (lambda world: world.update(name="x" * 201), "snapshot.name: is too long; at most 200 are allowed"),
    "long name of a lead": (
        lambda world: world["leads"][0].update(name="x" * 201),
        "snapshot.leads[0].name: is too long; at most 200",
    ),
    "long status": (
        _first("leads", conversation_status="x" * 101),
        "snapshot.leads[0].conversation_status: is too long",
    ),
    "long account": (lambda world: world["crm"].update(account="x" * 101), "snapshot.crm.account: is too long"),
    "unknown scope": (_first("keys", scopes=["admin"]), "snapshot.keys[0].scopes: must be of appointments:write, "),
    "large mapping": (
        lambda world: world["crm"].update(mappings={"contact": {str(n): "x" for n in range(1001)}}),
        "snapshot.crm.mappings[…]: is too long; at most 1000 are allowed",
    ),
    "mapping of an unknown object": (
        lambda world: world["crm"].update(mappings={"contacts": {}}),
        "snapshot.crm.mappings.contacts: hubspot takes contact, ",
    ),
    "short time-out": (
        lambda world: world.update(webhook_timeout="0s"),
        "snapshot.webhook_timeout: must be 0.001s to 3600s",
    ),
    "target elsewhere": (
        _first("webhooks", target_url="http://example.com/"),
        "snapshot.webhooks[0].target_url: example.com is not on this machine",
    ),
    "no events": (_first("webhooks", events=[]), "snapshot.webhooks[0].events: is too short; it must have at least 1"),
    "fault of another operation": (
        _first("faults", fault="ok_as_text", operation="handoffLead"),
        "snapshot.faults[0].operation: ok_as_text is a fault of createCrmRecord only",
    ),
    "fault that takes no time": (_first("faults", delay="1s"), "snapshot.faults[0].delay: forbidden takes no time"),
    "long delay": (
        _first("faults", fault="latency", delay="31d"),
        "snapshot.faults[0].delay: must be at most 2592000s",
    ),
    "next beyond what can be armed": (_first("faults", next=10**10), "snapshot.faults[0].next: must be at most 1000"),
    "much consumed": (
        _first("faults", consumed=[{"request_id": "req_1", "at": "2026-01-01T00:00:00Z"}] * 101),
        "snapshot.faults[0].consumed: is too long; at most 100",
    ),
    "long reason": (_first("handoffs", reason="x" * 201), "snapshot.handoffs[0].reason: is longer than 200 characters"),
    "long summary": (
        _first("audit_log", summary="x" * 1001),
        "snapshot.audit_log[0].summary: is longer than 1000 char",
    ),
    "unknown object": (_first("crm_records", object="x"), "snapshot.crm_records[0].object: must be one of "),
    "long idempotency_key": (
        _first("crm_records", idempotency_key="x" * 201),
        "snapshot.crm_records[0].idempotency_key: is longer than 200 characters",
    ),
    "long answer": (
        lambda world: world["deliveries"][0].update(
            attempts=[{"at": "2026-01-01T00:00:00Z", "response_body": "x" * 4097}]
        ),
        "snapshot.deliveries[0].attempts[0].response_body: is too long",
    ),
    "many attempts": (
        lambda world: world["deliveries"][0].update(attempts=[{"at": "2026-01-01T00:00:00Z"}] * 7),
        "snapshot.deliveries[0].attempts: is too long; at most 6 are allowed",
    ),
    "unknown event": (_first("deliveries", event="x"), "snapshot.deliveries[0].event: must be of "),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_snapshot_is_refused_and_changes_nothing(shared: httpx.Client, case: str) -> None:
    world = World(shared, shared.post("/_mock/tenants").json())
    for step in (("webhook", 0), ("handoff", 0), ("create", 0), ("fault", 0)):
        world.do(*step)
    shared.post(f"{world.path}/clock", json={"advance": "0s"})
    good = shared.get(f"{world.path}/snapshot").json()
    spoilt = json.loads(json.dumps(good))
    spoil, begins = HOSTILE[case]
    spoil(spoilt)
    tenants = len(shared.get("/_mock/tenants").json()["data"])
    for answer in (
        shared.put(f"{world.path}/snapshot", json=spoilt),
        shared.post("/_mock/tenants", json={"snapshot": spoilt}),
    ):
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(begins), answer.text
    assert len(shared.get("/_mock/tenants").json()["data"]) == tenants
    now = shared.get(f"{world.path}/snapshot").json()
    assert now == good
    # What was on its way still is: released, it is sent.
    (webhook,) = shared.get(f"{world.path}/webhooks").json()["data"]
    shared.patch(f"{world.path}/webhooks/{webhook['id']}", json={"held": False})
    shared.post(f"{world.path}/clock", json={"advance": "0s"})
    (*_, delivery) = shared.get(f"{world.path}/deliveries").json()["data"]
    assert len(delivery["attempts"]) == 1


def test_an_imported_history_is_bounded_as_any_other(control: httpx.Client, mock: Mock) -> None:
    world = World(control, control.post("/_mock/tenants").json())
    world.do("create", 0)
    good = control.get(f"{world.path}/snapshot").json()
    (record,) = good["crm_records"]
    good["crm_records"] = [{**record, "idempotency_key": str(number)} for number in range(10_001)]
    assert control.put(f"{world.path}/snapshot", json=good).status_code == 204
    tenant = mock.store.tenant(world.made["id"])
    assert tenant is not None
    assert len(tenant.crm_records) == len(tenant.idempotency) == 10_000
    answers = [world.do("create", 0)[1][1] for _ in range(2)]  # the key "0" has been forgotten: a record is made, once
    assert answers[0] == answers[1]
    assert json.loads(answers[0])["external_id"] != record["external_id"]


def test_a_record_as_deep_as_any_is_taken_over(control: httpx.Client) -> None:
    made = control.post("/_mock/tenants").json()
    deep: Json = {"object": "contact", "fields": {"email": "ann@example.com"}, "idempotency_key": "deep"}
    value: Json = {}
    for _ in range(MAX_DEPTH - 3):
        value = {"a": value}
    deep["fields"]["deep"] = value
    sent: Json = {"headers": {"Authorization": f"Bearer {made['keys']['full'][0]}"}, "json": deep}
    answer = control.post("/api/v1/crm/create-record", **sent)
    assert answer.json()["ok"] is True
    world = control.get(f"/_mock/tenants/{made['id']}/snapshot").json()
    assert control.put(f"/_mock/tenants/{made['id']}/snapshot", json=world).status_code == 204
    assert control.post("/api/v1/crm/create-record", **sent).content == answer.content
    control.delete(f"/_mock/tenants/{made['id']}")
    assert control.post("/_mock/tenants", json={"snapshot": world}).status_code == 201
    deep["fields"]["deep"] = {"a": deep["fields"]["deep"]}
    assert control.post("/api/v1/crm/create-record", **sent).status_code == 400


def test_what_a_mock_has_taken_over_is_not_drawn_again(two: tuple[httpx.Client, httpx.Client]) -> None:
    one, other = two
    for client in two:
        assert client.post("/_mock/reset", json={"all": True}).status_code == 204
    first, second = (World(one, one.post("/_mock/tenants").json()) for _ in range(2))
    minted = one.post(f"{first.path}/keys", json={"scopes": []}).json()
    taken_over = World(other, other.post("/_mock/tenants").json())
    assert taken_over.path == first.path
    # The keys of a tenant that the other mock makes next, or has made, are in use there already.
    exported = one.get(f"{second.path}/snapshot").json()
    assert other.put(f"{taken_over.path}/snapshot", json=exported).status_code == 204
    assert other.get("/_mock/health").json()["tenants"] == 7
    made = other.post("/_mock/tenants").json()
    assert made["id"] == second.made["id"]
    owned = [*made["keys"]["full"], *made["keys"]["burst"]]
    assert not set(owned) & {*second.made["keys"]["full"], *second.made["keys"]["burst"]}
    for owner, token, lead in (
        (made["id"], made["keys"]["full"][0], made["leads"]["own"][0]),
        (taken_over.made["id"], second.made["keys"]["full"][0], second.made["leads"]["own"][0]),
    ):
        answer = other.post(f"/api/v1/leads/{lead}/handoff", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert other.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()["tenant_id"] == owner

    # Of a stream that was put back, what the tenant has is not drawn a second time.
    exported = one.get(f"{first.path}/snapshot").json()
    exported["ids"]["drawn"] = 0
    assert one.put(f"{first.path}/snapshot", json=exported).status_code == 204
    for _ in range(3):
        again = one.post(f"{first.path}/keys", json={"scopes": []})
        assert again.status_code == 201
        assert (again.json()["id"], again.json()["token"]) != (minted["id"], minted["token"])
        assert one.post(f"{first.path}/leads").status_code == 201
    leads = one.get(f"{first.path}/leads").json()["data"]
    assert len({lead["id"] for lead in leads}) == len({lead["conversation_id"] for lead in leads}) == 6


def test_a_reset_gives_nobody_another_s_keys(control: httpx.Client, mock: Mock) -> None:
    world, other = (World(control, control.post("/_mock/tenants").json()) for _ in range(2))
    initial = control.get(f"{world.path}/snapshot").json()
    without = {**initial, "keys": []}
    assert control.put(f"{world.path}/snapshot", json=without).status_code == 204
    assert control.put(f"{other.path}/snapshot", json=initial).status_code == 204
    refused = control.post(f"{world.path}/reset")
    assert refused.status_code == 409
    assert "belongs to tenant" in refused.json()["error"]["message"]
    assert control.get(f"{world.path}/keys").json()["data"] == []
    assert control.delete(other.path).status_code == 204
    assert control.post(f"{world.path}/reset").status_code == 204
    assert len(control.get(f"{world.path}/keys").json()["data"]) == len(initial["keys"])

    # The demo world: its keys may have gone to a tenant that was made, or to one another.
    paths = [f"/_mock/tenants/{tenant.id}" for tenant in mock.fixtures][:2]
    worlds = [control.get(f"{path}/snapshot").json() for path in paths]
    target = control.get("/_mock/target").json()
    for path, snapshot in zip(paths, worlds, strict=True):
        assert control.put(f"{path}/snapshot", json={**snapshot, "keys": []}).status_code == 204
    for path, snapshot in zip(reversed(paths), worlds, strict=True):
        assert control.put(f"{path}/snapshot", json=snapshot).status_code == 204
    assert control.post("/_mock/reset").status_code == 204
    assert control.get("/_mock/target").json() == target
    assert control.put(f"{paths[0]}/snapshot", json={**worlds[0], "keys": []}).status_code == 204
    assert control.post("/_mock/tenants", json={"snapshot": worlds[0]}).status_code == 201
    refused = control.post("/_mock/reset")
    assert refused.status_code == 409
    assert refused.json()["error"]["message"].endswith('delete that one first, or say {"all": true}')
    assert control.post("/_mock/reset", json={"all": True}).status_code == 204
    assert control.get("/_mock/target").json() == target


def test_the_store_holds_no_token_twice(mock: Mock) -> None:
    first, second, *_ = mock.fixtures
    key = next(iter(first.keys.values()))
    with pytest.raises(ValueError, match=f"the token of key x is that of key {key.id} of tenant {first.id}"):
        mock.store.index(second, replace(key, id="x"))
    assert mock.store.by_token(key.token) == (first, key)
    with pytest.raises(ValueError, match="there is a tenant with the id"):
        mock.store.add(first)
