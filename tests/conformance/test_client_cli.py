"""The command `vorel-conformance client`: its doors, its messages, and integrations that misbehave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.conformance.reference.wire import LOOPBACK_CERTIFICATE
from tests.paths import ROOT

from vorel_conformance import report
from vorel_conformance.cli.main import cli
from vorel_conformance.http.strict_json import dumps
from vorel_conformance.runs import mock_process
from vorel_conformance.spec.contract import validator_of
from vorel_conformance.suite.client import making, situations

PROGRAMS = ROOT / "tests" / "conformance" / "integrations"
REFERENCE = [sys.executable, str(PROGRAMS / "reference.py")]
KIT = [sys.executable, "-m", "vorel_conformance"]
KEY = "vapk_live_" + "0a1b2c3d" * 6
Client = Callable[..., Result]


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    with mock_process.started(11) as url:
        yield url


@pytest.fixture
def client(mock_url: str) -> Client:
    def run(*arguments: str, command: list[str] | None = None, mock: str = mock_url) -> Result:
        words = ["client", "--mock", mock, *arguments, *(["--", *command] if command else [])]
        return CliRunner().invoke(cli, words)

    return run


def program(folder: Path, text: str) -> list[str]:
    """A command that runs this Python."""
    file = folder / "adapter.py"
    file.write_text(text)
    return [sys.executable, str(file)]


#: An adapter begins like this.
READ = """
import json, os, sys, time, urllib.request
tasks = json.load(sys.stdin)["tasks"]
def send(task):
    request = urllib.request.Request(os.environ["VOREL_BASE_URL"] + f"/api/v1/leads/{task['lead_id']}/handoff",
        data=json.dumps({k: task[k] for k in ("reason", "summary") if k in task}).encode(),
        headers={"Authorization": "Bearer " + os.environ["VOREL_API_KEY"],
        "Content-Type": "application/json"}, method="POST")
    return json.load(urllib.request.urlopen(request))
def done(task):
    return json.dumps({"id": task["id"], "outcome": "done", "handoff_id": send(task)["handoff_id"]})
