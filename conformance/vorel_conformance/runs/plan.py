"""The plan of a run: its options, its phases and its cost. Sends nothing, except for the profile of a mock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vorel_conformance import suite
from vorel_conformance.http.pacing import too_slow
from vorel_conformance.http.target import LINES, Target, check_url, fetch
from vorel_conformance.spec import clauses
from vorel_conformance.suite import Size, Test, When
from vorel_conformance.suite.rate_limit_bursts import EXTRA

DEFAULT_RATE = 2400  # requests a minute over all keys, unless the full keys allow less
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
    cacert: Path | None = None  # the certificates in PEM that an https target must have, or be signed by
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


def plan(target: Target, options: Options) -> dict[str, Any]:
    """Return the plan of a run: clauses, requests, maximum of writes, minutes, missing lines of the profile."""
    target = settle(target.base_url, target, options)
    selected = clauses.select(options.clauses)
    size = size_of(target, options)
    tests = [each for each in suite.collect() if set(each.clauses) & set(selected)]
    cost = {phase.name: phase.requests(tests, size) for phase in PHASES}
    slow = too_slow(options.rate, target.limit + EXTRA, target.window_s) if options.rate and cost[BURST.name] else ""
    if slow:
        cost[BURST.name] = cost[RECOVERY.name] = 0
    bursts = cost[BURST.name] + cost[RECOVERY.name]
    paced = sum(cost.values()) - bursts
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
        "minutes": math.ceil(seconds / 30) / 2,
        "notes": [slow] if slow else [],
        "missing": [LINES[name] for name in target.lacks],
    }


def settle(base_url: str, target: Target | None, options: Options) -> Target:
    """Return the target with the limit and the window of the options. Without a target, ask the server for its profile.

    Raises TargetError if the URL or the profile is invalid.
    """
    found = target if target is not None else fetch(base_url, options.cacert)
    found = replace(found, base_url=check_url(base_url))
    if options.limit is not None:
        found = replace(found, limit=options.limit)
    if options.window_s is not None:
        found = replace(found, window_s=options.window_s)
    return found


def rate_of(target: Target, options: Options) -> float:
    """Return the requests a minute: as many as the full keys allow, less a margin, and not more than the options."""
    pool = len(target.full) * target.limit * 60.0 / target.window_s * 0.95
    return min(pool, options.rate or DEFAULT_RATE)
