"""The command line: what it says, what it takes from where, and how it ends."""

import contextlib
import errno
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from tests.cli.started import HANDOFF, KEY, TENANT, Started, plain

import vorel_mock
from vorel_mock.cli import main as cli
from vorel_mock.cli.options import CONFIG_FILE
from vorel_mock.cli.serve import settings_of_environment
from vorel_mock.contract.contract import default_path
from vorel_mock.mock.settings import Settings
from vorel_mock.model.tenant import MAX_LIMIT
from vorel_mock.server import listener


def invoke(*arguments: str, **environment: str) -> Result:
    """The command line in process, for what ends before a port is opened."""
    return CliRunner().invoke(cli.main, arguments, env=environment, prog_name="vorel-mock")


def error(result: Result) -> str:
    """The one line that says what is wrong; the exit code is that of a usage error."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    *usage, line = result.stderr.splitlines()
    assert [text.partition(" ")[0] for text in usage] in (["Usage:", "Try", ""], [])
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


# What it says


def test_version() -> None:
    assert invoke("--version").stdout == f"vorel-mock, version {vorel_mock.__version__}\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_says_where_the_options_are(flag: str) -> None:
    told = invoke(flag).stdout
    assert "Without a command: serve." in told
    assert "vorel-mock serve --help" in told


def test_the_list_of_commands_is_what_they_say_of_themselves() -> None:
    """It is typed, so that --help imports none of them."""
    told = invoke("--help").stdout
    context = click.Context(cli.main)
    for name, place in cli.COMMANDS.items():
        command = cli.main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert (command.help or "").startswith(place.help.removesuffix("."))
        assert f"  {name} " in told
    imported = (
        "import sys; from vorel_mock.cli.main import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", imported], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in modules if name.startswith("vorel_mock")} == {
        "vorel_mock",
        "vorel_mock.cli",
        "vorel_mock.cli.main",
    }
    assert "httpx" not in modules


def test_a_start_imports_nothing_for_a_command_line_of_a_library() -> None:
    """httpx imports rich and pygments for its own, wherever they are installed."""
    start = (
        "import atexit, sys; from vorel_mock.cli.main import run; atexit.register(lambda: print(*sys.modules)); run()"
    )
    command = [sys.executable, "-c", start, "serve", "--host", "203.0.113.1"]  # no address of this machine
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, "cannot listen on" in ran.stderr) == (1, True)
    assert "httpx" in ran.stdout.split()
    assert {"rich", "pygments"}.isdisjoint(ran.stdout.split())


def test_without_arguments_the_command_line_has_the_defaults_of_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_of_environment() == Settings()


def test_help_of_serve_lists_every_option_in_80_columns() -> None:
    told = invoke("serve", "--help").stdout
    serve = cli.main.get_command(click.Context(cli.main), "serve")
    assert serve is not None
    for parameter in serve.params:
        assert isinstance(parameter, click.Option)
        assert bool(re.search(rf"{parameter.opts[0]}\b", told)) is not parameter.hidden
        assert parameter.help
    assert max(map(len, told.splitlines())) <= 80
    for word in ("VOREL_MOCK_PORT", "vorel-mock.toml", "command line comes first"):
        assert word in " ".join(told.split())


def test_the_banner_and_its_curl_line(start: type[Started]) -> None:
    mock = start().ready()
    assert mock.lines[0] == f"vorel-mock {vorel_mock.__version__} at {mock.url}"
    assert mock.lines[-1] == "Ready."
    assert any(f"{mock.url}/_mock/docs/" in line for line in mock.lines)
    (curl,) = (line.strip() for line in mock.lines if "curl" in line)
    answer = subprocess.run(
        ["bash", "-c", curl.replace("curl ", "curl --noproxy '*' ")], capture_output=True, check=True
    )
    assert json.loads(answer.stdout)["conversation_status"] == "awaiting_human"


def _other_document(**changes: Any) -> str:
    """A document, beside which nothing of the vendored one's is at its place."""
    document = json.loads(default_path().read_text("utf-8"))
    document["servers"] = [{"url": "https://app.example.test/it is/v1"}]
    document["paths"] = {
        "/leads/{lead-id}": {
            "parameters": [{"name": "lead-id", "in": "path", "required": True, "schema": {"const": "it's"}, **changes}],
            "put": {
                "operationId": "putLead",
                "parameters": [
                    {"name": "tag", "in": "query", "required": True, "schema": {"type": "array", "minItems": 2}},
                    {"name": "X-Shop", "in": "header", "required": True, "schema": {"enum": ["a b"]}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/merge-patch+json": {"schema": {"type": "object", "required": ["n"]}}},
                },
                "responses": {"200": {"description": "d", "content": {"application/json": {"example": "done"}}}},
                "security": [{"BearerAuth": ["leads:write"]}],
            },
        }
    }
    return json.dumps(document)


def test_the_curl_line_is_one_of_the_document_that_is_served(start: type[Started], tmp_path: Path) -> None:
    (tmp_path / "document.json").write_text(_other_document())
    mock = start("--contract", "document.json").ready()
    (curl,) = (line.strip() for line in mock.lines if "curl" in line)
    assert f"{mock.url}/it%20is/v1/leads/it%27s?tag=" in curl
    line = curl.replace("curl ", "curl --noproxy '*' ")
    assert json.loads(subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout) == "done"


def test_no_curl_line_that_does_not_work(start: type[Started], tmp_path: Path) -> None:
    (tmp_path / "document.json").write_text(_other_document(schema={"minLength": 3, "maxLength": 2}))
    mock = start("--contract", "document.json").ready()
    assert [line for line in mock.lines if "curl" in line] == []
    assert mock.lines[-1] == "Ready."


def test_an_answer_that_breaks_its_schema_is_warned_of(start: type[Started], tmp_path: Path) -> None:
    document = json.loads(_other_document())
    schema = {"type": "integer"}
    content = document["paths"]["/leads/{lead-id}"]["put"]["responses"]["200"]["content"]["application/json"]
    content["schema"] = schema
    (tmp_path / "document.json").write_text(json.dumps(document))
    mock = start("--contract", "document.json").ready()
    (warning,) = (line for line in mock.lines if line.startswith("Warning: "))
    assert warning.startswith(
        'Warning: putLead: its response breaks its own schema (it is not of type "integer"). Add '
    )
    assert mock.end()[2] == ""


def test_a_mock_with_the_highest_limits_is_reset_like_any_other(start: type[Started]) -> None:
    mock = start("--rate-limit", str(MAX_LIMIT), "--tenant-rate-limit", str(MAX_LIMIT)).ready()
    assert httpx.post(mock.url + "/_mock/reset", json={}, trust_env=False).status_code == 204
    assert mock.post().status_code == 200


def test_serve_by_name(start: type[Started]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vorel_mock", "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"vorel-mock ")
    finally:
        process.kill()
        process.communicate()


def test_the_log_reads_well_and_tells_no_key(start: type[Started]) -> None:
    mock = start("--clock", "2027-01-01T10:20:30Z").ready()
    mock.post()
    mock.post("/nothing")
    mock.post(f"/{KEY}")
    mock.post(f"/{KEY}", key="another")
    mock.post("/%1B%5B31m%0A%E2%80%AEé", key="sk-no-key-of-ours-1")
    mock.post("/sk-no-key-of-ours-1", key="sk-no-key-of-ours-1")
    with socket.create_connection(mock.address) as client:
        client.sendall(b"garbage\r\n\r\n")
        client.recv(1000)
    code, out, err = mock.end()
    assert (code, err) == (0, "")
    lines = [plain(line) for line in out.splitlines()]
    missing = "not_found: The API has no operation at this path."
    assert lines == [
        f"TIME POST {HANDOFF} 200 0.1 ms  {TENANT} req_00000001",
        f"TIME POST /nothing 404 0.1 ms  - req_00000002  {missing}",
        f"TIME POST /[redacted] 404 0.1 ms  - req_00000003  {missing}",
        f"TIME POST /vapk_live_[redacted] 404 0.1 ms  - req_00000004  {missing}",
        f"TIME POST /\\x1b[31m\\x0a\\x202eé 404 0.1 ms  - req_00000005  {missing}",
        f"TIME POST /[redacted] 404 0.1 ms  - req_00000006  {missing}",
        "TIME (unreadable) 400 0.1 ms  - req_00000007  "
        "bad_request: Not a valid HTTP request: Invalid method encountered.",
        "Stopped.",
    ]


def test_the_log_says_what_was_never_answered(start: type[Started]) -> None:
    for options in ([], ["--json-logs"]):
        mock = start("--clock", "2027-01-01T10:20:30Z", *options).ready()
        with pytest.raises(httpx.ReadError):
            httpx.post(
                mock.url + HANDOFF,
                headers={"Authorization": f"Bearer {KEY}", "Prefer": "fault=connection_reset"},
                trust_env=False,
            )
        line, _ = mock.end()[1].splitlines()
        reason = "the fault connection_reset: The connection is reset; nothing was done."
        if options:
            told = json.loads(line)
            assert (told["status"], told["fault"], told["reason"]) == (None, "connection_reset", reason)
            assert "code" not in told
        else:
            assert plain(line) == (
                f"TIME POST {HANDOFF} (no answer) 0.1 ms  {TENANT} req_00000001  fault connection_reset  {reason}"
            )


def test_json_logs_are_json_to_the_last_line(start: type[Started]) -> None:
    mock = start("--json-logs").ready()
    mock.post()
    mock.post("/%1B%0A" + KEY)
    code, out, err = mock.end()
    assert (code, err) == (0, "")
    entries = [json.loads(line) for line in [*mock.lines, *out.splitlines()]]
    events = [entry["event"] for entry in entries if "event" in entry]
    assert events == ["listening", "try", "docs", "settings", "ready", "stopped"]
    done, missed = (entry for entry in entries if "event" not in entry)
    assert done["status"] == 200
    assert done["operation"] == "handoffLead"
    assert missed["code"] == "not_found"
    assert KEY not in out


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["yes", "NO_COLOR"])
def test_colours_on_a_terminal(start: type[Started], variables: dict[str, str], coloured: bool) -> None:
    pty = pytest.importorskip("pty", reason="there are no terminals here")
    ours, theirs = pty.openpty()
    mock = start(stdout=theirs, env={**os.environ, **variables})
    os.close(theirs)

    def read_until(words: bytes) -> bytes:
        told = b""
        while words not in told:
            assert select.select([ours], [], [], 30)[0], told
            told += os.read(ours, 10_000)
        return told

    banner = read_until(b"Ready.")
    found = re.search(rb"http://[0-9.:]+", banner)
    assert found
    mock.url = found[0].decode()
    mock.post("/nothing")
    line = read_until(b"operation at this path.")
    assert (b"\x1b[33m404" in line) == coloured
    assert (b"\x1b" in line) == coloured
    assert mock.end()[0] == 0
    os.close(ours)


