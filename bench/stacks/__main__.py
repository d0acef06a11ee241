"""`make stacks`: certify small integrations on usual HTTP stacks, and write the table of docs/http-stacks.md."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "http-stacks.md"
PYTHON, NODE, CURL = ("python_stack.py", "node_stack.mjs", "curl_stack.sh")
#: Name in the table, program, and its arguments.
STACKS: tuple[tuple[str, str, list[str]], ...] = (
    ("requests", PYTHON, ["requests"]),
    ("requests, Retry(3, status_forcelist=…)", PYTHON, ["requests-retry"]),
    ("requests, Retry(…, allowed_methods=None)", PYTHON, ["requests-retry-post"]),
    ("httpx", PYTHON, ["httpx"]),
    ("tenacity, stop_after_attempt(3)", PYTHON, ["tenacity"]),
    ("fetch of Node.js", NODE, ["fetch"]),
    ("axios with axios-retry", NODE, ["axios-retry"]),
    ("got", NODE, ["got"]),
    ("ky", NODE, ["ky"]),
    ("curl", CURL, []),
    ("curl --retry 3", CURL, ["--retry", "3"]),
    ("curl --retry 3 --retry-all-errors", CURL, ["--retry", "3", "--retry-all-errors"]),
)
#: The clauses of the table; a stack says nothing of the others.
CLAUSES = (
    "retry.tries-again",
    "limit.completes",
    "limit.waits",
    "retry.one-handoff",
    "idempotency.same-key",
    "retry.not-unauthorized",
    "retry.pauses",
    "answers.soft-failure",
    "secrets.redirect",
)
BEGIN, END = "<!-- generated: stacks -->", "<!-- /generated -->"
SIGNS = {"passed": "✓", "failed": "✗", "warning": "✗", "inconclusive": "-"}


def certify(program: str, arguments: list[str]) -> dict[str, str]:
    """Return the status of each clause."""
    interpreter = {PYTHON: [sys.executable], NODE: ["node"], CURL: ["bash"]}[program]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [*interpreter, str(HERE / program), *arguments]
        kit = [sys.executable, "-m", "vorel_conformance", "client", "--seed", "1", "--json", str(report)]
        subprocess.run([*kit, "--", *command], stdout=subprocess.DEVNULL, check=False)
        return {each["id"]: each["status"] for each in json.loads(report.read_text("utf-8"))["clauses"]}


def main() -> None:
    """Run all stacks that can be had, and write the table."""
    if shutil.which("npm"):
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=HERE, check=True)
    rows = [f"| stack | {' | '.join(f'`{clause}`' for clause in CLAUSES)} |", "|---" * (len(CLAUSES) + 1) + "|"]
    for name, program, arguments in STACKS:
        if program == NODE and not shutil.which("npm"):
            print(f"{name}: left out, there is no npm: install Node.js")
            continue
        found = certify(program, arguments)
        print(name, {clause: status for clause, status in found.items() if status in ("failed", "warning")})
        rows.append(f"| {name} | {' | '.join(SIGNS[found[clause]] for clause in CLAUSES)} |")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + "\n".join([BEGIN, *rows, END]) + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main()
