"""One line that sends a request again, to be pasted into bash."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from vorel_conformance.report.redact import PLACEHOLDER, redactor

# curl makes these itself; a copied value would contradict the request that it builds or only add noise.
_LEFT_TO_CURL = {"accept", "accept-encoding", "connection", "content-length", "host", "user-agent"}
# Linux refuses a single argument above 128 KiB.
_LONGEST_ARGUMENT = 100_000
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_SAFE_IN_DOUBLE_QUOTES = re.compile(r"[^\"$`\\!]*")


def curl_line(
    method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes, *, secrets: Iterable[str] = ()
) -> str:
    """Return a curl command for bash that sends this request again, whatever bytes are in it.

    `headers` are (name, value) pairs in order. Keys, those in `secrets` and whatever has the shape of one, are written
    as `$VOREL_API_KEY`, where bash expands it.
    """
    redact = redactor(secrets)
    pairs = [(name, value) for name, value in headers if name.lower() not in _LEFT_TO_CURL]
    words = ["curl", "-sS", "-i"]
    if method == "HEAD":
        words.append("--head")
    else:
        words += ["-X", _quote(method)]
    if re.search(r"[\[\]{}]", url):
        words.append("--globoff")
    if re.search(r"/\.{1,2}(/|$)", urlsplit(url).path):
        words.append("--path-as-is")
    for name, value in pairs:
        # An empty value is said with a semicolon: with a colon curl would leave the header out.
        words += ["-H", _quote(redact(f"{name}: {value}" if value else f"{name};"))]
    piped = ""
    if body:
        if not any(name.lower() == "content-type" for name, _ in pairs):
            words += ["-H", "Content-Type:"]  # or curl would call it a form
        text = redact(body.decode("utf-8", "surrogateescape"))
        if "\0" in text or len(body) > _LONGEST_ARGUMENT:
            piped = f"printf -- {_printf(text)} | "  # no argument of a program holds NUL; printf is built into bash
            words += ["--data-binary", "@-"]
        else:
            words += ["--data-raw", _quote(text)]
    elif method in {"POST", "PUT", "PATCH"}:
        words += ["-H", "'Content-Length: 0'"]
    words.append(_quote(redact(url)))
    return piped + " ".join(words)


# Another hexadecimal digit, the same that the kit itself puts there: 0 becomes 8, all others 0.
_FLIP = "tr 0-9a-fA-F 8000000000000000000000"
_BASE64 = "| base64 | tr -d '\\n'"


def changed_key(change: str, n: int) -> str:
    """A key that was changed on purpose, as bash says it: for header values and bodies that go into `curl_line`.

    `cut`: its first `n` characters; `from`: those from place `n` (from 0) on; `add`: `n` digits more; `flip`: another
    hexadecimal digit in place `n`; `basic`: as the user (`n` is 0) or the password of RFC 7617.
    ValueError for any other change.
    """
    match change:
        case "cut":
            return f"${{VOREL_API_KEY:0:{n}}}"
        case "from":
            return f"${{VOREL_API_KEY:{n}}}"
        case "basic":
            text = f"{PLACEHOLDER}:" if n == 0 else f":{PLACEHOLDER}"
            return f"$(printf %s {text} {_BASE64})"
        case "add":
            return PLACEHOLDER + "0" * n
        case "flip":
            other = f"$({_FLIP} <<<${{VOREL_API_KEY:{n}:1}})"
            return f"${{VOREL_API_KEY:0:{n}}}{other}${{VOREL_API_KEY:{n + 1}}}"
    raise ValueError(f"no such change of a key: {change}")


# What stays an expansion of bash: the placeholder, and what `changed_key` makes of it. Nothing else, whoever wrote it.
_PART = r"\$\{VOREL_API_KEY:[0-9]{1,3}(?::[0-9]{1,3})?\}"
_BASIC = rf"\$\(printf %s :?{re.escape(PLACEHOLDER)}:? {re.escape(_BASE64)}\)"
_EXPANSION = re.compile(rf"({re.escape(PLACEHOLDER)}|{_PART}|\$\({_FLIP} <<<{_PART}\)|{_BASIC})")


def _quote(text: str) -> str:
    """One bash word: expansions in double quotes, all else literal."""
    parts = _EXPANSION.split(text)
    if len(parts) == 1:
        return _literal(text)
    if text.isprintable() and all(_SAFE_IN_DOUBLE_QUOTES.fullmatch(part) for part in parts[::2]):
        # Braces where the character behind would become a part of the variable's name.
        return '"' + re.sub(r"\$VOREL_API_KEY(?=\w)", "${VOREL_API_KEY}", text) + '"'
    return "".join(f'"{part}"' if index % 2 else part and _literal(part) for index, part in enumerate(parts))


def _literal(text: str) -> str:
    """One bash word without expansions. Control characters, and bytes that are no UTF-8, as escapes."""
    if _SAFE.fullmatch(text):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "'\\''") + "'"
    # `!` would start a history expansion in an interactive bash.
    return "$'" + "".join(_escape(char, special="\\'!") for char in text) + "'"


def _printf(text: str) -> str:
    """The operand of printf that prints `text`, which may hold NUL."""
    return "".join(
        f'"{part}"' if index % 2 else "'" + "".join(_escape(char, special="\\'!%") for char in part) + "'"
        for index, part in enumerate(_EXPANSION.split(text))
    )


def _escape(char: str, special: str) -> str:
    if char.isprintable() and char not in special:
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
