"""JSON by RFC 8259 and nothing more: UTF-8, no duplicate keys, no NaN, nothing after the value.

Everything that a server says is read here, and so is a report: depth and number of values are bounded, as RFC 8259
allows. Beyond them many parsers fail, and the checks of the kit would take too long.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import Any

DEEPEST = 100  # levels; the contract's responses have two, parsers of clients stop at 64 to 1000
MOST_VALUES = 20_000  # the contract's responses have a dozen
_TOO_DEEP = f"nested deeper than {DEEPEST} levels"


@dataclass(frozen=True)
class Parsed:
    """A value, or the reason why there is none. `error` is empty if the body is strict JSON."""

    value: Any = None
    error: str = ""


def parse(body: bytes, *, most_values: int = MOST_VALUES) -> Parsed:
    """Parse strictly, and within the bounds. Never raises."""
    if not body.strip():
        return Parsed(error="the body is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return Parsed(error=f"not UTF-8 at byte {error.start}")
    if text.startswith("\ufeff"):
        return Parsed(error="a byte order mark before the value")
    try:
        value = _DECODER.decode(text)
    except _StrictError as error:
        return Parsed(error=str(error))
    except json.JSONDecodeError as error:
        return Parsed(error=f"not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        return Parsed(error=_TOO_DEEP)
    if problem := _beyond_bounds(value, most_values):
        return Parsed(error=problem)
    if "\\u" in text and _has_lone_surrogate(value):
        return Parsed(error="a lone surrogate, which is not valid Unicode text")
    return Parsed(value)


def dumps(value: Any) -> bytes:
    """Encode a value the way the kit sends it: UTF-8, no escapes for characters beyond ASCII."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")


class _StrictError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = sorted(name for name, _ in pairs)  # counting them takes four times as long
        duplicate = next(name for name, other in itertools.pairwise(names) if name == other)
        raise _StrictError(f"duplicate member {duplicate[:100]!r} in one object")
    return value


def _reject(constant: str) -> Any:
    raise _StrictError(f"{constant} is not JSON")


def _integer(digits: str) -> int | float:
    # Python does not convert very long integers; their length is valid JSON.
    return int(digits) if len(digits) < 300 else _float(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _StrictError(f"the number {digits[:20]} is out of the range that clients can read")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_reject, parse_int=_integer, parse_float=_float)


def _beyond_bounds(value: Any, most_values: int) -> str:
    """Return which bound a value exceeds, or an empty string. Goes level by level, so that it never recurses."""
    level, count = [value], 0
    for _ in range(DEEPEST + 1):
        count += len(level)
        if count > most_values:
            return f"more than {most_values} values"
        inside = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [each for values in inside for each in values]
        if not level:
            return ""
    return _TOO_DEEP


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
