"""Accepted failures: only the listed violations do not fail a run."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import report_samples as samples

from vorel_conformance import report
from vorel_conformance.report import model
from vorel_conformance.report.causes import causes
from vorel_conformance.runs import accepted
from vorel_conformance.runs.accepted import Accepted, AcceptedError
from vorel_conformance.spec.contract import validator_of

TODAY = date(2026, 11, 23)
ENTRY = """
[[accepted]]
clause = "limit.retry-after"
reason = "The gateway writes milliseconds until its next release."
owner = "platform@partner.example"
expires = 2027-01-31
"""


def entry(clause: str, expires: date = date(2027, 1, 31)) -> Accepted:
    return Accepted(clause, "Mended in sprint 49.", "Jana", expires)


def load(tmp_path: Path, text: str) -> tuple[Accepted, ...]:
    path = tmp_path / "accepted.toml"
    path.write_text(text, encoding="utf-8")
    return accepted.load(path)


def states(report: dict[str, Any]) -> dict[str, str]:
    return {each["clause"]: each["state"] for each in report["accepted"]["entries"]}


def test_load(tmp_path: Path) -> None:
    (found,) = load(tmp_path, ENTRY)
    assert found == Accepted(
        "limit.retry-after",
        "The gateway writes milliseconds until its next release.",
        "platform@partner.example",
        date(2027, 1, 31),
    )
    assert load(tmp_path, "") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            ENTRY.replace("clause", "claus"),
            'entry 1: unknown field "claus"; did you mean "clause"',
        ),
        (ENTRY.replace("clause", "claus"), r"entry 1: clause: missing"),
        (ENTRY + ENTRY, r"entry 2 \(limit.retry-after\): clause: duplicate of an earlier entry"),
        (ENTRY.replace("2027-01-31", '"2027-01-31"'), r"expires: must be a date without quotes and without a "),
        (
            ENTRY.replace("2027-01-31", "2027-01-31T00:00:00Z"),
            r"expires: must be a date without quotes and without a ",
        ),
        (ENTRY.replace("2027-01-31", "2027-02-30"), r"not a TOML file: "),
        (ENTRY.replace('"platform@partner.example"', '"  "'), r"\(limit.retry-after\): owner: must be a string"),
        (ENTRY.replace('"platform@partner.example"', "7"), r"owner: must be a string"),
        (ENTRY.replace('"limit.retry-after"', "[]"), r"entry 1: clause: must be a string"),
        (ENTRY.replace("[[accepted]]", "[accepted]"), r"accepted: every entry must begin with \[\[accepted\]\]"),
        (ENTRY.replace("[[accepted]]", "[[acepted]]"), r'unknown field "acepted"; did you mean "accepted"'),
        (ENTRY + 'cause = "limit.retry-after"', r"clause, cause: give one of them"),
        (ENTRY.replace("clause", "cause") * 2, r"entry 2 \(limit.retry-after\): cause: duplicate of an earlier entry"),
        (ENTRY.replace('clause = "limit.retry-after"', "cause = 7"), r"entry 1: cause: must be a string"),
        ("accepted = [1]", r"every entry must begin with \[\[accepted\]\]"),
        ("= 1", r"not a TOML file: .*line 1"),
    ],
)
def test_load_names_the_problem(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(AcceptedError, match=complaint) as caught:
        load(tmp_path, text)
    assert all(line.startswith(str(tmp_path / "accepted.toml")) for line in str(caught.value).splitlines())


def test_load_tells_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(AcceptedError) as caught:
        load(tmp_path, '[[accepted]]\nclause = "a.b"\n[[accepted]]\nreason = ""\n')
    assert len(str(caught.value).splitlines()) == 3 + 4


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")
    (tmp_path / "deep").write_text(f"accepted = {'[' * 100_000}")
    for name, complaint in (
        ("none", "cannot be read: no such file"),
        (".", "cannot be read"),
        ("latin", "not UTF-8"),
        ("deep", "not a TOML file"),
        ("/dev/zero", "longer than 1 MiB"),
    ):
        with pytest.raises(AcceptedError, match=complaint):
            accepted.load(tmp_path / name)


def test_an_accepted_failure_no_longer_fails_the_run() -> None:
    made = samples.report({"limit.retry-after": "failed", "handoff.fresh-id": "failed"})
    before = samples.report({"limit.retry-after": "failed", "handoff.fresh-id": "failed"})
    half = accepted.apply(made, [entry("limit.retry-after")], TODAY)
    assert half["verdict"] == "failed"
    whole = accepted.apply(made, [entry("limit.retry-after"), entry("handoff.fresh-id")], TODAY)
    assert whole["verdict"] == "passed"
    assert whole["accepted"]["problems"] == []
    marked = {clause["id"]: clause["accepted"] for clause in whole["clauses"] if "accepted" in clause}
    assert marked.keys() == {"limit.retry-after", "handoff.fresh-id"}
    assert marked["limit.retry-after"] == {"reason": "Mended in sprint 49.", "owner": "Jana", "expires": "2027-01-31"}
    # The violation itself does not change.
    assert all(
        clause["status"] == "failed" and clause["violations"] for clause in whole["clauses"] if "accepted" in clause
    )
    assert made == before


def test_a_warning_may_be_accepted() -> None:
    made = accepted.apply(samples.report({"crm.record-url": "warning"}), [entry("crm.record-url")], TODAY)
    assert states(made) == {"crm.record-url": "in_use"}
    assert made["verdict"] == "passed"


@pytest.mark.parametrize(
    ("expires", "verdict"),
    [(date(2026, 11, 22), "failed"), (date(2026, 11, 23), "passed"), (date(2026, 11, 24), "passed")],
)
def test_an_entry_counts_to_the_end_of_its_day(expires: date, verdict: str) -> None:
    made = accepted.apply(samples.report({"limit.retry-after": "failed"}), [entry("limit.retry-after", expires)], TODAY)
    assert made["verdict"] == verdict
    assert bool(made["accepted"]["problems"]) == (verdict == "failed")


@pytest.mark.parametrize(
    ("clause", "status", "state", "complaint"),
    [
        ("limit.retry-after", "passed", "passing", "limit.retry-after: the clause passes; remove the entry"),
        ("limit.retry-afer", "passed", "unused", "limit.retry-afer: not a clause of this run"),
        ("limit.retry-after", "inconclusive", "unused", "is inconclusive, so there is no failure to accept"),
        ("limit.retry-after", "not_applicable", "unused", "is not applicable"),
    ],
)
def test_an_entry_that_accepts_nothing_fails_the_run(clause: str, status: str, state: str, complaint: str) -> None:
    made = accepted.apply(samples.report({"limit.retry-after": status}), [entry(clause)], TODAY)
    assert made["verdict"] == "failed"
    assert states(made) == {clause: state}
    (problem,) = made["accepted"]["problems"]
    assert complaint in problem
    assert not any("accepted" in each for each in made["clauses"])


def test_an_expired_entry_fails_even_when_its_clause_passes() -> None:
    made = accepted.apply(samples.report(), [entry("limit.retry-after", date(2026, 1, 1))], TODAY)
    assert states(made) == {"limit.retry-after": "expired"}
    assert made["verdict"] == "failed"


def test_an_error_of_the_kit_is_not_accepted_and_not_held_against_the_entry() -> None:
    made = accepted.apply(samples.report({"limit.retry-after": "error"}), [entry("limit.retry-after")], TODAY)
    assert made["verdict"] == "error"
    assert made["accepted"]["problems"] == []


def test_without_entries_nothing_changes() -> None:
    made = samples.one_of_each()
    assert accepted.apply(made, [], TODAY) == made | {"accepted": {"entries": [], "problems": []}}


# --- causes: an entry accepts what has one cause, and nothing else of the same clauses


def of_causes(*names: str, expires: date = date(2027, 1, 31)) -> list[Accepted]:
    return [Accepted("", "Mended in sprint 49.", "Jana", expires, cause=name) for name in names]


def two_causes() -> dict[str, Any]:
    """Return a report with two violations of one broad clause that have two causes."""
    made = samples.report({"fuzz.valid-accepted": "failed", "handoff.reason-length": "failed"})
    by_id = {clause["id"]: clause for clause in made["clauses"]}
    one, other = samples.violation(1, message="a body"), samples.violation(2, message="another body")
    for each, number in ((one, 1), (other, 2)):
        each["exchange"] = number
    case = {"label": "", "clause": "", "statuses": [200], "field": None}
    too_long = {**one, "case": case, "response": {**one["response"], "status": 400}}
    crash = {**other, "case": case, "response": {**other["response"], "status": 503}}
    by_id["fuzz.valid-accepted"]["violations"] = [too_long, crash]
    by_id["handoff.reason-length"]["violations"] = [dict(too_long)]
    return made


def test_a_cause_is_accepted_and_another_one_of_the_same_clause_is_not(tmp_path: Path) -> None:
    made = two_causes()
    first, second = (each["id"] for each in causes(made))
    assert (first, second) == ("handoff.reason-length", "fuzz.valid-accepted")
    (entry_of_file,) = load(tmp_path, ENTRY.replace("clause", "cause").replace("limit.retry-after", first))
    half = accepted.apply(made, [entry_of_file], TODAY)
    assert half["accepted"]["entries"][0].items() >= {"cause": first, "state": "in_use"}.items()
    assert half["verdict"] == "failed"
    shown = {clause["id"]: model.shown_status(clause) for clause in half["clauses"] if clause["violations"]}
    assert shown == {"fuzz.valid-accepted": "failed", "handoff.reason-length": "accepted"}
    # The list of causes has only what is left.
    assert [(each["id"], each["clauses"]) for each in causes(half)] == [(second, [second])]
    whole = accepted.apply(made, of_causes(first, second), TODAY)
    assert (whole["verdict"], causes(whole)) == ("passed", [])
    validator_of(report.schema()).validate(whole)


@pytest.mark.parametrize(
    ("cause", "expires", "state", "complaint"),
    [
        ("handoff.reason-length", date(2026, 1, 1), "expired", "handoff.reason-length: expired on 2026-01-01 (Jana)"),
        ("handoff.reason-length-2", date(2027, 1, 31), "unused", "not a cause of this run, which has fuzz.valid-acc"),
        ("handoff.types", date(2027, 1, 31), "passing", "handoff.types: the clause passes; remove the entry"),
        ("handoff.typ", date(2027, 1, 31), "unused", "handoff.typ: not a cause of this run; correct the id"),
    ],
)
def test_an_entry_of_a_cause_that_accepts_nothing_fails_the_run(
    cause: str, expires: date, state: str, complaint: str
) -> None:
    made = accepted.apply(two_causes(), of_causes(cause, expires=expires), TODAY)
    assert [each["state"] for each in made["accepted"]["entries"]] == [state]
    (problem,) = made["accepted"]["problems"]
    assert complaint in problem
    assert not any("accepted" in each for each in made["clauses"])
