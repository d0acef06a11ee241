"""Redaction of secrets in reports, by value: in any place and in any spelling.

Redaction by header name is not enough: a server may repeat a key in a message. The redactor finds a key in any letter
case, percent-encoded, with JSON or HTML escapes, and in base64. It also redacts unknown keys, by their form.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

KEY_VARIABLE = "$VOREL_API_KEY"

T = TypeVar("T")

# The form is the contract's bearerFormat. Servers look a key up by its first 22 characters, so they are secret too.
_KEY = re.compile(r"vapk_[a-z0-9]{1,16}_[0-9a-f]{48,}", re.IGNORECASE)
_PREFIX_LENGTH = 22
_HEX = re.compile("[0-9a-f]*", re.IGNORECASE)
# A shorter "secret" would occur in ordinary text.
_SHORTEST = 8
_SHORT = 200  # characters of a text that is redacted once, however often it occurs

# One escaped character: %76 (and %2576), \u0076, \x76, &#118;, &#x76;. Repetition is bounded here and below, so that
# a response cannot make a pattern run for hours.
_ESCAPED = r"%(?:25){0,3}[0-9a-f]{2}|\\{1,8}(?:u00|x)[0-9a-f]{2}|&#x0{0,4}[0-9a-f]{2};|&#0{0,4}[0-9]{2,3};"
_UNIT = re.compile(rf"{_ESCAPED}|.", re.IGNORECASE | re.DOTALL)
_ESCAPE = re.compile(r"[%\\&]")  # begins an escaped character
# A candidate: a run of characters of keys, as long as the shortest secret part of one.
_RUN = re.compile(rf"(?:[a-z0-9_]|{_ESCAPED}){{{_PREFIX_LENGTH},}}", re.IGNORECASE)

_LEAD = (0, 2, 3)  # characters of base64 that depend on the 0, 1 or 2 bytes before
_URL_SAFE = str.maketrans("-_", "+/")
# Enough base64 for the longest key: decoding is bounded for a body that is full of them.
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{1,200}")


def redactor(secrets: Iterable[str] = ()) -> Callable[[T], T]:
    """Return a function that replaces `secrets` in a text, or in all texts of a JSON value, by `$VOREL_API_KEY`.

    The function returns a new value of the same structure. Secrets of fewer than 8 characters are not replaced.
    """
    known = {secret for secret in secrets if len(secret) >= _SHORTEST}
    keys = {secret.lower() for secret in known if _KEY.fullmatch(secret)}
    prefixes = {key[:_PREFIX_LENGTH] for key in keys}
    # A key without its prefix is a secret too.
    rests = {key[_PREFIX_LENGTH:] for key in keys}
    rest_lengths = {len(rest) for rest in rests}
    # Secrets of another form. Longest first, so that no part of a longer one remains.
    others = sorted((secret for secret in known if secret.lower() not in keys), key=len, reverse=True)
    patterns = [re.compile("".join(map(_spellings, secret)), re.IGNORECASE) for secret in others]
    encoded = [core for secret in others for core, _ in _base64_cores(secret.encode())]

    def key_at(text: str, at: int) -> int:
        """Return the number of characters from `at` on that are a key, the prefix of one, or the rest of one."""
        if shape := _KEY.match(text, at):
            return shape.end() - at
        if text[at : at + _PREFIX_LENGTH].lower() in prefixes:
            rest = _HEX.match(text, at + _PREFIX_LENGTH)
            return (rest.end() if rest else at) - at
        return next((length for length in rest_lengths if text[at : at + length].lower() in rests), 0)

    def in_run(match: re.Match[str]) -> str:
        units: Sequence[str] = match[0]
        text = match[0]
        if _ESCAPE.search(text):
            units = _UNIT.findall(text)
            text = "".join(map(_plain, units))
        lower = text.lower()
        if "vapk_" not in lower and not any(rest in lower for rest in rests):
            return match[0]
        out, at = [], 0
        while at < len(units):
            length = key_at(text, at)
            out.append(KEY_VARIABLE if length else units[at])
            at += length or 1
        return "".join(out)

    def in_base64(text: str) -> str:
        out, done = [], 0
        for mark in _BASE64_MARK.finditer(text):
            before = _BASE64_MARKS[mark[0]]
            start = mark.start() - _LEAD[before]
            run = _BASE64_RUN.match(text, max(start, 0))
            if start < 0 or mark.start() < done or not run or run.end() < mark.end():
                continue
            group = run[0].translate(_URL_SAFE)
            group = group[: len(group) - (len(group) % 4 == 1)]
            decoded = base64.b64decode(group + "=" * (-len(group) % 4)).decode("latin-1")
            if length := key_at(decoded, before):
                out += [text[done : mark.start()], KEY_VARIABLE]
                done = start - (-(before + length) * 8 // 6)
        return "".join([*out, text[done:]])

    def redacted(text: str) -> str:
        if len(text) >= _PREFIX_LENGTH:
            text = _RUN.sub(in_run, text)
        for pattern in patterns:
            text = pattern.sub(lambda _: KEY_VARIABLE, text)
        for core in encoded:
            text = text.replace(core, KEY_VARIABLE)
        return in_base64(text)

    # Most short texts of a report come again and again: names, headers, markers of keys.
    redacted_before = lru_cache(maxsize=4096)(redacted)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return redacted_before(value) if len(value) <= _SHORT else redacted(value)
        if isinstance(value, Mapping):
            return {walk(key): walk(member) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return type(value)([walk(member) for member in value])
        return value

    return walk


def _spellings(char: str) -> str:
    """Return a pattern for one character, plain or escaped."""
    if not char.isascii():
        return re.escape(char)
    code, number = f"{ord(char):02x}", ord(char)
    escaped = rf"%(?:25){{0,3}}{code}|\\{{1,8}}(?:u00|x){code}|&#x0{{0,4}}{code};|&#0{{0,4}}{number};"
    return rf"(?:{re.escape(char)}|{escaped})"


def _plain(unit: str) -> str:
    """Return the character of an escape."""
    if len(unit) == 1:
        return unit
    if unit.startswith("&#") and unit[2] not in "xX":
        return chr(int(unit[2:-1]))
    return chr(int(unit.rstrip(";")[-2:], 16))


def _base64_cores(secret: bytes) -> Iterator[tuple[str, int]]:
    """Yield the base64 of `secret` that does not depend on the text around it, for 0, 1 and 2 bytes before it."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret).decode()
        yield encoded[_LEAD[before] : (before + len(secret)) * 8 // 6], before


_BASE64_MARKS = dict(_base64_cores(b"vapk_"))
_BASE64_MARK = re.compile("|".join(_BASE64_MARKS))
