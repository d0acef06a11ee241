"""Output during and after a run, in a terminal and on GitHub."""

import io
import re
import threading
from pathlib import Path

import pytest
from rich.console import Console
from tests.conformance import report_samples as samples
from tests.conformance.test_report_files import NASTY, accepted_report, nasty_report

from vorel_conformance.report import github, markdown, model, terminal


@pytest.fixture(autouse=True)
def _not_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def printed(report: model.Report, width: int = 140, *, tty: bool = False) -> str:
    out = io.StringIO()
    terminal.summary(report, Console(file=out, width=width, force_terminal=tty, color_system=None))
    return out.getvalue()


# --- the summary -----------------------------------------------------------------------------------------------------


def test_table_is_worst_first_and_the_verdict_comes_last() -> None:
    text = printed(samples.one_of_each(), tty=True)
    rows = re.findall(r"^[✗‼!?✓-]  ([a-z ]+?)  +[a-z]+\.", text, re.MULTILINE)
    assert rows[:6] == ["failed", "failed", "kit error", "warning", "inconclusive", "not applicable"]
    assert set(rows[6:]) == {"passed"}
    assert len(rows) == len(samples.one_of_each()["clauses"])
    last = text.splitlines()[-2:]
    assert "2 failed, 1 kit error, 1 warning, 1 inconclusive, 1 not applicable" in last[0]
    assert "seed 20261123" in last[1]


def test_evidence_of_a_failed_clause() -> None:
    text = printed(samples.one_of_each())
    block = text[text.index("✗ limit.retry-after") :]
    for part in (
        "“`Retry-After` header carries seconds-until-reset.”",
        "openapi.json#/components/responses/RateLimited/description",
        "expected  Retry-After: an integer of seconds from 1 to 60",
        "got       Retry-After: 47001",
        'response  429 {"error": {"code": "rate_limited"',
        'curl -sS -i -X POST -H "Authorization: Bearer $VOREL_API_KEY"',
        "VOREL_API_KEY: keys.burst[0] of the target profile",
    ):
        assert part in block
    assert "flaky     seen in 2 of 5 tries" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_curl_stays_on_one_line_however_narrow_the_terminal(width: int) -> None:
    text = printed(samples.one_of_each(), width)
    line = samples.violation()["curl"]
    assert any(line in each for each in text.splitlines())


def test_green_is_short() -> None:
    text = printed(samples.report())
    number = len(samples.report()["clauses"])
    assert f"✓ Keeps the contract. {number} clauses: {number} passed." in text
    assert "curl" not in text


def test_accepted_failures_and_their_problems() -> None:
    text = printed(accepted_report())
    assert "until 2027-01-31 by Jana: The id generator is replaced in sprint 49." in text
    assert "✗ accepted failures crm.key-length: the clause passes" in text


def test_a_server_moves_no_cursor_and_gives_no_commands() -> None:
    text = printed(nasty_report())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ufffe]", text)
    assert not any(line.lstrip().startswith(("::", "##[")) for line in text.splitlines())
    assert "… and 398 more" in text
    assert "? auth.revoked  </script>" in text


def test_a_curl_line_of_a_megabyte_is_not_printed() -> None:
    made = samples.report({"limit.retry-after": "failed"})
    clause = next(clause for clause in made["clauses"] if clause["violations"])
    clause["violations"] = [samples.violation(curl="curl " + "x" * 1_000_000)]
    text = printed(made)
    assert len(text) < 50_000
    assert "too long for the terminal" in text


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_counts_from_many_threads_and_takes_the_last_word() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with terminal.Progress(console, clauses=3) as progress:
        progress({"event": "phase", "name": "burst [red]"})

        def send() -> None:
            for number in range(25):
                progress({"event": "exchange", "number": number})

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        progress({"event": "clause", "id": "a.b", "status": "passed", "checks": 3})
        progress({"event": "clause", "id": "a.c", "status": "passed", "checks": 3})
        progress({"event": "clause", "id": "a.c", "status": "failed", "checks": 4})
        progress({"event": "something else"})
        assert progress.requests == 100
        assert progress.counts == {"passed": 1, "failed": 1}
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "burst [red]" in text
    assert "2/3" in text
    assert "✗ 1 ✓ 1" in text
    assert "100 requests" in text


