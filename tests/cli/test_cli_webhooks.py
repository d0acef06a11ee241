"""`vorel-mock webhooks listen` and `vorel-mock trigger`, as somebody at a terminal meets them."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from click.testing import CliRunner
from tests.serving import serving

from vorel_mock.cli.listen import webhooks
from vorel_mock.cli.trigger import CAUSES, trigger
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.handoffs import HANDOFF_REQUESTED, Event
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.server.app import App
from vorel_mock.webhooks.dispatcher import Dispatcher
from vorel_mock.webhooks.receiver import Listener, serve
from vorel_mock.webhooks.signature import HEADER, sign
from vorel_mock.webhooks.target_policy import TargetPolicy

SOON = 20.0
BODY = b'{"id": "e1", "event": "lead.created", "data": {"name": "\\u001b[31mred"}}'


@pytest.fixture
def running_mock(mock: Mock) -> Iterator[str]:
    """The base URL of a mock that serves on a port."""
    with serving(App(mock)) as (url, _):
        yield url


# The receiver


@contextmanager
def listening(**settings: Any) -> Iterator[tuple[str, list[str]]]:
    """A listener on a port: its URL, and what it shows."""
    shown: list[str] = []
    running = serve(Listener(shown.append, **settings), "127.0.0.1", 0)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}/hook", shown
    finally:
        running.shutdown()
        running.server_close()
        thread.join(SOON)


def post(url: str, content: bytes = BODY, header: str | None = None) -> int:
    headers = {} if header is None else {HEADER: header}
    return httpx.post(url, content=content, headers=headers, trust_env=False, timeout=SOON).status_code


@pytest.mark.parametrize(
    ("secret", "header", "status", "said"),
    [
        ("s", sign("s", BODY), 200, "signature verified"),
        ("s", sign("other", BODY), 401, "signature WRONG"),
        ("s", None, 401, "signature absent"),
        (None, sign("s", BODY), 200, "signature not checked"),
        (None, None, 200, "signature absent"),
    ],
)
def test_verifies_and_answers_as_a_good_consumer(
    secret: str | None, header: str | None, status: int, said: str
) -> None:
    with listening(secret=secret) as (url, shown):
        assert post(url, header=header) == status
    assert f"1. POST /hook -> {status}" in shown[0]
    assert said in shown[0]
    assert '"event": "lead.created"' in shown[0]


def test_answers_as_it_is_told() -> None:
    with listening(secret="s", status=503, delay=0.05) as (url, _):
        started = time.monotonic()
        assert post(url) == 503
        assert time.monotonic() - started >= 0.05


def test_tells_a_second_arrival_from_a_first() -> None:
    with listening() as (url, shown):
        post(url)
        post(url)
    assert ["duplicate id" in text for text in shown] == [False, True]


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"\xff\x00", b"[" * 100_000, b'{"id": 5}', "\x1b[2J\u202e".encode()]
)
def test_whatever_arrives_is_shown_and_does_nothing_to_the_terminal(content: bytes) -> None:
    with listening() as (url, shown):
        assert post(url, content) == 200
    assert all(character.isprintable() or character == "\n" for character in shown[0])


def test_what_is_no_webhook_is_refused() -> None:
    with listening() as (url, shown), httpx.Client(trust_env=False, timeout=SOON) as client:
        assert client.get(url).status_code == 405
        assert client.post(url, content=iter([b"chunked"])).status_code == 411
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), SOON) as raw:
            raw.sendall(b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.0 413 ")
    assert shown == []


# listen


class Subscriptions(BaseHTTPRequestHandler):
    """What the control plane does when somebody subscribes, over a real dispatcher."""

    mock: Mock
    dispatcher: Dispatcher
    asked: list[tuple[str, Any]]

    def do_GET(self) -> None:
        tenant = next(self.mock.store.tenants())
        if self.path != "/_mock/target":
            self._json(200, {"target_url": tenant.webhooks[self.path.split("/")[5]].target_url})
            return
        self._json(200, {"tenants": [{"id": tenant.id, "key": "k", "lead": "l"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, body))
        tenant = self.mock.store.tenant(self.path.split("/")[3])
        if tenant is None:
            self._json(404, {"error": {"code": "not_found", "message": "No tenant has this id."}})
            return
        webhook = self.dispatcher.subscribe(tenant, body["target_url"], body["events"])
        self.dispatcher.wait(
            tenant, lambda delivery: delivery.state != "pending", 0.3
        )  # the event overtakes the answer
        self._json(201, {"id": webhook.id, "secret": webhook.secret})

    def do_DELETE(self) -> None:
        self.asked.append((self.path, None))
        tenant = self.mock.store.tenant(self.path.split("/")[3])
        assert tenant is not None
        self.dispatcher.unsubscribe(tenant, tenant.webhooks[self.path.split("/")[5]])
        self.send_response(204)
        self.end_headers()

    def _json(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def control_plane(mock: Mock) -> Iterator[tuple[str, type[Subscriptions]]]:
    class Handler(Subscriptions):
        asked: list[tuple[str, Any]] = []  # noqa: RUF012 - the fixture's own class

    Handler.mock, Handler.dispatcher = mock, Dispatcher(mock.lock, TargetPolicy(), mock.clock)
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}", Handler
    running.shutdown()
    running.server_close()
    thread.join(SOON)
    Handler.dispatcher.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_subscribes_itself_shows_what_arrives_and_unsubscribes(
    control_plane: tuple[str, type[Subscriptions]], mock: Mock, number: signal.Signals
) -> None:
    base_url, handler = control_plane
    tenant = next(mock.store.tenants())
    code = "from vorel_mock.cli.listen import webhooks; webhooks()"
    command = [sys.executable, "-c", code, "listen", "--base-url", base_url, "--event", HANDOFF_REQUESTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Subscribed"):
                event = Event("the-handoff", HANDOFF_REQUESTED, mock.clock.now(), {"summary": "help"})
                handler.dispatcher.publish(tenant, event)
            elif "the-handoff" in line:
                process.send_signal(number)
        assert process.wait(SOON) == 0
        assert process.stderr.read() == ""
    text = "".join(lines)
    assert text.count("signature verified") == 2  # the test event too, although it came before the secret
    assert text.endswith("Stopped.\n")
    path = f"/_mock/tenants/{tenant.id}/webhooks"
    (subscribed_path, body), (deleted_path, _) = handler.asked
    assert (subscribed_path, body["events"]) == (path, [HANDOFF_REQUESTED])
    assert body["target_url"] in text
    assert deleted_path.startswith(f"{path}/")
    assert tenant.webhooks == {}


LISTEN = "from vorel_mock.cli import listen; listen._LOOK = 0.05; listen.webhooks()"


def _until(lines: IO[str], wanted: str) -> str:
    """Read lines up to one that has `wanted`."""
    passed = []
    for line in lines:
        if wanted in line:
            return line
        passed.append(line)
    raise AssertionError(f"no line has {wanted!r}: {passed}")


def test_subscribes_anew_after_a_reset_and_a_restart(tmp_path: Path) -> None:
    """M11: it stayed silent for ever."""
    settings = Settings(seed=1)
    errors = tmp_path / "stderr"
    with ExitStack() as running, errors.open("w") as stderr:
        url, server = running.enter_context(serving(App(Mock(settings))))
        port = httpx.URL(url).port
        command = [sys.executable, "-c", LISTEN, "listen", "--base-url", url]
        process = running.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, bufsize=1)
        )
        running.callback(process.kill)
        # A line that does not come ends the test, which then says what came instead.
        patience = threading.Timer(3 * SOON, process.kill)
        patience.start()
        running.callback(patience.cancel)
        assert process.stdout is not None
        _until(process.stdout, "signature verified")  # of the test event
        assert httpx.post(f"{url}/_mock/reset", trust_env=False).status_code == 204
        assert "again: the mock was reset or restarted" in _until(process.stdout, "Subscribed")
        _until(process.stdout, "signature verified")

        server.stop()
        deadline = time.monotonic() + SOON
        while "no server at" not in errors.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        mock = Mock(settings)
        tenant = next(mock.store.tenants())
        # The same seed gives the same ids: the listener's, to somebody else.
        others = [mock.webhooks.subscribe(tenant, "http://127.0.0.1:1/", [HANDOFF_REQUESTED]) for _ in range(2)]
        running.enter_context(serving(App(mock), port or 0))
        _until(process.stdout, "Subscribed")
        _until(process.stdout, "signature verified")
        assert CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", url]).exit_code == 0
        _until(process.stdout, HANDOFF_REQUESTED)
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == 0
        assert list(tenant.webhooks.values()) == others
    assert errors.read_text().count("\n") == 1  # said once, however often it tried


def test_a_tenant_that_does_not_exist_is_told(control_plane: tuple[str, type[Subscriptions]]) -> None:
    result = CliRunner().invoke(webhooks, ["listen", "--base-url", control_plane[0], "--tenant", "no/such"])
    assert result.exit_code == 1
    assert "the mock answered 404: No tenant has this id." in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["--base-url", "http://127.0.0.1:1"],
            1,
            "no server at http://127.0.0.1:1. Is vorel-mock running there?",
        ),
        (["--base-url", "localhost"], 2, "must be a URL such as"),
        (["--tenant", "t"], 2, "need --base-url"),
        (["--event", "lead.deleted", "--base-url", "http://x"], 2, "lead.deleted"),
        (["--status", "999"], 2, "999"),
        (["--forward-to", "localhost:8080"], 2, "--forward-to: must be a URL such as"),
        (["--forward-to", "http://127.0.0.1:8080", "--status", "500"], 2, "exclude each other"),
        (["--host", "203.0.113.1"], 1, "cannot listen on 203.0.113.1"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(webhooks, ["listen", *arguments])
    assert result.exit_code == code
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


class Receiver(BaseHTTPRequestHandler):
    """The receiver that webhooks are passed on to."""

    came: list[tuple[str, list[tuple[str, str]], bytes]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.came.append((self.path, self.headers.items(), body))
        self.send_response(self.status)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"told")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_forwards_the_bytes_and_the_signature_and_answers_with_what_came_back(mock: Mock) -> None:
    tenant = next(mock.store.tenants())
    came: list[tuple[str, list[tuple[str, str]], bytes]] = []
    receiving = ThreadingHTTPServer(("127.0.0.1", 0), type("Kept", (Receiver,), {"came": came}))
    threading.Thread(target=receiving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    target = f"http://127.0.0.1:{receiving.server_address[1]}/hooks?a=1"
    with serving(App(mock)) as (url, _):
        chosen = ["--forward-to", target, "--secret", "whsec_of_my_receiver"]
        command = [sys.executable, "-m", "vorel_mock", "webhooks", "listen", "--base-url", url, *chosen]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            patience = threading.Timer(3 * SOON, process.kill)
            patience.start()
            assert f"forwarding to {target}" in _until(process.stdout, "Listening")
            _until(process.stdout, "signature verified")  # of the test event
            receiving.RequestHandlerClass.status = 503  # type: ignore[attr-defined] # the class above
            event = Event("the-handoff", HANDOFF_REQUESTED, mock.clock.now(), {"summary": "ü"})
            mock.webhooks.publish(tenant, event)
            assert f"-> 503 from {target} in " in _until(process.stdout, "2. POST")
            assert "verified" in _until(process.stdout, "signature")
            receiving.shutdown()
            receiving.server_close()
            mock.webhooks.publish(tenant, Event("another", HANDOFF_REQUESTED, mock.clock.now(), {}))
            assert "-> 502: " in _until(process.stdout, "3. POST")
            _until(process.stdout, "another")
            deadline = time.monotonic() + SOON
            while not list(tenant.deliveries)[-1].attempts and time.monotonic() < deadline:
                time.sleep(0.01)  # it is shown before it is answered
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON) == 0
            patience.cancel()
    first, second, third = tenant.deliveries
    assert [each.attempts[-1].status for each in (first, second, third)] == [200, 503, 502]
    assert [each.attempts[-1].response_body for each in (first, second)] == ["told", "told"]
    path, headers, body = came[-1]
    assert (path, body) == ("/hooks?a=1", second.body)
    sent = second.attempts[-1].request_headers
    assert sent[HEADER.lower()] == sign("whsec_of_my_receiver", body)  # which a receiver knows, and so can verify
    own = ("host", "connection")
    assert {name.lower(): value for name, value in headers if name.lower() not in own} == {
        name: value for name, value in sent.items() if name not in own
    }


def test_forwarding_alone_subscribes_at_the_mock_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vorel_mock.cli.listen.DEFAULT_URL", "http://127.0.0.1:1")
    result = CliRunner().invoke(webhooks, ["listen", "--forward-to", "http://127.0.0.1:2/"])
    assert (result.exit_code, "no server at http://127.0.0.1:1." in result.output) == (1, True)


def test_a_secret_is_for_a_subscription_that_there_is_whatever_the_variable_says() -> None:
    with listening() as (taken, _):  # the port is taken, so the command gets as far as that
        port = str(httpx.URL(taken).port)
        arguments = ["listen", "--secret", "s", "--port", port]
        result = CliRunner().invoke(webhooks, arguments, env={"VOREL_MOCK_URL": "http://127.0.0.1:1"})
    assert "Use another --port." in result.output


def test_a_port_that_is_taken_is_told() -> None:
    with listening() as (url, _):
        result = CliRunner().invoke(webhooks, ["listen", "--port", str(httpx.URL(url).port)])
    assert result.exit_code == 1
    assert "Use another --port." in result.output


# trigger


def test_makes_a_handoff_through_the_api(running_mock: str, mock: Mock) -> None:
    arguments = [HANDOFF_REQUESTED, "--base-url", running_mock, "--reason", "asked for it"]
    result = CliRunner().invoke(trigger, arguments)
    assert result.exit_code == 0, result.output
    tenant = next(mock.store.tenants())
    (handoff,) = tenant.handoffs
    answer = json.loads(result.stdout)
    assert answer["handoff_id"] == handoff.id
    assert result.stderr.startswith(f"Nobody is subscribed to {HANDOFF_REQUESTED}, so no webhook was sent.")
    assert handoff.reason == "asked for it"


def test_makes_it_for_the_tenant_that_is_named(running_mock: str, mock: Mock) -> None:
    tenant = list(mock.store.tenants())[2]
    result = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock, "--tenant", tenant.id])
    assert result.exit_code == 0, result.output
    assert len(tenant.handoffs) == 1


@pytest.mark.parametrize("event", EVENTS)
def test_any_event_is_made_and_its_deliveries_told(running_mock: str, mock: Mock, event: str) -> None:
    tenant = next(mock.store.tenants())
    with listening() as (url, shown):
        webhook = mock.webhooks.subscribe(tenant, url, [event])
        result = CliRunner().invoke(trigger, [event, "--base-url", running_mock])
        assert result.exit_code == 0, result.output
        assert result.stderr == f"delivered: {url} (status 200)\n"
        assert webhook.secret not in result.output
        assert any(event in line for line in shown)
    told = json.loads(result.stdout)
    if event in CAUSES:
        assert [row.id for row in tenant.handoffs] == [told["handoff_id"]]
    else:
        assert (told["event"], sorted(told)) == (event, ["created_at", "data", "event", "id"])
        assert [row.event_id for row in tenant.deliveries][-1] == told["id"]
        assert len(tenant.handoffs) == 0


def test_the_data_is_given_as_text_file_or_standard_input(running_mock: str, mock: Mock, tmp_path: Path) -> None:
    lead = "5b1c0000-0000-4000-8000-000000000001"
    data = {"offering_id": lead, "name": "Cut ü"}
    file = tmp_path / "offering.json"
    file.write_text(json.dumps(data), "utf-8")
    tenant = list(mock.store.tenants())[1]
    command = ["offering.created", "--base-url", running_mock, "--tenant", tenant.id, "--data"]
    for given, stdin in ((json.dumps(data), None), (f"@{file}", None), ("@-", json.dumps(data))):
        result = CliRunner().invoke(trigger, [*command, given], input=stdin)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["data"] == data
        assert "Nobody is subscribed to offering.created" in result.stderr
    handoff = {"handoff_id": lead, "lead_id": lead, "conversation_id": lead, "reason": "r", "summary": "s"}
    handoff |= {"notified_channel": "slack", "requested_at": "2026-01-01T00:00:00Z"}
    arguments = [HANDOFF_REQUESTED, "--base-url", running_mock, "--data", json.dumps(handoff)]
    assert json.loads(CliRunner().invoke(trigger, arguments).stdout)["data"] == handoff
    assert not any(each.handoffs.newest for each in mock.store.tenants())


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        ("", 2, "--data: must be JSON; line 1, column 1 is not. A file is written @FILE."),
        ("offering.json", 2, "--data: must be JSON"),
        ("[]", 2, "--data: must be a JSON object, such as"),
        ("{'name': 'Cut'}", 2, "--data: must be JSON; line 1, column 2"),
        ('{"name": NaN}', 2, "--data: must be JSON"),
        ("[" * 100_000, 2, "--data: must be"),
        ("@/no/such.json", 2, "--data: cannot read /no/such.json: No such file or directory."),
        ("@", 2, "--data: cannot read "),
        ("@/", 2, "--data: cannot read /: Is a directory."),
        ("@/dev/zero", 2, "--data: is longer than 1 MiB."),
        ("{}", 1, "the mock answered 400: data.offering_id: is required; data.name: is required"),
        ('{"name": "\\ud800"}', 1, "the mock answered 400: body: "),
    ],
)
def test_data_that_is_wrong_is_told(running_mock: str, data: str, code: int, said: str) -> None:
    result = CliRunner().invoke(trigger, ["offering.created", "--base-url", running_mock, "--data", data])
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_what_a_receiver_answers_is_told(running_mock: str, mock: Mock) -> None:
    tenant = next(mock.store.tenants())
    with listening(status=503) as (url, _), listening(status=410) as (gone, _):
        for target in (url, gone, "http://127.0.0.1:9/"):
            mock.webhooks.subscribe(tenant, target, ["booking.created"])
        result = CliRunner().invoke(trigger, ["booking.created", "--base-url", running_mock])
    due = "next attempt due at 2026-01-01T00:00:05.000Z on the tenant's clock"
    one, two, three = result.stderr.splitlines()
    assert one == f"pending: {url} (status 503, {due})"
    assert two == f"failed: {gone} (status 410)"
    assert three.startswith("pending: http://127.0.0.1:9/ (")
    assert three.endswith(f"{due})")


def test_an_event_that_is_held_back_or_lost_is_told_at_once(running_mock: str, mock: Mock) -> None:
    tenant = next(mock.store.tenants())
    webhook = mock.webhooks.subscribe(tenant, "http://127.0.0.1:9/", [HANDOFF_REQUESTED])
    mock.webhooks.hold(tenant, webhook)
    held = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock])
    assert held.stderr.startswith("pending, held back: http://127.0.0.1:9/ (no attempt yet")
    with httpx.Client(base_url=running_mock, trust_env=False) as http:
        assert http.post(f"/_mock/tenants/{tenant.id}/faults", json={"fault": "webhook_lost"}).status_code == 201
    lost = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock])
    assert lost.stderr == "An armed fault of the tenant lost the event, so no webhook was sent.\n"


def test_what_goes_wrong_is_told_and_the_key_is_not(running_mock: str, mock: Mock) -> None:
    too_long = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock, "--reason", "x" * 201])
    assert too_long.exit_code == 1
    assert "the mock answered 400" in too_long.output
    assert "reason" in too_long.output
    assert "vapk_" not in too_long.output
    nobody = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock, "--tenant", "nobody"])
    assert "404: No tenant with this id. `vorel-mock tenants` lists them." in nobody.output
    made = httpx.post(f"{running_mock}/_mock/tenants", json={"leads": 1}, trust_env=False).json()
    own = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock, "--tenant", made["id"]])
    assert json.loads(own.stdout)["lead_id"] == made["leads"]["own"][0]
    no_event = CliRunner().invoke(trigger, ["nonsense"])
    assert 'unknown event "nonsense"; allowed: lead.created, lead.updated, ' in " ".join(no_event.output.split())
    near = CliRunner().invoke(trigger, ["booking.crated"])
    assert (near.exit_code, 'did you mean "booking.created"?' in " ".join(near.output.split())) == (2, True)
    elsewhere = CliRunner().invoke(trigger, ["booking.created", "--base-url", running_mock, "--reason", "r"])
    assert "--reason and --summary go with" in elsewhere.output
    unknown = CliRunner().invoke(trigger, ["booking.created", "--base-url", running_mock, "--tenant", "no/body"])
    assert "the mock answered 404: " in unknown.output


@pytest.mark.parametrize("lost", ["keys", "leads"])
def test_trigger_says_what_the_tenant_lacks(running_mock: str, lost: str) -> None:
    with httpx.Client(base_url=running_mock, trust_env=False) as http:
        tenant = http.get("/_mock/target").json()["tenants"][0]["id"]
        path = f"/_mock/tenants/{tenant}/snapshot"
        assert http.put(path, json={**http.get(path).json(), lost: []}).status_code == 204
    result = CliRunner().invoke(trigger, [HANDOFF_REQUESTED, "--base-url", running_mock])
    assert result.exit_code == 1
    assert result.output.startswith(
        f"Error: tenant {tenant} has no {lost[:-1]}; POST /_mock/tenants/{{id}}/{lost} adds"
    )
    assert result.output.count("\n") == 1
