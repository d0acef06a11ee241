"""State that is set over HTTP: leads, keys, handoffs, records, subscriptions; lists that are filtered; every event."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from tests import checked_client as checked
from tests.control.test_work_under_the_lock import CountingLock

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.webhooks import event_kinds

Json = dict[str, Any]
Tenant = Callable[..., tuple[str, Json]]
TARGET = "http://127.0.0.1:9/"  # nobody listens: what is queued is looked at, not delivered
HANDOFF = "conversation.handoff_requested"


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with checked.client(Mock(Settings(seed=1, clock="frozen"))) as client:
        yield client


@pytest.fixture
def tenant(http: httpx.Client) -> tuple[str, Json]:
    """The path of a new tenant, and its profile."""
    made = http.post("/_mock/tenants", json={}).json()
    return f"/_mock/tenants/{made['id']}", made


def rows(http: httpx.Client, path: str, **params: Any) -> list[Json]:
    found: list[Json] = http.get(path, params=params).raise_for_status().json()["data"]
    return found


def hand_off(http: httpx.Client, profile: Json, lead: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {profile['keys']['full'][0]}"}
    return http.post(f"/api/v1/leads/{lead}/handoff", headers=headers)


def published(http: httpx.Client, path: str) -> list[str]:
    """The events of the deliveries, in order, without the test event."""
    return [row["event"] for row in rows(http, f"{path}/deliveries") if row["event"] != "webhook.test"]


def subscribe(http: httpx.Client, path: str) -> Json:
    made: Json = http.post(f"{path}/webhooks", json={"target_url": TARGET, "events": list(EVENTS)}).json()
    return made


# Leads.


def test_a_lead_is_changed_and_told_of(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    subscribe(http, path)
    lead = profile["leads"]["own"][0]
    changed = http.patch(f"{path}/leads/{lead}", json={"conversation_status": "waiting", "name": "Ann"}).json()
    assert (changed["name"], changed["conversation_status"]) == ("Ann", "waiting")
    assert http.get(f"{path}/leads/{lead}").json() == changed
    assert http.patch(f"{path}/leads/{lead}", json={}).json() == changed  # which changes nothing, and tells nothing
    http.patch(f"{path}/leads/{lead}", json={"conversation_status": "closed"})
    http.patch(f"{path}/leads/{lead}", json={"conversation_status": None, "name": None})
    assert http.get(f"{path}/leads/{lead}").json()["conversation_status"] == "active"
    assert published(http, path) == ["lead.updated", "lead.updated", "conversation.closed", "lead.updated"]
    last = rows(http, f"{path}/deliveries")[-1]["body"]["data"]
    assert last == {
        "lead_id": lead,
        "conversation_id": changed["conversation_id"],
        "name": "",
        "conversation_status": "active",
        "updated_at": "2026-01-01T00:00:00.000Z",
    }


def test_a_new_lead_is_told_of(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, _ = tenant
    subscribe(http, path)
    made = http.post(f"{path}/leads", json={"name": "Ann"}).json()
    assert published(http, path) == ["lead.created"]
    assert rows(http, f"{path}/deliveries")[-1]["body"]["data"]["lead_id"] == made["id"]


def test_a_deleted_lead_is_not_found_and_its_history_stays(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    lead = profile["leads"]["own"][0]
    assert hand_off(http, profile, lead).status_code == 200
    assert http.delete(f"{path}/leads/{lead}").status_code == 204
    assert hand_off(http, profile, lead).status_code == 404
    assert http.get(f"{path}/leads/{lead}").status_code == 404
    assert http.delete(f"{path}/leads/{lead}").status_code == 404
    assert lead not in [row["id"] for row in rows(http, f"{path}/leads")]
    assert [row["lead_id"] for row in rows(http, f"{path}/handoffs")] == [lead]
    snapshot = http.get(f"{path}/snapshot").json()
    assert http.put(f"{path}/snapshot", json=snapshot).status_code == 204
    assert [row["lead_id"] for row in rows(http, f"{path}/audit-log")] == [lead]
    assert http.post(f"{path}/reset").status_code == 204
    assert hand_off(http, profile, lead).status_code == 200


# Keys.


def test_a_key_is_revoked_and_restored(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    lead = profile["leads"]["own"][0]
    assert http.get(f"{path}/keys/revoked").json()["revoked"] is True
    assert http.patch(f"{path}/keys/full_1", json={"revoked": True}).json()["revoked"] is True
    assert hand_off(http, profile, lead).status_code == 401
    assert http.patch(f"{path}/keys/full_1", json={"revoked": None}).json()["revoked"] is False
    assert hand_off(http, profile, lead).status_code == 200
    assert http.patch(f"{path}/keys/full_1", json={"scopes": ["read"]}).json()["scopes"] == ["read"]
    assert hand_off(http, profile, lead).status_code == 403
    before, after = rows(http, f"{path}/requests")[-2:]  # each is explained by the scopes of then
    assert [exchange["response"]["status"] for exchange in (before, after)] == [200, 403]
    assert "the key has leads:write" in json.dumps(before["explanation"])
    assert http.patch(f"{path}/keys/full_1", json={"scopes": ["leads:write"], "revoked": False}).status_code == 200
    assert hand_off(http, profile, lead).status_code == 200
    assert http.put(f"{path}/snapshot", json=http.get(f"{path}/snapshot").json()).status_code == 204
    assert http.get(f"{path}/keys/full_1").json()["scopes"] == ["leads:write"]
    assert hand_off(http, profile, lead).status_code == 200
    assert http.post(f"{path}/reset").status_code == 204
    assert len(http.get(f"{path}/keys/full_1").json()["scopes"]) > 1
    assert http.get(f"{path}/keys/none").status_code == 404
    assert http.patch(f"{path}/keys/none", json={}).status_code == 404
    assert [row["id"] for row in rows(http, f"{path}/keys", revoked=True)] == ["revoked"]


# Handoffs and records.


def test_a_handoff_is_set_as_the_api_does_it(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    subscribe(http, path)
    lead, other = profile["leads"]["own"][:2]
    made = http.post(f"{path}/handoffs", json={"lead_id": lead.upper(), "reason": "r", "summary": "s"})
    assert made.status_code == 201
    assert hand_off(http, profile, other).status_code == 200
    assert http.get(f"{path}/leads/{lead}").json()["conversation_status"] == "awaiting_human"
    one, two = rows(http, f"{path}/handoffs")
    assert one == made.json()
    assert one.keys() == two.keys()
    assert [row["key_id"] for row in rows(http, f"{path}/audit-log")] == ["control-plane", "full_1"]
    assert published(http, path) == [HANDOFF, HANDOFF]
    unknown = http.post(f"{path}/handoffs", json={"lead_id": "none"})
    assert unknown.status_code == 404
    assert "lead_id: the tenant has no lead with this id" in unknown.text
    too_long = http.post(f"{path}/handoffs", json={"lead_id": lead, "reason": "x" * 201})
    assert too_long.status_code == 400
    assert "reason: must have at most 200 characters" in too_long.text


def test_a_handoff_of_the_past_is_told_to_nobody(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    subscribe(http, path)
    body = {"lead_id": profile["leads"]["own"][0], "requested_at": "2025-12-31T12:00:00+01:00"}
    made = http.post(f"{path}/handoffs", json=body).json()
    assert (made["requested_at"], made["reason"]) == ("2025-12-31T11:00:00.000Z", "operator_request")
    assert [row["at"] for row in rows(http, f"{path}/audit-log")] == [made["requested_at"]]
    assert rows(http, f"{path}/handoffs", until="2025-12-31T11:00:00Z") == [made]
    assert http.get(f"{path}/leads/{body['lead_id']}").json()["conversation_status"] == "awaiting_human"
    assert published(http, path) == []
    for wrong, said in (("2999-01-01T00:00:00Z", "must not be later than the tenant's clock"), ("x", "RFC 3339")):
        answer = http.post(f"{path}/handoffs", json={**body, "requested_at": wrong})
        assert answer.status_code == 400
        assert "requested_at: " in answer.text
        assert said in answer.text


def test_a_record_of_the_past_needs_no_crm_that_works(http: httpx.Client) -> None:
    profile = http.post("/_mock/tenants", json={"crm": None}).json()
    path = f"/_mock/tenants/{profile['id']}"
    body = {"object": "contact", "fields": {"email": "ada@example.com"}, "idempotency_key": "old"}
    assert "no_crm_configured" in http.post(f"{path}/crm-records", json=body).text
    before = {"at": "2025-06-01T00:00:00Z", "vendor": "hubspot", "external_id": "4711"}
    made = http.post(f"{path}/crm-records", json={**body, **before})
    assert made.status_code == 201
    record = made.json()
    assert (record["external_id"], record["vendor"], record["at"]) == ("4711", "hubspot", "2025-06-01T00:00:00.000Z")
    assert record["record_url"].endswith("4711")
    assert record["vendor_fields"] == {"email": "ada@example.com"}
    assert http.post(f"{path}/crm-records", json={**body, **before}).json() == record
    headers = {"Authorization": f"Bearer {profile['keys']['full'][0]}"}
    replayed = http.post("/api/v1/crm/create-record", headers=headers, json=body).json()
    assert replayed == {"ok": True, "external_id": "4711", "record_url": record["record_url"]}
    http.put(f"{path}/snapshot", json=http.get(f"{path}/snapshot").json())
    assert rows(http, f"{path}/crm-records") == [record]
    for wrong in ({"object": "case", "vendor": "zoho", "fields": {}}, {"external_id": "1", "fields": {}}):
        refused = http.post(f"{path}/crm-records", json={**body, "idempotency_key": "2", **wrong})
        assert refused.status_code == 409, refused.text
    late = http.post(f"{path}/crm-records", json={**body, "at": "2999-01-01T00:00:00Z"})
    assert late.status_code == 400


def test_a_record_is_set_and_replayed_by_the_api(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    body = {"object": "contact", "fields": {"email": "ada@example.com"}, "idempotency_key": "seeded-1"}
    made = http.post(f"{path}/crm-records", json=body)
    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {profile['keys']['full'][0]}"}
    answer = http.post("/api/v1/crm/create-record", headers=headers, json=body).json()
    assert (answer["ok"], answer["external_id"]) == (True, made.json()["external_id"])
    assert http.post(f"{path}/crm-records", json=body).json() == made.json()
    assert len(rows(http, f"{path}/crm-records")) == 1
    taken = http.post(f"{path}/crm-records", json={**body, "fields": {"email": "b@example.com"}})
    assert taken.status_code == 409
    assert "idempotency_key was used before" in taken.text
    assert http.post(f"{path}/crm-records", json={**body, "object": "quote"}).status_code == 400
    http.patch(path, json={"crm": {"failure": "auth_failed"}})
    failed = http.post(f"{path}/crm-records", json={**body, "idempotency_key": "2"})
    assert failed.status_code == 409
    assert "auth_failed" in failed.text


# Lists.


def test_lists_are_filtered(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    leads = profile["leads"]["own"]
    for number, lead in enumerate(leads):
        http.post(f"{path}/handoffs", json={"lead_id": lead, "reason": str(number)})
        http.post(f"{path}/clock", json={"advance": "1h"})
    assert [row["reason"] for row in rows(http, f"{path}/handoffs", lead_id=leads[1])] == ["1"]
    assert [row["reason"] for row in rows(http, f"{path}/handoffs", limit=2)] == ["1", "2"]
    assert [row["reason"] for row in rows(http, f"{path}/handoffs", since="2026-01-01T01:00:00Z")] == ["1", "2"]
    assert [row["reason"] for row in rows(http, f"{path}/audit-log", until="2026-01-01T01:00:00Z")] == ["0", "1"]
    assert rows(http, f"{path}/audit-log", key_id="full_1") == []
    assert len(rows(http, f"{path}/leads", conversation_status="awaiting_human", limit=2)) == 2
    assert rows(http, f"{path}/leads", conversation_status="active") == []
    for number in range(3):
        fields = {"email": f"{number}@example.com"}
        http.post(
            f"{path}/crm-records",
            json={
                "object": "contact" if number else "lead",
                "fields": {**fields, "name": "x"},
                "idempotency_key": str(number),
            },
        )
    assert [row["idempotency_key"] for row in rows(http, f"{path}/crm-records", object="contact")] == ["1", "2"]
    assert [row["object"] for row in rows(http, f"{path}/crm-records", idempotency_key="0")] == ["lead"]
    for what, shown, total in (("handoffs", 2, 3), ("crm-records", 2, 3), ("audit-log", 2, 3), ("leads", 2, 3)):
        answer = http.get(f"{path}/{what}", params={"limit": 2}).json()
        assert (len(answer["data"]), answer["total"]) == (shown, total)
    assert http.get(f"{path}/keys", params={"revoked": False, "limit": 1}).json()["total"] == 6
    for wrong in ({"limit": 0}, {"limit": "x"}, {"since": "yesterday"}, {"reason": "0"}):
        assert http.get(f"{path}/handoffs", params=wrong).status_code == 400


def test_deliveries_are_filtered(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, _ = tenant
    webhook = subscribe(http, path)
    for event in ("booking.created", "booking.cancelled", "booking.created"):
        http.post(f"{path}/events", json={"event": event})
    assert len(rows(http, f"{path}/deliveries", event="booking.created")) == 2
    assert len(rows(http, f"{path}/deliveries", webhook_id=webhook["id"], state="pending", limit=3)) == 3
    assert rows(http, f"{path}/deliveries", state="dead") == []
    assert http.get(f"{path}/deliveries", params={"limit": 1}).json()["total"] == 4
    assert http.get(f"{path}/deliveries", params={"state": "lost"}).status_code == 400
    unknown = http.get(f"{path}/deliveries", params={"event": "booking.crated"})
    assert 'did you mean "booking.created"' in unknown.json()["error"]["message"]


# Subscriptions.


def test_a_subscription_is_changed(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, _ = tenant
    chosen = {"target_url": TARGET, "events": ["lead.created"], "secret": "my-own-secret"}
    made = http.post(f"{path}/webhooks", json=chosen).json()
    assert made["secret"] == "my-own-secret"
    place = f"{path}/webhooks/{made['id']}"
    other = {"target_url": "http://127.0.0.1:10/hook", "events": ["booking.created"], "secret": "another-secret"}
    changed = http.patch(place, json=other).json()
    assert (changed["target_url"], changed["events"]) == (other["target_url"], other["events"])
    http.post(f"{path}/events", json={"event": "lead.created"})
    http.post(f"{path}/events", json={"event": "booking.created"})
    assert published(http, path) == ["booking.created"]
    assert http.get(f"{path}/snapshot").json()["webhooks"][0]["secret"] == "another-secret"
    wrong: Json
    for wrong in (
        {"target_url": "https://example.com/"},
        {"events": ["lead.crated"]},
        {"events": []},
        {"secret": "short"},
        {"secret": "with blanks in it"},
    ):
        assert http.patch(place, json=wrong).status_code == 400
    assert http.get(place).json() == changed


# Events.


def test_the_catalogue_has_the_twelve_events_with_valid_examples(http: httpx.Client) -> None:
    kinds = rows(http, "/_mock/events")
    assert tuple(kind["event"] for kind in kinds) == EVENTS
    for kind in kinds:
        jsonschema_rs.Draft202012Validator(kind["schema"], validate_formats=True).validate(kind["example"])
        assert kind["example"].keys() == kind["schema"]["properties"].keys()
        assert set(kind["schema"]["required"]) <= set(kind["example"])


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_published(http: httpx.Client, tenant: tuple[str, Json], event: str) -> None:
    path, profile = tenant
    subscribe(http, path)
    made = http.post(f"{path}/events", json={"event": event})
    assert made.status_code == 202
    told = made.json()
    event_kinds.check(event, told["data"])
    (delivery,) = told["deliveries"]
    assert (delivery["event"], delivery["event_id"], delivery["body"]["data"]) == (event, told["id"], told["data"])
    assert told["data"].get("lead_id") in (None, profile["leads"]["own"][0])
    assert http.post(f"{path}/events", json={"event": event, "data": told["data"]}).status_code == 202


def test_a_handoff_through_the_api_has_the_data_of_the_catalogue(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    subscribe(http, path)
    hand_off(http, profile, profile["leads"]["own"][0])
    (delivery,) = [row for row in rows(http, f"{path}/deliveries") if row["event"] == HANDOFF]
    event_kinds.check(HANDOFF, delivery["body"]["data"])
    assert delivery["body"]["data"].keys() == event_kinds.kinds()[HANDOFF].schema["properties"].keys()


def test_nobody_subscribed(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, _ = tenant
    assert http.post(f"{path}/events", json={"event": "booking.created"}).json()["deliveries"] == []


def test_an_event_of_a_tenant_that_has_nothing(http: httpx.Client) -> None:
    made = http.post("/_mock/tenants", json={"leads": 0, "keys": {"full": 0, "burst": 0}}).json()
    for event in EVENTS:
        answer = http.post(f"/_mock/tenants/{made['id']}/events", json={"event": event})
        assert answer.status_code == 202
        event_kinds.check(event, answer.json()["data"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "event: is required"),
        ({"event": "booking.crated"}, 'did you mean "booking.created"?'),
        ({"event": "booking.created", "data": 5}, "data: must be an object"),
        ({"event": "booking.created", "data": {}}, "data.booking_id: is required; data.lead_id: is required"),
        (
            {"event": "offering.created", "data": {"offering_id": "x", "name": 5}},
            'data.offering_id: is not a "uuid"; data.name: ',
        ),
        ({"event": "offering.created", "data": {"name": "y" * 70_000}}, "data: has 70011 bytes as JSON"),
    ],
)
def test_an_event_that_is_wrong_is_told(http: httpx.Client, tenant: tuple[str, Json], body: Json, said: str) -> None:
    answer = http.post(f"{tenant[0]}/events", json=body)
    assert answer.status_code == 400
    assert said in json.loads(answer.text)["error"]["message"]


def test_members_that_the_schema_does_not_list_are_sent(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, _ = tenant
    subscribe(http, path)
    offering = http.post(f"{path}/events", json={"event": "offering.created"}).json()["data"]
    data = {**offering, "tags": ["a", {"b": 1.5}], "starts_at": 5, 'in "quotes"': {'a"\\\n': None}, "\u2028": 10**30}
    made = http.post(f"{path}/events", json={"event": "offering.created", "data": data}).json()
    assert made["deliveries"][0]["body"]["data"] == data
    assert rows(http, f"{path}/deliveries")[-1]["body"]["data"] == data


def test_the_examples_of_one_tenant_tell_one_story(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    now = http.get(f"{path}/clock").json()["now"]

    def data(event: str) -> Json:
        return dict(http.post(f"{path}/events", json={"event": event}).json()["data"])

    created, moved, completed = (data(f"booking.{what}") for what in ("created", "rescheduled", "completed"))
    assert created["booking_id"] == moved["booking_id"] == completed["booking_id"]
    assert created["offering_id"] == data("offering.created")["offering_id"]
    assert moved["previous_starts_at"] == created["starts_at"] < moved["starts_at"]
    assert completed["ends_at"] <= now < created["starts_at"] < created["ends_at"]
    answer = hand_off(http, profile, profile["leads"]["own"][1]).json()
    assert data(HANDOFF)["handoff_id"] == answer["handoff_id"]
    other = http.post("/_mock/tenants", json={}).json()["id"]
    foreign = http.post(f"/_mock/tenants/{other}/events", json={"event": "booking.created"}).json()["data"]
    assert foreign["booking_id"] != created["booking_id"]


def test_the_same_seed_gives_the_same_events() -> None:
    def once() -> Json:
        with checked.client(Mock(Settings(seed=7, clock="frozen"))) as http:
            made = http.post("/_mock/tenants", json={}).json()
            return dict(http.post(f"/_mock/tenants/{made['id']}/events", json={"event": "booking.created"}).json())

    assert once() == once()


def test_a_large_event_is_written_without_the_lock() -> None:
    mock = Mock(Settings(seed=1, clock="frozen"))
    with checked.client(mock) as http:
        path = f"/_mock/tenants/{http.post('/_mock/tenants', json={}).json()['id']}"
        subscribe(http, path)
        data = http.post(f"{path}/events", json={"event": "offering.created"}).json()["data"]
        mock.lock = mock.webhooks._lock = lock = CountingLock(mock.lock)  # type: ignore[assignment]
        counts = []
        for members in (1, 3000):
            lock.calls = 0
            large = {**data, **{str(number): number for number in range(members)}}
            assert http.post(f"{path}/events", json={"event": "offering.created", "data": large}).status_code == 202
            counts.append(lock.calls)
    assert 0 < counts[1] < counts[0] + 50


def test_the_journal_of_all_is_cleared(http: httpx.Client, tenant: tuple[str, Json]) -> None:
    path, profile = tenant
    hand_off(http, profile, profile["leads"]["own"][0])
    assert http.get("/_mock/requests").json()["total"] > 0
    assert http.delete("/_mock/requests").status_code == 204
    assert http.get("/_mock/requests").json()["total"] == http.get(f"{path}/requests").json()["total"] == 0
