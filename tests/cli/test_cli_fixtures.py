"""`--fixtures`, SIGHUP, and `vorel-mock fixtures`."""

import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.cli.started import Started

from vorel_mock import asgi
from vorel_mock.cli import main as cli
from vorel_mock.cli.serve import settings_of_environment
from vorel_mock.contract import contract
from vorel_mock.mock.fixtures import rows

SHOP = 'seed = 7\n\n[[tenants]]\nname = "shop"\n'


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=environment, prog_name="vorel-mock")


def test_check_of_a_file_that_can_be_used() -> None:
    Path("shop.toml").write_text(SHOP)
    result = invoke("fixtures", "check", "shop.toml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "shop.toml can be used. Tenants: 1, keys: 7, leads: 3.\n"


def test_check_of_a_file_with_mistakes() -> None:
    Path("shop.toml").write_text(SHOP + 'crm = "hubspt"\nledas = 3\n')
    result = invoke("fixtures", "check", "shop.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        'shop.toml:5: tenants[0].crm: must be one of hubspot, salesforce, zoho, none; did you mean "hubspot"?',
        'shop.toml:6: unknown field "tenants[0].ledas"; did you mean "leads"?',
        "2 mistakes.",
    ]
    assert invoke("fixtures", "check", "none.toml").stderr.startswith("none.toml: cannot be read: No such file")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'FILE'"),
        ([""], "'' cannot be the name of a file"),
        (["shop.toml", "--contract", "none.json"], "none.json: no such file"),
        (["shop.toml", "--webhook-host", "a b"], "Invalid value for '--webhook-host': 'a b' is not a host"),
    ],
)
def test_check_used_wrongly(arguments: list[str], said: str) -> None:
    Path("shop.toml").write_text(SHOP)
    result = invoke("fixtures", "check", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_check_knows_the_hosts_that_are_allowed() -> None:
    Path("shop.toml").write_text(SHOP + 'webhooks = [{ target_url = "http://hooks.internal/" }]\n')
    assert "--webhook-host hooks.internal" in invoke("fixtures", "check", "shop.toml").stderr
    assert invoke("fixtures", "check", "shop.toml", "--webhook-host", "hooks.internal").exit_code == 0
    assert invoke("fixtures", "check", "shop.toml", VOREL_MOCK_WEBHOOK_HOST="hooks.internal").exit_code == 0
    Path("vorel-mock.toml").write_text('webhook-host = ["hooks.internal"]\n')
    assert invoke("fixtures", "check", "shop.toml").exit_code == 0


def test_the_schema_is_printed() -> None:
    result = invoke("fixtures", "schema")
    assert json.loads(result.stdout) == json.loads(json.dumps(rows.schema(contract.load())))


def test_the_setting_has_every_door(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("vorel-mock.toml").write_text('fixtures = "a.toml"\n')
    assert settings_of_environment().fixtures == Path("a.toml")
    monkeypatch.setenv("VOREL_MOCK_FIXTURES", "b.toml")
    assert settings_of_environment().fixtures == Path("b.toml")


def test_a_mock_does_not_start_with_a_file_that_is_wrong() -> None:
    Path("shop.toml").write_text(SHOP + 'crm = "hubspt"\n')
    result = invoke("--fixtures", "shop.toml", "--port", "0")
    assert result.exit_code == 2
    assert "Error: Invalid value for '--fixtures': shop.toml:5: tenants[0].crm: must be one of" in result.stderr
    Path("shop.toml").write_text(SHOP + 'crm = "hubspt"\nleads = -1\n')
    shown = invoke("--port", "0", VOREL_MOCK_FIXTURES="shop.toml").stderr.splitlines()[-3:]
    assert shown[0].strip() == "Error: Invalid value for 'VOREL_MOCK_FIXTURES':"
    assert [line[:13] for line in shown[1:]] == ["  shop.toml:5", "  shop.toml:6"]


def test_nor_does_an_application_under_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("shop.toml").write_text(SHOP + 'crm = "hubspt"\n')
    monkeypatch.setenv("VOREL_MOCK_FIXTURES", "shop.toml")
    with pytest.raises(SystemExit, match=r"Error: the fixtures cannot be used:\nshop\.toml:5: tenants\[0\]\.crm: must"):
        asgi.__getattr__("app")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_a_signal_has_the_file_read_again(start: type[Started]) -> None:
    Path("shop.toml").write_text(SHOP)
    mock = start("--fixtures", "shop.toml", stdin=-3).ready()
    assert "Fixtures from shop.toml; tenants: 1" in mock.lines
    assert f"seed {7}" in " ".join(mock.lines).lower()
    target = httpx.get(f"{mock.url}/_mock/target", trust_env=False).json()
    assert target["keys"]["full"][0] in " ".join(mock.lines), "the curl line has the file's key"
    assert mock.process.stdout is not None

    def hang_up() -> str:
        mock.process.send_signal(signal.SIGHUP)
        assert mock.process.stdout is not None
        while True:
            line: str = mock.process.stdout.readline().decode()
            assert line
            if "ixtures" in line:
                return line.rstrip("\n")

    Path("shop.toml").write_text(SHOP + '[[tenants]]\nname = "second"\n')
    assert hang_up() == "Read the fixtures again from shop.toml; tenants: 2"
    Path("shop.toml").write_text(SHOP + "leads = -1\n")
    assert hang_up() == (
        "Error: the fixtures were not read again, and nothing was changed: "
        "shop.toml:5: tenants[0].leads: must be at least 0"
    )
    names = [tenant["name"] for tenant in httpx.get(f"{mock.url}/_mock/tenants", trust_env=False).json()["data"]]
    assert names == ["shop", "second"]
    code, out, err = mock.end()
    assert (code, out, err) == (0, "Stopped.\n", "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_a_terminal_that_is_closed_ends_the_mock_and_a_signal_does_not(start: type[Started]) -> None:
    pty = pytest.importorskip("pty", reason="there are no terminals here")
    ours, theirs = pty.openpty()
    mock = start(stdin=theirs).ready()
    os.close(theirs)
    mock.process.send_signal(signal.SIGHUP)
    assert mock.process.stdout is not None
    line = mock.process.stdout.readline().decode()
    assert line.startswith("Error: the fixtures were not read again, and nothing was changed: there is no file")
    time.sleep(0.1)
    assert mock.process.poll() is None
    os.close(ours)
    code, _, _ = mock.end(signal.SIGHUP)
    assert code == 0
