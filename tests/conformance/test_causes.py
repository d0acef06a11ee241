"""Causes: one mistake is told once, two are told apart, and what they hide is named (K4, K20)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from rich.console import Console
from tests.conformance import report_samples
from tests.conformance.proof_runner import report_on
from tests.conformance.reference import FAULTS, merged

from vorel_conformance import report as reports
from vorel_conformance.report import github, html, junit, markdown, model, sarif, terminal
from vorel_conformance.report.causes import causes
from vorel_conformance.session.judging import LATE
from vorel_conformance.spec import clauses

BY_ID = {fault.id: fault for fault in FAULTS}
#: Mistakes that violate several clauses each.
ONE = ["reason_199", "html_unless_json", "replay_409", "nan"]
PAIRS = [("reason_199", "missing_key_works"), ("key_in_bytes", "html_404"), ("empty_name_500", "replay_new_id")]


@cache
def judged(*faults: str) -> dict[str, Any]:
    """Return the report on a server with these faults, with its causes."""
    report = report_on(None, merged([BY_ID[name] for name in faults]))
    return {**report, "causes": causes(report)}


def violated(report: dict[str, Any]) -> set[str]:
    return {clause["id"] for clause in report["clauses"] if clause["status"] in ("failed", "warning")}


@pytest.mark.parametrize("fault", ONE)
def test_one_mistake_is_one_cause(fault: str) -> None:
    report = judged(fault)
    (cause,) = report["causes"]
    assert set(cause["clauses"]) == violated(report)
    unjudged = {clause["id"] for clause in report["clauses"] if clause["status"] == "inconclusive"}
    assert set(cause["hides"]) == unjudged


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_two_mistakes_are_two_causes(pair: tuple[str, str]) -> None:  # K4
    report = judged(*pair)
    assert len(report["causes"]) == 2
    for fault in pair:
        wanted = set(BY_ID[fault].clauses)
        (cause,) = [cause for cause in report["causes"] if wanted <= set(cause["clauses"])]
        other = set(BY_ID[pair[pair[0] == fault]].clauses) - wanted - {"fuzz.valid-accepted", "fuzz.invalid-refused"}
        assert not other & set(cause["clauses"])


def test_three_mistakes_of_an_average_framework_are_three_causes() -> None:  # K20
    """`null` is taken for a member and for a body, and errors of the framework have no envelope."""
    report = judged("reason_null", "null_body", "framework_error")
    assert len(report["causes"]) == 3
    for fault in ("reason_null", "null_body", "framework_error"):
        assert any(set(BY_ID[fault].clauses) <= set(cause["clauses"]) for cause in report["causes"])


def test_the_worst_cause_comes_first_and_shows_the_smallest_request() -> None:
    report = judged("reason_199", "missing_key_works")
    first = report["causes"][0]
    main = next(clause for clause in report["clauses"] if clause["id"] == first["clauses"][0])
    shown = main["violations"][first["violation"]]
    assert first["request"] == shown["request"]
    assert first["curl"] == shown["curl"]
    # What is seen early needs no long run before it.
    early = [violation for violation in main["violations"] if LATE not in violation["message"]]
    assert len(early) < len(main["violations"])
    assert len(first["curl"]) == min(len(violation["curl"]) for violation in early)
    levels = [cause["level"] for cause in report["causes"]]
    assert levels == sorted(levels, key=["MUST", "SHOULD", "advisory"].index)


def test_a_clause_that_needs_a_key_of_the_profile_is_hidden_by_nothing() -> None:
    made = report_samples.report({"limit.retry-after": "failed", "auth.revoked": "inconclusive"})
    (cause,) = causes(made)
    assert cause["hides"] == []


def test_an_accepted_failure_is_no_cause() -> None:
    made = report_samples.report({"limit.retry-after": "failed"})
    next(clause for clause in made["clauses"] if clause["status"] == "failed")["accepted"] = {
        "reason": "old",
        "owner": "ops",
        "expires": "2027-01-31",
    }
    assert causes(made) == []
    assert causes(report_samples.report()) == []


def test_what_follows_from_a_clause_is_a_clause_too() -> None:
    known = clauses.load_all()
    for clause in known.values():
        assert set(clause.follows) <= set(known)
        assert clause.id not in clause.follows


# In each form of the report.


def written(report: dict[str, Any], width: int = 80) -> Sequence[str]:
    out = io.StringIO()
    terminal.summary(report, Console(file=out, width=width))
    return out.getvalue().splitlines()


def test_the_terminal_begins_with_the_causes() -> None:
    report = judged("reason_199", "missing_key_works")
    lines = written(report)
    numbered = [line for line in lines if line[:2] in ("1.", "2.")]
    assert numbered == [f"{number}. {cause['title']}" for number, cause in enumerate(report["causes"], 1)]
    text = "\n".join(lines)
    assert "  breaks    auth.missing, auth.header-only" in text
    assert "  change    Reject this request with HTTP 401." in text
    assert "  change    Accept this request with HTTP 200: it is valid." in text
    assert text.count("again     curl") == 2  # and not once for each clause


def test_the_other_forms_tell_a_cause_once() -> None:
    report = judged("reason_199", "missing_key_works")
    page = html.render(report)
    assert "What is wrong: 2 causes" in page
    assert page.count("Reject this request with HTTP 401.") == 1
    summary = markdown.render(report)
    assert "1. handoffLead: no Authorization header" in summary
    found = junit.render(report)
    assert "(the same cause as auth.missing: handoffLead: no Authorization header: HTTP 200)" in found
    validator = jsonschema_rs.Draft202012Validator(reports.schema(), validate_formats=True)
    assert [error.message for error in validator.iter_errors(report)] == []


def test_annotations_and_sarif_tell_a_cause_once() -> None:
    report = judged("reason_199", "missing_key_works")
    commands = list(github.commands(report))
    assert len(commands) == 2
    for cause, command in zip(report["causes"], commands, strict=True):
        assert command.startswith("::error file=openapi.json,line=")
        assert f"title={cause['id']}::{cause['title']}. {cause['fix']}" in command
        assert command.endswith(f"Breaks also: {', '.join(cause['clauses'][1:])}.")
    results = {each["ruleId"]: each for each in json.loads(sarif.render(report))["runs"][0]["results"]}
    for cause in report["causes"]:
        first, *others = cause["clauses"]
        assert results[first]["message"]["text"].startswith(f"{cause['title']}. {cause['fix']}")
        for each in others:
            assert f"(The same cause as {first}: {cause['title']})" in results[each]["message"]["text"]
        assert {results[each]["properties"]["cause"] for each in cause["clauses"]} == {cause["id"]}


def test_what_is_hidden_is_told_with_its_cause() -> None:
    made = judged("limit_503")
    hidden = [id_ for cause in made["causes"] for id_ in cause["hides"]]
    assert hidden
    text = "\n".join(github.commands(made))
    assert all(f"title={id_}::" not in text and id_ in text for id_ in hidden)


# --- integrations


def of_an_integration(**situations: Sequence[str]) -> dict[str, Any]:
    """Return a report on an integration: which clauses are violated, each in which situations."""
    known = clauses.load(clauses.CLIENT)
    entries = [
        {
            **{name: getattr(known[id_], name) for name in ("id", "title", "level", "pointer", "quote")},
            **({"document": known[id_].document} if known[id_].document != clauses.CONTRACT else {}),
            "status": "failed" if known[id_].level == "MUST" else "warning",
            "checks": 30,
            "violations": [
                {
                    "message": f"{id_} in {name}",
                    "expected": "this",
                    "got": "that",
                    "request": None,
                    "response": None,
                    "curl": "",
                    "situation": name,
                    "about": f"What {name} is.",
                    "transcript": [],
                    "again": f"vorel-conformance client --situation {name} -- x",
                }
                for name in names
            ],
        }
        for id_, names in ((key.replace("__", "."), value) for key, value in situations.items())
    ]
    made = report_samples.report() | {"kind": "client", "clauses": entries, "verdict": "failed"}
    return {**made, "causes": causes(made)}


def test_a_mistake_of_an_integration_is_one_cause_with_what_follows_in_its_situation() -> None:
    report = of_an_integration(
        **{
            "answers__done": ["lawful-spelling"],
            "answers__channels": ["lawful-spelling"],
            "answers__spelling": ["lawful-spelling"],
            "answers__one-outcome": ["lawful-spelling"],
            "limit__waits": ["limited", "quota"],
            "limit__completes": ["quota"],
        }
    )
    told = {cause["clauses"][0]: set(cause["clauses"][1:]) for cause in report["causes"]}
    assert told == {
        "answers.spelling": {"answers.done", "answers.channels", "answers.one-outcome"},
        "limit.waits": {"limit.completes"},
    }
    cause = next(each for each in report["causes"] if each["id"] == "answers.spelling")
    assert cause["situation"] == "lawful-spelling"
    assert cause["fix"].startswith("Do it like this: ")
    assert "lawful-spelling" in cause["title"]


def test_a_crash_after_every_error_is_a_cause_and_hides_no_other() -> None:
    crashes = ["bad-gateway", "outage", "revoked-key", "missing-scope", "reset-before", "redirect"]
    report = of_an_integration(
        **{
            "answers__html": ["bad-gateway"],
            "answers__one-outcome": crashes,
            "retry__not-unauthorized": ["revoked-key"],
            "retry__not-forbidden": ["missing-scope"],
            "retry__isolated": ["bad-gateway", "missing-scope"],
            "secrets__output": crashes,
        }
    )
    assert {cause["clauses"][0]: set(cause["clauses"][1:]) for cause in report["causes"]} == {
        "answers.one-outcome": {"answers.html", "retry.isolated"},
        "retry.not-unauthorized": {"retry.not-forbidden", "retry.isolated", "answers.one-outcome"},
        "secrets.output": set(),
    }


def test_a_crash_after_one_kind_of_answer_is_about_that_answer() -> None:
    html = ["bad-gateway", "bad-gateway-reused"]
    report = of_an_integration(**{"answers__html": html, "answers__one-outcome": html, "retry__reported": html})
    (cause,) = report["causes"]
    assert cause["clauses"][0] == "answers.html"


def test_what_shows_in_another_situation_does_not_follow() -> None:
    report = of_an_integration(answers__spelling=["lawful-spelling"], answers__done=["plain"])
    assert sorted(cause["clauses"] for cause in report["causes"]) == [["answers.done"], ["answers.spelling"]]


def test_the_reports_of_an_integration_tell_its_causes() -> None:
    report = model.at_level(of_an_integration(limit__waits=["limited"], limit__completes=["limited"]), "should")
    (cause,) = report["causes"]
    (command,) = github.commands(report)
    assert command.startswith("::error file=openapi.json,line=")
    assert f"title=limit.waits::{cause['title']}. Do it like this: " in command
    assert "Breaks also: limit.completes." in command
    results = json.loads(sarif.render(report))["runs"][0]["results"]
    assert {each["ruleId"]: each["properties"]["cause"] for each in results} == {
        "limit.waits": "limit.waits",
        "limit.completes": "limit.waits",
    }
    assert "(the same cause as limit.waits: " in junit.render(report)
    assert "  again     vorel-conformance client --situation limited" in "\n".join(written(report, 200))
