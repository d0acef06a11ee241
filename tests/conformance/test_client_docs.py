"""docs/integration.md and docs/kill-table-integrations.md: true, and generated where they list.

`PYTHONPATH=. python tests/conformance/test_client_docs.py` writes what is generated.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conformance.test_client_proof import mutants, receivers
from tests.paths import DOCS, ROOT

from vorel_conformance.cli.main import cli
from vorel_conformance.runs.client_options import Options
from vorel_conformance.spec import clauses
from vorel_conformance.suite.client import deliveries, situations
from vorel_conformance.suite.client.oracles import limit

PAGE, TABLE = DOCS / "integration.md", DOCS / "kill-table-integrations.md"
CLAUSES = clauses.load(clauses.CLIENT)


def generated(page: str, name: str, rows: list[str]) -> str:
    begin, end = f"<!-- generated: {name} -->", "<!-- /generated -->"
    before, found, rest = page.partition(begin)
    assert found, f"the page has no {begin}"
    return before + "\n".join([begin, *rows, end]) + rest.partition(end)[2]


def integration(page: str) -> str:
    rows = ["| situation | what happens |", "|---|---|"]
    rows += [f"| `{each.name}` | {each.about} |" for each in situations.load().values()]
    rows += [f"| `{each.name}` | {each.about} |" for each in deliveries.load(0, "")]
    return generated(page, "situations", rows)


def kill_table(page: str) -> str:
    rows = ["| clause | level | mistakes that it sees |", "|---|---|---|"]
    for id_, clause in CLAUSES.items():
        seen = [name for name, by in {**mutants(), **receivers()}.items() if by == id_]
        rows.append(f"| `{id_}` | {clause.level} | {', '.join(seen).replace('_', ' ')} |")
    return generated(page, "integrations", rows)


def test_the_pages_list_what_there_is() -> None:
    for file, write in ((PAGE, integration), (TABLE, kill_table)):
        page = file.read_text("utf-8")
        assert page == write(page), f"{file.name}: run PYTHONPATH=. python tests/conformance/test_client_docs.py"


def test_the_numbers_of_the_page() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    groups = dict.fromkeys(each.group for each in CLAUSES.values())
    assert f"{len(CLAUSES)} clauses in seven groups: " + ", ".join(f"`{group}`" for group in groups) in text
    assert len(groups) == 7
    assert f"`--timeout` ({Options.timeout:g} s)" in text
    assert f"for {limit.UNDER_WAY_S:g} s" in text


def test_the_numbers_of_the_readme() -> None:
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    webhooks = sum(each.does == "webhooks" for each in CLAUSES.values())
    assert f"into {len(situations.load())} situations" in text
    assert f"judges {len(CLAUSES) - webhooks} clauses in less than a minute" in text
    assert f"by {webhooks} clauses (`--receiver-command`)" in text


def test_every_option_that_the_page_names_exists() -> None:
    known = {name for command in cli.commands.values() for option in command.params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", PAGE.read_text("utf-8")))
    assert named <= known


@pytest.mark.parametrize("clause", CLAUSES.values(), ids=lambda clause: clause.id)
def test_a_quote_stands_where_it_is_said_to(clause: clauses.Clause) -> None:
    if clause.document == clauses.CONTRACT:
        from vorel_conformance.spec import contract

        assert clauses.quoted(clause.quote, contract.load().at(clause.pointer)), clause.id
    else:
        assert clause.pointer == ""
        assert re.match(
            r"RFC \d{4}, section \d|docs\.vorel\.ai, .* in our words|docs/integration\.md, ", clause.document
        )
        if clause.document.startswith("docs/"):
            page = " ".join(PAGE.read_text("utf-8").split())
            assert clause.quote in page
    for text in (clause.title, clause.why, clause.how, clause.passing, clause.failing):
        assert text.strip()
    assert clause.level in clauses.LEVELS
    assert clause.does in ("", "handoff", "crm", "webhooks")


def test_the_receiver_of_the_page_passes(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    file = tmp_path / "receiver.py"
    file.write_text(code, encoding="utf-8")
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(file))}"
    found = CliRunner().invoke(cli, ["client", "--receiver-command", command, "--strict", "--complete"])
    assert found.exit_code == 0, found.output


def test_the_commands_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ vorel-conformance (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)
        if "--html" in words:  # the whole run is that of test_client_cli
            words[1:1] = ["--situation", "plain"]
        found = CliRunner().invoke(cli, words)
        assert found.exit_code == 0, found.output
    assert (tmp_path / "report.html").stat().st_size > 1000


if __name__ == "__main__":
    PAGE.write_text(integration(PAGE.read_text("utf-8")), encoding="utf-8")
    TABLE.write_text(kill_table(TABLE.read_text("utf-8")), encoding="utf-8")
