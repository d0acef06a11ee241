"""Every operation of the control plane: what it does with good input, and what it says of bad."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import httpx
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from tests import checked_client as checked

from vorel_mock.api.faults.catalogue import CATALOGUE
from vorel_mock.control import handlers
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.waiting_places import MAX_WAITS
from vorel_mock.model.armed_faults import MAX_FAULTS
from vorel_mock.model.crm import VENDORS
from vorel_mock.model.webhooks import EVENTS

Json = dict[str, Any]
NOBODY = "ffffffff-ffff-4fff-8fff-ffffffffffff"
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, item in checked.document()["paths"].items()
    for method, operation in item.items()
}


@pytest.fixture(scope="module")
def control(shared: httpx.Client) -> httpx.Client:
    return shared


@pytest.fixture
def made(control: httpx.Client) -> Json:
    """A tenant of the test's own: its id and its target profile."""
    answer = control.post("/_mock/tenants", json={})
    assert answer.status_code == 201
    return dict(answer.json())


@pytest.fixture
def tenant(made: Json) -> str:
    """Its path."""
    return f"/_mock/tenants/{made['id']}"


def message(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def handoff(http: httpx.Client, made: Json, **headers: str) -> httpx.Response:
    path = f"/api/v1/leads/{made['leads']['own'][0]}/handoff"
    return http.post(path, headers={"Authorization": f"Bearer {made['keys']['full'][0]}", **headers})


def test_every_operation_has_a_handler_and_every_handler_an_operation(mock: Mock) -> None:
    assert set(handlers.bind(mock)) == set(OPERATIONS)


# -- tenants


def test_a_new_tenant_is_ready(control: httpx.Client, made: Json, tenant: str) -> None:
    assert UUID(made["id"]).version == 4
    assert handoff(control, made).status_code == 200
    assert control.get(f"{tenant}/target").json() == made
    shown = control.get(tenant).json()
    assert shown["id"] in [other["id"] for other in control.get("/_mock/tenants").json()["data"]]
    assert control.get(f"/_mock/tenants/{made['id'].upper()}").json() == shown


def test_a_tenant_is_made_as_it_was_asked_for(control: httpx.Client) -> None:
    wanted: Json = {
        "name": "acme",
        "crm": {"vendor": "zoho", "account": "org1", "mappings": {"contact": {"first": "First_Name"}}, "failure": None},
        "notified_channel": "slack",
        "rate_limit": 3,
        "tenant_rate_limit": 0,
        "webhook_timeout": "1m1.5s",
        "keys": {"full": 3, "burst": 0},
        "leads": 1,
        "seed": 7,
    }
    made, twin = (control.post("/_mock/tenants", json=wanted).json() for _ in range(2))
    assert (len(made["keys"]["full"]), made["keys"]["burst"], len(made["leads"]["own"])) == (3, [], 1)
    assert made["leads"]["own"] == twin["leads"]["own"]
    assert not set(made["keys"]["full"]) & set(twin["keys"]["full"])
    shown = control.get(f"/_mock/tenants/{made['id']}").json()
    assert {name: shown[name] for name in shown if name not in ("id", "clock")} == {
        **{name: wanted[name] for name in ("name", "crm", "notified_channel", "rate_limit", "tenant_rate_limit")},
        "webhook_timeout": "61.5s",
        "ttl": None,
        "expires_in": None,
    }
    control.patch(f"/_mock/tenants/{made['id']}", json={"webhook_timeout": "5s", "name": "x", "rate_limit": 1})
    assert control.post(f"/_mock/tenants/{made['id']}/reset").status_code == 204
    assert control.get(f"/_mock/tenants/{made['id']}").json() == shown


@pytest.mark.parametrize(
    ("vendor", "account"), [("hubspot", "44512345"), ("salesforce", "acme-dev-ed"), ("zoho", "org7000123")]
)
def test_an_account_that_is_not_named_has_the_vendor_s_shape(control: httpx.Client, vendor: str, account: str) -> None:
    made = control.post("/_mock/tenants", json={"crm": {"vendor": vendor}}).json()
    assert control.get(f"/_mock/tenants/{made['id']}").json()["crm"]["account"] == account
    none = control.post("/_mock/tenants", json={"crm": {"vendor": vendor, "account": ""}}).json()
    assert control.get(f"/_mock/tenants/{none['id']}").json()["crm"]["account"] == ""


def test_a_change_is_of_what_is_given(control: httpx.Client, tenant: str) -> None:
    before = control.get(tenant).json()
    assert control.patch(tenant, json={}).json() == before
    after = control.patch(tenant, json={"crm": None, "rate_limit": 0}).json()
    assert after == {**before, "crm": None, "rate_limit": 0}


CRM: Json = {
    "vendor": "hubspot",
    "account": "7",
    "mappings": {"contact": {"email": "mail", "phone": "tel"}, "deal": {"stage": "step"}},
    "failure": None,
}

MERGED: list[tuple[Any, Any]] = [
    # M15: what `crm` becomes by RFC 7396
    ({"vendor": "hubspot", "failure": "auth_failed"}, {**CRM, "failure": "auth_failed"}),
    ({"failure": None}, CRM),
    ({}, CRM),
    (
        {"mappings": {"contact": {"email": "e"}}},
        {**CRM, "mappings": {**CRM["mappings"], "contact": {"email": "e", "phone": "tel"}}},
    ),
    ({"mappings": {"contact": {"email": None}}}, {**CRM, "mappings": {**CRM["mappings"], "contact": {"phone": "tel"}}}),
    ({"mappings": {"contact": None}}, {**CRM, "mappings": {"deal": {"stage": "step"}}}),
    ({"mappings": None}, {**CRM, "mappings": {}}),
    ({"account": None}, {**CRM, "account": "44512345"}),
    (
        {"vendor": "salesforce", "account": None, "mappings": None},
        {**CRM, "vendor": "salesforce", "account": "acme-dev-ed", "mappings": {}},
    ),
    (None, None),
]


@pytest.mark.parametrize(("patch", "becomes"), MERGED)
def test_a_change_merges(control: httpx.Client, patch: Any, becomes: Any) -> None:
    made = control.post("/_mock/tenants", json={"crm": CRM, "notified_channel": "slack"}).json()
    path = f"/_mock/tenants/{made['id']}"
    before = control.get(path).json()
    assert before["crm"] == CRM
    after = control.patch(path, json={"crm": patch}, headers={"Content-Type": "application/merge-patch+json"})
    assert after.json() == control.get(path).json() == {**before, "crm": becomes}


def test_a_removed_setting_has_its_default(control: httpx.Client) -> None:
    names = ("name", "notified_channel", "rate_limit", "tenant_rate_limit", "webhook_timeout")
    other = {"name": "x", "notified_channel": "slack", "rate_limit": 1, "tenant_rate_limit": 2, "webhook_timeout": "3s"}
    made, usual = (control.post("/_mock/tenants", json=body).json()["id"] for body in (other, {}))
    defaults = control.get(f"/_mock/tenants/{usual}").json()
    after = control.patch(f"/_mock/tenants/{made}", json=dict.fromkeys(names)).json()
    assert after == {**defaults, "id": made, "name": f"tenant-{made[:8]}"}


def test_a_crm_is_set_up_by_a_change(control: httpx.Client) -> None:
    path = f"/_mock/tenants/{control.post('/_mock/tenants', json={'crm': None}).json()['id']}"
    assert message(control.patch(path, json={"crm": {"failure": None}})) == (
        "crm.vendor: is required; it is one of hubspot, salesforce, zoho"
    )
    assert control.patch(path, json={"name": "x"}).json()["crm"] is None
    assert control.patch(path, json={"crm": {"vendor": "zoho"}}).json()["crm"]["account"] == "org7000123"


def test_a_change_of_a_webhook_merges(control: httpx.Client, tenant: str) -> None:
    hook = {"target_url": "http://127.0.0.1:9/", "events": ["lead.created"]}
    path = f"{tenant}/webhooks/{control.post(f'{tenant}/webhooks', json=hook).json()['id']}"
    told = [
        control.patch(path, json=body).json()["held"]
        for body in ({}, {"held": True}, {}, {"held": None}, {"held": True}, {"held": False})
    ]
    assert told == [False, True, True, False, True, False]


def test_what_is_shown_of_a_tenant_can_be_given_back(control: httpx.Client, tenant: str) -> None:
    for text in ("10s", "1ms", "1h", "1234.567s", "59m59.999s"):
        shown = control.patch(tenant, json={"webhook_timeout": text}).json()["webhook_timeout"]
        assert control.patch(tenant, json={"webhook_timeout": shown}).json()["webhook_timeout"] == shown


def test_a_refused_change_changes_nothing(control: httpx.Client, tenant: str) -> None:
    before = control.get(tenant).json()
    for other in ({"webhook_timeout": "2h"}, {"crm": {"vendor": "zoho", "failure": "x"}}, {"notified_channel": "x"}):
        assert control.patch(tenant, json={"name": "x", "crm": None, "rate_limit": 0, **other}).status_code == 400
        assert control.get(tenant).json() == before


def test_a_tenant_goes_once(control: httpx.Client, made: Json, tenant: str) -> None:
    assert control.delete(tenant).status_code == 204
    assert control.delete(tenant).status_code == 404
    assert handoff(control, made).status_code == 401


def test_the_demo_world_stays(control: httpx.Client) -> None:
    for other in control.get("/_mock/target").json()["tenants"]:
        assert "reset" in message(control.delete(f"/_mock/tenants/{other['id']}"), 409)


def test_the_vendors_are_the_crm_s() -> None:
    assert checked.document()["components"]["schemas"]["Vendor"]["enum"] == list(VENDORS)


# -- what hangs on a tenant


def test_keys_are_minted_shown_once_and_revoked(control: httpx.Client, made: Json, tenant: str) -> None:
    minted = control.post(f"{tenant}/keys", json={"scopes": ["leads:write"], "id": "mine"}).json()
    path = f"/api/v1/leads/{made['leads']['own'][0]}/handoff"
    headers = {"Authorization": f"Bearer {minted['token']}"}
    assert control.post(path, headers=headers).status_code == 200
    listed = control.get(f"{tenant}/keys")
    assert minted["token"] not in listed.text
    assert minted["prefix"] == minted["token"][:22]
    assert control.post(f"{tenant}/keys", json={"scopes": [], "id": "mine"}).status_code == 409
    for _ in range(2):
        assert control.delete(f"{tenant}/keys/mine").status_code == 204
    assert control.post(path, headers=headers).status_code == 401
    assert control.delete(f"{tenant}/keys/other").status_code == 404
    tokens = {control.post(f"{tenant}/keys", json={"scopes": []}).json()["token"] for _ in range(20)}
    assert len(tokens) == 20


def test_a_lead_is_added_and_escalated(control: httpx.Client, made: Json, tenant: str) -> None:
    wanted = {"id": "ABCDEF00-0000-4000-8000-000000000001", "name": "Ann", "conversation_status": "closed"}
    lead = control.post(f"{tenant}/leads", json=wanted).json()
    assert lead["id"] == wanted["id"].lower()
    assert control.post(f"{tenant}/leads", json=wanted).status_code == 409
    made["leads"]["own"] = [lead["id"]]
    answer = handoff(control, made).json()
    after = control.get(f"{tenant}/leads/{wanted['id']}").json()
    assert after == {**lead, "conversation_status": "awaiting_human"}
    (row,) = control.get(f"{tenant}/handoffs").json()["data"]
    (audited,) = control.get(f"{tenant}/audit-log").json()["data"]
    assert row["id"] == audited["handoff_id"] == answer["handoff_id"]
    assert audited["at"] == row["requested_at"]


def test_a_crm_record_is_seen_in_both_vocabularies(control: httpx.Client, made: Json, tenant: str) -> None:
    body = {"object": "contact", "fields": {"email": "a@b.test", "x": 10**30}, "idempotency_key": "k"}
    headers = {"Authorization": f"Bearer {made['keys']['crm_only']}"}
    answer = control.post("/api/v1/crm/create-record", json=body, headers=headers).json()
    (record,) = control.get(f"{tenant}/crm-records").json()["data"]
    assert record["fields"] == body["fields"]
    assert record["external_id"] == answer["external_id"]
    assert record["vendor_fields"]["email"] == "a@b.test"


def test_optional_bodies_may_be_absent_empty_or_chunked(control: httpx.Client, tenant: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"na'
        yield b'me": "Ann"}'

    assert control.post("/_mock/tenants").status_code == 201
    assert control.post(f"{tenant}/reset").status_code == 204
    assert control.post(f"{tenant}/leads").status_code == 201
    assert control.post(f"{tenant}/leads", json={}).status_code == 201
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert control.post(f"{tenant}/leads", content=chunks(), headers=headers).json()["name"] == "Ann"


# -- bad input

BAD: list[tuple[str, Any, str]] = [
    # operation, body, what the message begins with
    ("createTenant", [], "body: must be an object"),
    ("createTenant", None, "body: must be an object"),
    ("createTenant", {"nam": "x"}, 'unknown field "nam"; did you mean "name"?'),
    ("createTenant", {"leads": "3"}, "leads: must be a whole number"),
    ("createTenant", {"leads": -1}, "leads: must be at least 0"),
    ("createTenant", {"leads": True}, "leads: must be a whole number"),
    ("createTenant", {"leads": 10_001}, "leads: must be at most 10000"),
    ("createTenant", {"name": "x" * 201}, "name: must have at most 200 characters"),
    ("createTenant", {"keys": {"full": 1, "x": 1}}, 'unknown field "keys.x"; allowed: full, burst'),
    ("createTenant", {"crm": {}}, "crm.vendor: is required"),
    ("createTenant", {"crm": {"vendor": "x"}}, "crm.vendor: must be one of hubspot, salesforce, zoho"),
    ("createTenant", {"crm": {"vendor": "zoho", "failure": "x"}}, "crm.failure: must be one of no_crm_configured, "),
    (
        "createTenant",
        {"crm": {"vendor": "zoho", "mappings": {"contacts": {}}}},
        "crm.mappings.contacts: zoho takes contact, ",
    ),
    (
        "createTenant",
        {"crm": {"vendor": "zoho", "mappings": {"contact": {"a": 1}}}},
        "crm.mappings.contact.a: must be a string",
    ),
    ("createTenant", {"crm": "zoho"}, "crm: must be an object or null"),
    ("createTenant", {"notified_channel": "sms"}, "notified_channel: must be one of slack, email"),
    ("createTenant", {"webhook_timeout": "0s"}, "webhook_timeout: must be 0.001s to 3600s"),
    ("createTenant", {"webhook_timeout": "5"}, "webhook_timeout: must be a duration: 61s, 2h, 1h30m or 500ms"),
    ("createTenant", {"webhook_timeout": "5s\n"}, "webhook_timeout: "),
    ("createTenant", {"webhook_timeout": "٣s"}, "webhook_timeout: must be a duration"),
    ("createTenant", {"seed": 10**400}, "seed: must be at most 9007199254740991"),
    ("createTenant", {"snapshot": {}}, "snapshot.name: is required"),
    ("createTenant", {"snapshot": {}, "name": "x"}, "snapshot: contains the whole tenant; leave out name"),
    ("changeTenant", {"seed": 1}, 'unknown field "seed"; allowed: '),
    ("changeTenant", {"crm": {"vendor": None}}, "crm.vendor: must be "),
    ("changeTenant", {"crm": {"mappings": {"contacts": {}}}}, "crm.mappings.contacts: hubspot takes contact, "),
    ("changeTenant", {"webhook_timeout": "0s"}, "webhook_timeout: must be 0.001s to 3600s"),
    (
        "changeTenant",
        {"crm": {"mappings": {"contact": {str(n): "x" for n in range(1001)}}}},
        "crm.mappings.contact: must have at most 1000 fields",
    ),
    (
        "createTenant",
        {"crm": {"vendor": "zoho", "mappings": {"contact": {"x" * 201: "y"}}}},
        "crm.mappings.contact: names of fields must have at most 200 characters",
    ),
    ("setClock", {}, "body: must have exactly one of advance, freeze, resume, set"),
    ("setClock", {"advance": "1s", "freeze": True}, "body: must have exactly one of advance, freeze, resume, set"),
    ("setClock", {"advance": "soon"}, "advance: must be a duration: 61s, 2h, 1h30m or 500ms"),
    ("setClock", {"advance": 61}, "advance: must be a string"),
    ("setClock", {"advance": "-1s"}, "advance: must be a duration"),
    ("setClock", {"advance": "9" * 31 + "d"}, "advance: clocks end with the year 9998"),
    ("setClock", {"freeze": False}, "freeze: must be true"),
    ("setClock", {"set": "tomorrow"}, "set: 'tomorrow' is not an RFC 3339 timestamp"),
    ("setClock", {"set": "2030-01-01T00:00:00"}, "set: '2030-01-01T00:00:00' is not an RFC 3339 timestamp"),
    ("setClock", {"set": "1999-01-01T00:00:00Z"}, "set: the clock runs forward only"),
    ("setTenantClock", {"set": "9999-01-01T00:00:00Z"}, "set: '9999-01-01T00:00:00Z' lies outside"),
    ("setTenantClock", {"advance": "3000000d"}, "advance: clocks end with the year 9998"),
    ("mintKey", {"scopes": ["read"], "token": "abc"}, "token: has not the shape of a key, vapk_<env>_<48-hex>"),
    ("mintKey", {}, "scopes: is required"),
    ("mintKey", {"scopes": ["admin"]}, "scopes.0: must be one of appointments:write, "),
    ("mintKey", {"scopes": [], "id": "a/b"}, "id: must be 1 to 64 letters, digits, _ and -"),
    ("addLead", {"id": "7"}, "id: must be a UUID"),
    ("addLead", {"nmae": "x"}, 'unknown field "nmae"; did you mean "name"?'),
    ("reset", {"all": "yes"}, "all: must be true or false"),
    ("explain", {}, "path: is required"),
    ("explain", {"path": "api"}, "path: must be a path that begins with /, in ASCII"),
    ("explain", {"path": "/é"}, "path: must be a path that begins with /, in ASCII"),
    ("explain", {"path": "/", "method": "GET /"}, "method: must be a method of HTTP"),
    ("explain", {"path": "/", "headers": {"a": 1}}, "headers.a: must be a string"),
    ("waitForRequests", {"timeout": "61s"}, "timeout: must be at most 60s"),
    ("waitForRequests", {"operation": "typo"}, "operation: must be one of handoffLead, createCrmRecord"),
    ("waitForRequests", {"status": 99}, "status: must be at least 100"),
    ("waitForDelivery", {"event": "lead.create"}, "event: must be one of lead.created, "),
    ("waitForRequests", {"count": 0}, "count: must be at least 1"),
    ("waitForDelivery", {"state": "lost"}, "state: must be one of pending, delivered, failed, dead"),
    ("waitForDelivery", {"timeout": "1s\n"}, "timeout: "),
    ("waitForDelivery", {"after": 2**63}, "after: must be at most 10000"),
    ("subscribe", {"target_url": "http://127.0.0.1:1/"}, "events: is required"),
    ("subscribe", {"target_url": "http://127.0.0.1:1/", "events": []}, "events: must have at least 1 item"),
    ("subscribe", {"target_url": "http://127.0.0.1:1/", "events": ["x"]}, "events.0: must be one of lead.created, "),
    (
        "subscribe",
        {"target_url": "http://example.com/", "events": ["lead.created"]},
        "target_url: example.com is not on this machine",
    ),
    ("armFault", {}, "fault: is required"),
    ("armFault", {"fault": "x"}, "fault: must be the id of a fault; GET /_mock/faults lists them"),
    ("armFault", {"fault": "latency", "operation": "x"}, "operation: must be one of "),
    (
        "armFault",
        {"fault": "ok_as_text", "operation": "handoffLead"},
        "operation: ok_as_text is a fault of createCrmRecord only",
    ),
    ("armFault", {"fault": "latency", "next": 0}, "next: must be at least 1"),
    ("armFault", {"fault": "latency", "chance": 1.5}, "chance: must be at most 1"),
    ("armFault", {"fault": "latency", "delay": "31d"}, "delay: must be at most 2592000s"),
    ("armFault", {"fault": "latency", "delay": "1s\n"}, "delay: "),
    ("armFault", {"fault": "forbidden", "delay": "1s"}, "delay: forbidden takes no time; those that do are no_answer"),
    ("importSnapshot", {}, "snapshot.name: is required"),
]


def url(operation_id: str, tenant: str, **values: str) -> str:
    _, template, _ = OPERATIONS[operation_id]
    path = template.replace("/tenants/{tenant_id}", tenant.removeprefix("/_mock"))
    for name in ("key_id", "lead_id", "webhook_id", "delivery_id", "fault_id", "request_id"):
        path = path.replace(f"{{{name}}}", values.get(name, NOBODY))
    return f"/_mock{path}"


@pytest.mark.parametrize(("operation", "body", "begins"), BAD)
def test_bad_input_is_told_by_field(control: httpx.Client, tenant: str, operation: str, body: Any, begins: str) -> None:
    answer = control.request(OPERATIONS[operation][0], url(operation, tenant), json=body)
    if body is None:
        answer = control.request(
            OPERATIONS[operation][0],
            url(operation, tenant),
            content="null",
            headers={"Content-Type": "application/json"},
        )
    assert message(answer).startswith(begins)
    assert "\n" not in message(answer)


def test_several_faults_are_told_at_once(control: httpx.Client) -> None:
    told = message(control.post("/_mock/tenants", json={"leads": -1, "name": 1, "x": 2}))
    assert all(problem in told for problem in ("leads: must be ", "name: must be ", 'unknown field "x"; allowed: '))


WITH_BODY = sorted(name for name, (_, _, operation) in OPERATIONS.items() if "requestBody" in operation)


@pytest.mark.parametrize("operation", WITH_BODY)
def test_no_body_is_too_strange_for_any_operation(control: httpx.Client, tenant: str, operation: str) -> None:
    method, _, _ = OPERATIONS[operation]
    strange: list[bytes] = [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"7",
        b"{",
        b"\xff",
        b"NaN",
        b'{"a": 1e999}',
        b'{"timeout": "0s", "a": ' + b"9" * 4000 + b"}",
        b"[" * 10_000,
        b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}",
        json.dumps({"x" * 100_000: "y" * 100_000}).encode(),
    ]
    for content in strange[operation.startswith("waitFor") :]:  # nothing is no mistake there, and takes 10 s
        answer = control.request(
            method, url(operation, tenant), content=content, headers={"Content-Type": "application/json"}, timeout=30
        )
        assert answer.status_code < 500
        if answer.status_code == 400:
            assert len(message(answer)) < 2000 + 100_000  # a member's name is told, however long


@pytest.mark.parametrize("operation", sorted(name for name, (_, path, _) in OPERATIONS.items() if "{" in path))
def test_an_unknown_id_is_a_404(control: httpx.Client, made: Json, tenant: str, operation: str) -> None:
    bodies: dict[str, Json] = {
        "setTenantClock": {"freeze": True},
        "mintKey": {"scopes": []},
        "subscribe": {"target_url": "http://127.0.0.1:1/", "events": ["lead.created"]},
        "changeWebhook": {"held": True},
        "armFault": {"fault": "latency"},
        "addStub": {"response": {"status": 403}},
        "addHandoff": {"lead_id": NOBODY},
        "addCrmRecord": {"object": "contact", "fields": {"email": "a@example.com"}, "idempotency_key": "1"},
        "publishEvent": {"event": "lead.created"},
    }
    method, path, _ = OPERATIONS[operation]
    for unknown in (
        "/_mock/tenants/" + NOBODY,
        "/_mock/tenants/%00",
        "/_mock/tenants/a%0A",
        "/_mock/tenants/x%2Fy",
        "/_mock/tenants/é",
    ):
        answer = control.request(method, url(operation, unknown), json=bodies.get(operation, {}))
        message(answer, 404)
    if path.count("{") > 1:  # a thing that the tenant has not, or that another has
        values = {"key_id": "nobody", "lead_id": demo.lead_id(1, 1)}
        answer = control.request(method, url(operation, tenant, **values), json=bodies.get(operation, {}))
        assert "The tenant has no" in message(answer, 404)


def test_an_unknown_filter_is_no_silence(control: httpx.Client, tenant: str) -> None:
    for path in ("/_mock/requests", f"{tenant}/requests", "/_mock/requests.har"):
        told = message(control.get(path, params={"operaton": "handoffLead"}))
        assert told == 'unknown parameter "operaton"; did you mean "operation"?'
        told = message(control.get(path, params={"operation": "typo"}))
        assert told == "operation: must be one of handoffLead, createCrmRecord"
    assert message(control.get("/_mock/requests?operation=")).startswith("operation: must be one of ")
    assert message(control.get("/_mock/requests?status=42")) == "status: must be at least 100"
    assert message(control.get("/_mock/tenants?x=1")) == "unknown parameter; this operation takes no query parameters"
    assert message(control.get("/_mock/requests?limit=0")) == "limit: must be at least 1"
    assert message(control.get("/_mock/requests?status=x")) == "status: must be a whole number"
    assert message(control.get("/_mock/requests?since=x")).startswith("since: 'x' is not an RFC 3339 timestamp")


def test_another_method_is_told_which_there_are(control: httpx.Client, tenant: str) -> None:
    for path, allowed in {
        "/_mock/health": "GET, HEAD",
        "/_mock/reset": "POST",
        "/_mock/clock": "GET, HEAD, POST",
        tenant: "DELETE, GET, HEAD, PATCH",
        f"{tenant}/requests/wait": "POST",
        f"{tenant}/deliveries/wait": "POST",  # M51
        f"{tenant}/deliveries/x": "GET, HEAD",
        f"{tenant}/keys/full_1": "DELETE, GET, HEAD, PATCH",
        "/_mock/docs/": "GET, HEAD",
        "/_mock/openapi.json": "GET, HEAD",
    }.items():
        answer = control.put(path, json={})
        assert message(answer, 405) == f"This path allows the methods {allowed} only."
        assert answer.headers["Allow"] == allowed, path


def test_each_path_takes_the_methods_that_are_declared_there_and_no_other(control: httpx.Client, tenant: str) -> None:
    """M51: GET of `…/deliveries/wait` asked for a delivery with this id."""
    for template, item in control.get("/_mock/openapi.json").json()["paths"].items():
        path = "/_mock" + re.sub(r"\{\w+\}", "x", template.replace("{tenant_id}", tenant.rpartition("/")[2]))
        allowed = {method.upper() for method in item} | ({"HEAD"} if "get" in item else set())
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            answer = control.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)
            assert (answer.status_code, answer.headers.get("Allow")) == (405, ", ".join(sorted(allowed))), template


