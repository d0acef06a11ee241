"""docs/conformance.md: its commands work, and its numbers are right."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from tests.conformance.reference import Running
from tests.paths import ROOT

from vorel_conformance.cli.main import cli
from vorel_conformance.runs.plan import DEFAULT_RATE, Options
from vorel_conformance.spec import clauses

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())  # lines of the page are wrapped
COMMANDS = re.findall(r"^\$ vorel-conformance (.*)$", PAGE, re.MULTILINE)


def test_the_commands_of_the_page_work(
    server: Callable[..., Running],
    kit: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run them in order in one folder, with the reference server instead of port 3000 and at a faster pace."""
    running = server("code_403_unauthorized")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new-openapi.json").write_bytes((ROOT / "openapi.json").read_bytes())
    seen = []
    for command in COMMANDS:
        words = shlex.split(command.replace("http://127.0.0.1:3000", running.base_url))
        if words[0] == "server" and "--target" not in words:
            continue  # needs /_mock/target, which the reference server does not serve
        sends = words[0] in ("server", "replay") and "--dry-run" not in words
        if sends:
            words += ["--rate", "100000"]
        # The server has a fault, so that there is a violation to replay.
        finds = sends and "--clauses" not in words
        if words[0] == "server" and finds:
            words += ["--clauses", "scope,envelope"]
        result = kit(*words)
        assert result.exit_code == (1 if finds else 0), result.output
        if words[0] == "init":
            (tmp_path / "target.toml").write_text(as_toml(running), encoding="utf-8")
        seen.append(words[0])
    assert set(seen) == {"init", "server", "clauses", "explain", "replay", "drift"}


def as_toml(running: Running) -> str:
    tables = json.loads(json.dumps(running.profile, default=list))
    lines = [f"base_url = {json.dumps(running.base_url)}"]
    for name in ("keys", "leads", "soft_failures"):
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in tables[name].items()]
    return "\n".join([*lines, "[rate_limit]", "requests = 20", "window_s = 2"]) + "\n"


def test_the_numbers_of_the_page() -> None:
    groups = dict.fromkeys(each.group for each in clauses.load().values())
    assert f"{len(clauses.load())} clauses in nine groups: " + ", ".join(f"`{group}`" for group in groups) in TEXT
    assert len(groups) == 9
    assert f"{DEFAULT_RATE} a minute at most" in TEXT
    options = Options()
    assert f"`--max-requests` ({options.max_requests})" in TEXT
    assert f"{options.connect_timeout:g} s to connect, {options.timeout:g} s from byte to byte" in TEXT
    assert f"{options.time_limit / 60:g} minutes for a run" in TEXT


def test_every_option_that_the_page_names_exists() -> None:
    known = {name for command in cli.commands.values() for option in command.params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", PAGE)) - {"--base-url"}  # that one is pytest's
    assert named <= known
