"""Redaction removes a key in every spelling, and nothing else."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vorel_conformance.http.redact import KEY_VARIABLE, redactor

HEX = "0123456789abcdef"
keys = st.builds("vapk_{}_{}".format, st.sampled_from(["live", "test"]), st.text(HEX, min_size=48, max_size=48))
# A backslash would become a part of the escape after it.
before_it = st.text(st.characters(exclude_characters="\\"), max_size=8)
KEY = "vapk_live_" + "0123456789ab" * 4

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "percent": lambda key: "".join(f"%{ord(char):02X}" for char in key),
    "percent, here and there": lambda key: key.replace("_", "%5f"),
    "percent twice": lambda key: "".join(f"%25{ord(char):02x}" for char in key),
    "url-quoted": lambda key: quote(key, safe=""),
    "json escapes": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "json in json": lambda key: json.dumps("".join(f"\\u{ord(char):04x}" for char in key)),
    "repr escapes": lambda key: "".join(f"\\x{ord(char):02x}" for char in key),
    "html decimal": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "html hex": lambda key: "".join(f"&#x{ord(char):X};" for char in key),
    "html": html.escape,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=40, deadline=None)
@given(key=keys, before=before_it, after=st.sampled_from(["", " ", '"', "&x", ".", "%20", "\\n"]))
def test_spelling(spelling: str, key: str, before: str, after: str) -> None:
    spelled = SPELLINGS[spelling](key)
    for secrets in ([key], []):  # known, or recognized by its form
        found = redactor(secrets)(f"{before}{spelled}{after}")
        assert found == f"{before}{spelled}{after}".replace(spelled.strip('"'), KEY_VARIABLE)


@settings(max_examples=40, deadline=None)
@given(key=keys, before=st.binary(max_size=7), after=st.binary(max_size=7), url_safe=st.booleans())
def test_base64_at_every_alignment(key: str, before: bytes, after: bytes, url_safe: bool) -> None:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    encoded = encode(before + key.encode() + after).decode()
    for secrets in ([key], []):
        found = redactor(secrets)(f"<{encoded}>")
        assert KEY_VARIABLE in found
        # The rest is at most the text around the key, and a few bits of its first character.
        assert len(found) - len(KEY_VARIABLE) <= 2 + (len(before) + len(after)) * 4 / 3 + 8


@settings(max_examples=40, deadline=None)
@given(key=keys, length=st.integers(22, 58))
def test_prefix_of_a_known_key_and_more(key: str, length: int) -> None:
    part = key[:length]
    assert redactor([key])(f"no key {part}...") == f"no key {KEY_VARIABLE}..."
    assert redactor([])(part) == (part if length < 58 else KEY_VARIABLE)


@settings(max_examples=40, deadline=None)
@given(key=keys)
def test_rest_of_a_known_key(key: str) -> None:
    assert redactor([key])(f"...{key[22:]}") == f"...{KEY_VARIABLE}"
    assert redactor([key])(key[:21]) == key[:21]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(value=json_values)
def test_all_else_stays_and_twice_is_once(value: object) -> None:
    redact = redactor([KEY])
    assert redact(value) == value
    placed = {"a": [{KEY: f"x{KEY}"}, value]}
    once = redact(placed)
    assert once == {"a": [{KEY_VARIABLE: f"x{KEY_VARIABLE}"}, value]}
    assert redact(once) == once


def test_two_keys_in_a_row() -> None:
    other = "vapk_test_" + "fedcba987654" * 4
    assert redactor([KEY, other])(f"{KEY} {other},{KEY}") == f"{KEY_VARIABLE} {KEY_VARIABLE},{KEY_VARIABLE}"


def test_a_secret_of_another_shape() -> None:
    redact = redactor(["s3cr3t/with+odd=chars"])
    for text in (
        "s3cr3t/with+odd=chars",
        quote("s3cr3t/with+odd=chars", safe=""),
        "s3cr3t\\u002fwith+odd=chars",
        base64.b64encode(b"s3cr3t/with+odd=chars").decode(),
    ):
        assert KEY_VARIABLE in redact(f"<{text}>")
        assert "s3cr3t" not in redact(text)


def test_what_is_no_secret() -> None:
    assert redactor(["", "a", "1234567"])("a 1234567 vapk_<env>_<48 hex> vapk_live_short") == (
        "a 1234567 vapk_<env>_<48 hex> vapk_live_short"
    )


@pytest.mark.parametrize("text", ["vapk_", "v", "%76", "\\\\", "dmFwa1", "0a", "&#0"])
def test_no_text_makes_a_pattern_run_wild(text: str) -> None:
    """With quadratic time this takes hours. The timeout of the suite detects it."""
    redactor(["vapk_live_" + f"{number:048x}" for number in range(50)])(text * 100_000)