def test_the_document_says_what_is_checked(control: httpx.Client, mock: Mock) -> None:
    document = control.get("/_mock/openapi.json").json()
    OpenAPIV30SpecValidator(document).validate()
    schemas = document["components"]["schemas"]
    operations = ["handoffLead", "createCrmRecord"]
    assert schemas["OperationId"]["enum"] == operations
    assert schemas["NewFault"]["properties"]["operation"]["enum"] == [*operations, None]
    assert schemas["NewFault"]["properties"]["fault"]["enum"] == list(CATALOGUE)
    assert schemas["NewTenant"]["properties"]["notified_channel"]["enum"] == list(mock.contract.notified_channels)
    assert schemas["NewWebhook"]["properties"]["events"]["items"]["enum"] == list(EVENTS)
    assert schemas["ClockChange"]["properties"]["set"]["format"] == "date-time"
    declared = [operation for item in document["paths"].values() for operation in item.values()]
    assert all("required" in operation["requestBody"] for operation in declared if "requestBody" in operation)


def test_a_body_is_required_where_nothing_will_not_do(control: httpx.Client, tenant: str) -> None:
    for operation, (method, _, declared) in OPERATIONS.items():
        body = declared.get("requestBody")
        if body is None or operation == "reset":
            continue
        if operation.startswith("waitFor"):
            assert body["required"] is False
            continue
        answer = control.request(method, url(operation, tenant))
        assert (answer.status_code == 400) is body["required"], operation


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/_mock/nothing", 404), ("PUT", "/_mock/tenants", 405)],
)
def test_what_is_not_there_is_told_in_the_envelope(control: httpx.Client, method: str, path: str, status: int) -> None:
    assert message(control.request(method, path), status)