"""
PLAIN = ("--situation", "unavailable", "--does", "handoff", "--seed", "1")


def test_a_correct_integration_passes_everything(client: Client, tmp_path: Path) -> None:
    files = {form: tmp_path / f"report.{form}" for form in ("json", "junit", "html", "sarif")}
    options = [word for form, path in files.items() for word in (f"--{form}", str(path))]
    found = client("--seed", "3", "--complete", "--strict", *options, command=REFERENCE)
    assert found.exit_code == 0, found.output
    written = json.loads(files["json"].read_text())
    assert list(validator_of(report.schema()).iter_errors(written)) == []
    assert {each["status"] for each in written["clauses"]} == {"passed"}
    assert [each["name"] for each in written["situations"]] == list(situations.load())
    for path in files.values():
        assert path.stat().st_size > 1000
        assert "vapk_live_" not in path.read_text()
    assert "✓ outage: The API is away for good" in found.output


LAWFUL = {
    "side by side": [sys.executable, str(PROGRAMS / "lawful.py"), "side_by_side"],
    "no retry": [sys.executable, str(PROGRAMS / "lawful.py"), "no_retry"],
}
ADAPTERS = ROOT / "conformance" / "vorel_conformance" / "adapters"
if os.environ.get("FULL_PROOF"):
    more = ("uuid_keys_ascii_chatty", "jitter_and_patience", "remembers")
    LAWFUL |= {name: [sys.executable, str(PROGRAMS / "lawful.py"), name] for name in more}
    LAWFUL |= {name: [sys.executable, str(PROGRAMS / f"{name}.py")] for name in ("with_httpx", "with_requests")}
    LAWFUL |= {file.name: [str(file)] for file in ADAPTERS.iterdir()}


@pytest.mark.parametrize("command", LAWFUL.values(), ids=LAWFUL)
def test_a_lawful_integration_is_not_failed(client: Client, command: list[str]) -> None:
    found = client("--seed", "4", command=command)
    assert found.exit_code == 0, found.output
    assert " failed" not in found.output.splitlines()[-2]


@pytest.mark.parametrize(("language", "needs"), [("python", "python3"), ("typescript", "node"), ("bash", "jq")])
def test_an_adapter_runs_as_it_is(client: Client, tmp_path: Path, language: str, needs: str) -> None:
    if shutil.which(needs) is None:
        pytest.skip(f"{needs} is not installed")
    file = tmp_path / ("adapter.mjs" if language == "typescript" else "adapter")
    made = CliRunner().invoke(cli, ["init", "--client", language, str(file)])
    assert made.exit_code == 0
    for situation in ("plain", "limited", "soft-failures"):
        found = client("--situation", situation, "--strict", "--complete", command=[str(file)])
        assert found.exit_code == 0, found.output
    again = CliRunner().invoke(cli, ["init", "--client", language, str(file)])
    assert (again.exit_code, "exists already" in again.output) == (2, True)


# -- what cannot be started, or says nothing of use


def test_a_command_that_is_not_there(client: Client) -> None:
    found = client(command=["./no-such-adapter"])
    assert found.exit_code == 3
    assert "no such command" in found.output


def test_a_file_that_is_not_executable(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "adapter"
    file.write_text("echo")
    assert "chmod +x" in client(command=[str(file)]).output
    file.chmod(0o755)
    found = client(command=[str(file)])
    assert found.exit_code == 3
    assert "Begin the file with #!" in found.output


def test_a_command_that_crashes_always(client: Client, tmp_path: Path) -> None:
    found = client(*PLAIN, command=program(tmp_path, "import no_such_module"))
    assert found.exit_code == 3
    assert "crashed in every situation (exit status 1)" in found.output
    assert "No module named 'no_such_module'" in found.output


def test_a_command_that_sends_nothing(client: Client, tmp_path: Path) -> None:
    found = client(*PLAIN, command=program(tmp_path, "import sys; sys.stdin.read()"))
    assert found.exit_code == 3
    assert "never sent a request. It must use VOREL_BASE_URL" in found.output


def violation(client: Client, tmp_path: Path, text: str, *options: str, clause: str = "answers.one-outcome") -> Any:
    """The first violation of a clause by an adapter of this text."""
    path = tmp_path / "report.json"
    found = client(*PLAIN, *options, "--json", str(path), command=program(tmp_path, READ + text))
    assert found.exit_code == 1, found.output
    (entry,) = (each for each in json.loads(path.read_text())["clauses"] if each["id"] == clause)
    return entry["violations"][0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[send(t) for t in tasks]", "has no outcome"),
        ("[print(done(t)) for t in tasks for _ in 'ab']", "has 2 outcomes"),
        ("[print(done({**t, 'id': 'other'}) ) for t in tasks]", 'an outcome for "other", which is the id of no task'),
        ("[print(done(t).replace('done', 'ok', 1)) for t in tasks]", 'the outcome "ok"; it is done or failed'),
        ("[sys.stdout.buffer.write(done(t).encode('utf-16')) for t in tasks]", "has no outcome"),
        ("[sys.stdout.write(done(t)[:30]) for t in tasks]", "has no outcome"),
        ("send(tasks[0]); sys.exit(7)", "it crashed (exit status 7)"),
    ],
)
def test_outcomes_that_are_none(client: Client, tmp_path: Path, text: str, problem: str) -> None:
    assert problem in violation(client, tmp_path, "import urllib.error\n" + _patient(text))["message"]


def _patient(text: str) -> str:
    """The situation answers the first request with 503: send it again."""
    return (
        """
first = send
def send(task):
    try:
        return first(task)
    except urllib.error.HTTPError:
        time.sleep(0.2)
        return first(task)
