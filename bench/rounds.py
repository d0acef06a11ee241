"""Turns and rounds: the order of the programs, and the medians and ratios of several rounds."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import programs, wrk
from bench.programs import Program, Running
from bench.workload import BadAnswer, Case, probe
from bench.wrk import Load


@dataclass(frozen=True, slots=True)
class Turn:
    """One program in one round: a fresh process, loaded with one case after the other. Seconds and MiB."""

    first_answer: float
    said: float | None
    rss_start: float
    rss_end: float
    loads: dict[str, Load]
    """By case, for those that the program takes."""
    cpu_us: dict[str, float]
    """Microseconds of processor time for a request, by case. Empty if the system has no /proc.

    Other work on the machine changes them far less than it changes the requests per second.
    """


@dataclass(slots=True)
class Result:
    """A program and its turns, one for each round. A `problem` makes it invalid."""

    program: Program
    turns: list[Turn] = field(default_factory=list)
    problem: str | None = None

    def middle(self, number: Callable[[Turn], float]) -> float:
        """Return the median over the rounds."""
        return median(number(turn) for turn in self.turns)

    def errors(self, case: str) -> int:
        """Return the errors of all rounds."""
        return sum(turn.loads[case].errors for turn in self.turns)

    def measured(self, case: str) -> bool:
        """Whether there are numbers for a case."""
        return any(case in turn.loads for turn in self.turns)

    @property
    def valid(self) -> bool:
        """Whether every request of every round got the response that its case demands."""
        return self.problem is None and not any(load.errors for turn in self.turns for load in turn.loads.values())


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one program is as another: the median of the rounds' own ratios, and their range.

    The turns of a round are neighbours in time, so other work on the machine slows both programs.
    """

    median: float
    least: float
    most: float


def measure(
    candidates: list[Program],
    cases: list[Case],
    *,
    rounds: int,
    seconds: int,
    warm_up: int,
    connections: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Result]:
    """Run every program once in each round: A B C, A B C, … A program that breaks takes no further part.

    Each case gets `warm_up` seconds of load that do not count, because the JVM and V8 compile meanwhile, and then
    `seconds` that do.
    """
    results = [Result(program) for program in candidates]
    for number in range(1, rounds + 1):
        for result in results:
            if result.problem is not None:
                continue
            program = result.program
            tell(f"round {number} of {rounds}: {program.title}")
            try:
                with programs.running(program, folder / f"{program.name}-{number}") as server:
                    result.turns.append(
                        _turn(server, [case for case in cases if program.takes(case)], seconds, warm_up, connections)
                    )
            except (programs.Broken, BadAnswer, wrk.WrkFailed, OSError) as problem:
                result.problem = f"{program.title}: {problem}"
    return results


def _turn(server: Running, cases: list[Case], seconds: int, warm_up: int, connections: int) -> Turn:
    rss_start = server.rss()
    for case in cases if warm_up else ():
        wrk.run(server.port, case, seconds=warm_up, connections=connections, name=secrets.token_hex(4))
    loads, cpu_us = {}, {}
    for case in cases:
        probe(server.port, case, secrets.token_hex(4))
        before = server.cpu()
        load = wrk.run(server.port, case, seconds=seconds, connections=connections, name=secrets.token_hex(4))
        after = server.cpu()
        loads[case.id] = load
        if before is not None and after is not None and load.requests:
            cpu_us[case.id] = (after - before) / load.requests * 1e6
        probe(server.port, case, secrets.token_hex(4))
    return Turn(server.first_answer, server.said, rss_start, server.rss(), loads, cpu_us)


def ratio(one: Result, other: Result, case: str) -> Ratio | None:
    """Return the requests per second of `one` over those of `other`; None if no round has both."""
    ratios = [
        a.loads[case].rate / b.loads[case].rate
        for a, b in zip(one.turns, other.turns, strict=False)
        if case in a.loads and case in b.loads and b.loads[case].requests
    ]
    return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None
