"""Verify which requests came: how many of a kind, and in which order. A plain function of the journal.

Called without the mock's lock, because an exchange does not change once it is in the journal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

from vorel_mock.api.messages import Exchange, seen_request
from vorel_mock.mock.journal.mark import came_since
from vorel_mock.model.request_pattern import Difference, RequestPattern

#: Patterns that one verification may have.
MAX_PATTERNS = 20
#: Requests that are compared with a pattern that was not met, the latest ones; and those that are told.
MAX_COMPARED = 2_000
_NEAREST = 3
_FORGOTTEN = "older ones that may count were forgotten, because the journal was full"
_COUNTS = ("exactly", "at_least", "never")


@dataclass(frozen=True, slots=True)
class Expectation:
    """So many requests of a kind."""

    pattern: RequestPattern
    least: int
    most: int | None
    """None: any number."""
    counts: Callable[[Exchange], bool]
    """True if it came since the mark."""

    @property
    def wanted(self) -> str:
        """The number of requests, in words."""
        if self.most == 0:
            return "none must"
        return f"at least {self.least} must" if self.most is None else f"exactly {self.least} must"


@dataclass(frozen=True, slots=True)
class Near:
    """A request that was not expected, or that is like one that was."""

    exchange: Exchange
    differences: list[Difference]


@dataclass(frozen=True, slots=True)
class Miss:
    """An expectation that was not met."""

    number: int
    """Its place among the expectations."""
    problem: str
    nearest: list[Near]
    """The nearest first."""


def expectation(wanted: Mapping[str, Any], answered: int, place: str = "") -> Expectation:
    """Return the expectation of a JSON object, which is at `place` in the input. ValueError, which names the member.

    `answered` is the number of the newest request.
    """
    within = f"{place}." if place else ""
    given = [name for name in _COUNTS if name in wanted]
    if len(given) > 1:
        raise ValueError(f"{within}{given[1]}: does not go with {given[0]}; give one of {', '.join(_COUNTS)}")
    if "never" in wanted:
        least, most = 0, 0
    elif "exactly" in wanted:
        least = most = wanted["exactly"]
    else:
        least, most = wanted.get("at_least", 1), None
    pattern = RequestPattern.of(wanted, place)
    try:
        counts = came_since(wanted["since"], answered) if "since" in wanted else lambda _: True
    except ValueError as error:
        raise ValueError(f"{within}since: {error}") from None
    return Expectation(pattern, least, most, counts)


def verify(
    expected: Sequence[Expectation], kept: Sequence[Exchange], truncated: Sequence[Exchange] = ()
) -> list[Exchange] | Miss:
    """Return the requests that match, oldest first, if there are as many as expected; else a Miss.

    Each expectation must hold by itself. Where there are several, the requests that one needs must come after those
    that the one before it needs. `truncated` has the oldest request of each tenant of which older ones were forgotten:
    if those may count, no number is known to be exact.
    """
    matching: list[list[int]] = [[] for _ in expected]
    for place, exchange in enumerate(kept):
        seen = seen_request(exchange)
        for each, places in zip(expected, matching, strict=True):
            if each.counts(exchange) and each.pattern.matches(seen):
                places.append(place)
    incomplete = [any(map(each.counts, truncated)) for each in expected]
    for number, (each, places) in enumerate(zip(expected, matching, strict=True)):
        if each.most is not None and len(places) > each.most:
            return Miss(number, _came(each, places), [Near(kept[place], []) for place in reversed(places)][:_NEAREST])
        if len(places) < each.least or (each.most is not None and incomplete[number]):
            forgotten = f"; {_FORGOTTEN}" if incomplete[number] else ""
            return Miss(number, _came(each, places) + forgotten, _nearest(each, kept, set(places)))
    last, before = -1, 0
    for number, (each, places) in enumerate(zip(expected, matching, strict=True)):
        if not each.least:
            continue
        following = [place for place in places if place > last]
        if len(following) < each.least:
            came = f"{_number(places)}, but {len(following) or 'none'} of them after what matches pattern {before}"
            late = Difference("order", f"after {kept[last].id}", "before it")
            early = [place for place in reversed(places) if place <= last]
            forgotten = f"; {_FORGOTTEN}" if any(incomplete) else ""
            return Miss(
                number, f"{came}; {each.wanted}{forgotten}", [Near(kept[place], [late]) for place in early][:_NEAREST]
            )
        last, before = following[each.least - 1], number
    return [kept[place] for place in sorted(set().union(*matching))]


def _came(expected: Expectation, places: Sequence[int]) -> str:
    return f"{_number(places)}; {expected.wanted}"


def _number(places: Sequence[int]) -> str:
    count = len(places)
    return f"{count or 'no'} request{'s' if count > 1 else ''} match{'' if count > 1 else 'es'}"


def _nearest(expected: Expectation, kept: Sequence[Exchange], met: set[int]) -> list[Near]:
    """Return the requests that differ least, the latest first among equals."""
    others = (
        exchange
        for place in range(len(kept) - 1, -1, -1)
        if place not in met and expected.counts(exchange := kept[place])
    )
    near = (
        Near(exchange, expected.pattern.differences(seen_request(exchange)))
        for exchange, _ in zip(others, range(MAX_COMPARED), strict=False)
    )
    return nsmallest(_NEAREST, near, key=lambda each: (_elsewhere(each), len(each.differences)))


def _elsewhere(near: Near) -> bool:
    """Return True if a request is to another operation: then it is far, however few members differ."""
    return any(difference.place == "operation" for difference in near.differences)