# M40: a person in front of a browser, or of curl.


def test_the_root_of_the_control_plane_leads_to_the_pages(control: httpx.Client) -> None:
    answer = control.get("/_mock")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/_mock/")
    assert "/_mock/" in answer.text  # curl does not follow
    assert control.head("/_mock").text == ""
    assert control.get("/_mock", follow_redirects=True).headers["Content-Type"].startswith("text/html")
    assert message(control.post("/_mock/"), 405)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/_mock/healt", "/_mock/health"),
        ("{tenant}/webhoks", "{tenant}/webhooks"),
        ("/_mock/docs/nothing", None),
        ("{tenant}/webhooks/x/y/z", None),
        ("/_mock//", None),
        ("/_mock/\u00e9%2F", None),
        (f"/_mock/{'x' * 10_000}", None),
    ],
)
def test_a_path_at_which_nothing_is_says_where_to_go(
    control: httpx.Client, tenant: str, path: str, meant: str | None
) -> None:
    told = message(control.get(path.format(tenant=tenant)), 404)
    hint = "." if meant is None else f"; did you mean {meant.format(tenant=tenant)}?"
    assert told == f"Nothing is at this path{hint} /_mock/docs/ lists what there is."


def test_the_root_of_the_api_says_where_to_go(control: httpx.Client) -> None:
    assert "The mock's own pages begin at /_mock/." in message(control.get("/"), 404)


