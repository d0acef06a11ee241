"""Each fault of the catalogue: that what it says is what the client sees; and how faults are armed and consumed."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from tests import checked_client as checked
from tests.paths import DOCS, ROOT
from tests.serving import serving

from vorel_mock.api.faults.catalogue import CATALOGUE, Fault
from vorel_mock.api.messages import Request
from vorel_mock.contract import contract
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model import held_responses
from vorel_mock.model.crm import ErrorName
from vorel_mock.server.app import App

Json = dict[str, Any]
CONTRACT = contract.load()
CREATE = "/api/v1/crm/create-record"
CURL = shutil.which("curl")


class World:
    """A tenant of the test's own, behind a client of the whole mock."""

    def __init__(self, http: httpx.Client, **wanted: Any) -> None:
        self.http = http
        made = http.post("/_mock/tenants", json=wanted).json()
        self.id = made["id"]
        self.path = f"/_mock/tenants/{self.id}"
        self.lead = made["leads"]["own"][0]
        self.headers = {"Authorization": f"Bearer {made['keys']['full'][0]}"}

    def arm(self, fault: str, **wanted: Any) -> Json:
        answer = self.http.post(f"{self.path}/faults", json={"fault": fault, **wanted})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def armed(self) -> list[Json]:
        return self.rows("faults")

    def rows(self, what: str) -> list[Json]:
        return list(self.http.get(f"{self.path}/{what}").json()["data"])

    def post(self, operation: str, number: int = 0, prefer: Sequence[str] = (), **more: str) -> httpx.Response:
        """A good request to `operation`; with a Prefer field for each of `prefer`."""
        headers = [*self.headers.items(), *more.items(), *(("Prefer", field) for field in prefer)]
        if operation == "handoffLead":
            return self.http.post(f"/api/v1/leads/{self.lead}/handoff", headers=headers)
        body = {"object": "contact", "fields": {"email": "a@b.test"}, "idempotency_key": f"k{number}"}
        return self.http.post(CREATE, json=body, headers=headers)

    def effects(self) -> int:
        return len(self.rows("audit-log")) + len(self.rows("crm-records"))


@pytest.fixture
def world(shared: httpx.Client) -> World:
    return World(shared)


def envelope(answer: httpx.Response, status: int, code: str | None) -> Json:
    assert answer.status_code == status
    error = answer.json()["error"]
    if code is not None:
        assert error["code"] == code
    return dict(error)


def valid(answer: httpx.Response, pointer: str) -> bool:
    return CONTRACT.validator(pointer).is_valid(answer.json())


def limited_without_retry_after(answer: httpx.Response, world: World) -> None:
    envelope(answer, 429, "rate_limited")
    assert "Retry-After" not in answer.headers
    assert answer.headers["X-RateLimit-Remaining"] == "0"


def limited_in_milliseconds(answer: httpx.Response, world: World) -> None:
    envelope(answer, 429, "rate_limited")
    assert 1000 <= int(answer.headers["Retry-After"]) <= 60_000


