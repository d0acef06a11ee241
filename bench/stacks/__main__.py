"""`make stacks`: certify small integrations on usual HTTP stacks, and write the table of docs/http-stacks.md.

`python -m bench.stacks [NAME...]` measures those whose row begins with a NAME, and leaves the other rows as they
are; so it does with stacks that this machine does not have.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "http-stacks.md"
PYTHON, NODE, CURL = "python_stack.py", "node_stack.mjs", "curl_stack.sh"
WGET, PHP, RUBY, PERL, GO, JAVA = "wget_stack.sh", "php_stack.php", "ruby_stack.rb", "perl_stack.pl", "go", "java"
#: What runs a program; it is left out where that is not installed.
NEEDS = {NODE: "npm", CURL: "jq", WGET: "wget", PHP: "php", RUBY: "ruby", PERL: "perl", GO: "go", JAVA: "javac"}
JARS = "/usr/share/java/*"
#: Name in the table, program, and its arguments.
STACKS: tuple[tuple[str, str, list[str]], ...] = (
    ("requests", PYTHON, ["requests"]),
    ("requests, Retry(3, status_forcelist=…)", PYTHON, ["requests-retry"]),
    ("requests, Retry(…, allowed_methods=None)", PYTHON, ["requests-retry-post"]),
    ("urllib3", PYTHON, ["urllib3"]),
    ("httpx", PYTHON, ["httpx"]),
    ("httpx, HTTPTransport(retries=3)", PYTHON, ["httpx-transport"]),
    ("httpx with httpx-retries", PYTHON, ["httpx-retries"]),
    ("httpx-retries, allowed_methods=[POST]", PYTHON, ["httpx-retries-post"]),
    ("aiohttp", PYTHON, ["aiohttp"]),
    ("aiohttp with aiohttp-retry", PYTHON, ["aiohttp-retry"]),
    ("pycurl", PYTHON, ["pycurl"]),
    ("tenacity, stop_after_attempt(3)", PYTHON, ["tenacity"]),
    ("stamina", PYTHON, ["stamina"]),
    ("backoff.on_exception", PYTHON, ["backoff"]),
    ("retryhttp", PYTHON, ["retryhttp"]),
    ("fetch of Chromium", PYTHON, ["chromium"]),
    ("fetch of Node.js", NODE, ["fetch"]),
    ("undici", NODE, ["undici"]),
    ("undici, RetryAgent", NODE, ["undici-retry-agent"]),
    ("undici, RetryAgent with POST", NODE, ["undici-retry-agent-post"]),
    ("undici, interceptors.retry()", NODE, ["undici-interceptor"]),
    ("axios", NODE, ["axios"]),
    ("axios with axios-retry", NODE, ["axios-retry"]),
    ("axios-retry, isRetryableError", NODE, ["axios-retry-post"]),
    ("got", NODE, ["got"]),
    ("got, retry of POST", NODE, ["got-post"]),
    ("ky", NODE, ["ky"]),
    ("ky, retry of POST", NODE, ["ky-post"]),
    ("superagent", NODE, ["superagent"]),
    ("superagent .retry(2)", NODE, ["superagent-retry"]),
    ("ofetch", NODE, ["ofetch"]),
    ("ofetch, retry: 3", NODE, ["ofetch-retry"]),
    ("needle", NODE, ["needle"]),
    ("node-fetch", NODE, ["node-fetch"]),
    ("make-fetch-happen, retry: 2", NODE, ["make-fetch-happen"]),
    ("fetch-retry", NODE, ["fetch-retry"]),
    ("fetch-retry, retryOn", NODE, ["fetch-retry-on"]),
    ("p-retry", NODE, ["p-retry"]),
    ("cockatiel, retry(handleAll)", NODE, ["cockatiel"]),
    ("wretch, retry()", NODE, ["wretch"]),
    ("curl", CURL, []),
    ("curl --retry 3", CURL, ["--retry", "3"]),
    ("curl --retry 3 --retry-all-errors", CURL, ["--retry", "3", "--retry-all-errors"]),
    ("wget", WGET, []),
    ("PHP curl", PHP, ["curl"]),
    ("Guzzle", PHP, ["guzzle"]),
    ("Guzzle, Middleware::retry", PHP, ["guzzle-retry"]),
    ("Symfony HttpClient", PHP, ["symfony"]),
    ("Symfony RetryableHttpClient", PHP, ["symfony-retry"]),
    ("Ruby Net::HTTP", RUBY, ["net-http"]),
    ("Faraday", RUBY, ["faraday"]),
    ("Faraday :retry", RUBY, ["faraday-retry"]),
    ("HTTParty", RUBY, ["httparty"]),
    ("RestClient", RUBY, ["rest-client"]),
    ("Perl HTTP::Tiny", PERL, ["http-tiny"]),
    ("Perl LWP", PERL, ["lwp"]),
    ("Perl Mojo::UserAgent", PERL, ["mojo"]),
    ("Go net/http", GO, ["plain"]),
    ("Go net/http, header Idempotency-Key", GO, ["idempotency-key"]),
    ("Java HttpURLConnection", JAVA, ["HttpURLConnection"]),
    ("Java HttpClient", JAVA, ["HttpClient"]),
    ("OkHttp 3", JAVA, ["OkHttp"]),
    ("Apache HttpClient 4", JAVA, ["Apache4"]),
    ("Apache HttpClient 5", JAVA, ["Apache5"]),
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


def command_of(program: str, arguments: list[str], built: Path) -> list[str]:
    """Return the command of a stack. `built`: the folder of compiled programs."""
    lines = [sys.executable, str(HERE / "line_stack.py")]
    file = str(HERE / program)
    starts = {
        PYTHON: [sys.executable, file],
        NODE: ["node", file],
        CURL: ["bash", file],
        WGET: [*lines, "bash", file],
        PHP: [*lines, "php", file],
        RUBY: [*lines, "ruby", file],
        PERL: [*lines, "perl", file],
        GO: [*lines, str(built / "go_stack")],
        JAVA: [*lines, "java", "-cp", f"{built}:{JARS}", "JavaStack"],
    }
    return [*starts[program], *arguments]


def certify(command: list[str], folder: Path) -> dict[str, str]:
    """Return the status of each clause."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    kit = [sys.executable, "-m", "vorel_conformance", "client", "--seed", "1"]
    options = ["--clauses", ",".join(CLAUSES), "--json", str(report)]
    subprocess.run([*kit, *options, "--", *command], stdout=subprocess.DEVNULL, check=False)
    return {each["id"]: each["status"] for each in json.loads(report.read_text("utf-8"))["clauses"]}


