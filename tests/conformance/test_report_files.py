"""The four files: valid, complete, worst first, atomic."""

import json
import os
import re
import stat
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance import report_samples as samples

from vorel_conformance import report
from vorel_conformance.report import html, junit, model, sarif, source_lines
from vorel_conformance.runs import accepted
from vorel_conformance.spec import contract

SCHEMA = jsonschema_rs.Draft202012Validator(report.schema(), validate_formats=True)
# Text of a server that could make a report unreadable, or run code in it.
NASTY = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>]]>"
    "\x00\x1b[31m\ud800\ufffe\u202e&amp;{{ 7*7 }}\r\n::error::x"
)


def accepted_report() -> dict[str, Any]:
    entries = [
        accepted.Accepted("handoff.fresh-id", "The id generator is replaced in sprint 49.", "Jana", date(2027, 1, 31)),
        accepted.Accepted("crm.key-length", "Old.", "Jana", date(2027, 1, 31)),
    ]
    return accepted.apply(samples.one_of_each(), entries, date(2026, 11, 23))


def nasty_report() -> dict[str, Any]:
    made = samples.report({"limit.retry-after": "failed", "auth.revoked": "inconclusive"}, target=f"http://x/{NASTY}")
    for clause in made["clauses"]:
        if clause["status"] == "failed":
            bad = samples.violation(1, body=NASTY, message=NASTY, expected=NASTY, got=NASTY, curl=NASTY)
            bad["request"]["headers"].append(["X-Nasty", NASTY])
            bad["response"]["headers"].append([NASTY, NASTY])
            none = samples.violation(2, response=None, failure=NASTY)
            binary = samples.violation(3)
            binary["request"] |= {"body": None, "body_base64": "//79AA=="}
            binary["response"] |= {"body": None, "body_base64": "not base64"}
            nowhere = samples.violation(4, request=None, response=None, curl="", expected="", got="")
            clause |= {"violations": [bad, none, binary, nowhere], "violations_total": 400}
        elif clause["status"] == "inconclusive":
            clause["reason"] = NASTY
    return made


REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "green": samples.report,
    "one of each": samples.one_of_each,
    "accepted": accepted_report,
    "nasty": nasty_report,
    "no clauses": lambda: samples.report() | {"clauses": [], "verdict": "inconclusive", "writes": []},
    "stopped": lambda: samples.report(retried=3, stopped="the budget of 40 requests is spent"),
}