def test_no_library_warns(start: type[Started]) -> None:
    mock = start(env={**os.environ, "PYTHONWARNINGS": "default"}).ready()
    mock.post()
    httpx.get(mock.url + "/_mock/health", trust_env=False)
    httpx.get(mock.url + "/_mock/nothing", trust_env=False)
    assert mock.end()[2] == ""


# Options, variables, file


OPTIONS = {
    "port no number": (["--port", "abc"], "Invalid value for '--port': 'abc' is not a valid integer."),
    "port too high": (["--port", "65536"], "Invalid value for '--port': 65536 is not in the range 0<=x<=65535."),
    "port negative": (["--port", "-1"], "Invalid value for '--port': -1 is not in the range 0<=x<=65535."),
    "limit negative": (["--rate-limit", "-1"], "Invalid value for '--rate-limit': -1 is not in the range 0<=x<="),
    "limit too high": (
        ["--rate-limit", "1000000001"],
        "'--rate-limit': 1000000001 is not in the range 0<=x<=1000000000.",
    ),
    "tenant's limit too high": (["--tenant-rate-limit", "1" + "0" * 30], "is not in the range 0<=x<=1000000000."),
    "seed no number": (["--seed", "x"], "Invalid value for '--seed': 'x' is not a valid integer."),
    "clock no time": (
        ["--clock", "now"],
        "'now' is not an RFC 3339 timestamp such as 2027-01-01T00:00:00Z; or use real",
    ),
    "clock without offset": (["--clock", "2027-01-01T00:00:00"], "has no offset from UTC"),
    "clock long ago": (["--clock", "0001-01-01T00:00:00+10:00"], "lies outside of the years 1970 to 9998"),
    "clock far away": (["--clock", "9999-12-31T23:59:59Z"], "lies outside of the years 1970 to 9998"),
    "headers": (["--rate-limit-headers", "no"], "'no' is not one of '429', 'always'"),
    "seed too high": (["--seed", str(2**63)], "Invalid value for '--seed': must be from "),
    "origin": (
        ["--cors-origin", "*", "--cors-origin", "a.test"],
        "Invalid value for '--cors-origin': 'a.test' is not an",
    ),
    "ttl of tenants": (["--tenant-ttl", "31d"], "Invalid value for '--tenant-ttl': must be 1s to 2592000s."),
    "workers, each with a token of its own": (
        ["--workers", "2", "--state", "redis://localhost:1", "--host", "0.0.0.0"],
        "Invalid value for '--control-token': each process would make another one",
    ),
    "workers that share nothing": (["--workers", "2"], "Invalid value for '--workers': more than one process need"),
    "webhook host": (["--webhook-host", "a/b"], "Invalid value for '--webhook-host': 'a/b' is not a host or host:port"),
    "empty token": (
        ["--control-token", ""],
        "Invalid value for '--control-token': is empty",
    ),
    "token of two words": (["--control-token", "a b"], "Invalid value for '--control-token': has characters that no"),
    "unknown option": (["--prot", "1"], "No such option '--prot'. (Did you mean one of: '--host', '--port'?)"),
    "no value": (["--port"], "Option '--port' requires an argument."),
    "argument": (["serve", "now"], "Got unexpected extra argument (now)"),
    "unknown command": (["run"], 'unknown command "run"'),
    "config missing": (["--config", "no.toml"], "no.toml: cannot be read: No such file or directory"),
    "config a folder": (["--config", "/"], "/: cannot be read: Is a directory"),
}


