"""Values for the directed tests, made from the contract's own numbers."""

from __future__ import annotations

from typing import Any

WRONG_FOR_STRING: dict[str, Any] = {
    "a number": 7,
    "a boolean": True,
    "null": None,
    "a list": ["x"],
    "an object": {"x": "y"},
}
WRONG_FOR_OBJECT: dict[str, Any] = {"a number": 7, "a boolean": True, "null": None, "a list": [{}], "a string": "{}"}
# Characters of two, three and four bytes, the last two of which are also two UTF-16 units.
WIDE = {"two-byte": "\u00e9", "three-byte": "\u6f22", "astral": "\U0001f600", "rare astral": "\U000e0101"}
# Two characters that one would do for: a server that normalizes before it counts, counts less.
COMBINED = "e\u0301"
# One astral character as JSON escapes it.
ESCAPED = b"\\ud83d\\ude00"


def blanks_around(longest: int) -> dict[str, str]:
    """Texts that are too long, and would not be if blanks at their ends were taken off."""
    return {"one blank too many": "x" * longest + " ", "blanks alone, one too many": " " * (longest + 1)}


def of_length(mark: str, length: int, character: str = "x") -> str:
    """A text of `length` characters that begins with `mark` as far as it fits."""
    return mark[:length] + character * (length - len(mark[:length]))