# -- resets


def test_reset_touches_one_tenant(control: httpx.Client) -> None:
    one, two = (control.post("/_mock/tenants").json() for _ in range(2))
    for made in (one, two):
        assert handoff(control, made).status_code == 200
        control.post(f"/_mock/tenants/{made['id']}/faults", json={"fault": "forbidden", "after": 5})
        control.post(f"/_mock/tenants/{made['id']}/clock", json={"advance": "1h"})
    clock = control.get(f"/_mock/tenants/{one['id']}/clock").json()
    order = [tenant["id"] for tenant in control.get("/_mock/tenants").json()["data"]]
    assert control.post(f"/_mock/tenants/{one['id']}/reset").status_code == 204
    counts = [
        [len(control.get(f"/_mock/tenants/{made['id']}/{what}").json()["data"]) for made in (one, two)]
        for what in ("audit-log", "handoffs", "faults", "requests")
    ]
    assert counts == [[0, 1]] * 4
    assert control.get(f"/_mock/tenants/{one['id']}/clock").json() == clock
    assert [tenant["id"] for tenant in control.get("/_mock/tenants").json()["data"]] == order


def test_reset_of_the_mock_is_of_the_demo_world(mock: Mock, key: str, lead: str) -> None:
    control = checked.client(mock)
    made = control.post("/_mock/tenants").json()
    demo_id = control.get("/_mock/target").json()["tenants"][0]["id"]
    headers = {"Authorization": f"Bearer {key}"}
    first = control.post(f"/api/v1/leads/{lead}/handoff", headers=headers)
    assert handoff(control, made).status_code == 200
    assert control.post("/_mock/reset").status_code == 204
    assert control.get(f"/_mock/tenants/{demo_id}/audit-log").json()["data"] == []
    assert len(control.get(f"/_mock/tenants/{made['id']}/audit-log").json()["data"]) == 1
    assert control.post("/_mock/reset", json={"all": True}).status_code == 204
    assert control.get(f"/_mock/tenants/{made['id']}").status_code == 404
    again = control.post(f"/api/v1/leads/{lead}/handoff", headers=headers)
    assert again.headers == first.headers
    assert {**again.json(), "handoff_id": None} == {**first.json(), "handoff_id": None}


