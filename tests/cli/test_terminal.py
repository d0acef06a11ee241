"""What the terminal tells: where settings come from, what was ignored, every exchange, every delivery.

M10, M23, M37, M41, M44.
"""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import click
import httpx
import pytest
from tests.cli.started import HANDOFF, KEY, TENANT, Started, plain

from vorel_mock.cli import options
from vorel_mock.cli.serve import serve, settings_of_environment
from vorel_mock.server import listener
from vorel_mock.testing import ControlError, InProcessMock
from vorel_mock.unpatched import sockets

# M10, M23: the environment.


def _environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serve.make_context("vorel-mock", []) as ctx:
        return options.environment_warnings(ctx)


def test_a_link_to_a_service_called_vorel_mock_is_ignored_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (warning,) = _environment(
        monkeypatch,
        VOREL_MOCK_PORT="tcp://10.0.0.7:3000",
        VOREL_MOCK_PORT_3000_TCP="tcp://10.0.0.7:3000",
        VOREL_MOCK_PORT_3000_TCP_ADDR="10.0.0.7",
        VOREL_MOCK_SERVICE_HOST="10.0.0.7",
        VOREL_MOCK_SERVICE_PORT="3000",
    )
    assert warning.startswith("VOREL_MOCK_PORT is ignored: it describes a service called vorel-mock")
    assert settings_of_environment().port == 3000


def test_a_port_that_is_no_port_is_still_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOREL_MOCK_PORT", "tcp:3000")
    with pytest.raises(click.UsageError, match="not a valid integer"):
        settings_of_environment()


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (warning,) = _environment(monkeypatch, VOREL_MOCK_PROT="3001", VOREL_MOCK_URL="http://127.0.0.1:3001")
    assert warning == 'unknown environment variable "VOREL_MOCK_PROT"; did you mean "VOREL_MOCK_PORT"? (ignored)'


# M23: messages of the control plane.


def test_a_misspelt_fault_a_foreign_host_and_a_wait_in_vain_name_the_remedy() -> None:
    with InProcessMock(seed=1) as mock:
        tenant = mock.new_tenant()
        with pytest.raises(ControlError, match='did you mean "broken_json"'):
            tenant.faults.arm("broken_jsn")
        with pytest.raises(ControlError, match=r"--webhook-host hooks\.example\.com"):
            tenant.webhooks.subscribe("https://hooks.example.com/x")
        with pytest.raises(ControlError, match="the tenant has received none at all"):
            tenant.requests.wait(timeout=0.05)
        mock.client().post("/api/v1/nowhere", headers=tenant.headers)
        mock.client().post("/api/v1/crm/create-record", headers=tenant.headers)
        with pytest.raises(ControlError, match=r"latest are: POST /api/v1/crm/create-record 400"):
            tenant.requests.wait(operation="handoffLead", timeout=0.05)


# M37: which settings, which seed.


def test_the_greeting_names_seed_and_settings_file(start: Callable[..., Started], tmp_path: Path) -> None:
    Path("vorel-mock.toml").write_text("seed = 7\n")
    mock = start().ready()
    assert "Settings from vorel-mock.toml; seed 7" in mock.lines
    mock.end()
    Path("vorel-mock.toml").unlink()
    assert "Seed 8" in start("--seed", "8").ready().lines


# M41: the log.