@pytest.mark.parametrize(("arguments", "words"), OPTIONS.values(), ids=OPTIONS)
def test_a_wrong_option_is_named(arguments: list[str], words: str) -> None:
    assert words in error(invoke(*arguments))


VARIABLES = {
    "VOREL_MOCK_PORT": "abc",
    "VOREL_MOCK_SEED": "1.5",
    "VOREL_MOCK_CLOCK": "now",
    "VOREL_MOCK_RATE_LIMIT": "-1",
    "VOREL_MOCK_TENANT_RATE_LIMIT": "many",
    "VOREL_MOCK_RATE_LIMIT_HEADERS": "no",
    "VOREL_MOCK_JSON_LOGS": "maybe",
    "VOREL_MOCK_CONTRACT": "no-such-file.json",
    "VOREL_MOCK_CORS_ORIGIN": "http://a.test/path",
}


@pytest.mark.parametrize(("name", "value"), VARIABLES.items(), ids=VARIABLES)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    told = error(invoke(**{name: value}))
    assert told.startswith(f"Invalid value for '{name}': ")
    assert value in told


def test_a_wrong_host_of_webhooks_is_named_as_it_was_given() -> None:
    words = "'a/b' is not a host or host:port."
    assert error(invoke("--webhook-host", "a/b")) == f"Invalid value for '--webhook-host': {words}"
    assert error(invoke(VOREL_MOCK_WEBHOOK_HOST="a/b")) == f"Invalid value for 'VOREL_MOCK_WEBHOOK_HOST': {words}"
    Path("vorel-mock.toml").write_text('webhook-host = ["a/b"]')
    assert error(invoke()) == f"Invalid value for 'webhook-host' in vorel-mock.toml: {words}"


