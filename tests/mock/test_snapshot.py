"""A world that is exported and imported gives the same answers; what is no world is refused, and nothing is changed."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from tests import checked_client as checked

from vorel_mock.api.strict_json import MAX_DEPTH
from vorel_mock.mock import demo
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


@hypothesis_settings(max_examples=15, deadline=None)
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


def _first(name: str, **members: Any) -> Callable[[Json], None]:
    return lambda world: world[name][0].update(members)


def _twice(name: str) -> Callable[[Json], None]:
    return lambda world: world[name].append(world[name][0])


HOSTILE: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no keys": (lambda world: world.pop("keys"), "snapshot: Object missing required field `keys`"),
    "keys of another type": (lambda world: world.update(keys={}), "snapshot.keys: Expected `array`"),
    "no token": (lambda world: world["keys"][0].pop("token"), "snapshot.keys[0]: Object missing"),
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
        _first("keys", window={"number": 1, "count": 0, "total": 1}),
        'unknown field "snapshot.keys[0].window.total"; allowed: ',
    ),
    "key twice": (_twice("keys"), "snapshot.keys: two have the same id"),
    "token twice": (
        lambda world: world["keys"].append({**world["keys"][0], "id": "other"}),
        "snapshot.keys: two have the same token",
    ),
    "lead twice": (_twice("leads"), "snapshot.leads: two have the same id"),
    "odd lead": (_first("leads", id="x"), "snapshot.leads[0].id: Expected `str` matching"),
    "lead in upper case": (
        lambda world: world["leads"][0].update(id=world["leads"][0]["id"].upper().replace("4", "A")),
        "snapshot.leads[0].id: Expected `str` matching",
    ),
    "lead without conversation": (
        _first("leads", conversation_id="ffffffff-ffff-4fff-8fff-ffffffffffff"),
        "snapshot.leads[0].conversation_id: there is no such",
    ),
    "channel": (lambda world: world.update(notified_channel="sms"), "snapshot.notified_channel: must be one of slack"),
    "vendor": (lambda world: world["crm"].update(vendor="x"), "snapshot.crm.vendor: must be one of hubspot"),
    "failure": (lambda world: world["crm"].update(failure="x"), "snapshot.crm.failure: Invalid enum value"),
    "limit": (lambda world: world.update(rate_limit=-1), "snapshot.rate_limit: Expected `int` >= 0"),
    "large limit": (lambda world: world.update(rate_limit=10**30), "snapshot.rate_limit: "),
    "count": (_first("keys", window={"number": 1, "count": -1}), "snapshot.keys[0].window.count: Expected"),
    "past": (lambda world: world["clock"].update(now=-1), "snapshot.clock.now: Expected `float` >= 0"),
    "future": (lambda world: world["clock"].update(now=1e300), "snapshot.clock.now: Expected `float` < "),
    "end of time": (lambda world: world["clock"].update(now=253390000000), "snapshot.clock.now: lies beyond"),
    "ids": (lambda world: world["ids"].update(drawn=-1), "snapshot.ids.drawn: Expected"),
    "time-out": (lambda world: world.update(webhook_timeout=-1), "snapshot.webhook_timeout: Expected"),
    "fault": (_first("faults", fault="x"), "snapshot.faults[0].fault: no such fault"),
    "fault's operation": (_first("faults", operation="x"), "snapshot.faults[0].operation: must be one of"),
    "every zeroth": (_first("faults", every=0), "snapshot.faults[0].every: Expected `int` >= 1"),
    "chance": (_first("faults", chance=2), "snapshot.faults[0].chance: Expected"),
    "events": (_first("webhooks", events=["x"]), "snapshot.webhooks[0].events: must be of"),
    "state": (_first("deliveries", state="x"), "snapshot.deliveries[0].state: Invalid enum value"),
    "body": (_first("deliveries", body=b64encode(b"{").decode()), "snapshot.deliveries[0].body: must be a JSON object"),
    "not base64": (_first("deliveries", body="{"), "snapshot.deliveries[0].body: Invalid base64"),
    "due": (_first("deliveries", due_at=1e18), "snapshot.deliveries[0].due_at: Expected"),
    "record twice": (_twice("crm_records"), "snapshot.crm_records: two have the same idempotency_key"),
    "audited": (_first("audit_log", at="now"), "snapshot.audit_log[0].at: Expected `float`"),
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
    paths = [f"/_mock/tenants/{tenant.id}" for tenant in demo.tenants(mock.store)][:2]
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
    first, second, *_ = demo.tenants(mock.store)
    key = next(iter(first.keys.values()))
    with pytest.raises(ValueError, match=f"the token of key x is that of key {key.id} of tenant {first.id}"):
        mock.store.index(second, replace(key, id="x"))
    assert mock.store.by_token(key.token) == (first, key)
    with pytest.raises(ValueError, match="there is a tenant with the id"):
        mock.store.add(first)
