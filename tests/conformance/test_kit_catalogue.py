"""The catalogue of clauses, and the tests that cover it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conformance.in_process import InProcess, inside

from vorel_conformance import suite
from vorel_conformance.http.target import from_profile
from vorel_conformance.runs.plan import Options, plan, size_of
from vorel_conformance.runs.server import run
from vorel_conformance.spec import clauses, contract
from vorel_conformance.suite.rate_limit_bursts import CHECKS_AT, PHASES_S, later

CLAUSES = list(clauses.load().values())


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.id)
def test_the_quote_is_at_the_pointer(clause: clauses.Clause) -> None:
    for pointer, quote in {clause.source([name]) for name in ("", *clause.places)}:
        assert quote
        assert clauses.quoted(quote, contract.load().at(pointer))


def test_the_places_of_a_clause_are_members_headers_or_operations() -> None:
    known = {*contract.load().operations, *contract.load().limit_headers}
    for operation in contract.load().operations.values():
        known |= set(operation.body["properties"])
    known |= set(contract.load().schema("LeadHandoffResponse")["properties"])
    for clause in CLAUSES:
        assert set(clause.places) <= known


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.id)
def test_a_clause_is_complete(clause: clauses.Clause) -> None:
    assert clause.level in clauses.LEVELS
    assert all([clause.title, clause.why, clause.how, clause.passing, clause.failing])
    assert clause.passing != clause.failing


def test_a_missing_quote_is_not_found() -> None:
    clause = clauses.load()["auth.unknown"]
    assert not clauses.quoted(clause.quote, "Missing, malformed, or revoked API key.")


def test_every_clause_has_a_test_and_every_test_has_clauses() -> None:
    covered = {id_ for test in suite.collect() for id_ in test.clauses}
    assert covered == set(clauses.load())


def test_the_names_of_tests_are_unique() -> None:
    names = [test.name for test in suite.collect()]
    assert len(names) == len(set(names))


def test_a_selection_names_unknown_clauses() -> None:
    assert set(clauses.select(("auth", "crm.ok"))) == {id_ for id_ in clauses.load() if id_.startswith("auth.")} | {
        "crm.ok"
    }
    with pytest.raises(ValueError, match=r"auth\.missin\b"):
        clauses.select(("auth.missin",))


def test_each_test_sends_what_the_plan_says() -> None:
    """A conformant server causes no retries, so the run sends what the plan says."""
    server = inside(limit=20, window=2.0)
    target = from_profile(server.profile, server.base_url)
    options = Options(seed=1, rate=120_000, limit=20, window_s=2.0, fuzz=20)
    planned = plan(target, options)
    report = run(server.base_url, target=target, options=options, clock=server.clock, way=InProcess(server))
    assert report["verdict"] == "passed"
    # In a long window, some requests check a rejected key again during its wait.
    looks = 1 + len(PHASES_S) + len(CHECKS_AT) * later(20)
    assert planned["requests"] - looks <= report["requests"] <= planned["requests"]
    assert len(report["writes"]) <= planned["writes"]


def test_without_fixtures_clauses_are_inconclusive_with_the_line_to_add() -> None:
    server = inside(limit=20, window=2.0)
    full = from_profile(server.profile, server.base_url).full
    target = from_profile({"keys": {"full": full}}, server.base_url)
    options = Options(seed=1, rate=120_000, limit=20, window_s=2.0, fuzz=20)
    report = run(server.base_url, target=target, options=options, clock=server.clock, way=InProcess(server))
    planned = plan(target, options)["requests"]
    assert report["verdict"] == "inconclusive"
    reasons = {each["id"]: each.get("reason", "") for each in report["clauses"] if each["status"] == "inconclusive"}
    assert "[keys] read_only =" in reasons["scope.handoff"]
    assert "[keys] burst =" in reasons["limit.enforced"]
    assert "[leads] own =" in reasons["handoff.answer"]
    assert "[leads] foreign =" in reasons["tenancy.indistinguishable"]
    assert "[soft_failures]" in reasons["crm.soft-failure-name"]
    assert "handoff.repost" in reasons
    assert report["requests"] == planned


def test_a_run_that_ends_before_it_asks_again_keeps_its_verdicts() -> None:
    server = inside(limit=20, window=2.0)
    target = from_profile(server.profile, server.base_url)
    options = Options(seed=1, rate=120_000, limit=20, window_s=2.0, fuzz=5)
    late = sum(
        each.requests(size_of(replace(target, limit=20), options))
        for each in suite.collect()
        if each.when == suite.When.LATE
    )
    options = replace(options, max_requests=plan(target, options)["requests"] - late + 5)
    report = run(server.base_url, target=target, options=options, clock=server.clock, way=InProcess(server))
    assert "budget" in report["stopped"]
    statuses = {each["id"]: each["status"] for each in report["clauses"]}
    assert {statuses[id_] for id_ in ("scope.handoff", "auth.missing", "tenancy.foreign-lead")} == {"passed"}
    assert statuses["limit.recovers"] == "inconclusive"