def limited(answer: httpx.Response, world: World) -> None:
    envelope(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert int(answer.headers["X-RateLimit-Limit"]) > 0


def html(answer: httpx.Response, world: World) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")


def bare(answer: httpx.Response, world: World) -> None:
    assert (answer.status_code, answer.json()) == (403, {"error": "forbidden"})


def unknown_code(answer: httpx.Response, world: World) -> None:
    code = envelope(answer, 403, None)["code"]
    assert code not in CONTRACT.at("#/components/schemas/ErrorEnvelope/properties/error/properties/code/enum")


def broken(answer: httpx.Response, world: World) -> None:
    assert answer.status_code == 200
    assert answer.content
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def empty(answer: httpx.Response, world: World) -> None:
    assert (answer.status_code, answer.content) == (200, b"")


def plain_text(answer: httpx.Response, world: World) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain")


def other(**members: Any) -> Callable[[httpx.Response, World], None]:
    def check(answer: httpx.Response, world: World) -> None:
        assert answer.status_code == 200
        for name, value in members.items():
            assert answer.json().get(name) == value

    return check


def stale(answer: httpx.Response, world: World) -> None:
    first, *_, latest = world.rows("handoffs")
    assert answer.json()["handoff_id"] == first["id"] != latest["id"]


def soft(error: str) -> Callable[[httpx.Response, World], None]:
    def check(answer: httpx.Response, world: World) -> None:
        assert answer.status_code == 200
        assert answer.json()["ok"] is False
        assert answer.json()["error"] == error
        assert valid(answer, "#/components/schemas/CrmCreateRecordResponse")

    return check


def limited_barely(answer: httpx.Response, world: World) -> None:
    envelope(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]


def redirected(status: int) -> Callable[[httpx.Response, World], None]:
    def check(answer: httpx.Response, world: World) -> None:
        assert answer.status_code == status
        path = answer.request.url.raw_path.decode()
        assert answer.headers["Location"] == f"http://elsewhere.invalid{path}"

    return check


def without(member: str) -> Callable[[httpx.Response, World], None]:
    def check(answer: httpx.Response, world: World) -> None:
        assert answer.status_code == 200
        assert member not in answer.json()

    return check


def with_header(name: str, value: str) -> Callable[[httpx.Response, World], None]:
    def check(answer: httpx.Response, world: World) -> None:
        assert (answer.status_code, answer.headers[name]) == (200, value)

    return check


def reordered(answer: httpx.Response, world: World) -> None:
    assert list(answer.json())[-1] in ("handoff_id", "ok")


def spaced(answer: httpx.Response, world: World) -> None:
    assert answer.content.startswith(b"\r\n{\n   ")
    assert answer.json()


def names_are(spelled: Callable[[bytes], bytes]) -> Callable[[httpx.Response, World], None]:
    def check(answer: httpx.Response, world: World) -> None:
        names = {name for name, _ in answer.headers.raw}
        assert {spelled(b"content-type"), spelled(b"content-length"), spelled(b"x-mock-request-id")} <= names
        assert all(name == spelled(name) for name in names)

    return check


def no_limit_headers(answer: httpx.Response, world: World) -> None:
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]


SEEN: dict[str, Callable[[httpx.Response, World], object]] = {
    "rate_limited": limited,
    "unauthorized": lambda answer, world: envelope(answer, 401, "unauthorized"),
    "forbidden": lambda answer, world: envelope(answer, 403, "forbidden"),
    "internal_error": lambda answer, world: envelope(answer, 500, "internal_error"),
    "bad_gateway": html,
    "unavailable": lambda answer, world: envelope(answer, 503, "internal_error"),
    "undeclared_status": lambda answer, world: envelope(answer, 422, "bad_request"),
    "missing_retry_after": limited_without_retry_after,
    "retry_after_milliseconds": limited_in_milliseconds,
    "wrong_error_code": lambda answer, world: envelope(answer, 403, "unauthorized"),
    "unknown_error_code": unknown_code,
    "bare_error": bare,
    "internal_error_after_commit": lambda answer, world: envelope(answer, 500, "internal_error"),
    "bare_rate_limited": limited_barely,
    "redirect": redirected(307),
    "permanent_redirect": redirected(308),
    "unlisted_members": other(queue={"position": 3}),
    "no_record_url": without("record_url"),
    "email_channel": other(notified_channel="email"),
    "slack_channel": other(notified_channel="slack"),
    "reordered_members": reordered,
    "white_space": spaced,
    "charset_parameter": with_header("Content-Type", "application/json; charset=utf-8"),
    "no_rate_limit_headers": no_limit_headers,
    "lower_case_header_names": names_are(bytes.lower),
    "other_header_names": names_are(bytes.title),
    "broken_json": broken,
    "empty_body": empty,
    "wrong_media_type": plain_text,
    "wrong_conversation_status": other(conversation_status="queued"),
    "wrong_notified_channel": other(notified_channel="sms"),
    "missing_member": other(notified_channel=None),
    "other_lead_id": other(lead_id="00000000-0000-4000-8000-000000000000"),
    "stale_handoff_id": stale,
    "ok_as_text": other(ok="true"),
    "relative_record_url": other(record_url="/record/1"),
    **{f"crm_{error}": soft(error) for error in (*ErrorName, "upstream_unavailable")},
}
#: What only a wire shows.
ON_THE_WIRE = {
    "chunked_framing",
    "connection_close",
    "connection_close_after_commit",
    "connection_reset",
    "connection_reset_after_commit",
    "no_answer",
    "no_answer_after_commit",
    "latency",
    "slow_body",
    "truncated_body",
}
#: What needs a response that fails softly.
SOFT = {"no_detail"}
WEBHOOK = {fault.id for fault in CATALOGUE.values() if fault.stage == "webhook"}