def test_a_variable_names_the_file() -> None:
    assert error(invoke(VOREL_MOCK_CONFIG="no.toml")) == "no.toml: cannot be read: No such file or directory"


FILES = {
    "no TOML": (b"port = ", "vorel-mock.toml: is not TOML: Invalid value"),
    "binary": (b"\x00\x01", "vorel-mock.toml: is not TOML: "),
    "not UTF-8": (b"# \xff\xfe", "vorel-mock.toml: is not UTF-8 text: byte 2"),
    "too deep": (b"port = " + b"[" * 100_000, "vorel-mock.toml: is not TOML: "),
    "unknown": (b"prot = 1", 'vorel-mock.toml: unknown option "prot"; did you mean "port"?'),
    "nothing like it": (b"xyzzy = 1", 'vorel-mock.toml: unknown option "xyzzy"; allowed: host, port, '),
    "another file": (b'config = "x"', 'vorel-mock.toml: unknown option "config"; '),
    "a table": (b"[serve]\nport = 1", "vorel-mock.toml: 'serve' is a table; write the options at the top of the file"),
    "a list": (b"port = [1]", "vorel-mock.toml: 'port' must be a whole number"),
    "a word for a number": (b'port = "1"', "vorel-mock.toml: 'port' must be a whole number"),
    "true for a number": (b"rate-limit = true", "vorel-mock.toml: 'rate-limit' must be a whole number"),
    "a fraction": (b"seed = 1.5", "vorel-mock.toml: 'seed' must be a whole number"),
    "a number for a flag": (b"json-logs = 1", "vorel-mock.toml: 'json-logs' must be true or false"),
    "a number for a file": (b"contract = 5", "vorel-mock.toml: 'contract' must be text"),
    "twice": (b"rate-limit = 1\nrate_limit = 2", "vorel-mock.toml: 'rate_limit' is a duplicate"),
    "out of range": (b"port = 65536", "Invalid value for 'port' in vorel-mock.toml: 65536 is not in the range"),
    "a date": (b"clock = 2027-01-01", "Invalid value for 'clock' in vorel-mock.toml: '2027-01-01' is not an RFC 3339"),
    "an origin": (b'cors-origin = ["a"]', "Invalid value for 'cors-origin' in vorel-mock.toml: 'a' is not an origin"),
    "no such contract": (
        b'contract = "x.json"',
        "Invalid value for 'contract' in vorel-mock.toml: x.json: no such file",
    ),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_a_wrong_member_of_the_file_is_named(content: bytes, words: str) -> None:
    Path(CONFIG_FILE).write_bytes(content)
    assert words in error(invoke())


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    Path(CONFIG_FILE).write_bytes(b"\xef\xbb\xbfprot = 1")
    assert 'did you mean "port"?' in error(invoke())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named() -> None:
    Path(CONFIG_FILE).write_text("")
    Path(CONFIG_FILE).chmod(0)
    assert error(invoke()) == "vorel-mock.toml: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("arguments", "environment", "file", "wrong"),
    [
        (["--port", "-1"], {"VOREL_MOCK_PORT": "-2"}, "port = -3", "'--port': -1 "),
        ([], {"VOREL_MOCK_PORT": "-2"}, "port = -3", "'VOREL_MOCK_PORT': -2 "),
        ([], {}, "port = -3", "'port' in vorel-mock.toml: -3 "),
        ([], {"VOREL_MOCK_CONFIG": "other.toml"}, "port = -3", "'port' in other.toml: -4 "),
        (["--config", "other.toml"], {"VOREL_MOCK_CONFIG": "no.toml"}, "port = -3", "'port' in other.toml: -4 "),
    ],
)
def test_who_comes_first(arguments: list[str], environment: dict[str, str], file: str, wrong: str) -> None:
    """Each source holds its own wrong number: the one that is complained of is the one that counts."""
    Path("other.toml").write_text("port = -4")
    Path(CONFIG_FILE).write_text(file)
    assert wrong in error(invoke(*arguments, **environment))


