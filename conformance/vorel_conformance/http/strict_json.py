"""JSON by RFC 8259 and nothing more: UTF-8, no duplicate keys, no NaN, nothing after the value."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parsed:
    """A value, or the reason why there is none. `error` is empty if the body is strict JSON."""

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
        return Parsed(error="a byte order mark before the value")
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_reject, parse_int=_integer, parse_float=_float
        )
    except _StrictError as error:
        return Parsed(error=str(error))
    except json.JSONDecodeError as error:
        return Parsed(error=f"not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        return Parsed(error="nested too deeply")
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
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise _StrictError(f"duplicate member {duplicate!r} in one object")
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


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