def test_every_fault_is_tested() -> None:
    assert {*SEEN, *ON_THE_WIRE, *SOFT, *WEBHOOK} == set(CATALOGUE)


@pytest.mark.parametrize("by", ["armed", "Prefer"])
@pytest.mark.parametrize("operation", ["handoffLead", "createCrmRecord"])
@pytest.mark.parametrize("fault", SEEN)
def test_the_client_sees_what_the_fault_says(world: World, fault: str, operation: str, by: str) -> None:
    entry = CATALOGUE[fault]
    if entry.operation not in (None, operation):
        answer = world.post(operation, Prefer=f"fault={fault}")
        assert f"{fault} is a fault of {entry.operation}, not of {operation}" in envelope(answer, 400, None)["message"]
        assert "Preference-Applied" not in answer.headers
        return
    if fault == "stale_handoff_id":
        world.post(operation)
    before = world.effects()
    if by == "armed":
        world.arm(fault)
        answer = world.post(operation)
        assert "Preference-Applied" not in answer.headers
        (armed,) = world.armed()
        (consumed,) = armed["consumed"]
        assert (armed["spent"], armed["met"], consumed["request_id"]) == (True, 1, answer.headers["X-Mock-Request-Id"])
    else:
        answer = world.post(operation, Prefer=f"fault={fault}")
        assert answer.headers["Preference-Applied"] == f"fault={fault}"
        assert world.armed() == []
    SEEN[fault](answer, world)
    assert world.effects() - before == (1 if entry.stage == "after" else 0)
    kept = world.http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()
    assert kept["fault"] == fault
    again = world.post(operation, 1)
    assert again.status_code == 200
    assert valid(again, f"#/components/schemas/{_ANSWERS[operation]}")


_ANSWERS = {"handoffLead": "LeadHandoffResponse", "createCrmRecord": "CrmCreateRecordResponse"}


# -- arming


def pattern(world: World, requests: int, operation: str = "handoffLead") -> str:
    return "".join("x" if world.post(operation, n).status_code == 403 else "." for n in range(requests))


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ({}, "x......."),
        ({"next": 2}, "xx......"),
        ({"after": 3}, "...x...."),
        ({"after": 3, "next": 2}, "...xx..."),
        ({"every": 3}, "..x..x.."),
        ({"every": 3, "next": 1}, "..x....."),
        ({"every": 2, "after": 1}, "..x.x.x."),
        ({"chance": 1}, "xxxxxxxx"),
        ({"chance": 0}, "........"),
        ({"chance": 1, "next": 2, "after": 1}, ".xx....."),
        ({"operation": "createCrmRecord"}, "........"),
        ({"operation": "handoffLead"}, "x......."),
    ],
)
def test_a_fault_is_met_by_those_it_is_armed_for(world: World, wanted: Json, seen: str) -> None:
    world.arm("forbidden", **wanted)
    assert pattern(world, 8) == seen
    (armed,) = world.armed()
    assert armed["met"] == seen.count("x") == len(armed["consumed"])


def test_chance_is_drawn_from_the_seed_and_moves_no_id(shared: httpx.Client) -> None:
    one, two = World(shared, seed=5, rate_limit=0), World(shared, seed=5, rate_limit=0)
    for world in (one, two):
        world.arm("forbidden", chance=0.5)
    seen = pattern(one, 40)
    assert seen == pattern(two, 40)
    assert 8 < seen.count("x") < 32
    plain, armed = World(shared, seed=6), World(shared, seed=6)
    plain.arm("latency", delay="0s")
    armed.arm("latency", delay="0s", chance=0.5)
    assert plain.post("handoffLead").json() == armed.post("handoffLead").json()


def test_faults_are_disarmed_one_or_all(world: World) -> None:
    one, _, _ = (world.arm("forbidden") for _ in range(3))
    assert world.http.delete(f"{world.path}/faults/{one['id']}").status_code == 204
    assert world.http.delete(f"{world.path}/faults/{one['id']}").status_code == 404
    assert len(world.armed()) == 2
    assert world.http.delete(f"{world.path}/faults").status_code == 204
    assert pattern(world, 3) == "..."


def test_a_fault_is_one_tenant_s(shared: httpx.Client, world: World) -> None:
    world.arm("forbidden", chance=1)
    assert pattern(World(shared), 3) == "..."


