"""The contract document for generators of clients that cannot read it as it is.

A rendering allows what the document allows. Where a generator, or OpenAPI 3.0, has no words for a restriction, it
leaves that out and never adds one.
"""

from collections.abc import Callable, Mapping
from typing import Any

#: Members whose values are data, in which nothing is to be converted.
_DATA = ("example", "examples", "default", "enum", "const")
#: Keywords of a schema of OpenAPI 3.0.3, beside those that are converted.
_KEPT = {
    *("title", "description", "format", "default", "enum", "example", "required", "discriminator", "xml"),
    *("multipleOf", "maximum", "minimum", "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems"),
    *("maxProperties", "minProperties", "readOnly", "writeOnly", "deprecated", "externalDocs", "nullable"),
}
_OF_SCHEMAS = ("allOf", "oneOf", "anyOf")


def for_openapi_generator(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` without what openapi-generator 7 fails at.

    It demands an identifier of the license, which OpenAPI 3.1 does not. A boolean with an enum becomes a class that
    does not compile (Java) or takes no value (Python); which alternative of a oneOf is meant, `required` says as well.
    """
    rendered: dict[str, Any] = _without_boolean_enums(document)
    license_ = rendered["info"].get("license")
    if license_ is not None and not license_.keys() & {"identifier", "url"}:
        license_["identifier"] = "LicenseRef-" + license_.get("name", "unknown").replace(" ", "-")
    return rendered


def as_openapi_3_0(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 `document` in OpenAPI 3.0.3; one of 3.0 as it is."""
    if str(document["openapi"]).startswith("3.0"):
        return document
    document = _with_schemas_in_components(document)
    path_items = document.get("components", {}).get("pathItems", {})
    rendered: dict[str, Any] = {"openapi": "3.0.3", "info": _info(document["info"])}
    for name, member in document.items():
        if name not in ("openapi", "info", "jsonSchemaDialect", "webhooks", "paths"):
            rendered[name] = _converted(member)
    rendered["paths"] = {
        path: _path_item(path_items.get(str(item.get("$ref", "")).rpartition("/")[2], item))
        for path, item in document.get("paths", {}).items()
    }
    rendered.get("components", {}).pop("pathItems", None)
    return rendered


#: What a rendering can be for: the values of `vorel-mock contract --for`.
RENDERINGS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "openapi-generator": for_openapi_generator,
    "openapi-3.0": as_openapi_3_0,
}


def _without_boolean_enums(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_boolean_enums(item) for item in node]
    if not isinstance(node, dict):
        return node
    left_out = ("enum", "const") if node.get("type") == "boolean" else ()
    return {name: _without_boolean_enums(member) for name, member in node.items() if name not in left_out}


def _info(info: dict[str, Any]) -> dict[str, Any]:
    rendered = {name: member for name, member in info.items() if name != "summary"}
    if "license" in info:
        rendered["license"] = {name: member for name, member in info["license"].items() if name != "identifier"}
    return rendered


def _path_item(item: dict[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = _converted(item)
    for operation in converted.values():
        if isinstance(operation, dict):
            operation.setdefault("responses", {"default": {"description": "Any response."}})  # 3.0 demands one
    return converted


def _converted(node: Any) -> Any:
    """Return a part of the document, outside of schemas."""
    if isinstance(node, list):
        return [_converted(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    return {name: _member(name, member) for name, member in node.items()}


def _member(name: str, member: Any) -> Any:
    if name in _DATA or name.startswith("x-"):
        return member
    if name == "schema":
        return _schema(member)
    if name == "schemas":
        return {each: _schema(schema) for each, schema in member.items()}
    return _converted(member)


def _schema(schema: Any) -> dict[str, Any]:
    """Return a schema of JSON Schema 2020-12 in the dialect of OpenAPI 3.0."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    schema = _without_null(schema)
    made = {name: member for name, member in schema.items() if name in _KEPT or name.startswith("x-")}
    made |= _subschemas(schema)
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if schema.get("examples") and "example" not in made:
        made["example"] = schema["examples"][0]
    for bound, exclusive, tighter in (("minimum", "exclusiveMinimum", max), ("maximum", "exclusiveMaximum", min)):
        limit = schema.get(exclusive)
        if isinstance(limit, bool):
            made[exclusive] = limit
        elif limit is not None and tighter(limit, made.get(bound, limit)) == limit:
            made |= {bound: limit, exclusive: True}
    if schema.get("contentEncoding") == "base64":
        made.setdefault("format", "byte")
    elif schema.get("contentMediaType") == "application/octet-stream":
        made.setdefault("format", "binary")
    made = _typed(made, schema.get("type"))
    if "$ref" in schema:
        reference = {"$ref": schema["$ref"]}
        return {**made, "allOf": [reference, *made.get("allOf", [])]} if made else reference
    return made


def _subschemas(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of `schema` that hold schemas."""
    made: dict[str, Any] = {}
    if "properties" in schema:
        made["properties"] = {name: _schema(each) for name, each in schema["properties"].items()}
    if "not" in schema:
        made["not"] = _schema(schema["not"])
    if "patternProperties" in schema:
        made["additionalProperties"] = True  # which names have which schema cannot be said
    elif isinstance(extra := schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _schema(extra)
    elif extra is not None:
        made["additionalProperties"] = extra
    if "prefixItems" in schema:
        alternatives = [*schema["prefixItems"], schema.get("items", True)]
        made["items"] = {"anyOf": [_schema(each) for each in alternatives if each is not False]}
        if True in alternatives:
            made["items"] = {}
    elif "items" in schema:
        made["items"] = _schema(schema["items"])
    for keyword in _OF_SCHEMAS:
        if keyword in schema:
            made[keyword] = [_schema(each) for each in schema[keyword]]
    return made


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` with `nullable` instead of an alternative that is null alone."""
    for keyword in ("anyOf", "oneOf"):
        alternatives = schema.get(keyword, [])
        others = [each for each in alternatives if each != {"type": "null"}]
        if not others or len(others) == len(alternatives):
            continue
        schema = {name: member for name, member in schema.items() if name != keyword}
        (first, *more) = others
        if more:
            schema[keyword] = others
        elif isinstance(first, dict) and "$ref" not in first and not first.keys() & schema.keys():
            schema |= first
        else:  # the form that generators know
            schema["allOf"] = [*schema.get("allOf", []), first]
        schema["nullable"] = True
    return schema


def _typed(made: dict[str, Any], types: Any) -> dict[str, Any]:
    """Return `made` with the type or types of JSON Schema."""
    if types is None:
        return made
    names = [types] if isinstance(types, str) else list(types)
    others = [name for name in names if name != "null"]
    if not others:
        return {**made, "enum": [None], "nullable": True}
    nullable = {"nullable": True} if "null" in names else {}
    if len(others) == 1:
        made = {"type": others[0], **made, **nullable}
        return {**made, "items": made.get("items", {})} if others == ["array"] else made  # 3.0 demands it
    items = made.pop("items", {})
    alternatives = [{"type": name, **({"items": items} if name == "array" else {}), **nullable} for name in others]
    if "anyOf" in made:
        return {**made, "allOf": [*made.get("allOf", []), {"anyOf": alternatives}]}
    return {**made, "anyOf": alternatives}


def _with_schemas_in_components(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` with the `$defs` of its schemas among its components, where 3.0 can refer to them."""
    components = document.get("components", {})
    moved: dict[str, str] = {}
    found: dict[str, Any] = {}

    def collect(node: Any, pointer: str) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, member in items:
            step = str(name).replace("~", "~0").replace("/", "~1")
            collect(member, f"{pointer}/{step}")
            if pointer.endswith("/$defs"):
                free = str(name)
                while free in components.get("schemas", {}) or free in found:
                    free += "_"
                found[free], moved[f"{pointer}/{step}"] = member, f"#/components/schemas/{free}"

    def redirected(node: Any) -> Any:
        if isinstance(node, list):
            return [redirected(item) for item in node]
        if not isinstance(node, dict):
            return node
        changed = {name: redirected(member) for name, member in node.items() if name != "$defs"}
        if isinstance(reference := node.get("$ref"), str):
            changed["$ref"] = moved.get(reference, reference)
        return changed

    collect(document, "#")
    if not moved:
        return document
    rendered: dict[str, Any] = redirected(document)
    rendered.setdefault("components", {}).setdefault("schemas", {}).update(redirected(found))
    return rendered
