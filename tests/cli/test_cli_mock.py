"""The commands that show what a running mock has: requests, explain, clock, faults, tenants, fixtures."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.cli.started import HANDOFF, KEY, TENANT, Started
from tests.serving import serving

from vorel_mock.cli import main as cli
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App

SOON = 20.0
SHOWING = ("requests", "explain", "clock", "faults", "tenants", "fixtures")


@pytest.fixture
def url(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mock on a port, which the commands find by the variable; it has answered 200 and 400."""
    with serving(App(mock)) as (base_url, _):
        monkeypatch.setenv("VOREL_MOCK_URL", base_url)
        _post(base_url, HANDOFF)
        _post(base_url, "/api/v1/leads/not-a-uuid/handoff?a=%1b[31m")
        yield base_url


def _post(url: str, path: str, **headers: str) -> httpx.Response:
    authorization = {"Authorization": f"Bearer {KEY}", **headers}
    return httpx.post(url + path, json={"reason": "r"}, headers=authorization, trust_env=False)


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=environment, prog_name="vorel-mock")


def told(*arguments: str) -> str:
    """The standard output of a command that succeeds; it never has a key or a secret, or controls the terminal."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert KEY not in result.output
    assert KEY[-20:] not in result.output
    assert all(character.isprintable() or character == "\n" for character in result.output)
    return result.stdout


def json_of(*arguments: str) -> Any:
    return json.loads(told(*arguments, "--json"))


def test_requests_are_listed_filtered_and_followed_by_json(url: str) -> None:
    first, second = told("requests").splitlines()
    assert first.split()[1:5] == ["req_00000001", "200", "POST", HANDOFF]
    assert second.split()[1:3] == ["req_00000002", "400"]
    assert second.endswith('validation: id: is not a "uuid"')
    assert told("requests", "-n", "1").startswith(second.split()[0])
    assert [row["id"] for row in json_of("requests", "--status", "400", "--tenant", TENANT)["data"]] == ["req_00000002"]
    assert json_of("requests", "--operation", "handoffLead", "--contains", "reason") == json_of("requests")
    assert json_of("requests", "--limit", "0") == {"data": [], "total": 2}
    nothing = invoke("requests", "--contains", "nobody")
    assert (nothing.stdout, nothing.stderr) == ("", "No request.\n")


def test_explain_names_the_step_that_decided_and_its_place_in_the_contract(url: str) -> None:
    latest = told("explain")
    assert latest == told("explain", "req_00000002")
    (decided,) = (line for line in latest.splitlines() if line.startswith("  decided"))
    assert decided.split() == ["decided", "validation", "id:", "is", "not", "a", '"uuid"']
    exchange = json_of("explain")
    assert exchange["explanation"]["pointer"] in latest
    assert '"code": "bad_request"' in latest
    assert "conversation_status" in told("explain", "req_00000001")
    assert invoke("explain", "req_1", "--tenant", TENANT).exit_code == 2
    unknown = invoke("explain", "../tenants")
    assert (unknown.exit_code, unknown.stderr.startswith("Error: the mock answered 404: ")) == (1, True)


def test_explain_without_any_request(mock: Mock) -> None:
    with serving(App(mock)) as (base_url, _):
        result = invoke("explain", "--base-url", base_url)
    assert (result.exit_code, result.stderr) == (1, "Error: the journal has no request to explain.\n")


def test_the_clock_is_shown_and_moved_for_all_or_one_tenant(url: str, mock: Mock) -> None:
    assert told("clock") == "2026-01-01T00:00:00.000Z  frozen\n"
    assert told("clock", "advance", "90s") == "2026-01-01T00:01:30.000Z  frozen\n"
    assert json_of("clock", "set", "2026-01-02T00:00:00Z", "--tenant", TENANT)["now"].startswith("2026-01-02T00:00:00")
    assert json_of("clock") == {"now": "2026-01-01T00:01:30.000Z", "frozen": True}
    assert told("clock", "resume").endswith("  runs\n")
    assert told("clock", "freeze").endswith("  frozen\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["clock", "advance"], 2, "advance: needs a value, such as vorel-mock clock advance 90s"),
        (["clock", "freeze", "1s"], 2, "freeze: takes no value."),
        (["clock", "stop"], 2, "'stop' is not one of"),
        (["clock", "advance", "1x"], 1, "the mock answered 400: advance: must be a duration: 61s, 2h, 1h30m or 500ms"),
        (["clock", "set", "2025-01-01T00:00:00Z"], 1, "the mock answered 400: "),
        (["requests", "--status", "9"], 2, "9 is not in the range"),
        (["requests", "--operation", "nope"], 1, "the mock answered 400: "),
        *(
            ([*command, "nope"], 1, "No tenant with this id. `vorel-mock tenants` lists them.")
            for command in (
                ["requests", "--tenant"],
                ["explain", "--tenant"],
                ["clock", "--tenant"],
                ["faults", "--tenant"],
                ["tenants"],
            )
        ),
    ],
)
def test_what_is_wrong_is_told(url: str, arguments: list[str], code: int, said: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == code
    assert result.stdout == ""
    assert said in " ".join(result.stderr.split())


def test_a_fault_is_armed_and_disarmed(url: str) -> None:
    shown = told("faults", "arm", "unavailable", "--next", "2", "--operation", "handoffLead")
    assert re.match(rf"Armed\n  unavailable +{TENANT}  handoffLead, met 0 of 2\n$", shown)
    assert [_post(url, HANDOFF).status_code for _ in range(3)] == [503, 503, 200]
    other = httpx.post(f"{url}/_mock/tenants", json={}, trust_env=False).json()["id"]
    told("faults", "arm", "latency", "--tenant", other, "--delay", "2s")
    assert [row["tenant_id"] for row in json_of("faults", "--armed")["armed"] if row["fault"] == "latency"] == [other]
    assert "latency" not in told("faults", "disarm", "latency")
    assert told("faults", "disarm") == "No fault is armed.\n"
    for arguments, why in (
        (["arm"], "arm: needs a fault, such as vorel-mock faults arm unavailable"),
        (["arm", "unavailble"], 'did you mean "unavailable"?'),
        (["arm", "latency", "--delay", "soon"], "delay: must be"),
        (["--next", "2"], "--next goes with arm: vorel-mock faults arm FAULT --next"),
        (["disarm"], "no fault is armed. `vorel-mock faults` lists those that are."),
        (["disarm", "latency"], "latency is not armed."),
    ):
        refused = invoke("faults", *arguments)
        assert refused.exit_code in (1, 2)
        assert why in " ".join(refused.output.split())


def test_faults_that_are_armed_and_the_catalogue(url: str) -> None:
    assert told("faults", "--armed") == "No fault is armed.\n"
    arming = {"fault": "broken_json", "next": 2, "every": 3, "after": 1}
    assert httpx.post(f"{url}/_mock/tenants/{TENANT}/faults", json=arming, trust_env=False).status_code == 201
    shown = told("faults")
    assert shown.splitlines()[:2] == [
        "Armed",
        f"  broken_json  {TENANT}  any operation, after 1, every 3, met 0 of 2",
    ]
    both = json_of("faults")
    assert all(f"  {row['id']} " in shown and row["sentence"] in shown for row in both["catalogue"])
    (armed,) = both["armed"]
    assert (armed["tenant_id"], armed["fault"]) == (TENANT, "broken_json")
    assert json_of("faults", "--armed", "--tenant", TENANT) == {"armed": [armed]}
    assert json_of("faults", "--armed", "--tenant", TENANT.replace("1", "2", 1)) == {"armed": []}


def test_tenants_and_one_of_them_without_any_key(url: str, mock: Mock) -> None:
    tenants = list(mock.store.tenants())
    assert [line.split()[0] for line in told("tenants").splitlines()] == [tenant.id for tenant in tenants]
    assert [row["id"] for row in json_of("tenants")["data"]] == [tenant.id for tenant in tenants]
    webhook = mock.webhooks.subscribe(tenants[0], "http://127.0.0.1:1/", ["lead.created"])
    shown = told("tenants", TENANT.upper())
    for word in (HANDOFF.split("/")[4], "hubspot", "200 a minute", "http://127.0.0.1:1/", "more; --json has all"):
        assert word in shown
    whole = json_of("tenants", TENANT)
    assert len(whole["keys"]) == len(tenants[0].keys)
    for secret in (webhook.secret, *(key.token for tenant in tenants for key in tenant.keys.values())):
        assert secret not in json.dumps(whole) + shown


def test_fixtures_alone_shows_those_of_the_running_mock(url: str, mock: Mock) -> None:
    assert [line.split()[0] for line in told("fixtures").splitlines()] == [each.id for each in mock.store.tenants()]
    rows = json_of("fixtures")["data"]
    assert {name for row in rows for name in row} == {"id", "name", "story", "lead"}
    assert invoke("fixtures", "--help").stdout.count("export") > 0


class Other(BaseHTTPRequestHandler):
    """Another server: JSON, but none of the mock's."""

    status, content = 200, b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def other_server(status: int, content: bytes) -> Iterator[str]:
    handler = type("Handler", (Other,), {"status": status, "content": content})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join(SOON)


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"<html>"), (404, b'{"detail": "Not Found"}'), (302, b""), (200, b'{"data": 1}'), (500, b"[]")],
)
def test_another_server_is_told(status: int, content: bytes) -> None:
    with other_server(status, content) as base_url:
        for command in ("requests", "explain", "faults", "tenants", "fixtures"):
            result = invoke(command, "--base-url", base_url)
            assert result.exit_code == 1
            assert result.stderr.startswith(f"Error: the server at {base_url} is not vorel-mock ({status})")