def test_each_source_sets_what_the_others_leave(start: type[Started]) -> None:
    Path(CONFIG_FILE).write_text("seed = 7\nclock = 2027-01-01T00:00:00Z\nrate-limit = 5\njson-logs = true")
    environment = {**os.environ, "VOREL_MOCK_RATE_LIMIT": "4", "VOREL_MOCK_SEED": "8"}
    mock = start("--seed", "9", "--rate-limit-headers", "always", env=environment).ready()
    health = httpx.get(mock.url + "/_mock/health", trust_env=False).json()
    assert health["seed"] == 9
    assert health["clock"] == {"now": "2027-01-01T00:00:00.000Z", "frozen": True}
    assert mock.post().headers["x-ratelimit-limit"] == "4"
    assert json.loads(mock.lines[0])["seed"] == 9


# The document


_YAML_BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))

DOCUMENTS = {
    "empty": (b"", "is not an OpenAPI document: its top level is not an object"),
    "a list": (b"[]", "is not an OpenAPI document: its top level is not an object"),
    "words": (b"hello", "is not an OpenAPI document: its top level is not an object"),
    "binary": (b"\x00\x01\x02", "is not YAML: "),
    "not UTF-8": (b"\xff\xfe{}", "is not UTF-8 text"),
    "half a JSON": (b'{"openapi": ', "begins as JSON, and is not valid: Expecting value: line 1"),
    "half a YAML": (b"a: [", "is not YAML: "),
    "a Python object": (b"a: !!python/object/apply:os.getcwd []", "is not YAML: JSON has nothing for tag"),
    "deep JSON": (b'{"a":' * 100_000, "nests too deep"),
    "deep YAML": (b"[" * 2_000, "nests too deep"),
    "an alias in its anchor": (b"a: &a [*a]", "nests too deep, or a YAML alias is inside its own anchor"),
    "few aliases for very much": (_YAML_BOMB.encode(), "holds more than 1000000 values"),
    "huge": (b" " * (32 * 1024 * 1024 + 1), "is longer than 32 MiB"),
    "huge, cut in the middle of a character": ("é".encode() * (17 * 1024 * 1024), "is longer than 32 MiB"),
    "any JSON": (b'{"a": 1}', "is not an OpenAPI 3.1 or 3.0 document: it has no `openapi` member"),
    "Swagger 2": (b'swagger: "2.0"', "is Swagger 2.0, and the mock reads OpenAPI 3.1 and 3.0; convert it first"),
    "OpenAPI 3.0": (b"openapi: 3.0.3", "is not a valid OpenAPI 3.1 document: "),
    "a number for a version": (b"openapi: 3.1", "is not an OpenAPI 3.1 or 3.0 document: its `openapi` member says 3.1"),
    "nothing but its version": (b"openapi: 3.1.0", "is not a valid OpenAPI 3.1 document: "),
    "no operation": (b"openapi: 3.1.0\ninfo: {title: x, version: '1'}\npaths: {}", "declares no operation"),
}