def test_what_cannot_be_spoilt_does_not_consume_a_fault(shared: httpx.Client) -> None:
    world = World(shared, crm=None)
    world.arm("stale_handoff_id")
    world.arm("relative_record_url")
    world.arm("webhook_lost")
    world.arm("latency", delay="0s", operation="createCrmRecord", after=1)
    assert world.post("handoffLead").status_code == 200
    assert world.post("createCrmRecord").json()["ok"] is False
    assert [armed["met"] for armed in world.armed()] == [0, 0, 0, 0]
    answer = world.post("handoffLead", Prefer="fault=webhook_late")  # there is no webhook
    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize("code", ["200", "400", "401", "403", "404", "429"])
def test_a_request_may_ask_for_a_declared_code(world: World, code: str) -> None:
    answer = world.post("handoffLead", Prefer=f'Code = "{code}"')
    assert answer.status_code == int(code)
    assert answer.headers["Preference-Applied"] == f"code={code}"
    assert len(world.rows("audit-log")) == (1 if code == "200" else 0)


def test_a_preference_that_was_not_met_is_not_claimed(world: World) -> None:
    world.lead = demo.lead_id(1, 1)
    answer = world.post("handoffLead", Prefer="code=200")
    assert answer.status_code == 404
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize(
    ("prefer", "begins"),
    [
        ("code=418", "Prefer: createCrmRecord declares the codes 200, 400, 401, 403, 429, and no other"),
        ("code=404", "Prefer: createCrmRecord declares"),
        ("code=", "Prefer: createCrmRecord declares"),
        ("fault=x", 'Prefer: unknown fault "x"; allowed: '),
        (
            "fault=latecny",
            'Prefer: unknown fault "latecny"; did you mean "latency"? (GET /_mock/',
        ),  # M23
        ("codes=429", 'Prefer: unknown preference "codes"; did you mean "code"?'),  # M18, and so on
        ("Falt=latency", 'Prefer: unknown preference "Falt"; did you mean "fault"?'),
        ("return=minimal, cod=429", 'Prefer: unknown preference "cod"; did you mean "code"?'),
        ("429", "Prefer: write code=429"),
        ("broken_json", "Prefer: write fault=broken_json"),
        ("code=429, fault=latency", "Prefer: asks for code=429 and fault=latency; ask for one of them"),
        ("," * 1025, "Prefer: is longer than 1024 bytes; ask for one preference, once"),  # M25
        ("code=429; code=401", "Prefer: asks for code=429 and code=401; ask for one of them"),
    ],
)
def test_an_unknown_preference_is_a_clear_400(world: World, prefer: str, begins: str) -> None:
    answer = world.post("createCrmRecord", Prefer=prefer)
    assert str(envelope(answer, 400, "bad_request")["message"]).startswith(begins)
    assert world.effects() == 0


@pytest.mark.parametrize(
    "fields", [["respond-async", "code=422"], ["code=429", "fault=latency"], ["code=429", "code=401"], ["", "fault=x"]]
)
def test_every_prefer_field_is_read(world: World, fields: list[str]) -> None:
    answer = world.post("createCrmRecord", prefer=fields)
    told = str(envelope(answer, 400, "bad_request")["message"])
    assert any(field.split("=")[0] in told for field in fields if field)
    assert world.effects() == 0


@pytest.mark.parametrize(
    "prefer",
    [
        'x="a, code=401; fault=none"',
        'x="\\", code=401"',
        "return=minimal",
        "respond-async",
        "wait=5; foo",
        "handling=lenient",
        " , ;",
        "",
        "x" * 900,
    ],
)
def test_a_preference_that_is_none_of_ours_is_ignored(world: World, prefer: str) -> None:
    """RFC 7240, 2 (M18)."""
    answer = world.post("createCrmRecord", Prefer=prefer)
    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers
    assert world.post("createCrmRecord", Prefer=f"{prefer}, code=429").status_code == 429


def test_a_preference_may_stand_in_any_field_and_twice(world: World) -> None:
    for fields in (
        ["", "fault=unavailable"],
        ["fault=unavailable", 'FAULT="unavailable";'],
        [", fault = unavailable,"],
    ):
        answer = world.post("createCrmRecord", prefer=fields)
        assert answer.status_code == 503
        assert answer.headers["Preference-Applied"] == "fault=unavailable"


# -- the clauses


