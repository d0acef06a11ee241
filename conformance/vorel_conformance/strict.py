"""JSON as RFC 8259 has it: UTF-8, no duplicate keys, no NaN, nothing behind the value."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parsed:
    """A value, or why there is none. `error` is empty when the body is strict JSON."""

    value: Any = None
    error: str = ""


def parse(body: bytes) -> Parsed:
    """Parse strictly. Never raises."""
    if not body.strip():
        return Parsed(error="the body is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return Parsed(error=f"not UTF-8 at byte {error.start}")
    if text.startswith("\ufeff"):
        return Parsed(error="a byte order mark in front of the value")
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_int=_integer, parse_float=_float
        )
    except _StrictError as error:
        return Parsed(error=str(error))
    except json.JSONDecodeError as error:
        return Parsed(error=f"not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        return Parsed(error="nested too deeply")
    if "\\u" in text and _has_lone_surrogate(value):
        return Parsed(error="half of a surrogate pair, which is no Unicode text")
    return Parsed(value)


class _StrictError(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise _StrictError(f"the member {double!r} stands twice in one object")
    return value


def _refuse(constant: str) -> Any:
    raise _StrictError(f"{constant} is no JSON")


def _integer(digits: str) -> int | float:
    # Python refuses to convert very long ones; the length is no fault of the JSON.
    return int(digits) if len(digits) < 300 else _float(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _StrictError(f"the number {digits[:20]} is beyond what clients can read")
    return number


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
