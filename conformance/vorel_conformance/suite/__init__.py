"""The tests: one module a topic, each test with the clauses that it asks.

A test is a function of a `Probe`. `vorel_conformance.run` calls it, and so does pytest (`pytest conformance --base-
url URL`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vorel_conformance.session import Probe

Function = Callable[["Probe"], None]
# The limiter's burst goes first and its recovery last: the rest of the run fills the time between the two.
EARLY, MIDDLE, LATE = 0, 1, 2


@dataclass(frozen=True)
class Test:
    """A test, its clauses, and what it costs: requests, and how many of them write when the server does as it
    should."""

    name: str
    function: Function
    clauses: tuple[str, ...]
    requests: Callable[[Plan], int]
    when: int
    writes: bool  # whether a conformant server accepts what the test sends


@dataclass(frozen=True)
class Plan:
    """What the cost of a test depends on."""

    own: int
    foreign: int
    full: int
    burst: int
    soft_failures: int
    singles: frozenset[str]
    limit: int
    fuzz: int


_TESTS: dict[Function, Test] = {}


def covers(
    *clauses: str, requests: int | Callable[[Plan], int], when: int = MIDDLE, writes: bool = True
) -> Callable[[Function], Function]:
    """Register a test with its clauses and the number of requests it sends to a conformant server."""

    def register(function: Function) -> Function:
        cost = requests if callable(requests) else lambda _, n=requests: n
        _TESTS[function] = Test(function.__name__, function, clauses, cost, when, writes)
        return function

    return register


def test_of(function: Function) -> Test | None:
    """What was registered for a function."""
    return _TESTS.get(function)


def collect() -> list[Test]:
    """All tests in the order in which they run."""
    for module in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")
    return sorted(_TESTS.values(), key=lambda each: (each.when, each.function.__module__))
