"""Make foreign words harmless: those of a server, a profile or a report, before a terminal or a CI log shows them.

Everything that the kit prints goes through `harmless`: error lines, tables, annotations, summaries.
"""

from __future__ import annotations

import re

# What CI servers obey. GitHub: `::error file=x::text` at the beginning of a line, `##[error]text` anywhere in it.
# Azure Pipelines: `##vso[task.setvariable ...]text` and `##[section]`. TeamCity: `##teamcity[...]`.
COMMAND = re.compile(r":(?=:[A-Za-z][A-Za-z-]*(?:\s|::|$))|#(?=#[A-Za-z]*\[)")


def harmless(text: str, *, newlines: bool = False) -> str:
    r"""Return the text with unprintable characters, and the first character of a CI command, as escapes.

    Nobody else may move the cursor, change the direction of text, begin a line or give a command. Line feeds and tabs
    stay if `newlines` is true.
    """
    if not text.isprintable():
        kept = "\n\t" if newlines else ""
        text = "".join(char if char.isprintable() or char in kept else _escape(char) for char in text)
    return COMMAND.sub(lambda match: _escape(match[0]), text)


def _escape(char: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if named:
        return named
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