def test_one_seed_for_two_tenants(control: httpx.Client) -> None:
    """What the seed of a tenant decides, and what follows the mock's."""
    one, other = (control.post("/_mock/tenants", json={"seed": 7}).json() for _ in range(2))
    assert one["leads"]["own"] == other["leads"]["own"]
    handed = [handoff(control, made).json() for made in (one, other)]
    assert handed[0] == handed[1]
    assert one["id"] != other["id"]
    assert not set(one["keys"]["full"]) & set(other["keys"]["full"])


def test_no_id_comes_twice_however_often_a_tenant_is_reset(mock: Mock) -> None:
    """M16: consumers that drop duplicates would drop what happens after the reset."""
    control = checked.client(mock)
    made = control.post("/_mock/tenants").json()
    path = f"/_mock/tenants/{made['id']}"
    hook = {"target_url": "http://127.0.0.1:9/", "events": ["conversation.handoff_requested"]}
    seen: list[str] = []
    for back in ("reset", "reset", "all"):
        webhook = control.post(f"{path}/webhooks", json=hook).json()
        key = control.post(f"{path}/keys", json={"scopes": []}).json()
        lead = control.post(f"{path}/leads").json()
        handoff(control, made)
        deliveries = control.get(f"{path}/deliveries").json()["data"]
        seen += [webhook["id"], webhook["secret"], key["id"], key["token"], lead["id"], lead["conversation_id"]]
        seen += [
            row["id"] for what in ("handoffs", "audit-log") for row in control.get(f"{path}/{what}").json()["data"]
        ]
        seen += [delivery[name] for delivery in deliveries for name in ("id", "event_id")]
        if back == "reset":
            assert control.post(f"{path}/reset").status_code == 204
        else:  # a tenant that is made afterwards is another one
            assert control.post("/_mock/reset", json={"all": True}).status_code == 204
            again = control.post("/_mock/tenants").json()
            seen += [made["id"], again["id"], made["keys"]["full"][0], again["keys"]["full"][0]]
    assert len(deliveries) == 2
    assert len(set(seen)) == len(seen)


