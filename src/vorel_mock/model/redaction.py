"""Keys never leave the mock again: in whatever is logged, kept or shown, they are replaced by value and by shape."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote

MARK = "[redacted]"

# Whatever the document says of keys: the shape in any letter case, and what is left of it when somebody cut it.
_KEY = re.compile(r"(vapk(?:_|%5f)[a-z]{0,20}(?:_|%5f))[0-9a-f]{12,}", re.IGNORECASE)
#: How often escapes may be escaped again.
_LAYERS = 3
# How JSON may write the characters of a key.
_ESCAPED = re.compile(r"\\u00([2-7][0-9a-f])", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without anything that looks like a key, and without each of `secrets`, percent-encoded ones included."""
    values = [secret for secret in secrets if secret]
    if "%" in text:
        for secret in values:
            text = text.replace(quote(secret, safe=""), MARK)
    redacted = plain = _without(text, values)
    # Written with escapes, a secret is a secret all the same; what holds none keeps its escapes.
    for _ in range(_LAYERS):
        if "%" not in plain and "\\u00" not in plain:
            break
        plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), unquote(plain))
        readable = _without(plain, values)
        if readable != plain:
            redacted = plain = readable
    return redacted


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MARK)
    if "vapk" not in text.lower():  # as in almost every text, which is much faster to see
        return text
    return _KEY.sub(lambda match: match[1] + MARK, text)


def redact_deep(value: Any, secrets: Iterable[str] = ()) -> Any:
    """`redact` applied to every string of a JSON value, names of members included."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {redact(str(name), secrets): redact_deep(member, secrets) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_deep(item, secrets) for item in value]
    return value
