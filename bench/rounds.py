"""Turns and rounds: who is loaded when, and what the numbers of several rounds come to."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import programs, wrk
from bench.programs import Program, Running
from bench.workload import BadAnswer, Operation, probe
from bench.wrk import Load

#: Seconds, at most, that each operation is loaded before it counts: compilers at run time (JVM, V8) need that.
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """One program in one round: a fresh process, loaded with one operation after the other. Seconds and MiB."""

    first_answer: float
    said: float | None
    rss_start: float
    rss_end: float
    loads: dict[str, Load]
    """By operationId."""
    cpu_us: dict[str, float]
    """Processor time of a request, microseconds, by operationId; empty where the system does not tell.

    What else the machine does moves it far less than it moves requests per second.
    """


@dataclass(slots=True)
class Result:
    """A program and its turns, one a round. `problem` makes it invalid."""

    program: Program
    turns: list[Turn] = field(default_factory=list)
    problem: str | None = None

    def middle(self, number: Callable[[Turn], float]) -> float:
        """The median over the rounds."""
        return median(number(turn) for turn in self.turns)

    def errors(self, operation: str) -> int:
        """The errors of all rounds."""
        return sum(turn.loads[operation].errors for turn in self.turns)

    @property
    def valid(self) -> bool:
        """Whether every request of every round got an answer that counts."""
        return self.problem is None and not any(load.errors for turn in self.turns for load in turn.loads.values())


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one program is as another: the median of the rounds' own ratios, and their range.

    A round's two turns are neighbours in time, so what else the machine does then weighs on both.
    """

    median: float
    least: float
    most: float


def measure(
    candidates: list[Program],
    operations: list[Operation],
    *,
    rounds: int,
    seconds: int,
    connections: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Result]:
    """Run every program once a round, in turn: A B C, A B C, … A program that breaks is left out from then on."""
    results = [Result(program) for program in candidates]
    for number in range(1, rounds + 1):
        for result in results:
            if result.problem is not None:
                continue
            program = result.program
            tell(f"round {number} of {rounds}: {program.title}")
            try:
                with programs.running(program, folder / f"{program.name}-{number}") as server:
                    result.turns.append(_turn(server, operations, seconds, connections))
            except (programs.Broken, BadAnswer, wrk.WrkFailed, OSError) as problem:
                result.problem = f"{program.title}: {problem}"
    return results


def _turn(server: Running, operations: list[Operation], seconds: int, connections: int) -> Turn:
    rss_start = server.rss()
    for operation in operations:
        wrk.run(
            server.port, operation, seconds=min(seconds, WARM_UP), connections=connections, name=secrets.token_hex(4)
        )
    loads, cpu_us = {}, {}
    for operation in operations:
        probe(server.port, operation, secrets.token_hex(4))
        before = server.cpu()
        load = wrk.run(server.port, operation, seconds=seconds, connections=connections, name=secrets.token_hex(4))
        after = server.cpu()
        loads[operation.id] = load
        if before is not None and after is not None and load.requests:
            cpu_us[operation.id] = (after - before) / load.requests * 1e6
        probe(server.port, operation, secrets.token_hex(4))
    return Turn(server.first_answer, server.said, rss_start, server.rss(), loads, cpu_us)


def ratio(one: Result, other: Result, operation: str) -> Ratio | None:
    """`one` over `other`, in requests per second of `operation`; None when they share no round."""
    ratios = [
        a.loads[operation].rate / b.loads[operation].rate
        for a, b in zip(one.turns, other.turns, strict=False)
        if b.loads[operation].requests
    ]
    return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None