# -- many at once


def test_two_hundred_tenants_made_at_once(mock: Mock) -> None:
    control = checked.client(mock)
    made: list[Json] = []

    def make() -> None:
        made.extend(control.post("/_mock/tenants", json={"leads": 1}).json() for _ in range(25))

    run_all([make] * 8)
    assert len({tenant["id"] for tenant in made}) == 200
    assert len({key for tenant in made for key in tenant["keys"]["full"]}) == 400
    assert control.get("/_mock/health").json()["tenants"] == 200 + len(control.get("/_mock/target").json()["tenants"])
    assert handoff(control, made[100]).status_code == 200


def test_of_many_who_ask_for_one_id_one_gets_it(control: httpx.Client, tenant: str) -> None:
    statuses: list[int] = []

    def mint() -> None:
        statuses.append(control.post(f"{tenant}/keys", json={"scopes": [], "id": "one"}).status_code)
        statuses.append(control.post(f"{tenant}/leads", json={"id": NOBODY}).status_code)

    run_all([mint] * 8)
    assert sorted(statuses) == [201, 201] + [409] * 14


def test_those_who_wait_keep_nobody_waiting(control: httpx.Client, made: Json, tenant: str) -> None:
    answers: list[httpx.Response] = []

    def wait() -> None:
        answers.append(control.post(f"{tenant}/requests/wait", json={"timeout": "20s"}))

    waiting = start_all([wait] * 30)
    assert control.post(f"{tenant}/clock", json={"advance": "61s"}).status_code == 200
    assert handoff(control, made).status_code == 200
    join_all(waiting)
    assert [answer.status_code for answer in answers] == [200] * 30


