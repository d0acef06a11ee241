"""The content coding of a response. The kit asks for none, but judges what is inside all the same.

Bounded: a few bytes of a compressed body may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

_MOST = 3  # codings of one response
_ANY_HEADER = zlib.MAX_WBITS | 32  # gzip (RFC 1952) or zlib (RFC 1950)
_CODINGS = {"gzip": _ANY_HEADER, "x-gzip": _ANY_HEADER, "deflate": _ANY_HEADER}


@dataclass(frozen=True)
class Decoded:
    """A body without its content coding, or the reason why it has none.

    `unknown`: the reason is not the server's fault, but a coding that the kit does not know.
    """

    body: bytes
    truncated: bool = False
    problem: str = ""
    unknown: bool = False


def names(header: str | None) -> list[str]:
    """Return the codings that a Content-Encoding names, in lower case and in the order of their application."""
    found = [each.strip().lower() for each in (header or "").split(",")]
    return [each for each in found if each not in ("", "identity")]


def decode(body: bytes, header: str | None, most: int) -> Decoded:
    """Undo the codings of a Content-Encoding. Of a longer body, return the first `most` bytes."""
    found = names(header)
    if not found or not body:
        return Decoded(body)
    strange = [each for each in found if each not in _CODINGS]
    if strange or len(found) > _MOST:
        return Decoded(
            body, problem=f"Content-Encoding is {', '.join(found)}, which the kit cannot decode", unknown=True
        )
    truncated = False
    for name in reversed(found):
        try:
            body, truncated = _inflate(body, _CODINGS[name], most)
        except zlib.error:
            try:
                # Some servers send deflate without the header of zlib.
                body, truncated = _inflate(body, -zlib.MAX_WBITS, most) if name == "deflate" else (b"", False)
            except zlib.error:
                body = b""
            if not body:
                return Decoded(body, problem=f"Content-Encoding is {name}, but the body is not encoded like that")
        if truncated:
            break
    return Decoded(body, truncated)


def _inflate(body: bytes, window: int, most: int) -> tuple[bytes, bool]:
    """Return at most `most` bytes, and True if there were more. Raises zlib.error if the data is damaged or cut."""
    found = b""
    while body:  # a gzip body may have several members
        member = zlib.decompressobj(window)
        found += member.decompress(body, most + 1 - len(found))
        if len(found) > most:
            return found[:most], True
        if not member.eof:
            raise zlib.error("the data ends early")
        body = member.unused_data
    return found, False
