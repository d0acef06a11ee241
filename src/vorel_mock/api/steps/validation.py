"""Step: validate the request against the document: parameters first, then the body. A 400 names each wrong field."""

import re
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from vorel_mock.api import strict_json
from vorel_mock.api.messages import ApiError, Exchange
from vorel_mock.contract.operation import Body, Operation, Parameter, is_json, media_type
from vorel_mock.contract.schemas import Validator

_JSON = b"application/json"
#: A number in JSON syntax; Python's float() accepts more.
_NUMBER = re.compile(r"-?[0-9]+((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")


class Arguments(msgspec.Struct, frozen=True):
    """The arguments of an operation."""

    path: dict[str, str]
    parameters: dict[str, Any]
    """Query, header and cookie parameters that were given, by name."""
    body: Any
    """The JSON value, None if there was no body. Our two operations reject `null`."""


def validate(exchange: Exchange, operation: Operation) -> Arguments:
    """Return the validated parameters and body. Raises ApiError 400, which names the wrong fields."""
    given: dict[str, Any] = {}
    for parameter in operation.parameters:
        if parameter.location == "path":
            text = exchange.path_values[parameter.name]
            if not parameter.is_text or parameter.validator is None or not parameter.validator.is_valid(text):
                _check_parameter(parameter, text)
        else:
            values = _values(exchange, parameter)
            if values:
                given[parameter.name] = _check_parameter(parameter, *values)
            elif parameter.required:
                raise ApiError(400, f"{parameter.name}: is required")
    body = _body(exchange, operation.body) if operation.body is not None else None
    return Arguments(exchange.path_values, given, body)


def _check_parameter(parameter: Parameter, *texts: str) -> Any:
    validator = parameter.validator
    value = texts[-1] if parameter.is_text else _coerce(parameter, texts)
    if validator is not None and not validator.is_valid(value):
        raise _rejection(validator, value, parameter.name, within=f"{parameter.name}.")
    return value


def _values(exchange: Exchange, parameter: Parameter) -> list[str]:
    """Return the texts of a query, header or cookie parameter; for an exploded object names and values alternate."""
    if parameter.location == "query":
        pairs = parse_qsl(exchange.request.query.decode("latin-1"), keep_blank_values=True)
        if parameter.kind == "deep":
            before = f"{parameter.name}["
            members = [(name[len(before) : -1], v) for name, v in pairs if name.startswith(before) and name[-1] == "]"]
            return [text for member in members for text in member]
        if parameter.kind == "object" and parameter.separator is None:
            return [text for pair in pairs if pair[0] in parameter.member_types for text in pair]
        return [value for name, value in pairs if name == parameter.name]
    if parameter.location == "cookie":
        cookies = exchange.request.fields.get(b"cookie", b"").decode("latin-1").split(";")
        pairs = [(name.strip(), value) for name, _, value in (cookie.partition("=") for cookie in cookies)]
        return [value for name, value in pairs if name == parameter.name]
    header = exchange.request.fields.get(parameter.name.lower().encode())
    return [] if header is None else [header.decode("latin-1")]


def _coerce(parameter: Parameter, texts: tuple[str, ...]) -> Any:
    """Convert the text of a parameter to the types that its schema allows."""
    if parameter.kind == "text":
        return scalar(texts[-1], parameter.types)
    if parameter.kind == "json":
        try:
            return strict_json.parse(texts[-1].encode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise ApiError(400, f"{parameter.name}: {error}") from None
    parts = texts if parameter.separator is None else tuple(texts[-1].split(parameter.separator))
    if parameter.kind == "list":
        return [scalar(part, parameter.item_types) for part in parts]
    if parameter.separator is not None and parameter.pairs:
        parts = tuple(text for part in parts for text in part.partition("=")[::2])
    members: dict[str, Any] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=False):
        types = parameter.member_types.get(name, frozenset())
        if "array" in types:
            members.setdefault(name, []).append(scalar(text, types))
        else:
            members[name] = scalar(text, types)
    return members


def scalar(text: str, types: frozenset[str]) -> Any:
    """Return the value of a text that has one of these types, as far as it can be read as one."""
    if types & {"integer", "number"} and (number := _NUMBER.fullmatch(text)):
        try:
            return int(text) if not number[1] else float(text)
        except ValueError:  # more digits than Python reads
            return text
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    return text


def _body(exchange: Exchange, body: Body) -> Any:
    if exchange.request.unreadable is not None:
        raise ApiError(400, f"body: {exchange.request.unreadable}", pointer=body.pointer)
    if not exchange.request.body:
        if body.required:
            raise ApiError(400, "body: is required", pointer=body.pointer)
        return None
    content_type = exchange.request.fields.get(b"content-type")
    if not body.takes_json or not (content_type in (None, _JSON) or is_json(content_type.decode("latin-1"))):
        given = media_type((content_type or b"").decode("latin-1"))
        if "/" in given and any(fnmatchcase(given, declared) for declared in body.media_types):
            return None  # the document declares a type other than JSON: accepted without a check
        wanted = " or ".join(body.media_types or ["application/json"])
        raise ApiError(400, f"Content-Type: must be {wanted}", pointer=body.pointer)
    try:
        value = strict_json.parse(exchange.request.body)
    except ValueError as error:
        encoded = exchange.request.fields.get(b"content-encoding") is not None
        why = "a Content-Encoding is not supported; send plain JSON" if encoded else str(error)
        raise ApiError(400, f"body: {why}", pointer=body.pointer) from None
    validator = body.json_validator
    if validator is not None and not validator.is_valid(value):
        raise _rejection(validator, value, "body")
    return value


def _rejection(validator: Validator, value: Any, name: str, within: str = "") -> ApiError:
    """Return a 400 that names the wrong fields in order, five at most; `name` is that of the value."""
    violations = list(validator.violations(value))
    shown = [
        f"{within + violation.field if violation.field else name}: {violation.message}" for violation in violations[:5]
    ]
    pointer = violations[0].pointer if violations else None
    return ApiError(400, "; ".join(dict.fromkeys(shown)), pointer=pointer)
