"""The action and the snippets of the docs use existing inputs, outputs and options."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from vorel_conformance.cli.main import cli
from vorel_conformance.runs import accepted
from vorel_conformance.spec import clauses

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GATE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


def known_options() -> set[str]:
    """The options of either command; a step of the action has those of its mode."""
    commands = (cli.commands["server"], cli.commands["client"])
    return {
        name
        for command in commands
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
    }


def run_step() -> dict[str, Any]:
    (found,) = (step for step in ACTION["runs"]["steps"] if step.get("id") == "run")
    return dict(found)


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GATE, re.DOTALL)


def test_action_is_a_composite_one_whose_parts_fit() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in ACTION["runs"]["steps"])
    used = set(re.findall(r"inputs\.([a-z-]+)", str(ACTION["runs"])))
    assert used == set(ACTION["inputs"])
    for output in ACTION["outputs"].values():
        (name,) = re.findall(r"steps\.run\.outputs\.([a-z-]+)", output["value"])
        assert re.search(rf"\b{name}=", run_step()["run"])


def test_no_input_becomes_a_part_of_a_script() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert set(re.findall(r"\$\{\{ (\S+) \}\}", str(step.get("env", {})))) <= {
            f"inputs.{n}" for n in ACTION["inputs"]
        }


def test_options_exist() -> None:
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run_step()["run"]))
    assert {"--json", "--junit", "--html", "--sarif", "--target", "--accepted"} <= used
    assert used <= known_options()
    gitlab = next(text for text in snippets("yaml") if "before_script" in text)
    script = " ".join(yaml.safe_load(gitlab)["conformance"]["script"])
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", script)) <= known_options()


def run_the_step(folder: Path, code: int, values: dict[str, str]) -> tuple[list[str], Path]:
    """Run the step in bash, with a kit that records its arguments. Return these, and the file of outputs."""
    program = folder / "vorel-conformance" / "bin" / "vorel-conformance"
    program.parent.mkdir(parents=True)
    lines = ["#!/bin/bash", f'printf "%s\\n" "$@" > "{folder}/called"']
    if code < 2:
        lines.append('mkdir "out put"; touch "out put/"{report.json,junit.xml,report.html,report.sarif}')
    program.write_text("\n".join([*lines, f"exit {code}", ""]), encoding="utf-8")
    program.chmod(0o755)
    inputs = {name: values.get(name, each.get("default", "")) for name, each in ACTION["inputs"].items()}
    step = run_step()
    env = {
        name: re.sub(r"\$\{\{ inputs\.(\S+) \}\}", lambda match: inputs[match[1]], value)
        for name, value in step["env"].items()
    }
    output = folder / "output"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={"PATH": os.environ["PATH"], "RUNNER_TEMP": str(folder), "GITHUB_OUTPUT": str(output), **env},
        cwd=folder,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, b"")
    return (folder / "called").read_text(encoding="utf-8").splitlines(), output


def test_the_step_certifies_an_integration(tmp_path: Path) -> None:
    values = {
        "mode": "client",
        "command": "python3 adapter.py '; touch hacked'",
        "strict": "true",
        "level": "advisory",
        "reports": "out put",
    }
    called, _ = run_the_step(tmp_path, 0, values)
    assert called[0] == "client"
    assert called[-4:] == ["--", "bash", "-c", values["command"]]
    assert "--strict" in called
    assert called[called.index("--level") + 1] == "advisory"
    assert "--target" not in called
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_step_passes_its_inputs_on_and_ends_with_the_code_of_the_kit(tmp_path: Path, code: int) -> None:
    values = {
        "base-url": "http://127.0.0.1:3000/$(touch hacked)",
        "target": "my target.toml",
        "accepted": '"; touch hacked; "',
        "complete": "true",
        "i-own-this-target": "false",
        "reports": "out put",
    }
    called, output = run_the_step(tmp_path, code, values)
    assert called[0] == "server"
    assert called[-2:] == ["--", values["base-url"]]
    assert called[called.index("--target") + 1] == "my target.toml"
    assert called[called.index("--accepted") + 1] == values["accepted"]
    assert called[called.index("--sarif") + 1] == "out put/report.sarif"
    assert "--complete" in called
    assert "--i-own-this-target" not in called
    assert "--seed" not in called
    assert not (tmp_path / "hacked").exists()
    outputs = dict(line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines())
    assert outputs["exit-code"] == str(code)
    assert outputs.keys() == (ACTION["outputs"].keys() if code < 2 else {"exit-code"})


def test_the_snippet_for_github_uses_inputs_and_outputs_of_the_action() -> None:
    github = next(text for text in snippets("yaml") if "jobs:" in text)
    steps = yaml.safe_load(github)["jobs"]["conformance"]["steps"]
    kit = next(step for step in steps if step.get("id") == "kit")
    assert kit["with"].keys() <= ACTION["inputs"].keys()
    assert set(re.findall(r"steps\.kit\.outputs\.([a-z-]+)", github)) <= ACTION["outputs"].keys()
    assert ACTION["inputs"]["reports"]["default"] in github


def test_the_sample_of_accepted_failures_loads(tmp_path: Path) -> None:
    sample = "\n".join(snippets("toml"))
    path = tmp_path / "accepted.toml"
    path.write_text(sample, encoding="utf-8")
    assert [each.name for each in accepted.load(path)] == ["limit.retry-after", "handoff.reason-length"]
    assert {each.name for each in accepted.load(path)} <= set(clauses.load())
