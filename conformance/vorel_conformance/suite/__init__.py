"""The tests, one module for each topic. Every test names the clauses that it covers.

A test is a function of a `Probe`. `runs.server` calls it, and so does pytest (`pytest conformance --base-url URL`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vorel_conformance.session.probe import Probe

Function = Callable[["Probe"], None]


class When(IntEnum):
    """The part of a run in which a test runs. The bursts over the rate limit frame the other tests: a burst early, the
    look at the recovered key late, everything else in the minute between them.
    """

    EARLY = 0
    MIDDLE = 1
    LATE = 2


@dataclass(frozen=True)
class Size:
    """The numbers that the cost of a test depends on."""

    own: int
    foreign: int
    full: int
    burst: int
    soft_failures: int
    singles: frozenset[str]
    limit: int
    fuzz: int


@dataclass(frozen=True)
class Test:
    """A test, the clauses that it covers, and its cost."""

    name: str
    function: Function
    clauses: tuple[str, ...]
    requests: Callable[[Size], int]  # sent to a conformant server
    when: When
    writes: bool  # True if a conformant server accepts the requests
    pair: str = ""  # tests with the same pair are one test in two parts: a rerun runs both
    again: bool = False  # True if it asks again for what other tests have asked: without it they are evidence enough
    repeatable: bool = True  # False if the test takes a whole window and repeats itself in case of doubt


_TESTS: dict[Function, Test] = {}


def covers(
    *clauses: str,
    requests: int | Callable[[Size], int],
    when: When = When.MIDDLE,
    writes: bool = True,
    pair: str = "",
    again: bool = False,
    repeatable: bool = True,
) -> Callable[[Function], Function]:
    """Register a test. The arguments are the members of `Test`; `requests` may be a constant."""

    def register(function: Function) -> Function:
        cost = requests if callable(requests) else lambda _, n=requests: n
        _TESTS[function] = Test(function.__name__, function, clauses, cost, when, writes, pair, again, repeatable)
        return function

    return register


def test_of(function: Function) -> Test | None:
    """Return the registered test of a function, or None."""
    return _TESTS.get(function)


def collect() -> list[Test]:
    """Return all tests of a server, in the order in which they run."""
    from vorel_conformance.suite import server

    for module in sorted(each.name for each in pkgutil.iter_modules(server.__path__)):
        importlib.import_module(f"{server.__name__}.{module}")
    return sorted(_TESTS.values(), key=lambda each: (each.when, each.function.__module__))


def together(test: Test, tests: Iterable[Test]) -> list[Test]:
    """Return the tests that a rerun of `test` has to run, in their order: the test itself, or its pair."""
    return [each for each in tests if each is test or (test.pair and each.pair == test.pair)]