def test_every_clause_is_one_of_the_kit_s() -> None:
    catalogue = ROOT / "conformance" / "vorel_conformance" / "spec" / "server.toml"
    known = {clause["id"] for clause in tomllib.loads(catalogue.read_text("utf-8"))["clause"]}
    assert {fault.clause for fault in CATALOGUE.values() if fault.clause} <= known


PAGE = DOCS / "faults.md"


def written(page: str) -> str:
    """The page with each table as the catalogue has it. `PYTHONPATH=. python tests/api/test_faults.py` writes it."""
    for stage in ("before", "after", "lawful", "crm", "webhook"):
        rows = ["| fault | what happens | breaks | only |", "|---|---|---|---|"]
        for fault in CATALOGUE.values():
            if (fault.group or fault.stage) == stage:
                clause = f"`{fault.clause}`" if fault.clause else ""
                rows.append(f"| `{fault.id}` | {fault.sentence} | {clause} | {fault.operation or ''} |")
        begin, end = f"<!-- generated: {stage} -->", "<!-- /generated -->"
        before, _, rest = page.partition(begin)
        page = before + "\n".join([begin, *rows, end]) + rest.partition(end)[2]
    return page


def test_the_page_prints_the_catalogue() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), (
        "docs/faults.md is behind the catalogue: run PYTHONPATH=. python tests/api/test_faults.py"
    )
    told = re.findall(r"^\| `(\w+)` \| .*\|.*\|.*\|$", page, re.MULTILINE)
    assert sorted(told) == sorted(CATALOGUE)


# -- on the wire


@pytest.fixture(scope="module")
def port() -> Iterator[httpx.Client]:
    mock = Mock(Settings(seed=1, clock="frozen"))
    hooks = {"response": [checked.check]}
    with serving(App(mock)) as (url, _), httpx.Client(base_url=url, event_hooks=hooks, timeout=20) as client:
        yield client


def raw(world: World, *, version: str = "1.1", origin: str = "") -> tuple[bytes, list[float], bool]:
    """A handoff over a plain socket: what came, when each piece came, and whether the connection was reset."""
    base = world.http.base_url
    content, times, started = b"", [], time.monotonic()
    with socket.create_connection(("127.0.0.1", base.port or 0), timeout=20) as sock:
        sock.sendall(
            f"POST {origin}/api/v1/leads/{world.lead}/handoff HTTP/{version}\r\nHost: localhost\r\n"
            f"Authorization: {world.headers['Authorization']}\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        try:
            while piece := sock.recv(65536):
                content += piece
                times.append(time.monotonic() - started)
        except ConnectionResetError:
            return content, times, True
    return content, times, False


def test_a_soft_failure_can_lack_its_detail(world: World) -> None:
    world.arm("no_detail")
    body = {"object": "contact", "fields": {"email": "auth_failed@crm-error.test"}, "idempotency_key": "k"}
    answer = world.http.post("/api/v1/crm/create-record", json=body, headers=world.headers)
    assert answer.json() == {"ok": False, "error": "auth_failed"}
    assert valid(answer, "#/components/schemas/CrmCreateRecordResponse")


LAWFUL = [fault for fault in CATALOGUE.values() if fault.group == "lawful" and fault.stage == "after"]


@pytest.mark.parametrize("fault", LAWFUL, ids=lambda fault: fault.id)
def test_what_is_lawful_is_valid_by_the_contract(world: World, fault: Fault) -> None:
    for operation in ("handoffLead", "createCrmRecord"):
        if fault.operation in (None, operation):
            answer = world.post(operation, Prefer=f"fault={fault.id}")
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].split(";")[0] == "application/json"
            assert valid(answer, f"#/components/schemas/{_ANSWERS[operation]}")


def test_headers_of_the_limit_can_be_left_out_and_spelled_otherwise() -> None:
    with checked.client(Mock(Settings(rate_limit_headers="always"))) as control:
        world = World(control)

        def limits(prefer: str) -> list[bytes]:
            answer = world.post("handoffLead", Prefer=prefer)
            return [name for name, _ in answer.headers.raw if name.lower().startswith(b"x-ratelimit-")]

        usual = limits("")
        assert len(usual) == 3
        assert limits("fault=no_rate_limit_headers") == []
        assert limits("fault=lower_case_header_names") == [name.lower() for name in usual]
        assert usual != [name.lower() for name in usual]


