"""A deterministic answer made from an operation's response: its example, or the smallest value its schema admits."""

from collections.abc import Mapping
from typing import Any

import msgspec

from vorel_mock.api.exchange import Answer
from vorel_mock.contract import Contract, Operation, is_json

_MAX_DEPTH = 12
_FORMATS = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1M",
    "email": "ann@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/",
}


def answer(contract: Contract, operation: Operation) -> Answer:
    """The answer of `operation`, from the lowest 2xx response that it declares (else `default` as 200)."""
    successes = sorted(status for status in operation.responses if status.startswith("2"))
    status = successes[0] if successes else "default"
    content = operation.responses.get(status, {}).get("content") or {}
    number = int(status) if status.isdigit() else 200
    for media_type, media in content.items():
        if is_json(media_type):
            body = msgspec.json.encode(media_value(contract, media))
            return Answer(number, body, [(b"content-type", media_type.encode())])
    for media_type, media in content.items():
        text = media_value(contract, media)
        return Answer(number, str(text).encode(), [(b"content-type", media_type.encode())])
    return Answer(number, b"")


def media_value(contract: Contract, media: Mapping[str, Any]) -> Any:
    """A value of a media type, or of a parameter: its example, else one made from its schema."""
    if "example" in media:
        return media["example"]
    for entry in (media.get("examples") or {}).values():
        entry = contract.resolve(entry)
        if "value" in entry:
            return entry["value"]
    return value(contract, media.get("schema", {}))


def value(contract: Contract, schema: Any, depth: int = 0) -> Any:
    """The smallest value of `schema` that can be told without search; its own example or default where it has one."""
    schema = contract.resolve(schema)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    for keyword in ("const", "example", "default"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    for keyword in ("oneOf", "anyOf"):
        if schema.get(keyword):
            rest = {key: part for key, part in schema.items() if key != keyword}
            return value(contract, _merged(contract, [rest, schema[keyword][0]]), depth + 1)
    if schema.get("allOf"):
        rest = {key: part for key, part in schema.items() if key != "allOf"}
        return value(contract, _merged(contract, [rest, *schema["allOf"]]), depth + 1)
    return _of_type(contract, schema, _type(schema), depth)


def _of_type(contract: Contract, schema: dict[str, Any], kind: str | None, depth: int) -> Any:
    match kind:
        case "object":
            properties = schema.get("properties", {})
            wanted = [name for name in properties if name in schema.get("required", ()) or depth < 3]
            made = {name: value(contract, properties[name], depth + 1) for name in wanted}
            return made | {name: "string" for name in schema.get("required", ()) if name not in made}
        case "array":
            items = schema.get("items", {})
            return [value(contract, items, depth + 1) for _ in range(schema.get("minItems", 0 if depth > 3 else 1))]
        case "string":
            text = _FORMATS.get(schema.get("format", ""), "string")
            return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case _:
            return None


def _number(schema: dict[str, Any]) -> Any:
    """Zero, or what lies next to a bound, or half-way between two."""
    step = schema.get("multipleOf", 1)
    lower = [schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema]
    upper = [schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema]
    candidates = [0, *(step * (bound // step + up) for bound in lower for up in (0, 1))]
    candidates += [step * (-(-bound // step) - down) for bound in upper for down in (0, 1)]
    if lower and upper:
        candidates.append((max(lower) + min(upper)) / 2)
    return next((number for number in candidates if _admits(schema, number)), 0)


def _admits(schema: dict[str, Any], number: float) -> bool:
    infinity = float("inf")
    return (
        schema.get("minimum", -infinity) <= number <= schema.get("maximum", infinity)
        and schema.get("exclusiveMinimum", -infinity) < number < schema.get("exclusiveMaximum", infinity)
        and ("multipleOf" not in schema or number % schema["multipleOf"] == 0)
    )


def _type(schema: dict[str, Any]) -> str | None:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((name for name in kind if name != "null"), None)
    if kind is None and "properties" in schema:
        return "object"
    return kind


def _merged(contract: Contract, parts: list[Any]) -> dict[str, Any]:
    """One schema for several that hold together: enough for composition of objects, which is what documents use."""
    merged: dict[str, Any] = {}
    for part in map(contract.resolve, parts):
        if not isinstance(part, dict):
            continue
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged |= part
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
    return merged
