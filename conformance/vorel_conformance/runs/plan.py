"""The plan of a run: its options, its phases and its cost. Sends nothing, except for the profile of a mock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from vorel_conformance import suite
from vorel_conformance.http.pacing import SHARE_OF_LIMIT, too_slow
from vorel_conformance.http.target import LINES, Target, check_url, fetch
from vorel_conformance.http.transport import USUAL, Trust
from vorel_conformance.spec import clauses
from vorel_conformance.suite import Size, Test, When
from vorel_conformance.suite.rate_limit_bursts import BURSTS, over

DEFAULT_RATE = 3000  # requests a minute over all keys, unless the full keys allow less
SHORT_S = 120.0  # seconds: the plan says how a run that takes longer becomes shorter
RETRIES = 4  # how often a violation is retried


@dataclass(frozen=True)
class Options:
    """The options of a run. Times in seconds."""

    seed: int | None = None  # None: random; the report names it
    max_requests: int = 4000
    rate: float | None = None  # requests a minute over all keys; None: as the full keys allow, at most DEFAULT_RATE
    clauses: tuple[str, ...] = ()  # ids or groups; empty: all
    fuzz: int = 150  # generated requests of each kind: valid and invalid, for each operation
    limit: int | None = None  # None: the profile's, which is the contract's by default
    window_s: float | None = None
    connect_timeout: float = 5.0
    timeout: float = 10.0  # between two bytes of a response; the whole response may take three times as long
    trust: Trust = USUAL  # the servers that an https connection is made to
    workers: int | None = None  # None: one, or more for a slow target
    time_limit: float = 480.0  # of the whole run
    retries: int = RETRIES


@dataclass(frozen=True)
class Phase:
    """A phase of a run. `name` is its name in events, `when` the tests that it runs (None: no tests)."""

    name: str
    when: When | None = None
    concurrent: bool = False  # True if tests may run in several threads at once

    def tests(self, tests: Iterable[Test]) -> list[Test]:
        """Return the tests of this phase."""
        return [each for each in tests if each.when == self.when]

    def requests(self, tests: Iterable[Test], size: Size) -> int:
        """Return the number of requests that this phase sends to a conformant server."""
        if self is PREFLIGHT:
            # One request for each operation, each key and each lead. Without a lead, a 404 takes a second look.
            return (
                2
                + (not size.own)
                + size.full
                + size.own
                + len(size.singles & {"leads_only", "crm_only", "other_tenant"})
                + size.soft_failures
            )
        return sum(each.requests(size) for each in self.tests(tests))


PREFLIGHT = Phase("preflight")
BURST = Phase("burst", When.EARLY)
SUITE = Phase("suite", When.MIDDLE, concurrent=True)
RETRY = Phase("retries")
RECOVERY = Phase("recovery", When.LATE)
PHASES = (PREFLIGHT, BURST, SUITE, RETRY, RECOVERY)


def size_of(target: Target, options: Options) -> Size:
    """Return the numbers that the cost of the tests depends on."""
    return Size(
        own=len(target.own),
        foreign=len(target.foreign),
        full=len(target.full),
        burst=len(target.burst),
        soft_failures=len(target.soft_failures),
        singles=frozenset(target.single),
        limit=target.limit,
        fuzz=options.fuzz,
    )


def within_budget(target: Target, options: Options) -> tuple[Target, str]:
    """Return the target with as many burst keys as the budget of requests allows, and why not even one is possible.

    Nothing is taken away if the bursts are no more than half of the budget, or if everything fits.
    """
    selected = clauses.select(options.clauses)
    tests = [each for each in suite.collect() if set(each.clauses) & set(selected)]

    def cost(burst: int) -> tuple[int, int]:
        size = size_of(replace(target, burst=target.burst[:burst]), options)
        return _of_bursts(tests, size), sum(phase.requests(tests, size) for phase in PHASES)

    for count in range(len(target.burst), 0, -1):
        bursts, total = cost(count)
        if total <= options.max_requests or bursts <= options.max_requests / 2:
            return replace(target, burst=target.burst[:count]), ""
    if not target.burst or not bursts:
        return target, ""
    return target, (
        f"the rate limit cannot be tested within {options.max_requests} requests: bursts over a limit of "
        f"{target.limit} take {bursts} at least, the other tests {total - bursts}; use --max-requests {total}"
    )


def _of_bursts(tests: Iterable[Test], size: Size) -> int:
    """Return the number of requests of the bursts. Only they are sent without pacing."""
    return sum(each.requests(size) for each in tests if each.pair == BURSTS)


def _plain(target: Target) -> list[str]:
    """Return a warning of keys that are too plain to be searched for in responses."""
    places = target.plain
    if not places:
        return []
    shown = ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
    return [
        f"{shown}: so plain that a response may contain the same by chance; envelope.message-safe does not look for "
        "it. Use keys with random digits."
    ]


def _pace(target: Target, options: Options, requests: int, paced: int) -> list[str]:
    """Return notes on a run that takes long, or ends early: for how long, and what makes it shorter."""
    notes = []
    seconds = 60.0 * paced / rate_of(target, options)
    pool = math.ceil(DEFAULT_RATE / _rate_of_keys(target, 1))
    if options.rate is None and seconds > SHORT_S and pool > len(target.full):
        shorter = max(60.0 * paced / DEFAULT_RATE, target.window_s) + 10
        notes.append(
            f"the limit of each key ({target.limit} requests in {target.window_s:g} s) sets the pace: with {pool} keys "
            f"in [keys] full instead of {len(target.full)} the run takes about {_minutes(shorter):g} minutes"
        )
    if seconds > options.time_limit:
        notes.append(
            f"the run ends after {options.time_limit / 60:g} minutes, before all clauses are judged; "
            f"use --max-minutes {math.ceil(seconds / 60 * 1.1) + 1} for all of them"
        )
    if requests > options.max_requests:
        notes.append(
            f"the run ends after {options.max_requests} requests, before all clauses are judged; "
            f"use --max-requests {math.ceil(requests * 1.1)} for all of them"
        )
    return notes


def plan(target: Target, options: Options) -> dict[str, Any]:
    """Return the plan of a run: clauses, requests, maximum of writes, minutes, missing lines of the profile."""
    whole = settle(target.base_url, target, options)
    target, dear = within_budget(whole, options)
    selected = clauses.select(options.clauses)
    size = size_of(target, options)
    tests = [each for each in suite.collect() if set(each.clauses) & set(selected)]
    cost = {phase.name: phase.requests(tests, size) for phase in PHASES}
    bursts = _of_bursts(tests, size)
    paced = sum(cost.values()) - bursts
    slow = too_slow(options.rate, target.limit + over(target.limit), target.window_s) if options.rate and bursts else ""
    reason = slow or dear
    if reason:
        bursts = 0
    requests = min(bursts + paced, options.max_requests)
    writes = cost[PREFLIGHT.name] + sum(each.requests(size) for each in tests if each.writes)
    rate = rate_of(target, options)
    seconds = 60.0 * paced / rate
    if bursts:
        seconds = max(seconds, target.window_s) + 10
    return {
        "target": target.base_url,
        "clauses": len(selected),
        "requests": requests,
        "writes": min(requests, writes),
        "rate": round(rate),
        "minutes": _minutes(min(seconds, options.time_limit)),
        "notes": [*_plain(target), *([reason] if reason else []), *_pace(target, options, bursts + paced, paced)],
        "missing": [LINES[name] for name in target.lacks],
    }


def settle(base_url: str, target: Target | None, options: Options) -> Target:
    """Return the target with the limit and the window of the options. Without a target, ask the server for its profile.

    Raises TargetError if the URL or the profile is invalid.
    """
    found = target if target is not None else fetch(base_url, options.trust)
    found = replace(found, base_url=check_url(base_url))
    if options.limit is not None:
        found = replace(found, limit=options.limit)
    if options.window_s is not None:
        found = replace(found, window_s=options.window_s)
    return found


def rate_of(target: Target, options: Options) -> float:
    """Return the requests a minute: as many as the full keys allow, less a margin, and not more than the options."""
    return min(_rate_of_keys(target, len(target.full)), options.rate or DEFAULT_RATE)


def _rate_of_keys(target: Target, count: int) -> float:
    return count * target.limit * 60.0 / target.window_s * SHARE_OF_LIMIT


def _minutes(seconds: float) -> float:
    return math.ceil(seconds / 30) / 2
