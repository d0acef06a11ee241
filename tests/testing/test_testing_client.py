"""The client of the control plane: each method, and the error if it fails."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

import vorel_mock.testing
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing import Control, ControlError, InProcessMock, MockServer, Tenant
from vorel_mock.webhooks.signature import sign

HANDOFF = "conversation.handoff_requested"


@pytest.fixture(scope="module")
def mock() -> Iterator[InProcessMock]:
    with InProcessMock(seed=1) as mock:
        yield mock


@pytest.fixture
def tenant(mock: InProcessMock) -> Iterator[Tenant]:
    with mock.new_tenant() as tenant:
        yield tenant


@pytest.fixture
def api(mock: InProcessMock, tenant: Tenant) -> Iterator[httpx.Client]:
    with mock.client(tenant) as api:
        yield api


def post(api: httpx.Client, tenant: Tenant, **options: Any) -> httpx.Response:
    return api.post(f"/api/v1/leads/{tenant.lead}/handoff", **options)


def receivers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "vorel-mock-receiver"}


# The whole mock


def test_the_whole_mock(mock: InProcessMock, tenant: Tenant) -> None:
    control = mock.control
    assert control.health()["status"] == "ok"
    assert control.target()["leads"]["own"]
    assert "rate_limited" in {fault["id"] for fault in control.faults()}
    assert tenant.id in {known["id"] for known in control.tenants()}
    assert control.clock.frozen is False


def test_reset_leaves_tenants_that_were_made_unless_told_otherwise() -> None:
    with InProcessMock() as mock:
        kept = mock.new_tenant()
        mock.control.reset()
        assert kept.settings()["id"] == kept.id
        mock.control.reset(everything=True)
        with pytest.raises(ControlError, match="404 not_found: No tenant"):
            kept.settings()
        kept.delete()


def test_the_clock_of_all() -> None:
    with InProcessMock(clock="frozen") as mock:
        tenant = mock.new_tenant()
        assert mock.control.clock.frozen
        before = tenant.clock.now
        assert mock.control.clock.advance("2h") == tenant.clock.now == before + timedelta(hours=2)


# A tenant


def test_keys_leads_and_headers(api: httpx.Client, tenant: Tenant) -> None:
    assert tenant.headers == {"Authorization": f"Bearer {tenant.key}"}
    assert tenant.key == tenant.keys.full[0]
    assert tenant.lead == tenant.leads.own[0]
    statuses = {
        role: post(api, tenant, headers={"Authorization": f"Bearer {getattr(tenant.keys, role)}"}).status_code
        for role in ("read_only", "leads_only", "crm_only", "revoked")
    }
    assert statuses == {"read_only": 403, "leads_only": 200, "crm_only": 403, "revoked": 401}
    assert api.post(f"/api/v1/leads/{tenant.leads.foreign[0]}/handoff").status_code == 404


def test_a_tenant_without_keys_and_leads_says_so(mock: InProcessMock) -> None:
    with mock.new_tenant(keys={"full": 0}, leads=0) as tenant:
        assert tenant.headers == {}
        with pytest.raises(LookupError, match="has no key"):
            _ = tenant.key
        with pytest.raises(LookupError, match="has no lead"):
            _ = tenant.lead


def test_keys_are_minted_and_revoked(api: httpx.Client, tenant: Tenant) -> None:
    key = tenant.mint_key(["leads:write"], id="mine")
    assert (key.id, key.scopes) == ("mine", ("leads:write",))
    headers = {"Authorization": f"Bearer {key.token}"}
    assert post(api, tenant, headers=headers).status_code == 200
    assert tenant.requests.count(key_id="mine") == 1
    tenant.revoke_key(key)
    tenant.revoke_key("leads_only")
    assert post(api, tenant, headers=headers).status_code == 401
    assert post(api, tenant, headers={"Authorization": f"Bearer {tenant.keys.leads_only}"}).status_code == 401


def test_leads_are_added(api: httpx.Client, tenant: Tenant) -> None:
    lead = tenant.add_lead("Ada", conversation_status="closed")
    assert tenant.leads.own[-1] == lead["id"]
    assert tenant.lead_states()[-1] == lead
    assert api.post(f"/api/v1/leads/{lead['id']}/handoff").status_code == 200
    assert tenant.lead_states()[-1]["conversation_status"] == "awaiting_human"


def test_a_key_is_changed_and_restored(api: httpx.Client, tenant: Tenant) -> None:
    key = tenant.mint_key(["read"], token=f"vapk_live_{'a1' * 24}")
    assert key.token == f"vapk_live_{'a1' * 24}"
    headers = {"Authorization": f"Bearer {key.token}"}
    assert post(api, tenant, headers=headers).status_code == 403
    assert tenant.set_key(key, scopes=["leads:write"])["scopes"] == ["leads:write"]
    assert post(api, tenant, headers=headers).status_code == 200
    tenant.revoke_key(key)
    assert [state["id"] for state in tenant.key_states(revoked=True)] == ["revoked", key.id]
    assert tenant.set_key(key.id, revoked=False)["revoked"] is False
    assert post(api, tenant, headers=headers).status_code == 200
    assert len(tenant.key_states(revoked=False, limit=2)) == 2


def test_a_lead_is_changed_and_deleted(api: httpx.Client, tenant: Tenant) -> None:
    first, second, _ = tenant.leads.own
    assert tenant.set_lead(first, conversation_status="closed", name="Ada")["name"] == "Ada"
    (closed,) = tenant.lead_states(conversation_status="closed")
    assert (closed["id"], closed["name"]) == (first, "Ada")
    tenant.delete_lead(closed)
    assert tenant.lead == second
    assert api.post(f"/api/v1/leads/{first}/handoff").status_code == 404
    with pytest.raises(ControlError, match="404 not_found: The tenant has no lead"):
        tenant.set_lead(first, name="Bob")


def test_rows_are_seeded_and_found(api: httpx.Client, tenant: Tenant) -> None:
    noon = datetime(2025, 6, 1, 12, tzinfo=UTC)
    old = tenant.seed_handoff(tenant.lead, reason="long ago", requested_at=noon)
    new = tenant.seed_handoff({"id": tenant.leads.own[1]}, summary="now")
    assert tenant.handoffs() == [old, new]
    assert tenant.handoffs(until=noon) == tenant.handoffs(lead=tenant.lead) == [old]
    assert tenant.handoffs(since="2025-06-01T12:00:01Z") == tenant.handoffs(limit=1) == [new]
    assert [row["handoff_id"] for row in tenant.audit_log(lead=tenant.lead, key_id="control-plane")] == [old["id"]]
    record: Any = {"object": "contact", "fields": {"email": "a@example.com"}, "idempotency_key": "old"}
    seeded = tenant.seed_record(**record, at=noon, external_id="4711")
    assert api.post("/api/v1/crm/create-record", json=record).json()["external_id"] == "4711"
    tenant.seed_record("lead", {"name": "Ada"}, "new")
    assert tenant.crm_records(object="contact") == tenant.crm_records(idempotency_key="old") == [seeded]
    assert tenant.crm_records(until=noon, limit=5) == [seeded]
    with pytest.raises(ControlError, match="409 conflict: "):
        tenant.seed_record("contact", {"email": "b@example.com"}, "old")


def test_any_event_is_published(mock: InProcessMock, tenant: Tenant) -> None:
    assert tenant.webhooks.publish("booking.created") == []
    with tenant.webhooks.receive(["booking.created", "offering.updated"]) as inbox:
        (delivery,) = tenant.webhooks.publish("booking.created")
        event = inbox.next("booking.created")
        assert (event["id"], event["data"]["lead_id"]) == (delivery["event_id"], tenant.lead)
        tenant.webhooks.publish("offering.updated", {"offering_id": event["data"]["offering_id"], "name": "Cut"})
        assert inbox.next("offering.updated")["data"]["name"] == "Cut"
        tenant.webhooks.wait("booking.created")
        delivered = tenant.webhooks.deliveries(subscription=inbox.subscription, state="delivered", limit=3)
        assert delivery["id"] in [row["id"] for row in delivered]
        assert [row["id"] for row in tenant.webhooks.deliveries(event="booking.created")] == [delivery["id"]]
    with pytest.raises(ControlError, match=r"data\.name: is required"):
        tenant.webhooks.publish("offering.updated", {"offering_id": event["data"]["offering_id"]})
    assert {kind["event"] for kind in mock.control.events()} == set(EVENTS)


def test_a_subscription_is_changed(tenant: Tenant) -> None:
    made = tenant.webhooks.subscribe("http://127.0.0.1:9/", ["lead.created"], secret="my-own-secret")
    assert made.secret == "my-own-secret"
    changed = tenant.webhooks.change(made, events=["lead.updated"], secret="another-secret")
    assert (changed.id, changed.target_url, changed.events) == (made.id, made.target_url, ("lead.updated",))
    assert "secret" not in repr(changed)
    assert tenant.webhooks.change(changed, target_url="http://127.0.0.1:10/").secret == "another-secret"
    tenant.add_lead()
    assert tenant.webhooks.deliveries(event="lead.created") == []
    assert tenant.snapshot()["webhooks"][0]["secret"] == "another-secret"


def test_the_same_is_awaited(mock: InProcessMock, tenant: Tenant) -> None:
    async def use() -> list[str]:
        other = tenant.asynchronous
        await other.set_lead(other.lead, conversation_status="closed")
        await other.seed_handoff(other.lead)
        await other.set_key("full_1", revoked=True)
        async with await other.webhooks.receive(["booking.created"]) as inbox:
            await other.webhooks.publish("booking.created")
            event = await inbox.next("booking.created")
        return [event["event"], *(row["id"] for row in await other.key_states(revoked=True))]

    assert asyncio.run(use()) == ["booking.created", "full_1", "revoked"]


def test_settings_are_patched(api: httpx.Client, tenant: Tenant) -> None:
    record = {"object": "contact", "fields": {"email": "a@example.com"}, "idempotency_key": "1"}
    assert api.post("/api/v1/crm/create-record", json=record).json()["ok"] is True
    assert [row["idempotency_key"] for row in tenant.crm_records()] == ["1"]
    assert tenant.patch(crm=None, rate_limit=3)["rate_limit"] == 3
    assert tenant.settings()["crm"] is None
    failed = api.post("/api/v1/crm/create-record", json={**record, "idempotency_key": "2"}).json()
    assert failed["error"] == "no_crm_configured"


def test_a_world_is_exported_and_taken_over(mock: InProcessMock, api: httpx.Client, tenant: Tenant) -> None:
    tenant.add_lead("Ada")
    world = tenant.snapshot()
    first = post(api, tenant).json()
    tenant.restore(world)
    assert tenant.handoffs() == []
    assert post(api, tenant).json() == first, "the same world gives the same answers"
    tenant.delete()
    with mock.new_tenant(snapshot=world) as again, mock.client(again) as client:
        assert again.leads.own == tenant.leads.own
        assert post(client, again).json() == first


def test_a_tenant_that_lives_is_forked(mock: InProcessMock, api: httpx.Client, tenant: Tenant) -> None:  # M12
    post(api, tenant)
    world = tenant.snapshot()
    with pytest.raises(ControlError, match=r'409 conflict: .*belongs to tenant.*"keys": "fresh"'):
        mock.new_tenant(snapshot=world)
    with mock.new_tenant(snapshot=world, keys="fresh") as fork, mock.client(fork) as client:
        assert fork.key != tenant.key
        assert post(client, fork).json() == post(api, tenant).json(), "the same state, the same answer"
        with mock.new_tenant() as other:
            with pytest.raises(ControlError, match=r"409 conflict: .*\?keys=fresh"):
                other.restore(world)
            other.restore(world, keys="fresh")
            assert len({tenant.key, fork.key, other.key}) == 3
            assert len(other.handoffs()) == 1
            assert other.requests.explain(f"/api/v1/leads/{other.lead}/handoff")["response"]["status"] == 200
            assert len(fork.handoffs()) == 2


def test_a_restored_tenant_is_asked_with_its_new_keys(mock: InProcessMock, tenant: Tenant) -> None:  # M14
    with mock.new_tenant() as exported:
        world = exported.snapshot()
    path = f"/api/v1/leads/{exported.lead}/handoff"
    kept = tenant.webhooks.receive()
    tenant.restore(world)
    assert tenant.key == exported.key
    assert tenant.requests.explain(path)["response"]["status"] == 200
    with pytest.raises(OSError, match="refused"):  # its subscription is gone
        socket.create_connection(("127.0.0.1", int(kept.url.rsplit(":", 1)[1].strip("/"))))
    with tenant.webhooks.receive() as inbox:
        tenant.restore(tenant.snapshot())
        assert inbox.next("webhook.test")
        assert tenant.webhooks.redeliver(tenant.webhooks.wait("webhook.test"))
        assert inbox.next("webhook.test"), "a receiver that the snapshot knows goes on"
    tenant.reset()
    assert tenant.requests.explain(f"/api/v1/leads/{tenant.lead}/handoff")["response"]["status"] == 200


def test_a_reset_takes_back_leads_keys_and_receivers(api: httpx.Client, tenant: Tenant) -> None:
    inbox = tenant.webhooks.receive()
    lead = tenant.add_lead()
    post(api, tenant)
    tenant.reset()
    assert lead["id"] not in tenant.leads.own
    assert tenant.handoffs() == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(inbox.url.rsplit(":", 1)[1].strip("/"))))


def test_no_key_is_shown(mock: InProcessMock, tenant: Tenant) -> None:
    key = tenant.mint_key(["read"])
    with tenant.webhooks.receive() as inbox:
        shown = repr([tenant, tenant.keys, tenant.headers, vars(tenant), key, inbox, inbox.subscription, mock.control])
        shown += repr([tenant.key, tenant.keys.revoked, key.token, inbox.subscription.secret])
        secrets = [*tenant.keys.full, *tenant.keys.burst, key.token, inbox.subscription.secret]
    assert all(secret not in shown for secret in secrets)
    assert "vapk_live_[redacted]" in shown
    assert "c0ffee" not in shown


# Clock


def test_a_clock_is_moved_in_every_way(tenant: Tenant) -> None:
    start = tenant.clock.freeze()
    assert tenant.clock.frozen
    assert start.tzinfo is UTC
    assert tenant.clock.advance("1m30s") == start + timedelta(seconds=90)
    assert tenant.clock.advance(0.5) == start + timedelta(seconds=90.5)
    assert tenant.clock.advance(timedelta(days=1)) == tenant.clock.now
    assert tenant.clock.set("2090-01-01T00:00:00Z") == datetime(2090, 1, 1, tzinfo=UTC)
    assert tenant.clock.set(datetime(2091, 1, 1, tzinfo=UTC)).year == 2091
    tenant.clock.resume()
    assert not tenant.clock.frozen
    with pytest.raises(ControlError, match="forward only"):
        tenant.clock.set("2020-01-01T00:00:00Z")
    with pytest.raises(ControlError) as caught:
        tenant.clock.advance("soon")
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
    assert "advance" in caught.value.message


# Faults


def test_stubs_are_added_listed_and_removed(api: httpx.Client, tenant: Tenant) -> None:
    lead = tenant.add_lead()
    stub = tenant.stubs.add({"status": 404, "delay": 0.01}, {"lead": lead, "nth": 2}, times=2)
    url = f"/api/v1/leads/{lead['id']}/handoff"
    statuses = [api.post(url, headers=tenant.headers).status_code for _ in range(4)]
    assert statuses == [200, 404, 404, 200]
    met = tenant.stubs.get(stub)
    assert (met.met, met.spent, met.response["delay"]) == (2, True, "0.01s")
    assert [each.stub for each in tenant.requests.list()] == [None, stub.id, stub.id, None]
    with pytest.raises(ControlError, match="the contract declares no 409 for handoffLead") as raised:
        tenant.stubs.add({"status": 409}, {"operation": "handoffLead"})
    assert raised.value.status == 400
    tenant.stubs.add({"status": 409}, {"operation": "handoffLead"}, unlawful=True)
    tenant.stubs.remove(stub)
    assert [each["response"] for each in tenant.stubs.list()] == [{"status": 409}]
    assert api.post(url, headers=tenant.headers).json()["error"]["code"] == "conflict"
    tenant.stubs.clear()
    assert tenant.stubs.list() == []


def test_faults_are_armed_listed_and_disarmed(api: httpx.Client, tenant: Tenant) -> None:
    armed = tenant.faults.arm("unavailable", every=2, next=2, operation="handoffLead")
    assert [post(api, tenant).status_code for _ in range(6)] == [200, 503, 200, 503, 200, 200]
    (listed,) = tenant.faults.armed()
    assert (listed["id"], listed["met"], listed["spent"]) == (armed["id"], 2, True)
    assert [met["request_id"] for met in listed["consumed"]] == [
        exchange["id"] for exchange in tenant.requests.list(status=503)
    ]
    kept = tenant.faults.arm("unavailable", after=5)
    tenant.faults.disarm(armed)
    assert [fault["id"] for fault in tenant.faults.armed()] == [kept["id"]]
    tenant.faults.arm("latency", chance=1.0, delay=0.001)
    tenant.faults.clear()
    assert tenant.faults.armed() == []
    with pytest.raises(ControlError, match="fault"):
        tenant.faults.arm("no-such-fault")


# Journal


def test_requests_are_found_counted_and_exported(api: httpx.Client, tenant: Tenant) -> None:
    tenant.clock.freeze()
    post(api, tenant, json={"reason": "first"})
    between = tenant.clock.advance("10s")
    post(api, tenant, json={"reason": "second"})
    post(api, tenant, json={"reason": 3})
    assert [exchange["response"]["status"] for exchange in tenant.requests.list()] == [200, 200, 400]
    assert tenant.requests.count(status=200) == tenant.requests.count(status=200, operation=None, since=None) == 2
    for unknown in ({"operation": "typo"}, {"operaton": "handoffLead"}):
        with pytest.raises(ControlError, match=r'operation: must be one of handoffLead|did you mean "operation"'):
            tenant.requests.list(**unknown)  # type: ignore[arg-type]
    with pytest.raises(ControlError, match=r"event: must be one of .*webhook\.test"):
        tenant.webhooks.wait("lead.create")
    assert tenant.requests.count(since=between) == 2
    assert tenant.requests.count(until=between - timedelta(seconds=1)) == 1
    assert tenant.requests.count(contains="second") == 1
    assert len(tenant.requests.list(limit=1)) == 1
    assert len(tenant.requests.har(status=400)["log"]["entries"]) == 1
    assert "reason" in tenant.requests.list(status=400)[0]["explanation"]["rule"]
    assert tenant.key not in str(tenant.requests.list())
    tenant.requests.clear()
    assert tenant.requests.count() == 0


def test_a_request_is_waited_for(api: httpx.Client, tenant: Tenant) -> None:
    with pytest.raises(ControlError, match="0 of 1 requests") as caught:
        tenant.requests.wait(timeout=0.01)
    assert caught.value.status == 408
    timer = threading.Timer(0.05, post, (api, tenant))
    timer.start()
    assert tenant.requests.wait(timeout=30, status=200)[0]["operation"] == "handoffLead"
    timer.join()


def test_an_answer_is_foretold(api: httpx.Client, tenant: Tenant) -> None:
    path = f"/api/v1/leads/{tenant.lead}/handoff"
    assert tenant.requests.explain(path, body={"reason": 1})["response"]["status"] == 400
    assert tenant.requests.explain(path, headers={})["response"]["status"] == 401
    assert tenant.requests.explain(path)["response"]["status"] == 200
    assert tenant.handoffs() == []
    assert tenant.requests.count() == 0


# Webhooks


def test_a_wait_for_a_delivery_begins_at_a_mark(api: httpx.Client, tenant: Tenant) -> None:
    assert tenant.webhooks.mark() is None
    with tenant.webhooks.receive(events=[HANDOFF]):
        post(api, tenant)
        first = tenant.webhooks.wait(HANDOFF, since=None)
        mark = tenant.webhooks.mark()
        assert mark == first.id
        with pytest.raises(ControlError, match=r"408 .*no delivery that matches"):
            tenant.webhooks.wait(HANDOFF, since=mark, timeout=0.05)
        post(api, tenant)
        assert tenant.webhooks.wait(HANDOFF, since=mark).id == tenant.webhooks.mark() != mark
    with pytest.raises(ControlError, match="since: is not the id of a delivery"):
        tenant.webhooks.wait(since=tenant.id)


def test_a_delivery_is_held_repeated_and_spoilt(api: httpx.Client, tenant: Tenant) -> None:
    with tenant.webhooks.receive(events=[HANDOFF]) as inbox:
        tenant.webhooks.hold(inbox.subscription)
        post(api, tenant)
        with pytest.raises(TimeoutError, match=f"{HANDOFF} is pending"):
            inbox.next(timeout=0.05)
        tenant.webhooks.release(inbox.subscription)
        event = inbox.next(HANDOFF)
        delivery = tenant.webhooks.wait(HANDOFF, subscription=inbox.subscription)
        assert delivery["event_id"] == event["id"]
        tenant.webhooks.redeliver(delivery)
        assert inbox.next() == event
        tenant.webhooks.redeliver(delivery["id"], tampered=True)
        assert tenant.webhooks.wait(state="failed")["attempts"][0]["status"] == 401
        with pytest.raises(TimeoutError, match="1 rejected"):
            inbox.next(timeout=0.05)
    assert [event["event"] for event in inbox.events] == ["webhook.test", HANDOFF, HANDOFF]


def test_a_receiver_that_refuses_gets_it_again(api: httpx.Client, tenant: Tenant) -> None:
    tenant.clock.freeze()
    with tenant.webhooks.receive() as inbox:
        inbox.next("webhook.test")
        inbox.status = 503
        post(api, tenant)
        tenant.clock.advance("5s")
        inbox.status = None
        tenant.clock.advance("30s")
        assert inbox.next()["event"] == HANDOFF
    (delivery,) = (delivery for delivery in tenant.webhooks.deliveries() if delivery["event"] == HANDOFF)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 503, 200]
    for attempt in delivery["attempts"]:
        sent = attempt["request"]
        assert (sent["method"], sent["url"]) == ("POST", inbox.url)
        headers = dict(sent["headers"])
        assert headers["x-webhook-signature"] == sign(inbox.subscription.secret, sent["body"].encode())
        assert json.loads(sent["body"]) == delivery["body"]


def test_a_receiver_may_be_closed_after_its_tenant(mock: InProcessMock) -> None:
    tenant = mock.new_tenant()
    inbox = tenant.webhooks.receive()
    mock.control.reset(everything=True)
    inbox.close()
    inbox.close()


def test_a_subscription_that_cannot_be_made(tenant: Tenant) -> None:
    with pytest.raises(ControlError, match=r"target_url: example\.com is not on this machine"):
        tenant.webhooks.subscribe("https://example.com/hook")
    threads = receivers()
    with pytest.raises(ControlError, match=r"events\.0: must be one of lead\.created"):
        tenant.webhooks.receive(events=["lead.exploded"])
    assert receivers() <= threads


# What goes wrong


def test_a_setting_that_cannot_be_had(mock: InProcessMock) -> None:
    with pytest.raises(ControlError, match="notified_channel: must be one of") as caught:
        mock.new_tenant(notified_channel="fax")
    assert caught.value.status == 400
    with pytest.raises(ControlError, match="colour"):
        mock.new_tenant(colour="red")
    with pytest.raises(TypeError, match="colour"):
        MockServer(colour="red")


def test_one_text_is_not_a_list_of_its_letters(tenant: Tenant) -> None:
    threads = receivers()
    for wrong in (
        lambda: tenant.webhooks.receive(HANDOFF),
        lambda: tenant.webhooks.subscribe("http://127.0.0.1:1/", HANDOFF),
    ):
        with pytest.raises(TypeError, match=rf"^events: must be a list of texts, not one: write \['{HANDOFF}'\]$"):
            wrong()
    with pytest.raises(TypeError, match=r"^scopes: must be a list of texts, not one: write \['read'\]$"):
        tenant.mint_key("read")
    assert receivers() <= threads
    assert tenant.mint_key({"read"}).scopes == ("read",)


def test_a_span_of_time_that_cannot_pass_is_told(tenant: Tenant) -> None:
    nothing: Any = None
    for by in (-5, timedelta(seconds=-1), float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^advance: must be zero seconds or more, not .*: time runs forward only"):
            tenant.clock.advance(by)
    for by in (nothing, True):
        with pytest.raises(TypeError, match=r"^advance: must be seconds, a timedelta, or a text such as 61s, not "):
            tenant.clock.advance(by)
    with pytest.raises(TypeError, match=r"^set: must be a datetime with a time zone"):
        tenant.clock.set(nothing)
    with pytest.raises(ValueError, match="delay: "):
        tenant.faults.arm("latency", delay=-1)
    with pytest.raises(ValueError, match="timeout: "):
        tenant.requests.wait(timeout=-1)
    tenant.clock.advance(0)


def test_a_value_that_json_cannot_say_is_named(mock: InProcessMock, tenant: Tenant) -> None:
    for value in (object(), float("nan"), {1: {2}}):
        with pytest.raises(TypeError, match=r"^crm: \w+ cannot be sent as JSON: "):
            mock.new_tenant(crm=value)
    with pytest.raises(TypeError, match=r"^body: set cannot be sent as JSON: "):
        tenant.requests.explain("/x", body={1})


def test_nothing_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with Control(url) as control, pytest.raises(ControlError, match=f"no server at {url}") as caught:
            control.health()
    assert (caught.value.status, caught.value.code) == (None, "unreachable")


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://127.0.0.1", "", "http://"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="must be a URL such as"):
        Control(url)


@pytest.mark.parametrize(("status", "content"), [(200, b"<html>"), (404, b"<html>"), (500, b'["no"]')])
def test_something_else_answers(status: int, content: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            with listening.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content))

        answered = pool.submit(answer)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Control(url) as control, pytest.raises(ControlError, match="is not vorel-mock") as caught:
            control.health()
        answered.result(10)
    assert caught.value.code == "not_a_mock"


def test_a_control_token(mock: InProcessMock) -> None:
    with MockServer(control_token="open-sesame") as guarded:
        assert guarded.new_tenant().settings()
        with (
            Control(guarded.base_url, token="wrong-token") as control,
            pytest.raises(ControlError, match="401") as caught,
        ):
            control.health()
        with Control(guarded.base_url, token="open-sesame") as control:
            assert control.health()["status"] == "ok"
            assert "sesame" not in repr(vars(control)) + str(caught.value)


def test_a_mock_that_was_started_anew_is_found() -> None:
    with MockServer() as mock:
        port = int(mock.base_url.rsplit(":", 1)[1])
        control = Control(mock.base_url)
        assert control.health()["status"] == "ok"
    with control:
        with pytest.raises(ControlError, match="no server at"):
            control.health()
        with MockServer(port=port):
            assert control.health()["status"] == "ok"


def test_the_port_is_taken() -> None:
    with MockServer() as mock:
        port = int(mock.base_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            MockServer(port=port).start()


def test_the_public_names_are_all_there() -> None:
    for name in vorel_mock.testing.__all__:
        assert getattr(vorel_mock.testing, name).__doc__
    assert dir(vorel_mock.testing) == sorted(vorel_mock.testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = vorel_mock.testing.Nothing


# Forks


def test_a_fork(mock: InProcessMock, tenant: Tenant, api: httpx.Client) -> None:
    post(api, tenant)
    with tenant.fork(ttl=600) as fork, mock.client(fork) as its_api:
        assert fork.key != tenant.key
        assert fork.settings()["ttl"] == "600s"
        post(its_api, fork)
        assert (len(fork.handoffs()), len(tenant.handoffs())) == (2, 1)
    with pytest.raises(ControlError, match="404"):
        fork.settings()
