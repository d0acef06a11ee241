"""Values for the directed tests."""

from __future__ import annotations

from typing import Any

WRONG_FOR_STRING: dict[str, Any] = {
    "a number": 7,
    "zero": 0,
    "a fraction": 1.5,
    "a boolean": True,
    "null": None,
    "a list": ["x"],
    "an empty list": [],
    "an object": {"x": "y"},
}
WRONG_FOR_OBJECT: dict[str, Any] = {
    "a number": 7,
    "a boolean": True,
    "null": None,
    "a list": [{}],
    "an empty list": [],
    "a list of pairs": [["email", "ada@example.com"]],
    "a string": "{}",
}
# Characters of two, three and four bytes in UTF-8. The four-byte ones are two UTF-16 units.
WIDE = {"two-byte": "\u00e9", "three-byte": "\u6f22", "astral": "\U0001f600", "rare astral": "\U000e0101"}
# Single-byte characters that some servers escape or remove before they count.
PLAIN = {"ampersands": "&", "quotation marks": '"', "line breaks of two": "\r\n"}
# Ordinary texts that some gateways mistake for an attack.
SUSPICIOUS = {
    "a line of SQL": "' OR 1=1 -- UNION SELECT * FROM leads; DROP TABLE leads",
    "a path upwards": "../../../../etc/passwd ..\\..\\windows\\win.ini",
    "markup": "<script>alert(1)</script> ${7*7} {{7*7}}",
    "marks of direction and joiners": "\u202eleft\u202c \u200fright\u200e a\u200db \u2066c\u2069 \ufeffd",
}
# Two characters that have a one-character form: a server that normalizes before it counts gets a lower number.
COMBINED = "e\u0301"
# One astral character in JSON escapes.
ESCAPED = b"\\ud83d\\ude00"


def blanks_around(longest: int) -> dict[str, str]:
    """Return texts that are too long, but would fit if the server removed the blanks at their ends."""
    return {"one blank too many": "x" * longest + " ", "blanks alone, one too many": " " * (longest + 1)}


def of_length(mark: str, length: int, character: str = "x") -> str:
    """Return a text of `length` characters that begins with as much of `mark` as fits."""
    return mark[:length] + character * (length - len(mark[:length]))
