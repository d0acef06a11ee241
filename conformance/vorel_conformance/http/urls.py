"""The one place that makes URLs. Every URL that the kit requests or shows stays on the origin of the target."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
EXAMPLES = "http://127.0.0.1:3000 or https://api.example.com"
# Stricter than RFC 3986: programs disagree about backslashes, blanks, escapes and letters beyond ASCII in a host.
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_DOTS = re.compile(r"(?i)\.|%2e")
# Written as they are, these end the path, or are read as another character by some programs.
_UNSAFE = re.compile(r"[^!-~]|[\\#]")


class AddressError(ValueError):
    """A text is not a base URL, or a path leads to another origin. The message says what is allowed."""


def base(text: str) -> str:
    """Return a base URL in its normal form: lower-case scheme and host, no slash at the end.

    Raises AddressError for anything but scheme, host, port and path.
    """
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise AddressError(f"{shown!r}: not a base URL; use one like {EXAMPLES}") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise AddressError(f"{shown!r}: not a base URL; use one like {EXAMPLES}")
    if "@" in parts.netloc or "?" in text or "#" in text:
        # It is not quoted: it may contain a password.
        raise AddressError("the base URL has a user, query or fragment; only scheme, host, port and path are allowed")
    found = _AUTHORITY.fullmatch(parts.netloc)
    if not found or not _is_port(found["port"]) or not _is_host(found["host"]):
        raise AddressError(f"{shown!r}: not a base URL: its host or port is invalid; use one like {EXAMPLES}")
    if not _BASE_PATH.fullmatch(parts.path) or _has_dot_segment(parts.path):
        raise AddressError(f"{shown!r}: not a base URL: its path is invalid; use one like {EXAMPLES}/api")
    # `urlsplit` drops line breaks and tabs, and blanks around the URL.
    if re.search(r"[^!-~]", text):
        raise AddressError(f"{shown!r}: not a base URL: it has a blank or a control character")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


@lru_cache(maxsize=256)
def join(base_url: str, path: str) -> str:
    """Return the URL of `path` below a base URL in its normal form. `path` may have a query.

    Characters that would end the path are percent-encoded. Raises AddressError if the URL has another origin.
    """
    if not path.startswith("/"):
        raise AddressError(f"{path[:200]!r}: not a path: it must begin with a slash")
    url = base_url + _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="replace"), path)
    if origin(url) != origin(base_url):
        raise AddressError(f"{path[:200]!r}: not a path below {base_url}")
    return url


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL. Raises AddressError for a URL with a user, or without a host."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise AddressError(f"{url[:200]!r}: not a URL of this kit") from error
    if not parts.hostname or "@" in parts.netloc:
        raise AddressError(f"{url[:200]!r}: not a URL of this kit")
    return parts.scheme, parts.hostname.rstrip("."), port


def same_base(one: str, other: str) -> bool:
    """Return True if two base URLs name the same server and path, whatever their spelling."""
    try:
        first, second = base(one), base(other)
    except AddressError:
        return False
    return (origin(first), urlsplit(first).path) == (origin(second), urlsplit(second).path)


def is_loopback(base_url: str) -> bool:
    """Return True if the host of a base URL is this machine: a loopback address, or exactly `localhost`."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) < 65536


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return ".." not in host
    try:
        return ipaddress.ip_address(host[1:-1]).version == 6
    except ValueError:
        return False


def _has_dot_segment(path: str) -> bool:
    return any(_DOTS.sub("", segment) == "" for segment in path.split("/") if segment)