def test_what_another_document_declares_is_changed_only_where_that_is_lawful(tmp_path: Path) -> None:
    closed = {"type": "object", "additionalProperties": False, "properties": {"n": {"type": "integer"}}}
    content: dict[str, Json] = {
        "/closed": {"application/json": {"schema": closed, "example": {"n": 1}}},
        "/list": {"application/json": {"schema": {"type": "array"}, "example": [1]}},
        "/text": {"text/plain": {"schema": {"type": "string"}, "example": "text"}},
        "/none": {},
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "another", "version": "1"},
        "components": {"securitySchemes": {"BearerAuth": {"type": "http", "scheme": "bearer"}}},
        "security": [{"BearerAuth": []}],
        "paths": {
            path: {"get": {"operationId": path[1:], "responses": {"200": {"description": "It.", "content": declared}}}}
            for path, declared in content.items()
        },
    }
    file = tmp_path / "another.json"
    file.write_text(json.dumps(document), "utf-8")
    with checked.client(Mock(Settings(contract=file))) as http:
        made = http.post("/_mock/tenants", json={}).json()
        headers = {"Authorization": f"Bearer {made['keys']['full'][0]}"}
        for path in content:
            usual = http.get(path, headers=headers)
            assert usual.status_code == 200
            for fault in (fault for fault in LAWFUL if fault.operation is None):
                answer = http.get(path, headers={**headers, "Prefer": f"fault={fault.id}"})
                assert answer.status_code == 200, answer.text
                if path in ("/closed", "/list"):
                    assert answer.json() == usual.json()
                else:
                    assert answer.content == usual.content


def test_a_429_tells_to_wait_as_long_as_was_asked_for(world: World) -> None:
    for retry_after, told in (("2s", "2"), ("1500ms", "2"), ("60s", "60")):
        for fault in ("rate_limited", "bare_rate_limited"):
            world.arm(fault, retry_after=retry_after)
            answer = world.post("handoffLead")
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, told)
            reset = parsedate_to_datetime(answer.headers["Date"]).timestamp() + int(told) - 1
            assert int(answer.headers.get("X-RateLimit-Reset", 1 << 40)) >= reset


def test_a_redirect_leads_where_it_was_told(world: World) -> None:
    world.arm("redirect", location="http://127.0.0.1:9")
    answer = world.post("handoffLead")
    assert answer.headers["Location"] == f"http://127.0.0.1:9{answer.request.url.raw_path.decode()}"


def test_a_redirect_of_a_request_for_a_whole_url_names_its_path(port: httpx.Client) -> None:
    world = World(port)
    world.arm("redirect", location="http://127.0.0.1:9")
    content, _, _ = raw(world, origin="http://localhost")
    assert f"location: http://127.0.0.1:9/api/v1/leads/{world.lead}/handoff\r\n".encode() in content


@pytest.mark.parametrize(
    ("armed", "problem"),
    [
        (
            {"fault": "unavailable", "retry_after": "2s"},
            "retry_after: unavailable tells no time to wait",
        ),
        ({"fault": "rate_limited", "retry_after": "61s"}, "retry_after"),
        ({"fault": "rate_limited", "location": "http://x"}, "location: rate_limited redirects nowhere"),
        ({"fault": "redirect", "location": "elsewhere"}, "location: must be a base URL"),
        ({"fault": "redirect", "location": "http://x/path\r\nX: y"}, "location: must be a base URL"),
        ({"fault": "redirect", "delay": "1s"}, "delay: redirect takes no time"),
    ],
)
def test_an_option_that_a_fault_does_not_have_is_named(world: World, armed: dict[str, str], problem: str) -> None:
    answer = world.http.post(f"/_mock/tenants/{world.id}/faults", json=armed)
    assert problem in envelope(answer, 400, None)["message"]


@pytest.mark.parametrize(("fault", "effects"), [("connection_close", 0), ("connection_close_after_commit", 1)])
def test_the_connection_is_closed_in_order_without_a_word(port: httpx.Client, fault: str, effects: int) -> None:  # M53
    world = World(port)
    world.arm(fault)
    content, _, was_reset = raw(world)
    assert (content, was_reset) == (b"", False)
    assert len(world.rows("audit-log")) == effects


def test_a_body_has_chunked_framing(port: httpx.Client) -> None:
    world = World(port)
    world.arm("chunked_framing", next=2)
    head, _, body = raw(world)[0].partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert body.endswith(b"\r\n0\r\n\r\n")
    assert body.count(b"\r\n") > 10
    answer = world.post("handoffLead")
    assert valid(answer, "#/components/schemas/LeadHandoffResponse")


