"""Placeholders: the names by which a request refers to keys, for example `${full.0}`.

`${full.0|flip.57}` is a valid key with one deliberate change; `report.curl.changed_key` writes the same changes in
bash. `${random.3}` is a key that was never issued, and `vapk_live_${zeros.48}` is another one. A report has
placeholders for these as well: written out, they look like keys, and would be redacted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from vorel_conformance.http.target import Target

# Digits that no server has issued as a key.
_DIGITS = {"zeros.48": "0" * 48, "zeros.4000": "0" * 4000, "counting.48": "0123456789abcdef" * 3}
# The name of a key, then optionally a change and its number.
PLACEHOLDER = re.compile(r"\$\{([a-z_]+(?:\.[A-Za-z0-9_]+)?)(?:\|(flip|cut|add|from|basic)\.([0-9]{1,3}))?\}")


def resolve(text: str, target: Target | None, seed: int) -> str:
    """Replace the placeholders in a text by the keys. Raises KeyError if the profile lacks one of them.

    Without a target, only keys that the kit has made up are known.
    """

    def put(match: re.Match[str]) -> str:
        name, change, number = match.groups()
        secret = _made_up(name, seed) or (target.key(name) if target else None)
        if secret is None:
            raise KeyError(name)
        n = int(number or 0)
        if change == "flip":  # a different hexadecimal digit at index n
            return secret[:n] + ("8" if secret[n : n + 1] == "0" else "0") + secret[n + 1 :]
        if change == "cut":  # the first n characters
            return secret[:n]
        if change == "add":  # n more digits
            return secret + "0" * n
        if change == "from":  # the characters from index n on
            return secret[n:]
        if change == "basic":  # RFC 7617: the key as the user (n is 0) or as the password
            return base64.b64encode((f"{secret}:" if n == 0 else f":{secret}").encode()).decode()
        return secret

    return PLACEHOLDER.sub(put, text)


def _made_up(name: str, seed: int) -> str:
    """Return the key, or the digits of one, that the kit has made up under this name, or an empty string."""
    if name.startswith("random."):
        return "vapk_live_" + hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:48]
    return _DIGITS.get(name, "")


def is_made_up(name: str) -> bool:
    """True if this is the name of a key that the kit has made up: no secret."""
    return _made_up(name, 0) != ""


def holds_placeholder(body: bytes) -> bool:
    """True if a body contains the placeholder of a full key. Others do not count: fuzzed text may look like them."""
    return b"${full." in body


def first_key_name(texts: Iterable[str]) -> str:
    """Return the name of the first key of the profile that `texts` have a placeholder of, or an empty string."""
    found = (match[1] for text in texts for match in PLACEHOLDER.finditer(text))
    return next((name for name in found if not is_made_up(name)), "")