"""
        + text
    )


def test_an_integration_that_hangs_ends_in_its_time_with_a_verdict(client: Client, tmp_path: Path) -> None:
    text = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _patient(
        "send(tasks[0]); time.sleep(600)"
    )
    started = time.monotonic()
    found = violation(client, tmp_path, "import urllib.error\n" + text, "--timeout", "1.5")
    assert "it was ended after 1.5 s" in found["message"]
    assert time.monotonic() - started < 30


def test_nothing_of_its_process_group_is_left(client: Client, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"""
import subprocess, urllib.error
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(pid)!r}, "w").write(str(child.pid))
""" + _patient("[print(done(t), flush=True) for t in tasks]")
    found = client(*PLAIN, command=program(tmp_path, READ + text))
    assert found.exit_code == 0, found.output
    with pytest.raises(ProcessLookupError):
        _wait_until_gone(int(pid.read_text()))


def _wait_until_gone(pid: int) -> None:
    for _ in range(100):
        os.kill(pid, 0)
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            raise ProcessLookupError
        time.sleep(0.05)


def test_an_integration_that_prints_a_lot(client: Client, tmp_path: Path) -> None:
    text = "import urllib.error\n" + _patient(
        "[print('x' * 1000) for _ in range(20_000)]; print('y' * 3_000_000); [print(done(t)) for t in tasks]"
    )
    found = client(*PLAIN, command=program(tmp_path, READ + text))
    assert found.exit_code == 0, found.output


def test_an_integration_that_closes_stdout(client: Client, tmp_path: Path) -> None:
    text = "import urllib.error\n" + _patient("sys.stdout.close(); send(tasks[0])")
    assert "has no outcome" in violation(client, tmp_path, text)["message"]


# -- options


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "what is to be certified?"),
        (["--trigger", "http://127.0.0.1:1", "--", "x"], "give one of -- CMD, --trigger, --watch and --har"),
        (["--trigger", "http://127.0.0.1:1"], "--trigger needs --port and --api-key"),
        (["--does", "handof", "--", "x"], 'did you mean "handoff"?'),
        (["--does", "webhooks", "--", "x"], "needs --receiver URL or --receiver-command"),
        (["--situation", "outag", "--", "x"], 'did you mean "outage"?'),
        (["--situation", "restart", "--does", "handoff", "--", "x"], "something else"),
        (["--clauses", "limit.wait", "--", "x"], 'did you mean "limit.waits"?'),
        (["--receiver", "http://127.0.0.1:1"], "--receiver needs --webhook-secret"),
        (["--receiver", "ftp://x", "--webhook-secret", "s"], "--receiver: "),
        (["--watch", "soon"], "'soon' is no duration"),
        (["--har", "/nowhere.har"], "/nowhere.har: cannot be read"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], problem: str) -> None:
    found = CliRunner().invoke(cli, ["client", *words])
    assert found.exit_code == 2
    assert problem in found.output


def test_situations_and_clauses_are_listed() -> None:
    listed = CliRunner().invoke(cli, ["client", "--list"]).output
    assert "reset-after-reused  " in listed
    assert "idempotency.same-key  " in listed
    told = CliRunner().invoke(cli, ["explain", "retry.pauses"]).output
    assert "(RFC 9110, section 15.6.4)" in told


def test_the_same_seed_makes_the_same_tasks() -> None:
    situation = situations.load()["plain"]
    leads = [f"lead-{n}" for n in range(9)]
    assert making.make(situation, leads, 5) == making.make(situation, leads, 5) != making.make(situation, leads, 6)


# -- the mock


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], tuple[int, Any]], port: int = 0) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, value = answer(self)
            data = dumps(value)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the name that the base class calls

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_no_mock_or_an_old_one(client: Client) -> None:
    with http_server(lambda _: (200, {"hello": "world"})) as url:
        found = client(mock=url, command=["true"])
        assert (found.exit_code, "is no vorel-mock" in found.output) == (3, True)
    old = {"/_mock/health": {"status": "ok"}, "/_mock/faults": {"data": [{"id": "unavailable"}]}}
    with http_server(lambda request: (200, old[request.path])) as url:
        found = client(mock=url, command=["true"])
        assert found.exit_code == 3
        assert "is too old: it lacks the faults " in found.output
        assert "pip install --upgrade vorel-mock" in found.output
    found = client(mock=url, command=["true"])
    assert (found.exit_code, "does not respond" in found.output) == (3, True)


def test_a_port_that_is_taken(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = client("--port", str(port), *PLAIN, command=REFERENCE)
    assert found.exit_code == 3
    assert f"port {port} cannot be used" in found.output


# -- a running service, traffic that is watched or recorded


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found: int = taken.getsockname()[1]
        return found


def test_a_running_service(client: Client) -> None:
    port = free_port()
    environment = {**os.environ, "VOREL_BASE_URL": f"http://127.0.0.1:{port}", "VOREL_API_KEY": KEY}

    def work(request: BaseHTTPRequestHandler) -> tuple[int, Any]:
        tasks = request.rfile.read(int(request.headers["Content-Length"]))
        done = subprocess.run(REFERENCE, input=tasks, env=environment, capture_output=True, check=True, timeout=30)
        return 200, {"outcomes": [json.loads(line) for line in done.stdout.splitlines()]}

    with http_server(work) as url:
        for situation in ("plain", "revoked-key", "missing-scope", "restart"):
            options = ("--port", str(port), "--api-key", KEY, "--situation", situation)
            found = client("--trigger", f"{url}/run", *options, "--strict")
            assert found.exit_code == 0, found.output
    found = client("--trigger", url, "--port", str(port), "--api-key", KEY, *PLAIN)
    assert (found.exit_code, "Is the service running?" in found.output) == (3, True)


def test_a_service_that_answers_nonsense(client: Client) -> None:
    port = free_port()
    with http_server(lambda _: (200, {"hello": "world"})) as url:
        found = client("--trigger", url, "--port", str(port), "--api-key", KEY, *PLAIN)
    assert found.exit_code == 3
    assert "never sent a request" in found.output


def test_what_comes_by_is_judged(mock_url: str, tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "report.json"
    options = ["--watch", "5m", "--port", str(port), "--api-key", KEY, "--json", str(path), "--mock", mock_url]
    with subprocess.Popen([*KIT, "client", *options], stdout=subprocess.PIPE, text=True) as watching:
        _wait_for(port)
        environment = {**os.environ, "VOREL_BASE_URL": f"http://127.0.0.1:{port}", "VOREL_API_KEY": KEY}
        tasks = [
            {"id": f"t{n}", "do": "create_record", "object": "contact", "fields": {"email": f"a{n}@example.com"}}
            for n in range(4)
        ]
        mutant = [sys.executable, str(PROGRAMS / "mutants.py"), "key_inside_the_retry"]
        document = json.dumps({"tasks": tasks}).encode()
        subprocess.run(mutant, input=document, env=environment, check=True, capture_output=True, timeout=60)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 1
    failed = {each["id"] for each in json.loads(path.read_text())["clauses"] if each["status"] == "failed"}
    assert failed == {"idempotency.same-key"}


def test_a_run_that_is_stopped_reports_what_was_done(mock_url: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = program(
        tmp_path, READ + "import urllib.error\n" + _patient("[print(done(t), flush=True) for t in tasks]")
    )
    options = ["--mock", mock_url, "--json", str(path), "--jobs", "1", "--timeout", "3"]
    with subprocess.Popen([*KIT, "client", *options, "--", *command], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline()  # the first situation is done
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        assert running.wait(60) == 130
    written = json.loads(path.read_text())
    assert written["stopped"] == "stopped by SIGINT"
    assert 0 < len(written["situations"]) < len(situations.load())


def _wait_for(port: int) -> None:
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nothing listens")


def _entry(target: str, body: str, at: float, status: int = 200, **response: str) -> dict[str, Any]:
    return {
        "startedDateTime": f"2026-11-27T10:00:{at:06.3f}Z",
        "time": 5,
        "request": {
            "method": "POST",
            "url": f"https://app.vorel.ai{target}",
            "headers": [
                {"name": "authorization", "value": f"Bearer {KEY}"},
                {"name": "content-type", "value": "application/json"},
            ],
            "postData": {"mimeType": "application/json", "text": body},
        },
        "response": {
            "status": status,
            "headers": [{"name": name.replace("_", "-"), "value": value} for name, value in response.items()],
            "content": {"text": "{}"},
        },
    }


def test_recorded_traffic_is_judged(tmp_path: Path) -> None:
    create = "/api/v1/crm/create-record"
    record = json.dumps({"object": "contact", "fields": {"email": "a@b.test"}, "idempotency_key": "k"})
    other = record.replace('"k"', '"m"')
    entries = [
        _entry("/static/app.js", "", 0),
        _entry(create, record, 1, 429, retry_after="3"),
        _entry(f"{create}?key={KEY}", other, 2),
    ]
    har = tmp_path / "traffic.har"
    har.write_text(json.dumps({"log": {"entries": entries}}))
    path = tmp_path / "report.json"
    found = CliRunner().invoke(cli, ["client", "--har", str(har), "--json", str(path)])
    assert found.exit_code == 1, found.output
    failed = {each["id"] for each in json.loads(path.read_text())["clauses"] if each["status"] == "failed"}
    assert failed == {"limit.waits", "secrets.url"}
    assert KEY not in path.read_text()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a HAR file"),
        ("{}", "it has no log.entries"),
        ('{"log": {"entries": [1]}}', "log.entries[0]: not as HAR says"),
        ('{"log": {"entries": []}}', "has no request to a path below /api/"),
        ('{"log": {"entries": [{"request": {"url": "/api/x"}, "response": {}}]}}', "log.entries[0]"),
    ],
)
def test_a_har_that_is_none(tmp_path: Path, text: str, problem: str) -> None:
    har = tmp_path / "traffic.har"
    har.write_text(text)
    found = CliRunner().invoke(cli, ["client", "--har", str(har)])
    assert (found.exit_code, problem in found.output) == (2, True), found.output


# -- receivers


def test_a_receiver_that_is_not_there(client: Client) -> None:
    found = client("--receiver", f"http://127.0.0.1:{free_port()}/hook", "--webhook-secret", "whsec_x")
    assert found.exit_code == 3
    assert "nothing accepts connections there. Is it running?" in found.output
    found = client("--receiver-command", f"{sys.executable} -c 'raise SystemExit(5)'")
    assert found.exit_code == 3
    assert "ended with exit status 5 before it listened" in found.output


def test_a_correct_receiver_passes(client: Client) -> None:
    command = f"{sys.executable} {PROGRAMS / 'receiver.py'}"
    found = client("--receiver-command", command, "--strict", "--complete", "--seed", "2")
    assert found.exit_code == 0, found.output


def test_a_receiver_that_tells_no_effects(client: Client) -> None:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "VOREL_WEBHOOK_SECRET": "whsec_x"}
    with subprocess.Popen([sys.executable, str(PROGRAMS / "receiver.py")], env=environment) as receiver:
        try:
            _wait_for(port)
            found = client("--receiver", f"http://127.0.0.1:{port}/hook", "--webhook-secret", "whsec_x")
        finally:
            receiver.terminate()
    assert found.exit_code == 0, found.output
    assert "? webhook.once  the receiver does not tell what it has acted upon" in found.output
    assert "whsec_x" not in found.output


def test_a_receiver_with_a_certificate_of_its_own(client: Client, tmp_path: Path) -> None:  # K40
    """The kit could not connect, and the receiver was accused of ten breaches."""
    port = free_port()
    environment = {"PORT": str(port), "VOREL_WEBHOOK_SECRET": "whsec_x", "CERTIFICATE": str(LOOPBACK_CERTIFICATE)}
    url, written = f"https://127.0.0.1:{port}/hook", tmp_path / "r.json"
    options = ("--receiver", url, "--effects", url, "--webhook-secret", "whsec_x", "--json", str(written))
    with subprocess.Popen([sys.executable, str(PROGRAMS / "receiver.py")], env=os.environ | environment) as receiver:
        try:
            _wait_for(port)
            found = client(*options)
            assert found.exit_code == 3, found.output
            assert "CERTIFICATE_VERIFY_FAILED" in found.output
            assert "--cacert FILE" in found.output
            found = client(*options, "--cacert", str(LOOPBACK_CERTIFICATE), "--strict", "--complete")
            assert found.exit_code == 0, found.output
            made = json.loads(written.read_text())
            assert f" --cacert {LOOPBACK_CERTIFICATE} " in made["situations"][0]["again"]
            assert "unverified" not in made
            found = client(*options, "--insecure", "--situation", "webhook-plain")
            assert found.exit_code == 0, found.output
            assert json.loads(written.read_text())["unverified"] is True
        finally:
            receiver.terminate()


def test_the_mock_ends_with_the_kit_however_that_ends() -> None:
    script = "import time\nfrom vorel_conformance.runs import mock_process\n"
    script += "with mock_process.started(7) as url:\n    print(url, flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as kit:
        assert kit.stdout is not None
        url = kit.stdout.readline().strip()
        assert httpx.get(f"{url}/_mock/health").status_code == 200
        kit.kill()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            httpx.get(f"{url}/_mock/health")
        except httpx.TransportError:
            return
        time.sleep(0.05)
    pytest.fail("the mock still responds")