def test_a_client_of_http_1_0_gets_no_chunks(port: httpx.Client) -> None:
    world = World(port)
    world.arm("chunked_framing")
    head, _, body = raw(world, version="1.0")[0].partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert json.loads(body)["lead_id"] == world.lead
    assert world.armed()[0]["met"] == 0


@pytest.mark.skipif(CURL is None, reason="needs curl")
@pytest.mark.parametrize("fault", ["connection_reset_after_commit", "connection_close_after_commit"])
def test_a_request_on_a_reused_connection_is_sent_again_without_a_word(port: httpx.Client, fault: str) -> None:  # M54
    def two_handoffs(after: int) -> tuple[str, int]:
        world = World(port)
        world.arm(fault, operation="handoffLead", after=after)
        url = str(port.base_url.join(f"/api/v1/leads/{world.lead}/handoff"))
        post = ["-s", "-o", os.devnull, "-w", "%{http_code} ", "-X", "POST", url]
        post += ["-H", f"Authorization: {world.headers['Authorization']}"]
        told = subprocess.run(
            [str(CURL), *post, "--next", *post], capture_output=True, text=True, timeout=30, check=False
        )
        return told.stdout.strip(), len(world.rows("handoffs"))

    assert two_handoffs(after=0) == ("000 200", 2)
    assert two_handoffs(after=1) == ("200 200", 3)


@pytest.mark.parametrize("fault", ["connection_close", "connection_close_after_commit"])
def test_in_process_a_closed_connection_is_what_httpx_reports(world: World, fault: str) -> None:  # M53
    world.arm(fault)
    with pytest.raises(httpx.RemoteProtocolError):
        world.post("handoffLead")
    assert world.post("handoffLead").status_code == 200
    assert [row["response"]["status"] for row in world.rows("requests") if row["fault"]] == [None]


def test_in_process_chunks_are_the_body(world: World) -> None:
    answer = world.post("createCrmRecord", Prefer="fault=chunked_framing")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    assert answer.json()["ok"] is True


@pytest.mark.parametrize(
    ("fault", "effects"),
    [("connection_reset", 0), ("connection_reset_after_commit", 1), ("no_answer", 0), ("no_answer_after_commit", 1)],
)
def test_the_connection_is_reset_without_a_word(port: httpx.Client, fault: str, effects: int) -> None:
    world = World(port)
    world.arm(fault, **({"delay": "300ms"} if CATALOGUE[fault].option == "delay" else {}))
    started = time.monotonic()
    content, _, was_reset = raw(world)
    assert (content, was_reset) == (b"", True)
    if CATALOGUE[fault].option == "delay":
        assert time.monotonic() - started >= 0.29
    assert len(world.rows("audit-log")) == effects
    assert world.armed()[0]["spent"]
    assert raw(world)[0].startswith(b"HTTP/1.1 200 ")


def test_the_body_is_cut_off_half_way(port: httpx.Client) -> None:
    world = World(port)
    world.arm("truncated_body")
    content, _, was_reset = raw(world)
    head, _, body = content.partition(b"\r\n\r\n")
    matched = re.search(rb"content-length: (\d+)", head)
    assert matched
    assert was_reset
    assert 0 < len(body) < int(matched[1])
    assert len(world.rows("audit-log")) == 1


def test_latency_is_before_the_first_byte(port: httpx.Client) -> None:
    world = World(port)
    world.arm("latency", delay="300ms")
    content, times, was_reset = raw(world)
    assert not was_reset
    assert content.startswith(b"HTTP/1.1 200 ")
    assert times[0] >= 0.29


def test_a_slow_body_drips(port: httpx.Client) -> None:
    world = World(port)
    world.arm("slow_body", delay="500ms")
    content, times, was_reset = raw(world)
    assert not was_reset
    assert json.loads(content.partition(b"\r\n\r\n")[2])["lead_id"] == world.lead
    assert len(times) >= 5
    assert times[-1] >= 0.4


def test_nobody_waits_for_an_answer_that_is_held_back(port: httpx.Client) -> None:
    world, other_world = World(port), World(port)
    world.arm("latency", delay="3s")
    thread = threading.Thread(target=raw, args=(world,))
    thread.start()
    time.sleep(0.1)
    started = time.monotonic()
    assert other_world.post("handoffLead").status_code == 200
    assert time.monotonic() - started < 2
    thread.join()