@pytest.fixture(params=list(REPORTS))
def made(request: pytest.FixtureRequest) -> dict[str, Any]:
    return REPORTS[request.param]()


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json_keeps_its_schema_and_all_that_was_said(made: dict[str, Any], tmp_path: Path) -> None:
    report.write(made, json=tmp_path / "r.json")
    text = (tmp_path / "r.json").read_bytes().decode("utf-8")
    written = json.loads(text)
    assert [error.message for error in SCHEMA.iter_errors(written)] == []
    assert text.count("\ud800") == 0
    assert written == json.loads(json.dumps(made, ensure_ascii=False).encode("utf-8", "replace"))


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "green"},
        {"clauses": [{}]},
        {"surprise": 1},
        {"started": "yesterday"},
        {"requests": -1},
        {"contract": {"version": "0.1.0", "sha256": "short"}},
    ],
    ids=str,
)
def test_schema_refuses_what_is_no_report(change: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(samples.report() | change)


@pytest.mark.parametrize("name", report.schema()["required"])
def test_schema_misses_what_is_not_there(name: str) -> None:
    assert not SCHEMA.is_valid({member: value for member, value in samples.report().items() if member != name})


# --- JUnit -----------------------------------------------------------------------------------------------------------

# The attributes that junit-10.xsd of Jenkins' xUnit plugin allows for our elements.
JUNIT = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package"}
        | {"file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": (
        {"name", "time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


def test_junit_is_what_ci_servers_read(made: dict[str, Any]) -> None:
    root = ET.fromstring(junit.render(made).encode("utf-8", "strict"))
    for element in root.iter():
        attributes, children = JUNIT[element.tag]
        assert set(element.attrib) <= attributes
        assert {child.tag for child in element} <= children
    suite = root[0]
    cases = suite.findall("testcase")
    problems = made.get("accepted", {}).get("problems", [])
    assert len(cases) == int(suite.attrib["tests"]) == len(made["clauses"]) + len(problems)
    outcome = Counter(child.tag for case in cases for child in case)
    shown = model.counts(made)
    assert outcome["failure"] == int(suite.attrib["failures"]) == shown.get("failed", 0) + len(problems)
    assert outcome["error"] == int(suite.attrib["errors"]) == shown.get("error", 0)
    skipped = sum(shown.get(status, 0) for status in ("accepted", "inconclusive", "not_applicable"))
    assert outcome["skipped"] == int(suite.attrib["skipped"]) == skipped
    # Warnings do not fail a run, but the file contains them.
    warned = [case for case in cases if case.find("system-out") is not None]
    assert len(warned) == shown.get("warning", 0) + shown.get("accepted", 0)


def test_junit_failure_has_quote_evidence_and_reproduction() -> None:
    root = ET.fromstring(junit.render(samples.one_of_each()))
    failure = root.find(".//testcase[@classname='limit']/failure")
    assert failure is not None
    text = failure.text or ""
    for part in ("`Retry-After` header carries seconds-until-reset.", "/components/responses/RateLimited/description"):
        assert part in text
    assert "expected: Retry-After: an integer" in text
    assert "response: 429 " in text
    assert 'curl -sS -i -X POST -H "Authorization: Bearer $VOREL_API_KEY"' in text
    assert "keys.burst[0]" in text


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), max_size=60))
def test_junit_holds_any_text(text: str) -> None:
    made = samples.report({"limit.retry-after": "failed"})
    clause = next(clause for clause in made["clauses"] if clause["violations"])
    clause["violations"][0] |= {"message": text, "got": text}
    ET.fromstring(junit.render(made).encode("utf-8", "strict"))


# --- SARIF -----------------------------------------------------------------------------------------------------------


def test_sarif_names_the_line_of_the_contract(made: dict[str, Any]) -> None:
    log = json.loads(sarif.render(made))
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [clause["id"] for clause in made["clauses"]]
    by_id = {clause["id"]: clause for clause in made["clauses"]}
    document = contract.find().read_text(encoding="utf-8").splitlines()
    for result in run["results"]:
        clause = by_id[result["ruleId"]]
        assert rules[result["ruleIndex"]]["id"] == clause["id"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "openapi.json"
        last = clause["pointer"].rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~")
        line = document[place["region"]["startLine"] - 1]
        assert last.isdecimal() or f'"{last}":' in line
        assert result["message"]["text"].startswith(clause["title"])
    reported = [clause["id"] for clause in made["clauses"] if clause["status"] in ("failed", "warning", "inconclusive")]
    assert [result["ruleId"] for result in run["results"]] == reported
    assert run["invocations"][0]["executionSuccessful"] == ("error" not in model.counts(made))


def test_sarif_levels_and_suppressions() -> None:
    run = json.loads(sarif.render(accepted_report()))["runs"][0]
    results = {result["ruleId"]: result for result in run["results"]}
    assert {id_: result["level"] for id_, result in results.items()} == {
        "limit.retry-after": "error",
        "handoff.fresh-id": "error",
        "crm.record-url": "warning",
        "auth.revoked": "note",
    }
    assert [id_ for id_, result in results.items() if "suppressions" in result] == ["handoff.fresh-id"]
    assert results["handoff.fresh-id"]["suppressions"][0]["status"] == "accepted"
    messages = [each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"]]
    assert any("crm.key-length: the clause passes" in message for message in messages)


def test_every_clause_of_the_catalogue_has_a_line() -> None:
    for clause in samples.report()["clauses"]:
        assert clause["pointer"] in source_lines.contract_lines()


json_documents = st.recursive(
    st.none() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from('ab/~:"\\ é'), min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(document=json_documents)
def test_lines_of_any_document(document: Any) -> None:
    """Every pointer has a line, which contains the name of the member."""
    text = json.dumps(document, indent=2)
    found = source_lines.pointer_lines(text)
    rows = text.splitlines()

    def walk(value: Any, pointer: str) -> None:
        assert pointer in found
        if isinstance(value, dict):
            for name, member in value.items():
                inner = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
                assert f"{json.dumps(name)}:" in rows[found[inner] - 1]
                walk(member, inner)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{pointer}/{index}")

    walk(document, "")


# --- HTML ------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page, and its text by the id of the clause."""

    VOID = frozenset({"meta", "input", "br", "wbr", "rect", "img", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "the elements are nested properly"

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


def test_html_is_one_whole_page_without_network(made: dict[str, Any]) -> None:
    text = html.render(made)
    page = Page(text)
    assert page.open == []
    tags = Counter(tag for tag, _ in page.elements)
    assert (tags["script"], tags["style"]) == (1, 1)
    assert not tags.keys() & {"img", "link", "iframe", "object", "embed"}
    for tag, attributes in page.elements:
        assert not attributes.keys() & {"src", "srcset", "style"}
        assert not any(name.startswith("on") for name in attributes)
        if tag == "a":
            assert (attributes["href"] or "").startswith("#")
    assert "url(" not in text.split("</style>")[0]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"] for tag, attributes in page.elements if tag == "a"} <= {f"#{each}" for each in ids}


def test_html_shows_every_clause_worst_first_with_its_words(made: dict[str, Any]) -> None:
    page = Page(html.render(made))
    blocks = [attributes for tag, attributes in page.elements if tag == "details" and "data-status" in attributes]
    assert [block["id"] for block in blocks] == [clause["id"] for clause in model.worst_first(made["clauses"])]
    order = [model.WORST_FIRST.index(str(block["data-status"])) for block in blocks]
    assert order == sorted(order)
    text = "".join(page.text)
    for clause in made["clauses"]:
        assert clause["quote"] in text
        assert clause["pointer"] in text


def test_html_lets_no_server_speak_in_it() -> None:
    text = html.render(nasty_report())
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "{{ 7*7 }}" in text
    assert not re.search("[\x00\x1b\u202e\ud800]", text)
    assert "\\u202e" in text


def test_html_policy_allows_its_own_script_and_style_alone() -> None:
    text = html.render(samples.report())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    for name in ("script", "style"):
        content = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        assert content
        assert f"{name}-src '{html.hash_of(content[1])}'" in policy[1].replace("&#39;", "'")
    assert policy[1].startswith("default-src")
    assert "unsafe" not in policy[1]


def test_html_stays_small_whatever_a_server_sends() -> None:
    made = samples.report({"limit.retry-after": "failed"})
    clause = next(clause for clause in made["clauses"] if clause["violations"])
    clause["violations"] = [samples.violation(n, body="x" * 1_000_000) for n in range(60)]
    text = html.render(made)
    assert len(text) < 1_000_000
    assert "994,000 more characters in the JSON report" in text
    assert "35 more violations of this clause were seen." in text


# --- writing ---------------------------------------------------------------------------------------------------------


def test_write_makes_folders_replaces_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    paths = {name: folder / f"r.{name}" for name in ("json", "junit", "html", "sarif")}
    report.check_writable(*paths.values(), None)
    for made in (samples.one_of_each(), samples.report()):
        report.write(made, json=paths["json"], junit=paths["junit"], html=paths["html"], sarif=paths["sarif"])
    assert sorted(path.name for path in folder.iterdir()) == ["r.html", "r.json", "r.junit", "r.sarif"]
    assert json.loads(paths["json"].read_text(encoding="utf-8"))["verdict"] == "passed"
    assert stat.S_IMODE(paths["json"].stat().st_mode) & 0o400


def test_write_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    report.write(samples.report(), json=tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text(encoding="utf-8"))


def test_write_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        report.check_writable(pipe)
        report.write(samples.report() | {"clauses": []}, json=pipe)
        assert json.loads(os.read(reader, 1 << 16))
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_path_that_cannot_be_written_is_named_and_the_rest_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    bad, folder = tmp_path / "file" / "r.json", tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match=r"cannot write the report .*r\.json: ") as caught:
        report.write(samples.report(), json=bad, junit=folder, html=tmp_path / "r.html")
    assert f"cannot write the report {folder}: is a folder" in str(caught.value)
    assert (tmp_path / "r.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "r.html"]


def test_a_path_that_cannot_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    report.check_writable(tmp_path / "new" / "r.json", tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"
    for bad in (tmp_path / "file" / "r.json", tmp_path):
        with pytest.raises(OSError, match="cannot write the report ") as caught:
            report.check_writable(bad)
        assert str(bad) in str(caught.value)


def test_a_link_with_the_name_of_the_new_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # K16
    victim, path = tmp_path / "victim", tmp_path / "out" / "r.json"
    victim.write_text("mine")
    path.parent.mkdir()
    opened: list[Path] = []
    real_open = Path.open

    def link_first(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        """Be quicker than the kit: whatever new file it opens beside the report, a link is there first."""
        if self.parent == path.parent and self != path:
            opened.append(self)
            self.symlink_to(victim)
        return real_open(self, mode, *rest, **more)

    (path.parent / f".r.json.{os.getpid()}.part").symlink_to(victim)
    report.check_writable(path)
    report.write(samples.report(), json=path)
    assert json.loads(path.read_text())["verdict"] == "passed"
    assert victim.read_text() == "mine"
    monkeypatch.setattr(Path, "open", link_first)
    with pytest.raises(OSError, match="file exists"):
        report.check_writable(path)
    with pytest.raises(OSError, match="file exists"):
        report.write(samples.report(), json=path)
    assert len(opened) == 2
    assert victim.read_text() == "mine"
    assert not path.is_symlink()
