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


def of_length(mark: str, length: int, character: str = "x") -> str:
    """A text of `length` characters that begins with `mark` as far as it fits."""
    return mark[:length] + character * (length - len(mark[:length]))
