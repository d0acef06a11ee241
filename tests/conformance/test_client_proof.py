"""The proof of the clauses for integrations: each has a mutant of the reference integration that it sees.

By default one mutant for each clause runs; MUTANT=name tries one alone, FULL_PROOF=1 all of them.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from tests.conformance.proof_runner import FULL
from tests.paths import ROOT

from vorel_conformance.report import client_entries
from vorel_conformance.runs import client, client_options, mock_process
from vorel_conformance.runs.integration import Command
from vorel_conformance.spec import clauses
from vorel_conformance.suite.client import deliveries, situations

PROGRAMS = ROOT / "tests" / "conformance" / "integrations"
REFERENCE = (sys.executable, str(PROGRAMS / "reference.py"))


@cache
def receivers() -> dict[str, str]:
    """The mutants of the receiver by name, each with the clause that must see it."""
    tree = ast.parse((PROGRAMS / "receiver.py").read_text("utf-8"))
    (found,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "MUTANTS"
    )
    value: dict[str, str] = ast.literal_eval(found)
    return value


@cache
def mutants() -> dict[str, str]:
    """The mutants by name, each with the clause that must see it. Read without importing: it needs an environment."""
    tree = ast.parse((PROGRAMS / "mutants.py").read_text("utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name):
                    found[node.name] = ast.literal_eval(decorator.args[0])
    return found


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    with mock_process.started(7) as url:
        yield url


def run(mock_url: str, argv: tuple[str, ...], **options: Any) -> dict[str, Any]:
    session = client.run(
        Command(argv, options.get("timeout", 20.0)), client_options.Options(mock=mock_url, seed=5, **options)
    )
    return client_entries.report_of(session)


def broken(report: dict[str, Any]) -> set[str]:
    return {each["id"] for each in report["clauses"] if each["status"] in ("failed", "warning")}


def test_every_clause_has_a_mutant() -> None:
    assert {*mutants().values(), *receivers().values()} == set(clauses.load(clauses.CLIENT))


def test_every_clause_has_a_situation() -> None:
    known: list[Any] = [*situations.load().values(), *deliveries.load(1, "")]
    made_for = {clause for each in known for clause in each.clauses}
    assert made_for == set(clauses.load(clauses.CLIENT))


GROUPS = list(dict.fromkeys(clause.split(".")[0] for clause in mutants().values()))


@pytest.mark.parametrize("group", GROUPS)
def test_the_clauses_see_their_mutants(mock_url: str, group: str) -> None:
    """Some at a time: most of their time they wait."""
    wanted = os.environ.get("MUTANT")
    one_each = {clause: name for name, clause in reversed(mutants().items())}.values()
    chosen = [wanted] if wanted else mutants() if FULL else one_each
    names = [name for name in chosen if mutants()[name].startswith(f"{group}.")]
    with ThreadPoolExecutor(3) as pool:
        problems = list(filter(None, pool.map(lambda name: problem_with(mock_url, name), names)))
    assert problems == []


def problem_with(mock_url: str, name: str) -> str:
    """Return why the clause of a mutant does not see it, or an empty string."""
    clause = mutants()[name]
    timeout = 6.0 if clause == "retry.gives-up" else 20.0
    argv = (sys.executable, str(PROGRAMS / "mutants.py"), name)
    report = run(mock_url, argv, clauses=(clause,), timeout=timeout, jobs=2)
    (entry,) = report["clauses"]
    level = clauses.load(clauses.CLIENT)[clause].level
    if entry["status"] != ("failed" if level == "MUST" else "warning"):
        return f"{name}: {clause} is {entry['status']} {entry.get('reason', '')}"
    violation = entry["violations"][0]
    again = f"vorel-conformance client --situation {violation['situation']} --seed 5 -- "
    complete = violation["message"] and violation["transcript"] and violation["again"].startswith(again)
    return "" if complete else f"{name}: {clause}: the violation is not complete: {violation}"


def test_the_clauses_see_their_receivers(mock_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        problems = list(filter(None, pool.map(lambda name: problem_with_receiver(mock_url, name), receivers())))
    assert problems == []


def problem_with_receiver(mock_url: str, name: str) -> str:
    """Return why the clause of a receiver's mutant does not see it, or an empty string."""
    clause = receivers()[name]
    receiver = client_options.ReceiverOptions(command=(sys.executable, str(PROGRAMS / "receiver.py"), name))
    options = client_options.Options(
        mock=mock_url, seed=5, clauses=(clause,), does=frozenset({client_options.WEBHOOKS}), receiver=receiver
    )
    (entry,) = client_entries.report_of(client.run(None, options))["clauses"]
    level = clauses.load(clauses.CLIENT)[clause].level
    if entry["status"] != ("failed" if level == "MUST" else "warning"):
        return f"{name}: {clause} is {entry['status']} {entry.get('reason', '')}"
    return "" if entry["violations"][0]["transcript"] else f"{name}: {clause}: the violation has no transcript"
