"""`make generators`: generate clients from the contract and its renderings, and call the mock with each.

It writes the table of docs/how-to/generated-clients.md. Node's generators are those of package-lock.json here;
openapi-generator is the jar of the package on PyPI, and needs Java.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from vorel_mock.testing import MockServer

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "how-to" / "generated-clients.md"
BEGIN, END = "<!-- generated: generators -->", "<!-- /generated -->"
#: Of the document: as it is, and the renderings.
COLUMNS = ("", "openapi-generator", "openapi-3.0")
EXPECTED = {"handoff": "awaiting_human", "unknown": "not_found", "made": True, "failed": "auth_failed"}
NODE_BIN = HERE / "node_modules" / ".bin"


class Failed(Exception):
    """A generator, a compiler or a call failed; the text says which, and its last words."""


@dataclass(frozen=True)
class Generator:
    """A generator, and the program that calls the mock with its client."""

    name: str
    version: Callable[[], str]
    caller: str
    generate: Callable[[Path, dict[str, str]], None]
    """Makes a client of vorel.json in a folder, which is the current one."""


def run(step: str, *command: str | Path, cwd: Path, env: dict[str, str]) -> str:
    """Run a command; return what it printed. Raises Failed if that is an error."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines()
        raise Failed(f"{step}: {words[-1] if words else done.returncode}")
    return done.stdout


def _npm(package: str) -> Callable[[], str]:
    return lambda: str(json.loads((HERE / "node_modules" / package / "package.json").read_text("utf-8"))["version"])


def _openapi_typescript(folder: Path, env: dict[str, str]) -> None:
    run("generate", NODE_BIN / "openapi-typescript", "vorel.json", "-o", "client.ts", cwd=folder, env=env)


def _hey_api(folder: Path, env: dict[str, str]) -> None:
    # Node demands suffixes of imports; bundlers, for which its client is meant, do not.
    output = {"path": "client", "importFileExtension": ".js"}
    config = json.dumps({"input": "vorel.json", "output": output})
    (folder / "openapi-ts.config.mjs").write_text(f"export default {config};", "utf-8")
    run("generate", NODE_BIN / "openapi-ts", cwd=folder, env=env)


def _orval(folder: Path, env: dict[str, str]) -> None:
    output = {"target": "client.ts", "client": "fetch", "baseUrl": env["VOREL_BASE_URL"]}
    (folder / "orval.json").write_text(json.dumps({"vorel": {"input": "vorel.json", "output": output}}), "utf-8")
    (folder / "orval.config.cjs").write_text("module.exports = require('./orval.json');", "utf-8")
    run("generate", NODE_BIN / "orval", "--config", "orval.config.cjs", cwd=folder, env=env)


def _openapi_python_client(folder: Path, env: dict[str, str]) -> None:
    arguments = ("generate", "--path", "vorel.json", "--meta", "none", "--output-path", "client")
    run("generate", sys.executable, "-m", "openapi_python_client", *arguments, cwd=folder, env=env)


def _openapi_generator(folder: Path, env: dict[str, str]) -> None:
    program = Path(sys.executable).with_name("openapi-generator-cli")
    run("generate", program, "generate", "-i", "vorel.json", "-g", "python", "-o", ".", cwd=folder, env=env)


GENERATORS = (
    Generator(
        "openapi-python-client",
        lambda: version("openapi-python-client"),
        "call_openapi_python_client.py",
        _openapi_python_client,
    ),
    Generator(
        "openapi-typescript, openapi-fetch", _npm("openapi-typescript"), "call_openapi_fetch.ts", _openapi_typescript
    ),
    Generator("@hey-api/openapi-ts", _npm("@hey-api/openapi-ts"), "call_hey_api.ts", _hey_api),
    Generator("orval, client fetch", _npm("orval"), "call_orval.ts", _orval),
    Generator(
        "openapi-generator, python",
        lambda: version("openapi-generator-cli"),
        "call_openapi_generator.py",
        _openapi_generator,
    ),
)


def attempt(generator: Generator, rendering: str, env: dict[str, str]) -> str:
    """Generate and call; return `works`, or what failed."""
    with tempfile.TemporaryDirectory(dir=HERE, prefix="try-") as name:
        folder = Path(name)
        options = ["--for", rendering] if rendering else []
        document = run("contract", sys.executable, "-m", "vorel_mock", "contract", *options, cwd=folder, env=env)
        (folder / "vorel.json").write_text(document, "utf-8")
        caller = folder / generator.caller
        shutil.copyfile(HERE / generator.caller, caller)
        try:
            generator.generate(folder, env)
            if caller.suffix == ".py":
                called = run("call", sys.executable, caller, cwd=folder, env=env)
            else:
                target = ("--target", "ES2022", "--module", "NodeNext", "--outDir", "out", "--rootDir", ".")
                strict = ("--strict", "--skipLibCheck", "--lib", "ES2022,DOM,DOM.Iterable", "--types", "node")
                (folder / "package.json").write_text('{"type": "module"}', "utf-8")
                run("compile", NODE_BIN / "tsc", *target, *strict, caller.name, cwd=folder, env=env)
                called = run("call", "node", folder / "out" / caller.with_suffix(".js").name, cwd=folder, env=env)
        except Failed as error:
            print(f"{generator.name} {rendering or 'as it is'}: {error}")
            return str(error).partition(":")[0] + " fails"
    found = json.loads(called)
    if found != EXPECTED:
        print(f"{generator.name} {rendering or 'as it is'}: {found}")
        return "other values"
    return "works"


def main() -> None:
    """Try all, and write the table. With names as arguments only those whose name contains one, and no table."""
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE, check=True)
    rows = ["| generator | as it is | `--for openapi-generator` | `--for openapi-3.0` |", "|---|---|---|---|"]
    wanted = [each for each in GENERATORS if not sys.argv[1:] or any(name in each.name for name in sys.argv[1:])]
    with MockServer() as mock, mock.new_tenant() as tenant:
        env = {**os.environ, "VOREL_BASE_URL": tenant.base_url, "VOREL_API_KEY": tenant.key, "LEAD": tenant.lead}
        for generator in wanted:
            cells = [attempt(generator, rendering, env) for rendering in COLUMNS]
            rows.append(f"| {generator.name} {generator.version()} | {' | '.join(cells)} |")
            print(rows[-1])
    if len(wanted) == len(GENERATORS):
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(before + "\n".join([BEGIN, *rows, END]) + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main()
