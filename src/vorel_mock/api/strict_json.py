"""JSON as the contract's clients write it: UTF-8, no NaN, no lone surrogates, bounded in depth."""

import json
from typing import Any

import msgspec

#: Objects and lists within one another. Ours: far beyond any record, and well within what every JSON library reads.
MAX_DEPTH = 128
#: Bytes that are read at once: one call of the decoder keeps all other threads from running.
_AT_ONCE = 1024 * 1024

_decode = msgspec.json.decode


def parse(raw: bytes, levels: int = MAX_DEPTH) -> Any:
    """Return the JSON value of `raw`. Raises ValueError, which says what is wrong and never quotes it.

    Rejects NaN, Infinity, lone surrogates, bytes that are not UTF-8, more than `levels` objects and lists within one
    another; keeps integers of any size.
    """
    try:
        value = _decode(raw) if len(raw) <= _AT_ONCE else _in_pieces(raw)
    except RecursionError:
        raise ValueError(_too_deep(levels)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"is not valid JSON in UTF-8 ({_why(raw)})") from None
    if len(raw) > levels and _may_be_deeper(raw, levels) and _depth(value) > levels:
        raise ValueError(_too_deep(levels))
    return value


def _in_pieces(raw: bytes | memoryview) -> Any:
    """Return the value of a long text, whose members and items are read one by one."""
    if len(raw) <= _AT_ONCE:
        return _decode(raw)
    first = bytes(raw[:64]).lstrip()[:1]
    if first == b"{":
        return {name: _in_pieces(memoryview(part)) for name, part in _decode(raw, type=dict[str, msgspec.Raw]).items()}
    if first == b"[":
        return [_in_pieces(memoryview(part)) for part in _decode(raw, type=list[msgspec.Raw])]
    return _decode(raw)


def _too_deep(levels: int) -> str:
    return f"nests deeper than {levels} levels"


def _why(raw: bytes) -> str:
    """Return where the JSON breaks, in the well-known words of the standard library, which quote nothing."""
    try:
        json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as problem:
        return f"byte {problem.start} is not UTF-8"
    except json.JSONDecodeError as problem:
        return f"{problem.msg[0].lower()}{problem.msg[1:]}: line {problem.lineno} column {problem.colno}"
    except (RecursionError, ValueError):  # ValueError: an integer of more digits than Python reads
        pass
    # What is left is what the standard library accepts and JSON does not have.
    return "NaN, Infinity, lone surrogates and numbers too large to be read are not taken"


def _may_be_deeper(raw: bytes, levels: int) -> bool:
    """Return True if there are enough brackets for that. Mostly there are not, and counting them is quick."""
    brackets = 0
    for start in range(0, len(raw), _AT_ONCE):
        end = start + _AT_ONCE
        brackets += raw.count(b"[", start, end) + raw.count(b"{", start, end)
        if brackets > levels:
            return True
    return False


def _depth(value: Any) -> int:
    """Return how many objects and lists lie within one another."""
    depth, level = 0, [value]
    while containers := [node for node in level if isinstance(node, (dict, list))]:
        depth += 1
        level = [child for node in containers for child in (node.values() if isinstance(node, dict) else node)]
    return depth
