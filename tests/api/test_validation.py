"""What a request must be: each 400 names the field, or `id`, `body`, `Content-Type`; what is in order is a 200."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from vorel_mock.contract.contract import Contract, load
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App

CREATE = "/api/v1/crm/create-record"
HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
CONTRACT = load()
_numbers = count()


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))


@pytest.fixture(scope="module")
def app(mock: Mock) -> App:
    return App(mock)


def _record(**members: Any) -> dict[str, Any]:
    """A record in order but for `members`; one that is ... is left out."""
    fields = {"email": "ann@example.com"}
    record = {"object": "contact", "fields": fields, "idempotency_key": f"key {next(_numbers)}", **members}
    return {name: value for name, value in record.items() if value is not ...}


def _fields_at_fault(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
    return {part.partition(": ")[0] for part in answer.json()["error"]["message"].split("; ")}


# Lengths: every one that the document has, counted in characters.


def _lengths(contract: Contract) -> Iterator[tuple[str, str, str, int]]:
    """Path, member, keyword and value of each length in a body of the document."""
    for operation in contract.operations:
        if operation.body is not None:
            schema = contract.resolve(contract.at(f"{operation.body.pointer}/content/application~1json/schema"))
            for member, rule in schema["properties"].items():
                for keyword in rule.keys() & {"minLength", "maxLength"}:
                    yield operation.id, member, keyword, rule[keyword]


LENGTHS = sorted(_lengths(CONTRACT))
#: One character each, of one byte up to four, and of one or two UTF-16 code units.
CHARACTERS = {"ASCII": "x", "Latin": "é", "combining": "\u0301", "CJK": "字", "astral": "😀", "last": "\U0010fffd"}


def test_the_document_has_four_lengths() -> None:
    assert LENGTHS == [
        ("createCrmRecord", "idempotency_key", "maxLength", 200),
        ("createCrmRecord", "idempotency_key", "minLength", 1),
        ("handoffLead", "reason", "maxLength", 200),
        ("handoffLead", "summary", "maxLength", 1000),
    ]


@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize(("operation", "member", "keyword", "length"), LENGTHS)
def test_lengths_are_counted_in_characters(
    api: httpx.Client, operation: str, member: str, keyword: str, length: int, off: int, character: str
) -> None:
    # A number in front, where there is room: an idempotency_key must not have been used before.
    text = (str(next(_numbers)) + character * length)[: length + off] if length > 1 else character * (length + off)
    path, body = (HANDOFF, {member: text}) if operation == "handoffLead" else (CREATE, _record(**{member: text}))
    for ensure_ascii in (True, False):
        answer = api.post(path, content=json.dumps(body, ensure_ascii=ensure_ascii).encode())
        if (keyword == "maxLength" and off > 0) or (keyword == "minLength" and off < 0):
            assert _fields_at_fault(answer) == {member}
            assert answer.json()["error"]["message"].endswith(f"{length} character{'s' * (length != 1)}")
        else:
            assert answer.status_code == 200


def test_a_character_of_two_code_points_counts_twice(api: httpx.Client) -> None:
    decomposed = "e\u0301" * 100
    assert api.post(HANDOFF, json={"reason": decomposed}).status_code == 200
    assert _fields_at_fault(api.post(HANDOFF, json={"reason": f"{decomposed}e"})) == {"reason"}


# Types.

OTHER_TYPES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "float": 1.5,
    "list": [],
    "list of text": ["x"],
    "object": {},
}


@pytest.mark.parametrize("other", OTHER_TYPES)
@pytest.mark.parametrize("member", ["reason", "summary"])
def test_a_member_of_a_handoff_is_text(api: httpx.Client, member: str, other: str) -> None:
    assert _fields_at_fault(api.post(HANDOFF, json={member: OTHER_TYPES[other]})) == {member}


@pytest.mark.parametrize("other", OTHER_TYPES)
@pytest.mark.parametrize("member", ["object", "fields", "idempotency_key"])
def test_a_member_of_a_record_has_its_type(api: httpx.Client, member: str, other: str) -> None:
    if (member, other) != ("fields", "object"):
        assert _fields_at_fault(api.post(CREATE, json=_record(**{member: OTHER_TYPES[other]}))) == {member}


@pytest.mark.parametrize("fields", ["", "text"])
def test_fields_are_no_text(api: httpx.Client, fields: str) -> None:
    assert _fields_at_fault(api.post(CREATE, json=_record(fields=fields))) == {"fields"}


@pytest.mark.parametrize("name", ["Contact", "contacts", "", " contact", "contact\u0000", "ticket"])
def test_an_object_is_one_of_the_document_s(api: httpx.Client, name: str) -> None:
    answer = api.post(CREATE, json=_record(object=name))
    assert _fields_at_fault(answer) == {"object"}
    for option in CONTRACT.at("#/components/schemas/CrmCreateRecordBody/properties/object/enum"):
        assert json.dumps(option) in answer.json()["error"]["message"]


@pytest.mark.parametrize("member", CONTRACT.at("#/components/schemas/CrmCreateRecordBody/required"))
def test_a_required_member_is_required(api: httpx.Client, member: str) -> None:
    answer = api.post(CREATE, json=_record(**{member: ...}))
    assert answer.json()["error"]["message"] == f"{member}: is required"


def test_everything_that_is_wrong_is_named(api: httpx.Client) -> None:
    answer = api.post(CREATE, json={"fields": [], "idempotency_key": ""})
    assert _fields_at_fault(answer) == {"object", "fields", "idempotency_key"}
    assert _fields_at_fault(api.post(HANDOFF, json={"reason": 1, "summary": 2})) == {"reason", "summary"}


def test_a_value_is_never_quoted(api: httpx.Client) -> None:
    answer = api.post(CREATE, json=_record(object="hush", idempotency_key="hush" * 51))
    assert "hush" not in answer.text


@pytest.mark.parametrize("path", [HANDOFF, CREATE])
@pytest.mark.parametrize("body", [b"null", b"[]", b"[{}]", b"true", b"0", b'""', b'"{}"'])
def test_a_body_is_an_object(api: httpx.Client, path: str, body: bytes) -> None:
    assert _fields_at_fault(api.post(path, content=body)) == {"body"}


def test_unknown_members_are_taken(api: httpx.Client) -> None:
    assert api.post(HANDOFF, json={"reason": "x", "lead_id": 7, "": None}).status_code == 200
    assert api.post(CREATE, json=_record(vendor="none", ok=False)).json()["ok"] is True


# The body's absence.


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}],
    ids=lambda headers: headers.get("Content-Type", "none"),
)
def test_an_empty_body_is_an_absent_one_whatever_its_type(api: httpx.Client, headers: dict[str, str]) -> None:
    assert api.post(HANDOFF, headers=headers).status_code == 200
    assert api.post(CREATE, headers=headers).json()["error"]["message"] == "body: is required"


# The id in the path.

LEAD = demo.lead_id(1, 1)


@pytest.mark.parametrize(
    "lead",
    [
        "none",
        "1",
        "undefined",
        LEAD[:-1],
        f"{LEAD}0",
        f"{LEAD}g"[1:],
        LEAD.replace("-", ""),
        LEAD.replace("-", "_"),
        f"{{{LEAD}}}",
        f"urn:uuid:{LEAD}",
        f"%20{LEAD}",
        f"{LEAD}%20",
        f"{LEAD}%00",
        f"{LEAD}%0a",
        f"{LEAD}%0d%0a",
        "%0a",
        LEAD.replace("1", "%D9%A1"),  # an Arabic one
        "%F0%9F%98%80",
        "x" * 5000,
    ],
)
def test_a_malformed_id_is_named(api: httpx.Client, lead: str) -> None:
    assert _fields_at_fault(api.post(f"/api/v1/leads/{lead}/handoff")) == {"id"}


def test_a_line_break_in_an_id_is_asked_for_a_key_like_any_other(http: httpx.Client) -> None:
    assert http.post(f"/api/v1/leads/{LEAD}%0a/handoff").status_code == 401


@pytest.mark.parametrize("lead", [LEAD, LEAD.upper(), LEAD.title(), LEAD.replace("-", "%2D")])
def test_an_id_in_any_letter_case(api: httpx.Client, lead: str) -> None:
    assert api.post(f"/api/v1/leads/{lead}/handoff").json()["lead_id"] == LEAD


@pytest.mark.parametrize("lead", ["0" * 8 + LEAD[8:13] + "0" * 4 + LEAD[18:], "f" * 8 + LEAD[8:]])
def test_an_id_of_any_version_is_well_formed(api: httpx.Client, lead: str) -> None:
    uuid = f"{lead[:13]}-0000-0000-{'0' * 12}"
    assert api.post(f"/api/v1/leads/{uuid}/handoff").status_code == 404


# Media types.


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json ; charset="UTF-8"; x=y',
        "application/json;",
        " application/json",
        "application/vnd.vorel.v1+json",
        "application/problem+json; charset=utf-8",
    ],
)
def test_json_by_any_of_its_names(api: httpx.Client, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    assert api.post(CREATE, content=json.dumps(_record()), headers=headers).json()["ok"] is True
    assert api.post(HANDOFF, content=b'{"reason": "x"}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "json",
        "text/json",
        "text/plain",
        "application/jsonp",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/octet-stream",
        "*/*",
        "text/plain, application/json",
        "text/plain; application/json",
    ],
)
def test_what_is_not_json_names_content_type(api: httpx.Client, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    for path, body in ((CREATE, json.dumps(_record())), (HANDOFF, "{}")):
        answer = api.post(path, content=body, headers=headers)
        assert _fields_at_fault(answer) == {"Content-Type"}
        assert answer.json()["error"]["message"] == "Content-Type: must be application/json"


def test_no_media_type_is_json(api: httpx.Client) -> None:
    request = api.build_request("POST", CREATE, content=json.dumps(_record()))
    assert "Content-Type" not in request.headers
    assert api.send(request).json()["ok"] is True


def test_an_encoded_body_is_told_so(api: httpx.Client) -> None:
    answer = api.post(CREATE, content=b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"})
    assert answer.json()["error"]["message"] == "body: a Content-Encoding is not supported; send plain JSON"