@pytest.mark.parametrize(("content", "words"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_cannot_be_served(content: bytes, words: str) -> None:
    Path("document").write_bytes(content)
    told = error(invoke("--contract", "document"))
    assert told.startswith("Invalid value for '--contract': document: ")
    assert words in told


@pytest.mark.parametrize(
    ("path", "words"),
    [("no-such-file", "no such file"), ("/", "cannot be read: Is a directory"), ("/dev/zero", "is longer than 32 MiB")],
)
def test_a_path_that_is_no_document(path: str, words: str) -> None:
    assert error(invoke("--contract", path)) == f"Invalid value for '--contract': {path}: {words}"


@pytest.mark.parametrize("option", ["--contract", "--config"])
def test_an_empty_name_is_that_of_no_file(option: str) -> None:
    assert error(invoke(option, "")) == f"Invalid value for '{option}': '' cannot be the name of a file"


def test_an_empty_or_odd_name_in_the_file_is_named() -> None:
    for name, words in (
        ("", "'' cannot be the name of a file"),
        ("a\\u0000b", "'a\\x00b' cannot be the name of a file"),
    ):
        Path("vorel-mock.toml").write_text(f'contract = "{name}"')
        told = error(invoke())
        assert told.startswith("Invalid value for 'contract' in vorel-mock.toml: ")
        assert told.endswith(words)


def test_another_document_in_yaml_is_served(start: type[Started]) -> None:
    # A JSON text is YAML too; behind a comment it is nothing but YAML, and a byte order mark may stand before all.
    Path("other.yaml").write_bytes(b"\xef\xbb\xbf# ours\n" + default_path().read_bytes().replace(b"0.1.0", b"0.2.0"))
    mock = start("--contract", "other.yaml").ready()
    assert httpx.get(mock.url + "/_mock/health", trust_env=False).json()["contract"]["version"] == "0.2.0"
    assert mock.post().status_code == 200


# The port


def test_a_taken_port_is_one_line() -> None:
    with listener.listen("127.0.0.1", 0)[0] as taken:
        port = taken.getsockname()[1]
        result = invoke("--port", str(port))
    assert result.exit_code == 1
    assert result.output == (
        f"Error: port {port} on localhost is in use by another program."
        " Use another --port or VOREL_MOCK_PORT, or 0 for a free one.\n"
    )


def test_a_taken_port_comes_with_the_variable_that_was_misspelt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOREL_MOCK_PROT", "0")
    with listener.listen("127.0.0.1", 0)[0] as taken:
        result = invoke("--port", str(taken.getsockname()[1]))
    warning, error = result.output.splitlines()
    assert warning.startswith('Warning: unknown environment variable "VOREL_MOCK_PROT"; did you mean "VOREL_MOCK_PORT"')
    assert error.startswith("Error: port ")


@pytest.mark.parametrize(("given", "told"), [("requsts", 'did you mean "requests"?'), ("xyz", "allowed: clock, ")])
def test_an_unknown_command_is_told_with_those_there_are(given: str, told: str) -> None:
    result = invoke(given)
    assert result.exit_code == 2
    assert f'unknown command "{given}"; {told}' in result.output


@pytest.mark.parametrize("host", ["203.0.113.5", "no-such-host.invalid", "", "a..b", "a" * 300])
def test_a_host_that_is_not_ours_is_one_line(host: str) -> None:
    result = invoke("--port", "0", "--host", host)
    assert result.exit_code == 1
    assert re.fullmatch(
        rf"Error: cannot listen on '{re.escape(host)}': .+\."
        r" Use --host with an address of this machine, such as 127\.0\.0\.1\.\n",
        result.output,
    )


def test_a_port_that_is_not_allowed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str, port: int, **_: bool) -> socket.socket:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(listener, "listen", refuse)
    result = invoke("--port", "80")
    assert result.exit_code == 1
    assert result.output == "Error: this user may not use port 80. Use --port with one above 1023.\n"


# The end


SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


@SIGNALS
def test_it_ends_cleanly(start: type[Started], number: int) -> None:
    mock = start().ready()
    mock.post()
    code, out, err = mock.end(number)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "Stopped."


@SIGNALS
def test_it_ends_while_clients_hang_on(start: type[Started], number: int) -> None:
    mock = start("--rate-limit", "0").ready()
    head = f"POST {HANDOFF} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    whole = f"{head}Content-Length: 2\r\n\r\n{{}}".encode()
    with contextlib.ExitStack() as stack:

        def client(sent: bytes) -> socket.socket:
            connection = stack.enter_context(socket.create_connection(mock.address, timeout=10))
            connection.sendall(sent)
            return connection

        for sent in (b"", b"POST /", whole[:-1], whole):
            client(sent)
        waiting = client(f"{head}Prefer: fault=no_answer\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        never_reads = stack.enter_context(socket.socket())
        never_reads.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # soon full
        never_reads.settimeout(0.5)
        never_reads.connect(mock.address)
        with contextlib.suppress(TimeoutError):
            while True:
                never_reads.send(whole * 50)
        time.sleep(0.3)  # let it take all of this in
        assert mock.process.stdout is not None
        mock.process.stdout.close()
        mock.process.stdout = None
        code, _, err = mock.end(number)
        assert (code, err) == (0, "")
        with contextlib.suppress(ConnectionResetError):
            assert waiting.recv(100) == b""  # nothing that is no envelope


# Its output, and those who do not read it


def test_it_ends_without_a_warning_while_a_page_of_the_console_listens(start: type[Started]) -> None:
    mock = start().ready()
    with socket.create_connection(mock.address) as page:
        page.settimeout(30)
        page.sendall(b"GET /_mock/console/changes?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert page.recv(12) == b"HTTP/1.1 200"
        code, out, err = mock.end()
    assert (code, out.splitlines()[-1], err) == (0, "Stopped.", "")


def test_a_reader_that_goes_away_stops_nothing(start: type[Started]) -> None:
    mock = start().ready()
    assert mock.process.stdout is not None
    mock.process.stdout.close()
    mock.process.stdout = None
    assert [mock.post().status_code for _ in range(5)] == [200] * 5
    code, _, err = mock.end()
    assert (code, err) == (0, "")


@SIGNALS
def test_a_reader_that_does_not_read_stops_nothing(start: type[Started], number: int) -> None:
    mock = start("--rate-limit", "0").ready()
    with httpx.Client(trust_env=False) as client:
        path = "/" + "x" * 2000  # 100 lines are more than any pipe holds
        assert [client.get(mock.url + path).status_code for _ in range(100)] == [404] * 100
    mock.process.send_signal(number)
    assert mock.process.wait(3 + 5) == 0
    assert mock.process.stderr is not None
    assert mock.process.stderr.read() == b""


def test_what_waits_for_a_reader_is_bounded_in_bytes(start: type[Started]) -> None:
    mock = start("--rate-limit", "0").ready()
    request = b"POST /" + b"x" * 990 + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(mock.address) as client:
        for _ in range(90):
            client.sendall(request * 100)  # 9 MB of lines in all
            answered = b""
            while answered.count(b"HTTP/1.1 404") < 100:
                answered += client.recv(2**20)
    _, out, _ = mock.end()
    left_out = re.search(r"\(([0-9]+) lines left out", out)
    assert left_out
    line = len(next(text for text in out.splitlines() if "xxx" in text))
    assert abs(9000 - 8 * 2**20 // line - int(left_out[1])) < 800  # 8 MiB may wait


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_stops_nothing(start: type[Started]) -> None:
    port = _free_port()
    with Path("/dev/full").open("wb") as full:
        mock = start("--port", str(port), stdout=full)
    _served_at(mock, port)
    code, _, err = mock.end()
    assert (code, err) == (0, "")


def test_no_output_at_all(start: type[Started]) -> None:
    port = _free_port()
    mock = start("--port", str(port), stdout=None, preexec_fn=lambda: os.close(1))
    _served_at(mock, port)
    code, _, err = mock.end()
    assert (code, err) == (0, "")


def test_an_output_that_cannot_say_everything(start: type[Started]) -> None:
    mock = start(env={**os.environ, "PYTHONIOENCODING": "ascii"}).ready()
    mock.post("/é")
    mock.post("/afterwards")
    _, out, err = mock.end()
    assert err == ""
    assert "POST /\\xe9 404" in out
    assert "POST /afterwards 404" in out


def _free_port() -> int:
    with listener.listen("127.0.0.1", 0)[0] as sock:
        return int(sock.getsockname()[1])


def _served_at(mock: Started, port: int) -> None:
    """Wait for a mock that cannot say that it is ready, and have it answer a few requests."""
    mock.url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.ConnectError):
            assert [mock.post().status_code for _ in range(3)] == [200] * 3
            return
        assert mock.process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_ends_with_its_standard_input() -> None:
    mock = Started("--end-with-stdin", stdin=subprocess.PIPE).ready()
    assert mock.post().status_code == 200
    assert mock.process.stdin is not None
    mock.process.stdin.write(b"ignored\n")
    assert mock.post().status_code == 200
    mock.process.communicate(timeout=10)  # it closes the standard input, and waits
    assert mock.process.returncode == 0
