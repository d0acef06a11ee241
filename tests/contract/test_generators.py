"""Renderings of the contract document, for generators of clients: they are valid, and say the same."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator
from tests.paths import DATA, ROOT

from vorel_mock.contract import contract, sampler
from vorel_mock.contract.generators import as_openapi_3_0, for_openapi_generator
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

SOURCES = [ROOT / "openapi.json", DATA / "larger.yaml"]


def rendered(**schema: Any) -> Any:
    """The schema of a body, in OpenAPI 3.0."""
    content = {"application/json": {"schema": schema}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1", "summary": "s", "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": {"/": {"post": {"requestBody": {"content": content}}}},
    }
    made = as_openapi_3_0(document)
    assert not list(OpenAPIV30SpecValidator(made).iter_errors())
    assert made["info"] == {"title": "t", "version": "1", "license": {"name": "MIT"}}
    return made["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_it_is_valid_openapi_3_0(source: Path) -> None:
    made = as_openapi_3_0(contract.load(source).document)
    assert made["openapi"] == "3.0.3"
    assert not list(OpenAPIV30SpecValidator(made).iter_errors())
    assert as_openapi_3_0(made) is made
    assert json.dumps(contract.load(source).document) == json.dumps(contract.load(source).document)


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": "null"}, {"enum": [None], "nullable": True}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer", "nullable": True}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        ({"type": "integer", "exclusiveMinimum": 1}, {"type": "integer", "minimum": 1, "exclusiveMinimum": True}),
        ({"minimum": 5, "exclusiveMinimum": 1}, {"minimum": 5}),
        ({"maximum": 5, "exclusiveMaximum": 5}, {"maximum": 5, "exclusiveMaximum": True}),
        ({"properties": {"const": {"const": 1}, "any": True}}, {"properties": {"const": {"enum": [1]}, "any": {}}}),
        ({"type": "string", "contentEncoding": "base64"}, {"type": "string", "format": "byte"}),
        ({"type": "object", "if": {}, "then": False, "unevaluatedProperties": False}, {"type": "object"}),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {"additionalProperties": True}),
        (
            {"prefixItems": [{"const": 1}], "items": False, "type": "array"},
            {"type": "array", "items": {"anyOf": [{"enum": [1]}]}},
        ),
        ({"default": {"const": 1}, "x-const": {"const": 1}}, {"default": {"const": 1}, "x-const": {"const": 1}}),
    ],
    ids=str,
)
def test_a_keyword(schema: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert rendered(**schema) == wanted


def test_a_reference_with_siblings_and_one_into_defs() -> None:
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "webhooks": {},
        "components": {
            "schemas": {
                "A": {"$ref": "#/components/schemas/B", "description": "siblings"},
                "B": {"$defs": {"A": {"const": 1}}, "properties": {"a": {"$ref": "#/components/schemas/B/$defs/A"}}},
                "C": {"oneOf": [{"$ref": "#/components/schemas/B"}, {"type": "null"}]},
            }
        },
    }
    made = as_openapi_3_0(document)
    assert not list(OpenAPIV30SpecValidator(made).iter_errors())
    assert made["components"]["schemas"] == {
        "A": {"description": "siblings", "allOf": [{"$ref": "#/components/schemas/B"}]},
        "B": {"properties": {"a": {"$ref": "#/components/schemas/A_"}}},
        "C": {"nullable": True, "allOf": [{"$ref": "#/components/schemas/B"}]},
        "A_": {"enum": [1]},
    }
    assert made["paths"] == {}


def test_a_shared_path_item_stands_where_it_is_used() -> None:
    item = {"get": {"responses": {"204": {"description": "Done."}}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"$ref": "#/components/pathItems/Shared"}},
        "components": {"pathItems": {"Shared": item}},
    }
    made = as_openapi_3_0(document)
    assert made["paths"] == {"/a": item}
    assert made["components"] == {}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_its_schemas_allow_what_the_document_allows(source: Path) -> None:
    """By validators of either dialect, for values that the mock would answer with, and what is made of them."""
    loaded = contract.load(source)
    document: Any = loaded.document
    made = as_openapi_3_0(document)
    judged = 0
    for name in document["components"]["schemas"]:
        reference = {"$ref": f"#/components/schemas/{name}"}
        wanted = Draft202012Validator({**reference, "components": document["components"]})
        found = OAS30Validator({"allOf": [reference], "components": made["components"]})
        value = sampler.value(loaded, reference)
        less = (
            [{k: v for k, v in value.items() if k != left_out} for left_out in value] if isinstance(value, dict) else []
        )
        for each in [value, *less, None, True, 7, "", [], {}]:
            judged += wanted.is_valid(each)
            assert found.is_valid(each) or not wanted.is_valid(each), (name, each)
            assert wanted.is_valid(each) or not found.is_valid(each) or source.name != "openapi.json", (name, each)
    assert judged > len(document["components"]["schemas"])


def test_the_mock_serves_it_alike(tmp_path: Path) -> None:
    file = tmp_path / "vorel-3.0.json"
    file.write_text(json.dumps(as_openapi_3_0(contract.load(None).document)), "utf-8")
    lead, key = demo.lead_id(1, 1), demo.token(1, 1, 1)
    requests = [
        (f"/api/v1/leads/{lead}/handoff", {"reason": "x"}),
        (f"/api/v1/leads/{lead}/handoff", {"reason": 1}),
        (f"/api/v1/leads/{lead}/handoff", {"reason": "x" * 201}),
        ("/api/v1/leads/none/handoff", {}),
        ("/api/v1/crm/create-record", {"object": "contact", "fields": {"last_name": "a"}, "idempotency_key": "1"}),
        ("/api/v1/crm/create-record", {"object": "none", "fields": {}, "idempotency_key": ""}),
        ("/api/v1/nowhere", {}),
    ]

    def answers(source: Path | None) -> list[tuple[int, bytes]]:
        app = App(Mock(Settings(seed=1, clock="frozen", contract=source)))
        with httpx.Client(transport=MockTransport(app), base_url="http://127.0.0.1:3000") as client:
            client.headers["Authorization"] = f"Bearer {key}"
            return [(r.status_code, r.content) for r in (client.post(path, json=body) for path, body in requests)]

    found = answers(file)
    assert found == answers(None)
    assert [status for status, _ in found] == [200, 400, 400, 400, 200, 400, 404]


def test_for_openapi_generator_it_differs_where_that_fails_and_nowhere_else() -> None:  # M48
    document: Any = contract.load(None).document
    made = for_openapi_generator(document)
    assert made["info"]["license"]["identifier"] == "LicenseRef-Proprietary"
    expected = json.loads(json.dumps(document))
    expected["info"]["license"]["identifier"] = "LicenseRef-Proprietary"
    alternatives = expected["components"]["schemas"]["CrmCreateRecordResponse"]["oneOf"]
    assert [schema["properties"]["ok"].pop("enum") for schema in alternatives] == [[True], [False]]
    assert made == expected
