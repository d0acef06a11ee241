"""`drift`: what changed between two documents, and whom that breaks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from tests.paths import ROOT

from vorel_conformance.spec import clauses, contract
from vorel_conformance.spec.drift import operations, sentences
from vorel_conformance.spec.drift.change import Change, Place
from vorel_conformance.spec.drift.schemas import Schemas

Kit = Callable[..., Result]
Edit = Callable[[dict[str, Any]], object]
HANDOFF = "/paths/~1api~1v1~1leads~1{id}~1handoff/post"
CRM = "/paths/~1api~1v1~1crm~1create-record/post"


def document() -> dict[str, Any]:
    return copy.deepcopy(contract.load().document)


def at(found: dict[str, Any], pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        found = found[token.replace("~1", "/").replace("~0", "~")]
    return found


def body_of(found: dict[str, Any], operation: str) -> dict[str, Any]:
    schema = at(found, f"{operation}/requestBody/content/application~1json/schema")
    resolved: dict[str, Any] = at(found, schema["$ref"].removeprefix("#"))
    return resolved


def answer_of(found: dict[str, Any], operation: str) -> dict[str, Any]:
    schema = at(found, f"{operation}/responses/200/content/application~1json/schema")
    resolved: dict[str, Any] = at(found, schema["$ref"].removeprefix("#")) if "$ref" in schema else schema
    return resolved


def changed(edit: Edit) -> list[Change]:
    new = document()
    edit(new)
    return operations.changes(document(), new)


def test_a_document_has_not_drifted_from_itself(kit: Kit) -> None:
    assert operations.changes(document(), document()) == []
    assert sentences.lost(document()) == []
    assert sentences.unclaimed(document()) == []
    found = kit("drift", ROOT / "openapi.json")
    assert found.exit_code == 0, found.output
    assert [line.rpartition(": ")[2] for line in found.output.splitlines()] == ["0"] * 5


@pytest.mark.parametrize(
    ("edit", "breaks", "said"),
    [
        (lambda new: new["paths"].popitem(), "c", "the operation is gone"),
        (lambda new: new["paths"].update({"/x": {"get": {"responses": {}}}}), "s", "the operation is new"),
        (lambda new: next(iter(at(new, f"{HANDOFF}/security")[0].values())).append("x:y"), "c", "asks for"),
        (lambda new: next(iter(at(new, f"{HANDOFF}/security")[0].values())).__setitem__(0, "x:y"), "cs", "asks for"),
        (lambda new: at(new, f"{HANDOFF}/security").append({}), "s", "or nothing"),
        (lambda new: at(new, f"{HANDOFF}/requestBody").update(required=True), "c", "is required"),
        (lambda new: at(new, f"{CRM}/requestBody").update(required=False), "s", "is optional"),
        (lambda new: at(new, HANDOFF).pop("requestBody"), "c", "body: is gone"),
        (lambda new: body_of(new, HANDOFF)["properties"]["reason"].update(maxLength=5), "c", "/reason: maxLength"),
        (lambda new: body_of(new, HANDOFF)["properties"]["reason"].update(maxLength=9000), "s", "/reason: maxLength"),
        (lambda new: body_of(new, HANDOFF)["properties"]["reason"].update(type=["string", "null"]), "s", "type is"),
        (lambda new: body_of(new, HANDOFF)["properties"]["reason"].update(pattern="x"), "c", "pattern is new"),
        (lambda new: body_of(new, HANDOFF).update(required=["reason"]), "c", "/reason: is required"),
        (lambda new: body_of(new, HANDOFF)["properties"].update(x={}), "", "/x: is new"),
        (lambda new: body_of(new, CRM)["properties"]["object"]["enum"].pop(), "c", "enum lost"),
        (lambda new: body_of(new, CRM)["properties"]["object"]["enum"].append("quote"), "s", 'enum got "quote"'),
        (lambda new: answer_of(new, HANDOFF)["required"].pop(), "c", "is optional"),
        (lambda new: answer_of(new, HANDOFF)["properties"]["notified_channel"]["enum"].append("sms"), "c", "enum got"),
        (lambda new: answer_of(new, HANDOFF)["properties"]["handoff_id"].pop("format"), "c", "format is gone"),
        (lambda new: at(new, f"{HANDOFF}/responses").pop("404"), "s", "response 404: is gone"),
        (lambda new: at(new, f"{HANDOFF}/responses").update({"409": {}}), "", "response 409: is new"),
        (lambda new: at(new, f"{HANDOFF}/responses").update({"202": {}}), "c", "response 202: is new"),
        (lambda new: at(new, f"{HANDOFF}/parameters").append({"in": "query", "name": "q"}), "s", "query parameter q"),
        (
            lambda new: at(new, f"{HANDOFF}/parameters").append({"in": "query", "name": "q", "required": True}),
            "c",
            "is new and required",
        ),
        (lambda new: new["info"].update(description="other words", version="9"), None, ""),
        (lambda new: body_of(new, HANDOFF)["properties"]["reason"].update(description="other", example=1), None, ""),
    ],
)
def test_whom_a_change_breaks(edit: Edit, breaks: str | None, said: str) -> None:
    found = changed(edit)
    if breaks is None:
        assert found == []
        return
    assert found
    assert {"c" for each in found if each.breaks_clients} | {"s" for each in found if each.breaks_servers} == set(
        breaks
    )
    assert any(said in f"{each.where}: {each.what}" for each in found), found


def test_a_shared_response_is_told_for_each_operation_that_has_it() -> None:
    found = changed(lambda new: at(new, "/components/schemas/ErrorEnvelope/properties/error/required").clear())
    assert {change.where.partition(",")[0] for change in found} == {
        f"{each.method} {each.path}" for each in contract.load().operations.values()
    }


# The oracle: if nothing narrows, what the old schema accepts the new one accepts too; and the other way round.

_TYPES = st.sampled_from(["string", "integer", "number", "null", "object", "array", ["string", "null"]])
_SCALARS = st.one_of(
    st.fixed_dictionaries(
        {}, optional={"type": _TYPES, "minLength": st.integers(0, 2), "maxLength": st.integers(1, 3)}
    ),
    st.fixed_dictionaries(
        {}, optional={"minimum": st.integers(0, 3), "maximum": st.integers(2, 5), "exclusiveMaximum": st.integers(1, 4)}
    ),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(["a", "b", 1, 2, None]), min_size=1, unique_by=repr)}),
    st.booleans(),
)


def _object(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = {"properties": st.fixed_dictionaries({"a": values, "b": values})}
    more = {"required": st.lists(st.sampled_from("ab"), unique=True), "additionalProperties": st.booleans() | values}
    return st.one_of(
        st.fixed_dictionaries(members, optional=more),
        st.fixed_dictionaries({"items": values}, optional={"maxItems": st.integers(0, 2)}),
        st.fixed_dictionaries({"anyOf": st.lists(values, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(values, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"oneOf": st.lists(values, min_size=1, max_size=2)}),
    )


_SCHEMAS = st.one_of(_SCALARS, _object(_SCALARS), _object(_object(_SCALARS)))
_ATOMS = ["", "a", "b", "abc", 0, 1, 2, 2.5, 4, 9, None, True, [], {}]
_VALUES = [
    *_ATOMS,
    *([each] for each in _ATOMS),
    *({"a": each} for each in _ATOMS),
    *({"b": each, "c": each} for each in _ATOMS),
    *({"a": one, "b": other} for one in _ATOMS[:6] for other in _ATOMS[3:]),
    [{"a": 1}, "b"],
    {"a": {"b": 1}},
    {"a": {"a": "a", "b": "abc"}, "b": [1]},
]


@given(_SCHEMAS, _SCHEMAS)
def test_what_does_not_narrow_accepts_what_was_accepted(old: Any, new: Any) -> None:
    found = list(Schemas({}, {}).compared(old, new, Place("x", "/x")))
    effects = {change.effect for change in found}
    before, now = (jsonschema_rs.Draft202012Validator(each) for each in (old, new))
    assert list(Schemas({}, {}).compared(old, old, Place("x", "/x"))) == []
    if effects <= {"widens"}:
        assert [value for value in _VALUES if before.is_valid(value) and not now.is_valid(value)] == []
    if effects <= {"narrows"}:
        assert [value for value in _VALUES if now.is_valid(value) and not before.is_valid(value)] == []


@given(_SCHEMAS, _SCHEMAS)
def test_the_way_back_has_the_opposite_effects(old: Any, new: Any) -> None:
    def effects(one: Any, other: Any) -> list[tuple[str, str]]:
        found = Schemas({}, {}).compared(one, other, Place("x", "/x"))
        return sorted((change.pointer, change.effect) for change in found)

    opposite = {"widens": "narrows", "narrows": "widens", "unknown": "unknown", "none": "none"}
    assert [(pointer, opposite[effect]) for pointer, effect in effects(old, new)] == sorted(
        (pointer, effect) for pointer, effect in effects(new, old)
    ) or sorted((pointer, opposite[effect]) for pointer, effect in effects(old, new)) == effects(new, old)


# Clauses.


def test_a_clause_whose_sentence_changed_is_named() -> None:
    new = document()
    response = at(new, "/components/responses/Unauthorized")
    response["description"] = "Another sentence."
    lost = sentences.lost(new)
    assert lost
    assert {each.why for each in lost} == {"reads differently"}
    assert all(each.pointer.startswith("/components/responses/Unauthorized") for each in lost)
    del new["paths"]["/api/v1/leads/{id}/handoff"]
    gone = {each.clause for each in sentences.lost(new) if each.why == "is gone"}
    assert gone == {
        each.id
        for each in clauses.load_all().values()
        if any(each.source([name])[0].startswith(HANDOFF.removesuffix("/post")) for name in ("", *each.places))
    }


def test_an_operation_without_a_clause_is_named(kit: Kit, tmp_path: Path) -> None:
    new = document()
    new["paths"]["/api/v1/leads"] = {"get": {"responses": {"200": {"description": "Leads."}}}}
    path = tmp_path / "new.yaml"
    path.write_text(yaml.safe_dump(new))
    found = kit("drift", path)
    assert found.exit_code == 1
    assert found.output.endswith("Operations without a clause: 1\n  GET /api/v1/leads\n")
    told = json.loads(kit("drift", path, "--json").output)
    assert told["operations_without_clause"] == ["GET /api/v1/leads"]
    (only,) = told["changes"]
    assert only["breaks"] == ["servers"]
    assert kit("drift", ROOT / "openapi.json", "--against", path).output.startswith("Breaking for clients: 1\n")


def test_an_older_spelling_of_the_same_is_no_change(tmp_path: Path, kit: Kit) -> None:
    old, new = document(), document()
    body_of(old, HANDOFF)["properties"]["reason"] = {"type": ["string", "null"], "maxLength": 9}
    body_of(new, HANDOFF)["properties"]["reason"] = {"type": "string", "nullable": True, "maxLength": 9}
    assert operations.changes(old, new) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON: line 1"),
        (b"[]", "no object `paths`"),
        (b"{}", "no object `paths`"),
        (b'{"swagger": "2.0", "paths": {}}', "OpenAPI 2.0; the kit compares documents of OpenAPI 3"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"openapi": "3.1.0", "paths": {"/x": 5}}', "not a valid OpenAPI document"),
        (b'{"openapi": "3.1.0", "paths": {"/x": {"get": {"parameters": [{"$ref": "other.json"}]}}}}', "bundle it"),
        (b'{"openapi": "3.1.0", "paths": {"/x": {"get": {"parameters": [{"$ref": "#/x"}]}}}}', "has nothing at /x"),
        (b"[" * 200_000, "cannot be parsed"),
    ],
)
def test_what_cannot_be_compared_is_told(kit: Kit, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "new.json"
    path.write_bytes(content)
    found = kit("drift", path, "--against", path)
    assert found.exit_code == 2, found.output
    assert found.output.startswith(f"vorel-conformance: {path}: ")
    assert message in found.output
    if b"$ref" not in content:  # of an operation that only one of the documents has, nothing is looked at
        assert kit("drift", path).output == found.output
        assert kit("drift", ROOT / "openapi.json", "--against", path).output == found.output
    assert kit("drift", tmp_path / "none.json").exit_code == 2
