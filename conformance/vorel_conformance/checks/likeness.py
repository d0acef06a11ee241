"""The difference between the responses to two kinds of lead: another tenant's, and unknown ones. Pure functions.

A lawful response may contain the id that was asked for, and values that follow from it: an ETag of a body that names
the lead, the name of a node that is chosen by the path. It may also vary by itself: dates, request ids. None of these
tells the two kinds of lead apart.
"""

from __future__ import annotations

import os.path
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vorel_conformance.checks.response import lead_of
from vorel_conformance.http.exchange import Exchange

FEW = 3  # responses of one kind; fewer show nothing about values that vary
# The presence of these headers is compared, but not their values: those change with time.
_CLOCKS = re.compile(r"the header (date|age|expires|retry-after|(x-)?ratelimit.*)")
# Follows from the body, which is compared itself.
_LENGTH = "the header content-length"
# Characters of random values that agree by chance less than once in a million, if they are hexadecimal digits.
_NO_CHANCE = 5
_BETWEEN_WORDS = re.compile(r'[\s=;,:"()\[\]{}&?]+')


@dataclass(frozen=True)
class _Sample:
    """The responses of one kind: for each of them the lead that was asked for, and its traits."""

    leads: tuple[str, ...]
    traits: tuple[dict[str, Any], ...]

    def values(self, name: str) -> list[Any]:
        return [each.get(name) for each in self.traits]


def difference(foreign: Sequence[Exchange], unknown: Sequence[Exchange]) -> tuple[str, list[Exchange]]:
    """Return the first trait that distinguishes foreign leads, or one of them, and the responses that show it.

    Returns an empty text if there is none.
    """
    usual = _sample(unknown)
    by_lead: dict[str, list[Exchange]] = defaultdict(list)
    for each in foreign:
        by_lead[lead_of(each)].append(each)
    for group in (list(foreign), *by_lead.values()):
        if len(group) < FEW:
            continue
        found = _sample(group)
        for name in sorted({name for one in (*found.traits, *usual.traits) for name in one}):
            if apart := _apart(name, found.values(name), usual):
                return apart, group
    return "", []


def _sample(exchanges: Sequence[Exchange]) -> _Sample:
    return _Sample(tuple(map(lead_of, exchanges)), tuple(map(_traits, exchanges)))


def _apart(name: str, found: list[Any], unknown: _Sample) -> str:
    """Describe how a trait distinguishes the two kinds of lead. Empty if it does not. None: the trait is missing."""
    usual = unknown.values(name)
    if all(each is None for each in found) and None not in usual:
        return f"{name}, which is missing"
    if None not in found and all(each is None for each in usual):
        return f"{name}, which the responses to unknown leads do not have"
    if None in found or None in usual or _CLOCKS.fullmatch(name):
        return ""
    if len(set(map(repr, usual))) == 1:
        return name if usual[0] not in found else ""
    if not all(isinstance(each, str) for each in (*found, *usual)):
        return ""
    if _follows_from_id(unknown.leads, usual):
        return f"the words of {name}" if _other_words(found, usual) else ""
    # Values that vary from request to request, for example request ids, may still have another form.
    if len({len(each) for each in usual}) == 1 and len(usual[0]) not in {len(each) for each in found}:
        return f"the length of {name}"
    return f"the beginning of {name}" if _other_beginning(found, usual) else ""


def _follows_from_id(leads: Sequence[str], values: Sequence[str]) -> bool:
    """Return True if every lead has one value, as often as it is asked for."""
    by_lead: dict[str, list[str]] = defaultdict(list)
    for lead, value in zip(leads, values, strict=True):
        by_lead[lead].append(value)
    return all(len(set(each)) == 1 for each in by_lead.values()) and any(len(each) > 1 for each in by_lead.values())


def _other_words(found: Sequence[str], usual: Sequence[str]) -> bool:
    """Return True if `found` has another number of words, or no word that all of `usual` share at its place."""
    ours, theirs = ([_BETWEEN_WORDS.split(each) for each in values] for values in (usual, found))
    if len({len(each) for each in ours}) > 1:
        return False
    length = len(ours[0])
    if all(len(each) != length for each in theirs):
        return True
    theirs = [each for each in theirs if len(each) == length]
    return any(
        len({each[place] for each in ours}) == 1 and all(each[place] != ours[0][place] for each in theirs)
        for place in range(length)
    )


def _other_beginning(found: Sequence[str], usual: Sequence[str]) -> bool:
    """Return True if all of `found` begin alike, too long to be chance, and none of `usual` begins like that."""
    prefix = os.path.commonprefix(list(found))  # noqa: RUF071 - texts, not paths
    if not prefix or any(each.startswith(prefix) for each in usual):
        return False
    shared = os.path.commonprefix([*found, *usual])  # noqa: RUF071 - texts, not paths
    return (len(prefix) - len(shared)) * (len(set(found)) - 1) >= _NO_CHANCE


def _traits(exchange: Exchange) -> dict[str, Any]:
    """Return a response as names and values, with the id of the request masked, in any spelling of a UUID."""
    spelling = re.compile("-?".join(map(re.escape, lead_of(exchange).split("-"))), re.IGNORECASE)

    def mask(text: str) -> str:
        return spelling.sub("<id>", text)

    traits: dict[str, Any] = {"the status": exchange.status}
    traits |= {f"the header {name.lower()}": mask(value) for name, value in exchange.headers}
    traits.pop(_LENGTH, None)
    traits["the bytes of the body"] = mask(exchange.body.decode("utf-8", "replace"))
    if not exchange.parsed.error:
        _flatten(exchange.parsed.value, "the body", traits, mask)
    return traits


def _flatten(value: Any, where: str, into: dict[str, Any], mask: Callable[[str], str]) -> None:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        into[where] = mask(value) if isinstance(value, str) else "null" if value is None else value
        return
    into[where] = type(value).__name__
    for name, each in inside:
        _flatten(each, f"{where}/{name}", into, mask)
