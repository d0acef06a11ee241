"""Whatever is asked, the document declares the answer. Two validators that know nothing of the mock judge."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

Judge = Callable[[Mock, httpx.Response], list[str]]

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "bad_request",
    429: "rate_limited",
}

#: 40 requests a minute for a key: some of what is generated comes too late.
SETTINGS = Settings(seed=1, clock="frozen", rate_limit=40, tenant_rate_limit=90)

keys = st.sampled_from(
    [demo.token(tenant, 1, 1) for tenant in range(1, 7)]
    + [demo.token(1, role, 1) for role in (1, 1, 2, 3, 4, 5, 6)]
    + ["vapk_live_" + "0" * 48, "", "none"]
)
text = st.text(st.characters(codec="utf-8"), max_size=12)
leads = st.one_of(
    st.sampled_from([demo.lead_id(tenant, 1) for tenant in range(1, 7)] * 3 + [demo.lead_id(1, 2).upper(), "none"]),
    st.uuids().map(str),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def _members(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={**strategies, "other": json_values})


handoff_bodies = _members(
    reason=text | json_values | st.just("x" * 200) | st.just("x" * 201),
    summary=text | st.just("x" * 1001),
)
field_values = json_values | st.sampled_from(
    ["ann@example.com", "auth_failed@crm-error.test", "rate_limited@crm-error.test", "other_error@crm-error.test"]
)
field_names = st.sampled_from(["email", "last_name", "first_name", "company", "name", "stage", "subject"]) | text
records = st.fixed_dictionaries(
    {
        "object": st.sampled_from(["contact", "lead", "deal", "appointment", "case"]),
        "fields": st.dictionaries(field_names, field_values, max_size=5),
        "idempotency_key": text.filter(bool) | st.just("k"),
    }
)
record_bodies = records | records | _members(object=text, fields=json_values, idempotency_key=json_values)
contents = st.one_of(
    (handoff_bodies | record_bodies).map(lambda value: json.dumps(value).encode()),
    (record_bodies | json_values).map(lambda value: json.dumps(value, ensure_ascii=False).encode()),
    st.binary(max_size=30),
    st.just(b""),
)
media_types = st.sampled_from(["application/json"] * 8 + ["application/json; charset=utf-8", "text/plain", "x"])
targets = st.one_of(
    leads.map(lambda lead: ("POST", f"/api/v1/leads/{lead}/handoff")),
    st.just(("POST", "/api/v1/crm/create-record")),
    st.sampled_from([("GET", "/api/v1/crm/create-record"), ("POST", "/api/v1/none"), ("DELETE", "/")]),
)


@st.composite
def requests(draw: st.DrawFn) -> httpx.Request:
    method, path = draw(targets)
    content = draw(contents)
    if draw(st.integers(0, 3)):  # mostly the body that belongs there
        body = draw(handoff_bodies if "handoff" in path else record_bodies)
        content = json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {draw(keys)}", "Content-Type": draw(media_types)}
    return httpx.Request(method, f"http://127.0.0.1:3000{path}", headers=headers, content=content)


def _envelope(mock: Mock) -> Draft202012Validator:
    document = mock.contract.document
    return Draft202012Validator({"$ref": "#/components/schemas/ErrorEnvelope", "components": document["components"]})


def _wrong(mock: Mock, judge: Judge, answer: httpx.Response) -> list[str]:
    """What is wrong with an answer."""
    found = []
    exchange = mock.journal.get(answer.headers["X-Mock-Request-Id"])
    assert exchange is not None
    if exchange.operation is not None:
        found += judge(mock, answer)
    elif answer.status_code not in (404, 405):
        found.append(f"{answer.status_code} where there is no operation")
    if answer.status_code >= 400:
        body = json.loads(answer.content.decode())
        found += [error.message for error in _envelope(mock).iter_errors(body)]
        if body["error"]["code"] != CODES.get(answer.status_code):
            found.append(f"{body['error']['code']} with status {answer.status_code}")
    if answer.headers["Content-Type"] != "application/json":
        found.append(f"Content-Type {answer.headers['Content-Type']}")
    if answer.headers["Content-Length"] != str(len(answer.content)):
        found.append("Content-Length")
    found += [f"no {name}" for name in ("Date", "X-Mock-Request-Id") if name not in answer.headers]
    if (answer.status_code == 429) != ("Retry-After" in answer.headers):
        found.append("Retry-After")
    return found


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(SETTINGS)


@pytest.fixture(scope="module")
def client(mock: Mock) -> Iterator[httpx.Client]:
    with httpx.Client(transport=MockTransport(App(mock))) as client:
        yield client


@budget(max_examples=70, deadline=None)
@given(run=st.lists(requests(), min_size=1, max_size=12), seconds=st.sampled_from([0, 0.5, 20, 60]))
def test_every_answer_is_declared_and_valid(
    mock: Mock, client: httpx.Client, judge: Judge, run: list[httpx.Request], seconds: float
) -> None:
    mock.clock.advance(seconds)
    for request in run:
        answer = client.send(request)
        assert (answer.status_code, _wrong(mock, judge, answer)) == (answer.status_code, [])


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405, 429])
def test_the_judges_see_each_kind_of_answer(client: httpx.Client, mock: Mock, judge: Judge, status: int) -> None:
    """And find nothing; without this, a run that only ever made one kind would prove little."""
    key, path, method = demo.token(1, 1, 2), f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff", "POST"
    content = b""
    match status:
        case 400:
            content = b'{"reason": 1}'
        case 401:
            key = "none"
        case 403:
            key = demo.token(1, 5, 1)
        case 404:
            path = path.replace("00000001-1ead", "00000009-1ead")
        case 405:
            method = "PUT"
    mock.clock.advance(60)
    for _ in range(41 if status == 429 else 1):
        answer = client.request(
            method, f"http://127.0.0.1:3000{path}", headers={"Authorization": f"Bearer {key}"}, content=content
        )
    assert answer.status_code == status
    assert _wrong(mock, judge, answer) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop("handoff_id"),
        lambda body: body.update(handoff_id="none"),
        lambda body: body.update(conversation_status="active"),
        lambda body: body.update(notified_channel=None),
    ],
    ids=["missing", "no UUID", "another status", "null"],
)
def test_the_judges_are_awake(client: httpx.Client, mock: Mock, judge: Judge, spoil: Callable[[Any], object]) -> None:
    mock.clock.advance(60)
    answer = client.post(
        f"http://127.0.0.1:3000/api/v1/leads/{demo.lead_id(1, 1)}/handoff",
        headers={"Authorization": f"Bearer {demo.token(1, 1, 3)}"},
    )
    body = answer.json()
    spoil(body)
    spoilt = httpx.Response(200, headers=answer.headers, content=json.dumps(body), request=answer.request)
    assert judge(mock, spoilt)
