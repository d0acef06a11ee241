"""A document as it is written: JSON, or YAML 1.2 by its core schema, which has what JSON has and nothing else."""

import json
import re
from collections.abc import Iterator
from itertools import count
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

if TYPE_CHECKING:
    _Loader = yaml.SafeLoader
else:  # the loader in C where there is one: the other takes minutes for a large document
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Values in a document: many times what any API has, and what can be read in a while.
_MAX_VALUES = 1_000_000
#: Many times what any API has, and what all who read it have the stack for.
_MAX_DEPTH = 100
_TAG = "tag:yaml.org,2002:"
_TOO_DEEP = "nests too deep, or a YAML alias is inside its own anchor"


class ContractError(Exception):
    """A document that cannot be served; the message says what is wrong with it, in one line."""


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON or YAML object that `raw` is. Raises ContractError if it is none."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContractError(f"is not UTF-8 text: byte {error.start}") from None
    document = value_of(text, json=text.lstrip().startswith("{"))
    if not isinstance(document, dict):
        raise ContractError("is not an OpenAPI document: its top level is not an object")
    return document


def value_of(text: str, *, json: bool) -> Any:
    """Return the value that a text in JSON or YAML says. Raises ContractError if it is none, or goes beyond bounds."""
    try:
        value = _json(text) if json else _yaml(text)
        bound(value)
    except RecursionError:
        raise ContractError(_TOO_DEEP) from None
    return value


def bound(value: Any) -> None:
    """Raises ContractError if a value is too deep, consists of too many, or has a number that JSON has not."""
    _bound(value, count(1))


def escape(step: str) -> str:
    """A step of a JSON pointer, as a URI fragment has it."""
    return step.replace("%", "%25").replace("~", "~0").replace("/", "~1")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, shortened."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_members, parse_constant=_no_number)
    except ValueError as error:
        raise ContractError(f"begins as JSON, and is not valid: {first_line(error)}") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the member {name!r} is a duplicate")
            seen.add(name)
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Yaml)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "nesting depth" in str(error.problem):
            raise ContractError(_TOO_DEEP) from None
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ContractError(f"is not YAML: {error.problem or error.context}{where}") from None
    except yaml.YAMLError as error:
        raise ContractError(f"is not YAML: {first_line(error)}") from None


class _Yaml(_Loader):
    """YAML 1.2, core schema: `no`, `1:20` and dates are text, `010` is ten. Merge keys (`<<`), which it does not have,
    are what everybody has all the same.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """An object of JSON: each name once, and as it is written, `200` or `true`."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is a duplicate", key.start_mark
                )
            seen.add(str(key.value))
        self.flatten_mapping(node)
        members = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            members[key.value] = self.construct_object(value, deep=deep)
        return members

    def _integer(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        try:
            return int(text, base)
        except ValueError:  # more digits than Python reads
            raise yaml.constructor.ConstructorError(None, None, "cannot be read as a number", node.start_mark) from None

    def _float(self, node: yaml.ScalarNode) -> float:
        try:
            return float(self.construct_scalar(node))
        except ValueError:  # .inf, .nan, or a tag on something else
            raise yaml.constructor.ConstructorError(None, None, "JSON has no such number", node.start_mark) from None

    def _boolean(self, node: yaml.ScalarNode) -> bool:
        return str(self.construct_scalar(node)).lower() == "true"

    def _unknown(self, node: yaml.Node) -> NoReturn:
        raise yaml.constructor.ConstructorError(None, None, f"JSON has nothing for {node.tag}", node.start_mark)


_Yaml.yaml_implicit_resolvers = {}
for _name, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", [*"nN~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
    ("merge", "<<", ["<"]),
):
    _Yaml.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _first)
_Yaml.yaml_constructors = {
    _TAG + "null": lambda loader, node: None,
    _TAG + "bool": _Yaml._boolean,
    _TAG + "int": _Yaml._integer,
    _TAG + "float": _Yaml._float,
    _TAG + "str": _Yaml.construct_yaml_str,
    _TAG + "seq": _Yaml.construct_yaml_seq,
    _TAG + "map": _Yaml.construct_yaml_map,
    None: _Yaml._unknown,
}


def _bound(node: Any, numbers: Iterator[int], depth: int = 0) -> None:
    """Raises ContractError for too many values, which a few YAML aliases can make, and for infinite numbers."""
    if depth > _MAX_DEPTH:
        raise ContractError(_TOO_DEEP)
    if next(numbers) > _MAX_VALUES:
        raise ContractError(f"holds more than {_MAX_VALUES} values, YAML aliases written out")
    if isinstance(node, float) and not isfinite(node):
        raise ContractError("holds a number beyond what a double can be")
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _bound(value, numbers, depth + 1)
