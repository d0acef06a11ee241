"""Step: is the request what the document says? Path and other parameters first, then the body; 400 names the field."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from vorel_mock.api.messages import ApiError, Exchange
from vorel_mock.contract.contract import Body, Operation, Parameter, Validator, is_json, media_type

#: How deep a body may nest. Ours: far beyond any record, well within what every JSON library reads.
MAX_DEPTH = 128

_decode = msgspec.json.decode
_JSON = b"application/json"
#: A number as JSON writes it; Python reads a good deal more.
_NUMBER = re.compile(r"-?[0-9]+((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")


class Arguments(msgspec.Struct, frozen=True):
    """What an operation is called with."""

    path: dict[str, str]
    parameters: dict[str, Any]
    """Query, header and cookie parameters that were given, by name."""
    body: Any
    """The JSON value; None when there was none (a body that says `null` never gets here for our two operations)."""


def validate(exchange: Exchange, operation: Operation) -> Arguments:
    """The request's parameters and body, checked against the document; ApiError with 400 names what is wrong."""
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
        raise _refusal(validator, value, parameter.name, within=f"{parameter.name}.")
    return value


def _values(exchange: Exchange, parameter: Parameter) -> list[str]:
    """The texts given for a query, header or cookie parameter: names and values by turns where it is several."""
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
        cookies = exchange.headers.get(b"cookie", b"").decode("latin-1").split(";")
        pairs = [(name.strip(), value) for name, _, value in (cookie.partition("=") for cookie in cookies)]
        return [value for name, value in pairs if name == parameter.name]
    header = exchange.headers.get(parameter.name.lower().encode())
    return [] if header is None else [header.decode("latin-1")]


def _coerce(parameter: Parameter, texts: tuple[str, ...]) -> Any:
    """A parameter is text; read it as the types that its schema admits."""
    if parameter.kind == "text":
        return _scalar(texts[-1], parameter.types)
    if parameter.kind == "json":
        try:
            return parse(texts[-1].encode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise ApiError(400, f"{parameter.name}: {error}") from None
    parts = texts if parameter.separator is None else tuple(texts[-1].split(parameter.separator))
    if parameter.kind == "list":
        return [_scalar(part, parameter.item_types) for part in parts]
    if parameter.separator is not None and parameter.pairs:
        parts = tuple(text for part in parts for text in part.partition("=")[::2])
    members: dict[str, Any] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=False):
        types = parameter.member_types.get(name, frozenset())
        if "array" in types:
            members.setdefault(name, []).append(_scalar(text, types))
        else:
            members[name] = _scalar(text, types)
    return members


def _scalar(text: str, types: frozenset[str]) -> Any:
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
    content_type = exchange.headers.get(b"content-type")
    if not body.takes_json or not (content_type in (None, _JSON) or is_json(content_type.decode("latin-1"))):
        given = media_type((content_type or b"").decode("latin-1"))
        if "/" in given and any(fnmatchcase(given, declared) for declared in body.media_types):
            return None  # declared by a document that knows more than JSON: taken, not looked into
        wanted = " or ".join(body.media_types or ["application/json"])
        raise ApiError(400, f"Content-Type: must be {wanted}", pointer=body.pointer)
    try:
        value = parse(exchange.request.body)
    except ValueError as error:
        encoded = exchange.headers.get(b"content-encoding") is not None
        why = "a Content-Encoding is not supported; send plain JSON" if encoded else str(error)
        raise ApiError(400, f"body: {why}", pointer=body.pointer) from None
    validator = body.json_validator
    if validator is not None and not validator.is_valid(value):
        raise _refusal(validator, value, "body")
    return value


def parse(raw: bytes, levels: int = MAX_DEPTH) -> Any:
    """The JSON value of `raw`; ValueError says what is wrong with it, and never quotes it.

    Refuses NaN, Infinity, lone surrogates, bytes that are not UTF-8, more than `levels` objects and lists within one
    another; keeps integers of any size.
    """
    try:
        value = _decode(raw)
    except RecursionError:
        raise ValueError(_too_deep(levels)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"is not valid JSON in UTF-8 ({_why(raw)})") from None
    if raw.count(b"[") + raw.count(b"{") > levels and _depth(value) > levels:
        raise ValueError(_too_deep(levels))
    return value


def _too_deep(levels: int) -> str:
    return f"nests deeper than {levels} levels"


def _why(raw: bytes) -> str:
    """Where the JSON breaks. Told by the standard library, whose words are the known ones; never quotes the body."""
    try:
        json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as problem:
        return f"byte {problem.start} is not UTF-8"
    except json.JSONDecodeError as problem:
        return f"{problem.msg[0].lower()}{problem.msg[1:]}: line {problem.lineno} column {problem.colno}"
    except (RecursionError, ValueError):  # ValueError: an integer of more digits than Python reads
        pass
    # The standard library takes what the contract's JSON does not have; it alone is left.
    return "NaN, Infinity, lone surrogates and numbers too large to be read are not taken"


def _depth(value: Any) -> int:
    """How many objects and lists lie within one another."""
    depth, level = 0, [value]
    while containers := [node for node in level if isinstance(node, (dict, list))]:
        depth += 1
        level = [child for node in containers for child in (node.values() if isinstance(node, dict) else node)]
    return depth


def _refusal(validator: Validator, value: Any, name: str, within: str = "") -> ApiError:
    """A 400 that names every field at fault, the first one first; `name` is the value's own."""
    violations = list(validator.violations(value))
    shown = [
        f"{within + violation.field if violation.field else name}: {violation.message}" for violation in violations[:5]
    ]
    pointer = violations[0].pointer if violations else None
    return ApiError(400, "; ".join(dict.fromkeys(shown)), pointer=pointer)