def prepare(programs: Iterable[str], built: Path) -> None:
    """Fetch and compile what the programs need."""
    for program in programs:
        if program == NODE:
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE, check=True)
        elif program == GO:
            subprocess.run(["go", "build", "-o", str(built / "go_stack"), "go_stack.go"], cwd=HERE, check=True)
        elif program == JAVA:
            subprocess.run(["javac", "-cp", JARS, "-d", str(built), "JavaStack.java"], cwd=HERE, check=True)


def rows_of(page: str) -> dict[str, str]:
    """Return the rows of the table by the name of the stack."""
    lines = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return {line.split("|")[1].strip(): line for line in lines}


def main(names: list[str]) -> None:
    """Measure, and write the table."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    rows = rows_of(BEGIN + rest)
    wanted = [each for each in STACKS if not names or each[0].startswith(tuple(names))]
    absent = {program for program, needed in NEEDS.items() if not shutil.which(needed)}
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder)
        prepare({program for _, program, _ in wanted} - absent, built)
        for name, program, arguments in wanted:
            if program in absent:
                print(f"{name}: not measured, there is no {NEEDS[program]}")
                continue
            found = certify(command_of(program, arguments, built), built)
            rows[name] = f"| {name} | {' | '.join(SIGNS[found[clause]] for clause in CLAUSES)} |"
            print(rows[name], flush=True)
    head = [f"| stack | {' | '.join(f'`{clause}`' for clause in CLAUSES)} |", "|---" * (len(CLAUSES) + 1) + "|"]
    table = [rows[name] for name, _, _ in STACKS if name in rows]
    PAGE.write_text(before + "\n".join([BEGIN, *head, *table, END]) + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
