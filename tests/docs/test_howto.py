"""Every how-to runs: the code blocks of docs/how-to do what their page says. The index links every page."""

import json
import re
import runpy
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from tests.npm_package import BUILD, needs_npm, tarball
from tests.npm_package import run as run_npm
from tests.paths import ROOT

from vorel_mock.cli import main as cli
from vorel_mock.cli.serve import settings_of_environment
from vorel_mock.testing import MockServer, Tenant

pytest_plugins = ("pytester",)

PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
README = ROOT / "README.md"
INDEX = ROOT / "docs" / "README.md"
ALL_PAGES = [README, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(<!-- test -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    marked: bool

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def _blocks(page: Path) -> list[Block]:
    source = page.read_text("utf-8")
    return [
        Block(page, source.count("\n", 0, found.start()) + 1, found[2], found[3], bool(found[1]))
        for found in FENCE.finditer(source)
    ]


#: All of a how-to, and what the README marks: its other blocks are lines to be typed.
BLOCKS = [block for page in PAGES for block in _blocks(page)] + [block for block in _blocks(README) if block.marked]


def _in(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


@pytest.fixture(scope="module")
def mock() -> Iterator[MockServer]:
    with MockServer() as mock:
        yield mock


SANDBOX = ROOT / "docs" / "how-to" / "sandbox.md"


def test_the_sandbox_is_as_its_page_says(tmp_path: Path) -> None:
    (configured,) = (block.text for block in BLOCKS if (block.page, block.language) == (SANDBOX, "toml"))
    (tmp_path / "vorel-mock.toml").write_text(configured, "utf-8")
    settings = settings_of_environment("--config", str(tmp_path / "vorel-mock.toml"))
    assert settings.state == "redis://localhost:6379"
    here = replace(settings, host="127.0.0.1", port=0, state=tmp_path / "mock.db", control_token="of-the-operator")
    blocks = re.findall(r"^<!-- run -->\n```console\n(.*?)^```$", SANDBOX.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    with MockServer(**{field.name: getattr(here, field.name) for field in fields(here)}) as mock:
        known = {"URL": mock.base_url, "CONTROL_TOKEN": "of-the-operator"}
        for each in [each for block in blocks for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]:
            command, _, printed = each.partition("\n")
            program, *arguments = shlex.split(Template(command).substitute(known))
            told = subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout
            assert re.fullmatch(re.escape(printed.strip()).replace("…", r"[^\0]*"), told.strip()), told
            if "control_token" in told:
                known |= {"ID": json.loads(told)["id"], "TENANT_TOKEN": json.loads(told)["control_token"]}
    assert "TENANT_TOKEN" in known


def test_each_page_is_run() -> None:
    assert {"python.md", "typescript.md", "n8n.md", "pytest.md"} <= {page.name for page in PAGES}
    unknown = {str(block): block.language for block in BLOCKS if block.language not in RUNNERS | {"text", "console"}}
    assert not unknown, "blocks that are not run"
    assert {block.page for block in BLOCKS if block.language in RUNNERS} >= {*PAGES} - {TERMINAL}


TERMINAL = ROOT / "docs" / "how-to" / "terminal.md"


def test_the_lines_of_the_terminal_print_what_the_page_says() -> None:
    blocks = re.findall(r"^<!-- run -->\n```console\n(.*?)^```$", TERMINAL.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [each for block in blocks for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(commands) > 6
    with MockServer(seed=1) as mock:
        for each in commands:
            command, _, printed = each.partition("\n")
            program, *arguments = shlex.split(command.replace("http://localhost:3000", mock.base_url))
            if program == "vorel-mock":
                told = CliRunner().invoke(cli.main, arguments, env={"VOREL_MOCK_URL": mock.base_url}).output
            else:
                told = subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout
            expected = re.escape(printed.strip()).replace("…", r"[0-9T:.-]*")
            assert re.fullmatch(expected, told.strip()), told


RUNNERS = {"python", "typescript", "json", "toml", "yaml"}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        assert "://" in link or (page.parent / link).exists(), link


def test_the_index_links_every_page() -> None:
    linked = {(INDEX.parent / link).resolve() for link in LINK.findall(INDEX.read_text("utf-8"))}
    assert linked >= {page for page in (ROOT / "docs").rglob("*.md") if page != INDEX}
    assert "docs/README.md" in LINK.findall(README.read_text("utf-8"))


@pytest.mark.usefixtures("lean")
@pytest.mark.parametrize("block", _in("python"))
def test_python(block: Block, pytester: pytest.Pytester, mock: MockServer) -> None:
    if "from vorel_api import" in block.text:  # M48
        _generate(block.page)
        pytester.syspathinsert()
    tests = len(re.findall(r"^(?:async )?def test_", block.text, re.MULTILINE))
    if not tests:
        runpy.run_path(str(pytester.path / pytester.makepyfile(script=block.text)))
        return
    pytester.makepyfile(block.text)
    run = pytester.runpytest("--strict-markers", "-W", "error", "--vorel-mock-url", mock.base_url)
    outcomes = run.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= tests > 0


def _generate(page: Path) -> None:
    """Run the lines of the page that generate a client, in the current folder."""
    lines = next(block.text for block in _blocks(page) if block.language == "console").splitlines()
    for line in lines:
        program, *arguments = shlex.split(line.partition(" > ")[0])
        module = {"vorel-mock": "vorel_mock", "openapi-python-client": "openapi_python_client"}[program]
        if find_spec(module) is None:
            pytest.skip(f"needs {program}: make install")
        run = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        if " > " in line:
            Path(line.partition(" > ")[2]).write_bytes(run.stdout)


@needs_npm
@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", _in("typescript"))
def test_typescript(block: Block, tmp_path: Path, mock: MockServer) -> None:
    if runner := re.search(r'from "vorel-mock/(\w+)"', block.text):
        _run_with(runner[1], block)
        return
    if '"vorel-mock"' in block.text:
        (tmp_path / "node_modules").mkdir()
        with tarfile.open(tarball()) as packed:
            packed.extractall(tmp_path / "node_modules", filter="data")
        (tmp_path / "node_modules" / "package").rename(tmp_path / "node_modules" / "vorel-mock")
    script = tmp_path / "example.test.mjs"
    script.write_text(block.text, "utf-8")
    printed = run_npm("node", "--test", "--test-reporter=tap", script, cwd=tmp_path, VOREL_MOCK_URL=mock.base_url)
    passed = re.search(r"^# pass (\d+)$", printed, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= max(1, block.text.count('\ntest("'))


@pytest.mark.parametrize(
    "block", [b for b in _in("toml", "yaml") if b.values[0].page.name not in ("ci.md", "sandbox.md")]
)
def test_fixtures(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path(f"shop.{block.language}")
    file.write_text(block.text, "utf-8")
    run = CliRunner().invoke(cli.main, ["fixtures", "check", str(file)])
    shown = [b.text.split("\n", 1) for b in _blocks(block.page) if b.language == "console" and b.line > block.line]
    expected = next((told for command, told in shown if command == f"$ vorel-mock fixtures check {file}"), "")
    if "nmae" in block.text:
        assert (run.exit_code, run.stderr) == (1, expected)
    else:
        assert run.exit_code == 0, run.stderr
        with MockServer(fixtures=file) as mock:
            assert mock.control.target()["keys"]["full"]


#: This machine may be busy, and the first test starts a mock.
PATIENT = ["--testTimeout", "60000"]


def _run_with(runner: str, block: Block) -> None:
    """Run a block with its own runner, in a folder that has it."""
    tarball()
    with TemporaryDirectory(dir=BUILD, prefix="how-to-") as folder:
        (Path(folder) / "example.test.ts").write_text(block.text, "utf-8")
        arguments = {"vitest": ["run", "--root", folder, *PATIENT], "playwright": ["test", "--config", folder]}[runner]
        printed = run_npm("npx", "--no", runner, *arguments)
    assert re.search(rf"\b{len(re.findall(r'^ *test[(]', block.text, re.MULTILINE))} passed", printed), printed


# n8n: its HTTP Request node, as far as the page uses it.


@pytest.fixture
def workflow() -> dict[str, Any]:
    (block,) = (block for block in BLOCKS if block.page.name == "n8n.md" and block.language == "json")
    return dict(json.loads(block.text))


def _value(text: str, item: dict[str, Any], items: dict[str, dict[str, Any]]) -> str:
    """A parameter as n8n reads it: an expression when it begins with `=`."""

    def resolve(expression: re.Match[str]) -> str:
        earlier = re.fullmatch(r"\$\('([^']+)'\)\.(?:item|first\(\))\.json\.(\w+)", expression[1])
        own = re.fullmatch(r"\$json\.(\w+)", expression[1])
        assert earlier or own, f"an expression that this test does not know: {expression[1]}"
        return str(items[earlier[1]][earlier[2]] if earlier else item[own[1]])  # type: ignore[index]  # one of them is

    return re.sub(r"\{\{\s*(.+?)\s*\}\}", resolve, text[1:]) if text.startswith("=") else text


def _perform(
    node: dict[str, Any], item: dict[str, Any], items: dict[str, dict[str, Any]], tenant: Tenant
) -> httpx.Response:
    given = node["parameters"]
    assert given["authentication"] == "genericCredentialType"
    assert given["genericAuthType"] == "httpBearerAuth"
    assert given["sendBody"]
    assert given["contentType"] == "json"
    if given["specifyBody"] == "json":
        body = json.loads(_value(given["jsonBody"], item, items))
    else:
        pairs = given["bodyParameters"]["parameters"]
        body = {pair["name"]: _value(pair["value"], item, items) for pair in pairs}
    timeout = given["options"]["timeout"] / 1000
    return httpx.request(
        given["method"], _value(given["url"], item, items), json=body, headers=tenant.headers, timeout=timeout
    )


def _trigger(workflow: dict[str, Any]) -> dict[str, Any]:
    """Return the node that starts the workflow. Without one, n8n says "Missing node to start execution"."""
    (trigger,) = (node for node in workflow["nodes"] if node["type"].endswith("Trigger"))
    return dict(trigger)


def _run(workflow: dict[str, Any], tenant: Tenant) -> dict[str, dict[str, Any]]:
    """What each node puts out for the one lead of the page, which is moved to `tenant`, as a user would."""
    nodes = {node["name"]: node for node in workflow["nodes"]}
    before = _trigger(workflow)["name"]
    items: dict[str, dict[str, Any]] = {before: {}}
    while (name := _following(workflow, nodes[before])) not in items:
        given = nodes[name]["parameters"]
        match nodes[name]["type"].rpartition(".")[2]:
            case "set":
                (lead,) = json.loads(given["jsonOutput"])["leads"]
                items[name] = {"base_url": tenant.base_url, "leads": [{**lead, "lead_id": tenant.lead}]}
            case "splitOut":
                (items[name],) = items[before][given["fieldToSplitOut"]]
            case "splitInBatches" | "wait":
                items[name] = items[before]
            case "httpRequest":
                answer = _perform(nodes[name], items[before], items, tenant)
                assert answer.status_code == 200, answer.text
                items[name] = answer.json()
        before = name
    assert set(items) == set(nodes), "every node is reached"
    assert nodes[name]["type"].endswith("splitInBatches"), "the next lead"
    return items


def _following(workflow: dict[str, Any], node: dict[str, Any]) -> str:
    """The node after this one if all goes well. The first output of a loop is taken after the last item."""
    outputs = workflow["connections"][node["name"]]["main"]
    ((following,),) = outputs[1:] if node["type"].endswith("splitInBatches") else outputs[:1]
    return str(following["node"])


def test_n8n_hands_over_and_pushes(workflow: dict[str, Any], vorel: Tenant) -> None:
    items = _run(workflow, vorel)
    assert items["Hand over"]["conversation_status"] == "awaiting_human"
    assert items["Push to the CRM"]["ok"] is True
    assert vorel.handoffs()[0]["summary"] == "No answer from ada@example.com for seven days."
    assert vorel.crm_records()[0]["fields"] == {"email": "ada@example.com"}


def test_n8n_run_twice_makes_one_record_and_two_handoffs(workflow: dict[str, Any], vorel: Tenant) -> None:
    _run(workflow, vorel)
    _run(workflow, vorel)
    assert (len(vorel.handoffs()), len(vorel.crm_records())) == (2, 1)


def test_n8n_has_a_node_to_start_with(workflow: dict[str, Any]) -> None:  # M47
    names = [node["name"] for node in workflow["nodes"]]
    assert len(set(names)) == len(names)
    assert _trigger(workflow)["type"] == "n8n-nodes-base.manualTrigger"
    targets = {each["node"] for node in workflow["connections"].values() for out in node["main"] for each in out}
    assert set(names) - targets == {_trigger(workflow)["name"]}


def test_n8n_repeats_a_soft_failure_because_of_its_member_error(
    workflow: dict[str, Any], mock: MockServer
) -> None:  # M46
    page = (ROOT / "docs" / "how-to" / "n8n.md").read_text("utf-8")
    assert "never reads `Retry-After`" in page
    assert "repeats a 401" in page
    assert "if the first item has a member\n  `error`" in page
    with mock.new_tenant(crm=None) as tenant:
        last = _run(workflow, tenant)["Push to the CRM"]
    assert last["ok"] is False
    assert "error" in last
    for node in workflow["nodes"]:
        if node.get("retryOnFail"):  # more than 5 s n8n does not wait
            assert (node["maxTries"], node["waitBetweenTries"]) == (3, 5000)


def test_n8n_repeats_one_lead_at_a_time_and_goes_on_with_the_next(workflow: dict[str, Any]) -> None:
    """Retry on Fail sends all items of a node again; an error ends the workflow unless there is a way out of it."""
    nodes = {node["name"]: node for node in workflow["nodes"]}
    (loop,) = (node for node in nodes.values() if node["type"].endswith("splitInBatches"))
    assert loop["parameters"]["batchSize"] == 1
    for name, node in nodes.items():
        if node["type"].endswith("httpRequest"):
            assert node["onError"] == "continueErrorOutput"
            failed = workflow["connections"][name]["main"][1][0]["node"]
            assert _following(workflow, nodes[failed]) == loop["name"]


def test_n8n_stays_below_the_limit(workflow: dict[str, Any], vorel: Tenant) -> None:
    requests = [node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.httpRequest"]
    (wait,) = (node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.wait")
    assert wait["parameters"]["unit"] == "seconds"
    per_minute = len(requests) * 60 / wait["parameters"]["amount"]
    assert per_minute == 120
    assert per_minute < vorel.settings()["rate_limit"]


def test_n8n_begins_with_a_lead_that_the_mock_has(workflow: dict[str, Any], mock: MockServer) -> None:
    (leads,) = (node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.set")
    (lead,) = json.loads(leads["parameters"]["jsonOutput"])["leads"]
    assert lead["lead_id"] in mock.control.target()["leads"]["own"]
