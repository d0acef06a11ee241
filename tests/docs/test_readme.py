"""What the README says is true: its curl lines answer as printed, its tables are those of the code."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.paths import ROOT

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.model.crm import RESERVED_VALUES
from vorel_mock.testing import MockServer

README = (ROOT / "README.md").read_text("utf-8")


def _between(begin: str, end: str) -> str:
    return README.split(begin, 1)[1].split(end, 1)[0].strip()


def _commands() -> list[tuple[str, str]]:
    """The lines behind `$` of the executed block, each with the answer printed below it."""
    block = _between("<!-- run -->\n```console\n", "```").replace("\\\n", "")
    parts = [part.strip().split("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part.strip()]
    return [(command, "\n".join(answer).strip()) for command, *answer in parts]


@pytest.fixture
def port() -> Iterator[int]:
    """A mock as `make serve` starts it, on a free port."""
    with MockServer() as mock:
        yield int(mock.base_url.rpartition(":")[2])


def test_the_curl_lines_answer_as_printed(port: int) -> None:
    commands = _commands()
    assert len(commands) == 3
    for command, printed in commands:
        line = shlex.split(command.replace("localhost:3000", f"127.0.0.1:{port}"))
        told = subprocess.run(line, capture_output=True, text=True, timeout=30, check=True).stdout
        assert re.fullmatch(re.escape(printed).replace("…", "[0-9a-f-]+"), told), told


def test_an_armed_fault_turns_its_clause_red(port: int) -> None:
    printed = _between("<!-- red -->\n```console\n", "```").replace("\\\n", "").splitlines()
    arm, judge = (line.removeprefix("$ ") for line in printed if line.startswith("$ "))
    told = ""
    for command in (arm, judge):
        line = shlex.split(command.replace("localhost:3000", f"127.0.0.1:{port}"))
        line[0] = str(Path(sys.executable).parent / line[0]) if line[0].startswith("vorel") else line[0]
        told = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False).stdout
    shown = [line.removesuffix("…").strip() for line in printed if line and not line.startswith(("$", " " * 4))]
    assert len(shown) > 6
    assert [line for line in shown if line not in told] == []


def test_the_table_of_keys_is_the_demo_worlds(mock: Mock) -> None:
    rows = [
        f"| {mock.story(tenant)} | `{demo.token(number, 1, 1)}` | `{demo.lead_id(number, 1)}` |"
        for number, tenant in enumerate(mock.fixtures, 1)
    ]
    assert _between("<!-- demo -->", "<!-- /demo -->").splitlines()[2:] == rows


def test_the_table_of_reserved_values_is_the_codes() -> None:
    rows = [f"| `{entry['value']}` | `{entry['error']}` |" for entry in RESERVED_VALUES]
    assert _between("<!-- reserved -->", "<!-- /reserved -->").splitlines()[2:] == rows


def test_the_benchmark_s_table_is_that_of_its_page() -> None:
    page = (ROOT / "docs" / "bench.md").read_text("utf-8")
    table = _between("<!-- bench -->", "<!-- /bench -->")
    assert table == page.split("<!-- bench -->", 1)[1].split("<!-- /bench -->", 1)[0].strip()
    assert "make bench" in table


def test_the_limits_that_it_states_are_the_codes() -> None:
    from vorel_mock.mock.journal import journal
    from vorel_mock.model import history

    stated = _between("State lives in memory", "- It is one process")
    assert f"latest {history.MAX_ROWS:,}" in stated
    assert f"{history.MAX_BYTES >> 20} MiB" in stated
    assert f"latest {journal.MAX_EXCHANGES:,} requests" in stated


def test_every_page_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