def test_progress_is_quiet_away_from_a_terminal() -> None:
    out = io.StringIO()
    with terminal.Progress(Console(file=out)) as progress:
        progress({"event": "phase", "name": "burst"})
        progress({"event": "clause", "id": "a.b", "status": "passed", "checks": 3})
    assert out.getvalue().strip() == ""
    assert progress.counts == {"passed": 1}


# --- GitHub ----------------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning|notice) (?:file=openapi\.json,line=(\d+),)?title=([^:,\r\n]+)::([^\r\n]+)")


def test_annotations_are_whole_commands_at_the_line() -> None:
    for made in (samples.one_of_each(), accepted_report(), nasty_report()):
        for command in github.commands(made):
            assert COMMAND.fullmatch(command), command
            assert not re.search("[\x00\x1b\u202e]", command)
    kinds = [(match[1], match[3]) for match in map(COMMAND.fullmatch, github.commands(accepted_report())) if match]
    assert kinds == [
        ("error", "Accepted failures"),
        ("error", "limit.retry-after"),
        ("error", "fuzz.no-server-error"),
        ("warning", "crm.record-url"),
        ("notice", "handoff.fresh-id"),
        ("notice", "auth.revoked"),
    ]


def test_annotation_escapes_what_the_runner_would_read() -> None:
    made = samples.report({"limit.retry-after": "failed"})
    clause = next(clause for clause in made["clauses"] if clause["violations"])
    clause["violations"][0]["message"] = "100%\r\nsecond"
    (command,) = github.commands(made)
    assert command.endswith("100%25\\r%0Asecond")


def test_on_github_the_summary_prints_commands_and_fills_the_job_summary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    text = printed(samples.one_of_each(), width=40)
    commands = [line for line in text.splitlines() if line.startswith("::")]
    assert commands == list(github.commands(samples.one_of_each()))
    assert path.read_text(encoding="utf-8") == "before\n" + markdown.render(samples.one_of_each())
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert "cannot write the job summary" in printed(samples.report())


def test_markdown_shows_all_that_is_not_green() -> None:
    text = markdown.render(accepted_report())
    assert text.startswith("## ‼️ No verdict")
    for clause in accepted_report()["clauses"]:
        assert (f"| `{clause['id']}` |" in text) == (clause["status"] != "passed")
    assert samples.violation()["curl"] in text
    assert "accepted until 2027-01-31" in text


def test_markdown_is_not_taken_over() -> None:
    text = markdown.render(nasty_report())
    fenced = re.sub(r"^(`{3,})bash\n.*?\n\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"<(?!/?(details|summary|code)>)", fenced)
    assert not re.search("[\x00\x1b\u202e]", fenced)
    assert NASTY not in fenced


def test_markdown_fence_is_longer_than_any_in_the_line() -> None:
    made = samples.report({"limit.retry-after": "failed"})
    clause = next(clause for clause in made["clauses"] if clause["violations"])
    clause["violations"] = [samples.violation(curl="curl '`````'")]
    assert "\n``````bash\ncurl '`````'\n``````\n" in markdown.render(made)


# --- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ({}, "passed"),
        ({"crm.record-url": "warning"}, "passed"),
        ({"crm.record-url": "not_applicable"}, "passed"),
        ({"auth.revoked": "inconclusive"}, "inconclusive"),
        ({"auth.revoked": "inconclusive", "crm.ok": "failed"}, "failed"),
        ({"crm.ok": "failed", "fuzz.no-server-error": "error"}, "error"),
    ],
)
def test_verdict(statuses: dict[str, str], verdict: str) -> None:
    assert model.verdict(samples.report(statuses)) == verdict


def test_nothing_judged_is_not_green() -> None:
    assert model.verdict({"clauses": []}) == "inconclusive"