def test_so_many_may_wait_and_the_others_are_told(mock: Mock) -> None:
    most = MAX_WAITS * 3 // 4
    with checked.client(mock) as control:
        made, other = (control.post("/_mock/tenants").json() for _ in range(2))
        tenant, another = (f"/_mock/tenants/{each['id']}" for each in (made, other))
        answers: list[httpx.Response] = []

        def wait() -> None:
            answers.append(control.post(f"{tenant}/requests/wait", json={"timeout": "60s"}, timeout=120))

        waiting = start_all([wait] * (most + 60))
        until(lambda: len(answers) == 60)  # nobody else is answered before what they wait for has happened
        for refused in (*answers, control.post(f"{tenant}/clock", json={"advance": "1s"})):
            assert message(refused, 429) == (
                "too many requests wait for this tenant already; try again when one of them has ended"
            )
            assert refused.headers["Retry-After"] == "1"
        assert control.get("/_mock/health").json()["clock"]["now"] == "2026-01-01T00:00:00.000Z"
        # Another tenant has places of its own, and so has the clock of all.
        assert control.post(f"{another}/requests/wait", json={"timeout": "0s"}).status_code == 408
        assert control.post(f"{another}/clock", json={"advance": "1s"}).status_code == 200
        assert control.post("/_mock/clock", json={"freeze": True}).status_code == 200
        assert control.patch(tenant, json={"rate_limit": 3}).status_code == 200
        assert handoff(control, made).status_code == 200
        join_all(waiting)
        assert [answer.status_code for answer in answers[60:]] == [200] * most
        assert control.post(f"{tenant}/clock", json={"advance": "1s"}).status_code == 200


