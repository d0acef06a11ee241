"""Check a document against the schema that OpenAPI 3.1 publishes."""

import json
from importlib import resources
from typing import Any

import jsonschema_rs

from vorel_mock.contract.document_file import ContractError, escape

_2020_12 = "https://json-schema.org/draft/2020-12/schema"
_DIALECTS = (_2020_12, "https://spec.openapis.org/oas/3.1/dialect/")
_PROBLEMS_SHOWN = 3


def check(document: dict[str, Any]) -> None:
    """Raises ContractError, which names up to three places, if `document` is not an OpenAPI 3.1 document."""
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1."):
        said = f"its `openapi` member says {version!r}" if "openapi" in document else "it has no `openapi` member"
        raise ContractError(f"is not an OpenAPI 3.1 or 3.0 document: {said}")
    # If a part is wrong, the parts around it are reported as well: the innermost ones are at fault.
    errors = sorted(_validator().iter_errors(document), key=lambda error: -len(error.instance_path))
    places: list[tuple[str | int, ...]] = []
    problems = []
    for error in errors:
        place = tuple(error.instance_path)
        if not any(other[: len(place)] == place for other in places):
            places.append(place)
            problems.append(f"{error.message.splitlines()[0][:200]} at #{''.join('/' + escape(str(s)) for s in place)}")
    if problems:
        raise ContractError("is not a valid OpenAPI 3.1 document: " + "; ".join(problems[:_PROBLEMS_SHOWN]))
    dialect = document.get("jsonSchemaDialect", _2020_12)
    if not dialect.startswith(_DIALECTS):
        raise ContractError(f"its jsonSchemaDialect {dialect!r} is unknown; the mock knows {_2020_12}")


def _validator() -> jsonschema_rs.Draft202012Validator:
    """OpenAPI's schema, which leaves open what a schema is; here it is what JSON Schema says."""
    # The library has the schema as a file. It has a validator, too, which cannot tell where a schema is wrong.
    file = resources.files("openapi_spec_validator") / "resources" / "schemas" / "v3.1" / "schema.json"
    published = json.loads(file.read_text("utf-8"))
    schema = {
        "$id": "urn:vorel:openapi",
        "$schema": _2020_12,
        "$ref": published["$id"],
        "$defs": {"schema": {"$dynamicAnchor": "meta", "$ref": _2020_12}},
    }
    registry = jsonschema_rs.Registry([(published["$id"], published)], draft=jsonschema_rs.Draft202012)
    return jsonschema_rs.Draft202012Validator(schema, registry=registry)
