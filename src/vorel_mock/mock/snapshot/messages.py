"""Errors of a snapshot that is read: the place in it, what is wrong, what is allowed. No value is quoted."""

import re
from ast import literal_eval
from typing import Any, get_args, get_type_hints

import msgspec

from vorel_mock.mock.snapshot.rows import PATTERNS, Row
from vorel_mock.model.unknown_name import unknown_name


class SnapshotError(ValueError):
    """The input is not a snapshot that can be taken over; the message begins with the place."""


_TYPES = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "datetime": "an RFC 3339 timestamp such as 2027-01-01T00:00:00Z",
    "bytes": "a text in base64",
    "null": "null",
}
#: What msgspec says, and what is said in its place.
_PHRASES = (
    (r"Expected `(?:str|array|object)` of length <= (\d+)", "is too long; at most {} are allowed"),
    (r"Expected `(?:str|array|object)` of length >= (\d+)", "is too short; it must have at least {}"),
    (r"Expected `(?:int|float)` >= (\S+)", "must be at least {}"),
    (r"Expected `(?:int|float)` <= (\S+)", "must be at most {}"),
    (r"Expected `datetime` with a timezone component", "has no offset from UTC; write 2027-01-01T00:00:00Z"),
    (r"Invalid RFC3339 encoded datetime", f"must be {_TYPES['datetime']}"),
    (r"Invalid base64 encoded string", "is not valid base64"),
    (r"Invalid enum value .*", "is not one of the allowed values"),
)


def converted(content: Any, wanted: Any, place: str, first: int = 0) -> Any:
    """Return the part of a snapshot at `place` as `wanted`; the first row of a list is number `first` there.

    Raises SnapshotError.
    """
    try:
        return msgspec.convert(content, type=wanted)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        steps = re.findall(r"\[(\d+)\]|\.(\w+)|(\[\.\.\.\])", path)
        inner = "".join(
            f"[{int(number) + (first if n == 0 else 0)}]" if number else f".{name}" if name else "[…]"
            for n, (number, name, _) in enumerate(steps)
        )
        raise SnapshotError(_sentence(what, f"{place}{inner}", wanted, [step[:2] for step in steps])) from None


def _sentence(what: str, place: str, wanted: Any, steps: list[tuple[str, str]]) -> str:
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        return f"{place}.{missing[1]}: is required"
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        return unknown_name("field", unknown[1], _row_at(wanted, steps).__struct_fields__, f"{place}.")
    if matching := re.fullmatch(r"Expected `str` matching regex ('.*')", what, re.DOTALL):
        return f"{place}: must be {PATTERNS[literal_eval(matching[1])]}"
    for pattern, phrase in _PHRASES:
        if found := re.fullmatch(pattern, what, re.DOTALL):
            return f"{place}: {phrase.format(*found.groups())}"
    if typed := re.match(r"Expected `([^`]*)`", what):
        kinds = [_TYPES.get(kind, kind) for kind in typed[1].split(" | ")]
        return f"{place}: must be {' or '.join(kinds)}"
    return f"{place}: {what}"


def _row_at(kind: Any, steps: list[tuple[str, str]]) -> Any:
    """Return the structure that is found in `kind` on the way of `steps`: numbers of rows, names of members."""
    for _, name in steps:
        kind = get_type_hints(_row(kind))[name] if name else kind
    return _row(kind)


def _row(kind: Any) -> Any:
    """Return the one structure in a type: `list[X]`, `X | None`."""
    if isinstance(kind, type) and issubclass(kind, Row):
        return kind
    return next((found for part in get_args(kind) if (found := _row(part)) is not None), None)
