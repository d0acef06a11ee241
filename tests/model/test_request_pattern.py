"""Which requests a pattern means: a request meets its own description, and a difference names the place."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vorel_mock.model.request_pattern import MAX_BYTES, MAX_MEMBERS, RequestPattern, SeenRequest

LEAD = "3f0c1b52-8f6e-4d3a-9b1e-5a7c2d9e4f10"
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
BODIES = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


def seen(body: Any = None, *, headers: dict[str, str] | None = None, raw: bytes | None = None) -> SeenRequest:
    sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    content = json.dumps(body).encode() if raw is None else raw
    return SeenRequest("handoffLead", LEAD, "full-1", sent, content)


def pointer(*steps: str) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def without(value: Any) -> Any:
    """`value` with fewer members in its objects."""
    if isinstance(value, dict):
        return {name: without(member) for name, member in list(value.items())[::2]}
    return [without(item) for item in value] if isinstance(value, list) else value


@given(BODIES)
def test_a_request_meets_a_description_of_itself_and_of_a_part_of_it(body: dict[str, Any]) -> None:
    for members in (body, without(body)):
        pattern = RequestPattern.of({"body": {pointer(name): value for name, value in members.items()}})
        assert pattern.matches(seen(body))
        assert pattern.differences(seen(body)) == []
        assert RequestPattern.of(pattern.as_json()) == pattern
    plain = {name: value for name, value in body.items() if not name.startswith("/")}
    assert RequestPattern.of({"body": plain}).matches(seen(body))


@given(BODIES, BODIES)
def test_it_matches_if_and_only_if_nothing_differs(wanted: dict[str, Any], sent: dict[str, Any]) -> None:
    pattern = RequestPattern.of({"body": {pointer(name): value for name, value in wanted.items()}})
    assert pattern.matches(seen(sent)) is (pattern.differences(seen(sent)) == [])
    # Both directions at once are possible only for equal bodies, but for members that are null or absent.
    mirrored = RequestPattern.of({"body": {pointer(name): value for name, value in sent.items()}})
    if pattern.matches(seen(sent)) and mirrored.matches(seen(wanted)):
        assert _bare(wanted) == _bare(sent)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(member) for name, member in value.items() if member is not None}
    return [_bare(item) for item in value] if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"operation": "createCrmRecord"}, 'operation: wanted "createCrmRecord", found "handoffLead"'),
        ({"lead": LEAD.replace("3", "4").upper()}, f'lead: wanted "{LEAD.replace("3", "4")}", found "{LEAD}"'),
        ({"key": "burst-1"}, 'key: wanted "burst-1", found "full-1"'),
        ({"headers": {"X-Trace": "a"}}, 'headers.X-Trace: wanted "a", found "b, c"'),
        ({"headers": {"Accept": "a"}}, 'headers.Accept: wanted "a", found absent'),
        ({"headers": {"x-trace": None}}, 'headers.x-trace: wanted absent, found "b, c"'),
        ({"body": {"/fields/tags/1": "y"}}, 'body.fields.tags.1: wanted "y", found "z"'),
        ({"body": {"fields": {"age": 1}}}, "body.fields.age: wanted 1, found true"),
        ({"body": {"/fields/tags/2": "y"}}, 'body.fields.tags.2: wanted "y", found absent'),
        ({"body": {"fields": {"tags": ["x"]}}}, 'body.fields.tags: wanted ["x"], found ["x","z"]'),
        ({"body": {"reason": None}}, 'body.reason: wanted absent, found "late"'),
    ],
)
def test_a_difference_names_the_place_and_both_values(wanted: dict[str, Any], told: str) -> None:
    body = {"reason": "late", "fields": {"age": True, "tags": ["x", "z"]}}
    request = SeenRequest(
        "handoffLead", LEAD, "full-1", [(b"x-trace", b"b"), (b"x-trace", b"c")], json.dumps(body).encode()
    )
    pattern = RequestPattern.of(wanted)
    assert [str(difference) for difference in pattern.differences(request)] == [told]
    assert not pattern.matches(request)


def test_one_of_repeated_headers_is_enough_and_a_body_that_is_no_json_has_no_member() -> None:
    request = SeenRequest(None, None, None, [(b"x", b"1"), (b"x", b"2")], b"\xff{")
    assert RequestPattern.of({"headers": {"X": "2"}, "body": {"a": None}}).matches(request)
    assert [str(d) for d in RequestPattern.of({"operation": "a", "body": {"a": 1}}).differences(request)] == [
        'operation: wanted "a", found absent',
        "body.a: wanted 1, found absent",
    ]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"lead": "17"}, "lead: must be a UUID"),
        ({"headers": {"Authorization": "Bearer x"}}, "headers.Authorization: carries the key"),
        ({"body": {"/a~2": 1}}, "body./a~2: is no JSON pointer"),
        ({"body": dict.fromkeys(map(str, range(MAX_MEMBERS + 1)), 1)}, f"body: must have at most {MAX_MEMBERS}"),
        ({"body": {"a": "x" * MAX_BYTES}}, "body: must be at most 16 KiB"),
    ],
)
def test_a_pattern_that_could_match_nothing_or_is_too_large_is_rejected(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        RequestPattern.of(wanted)