@pytest.mark.parametrize("command", SHOWING)
def test_no_server_and_a_wrong_url_are_told(command: str) -> None:
    nobody = invoke(command, VOREL_MOCK_URL="http://127.0.0.1:1")
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    assert nobody.stderr == "Error: no server at http://127.0.0.1:1. Is vorel-mock running there?\n"
    wrong = invoke(command, VOREL_MOCK_URL="localhost:3000")
    assert wrong.exit_code == 2
    assert "--base-url, or VOREL_MOCK_URL: must be a URL such as http://127.0.0.1:3000" in wrong.stderr


def test_a_missing_token_is_told_and_never_shown() -> None:
    with serving(App(Mock(Settings(seed=1, control_token="a-secret-token")))) as (base_url, _):
        for command in SHOWING:
            result = invoke(command, "--base-url", base_url)
            assert result.exit_code == 1
            assert "401" in result.stderr
            assert "--control-token or VOREL_MOCK_CONTROL_TOKEN" in result.stderr
        given = invoke("clock", "--base-url", base_url, "--control-token", "a-secret-token")
        assert (given.exit_code, "secret" in given.output) == (0, False)
        assert invoke("tenants", VOREL_MOCK_URL=base_url, VOREL_MOCK_CONTROL_TOKEN="a-secret-token").exit_code == 0