def test_the_log_names_the_fault_of_a_2xx_and_each_delivery(start: Callable[..., Started]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for json_logs in ([], ["--json-logs"]):
        mock = start("--clock", "frozen", *json_logs).ready()
        headers = {"Authorization": f"Bearer {KEY}"}
        httpx.post(
            f"{mock.url}/_mock/tenants/{TENANT}/webhooks",
            json={"target_url": f"http://127.0.0.1:{port}/hook", "events": ["conversation.handoff_requested"]},
            trust_env=False,
        ).raise_for_status()
        httpx.post(f"{mock.url}{HANDOFF}", headers={**headers, "Prefer": "fault=broken_json"}, trust_env=False)
        httpx.post(f"{mock.url}/_mock/tenants/{TENANT}/clock", json={"advance": "1s"}, trust_env=False)
        lines = mock.end()[1].splitlines()
        if json_logs:
            attempts = [entry for entry in map(json.loads, lines) if entry.get("event") == "webhook_attempt"]
            assert attempts[0]["target_url"] == f"http://127.0.0.1:{port}/hook"
            assert (attempts[0]["attempt"], attempts[0]["tenant_id"]) == (1, TENANT)
            assert any(entry.get("fault") == "broken_json" for entry in map(json.loads, lines))
        else:
            shown = [plain(line) for line in lines]
            assert f"TIME POST {HANDOFF} 200 0.1 ms  {TENANT} req_00000001  fault broken_json" in shown
            found = [line for line in shown if line.startswith("TIME webhook ")]
            assert re.fullmatch(
                rf"TIME webhook webhook\.test http://127\.0\.0\.1:{port}/hook \(.+\) 0\.1 ms  {TENANT} \S+  "
                "attempt 1: pending",
                found[0],
            )


@pytest.mark.parametrize(
    ("option", "statuses"),
    [
        (["--log-level", "info"], ["200", "404", "500"]),
        (["--log-level", "warning"], ["404", "500"]),
        (["--log-level", "error"], ["500"]),
        (["--quiet"], ["500"]),
    ],
)
def test_the_log_can_be_less(start: Callable[..., Started], option: list[str], statuses: list[str]) -> None:
    mock = start(*option)
    assert mock.process.stdout is not None
    found = re.search("http://127.0.0.1:[0-9]+", mock.process.stdout.readline().decode())
    assert found
    mock.url = found[0]
    headers = {"Authorization": f"Bearer {KEY}"}
    httpx.post(f"{mock.url}{HANDOFF}", headers=headers, trust_env=False)
    httpx.post(f"{mock.url}/nothing", trust_env=False)
    httpx.post(f"{mock.url}{HANDOFF}", headers={**headers, "Prefer": "fault=internal_error"}, trust_env=False)
    out = mock.end()[1]
    assert re.findall(r"POST \S+ ([0-9]{3}) ", out) == statuses
    assert ("Ready." in out) is (option[0] != "--quiet")


def test_quiet_says_what_nobody_else_knows(start: Callable[..., Started]) -> None:
    """A port that was picked, and a token that was made."""
    mock = start("--quiet", "--host", "0.0.0.0")
    assert mock.process.stdout is not None
    first, second = (mock.process.stdout.readline().decode() for _ in range(2))
    found = re.search("http://127.0.0.1:[0-9]+", first)
    assert found
    token = second.removeprefix("Control token: ").strip()
    health = f"{found[0]}/_mock/health"
    assert httpx.get(health, trust_env=False).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(health, headers=headers, trust_env=False).status_code == 200
    assert mock.end() == (0, "", "")


# M44: both loopback addresses.


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("host", [[], ["--host", "localhost"], ["--host", "LocalHost"]])
def test_localhost_is_both_loopback_addresses_on_one_port(start: Callable[..., Started], host: list[str]) -> None:
    mock = start(*host).ready()
    port = mock.url.rpartition(":")[2]
    assert mock.url == f"http://127.0.0.1:{port}"
    for address in ("127.0.0.1", "[::1]", "localhost"):
        assert httpx.get(f"http://{address}:{port}/_mock/health", trust_env=False).status_code == 200
    mock.end()


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")
def test_an_address_is_that_address_alone() -> None:
    (only,) = listener.listen("127.0.0.1", 0)
    with only, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", only.getsockname()[1]))


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")
def test_a_port_that_is_taken_on_one_of_them_is_taken() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken, pytest.raises(OSError, match="in use"):
        listener.listen("localhost", taken.getsockname()[1])


def test_without_ipv6_localhost_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = sockets.listening

    def without_ipv6(host: str, port: int, backlog: int, *, shared: bool) -> socket.socket:
        if ":" in host:
            raise OSError(97, "Address family not supported by protocol")
        return listening(host, port, backlog, shared=shared)

    monkeypatch.setattr("vorel_mock.server.listener.listening", without_ipv6)
    (only,) = listener.listen("localhost", 0)
    with only:
        assert only.getsockname()[0] == "127.0.0.1"
