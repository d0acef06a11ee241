"""Templates: how a request names the keys that are in it, `${full.0}` say, without having them.

`${random.3}` is a key that was never issued. `${full.0|flip.57}` is a key that was changed on purpose; the same changes
in the words of bash are `report.curl.changed_key`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from vorel_conformance.target import Target

# The name of a key, what is changed of it, and a number.
TEMPLATE = re.compile(r"\$\{([a-z_]+(?:\.[A-Za-z0-9_]+)?)(?:\|([a-z]+)\.(\d+))?\}")


def resolve(text: str, target: Target, seed: int) -> str:
    """Put the secrets into a template. KeyError when the profile lacks one of them."""

    def put(match: re.Match[str]) -> str:
        name, change, number = match.groups()
        if name.startswith("random."):
            secret: str | None = "vapk_live_" + hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:48]
        else:
            secret = target.key(name)
        if secret is None:
            raise KeyError(name)
        n = int(number or 0)
        if change == "flip":  # another hexadecimal digit in place n
            return secret[:n] + ("8" if secret[n] == "0" else "0") + secret[n + 1 :]
        if change == "cut":  # the first n characters
            return secret[:n]
        if change == "add":  # n digits more
            return secret + "0" * n
        if change == "from":  # the characters from place n on
            return secret[n:]
        if change == "basic":  # as RFC 7617 has a user, or a password without one
            return base64.b64encode((f"{secret}:" if n == 0 else f":{secret}").encode()).decode()
        return secret

    return TEMPLATE.sub(put, text)


def holds_template(body: bytes) -> bool:
    """Whether a body names a key. Only those of the pool count: generated texts may look like templates."""
    return b"${full." in body


def named(texts: Iterable[str]) -> str:
    """The name of the first key that any of `texts` has a template of; empty when none has."""
    return next((found[1] for found in map(TEMPLATE.search, texts) if found), "")
