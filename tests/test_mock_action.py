"""mock/action.yml: its steps run in bash, with this mock. The snippets of the docs use what exists."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import yaml
from tests.paths import DOCS, ROOT
from tests.test_container import free_port

from vorel_mock.cli.serve import serve

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "mock" / "action.yml").read_text("utf-8"))
PAGE = (DOCS / "how-to" / "ci.md").read_text("utf-8")
INSTALL, START, STOP = ACTION["runs"]["steps"]


def run(step: dict[str, Any], folder: Path, **inputs: str) -> "subprocess.CompletedProcess[str]":
    """Run a step as a runner does."""
    values = {name: inputs.get(name, each["default"]) for name, each in ACTION["inputs"].items()}
    env = {
        name: re.sub(r"\$\{\{ inputs\.(\S+) \}\}", lambda match: values[match[1]], value)
        for name, value in step.get("env", {}).items()
    }
    env |= {"PATH": os.environ["PATH"], "RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(ROOT / "mock")}
    env |= {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_ENV": str(folder / "env")}
    script = folder / "step.sh"
    script.write_text(step["run"], "utf-8")
    out, err = folder / "out", folder / "err"  # files: a mock that is started keeps no pipe open
    with out.open("w") as stdout, err.open("w") as stderr:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            env=env,
            cwd=folder,
            stdout=stdout,
            stderr=stderr,
            timeout=60,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, out.read_text("utf-8"), err.read_text("utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The temporary folder of a runner, with the mock installed: this one."""
    (tmp_path / "vorel-mock").mkdir()
    (tmp_path / "vorel-mock" / "bin").symlink_to(Path(sys.executable).parent)
    return tmp_path


def told(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines())


def test_it_starts_the_mock_tells_where_it_is_and_stops_it(folder: Path) -> None:
    port = free_port()
    done = run(START, folder, port=str(port), args="--seed 7 --rate-limit 0")
    assert (done.returncode, done.stderr) == (0, "")
    outputs, env = told(folder / "output"), told(folder / "env")
    assert outputs.keys() == ACTION["outputs"].keys()
    url = f"http://127.0.0.1:{port}"
    assert (outputs["base-url"], env["VOREL_BASE_URL"], env["VOREL_MOCK_URL"]) == (url, url, url)
    headers = {"Authorization": f"Bearer {env['VOREL_API_KEY']}"}
    assert httpx.post(f"{url}/api/v1/leads/{env['VOREL_LEAD_ID']}/handoff", headers=headers).status_code == 200
    assert httpx.get(f"{url}/_mock/health").json()["seed"] == 7
    stopped = run(STOP, folder)
    assert stopped.returncode == 0
    assert "/handoff 200" in stopped.stdout
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/_mock/health")


def test_a_mock_that_does_not_start_fails_the_step_and_says_why(folder: Path) -> None:
    done = run(START, folder, port=str(free_port()), args="--rate-limit many; touch hacked $(touch hacked)")
    assert done.returncode == 1
    assert "vorel-mock ended at its start:" in done.stderr
    assert "--rate-limit" in done.stderr
    assert not (folder / "hacked").exists()


def test_fixtures_without_a_key_or_a_lead_start_as_well(folder: Path) -> None:
    file = folder / "bare.toml"
    file.write_text('[[tenants]]\nname = "bare"\nkeys = [{ id = "reader", scopes = ["read"] }]\nleads = 0\n', "utf-8")
    done = run(START, folder, port=str(free_port()), args=f"--fixtures {file}")
    run(STOP, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told(folder / "env")["VOREL_API_KEY"], told(folder / "env")["VOREL_LEAD_ID"]) == ("", "")


def test_its_parts_fit() -> None:
    assert ACTION["runs"]["using"] == "composite"
    used = set(re.findall(r"inputs\.([a-z-]+)", str(ACTION["runs"])))
    assert used == set(ACTION["inputs"])
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"], "an input in a script could be executed"
        assert step["shell"] == "bash"
    for output in ACTION["outputs"].values():
        (name,) = re.findall(r"steps\.start\.outputs\.([a-z-]+)", output["value"])
        assert f'"{name}=' in START["run"]
    for part in ("requirements/mock.txt", "pyproject.toml"):
        assert (ROOT / "mock" / ".." / part).exists()
    assert '--require-hashes --requirement "$GITHUB_ACTION_PATH/../requirements/mock.txt"' in INSTALL["run"]


def test_the_snippets_of_the_page_use_what_exists() -> None:
    github, gitlab, service = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    steps = [step for step in github["jobs"]["test"]["steps"] if "/mock@" in step.get("uses", "")]
    assert len(steps) == 2
    for step in steps:
        assert step["with"].keys() <= ACTION["inputs"].keys()
    for name in re.findall(r"VOREL_[A-Z_]+", " ".join(step.get("run", "") for step in github["jobs"]["test"]["steps"])):
        assert f'"{name}=' in START["run"]
    options = {name for option in serve.params if isinstance(option, click.Option) for name in option.opts}
    lines = [line for line in gitlab["test"]["before_script"] if line.startswith("vorel-mock ")]
    used = re.findall(r"--[a-z-]+", " ".join([*lines, *service["test"]["services"][0]["command"]]))
    assert {"--port", "--trust-network"} <= set(used) <= options
