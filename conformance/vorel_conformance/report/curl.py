"""A curl line for bash that sends a request again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from vorel_conformance.http.harmless import harmless
from vorel_conformance.http.redact import KEY_VARIABLE, redactor
from vorel_conformance.spec import contract

# curl sets these itself. A copied value could contradict the request.
_LEFT_TO_CURL = {"connection", "content-length", "host", "user-agent"}
_USUAL = ("accept", contract.MEDIA_TYPE)  # curl's own means the same
# Linux limits a single argument to 128 KiB.
_LONGEST_ARGUMENT = 100_000
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_SAFE_IN_DOUBLE_QUOTES = re.compile(r"[^\"$`\\!]*")


def curl_line(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    secrets: Iterable[str] = (),
    options: Iterable[str] = (),
) -> str:
    """Return a curl command for bash that sends this request again, with any bytes in its body.

    `headers` are (name, value) pairs in order, `options` further arguments of curl. Keys are replaced by
    `$VOREL_API_KEY`, which bash expands: those in `secrets` and everything with the form of a key.
    """
    redact = redactor(secrets)
    pairs = [
        (name, value)
        for name, value in headers
        if name.lower() not in _LEFT_TO_CURL and (name.lower(), value) != _USUAL
    ]
    words = ["curl", "-sS", "-i", *map(_quote, options)]
    if method == "HEAD":
        words.append("--head")
    else:
        words += ["-X", _quote(method)]
    if re.search(r"[\[\]{}]", url):
        words.append("--globoff")
    if re.search(r"/\.{1,2}(/|$)", urlsplit(url).path):
        words.append("--path-as-is")
    for name, value in pairs:
        # curl sends an empty header only if it ends in a semicolon.
        words += ["-H", _quote(redact(f"{name}: {value}" if value else f"{name};"))]
    piped = ""
    if body:
        if not any(name.lower() == "content-type" for name, _ in pairs):
            words += ["-H", "Content-Type:"]  # otherwise curl declares a form
        text = redact(body.decode("utf-8", "surrogateescape"))
        if "\0" in text or len(body) > _LONGEST_ARGUMENT:
            piped = f"printf -- {_printf(text)} | "  # an argument of a program has no NUL; printf is a builtin
            words += ["--data-binary", "@-"]
        else:
            words += ["--data-raw", _quote(text)]
    elif method in {"POST", "PUT", "PATCH"}:
        words += ["-H", "'Content-Length: 0'"]
    words.append(_quote(redact(url)))
    return piped + " ".join(words)


# Replaces a hexadecimal digit as `http.placeholders` does: 0 becomes 8, all others 0.
_FLIP = "tr 0-9a-fA-F 8000000000000000000000"
_BASE64 = "| base64 | tr -d '\\n'"


def changed_key(change: str, n: int) -> str:
    """Return the bash expression of a key with a deliberate change, for values that go into `curl_line`.

    `cut`: the first `n` characters. `from`: the characters from index `n` on. `add`: `n` more digits. `flip`: another
    hexadecimal digit at index `n`. `basic`: the user (`n` is 0) or the password of RFC 7617.
    Raises ValueError for any other change.
    """
    match change:
        case "cut":
            return f"${{VOREL_API_KEY:0:{n}}}"
        case "from":
            return f"${{VOREL_API_KEY:{n}}}"
        case "basic":
            text = f"{KEY_VARIABLE}:" if n == 0 else f":{KEY_VARIABLE}"
            return f"$(printf %s {text} {_BASE64})"
        case "add":
            return KEY_VARIABLE + "0" * n
        case "flip":
            other = f"$({_FLIP} <<<${{VOREL_API_KEY:{n}:1}})"
            return f"${{VOREL_API_KEY:0:{n}}}{other}${{VOREL_API_KEY:{n + 1}}}"
    raise ValueError(f"unknown change of a key: {change}")


def made_up_key(key: str) -> str:
    """Return the bash expression of a key that the kit has made up. Written out, it would be taken for a secret."""
    beginning, _, digits = key.rpartition("_")
    zeros = f"$(printf %0{len(digits)}d 0)"
    return f"{beginning}{'_' if beginning else ''}{zeros if set(digits) == {'0'} else f'$(printf %s {digits})'}"


# The only texts that bash may expand: the variable, and the expressions of `changed_key` and `made_up_key`.
_PART = r"\$\{VOREL_API_KEY:[0-9]{1,3}(?::[0-9]{1,3})?\}"
_BASIC = rf"\$\(printf %s :?{re.escape(KEY_VARIABLE)}:? {re.escape(_BASE64)}\)"
_MADE_UP = r"\$\(printf %(?:0[0-9]{1,4}d 0|s [0-9a-f]{1,64})\)"
_EXPANSION = re.compile(rf"({re.escape(KEY_VARIABLE)}|{_PART}|\$\({_FLIP} <<<{_PART}\)|{_BASIC}|{_MADE_UP})")


def _quote(text: str) -> str:
    """Return one bash word: expansions in double quotes, everything else literal."""
    parts = _EXPANSION.split(text)
    if len(parts) == 1:
        return _literal(text)
    if _is_harmless(text) and all(_SAFE_IN_DOUBLE_QUOTES.fullmatch(part) for part in parts[::2]):
        # Braces if the next character would become a part of the variable's name.
        return '"' + re.sub(r"\$VOREL_API_KEY(?=\w)", "${VOREL_API_KEY}", text) + '"'
    return "".join(f'"{part}"' if index % 2 else part and _literal(part) for index, part in enumerate(parts))


def _is_harmless(text: str) -> bool:
    """Return True if a terminal and the log of a CI show the text as it is."""
    return harmless(text) == text


def _literal(text: str) -> str:
    """Return one bash word without expansions. Control characters, commands of a CI, and bytes that are not UTF-8 are
    escaped.
    """
    if _SAFE.fullmatch(text) and _is_harmless(text):
        return text
    if _is_harmless(text):
        return "'" + text.replace("'", "'\\''") + "'"
    # `!` starts a history expansion in an interactive bash.
    return "$'" + "".join(_escape(char, special="\\'!:#") for char in text) + "'"


def _printf(text: str) -> str:
    """Return the argument of printf that prints `text`, which may contain NUL."""
    return "".join(
        f'"{part}"' if index % 2 else "'" + "".join(_escape(char, special="\\'!%:#") for char in part) + "'"
        for index, part in enumerate(_EXPANSION.split(text))
    )


def _escape(char: str, special: str) -> str:
    if char.isprintable() and char not in special:
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