@pytest.mark.parametrize("what", ["requests", "deliveries"])
def test_who_waits_on_a_tenant_that_is_deleted_is_told_and_leaves_nothing(mock: Mock, what: str) -> None:
    with checked.client(mock) as control:
        made = control.post("/_mock/tenants").json()
        tenant = f"/_mock/tenants/{made['id']}"
        worlds = len(mock.webhooks._tenants)
        answers: list[httpx.Response] = []
        body = {"timeout": "60s"}
        waiting = start_all([lambda: answers.append(control.post(f"{tenant}/{what}/wait", json=body, timeout=120))] * 3)
        until(lambda: mock.waits.free == MAX_WAITS - 3)
        assert control.delete(tenant).status_code == 204
        started = monotonic()
        join_all(waiting)
        assert monotonic() - started < 30  # and not the 60 s that they would have waited
        assert {message(answer, 404) for answer in answers} == {"The tenant was deleted while the request waited."}
        assert len(mock.webhooks._tenants) == worlds


def test_armed_faults_are_bounded_and_spent_ones_make_room(control: httpx.Client, made: Json, tenant: str) -> None:
    assert control.post(f"{tenant}/faults", json={"fault": "forbidden"}).status_code == 201
    assert handoff(control, made).status_code == 403
    for _ in range(MAX_FAULTS):
        assert control.post(f"{tenant}/faults", json={"fault": "forbidden"}).status_code == 201
    assert "DELETE" in message(control.post(f"{tenant}/faults", json={"fault": "forbidden"}), 409)
    assert len(control.get(f"{tenant}/faults").json()["data"]) == MAX_FAULTS


def start_all(functions: list[Callable[[], None]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not true():
        assert monotonic() < deadline
        sleep(0.01)


def join_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)


def run_all(functions: list[Callable[[], None]]) -> None:
    join_all(start_all(functions))


# -- forks


def test_a_fork_is_what_the_original_is_and_lives_alone(control: httpx.Client, made: Json, tenant: str) -> None:
    assert handoff(control, made).status_code == 200
    control.post(f"{tenant}/clock", json={"advance": "1d"})
    control.patch(tenant, json={"name": "original", "rate_limit": 7})
    fork = control.post("/_mock/tenants", json={"fork": made["id"].upper()}).json()
    path = f"/_mock/tenants/{fork['id']}"
    assert fork["id"] != made["id"]
    assert fork["leads"]["own"] == made["leads"]["own"]
    assert not set(fork["keys"]["full"]) & set(made["keys"]["full"])
    own = ("id", "base_url")
    shown, original = control.get(path).json(), control.get(tenant).json()
    assert {name: value for name, value in shown.items() if name not in own} == {
        name: value for name, value in original.items() if name not in own
    }
    assert control.get(f"{path}/handoffs").json() == control.get(f"{tenant}/handoffs").json()
    assert handoff(control, fork).status_code == 200
    assert [len(control.get(f"{each}/handoffs").json()["data"]) for each in (path, tenant)] == [2, 1]
    control.post(f"{path}/reset")
    assert len(control.get(f"{path}/handoffs").json()["data"]) == 1, "its initial state is that of the fork"
    assert control.delete(tenant).status_code == 204
    assert handoff(control, fork).status_code == 200


def test_a_fork_sends_nothing_that_is_pending_in_the_original(control: httpx.Client, made: Json, tenant: str) -> None:
    control.post(f"{tenant}/clock", json={"freeze": True})
    subscribed = control.post(
        f"{tenant}/webhooks", json={"target_url": "http://127.0.0.1:9/", "events": ["conversation.handoff_requested"]}
    ).json()
    control.patch(f"{tenant}/webhooks/{subscribed['id']}", json={"held": True})
    assert handoff(control, made).status_code == 200
    fork = control.post("/_mock/tenants", json={"fork": made["id"]}).json()
    path = f"/_mock/tenants/{fork['id']}"
    assert control.get(f"{path}/webhooks").json() == control.get(f"{tenant}/webhooks").json()
    copied = control.get(f"{path}/deliveries").json()["data"]
    assert "pending" not in {delivery["state"] for delivery in copied}
    assert control.get(f"{tenant}/deliveries").json()["data"][-1]["state"] == "pending"
    assert handoff(control, fork).status_code == 200
    assert control.get(f"{path}/deliveries").json()["data"][-1]["state"] == "pending"


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ({"fork": NOBODY}, 404, "fork: there is no tenant with this id"),
        ({"fork": 5}, 400, "fork: must be a string"),
        ({"name": "x"}, 400, "fork: contains the whole tenant; leave out name, and PATCH the tenant afterwards"),
        ({"keys": {"full": 1}}, 400, "fork: contains the whole tenant; leave out keys.full and keys.burst"),
        ({"keys": "kept"}, 400, 'keys: "kept" goes with a snapshot; the keys of a fork are fresh'),
        ({"snapshot": {}}, 400, "fork: contains the whole tenant; leave out snapshot"),
    ],
)
def test_what_a_fork_may_not_be_is_said(
    control: httpx.Client, made: Json, wanted: Json, status: int, said: str
) -> None:
    assert said in message(control.post("/_mock/tenants", json={"fork": made["id"], **wanted}), status)
