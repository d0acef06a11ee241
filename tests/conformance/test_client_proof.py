"""The proof of the clauses for integrations: each has a mutant of the reference integration that it sees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from tests.paths import ROOT

from vorel_conformance.report import client_entries
from vorel_conformance.runs import client, mock_process
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
    session = client.run(Command(argv, options.get("timeout", 20.0)), client.Options(mock=mock_url, seed=5, **options))
    return client_entries.report_of(session)


def broken(report: dict[str, Any]) -> set[str]:
    return {each["id"] for each in report["clauses"] if each["status"] in ("failed", "warning")}


def test_every_clause_has_a_mutant() -> None:
    assert {*mutants().values(), *receivers().values()} == set(clauses.load(clauses.CLIENT))


def test_every_clause_has_a_situation() -> None:
    known: list[Any] = [*situations.load().values(), *deliveries.load(1, "")]
    made_for = {clause for each in known for clause in each.clauses}
    assert made_for == set(clauses.load(clauses.CLIENT))


@pytest.mark.parametrize("name", mutants())
def test_the_clause_sees_its_mutant(mock_url: str, name: str) -> None:
    clause = mutants()[name]
    timeout = 6.0 if clause == "retry.gives-up" else 20.0
    argv = (sys.executable, str(PROGRAMS / "mutants.py"), name)
    report = run(mock_url, argv, clauses=(clause,), timeout=timeout)
    (entry,) = report["clauses"]
    level = clauses.load(clauses.CLIENT)[clause].level
    assert entry["status"] == ("failed" if level == "MUST" else "warning"), entry.get("reason")
    violation = entry["violations"][0]
    assert violation["message"]
    assert violation["transcript"]
    assert violation["again"].startswith(f"vorel-conformance client --situation {violation['situation']} --seed 5 -- ")


@pytest.mark.parametrize("name", receivers())
def test_the_clause_sees_its_receiver(mock_url: str, name: str) -> None:
    clause = receivers()[name]
    receiver = client.ReceiverOptions(command=(sys.executable, str(PROGRAMS / "receiver.py"), name))
    options = client.Options(
        mock=mock_url, seed=5, clauses=(clause,), does=frozenset({client.WEBHOOKS}), receiver=receiver
    )
    report = client_entries.report_of(client.run(None, options))
    (entry,) = report["clauses"]
    level = clauses.load(clauses.CLIENT)[clause].level
    assert entry["status"] == ("failed" if level == "MUST" else "warning"), entry.get("reason")
    assert entry["violations"][0]["transcript"]
