"""`diff` and `matrix`: reports beside one another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance import report_samples

from vorel_conformance.report import difference, matrix
from vorel_conformance.spec import clauses

Kit = Callable[..., Result]
STATUSES = ["passed", "failed", "warning", "inconclusive", "not_applicable", "error"]
ACCEPTED = {"reason": "old", "owner": "ops", "expires": "2027-01-31"}


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a report with these statuses."""

    def write(name: str, statuses: Mapping[str, str] | None = None, **members: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(report_samples.report(statuses, **members)))
        return path

    return write


def test_equal_reports_have_no_difference(kit: Kit, file: Callable[..., Path]) -> None:
    found = kit("diff", file("a.json"), file("b.json"))
    assert found.exit_code == 0
    assert found.output.endswith("\n0 regressions.\n")


def test_what_broke_fails_and_is_shown_first(kit: Kit, file: Callable[..., Path]) -> None:
    old = file("a.json", {"limit.retry-after": "failed", "crm.objects": "failed", "auth.revoked": "inconclusive"})
    new = file("b.json", {"crm.objects": "failed", "handoff.fresh-id": "failed", "auth.missing": "inconclusive"})
    found = kit("diff", old, new)
    assert found.exit_code == 1
    blocks = [block.splitlines() for block in found.output.split("\n\n")[1:]]
    assert [block[0] for block in blocks] == [
        "Broken since: 1",
        "No longer judged: 1",
        "Broken as before: 1",
        "Judged for the first time: 1",
        "Repaired: 1",
        "1 regression.",
    ]
    assert blocks[0][1].strip() == "✗ handoff.fresh-id (MUST): passed, now failed"
    assert "Retry-After" in blocks[0][2]
    assert blocks[1][1].strip() == "? auth.missing (MUST): passed, now inconclusive"


def test_old_failures_and_new_ones_of_new_clauses_pass_a_gate(kit: Kit, file: Callable[..., Path]) -> None:
    old = file("a.json", {"limit.retry-after": "failed", "auth.missing": "inconclusive"})
    new = file("b.json", {"limit.retry-after": "failed", "auth.missing": "failed"})
    assert kit("diff", old, new).exit_code == 0


def test_strict_counts_warnings_and_what_is_not_judged(kit: Kit, file: Callable[..., Path]) -> None:
    good = file("a.json")
    for statuses in ({"crm.record-url": "warning"}, {"auth.missing": "inconclusive"}):
        worse = file("b.json", statuses)
        assert kit("diff", good, worse).exit_code == 0
        assert kit("diff", good, worse, "--strict").exit_code == 1


def test_an_accepted_failure_is_no_regression_and_an_expired_one_is(kit: Kit, file: Callable[..., Path]) -> None:
    def of(accepted: bool) -> Path:
        made = report_samples.report({"auth.missing": "failed"})
        if accepted:
            next(each for each in made["clauses"] if each["id"] == "auth.missing")["accepted"] = ACCEPTED
        path = file(f"{accepted}.json")
        path.write_text(json.dumps(made))
        return path

    assert kit("diff", file("good.json"), of(accepted=True)).exit_code == 0
    assert kit("diff", of(accepted=True), of(accepted=False)).exit_code == 1


def test_another_contract_or_kit_is_told(kit: Kit, file: Callable[..., Path]) -> None:
    other = file("b.json", contract={"version": "2", "sha256": "0" * 64}, tool={"name": "k", "version": "9.9"})
    found = kit("diff", file("a.json"), other)
    assert "The contract is another one: " in found.output
    assert "The kit is another one: 0.1.0, now 9.9." in found.output


@given(st.lists(st.tuples(st.sampled_from([*STATUSES, None]), st.sampled_from([*STATUSES, None])), max_size=8))
def test_each_change_has_one_place_and_only_worse_ones_fail(pairs: list[tuple[str | None, str | None]]) -> None:
    names = [name for name, clause in clauses.load().items() if clause.level == "MUST"]

    def made(side: int) -> dict[str, Any]:
        statuses = {name: pair[side] for name, pair in zip(names, pairs, strict=False) if pair[side]}
        report = report_samples.report({name: str(status) for name, status in statuses.items()})
        report["clauses"] = [each for each in report["clauses"] if each["id"] in statuses]
        return report

    found = difference.changes(made(0), made(1))
    assert len({change.clause["id"] for change in found}) == len(found)
    failed_now = {
        name
        for name, (before, now) in zip(names, pairs, strict=False)
        if now == "failed" and before in ("passed", "warning")
    }
    assert {change.clause["id"] for change in difference.regressions(found, strict=False)} == failed_now
    back = difference.changes(made(1), made(0))
    mirror = {"broken": "repaired", "repaired": "broken", "unfixed": "unfixed", "asked": "unasked"}
    kinds = {change.clause["id"]: change.kind for change in back}
    for change in found:
        if change.kind in mirror and change.before != "not_applicable":
            assert kinds[change.clause["id"]] == mirror[change.kind]


@pytest.mark.parametrize("name", ["diff", "matrix"])
def test_what_is_no_report_is_told(kit: Kit, file: Callable[..., Path], tmp_path: Path, name: str) -> None:
    good, bad = file("a.json"), tmp_path / "bad.json"
    for content, message in ((b"", "not JSON"), (b"{}", "not a report"), (b"\xff\xfe", "not JSON"), (None, "no such")):
        bad.unlink(missing_ok=True)
        if content is not None:
            bad.write_bytes(content)
        found = kit(name, good, bad)
        assert found.exit_code == 2
        assert f"{bad}: " in found.output
        assert message in found.output
    other = file("client.json", kind="client")
    assert kit(name, good, other).exit_code == 2


def test_a_matrix_has_a_column_for_each_report(kit: Kit, file: Callable[..., Path]) -> None:
    first = file("first.json", {"auth.missing": "failed"})
    found = kit("matrix", first, f"Acme <b>|={file('b.json')}")
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert lines[0] == "| clause | level | first | Acme &lt;b&gt;&#124; |"
    assert "| `auth.missing` | MUST | ✗ failed | ✓ passed |" in lines
    assert len([line for line in lines if line.startswith("| `")]) == len(clauses.load())


def test_a_matrix_as_a_page(kit: Kit, file: Callable[..., Path], tmp_path: Path) -> None:
    hostile = '<img src=x onerror="alert(1)">\x1b[31m\u202e'
    one = file("a.json", {"auth.missing": "failed"}, target=hostile)
    name = hostile.replace("=", "")
    found = kit("matrix", one, f"{name}={file('b.json')}", "--html", tmp_path / "m.html")
    assert found.exit_code == 0, found.output
    assert found.output == ""
    page = (tmp_path / "m.html").read_text(encoding="utf-8")
    assert "<img" not in page
    assert not {"\x1b", "\u202e"} & set(page)
    assert page.count("<tr>") == 1 + len(clauses.load())


def test_a_clause_that_a_report_does_not_have_was_not_asked() -> None:
    part = report_samples.report()
    part["clauses"] = part["clauses"][1:]
    whole = report_samples.report()
    rows = matrix.rows([matrix.Implementation("part", part), matrix.Implementation("whole", whole)])
    assert sorted(row.clause for row in rows) == sorted(clauses.load())
    (missing,) = [row for row in rows if None in row.statuses]
    assert missing.statuses == (None, "passed")