#: What lets go of a response that a fault holds back: method, what is behind the tenant, body.
LETTING_GO: dict[str, tuple[str, str, Json | None]] = {
    "the fault is disarmed": ("DELETE", "/faults/{fault}", None),
    "all are disarmed": ("DELETE", "/faults", None),
    "the tenant is reset": ("POST", "/reset", None),
    "the tenant is restored": ("PUT", "/snapshot", {}),
    "the tenant is deleted": ("DELETE", "", None),
}


@pytest.mark.parametrize("how", LETTING_GO)
@pytest.mark.parametrize("fault", ["no_answer", "no_answer_after_commit", "latency", "slow_body"])
def test_what_a_fault_holds_back_is_let_go_with_it(port: httpx.Client, fault: str, how: str) -> None:
    """M9: 5,000 descriptors were kept for an hour, even when the fault was disarmed and the tenant deleted."""
    world = World(port)
    armed = world.arm(fault, every=1, delay="1h")
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(raw, world) for _ in range(3)]
        deadline = time.monotonic() + 10
        while world.armed()[0]["met"] < 3:
            assert time.monotonic() < deadline
        method, path, body = LETTING_GO[how]
        if path == "/snapshot":
            body = port.get(f"{world.path}/snapshot").json()
        answer = port.request(method, f"{world.path}{path.format(fault=armed['id'])}", json=body)
        assert answer.status_code == 204
        answers = [client.result(10) for client in clients]
    for content, _, was_reset in answers:
        if fault.startswith("no_answer"):
            assert (content, was_reset) == (b"", True)
        else:
            assert content.startswith(b"HTTP/1.1 200 ")
            assert json.loads(content.partition(b"\r\n\r\n")[2])["lead_id"] == world.lead


def test_one_tenant_holds_back_so_many_responses_and_no_more(
    port: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M9: the oldest is let go; what another tenant holds back stays."""
    monkeypatch.setattr(held_responses, "MAX_HELD", 2)
    worlds = [World(port), World(port)]
    for world in worlds:
        world.arm("no_answer", every=1, delay="1h")
    with ThreadPoolExecutor(6) as pool:
        mine, others = ([pool.submit(raw, world) for _ in range(2)] for world in worlds)
        deadline = time.monotonic() + 10
        while any(world.armed()[0]["met"] < 2 for world in worlds):
            assert time.monotonic() < deadline
        further = pool.submit(raw, worlds[0])
        done, _ = wait([*mine, *others, further], 10, FIRST_COMPLETED)
        assert len(done) == 1
        assert done <= set(mine)
        for world in worlds:
            world.http.delete(f"{world.path}/faults")
    assert all(client.result(10)[2] for client in [*mine, *others, further])


# -- the same again

REQUESTS = int(os.environ.get("VOREL_TEST_REQUESTS", "4000"))


def transcript(requests: int) -> list[bytes]:
    """What a tenant with faults at seeded chance answers to a seeded run of requests."""
    mock = Mock(Settings(seed=3, clock="frozen", rate_limit=0, tenant_rate_limit=0))
    with checked.client(mock) as control:
        world = World(control)
        for fault in ("forbidden", "rate_limited", "broken_json", "internal_error_after_commit", "crm_rate_limited"):
            world.arm(fault, chance=0.1)
        world.arm("connection_reset", every=97)
        random = Random(1)
        lines: list[bytes] = []

        for number in range(requests):
            path, body = CREATE, b'{"object": "contact", "fields": {"email": "%d@b.test"}, "idempotency_key": "%d"}'
            if random.random() < 0.5:
                path, content = f"/api/v1/leads/{world.lead}/handoff", b""
            else:
                content = body % (number, random.randrange(requests))
            headers = [(b"authorization", world.headers["Authorization"].encode())]
            response = mock.answer(Request("POST", path.encode(), path, b"", headers, dict(headers), content))
            lines.append(repr(response).encode())
            if number % 1000 == 0:
                mock.clock.advance(1)

        lines += [json.dumps(armed).encode() for armed in world.armed()]
        return lines


@pytest.mark.timeout(600)
def test_the_same_requests_get_the_same_answers_again() -> None:
    one, two = transcript(REQUESTS), transcript(REQUESTS)
    assert one == two
    assert len(set(one)) > REQUESTS / 4
    assert any(b"end='reset'" in line for line in one)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
