"""The body of a request: what is read as JSON, and what is a 400 that says why."""

import json
from itertools import count
from typing import Any

import httpx
import pytest

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App

CREATE = "/api/v1/crm/create-record"
HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
_numbers = count()


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))


@pytest.fixture(scope="module")
def app(mock: Mock) -> App:
    return App(mock)


def _contact(value: str) -> bytes:
    """A record with `value`, as it is written, in one of its fields."""
    key = next(_numbers)
    fields = b'{"email":"a@example.com","x":%s}' % value.encode()
    return b'{"object":"contact","idempotency_key":"%06d","fields":%s}' % (key, fields)


@pytest.mark.parametrize("digits", [4_301, 100_000])
def test_an_integer_too_long_to_be_read_is_a_400(api: httpx.Client, digits: int) -> None:
    answer = api.post(CREATE, content=_contact("9" * digits))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("body: ")


@pytest.mark.parametrize("innermost", ["", "1"])
@pytest.mark.parametrize(("levels", "status"), [(127, 200), (128, 200), (129, 400), (100_000, 400)])
def test_a_body_nests_128_levels_at_most(api: httpx.Client, levels: int, status: int, innermost: str) -> None:
    lists = levels - 2  # the body itself and `fields` are the outermost two
    answer = api.post(CREATE, content=_contact("[" * lists + innermost + "]" * lists))
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["message"] == "body: nests deeper than 128 levels"


def test_brackets_in_a_string_are_no_nesting(api: httpx.Client) -> None:
    assert api.post(CREATE, content=_contact('"' + "[{" * 1000 + '"')).json()["ok"] is True


BROKEN = {
    "a BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"reason": "x"}'.encode("utf-16"),
    "UTF-32": '{"reason": "x"}'.encode("utf-32"),
    "Latin-1": '{"reason": "é"}'.encode("latin-1"),
    "half of a character": '{"reason": "é"}'.encode()[:-3] + b'"}',
    "an overlong slash": b'{"reason": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"reason": "\xed\xa0\x80"}',
    "a byte that UTF-8 has not": b'{"reason": "\xff"}',
    "a lone high surrogate": rb'{"reason": "\ud83d"}',
    "a lone low surrogate": rb'{"reason": "\ude00"}',
    "surrogates the wrong way round": rb'{"reason": "\ude00\ud83d"}',
    "a lone surrogate in a name": rb'{"\ud83d": 1}',
    "NaN": b'{"x": NaN}',
    "Infinity": b'{"x": Infinity}',
    "-Infinity": b'{"x": -Infinity}',
    "1e400": b'{"x": 1e400}',
    "-1e400": b'{"x": -1e400}',
    "trailing garbage": b'{"reason": "x"}x',
    "two values": b"{}{}",
    "a NUL behind": b"{}\x00",
    "a comma too many": b'{"reason": "x",}',
    "single quotes": b"{'reason': 'x'}",
    "no quotes": b"{reason: 1}",
    "a comment": b'{"reason": "x" /* why */}',
    "a line break in a string": b'{"reason": "a\nb"}',
    "a tab in a string": b'{"reason": "a\tb"}',
    "an unknown escape": rb'{"reason": "\x41"}',
    "half an escape": rb'{"reason": "\u12"}',
    "a leading zero": b'{"x": 01}',
    "a plus": b'{"x": +1}',
    "a bare point": b'{"x": .5}',
    "hex": b'{"x": 0x10}',
    "an underscore": b'{"x": 1_000}',
    "True": b'{"x": True}',
    "undefined": b'{"x": undefined}',
    "cut off": b'{"reason": "x',
    "white space alone": b" \r\n\t",
    "a NUL": b"\x00",
    "a form": b"reason=x&summary=y",
    "XML": b"<reason>x</reason>",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("path", [CREATE, HANDOFF])
def test_what_is_not_json_in_utf8_names_the_body(api: httpx.Client, path: str, kind: str) -> None:
    answer = api.post(path, content=BROKEN[kind])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith("body: is not valid JSON in UTF-8 (")
    assert "\n" not in error["message"]


@pytest.mark.parametrize(
    ("body", "where"),
    [(b'{"a": }', "line 1 column 7"), (b'{\n"a": 1,\n}', "line 3 column 1"), (b'{"a": "\xff"}', "byte 7 is not UTF-8")],
)
def test_where_it_breaks_is_told(api: httpx.Client, body: bytes, where: str) -> None:
    assert where in api.post(HANDOFF, content=body).json()["error"]["message"]


def _stored(api: httpx.Client, mock: Mock, value: str) -> Any:
    """What became of `value`, as it was written, in the record that was stored."""
    assert api.post(CREATE, content=_contact(value)).json()["ok"] is True
    *_, record = next(mock.store.tenants()).crm_records
    return record.fields["x"]


@pytest.mark.parametrize(
    "value",
    [
        "9223372036854775807",
        "18446744073709551616",
        "-18446744073709551617",
        "9007199254740993",
        "1" * 4_300,
        "1e308",
        "5e-324",
        "0.1",
        "true",
        "null",
        '"\\u0000"',
        '"\\ud83d\\ude00"',
        '"\\/\\b\\f\\n\\r\\t\\"\\\\"',
        '{"a": {"b": [1, {"c": null}]}, "": []}',
    ],
    ids=lambda value: value[:24],
)
def test_what_is_json_is_kept_exactly(api: httpx.Client, mock: Mock, value: str) -> None:
    stored = _stored(api, mock, value)
    assert stored == json.loads(value)
    assert type(stored) is type(json.loads(value))


def test_of_two_members_of_one_name_the_last_one_counts(api: httpx.Client, mock: Mock) -> None:
    assert api.post(HANDOFF, content=b'{"reason": 7, "reason": "b", "reason": "c"}').status_code == 200
    *_, row = next(mock.store.tenants()).audit_log
    assert row.reason == "c"
    assert api.post(HANDOFF, content=b'{"reason": "a", "reason": 7}').status_code == 400


@pytest.mark.parametrize(("size", "status"), [(1_048_575, 200), (1_048_576, 200), (1_048_577, 400), (3_000_000, 400)])
def test_a_body_has_a_mebibyte_at_most(api: httpx.Client, size: int, status: int) -> None:
    body = _contact('"' + "x" * (size - len(_contact('""'))) + '"')
    assert len(body) == size
    answer = api.post(CREATE, content=body)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["message"] == "body: is longer than 1 MiB"
        assert answer.headers["Connection"] == "close"


def test_a_body_is_measured_in_bytes(api: httpx.Client) -> None:
    text = json.dumps("é" * 600_000, ensure_ascii=False)
    assert api.post(CREATE, content=_contact(text)).json()["error"]["message"] == "body: is longer than 1 MiB"


def test_a_body_in_pieces_is_one_body(api: httpx.Client) -> None:
    body = json.dumps({"reason": "x" * 200}).encode()
    pieces = (body[i : i + 7] for i in range(0, len(body), 7))
    assert api.post(HANDOFF, content=pieces).status_code == 200