def test_follow_shows_each_new_request_once_until_ctrl_c(start: type[Started]) -> None:
    """Over a mock that is cleared, that goes and that comes back with ids anew."""
    mock = start("--seed", "1").ready()
    mock.post()
    environment = {**os.environ, "VOREL_MOCK_URL": mock.url}
    command = [sys.executable, "-m", "vorel_mock", "requests", "--follow", "--json", "-n", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        patience = threading.Timer(3 * SOON, process.kill)
        patience.start()
        assert process.stdout is not None
        assert process.stderr is not None

        def row() -> tuple[str, int]:
            assert process.stdout is not None
            read = json.loads(process.stdout.readline())
            return read["id"], read["response"]["status"]

        assert row() == ("req_00000001", 200)
        for _ in range(3):
            mock.post()
        assert [row() for _ in range(3)] == [(f"req_0000000{number}", 200) for number in (2, 3, 4)]
        assert httpx.delete(f"{mock.url}/_mock/requests", trust_env=False).status_code == 204
        mock.post(key="nobody")
        assert row() == ("req_00000005", 401)
        mock.end()
        assert process.stderr.readline() == f"no server at {mock.url}. Is vorel-mock running there? Trying again.\n"
        again = start("--port", str(mock.address[1])).ready()
        again.post()
        assert row() == ("req_00000001", 200)
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
        patience.cancel()


def test_a_reader_that_goes_away_is_no_error_to_read_about(url: str) -> None:
    program = [sys.executable, "-m", "vorel_mock", "faults"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SOON) == 1


def test_ctrl_c_ends_a_wait_for_the_mock_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SOON)
        base_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        program = [sys.executable, "-m", "vorel_mock", "tenants", "--base-url", base_url]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            connection, _ = silent.accept()
            connection.settimeout(SOON)
            with connection:
                assert connection.recv(1)  # it waits for the response
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=SOON) == (b"", b"")
            assert process.returncode == 130


def test_commands_options_and_values_are_completed() -> None:
    """As the script of bash asks: it calls the program with the words of the line."""

    def completed(*words: str) -> list[str]:
        asking = {
            "_VOREL_MOCK_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        result = CliRunner().invoke(cli.main, env=asking, prog_name="vorel-mock")
        return [line.partition(",")[2] for line in result.stdout.splitlines()]

    assert completed("vorel-mock", "") == list(cli.COMMANDS)
    assert completed("vorel-mock", "cl") == ["clock"]
    assert {"--version", "--port", "--fixtures"} <= {*completed("vorel-mock", "--")}
    assert completed("vorel-mock", "--fix") == ["--fixtures"]
    assert completed("vorel-mock", "clock", "") == ["freeze", "resume", "advance", "set"]
    assert completed("vorel-mock", "requests", "--fo") == ["--follow"]
    assert completed("vorel-mock", "webhooks", "listen", "--event", "booking.c")[0].startswith("booking.c")


#: How each shell is asked for what completes `vorel-mock clo`, once it has the script.
ASKING = {
    "bash": 'eval "$(vorel-mock completion bash)"; COMP_WORDS=(vorel-mock clo); COMP_CWORD=1; '
    "_vorel_mock_completion vorel-mock; echo ${COMPREPLY[@]}",
    # The function that shows what was found is zsh's own, and wants a terminal.
    "zsh": "autoload -U compinit; compinit -u -D; _describe() { print -r -- ${(P)3%%:*} }; "
    'eval "$(vorel-mock completion zsh)"; words=(vorel-mock clo); CURRENT=2; _vorel_mock_completion',
    "fish": 'vorel-mock completion fish | source; complete -C "vorel-mock clo" | string split -f 1 \\t',
}


@pytest.mark.parametrize("shell", list(ASKING))
def test_the_script_of_each_shell_completes(shell: str, tmp_path: Path) -> None:
    assert f"_VOREL_MOCK_COMPLETE={shell}_complete" in told("completion", shell)
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    program = tmp_path / "vorel-mock"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m vorel_mock "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ran = subprocess.run([shell, "-c", ASKING[shell]], capture_output=True, text=True, env=environment, timeout=60)
    assert (ran.stdout.strip(), ran.stderr) == ("clock", "")
