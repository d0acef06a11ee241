"""An answer made from a schema admits no excuse: it validates against that schema."""

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.contract import sampler as instance
from vorel_mock.contract.contract import Contract


def _made(schema: dict[str, Any]) -> Any:
    return instance.value(Contract({"components": {"schemas": {"S": schema}}}), schema)


@pytest.mark.parametrize("kind", ["integer", "number"])
@given(low=st.integers(-50, 50), width=st.integers(2, 20), exclusive=st.tuples(st.booleans(), st.booleans()))
def test_a_number_lies_within_its_bounds(kind: str, low: int, width: int, exclusive: tuple[bool, bool]) -> None:
    schema = {
        "type": kind,
        "exclusiveMinimum" if exclusive[0] else "minimum": low,
        "exclusiveMaximum" if exclusive[1] else "maximum": low + width,
    }
    jsonschema.validate(_made(schema), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "minimum": 0.25, "maximum": 0.5},
        {"type": "number", "exclusiveMaximum": -3},
        {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 1},
        {"type": "integer", "maximum": -7},
        {"type": "integer", "minimum": 5, "multipleOf": 4},
        {"type": "integer", "exclusiveMinimum": 8, "multipleOf": 4},
        {"type": "integer"},
    ],
)
def test_a_number_is_one_that_its_schema_admits(schema: dict[str, Any]) -> None:
    jsonschema.validate(_made(schema), schema)


#: What the schemas below refer to.
COMPONENTS: dict[str, Any] = {
    "Code": {"type": "string", "maxLength": 12},
    "Chain": {
        "type": "object",
        "required": ["next", "number"],
        "properties": {
            "number": {"type": "integer", "exclusiveMinimum": 0},
            "next": {"anyOf": [{"$ref": "#/components/schemas/Chain"}, {"type": "null"}]},
        },
    },
    "a/b {c}%": {"const": "odd"},
}

SCHEMAS: list[Any] = [
    {"type": "string", "pattern": r"^.\S\W\D(?:[^a-z]|x)*(['!])\w{2,}\1(?!x)y?$"},
    {"allOf": [{"type": "string", "pattern": "^a+$"}, {"pattern": "^.{3}$"}]},
    {"allOf": [{"type": "array", "contains": {"const": 1}}, {"contains": {"const": 2}, "minItems": 2}]},
    {"type": "array", "minItems": 2.0, "items": {"type": "string", "minLength": 7.0}},
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string", "minLength": 3}}, "required": ["a"]},
            {"properties": {"a": {"maxLength": 4, "pattern": "^x"}}, "required": ["b"]},
        ]
    },
    {
        "oneOf": [
            {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}},
            {"type": "object", "required": ["k"], "properties": {"k": {"const": "b"}}},
        ]
    },
    {"oneOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": 5}]},
    {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]},
    {"$ref": "#/components/schemas/Code", "minLength": 9},
    {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 7},
    {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 0.001},
    {"type": "integer", "exclusiveMaximum": 0, "multipleOf": 2.5},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}], "items": False},
    {
        "type": "array",
        "prefixItems": [{"type": "integer"}, {"const": "x"}],
        "minItems": 4,
        "items": {"type": "boolean"},
    },
    {"type": "array", "maxItems": 0, "items": {"type": "string"}},
    {"type": "object", "minProperties": 3},
    {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer", "minimum": 4}},
    {
        "type": "object",
        "minProperties": 2,
        "patternProperties": {"^x-[a-z]+$": {"type": "integer"}},
        "additionalProperties": False,
    },
    {"type": "object", "minProperties": 2, "propertyNames": {"pattern": "^[A-Z]+$"}},
    {"type": "array", "contains": {"const": 5}},
    {
        "type": "array",
        "contains": {"const": 5},
        "minContains": 2,
        "items": {"type": "integer"},
        "prefixItems": [{"const": 1}],
    },
    {"type": "object", "required": ["z"], "additionalProperties": {"type": "integer"}},
    {"type": "string", "format": "idn-email"},
    {"type": "string", "format": "date-time", "minLength": 24},
    {"type": "string", "format": "date-time", "minLength": 21},
    {"type": "string", "format": "email", "maxLength": 6},
    {"type": "string", "format": "email", "minLength": 30},
    {"type": "string", "format": "uri", "minLength": 60},
    {"type": "string", "pattern": "^[A-Z]{3}-\\d{4,}$", "minLength": 12},
    {"type": "string", "pattern": "^\\+[1-9]\\d{1,14}$"},
    {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "string"}},
    {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"enum": ["a", "b", "c"]}},
    {"type": "array", "uniqueItems": True, "minItems": 2, "items": {"type": "boolean"}},
    {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "integer", "minimum": 3, "multipleOf": 2}},
    {"not": {"type": "null"}},
    {"type": ["string", "null"], "not": {"const": "string"}},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "maxProperties": 1},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "dependentRequired": {"a": ["q"]}},
    {
        "type": "object",
        "properties": {"k": {"enum": ["x", "y"]}},
        "required": ["k"],
        "if": {"properties": {"k": {"const": "x"}}},
        "then": {"required": ["more"]},
    },
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {
                "type": "object",
                "properties": {"b": {"type": "string"}},
                "required": ["a"],
                "additionalProperties": True,
            },
        ],
        "unevaluatedProperties": False,
    },
    {"allOf": [{"type": "number"}, {"type": "integer"}, {"minimum": 3}, {"maximum": 9, "minimum": 5}]},
    {"allOf": [{"enum": ["a", "b", "c"]}, {"enum": ["b", "c"]}, {"not": {"const": "b"}}]},
    {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Chain"}}},
    {"$ref": "#/components/schemas/Chain"},
    {
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
    },
    {
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
    },
    {"type": "string", "minLength": 2, "maxLength": 3, "example": "toolong"},
    {"type": "string", "default": 5},
    {"type": "object", "properties": {"pw": {"type": "string", "writeOnly": True}}},
    {"enum": [None, "a"], "type": "string"},
    {"const": None},
    {},
    True,
    {"items": {"type": "integer"}, "minItems": 2},
    {
        "type": "array",
        "items": {
            "oneOf": [
                {"type": "object", "required": ["t"], "properties": {"t": {"const": "A"}}},
                {"type": "object", "required": ["t"], "properties": {"t": {"type": "string"}}},
            ]
        },
    },
    {"type": "string", "pattern": "^(foo|bar)$", "minLength": 3},
    {"type": "string", "pattern": "^\\S+$", "minLength": 20, "maxLength": 20},
    {"type": "string", "pattern": "^[^@]+@[^@]+$"},
    {"$ref": "#/components/schemas/a~1b%20%7Bc%7D%25"},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_a_value_is_one_that_its_schema_admits(schema: Any) -> None:
    document = {"components": {"schemas": COMPONENTS}}
    before = copy.deepcopy((document, schema))
    made = instance.value(Contract(document), schema)
    whole = {"allOf": [schema], **document}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(made)
    assert (document, schema) == before
    assert instance.value(Contract(document), schema) == made


def test_what_is_very_long_ends() -> None:
    for schema in ({"type": "string", "minLength": 10**12}, {"type": "array", "minItems": 10**12}):
        assert len(_made(schema)) == 10_000


def test_what_no_value_satisfies_ends() -> None:
    tree = {"type": "object", "required": list("abcdef"), "additionalProperties": {"$ref": "#/components/schemas/S"}}
    assert instance.value(Contract({"components": {"schemas": {"S": tree}}}), tree) is not None
