"""Validation messages of the control plane: the field, what is wrong, and what is allowed.

Connexion validates and calls the two classes. Its own messages quote the value and the schema, which the reader would
have to compare.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from json import dumps
from typing import Any

from jsonschema import ValidationError

from vorel_mock.contract.connexion_import import (
    BadRequestProblem,
    Draft4RequestValidator,
    JSONRequestBodyValidator,
    ParameterValidator,
)
from vorel_mock.model.unknown_name import unknown_name

#: In an ASGI scope: the value of the body.
BODY = "vorel_mock.body"
#: Violations that one response lists.
_MOST = 5
#: Values of an enum that one response lists. If there are more, the schema's description says where to find them.
_FEW = 20
_TYPES = {"integer": "a whole number", "object": "an object", "array": "a list", "boolean": "true or false"}
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "maxProperties": "must have at most {} fields",
}


class Body(JSONRequestBodyValidator):
    """Body validator of Connexion, which checks the value that was read already, and names each wrong field."""

    async def _parse(self, stream: Any, scope: Any) -> Any:
        async for _ in stream:
            pass
        return scope[BODY]

    def _validate(self, body: Any) -> None:
        _check(body, self._schema, "body")


class Parameters(ParameterValidator):
    """Parameter validator of Connexion, with errors of one line that begin with the parameter."""

    def validate_request(self, request: Any) -> None:
        """Reject an unknown query parameter: a misspelt filter would match everything."""
        known = [parameter["name"] for parameter in self.parameters.get("query", [])]
        for name in request.query_params:
            if name not in known:
                raise BadRequestProblem(detail=_unknown_parameter(name, known))
        super().validate_request(request)

    @staticmethod
    def validate_parameter(parameter_type: str, value: Any, param: Any, param_name: str | None = None) -> str | None:
        """Return the problem of one parameter, if there is one."""
        if value is not None:
            _check(value, param["schema"], param["name"])
        elif param.get("required"):
            return f"{param['name']}: is required"
        return None


def _check(value: Any, schema: Any, name: str) -> None:
    """Raises BadRequestProblem with a sentence for each wrong field of `value`, which is called `name`."""
    errors = sorted(Draft4RequestValidator(schema).iter_errors(value), key=lambda error: error.json_path)
    sentences = dict.fromkeys(sentence for error in errors for sentence in _sentences(error, name))
    if sentences:
        raise BadRequestProblem(detail="; ".join(list(sentences)[:_MOST]))


def _sentences(error: ValidationError, name: str) -> Iterator[str]:
    path = ".".join(map(str, error.absolute_path))
    within = f"{path}." if path else ""
    instance: Any = error.instance
    wanted: Any = error.validator_value
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    known = list(schema.get("properties", {}))
    match error.validator:
        case "required":
            for member in wanted:
                if member not in instance:
                    yield f"{within}{member}: is required"
        case "additionalProperties":
            for member in instance:
                if member not in known:
                    yield unknown_name("field", member, known, within)
        case "anyOf":
            yield from _of_nearest(error, path or name, name)
        case "minProperties" | "maxProperties" if schema.get("maxProperties") == 1:
            yield f"{path or name}: must have exactly one of {', '.join(known)}"
        case "enum" if isinstance(error.instance, str) and (near := _near(error.instance, wanted)):
            yield f'{path or name}: {_must("enum", wanted, schema)}; did you mean "{near}"?'
        case _:
            yield f"{path or name}: {_must(str(error.validator), wanted, schema)}"


def _near(given: str, allowed: Iterable[Any]) -> str | None:
    return next(iter(get_close_matches(given, [value for value in allowed if isinstance(value, str)], n=1)), None)


def _of_nearest(error: ValidationError, path: str, name: str) -> Iterator[str]:
    """Yield the sentences of the alternatives that have the type of the value; else one about all of them."""
    alternatives: Any = error.validator_value
    wrong_type = {
        inner.schema_path[0] for inner in error.context or () if inner.validator == "type" and len(inner.path) == 0
    }
    for inner in error.context or ():
        if inner.schema_path[0] not in wrong_type:
            yield from _sentences(inner, name)
    if len(wrong_type) == len(alternatives):
        kinds = [
            _must("enum" if "enum" in schema else "type", schema.get("enum", schema.get("type")), schema)
            for schema in alternatives
        ]
        yield f"{path}: {' or '.join([kinds[0], *(kind.removeprefix('must be ') for kind in kinds[1:])])}"


def _must(keyword: str, wanted: Any, schema: Mapping[str, Any]) -> str:
    """Return what a value must be to satisfy a keyword of its schema."""
    match keyword:
        case "type":
            return f"must be {_TYPES.get(wanted, f'a {wanted}')}" + (" or null" if schema.get("nullable") else "")
        case "enum" if len(wanted) <= _FEW:
            return "must be " + ("one of " if len(wanted) > 1 else "") + ", ".join(map(_value, wanted))
        case "enum" | "pattern" if "description" in schema:
            description = str(schema["description"]).rstrip(".")
            return f"must be {description[0].lower()}{description[1:]}"
        case _ if keyword in _BOUNDS:
            told = _BOUNDS[keyword].format(wanted)
            return told.removesuffix("s") if wanted == 1 and keyword not in ("minimum", "maximum") else told
        case _:
            return f"does not fit {keyword}: {wanted}"


def _value(value: Any) -> str:
    """Return a value of an enum as JSON, a string without quotes."""
    return value if isinstance(value, str) else dumps(value)


def _unknown_parameter(name: str, known: list[str]) -> str:
    if not known:
        return "unknown parameter; this operation takes no query parameters"
    return unknown_name("parameter", name, known)
