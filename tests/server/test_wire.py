"""The mock on a real port, and clients that behave in every way but the usual one. Raw sockets: the bytes matter."""

import contextlib
import gc
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving import serving

from vorel_mock.api.messages import MAX_BODY
from vorel_mock.contract import contract
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.waiting_places import MAX_WAITS
from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.server import descriptors, http_connection
from vorel_mock.server.app import App
from vorel_mock.server.http_connection import HttpConnection
from vorel_mock.server.listener import Server

LEAD = demo.lead_id(1, 1)
HANDOFF = f"/api/v1/leads/{LEAD}/handoff"
CREATE = "/api/v1/crm/create-record"
KEYS = [demo.token(1, 1, number) for number in range(2, demo.FULL_KEYS + 1)]  # the first one stands in the banner
FOREIGN_TOKEN = "sk-" + "5e1f" * 10  # somebody's key of another service, sent here by mistake

_document = contract.load()
_envelope = _document.validator("#/components/schemas/ErrorEnvelope")
_CODES = {400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "bad_request"}


# The mock, and a client of bytes


@dataclass
class Running:
    """A mock on a port."""

    port: int
    pid: int = 0
    server: Server | None = None

    def connect(self) -> "Client":
        return Client(self.port)

    def ask(self, *parts: bytes, pause: float = 0.0) -> "list[Answer]":
        """Send the parts, say that this is all, and read what there is to read."""
        with self.connect() as client:
            for part in parts:
                client.send(part)
                time.sleep(pause)
            client.say_no_more()
            return client.rest()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["error"]["message"])

    @property
    def number(self) -> int:
        return int(self.headers["x-mock-request-id"].removeprefix("req_"))

    @property
    def remaining(self) -> int:
        return int(self.headers["x-ratelimit-remaining"])


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send as a client does that does not mind being refused while it sends."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def say_no_more(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Hang up the hard way."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.socket.close()

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer; EOFError when the mock closed instead. Every answer is checked for what all have."""
        line = self._file.readline()
        if not line:
            raise EOFError
        matched = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]+\r\n", line)
        assert matched, line
        status = int(matched[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            assert name not in headers, f"{name} is a duplicate"
            headers[name.lower()] = value.strip()
        if status == 100:
            return Answer(status, headers, b"")
        body = b"" if head else self._file.read(int(headers["content-length"]))
        assert parsedate_to_datetime(headers["date"])
        assert re.fullmatch(r"req_\d{8}", headers["x-mock-request-id"])
        assert headers["content-type"] == "application/json"
        if status != 200 and not head:
            assert _envelope.is_valid(json.loads(body)), body
            assert json.loads(body)["error"]["code"] == _CODES[status]
        return Answer(status, headers, body)

    def rest(self) -> list[Answer]:
        """All answers until the mock closes."""
        found: list[Answer] = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(self.answer())
        return found

    def closed(self) -> bool:
        """Whether the mock closes, within the client's patience, without another word."""
        return self._file.read(1) == b""


def request(
    content: bytes = b"",
    *headers: str,
    method: str = "POST",
    target: str = HANDOFF,
    key: str = KEYS[0],
    version: str = "1.1",
    framing: bool = True,
) -> bytes:
    """A request as bytes. `target` and `headers` in latin-1."""
    lines = [f"{method} {target} HTTP/{version}", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *headers]
    if framing:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def chunked(content: bytes, *headers: str, key: str = KEYS[0]) -> bytes:
    """A request with a body that is already in chunks."""
    return request(b"", "Transfer-Encoding: chunked", *headers, framing=False, key=key) + content


def create(idempotency_key: str, email: str = "a@example.com", key: str = KEYS[0]) -> bytes:
    value = {"object": "contact", "fields": {"email": email}, "idempotency_key": idempotency_key}
    return request(json.dumps(value).encode(), target=CREATE, key=key)


@pytest.fixture(scope="module")
def mock_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The mock as a user starts it. Whatever the tests did to it, it has told no secret and had nothing to complain."""
    folder = tmp_path_factory.mktemp("wire")
    out, err = folder / "out", folder / "err"
    arguments = ["--port", "0", "--clock", "frozen", "--rate-limit", "1000000", "--tenant-rate-limit", "0"]
    command = [sys.executable, "-m", "vorel_mock", *arguments, "--rate-limit-headers", "always"]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=folder)
    try:
        _until(lambda: "Ready." in out.read_text() or process.poll() is not None)
        found = re.search(r" at http://127\.0\.0\.1:(\d+)", out.read_text())
        assert found, err.read_text()
        yield Running(int(found[1]), process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert err.read_text() == ""
    written = out.read_text()
    assert not [key for key in [*KEYS, FOREIGN_TOKEN] if key in written]
    assert "Traceback" not in written


@pytest.fixture
def mock_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """The mock in a thread, with other time-outs: `mock_server(HEAD_TIMEOUT=0.2)`."""
    with contextlib.ExitStack() as stack:

        def start(**constants: float) -> Running:
            for name, value in constants.items():
                monkeypatch.setattr(http_connection, name, value)
            return stack.enter_context(_in_thread())

        yield start


@contextlib.contextmanager
def _in_thread() -> Iterator[Running]:
    app = App(Mock(Settings(seed=1, clock="frozen", rate_limit_headers="always")))
    with serving(app) as (url, server):
        yield Running(int(url.rpartition(":")[2]), server=server)


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


# Requests that are unusual, and right


UPGRADES = {
    "h2c-as-java-offers-it": (
        "Connection: Upgrade, HTTP2-Settings",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        "Upgrade: h2c",
        "User-Agent: Java-http-client/17.0.9",
    ),
    "websocket": (
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ),
    "in-capitals": ("CONNECTION: UPGRADE", "UPGRADE: TLS/1.0"),
}


@pytest.mark.parametrize("headers", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("pieces", [1, 2, 1000], ids=["whole", "head, then body", "byte by byte"])
def test_an_offer_to_upgrade_is_ignored_and_the_body_read(
    mock_process: Running, headers: tuple[str, ...], pieces: int
) -> None:
    content = b'{"reason": 5}'
    whole = request(content, *headers)
    cuts = {1: [whole], 2: [whole[: -len(content)], content]}.get(pieces, [bytes([byte]) for byte in whole])
    with mock_process.connect() as client:
        for cut in cuts:
            client.send(cut)
        assert "reason" in client.answer().message
        client.send(request(b"{}"))  # the connection goes on as HTTP/1.1
        assert client.answer().status == 200


def test_an_offer_to_upgrade_with_a_chunked_body_and_a_request_behind_it(mock_process: Running) -> None:
    first = chunked(b"d\r\n" + b'{"reason": 5}' + b"\r\n0\r\n\r\n", *UPGRADES["h2c-as-java-offers-it"])
    refused, done = mock_process.ask(first + request(b"{}"))
    assert refused.message.startswith("reason")
    assert done.status == 200


CHUNKED = {
    "one": b"2\r\n{}\r\n0\r\n\r\n",
    "one a byte": b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    "leading zeros": b"0002\r\n{}\r\n000\r\n\r\n",
    "extensions": b'2;a=b;c="d e"\r\n{}\r\n0;f\r\n\r\n',
    "trailers": b"2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
    "nothing": b"0\r\n\r\n",
}


@pytest.mark.parametrize("content", CHUNKED.values(), ids=CHUNKED)
def test_chunked_bodies(mock_process: Running, content: bytes) -> None:
    assert [answer.status for answer in mock_process.ask(chunked(content))] == [200]


@pytest.mark.parametrize(
    "trailer", ["Authorization: Bearer " + KEYS[1], "Content-Type: text/plain", "Prefer: code=401"]
)
def test_a_trailer_is_no_header(mock_process: Running, trailer: str) -> None:
    content = f"2\r\n{{}}\r\n0\r\n{trailer}\r\n\r\n".encode()
    # In pieces, so that the request is under way when the trailer comes, and not.
    for parts in ([chunked(content)], [chunked(b""), content]):
        assert [answer.status for answer in mock_process.ask(*parts, pause=0.02)] == [200]


def test_a_body_in_many_chunks_and_packets_arrives_whole(mock_process: Running) -> None:
    content = json.dumps({"summary": "é" * 1001}).encode()  # one character too long, were it read as characters
    pieces = [content[at : at + 7] for at in range(0, len(content), 7)]
    with mock_process.connect() as client:
        client.send(chunked(b""))
        for piece in pieces:
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.answer().message.startswith("summary:")


def test_a_slow_client_is_served_byte_by_byte(mock_process: Running) -> None:
    with mock_process.connect() as client:
        for byte in request(b'{"reason": "no-response-7d"}'):
            client.send(bytes([byte]))
            time.sleep(0.001)
        assert client.answer().status == 200


def test_pipelined_requests_are_answered_in_their_order(mock_process: Running) -> None:
    expected = [200, 404, 400, 401, 405] * 20
    kinds = {
        200: request(b"{}"),
        404: request(b"{}", target="/nothing"),
        400: request(b'{"reason": 5}'),
        401: request(b"{}", key=KEYS[0][:-1]),
        405: request(b"{}", method="PUT"),
    }
    answers = mock_process.ask(b"".join(kinds[status] for status in expected))
    assert [answer.status for answer in answers] == expected
    numbers = [answer.number for answer in answers]
    assert numbers == sorted(set(numbers))


def test_pipelined_requests_to_the_api_and_the_control_plane_keep_their_order(mock_process: Running) -> None:
    health = b"GET /_mock/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with mock_process.connect() as client:
        client.send((health + request(b"{}")) * 3 + request(b"{}", "Connection: close"))
        everything = client.socket.makefile("rb").read()
    kinds = re.findall(rb'"(status": "ok|conversation_status)"', everything)
    assert kinds == [b'status": "ok', b"conversation_status"] * 3 + [b"conversation_status"]


def _flood(mock: Running, client: socket.socket) -> int:
    """Send requests and read nothing, until the mock reads no more; how many bytes were sent."""
    many, sent = request(b"{}") * 1000, 0
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # soon full
    client.settimeout(1)
    client.connect(("127.0.0.1", mock.port))
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < 200_000_000:
            sent += client.send(many)
    return sent


def test_requests_of_a_client_that_does_not_read_do_not_pile_up(  # M30
    mock_server: Callable[..., Running],
) -> None:
    mock = mock_server()
    assert mock.server is not None
    with socket.socket() as client:
        assert _flood(mock, client) < 200_000_000
        (connection,) = mock.server.connections
        assert len(connection.waiting) <= http_connection.SLICE // len(request(b"{}")) + 1
        assert len(connection._unparsed) <= 256 * 1024  # one read
        assert connection._buffered() <= 256 * 1024


def test_a_client_that_never_reads_is_let_go(mock_server: Callable[..., Running]) -> None:  # M30
    mock = mock_server(WRITE_TIMEOUT=0.3)
    assert mock.server is not None
    server = mock.server
    with socket.socket() as client:
        _flood(mock, client)
        _until(lambda: not server.connections)


def test_a_client_that_reads_slowly_gets_every_answer(mock_server: Callable[..., Running]) -> None:
    mock = mock_server(WRITE_TIMEOUT=0.5)
    count, received = 8000, b""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", mock.port))
        sender = threading.Thread(target=client.sendall, args=[request(target="/x") * count + request(key="x")[:-4]])
        sender.start()
        client.settimeout(20)
        while received.count(b'path."}}') < count:
            piece = client.recv(100_000)
            assert piece
            received += piece
            time.sleep(0.002)
        sender.join()
    numbers = [int(number) for number in re.findall(rb"req_(\d{8})", received)]
    assert numbers == list(range(1, count + 1))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_however_the_bytes_are_cut_the_answers_are_the_same(mock_process: Running, data: st.DataObject) -> None:
    kinds = [
        (request(b"{}"), 200),
        (chunked(b"1\r\n{\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n"), 200),
        (request(b"{}", *UPGRADES["h2c-as-java-offers-it"]), 200),
        (request(b"[]"), 400),
        (request(method="GET", target="/a%2Fb"), 404),
    ]
    chosen = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))
    whole = b"".join(content for content, _ in chosen)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    answers = mock_process.ask(*parts, pause=0.001)
    assert [answer.status for answer in answers] == [status for _, status in chosen]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_broken_bytes_get_whole_answers_or_none(mock_process: Running, data: st.DataObject) -> None:
    seed = data.draw(
        st.sampled_from([request(b"{}"), chunked(b"2\r\n{}\r\n0\r\n\r\n"), request(b"{}", *UPGRADES["websocket"])])
    )
    broken = bytearray(seed * 2)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    mock_process.ask(bytes(broken))  # checks each answer
    assert [answer.status for answer in mock_process.ask(request(b"{}"))] == [200]


VERSIONS = {
    "HTTP/1.1 stays": (request(b"{}"), False),
    "HTTP/1.1 with close": (request(b"{}", "Connection: close"), True),
    "HTTP/1.1 with close among others": (request(b"{}", "Connection: foo, Close"), True),
    "HTTP/1.0": (request(b"{}", version="1.0"), True),
    "HTTP/1.0 with keep-alive": (request(b"{}", "Connection: keep-alive", version="1.0"), True),
}


@pytest.mark.parametrize(("content", "closes"), VERSIONS.values(), ids=VERSIONS)
def test_keep_alive_and_close(mock_process: Running, content: bytes, closes: bool) -> None:
    with mock_process.connect() as client:
        client.send(content)
        answer = client.answer()
        assert answer.status == 200
        assert (answer.headers.get("connection") == "close") == closes
        if closes:
            assert client.closed()
        else:
            client.send(content)
            assert client.answer().status == 200


def test_an_idle_connection_is_kept_for_as_long_as_it_is_said(mock_server: Callable[..., Running]) -> None:
    mock = mock_server(KEEP_ALIVE=0.3)
    with mock.connect() as client:
        client.send(request(b"{}"))
        client.answer()
        client.send(request(b"{}"))
        client.answer()
        assert client.closed()


def test_expect_continue(mock_process: Running) -> None:
    content = b'{"reason": 5}'
    whole = request(content, "Expect: 100-continue")
    with mock_process.connect() as client:
        client.send(whole[: -len(content)])
        assert client.answer().status == 100
        client.send(content)
        assert client.answer().status == 400
        client.send(whole)  # a client that does not wait need not be told
        answer = client.answer()
        assert (client.answer() if answer.status == 100 else answer).status == 400


@pytest.mark.parametrize("target", [CREATE, "/nothing"])
def test_a_body_that_will_be_too_long_is_not_asked_for(mock_process: Running, target: str) -> None:
    """RFC 9110, 10.1.1 (M20)."""
    head = request(b"", "Expect: 100-continue", f"Content-Length: {MAX_BODY + 1}", framing=False, target=target)
    with mock_process.connect() as client:
        client.send(head)
        answer = client.answer()
        assert answer.status == (400 if target == CREATE else 404)
        assert answer.headers["connection"] == "close"
        assert client.closed()


def test_the_go_ahead_waits_for_the_answers_before_it(mock_process: Running) -> None:
    content = b'{"reason": 5}'
    whole = request(content, "Expect: 100-continue")
    with mock_process.connect() as client:
        client.send(request(b"{}", "Prefer: fault=slow_body") + whole[: -len(content)])
        assert client.answer().status == 200
        assert client.answer().status == 100
        client.send(content)
        assert client.answer().status == 400


HOSTS = {
    "missing": ([], "Host: is required"),
    "twice": (["Host: localhost", "Host: localhost"], "Host: is there 2 times"),
    "with a space": (["Host: a b"], "Host: must be"),
    "with a path": (["Host: localhost/x"], "Host: must be"),
    "with a user": (["Host: me@localhost"], "Host: must be"),
    "half an address": (["Host: [::1"], "Host: must be"),
    "a port of no number": (["Host: localhost:x"], "Host: must be"),
    "a list": (["Host: a, b c"], "Host: must be"),
}


@pytest.mark.parametrize(("hosts", "message"), HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize("target", [HANDOFF, "/_mock/health", "http://localhost/x"])
def test_a_request_without_one_valid_host_is_rejected(
    mock_process: Running, hosts: list[str], message: str, target: str
) -> None:
    """RFC 9112, 3.2 (M19)."""
    lines = [f"POST {target} HTTP/1.1", *hosts, f"Authorization: Bearer {KEYS[0]}", "Content-Length: 2", "", "{}"]
    (answer,) = mock_process.ask("\r\n".join(lines).encode())
    assert answer.status == 400
    assert answer.message.startswith(message)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("host", ["", "localhost", "LOCALHOST:80", "127.0.0.1:", "[::1]:3000", "a_b.example", "%41"])
def test_valid_hosts(mock_process: Running, host: str) -> None:
    whole = request(b"{}").replace(b"Host: 127.0.0.1", b"Host: " + host.encode())
    assert [answer.status for answer in mock_process.ask(whole)] == [200]


def test_http_1_0_needs_no_host(mock_process: Running) -> None:
    whole = request(b"{}", version="1.0").replace(b"Host: 127.0.0.1\r\n", b"")
    assert [answer.status for answer in mock_process.ask(whole)] == [200]


def test_a_client_that_says_it_is_done_is_still_answered(mock_process: Running) -> None:
    assert len(mock_process.ask(request(b"{}") * 30)) == 30
    with mock_process.connect() as client:  # Flask takes longer
        client.send(b"GET /_mock/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.say_no_more()
        assert client.socket.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


# Targets and methods


TARGETS = {
    "absolute": ("http://localhost:3000" + HANDOFF, 200),
    "absolute, host only": ("http://localhost:3000", 404),
    "absolute, host and query": ("http://localhost?x=/y", 404),
    "with a query": (HANDOFF + "?a=%ff&b&&=", 200),
    "with a fragment": (HANDOFF + "#x", 200),
    "an escaped letter": (HANDOFF.replace("leads", "l%65ads"), 200),
    "a slash at the end": (HANDOFF + "/", 404),
    "two slashes": ("/" + HANDOFF, 404),
    "dots": ("/api/v1/../v1" + HANDOFF.removeprefix("/api/v1"), 404),
    "an escaped slash between segments": (HANDOFF.replace("/handoff", "%2Fhandoff"), 404),
    "an escaped slash within a segment": ("/api/v1/leads/a%2fb/handoff", 400),
    "an escaped NUL": (HANDOFF.replace(LEAD, "%00"), 400),
    "an escaped line feed": (HANDOFF.replace(LEAD, LEAD + "%0a"), 400),
    "an escaped line feed at the end": (HANDOFF + "%0a", 404),
    "escapes that are no UTF-8": (HANDOFF.replace(LEAD, "%ff%fe"), 400),
    "an escaped surrogate": (HANDOFF.replace(LEAD, "%ed%a0%80"), 400),
    "half an escape": (HANDOFF.replace(LEAD, "%"), 400),
    "an escape of no number": (HANDOFF.replace(LEAD, "%zz"), 400),
    "a key for an id": (HANDOFF.replace(LEAD, KEYS[1]), 400),
    "long": ("/" + "a" * 60_000, 404),
}


@pytest.mark.parametrize(("target", "status"), TARGETS.values(), ids=TARGETS)
def test_targets(mock_process: Running, target: str, status: int) -> None:
    (answer,) = mock_process.ask(request(b"{}", target=target))
    assert answer.status == status
    if status == 400:
        assert answer.message.startswith("id:")
    if status == 404:
        assert "no operation at this path" in answer.message


def test_a_foreign_key_in_path_and_header_is_not_logged(mock_process: Running) -> None:
    (answer,) = mock_process.ask(request(b"{}", target="/" + FOREIGN_TOKEN, key=FOREIGN_TOKEN))
    assert answer.status == 404


METHODS = {
    "GET": 405,
    "PUT": 405,
    "DELETE": 405,
    "TRACE": 405,
    "OPTIONS": 405,
    "QUERY": 405,
    "M-SEARCH": 405,
    "PROPFIND": 405,
}


@pytest.mark.parametrize(("method", "status"), METHODS.items(), ids=METHODS)
def test_other_methods(mock_process: Running, method: str, status: int) -> None:
    (answer,) = mock_process.ask(request(b"{}", method=method))
    assert answer.status == status
    assert answer.headers["allow"] == "POST"


def test_head_has_no_body_and_leaves_the_connection_in_order(mock_process: Running) -> None:
    with mock_process.connect() as client:
        client.send(request(method="HEAD") + request(b"{}"))
        assert client.answer(head=True).status == 405
        assert client.answer().status == 200


def test_options_of_the_server_itself(mock_process: Running) -> None:
    (answer,) = mock_process.ask(request(method="OPTIONS", target="*"))
    assert answer.status == 404


def test_headers_of_any_bytes(mock_process: Running) -> None:
    (answer,) = mock_process.ask(request(b"{}", "X-Any: \xff\xfe é", "Cookie: \x80"))
    assert answer.status == 200
    assert mock_process.ask(request(b"{}", key="é\xff"))[0].status == 401


def test_two_authorization_headers_are_none(mock_process: Running) -> None:
    (answer,) = mock_process.ask(request(b"{}", f"Authorization: Bearer {KEYS[0]}"))
    assert answer.status == 401


# What cannot be read as a request


UNREADABLE = {
    "NUL in the target": (request(target="/\x00"), "Invalid char in url"),
    "bytes beyond ASCII in the target": (request(target="/\xc3\xa9"), "Invalid char in url"),
    "a space in the target": (request(target="/a b"), "Expected HTTP/"),
    "no target": (b"GET  HTTP/1.1\r\n\r\n", "url"),
    "a host without its bracket": (request(target="http://[::1/x"), "target is not a URL"),
    "CONNECT": (b"CONNECT host:80 HTTP/1.1\r\nHost: host:80\r\n\r\n", "CONNECT"),
    "an unknown method": (request(method="FETCH"), "Invalid method"),
    "a method in small letters": (request(method="post"), "Invalid method"),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", "Not a valid HTTP request"),
    "HTTP/3.0": (request(version="3.0"), "Invalid HTTP version"),
    "line feeds only": (request().replace(b"\r\n", b"\n"), "CRLF"),
    "a space before a colon": (request(b"", "X : y"), "Invalid header token"),
    "a folded header": (request(b"", "X: y\r\n z"), "whitespace"),
    "NUL in a header": (request(b"", "X: a\0b"), "Invalid header value"),
    "a bare carriage return in a header": (request(b"", "X: a\rb"), "Missing expected LF"),
    "two lengths": (request(b"{}", "Content-Length: 2"), "Content-Length"),
    "two lengths that differ": (request(b"{}", "Content-Length: 3"), "Content-Length"),
    "a negative length": (request(b"", "Content-Length: -1", framing=False), "Content-Length"),
    "a signed length": (request(b"", "Content-Length: +2", framing=False), "Content-Length"),
    "a length beyond any number": (
        request(b"", "Content-Length: " + "9" * 40, framing=False),
        "Content-Length overflow",
    ),
    "a length and chunks": (request(b"{}", "Transfer-Encoding: chunked"), "Content-Length"),
    "chunks and a length": (chunked(b"0\r\n\r\n", "Content-Length: 2"), "Content-Length"),
    "TLS": (bytes.fromhex("1603010200010001fc0303") + bytes(range(256)), "TLS"),
    "NULs": (b"\0" * 1000, "Invalid method"),
    "a long header": (request(b"", "X: " + "y" * 70_000), "64 KiB"),
    "many headers": (request(b"", *["X: y"] * 101), "100"),
    "very many headers": (request(b"", *["X: y"] * 60_000), "100"),
    "a target too long": (request(target="/" + "a" * 70_000), "64 KiB"),
    "a head that never ends": (request()[:-2] + b"X: " + b"y" * 2_000_000, "64 KiB"),
    "a target that never ends": (b"GET /" + b"a" * 2_000_000, "64 KiB"),
    "nothing but line ends": (b"\r\n" * 500_000, "64 KiB"),
}


@pytest.mark.parametrize(("content", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_request_is_told_so_in_the_envelope(mock_process: Running, content: bytes, words: str) -> None:
    with mock_process.connect() as client:
        client.send(content)
        answer = client.answer()
        assert answer.status == 400
        assert words in answer.message
        assert answer.headers["connection"] == "close"
        assert client.closed()


def test_garbage_behind_requests_is_answered_in_its_turn(mock_process: Running) -> None:
    answers = mock_process.ask(request(b"{}") * 3 + b"garbage\r\n\r\n" + request(b"{}"))
    assert [answer.status for answer in answers] == [200, 200, 200, 400]


def test_nothing_behind_a_closed_request_is_done(mock_process: Running) -> None:
    before, last, after = create("closed-1"), request(b"{}", "Connection: close"), create("closed-2")
    assert len(mock_process.ask(before + last + after + b"garbage")) == 2
    (answer,) = mock_process.ask(create("closed-2", email="other@example.com"))
    assert json.loads(answer.body)["ok"] is True  # had it been done, this were another record with its key


BROKEN_BODIES = {
    "a chunk size of no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond any number": b"f" * 30 + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": b"1\r\n{}\r\n0\r\n\r\n",
    "a trailer that is no header": b"2\r\n{}\r\n0\r\nX\0: y\r\n\r\n",
    "a chunk extension that never ends": b"2;" + b"x" * 2_000_000,
    "a trailer that never ends": b"2\r\n{}\r\n0\r\nX: " + b"x" * 2_000_000,
    "trailers that never end": b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 300_000,
}


@pytest.mark.parametrize("content", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
@pytest.mark.parametrize("pause", [0, 0.05], ids=["at once", "later"])
def test_a_body_that_breaks_off_is_a_400_that_names_it(mock_process: Running, content: bytes, pause: float) -> None:
    with mock_process.connect() as client:
        client.send(chunked(b""))
        time.sleep(pause)
        client.send(content)
        answer = client.answer()
        assert answer.status == 400
        assert answer.message.startswith("body: ")
        assert client.closed()


def test_a_broken_body_waits_for_the_answers_before_it(mock_process: Running) -> None:
    answers = mock_process.ask(request(b"{}") * 3 + chunked(b"zz\r\n"))
    assert [answer.status for answer in answers] == [200, 200, 200, 400]


# Size


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (MAX_BODY, "body: is not of type"),
        (MAX_BODY + 1, "body: is longer than 1 MiB"),
        (20 * MAX_BODY, "body: is longer than 1 MiB"),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_long_bodies(mock_process: Running, size: int, message: str, framing: str) -> None:
    content = b'"' + b"a" * (size - 2) + b'"'
    whole = request(content) if framing == "length" else chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (size, content))
    with mock_process.connect() as client:
        client.socket.sendall(whole)  # raises if the mock closed on it
        assert client.answer().message.startswith(message)


def test_a_body_that_never_ends_is_refused_while_it_comes(mock_process: Running) -> None:
    head = request(b"", "Transfer-Encoding: chunked", "Content-Type: application/json", framing=False)
    refused = threading.Event()

    def flood(client: Client) -> None:
        with contextlib.suppress(OSError):
            client.socket.sendall(head)
            while not refused.is_set():
                client.socket.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")

    with mock_process.connect() as client:
        thread = threading.Thread(target=flood, args=[client])
        thread.start()
        answer = client.answer()
        refused.set()
        thread.join()
        assert answer.status == 400
        assert answer.message == "body: is longer than 1 MiB"


def test_a_long_body_with_a_key_that_is_none_is_a_401(mock_process: Running) -> None:
    (answer,) = mock_process.ask(request(b"a" * (2 * MAX_BODY), key="x"))
    assert answer.status == 401


# Time


@pytest.mark.parametrize("sent", [request(b"{}")[:20], request(b"{}")[:-5], b"POST"], ids=["line", "headers", "word"])
def test_a_head_that_does_not_arrive_is_refused(mock_server: Callable[..., Running], sent: bytes) -> None:
    mock = mock_server(HEAD_TIMEOUT=0.2)
    with mock.connect() as client:
        client.send(sent)
        assert "headers did not arrive within 0.2 seconds" in client.answer().message
        assert client.closed()


@pytest.mark.parametrize("sent", [0, 1], ids=["nothing of it", "half of it"])
def test_a_body_that_does_not_arrive_is_refused(mock_server: Callable[..., Running], sent: int) -> None:
    mock = mock_server(BODY_TIMEOUT=0.2)
    with mock.connect() as client:
        client.send(request(b"{}")[: -2 + sent])
        answer = client.answer()
        assert answer.message == "body: did not arrive within 0.2 seconds"
        assert client.closed()


def test_dripping_does_not_buy_time(mock_server: Callable[..., Running]) -> None:
    mock = mock_server(BODY_TIMEOUT=0.4)
    with mock.connect() as client:
        client.send(request(b"", "Content-Length: 1000", framing=False))
        dripping = threading.Event()

        def drip() -> None:
            while not dripping.wait(0.05):
                client.send(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        answer = client.answer()
        dripping.set()
        thread.join()
        assert answer.message.startswith("body: did not arrive")


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_a_client_that_says_nothing_is_let_go(mock_server: Callable[..., Running], sent: bytes) -> None:
    mock = mock_server(HEAD_TIMEOUT=0.2)
    with mock.connect() as client:
        client.send(sent)
        assert client.closed()


def test_a_whole_request_is_not_hurried(mock_server: Callable[..., Running]) -> None:
    mock = mock_server(HEAD_TIMEOUT=0.2, BODY_TIMEOUT=0.2)
    with mock.connect() as client:
        client.send(request(b"{}", "Prefer: fault=latency"))  # takes a second
        assert client.answer().status == 200
        time.sleep(0.4)
        client.send(request(b"{}"))
        assert client.answer().status == 200


# Clients that go away


def test_half_a_request_has_no_effect(mock_process: Running) -> None:
    key = KEYS[5]
    (before,) = mock_process.ask(request(b"{}", key=key))
    whole = create("half-1", key=key)
    for length in (1, 30, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 20, len(whole) - 1):
        assert mock_process.ask(whole[:length]) == []
        client = mock_process.connect()
        client.send(whole[:length])
        client.reset()
    (after,) = mock_process.ask(create("half-1", email="other@example.com", key=key))
    assert json.loads(after.body)["ok"] is True
    assert after.remaining == before.remaining - 1


def test_clients_that_go_away_leave_nothing_behind(mock_process: Running) -> None:
    descriptors = Path(f"/proc/{mock_process.pid}/fd")
    if not descriptors.exists():
        pytest.skip("this system does not show a process's descriptors")
    whole = request(b"{}")
    mock_process.ask(whole)
    before = len(list(descriptors.iterdir()))
    for number in range(200):
        client = mock_process.connect()
        client.send((whole * 3)[: number * 4])
        if number % 2:
            client.reset()
        else:
            client.__exit__()
    _until(lambda: len(list(descriptors.iterdir())) <= before)


@pytest.mark.parametrize("what", ["requests", "deliveries"])
def test_clients_that_go_away_wait_no_longer(mock_server: Callable[..., Running], what: str) -> None:
    """M9: a tenant has 150 places for waits; those whose clients were gone kept them for a minute."""
    mock = mock_server()

    def wait(seconds: str) -> bytes:
        body = f'{{"timeout": "{seconds}"}}'.encode()
        return (
            f"POST /_mock/tenants/00000001-7e4a-4000-8000-000000000000/{what}/wait HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    assert mock.server is not None
    waits = mock.server._app.mock.waits
    clients = [mock.connect() for _ in range(20)]
    for client in clients:
        client.send(wait("60s"))
    _until(lambda: waits.free == MAX_WAITS - len(clients))
    for number, client in enumerate(clients):
        if number % 2:
            client.reset()
        else:
            client.__exit__()
    _until(lambda: waits.free == MAX_WAITS)
    with mock.connect() as client:
        client.send(wait("60s"))
        client.say_no_more()
        assert b"the client closed its side of the connection" in client.socket.makefile("rb").read()


def test_no_task_and_no_connection_is_left(mock_server: Callable[..., Running]) -> None:
    mock = mock_server(LINGER=0.1)
    assert mock.server is not None
    server = mock.server

    def left() -> list[object]:
        # Of this server alone: the plugin's may live in this process too, and keep a client's connection open.
        return [
            each
            for each in gc.get_objects()
            if type(each) is HttpConnection and each._connections is server.connections
        ]

    gc.collect()
    gc.disable()  # nothing may be left for it: where the mock is a program, it hardly ever looks at what has grown old
    try:
        for content in (
            request(b"{}"),
            request(b"{}")[:-1],
            b"garbage\r\n",
            chunked(b"zz\r\n"),
            b"POST / HT",
            request(b"{}") * 9,
            request(b"{}", target="/_mock/health", method="GET") * 9,
            request(b"{}", "Prefer: fault=connection_reset"),
        ):
            for hang_up in (Client.reset, Client.__exit__):
                client = mock.connect()
                client.send(content)
                hang_up(client)
        _until(lambda: not server.connections)
        _until(lambda: not left())
    finally:
        gc.enable()


def test_a_refused_client_that_stays_is_let_go(mock_server: Callable[..., Running]) -> None:
    mock = mock_server(LINGER=0.1)
    assert mock.server is not None
    server = mock.server
    with mock.connect() as client:
        client.send(b"garbage\r\n")
        client.answer()
        _until(lambda: not server.connections)


@pytest.mark.parametrize("fault", ["no_answer", "no_answer_after_commit", "latency", "slow_body"])
def test_a_client_that_goes_away_is_not_kept_for_its_response(mock_server: Callable[..., Running], fault: str) -> None:
    """M9: its descriptor stayed until the fault's delay was over."""
    mock = mock_server(GONE_TIMEOUT=0.1)
    assert mock.server is not None
    server = mock.server
    tenant = next(server._app.mock.store.tenants())
    tenant.faults.append(ArmedFault("hours", fault, delay=3600.0))
    clients = [mock.connect() for _ in range(20)]
    for client in clients:
        client.send(request(b"{}"))
    _until(lambda: len(tenant.held) == len(clients))
    for number, client in enumerate(clients):
        if number % 2:
            client.reset()
        else:
            client.__exit__()
    _until(lambda: not server.connections)
    assert len(tenant.held) == 0


def test_a_fault_resets_the_connection(mock_process: Running) -> None:
    with mock_process.connect() as client:
        client.socket.sendall(request(b"{}", "Prefer: fault=connection_reset"))
        with pytest.raises(ConnectionResetError):
            client.socket.recv(1)


# Many


def test_500_connections_at_once_each_get_their_own_answer(mock_process: Running) -> None:
    clients = [mock_process.connect() for _ in range(500)]
    try:
        for number, client in enumerate(clients):
            client.send(create(f"many-{number}", key=KEYS[number % len(KEYS)]))
        made = [json.loads(client.answer().body)["external_id"] for client in clients]
        assert len(set(made)) == len(clients)
        # The same keys again, from other connections: each must get what was made for that key, and none other.
        for number, client in enumerate(reversed(clients)):
            client.send(create(f"many-{number}", key=KEYS[number % len(KEYS)]))
        again = [json.loads(client.answer().body)["external_id"] for client in reversed(clients)]
        assert again == made
    finally:
        for client in clients:
            client.__exit__()


def test_connections_beyond_the_most_are_closed_and_the_others_served(  # M30
    monkeypatch: pytest.MonkeyPatch, mock_server: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(descriptors, "MAX_CONNECTIONS", 5)
    mock = mock_server()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(mock.connect()) for _ in range(5)]
        for client in clients:
            client.send(request(b"{}"))
            assert client.answer().status == 200
        for _ in range(2):
            with mock.connect() as another:
                assert another.closed()
        clients[0].send(request(b"{}"))
        assert clients[0].answer().status == 200
    assert len([each for each in caplog.records if "5 connections are open" in each.message]) == 1
    assert mock.server is not None
    server = mock.server
    _until(lambda: not server.connections)
    assert mock.ask(request(b"{}"))[0].status == 200


def test_the_connections_leave_files_for_others(mock_process: Running) -> None:  # M30
    limits = Path(f"/proc/{mock_process.pid}/limits")
    if not limits.exists():
        pytest.skip("this system does not show a process's limits")
    found = re.search(r"Max open files +(\d+) +(\d+)", limits.read_text())
    assert found
    assert int(found[1]) >= min(int(found[2]), descriptors.MAX_CONNECTIONS + 1000)


HAR = request(method="GET", target="/_mock/requests.har")


def test_clients_that_do_not_read_a_har_hold_little_of_it(mock_server: Callable[..., Running]) -> None:  # M30
    """Ten of them held a gigabyte."""
    mock = mock_server(WRITE_TIMEOUT=1.0)
    assert mock.server is not None
    server = mock.server
    mock.ask(request(b'{"reason": "' + b"x" * 50_000 + b'"}') * 100)  # rejected and kept: a HAR of 5 MB
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", mock.port))
            client.sendall(HAR)
        _until(lambda: len([each for each in server.connections if each._buffered()]) == 10)
        connections = list(server.connections)
        assert sum(each._buffered() for each in connections) < 10 * 512 * 1024
        _until(lambda: not server.connections)
        _until(lambda: all(each.task is None for each in connections))


def test_a_client_in_trouble_does_not_trouble_another(mock_process: Running) -> None:
    trouble = [
        b"garbage\r\n",
        request(b"{}")[:-1],
        chunked(b"zz\r\n"),
        request(b"", "X: " + "y" * 70_000),
        b"\x16\x03\x01",
    ]
    with contextlib.ExitStack() as stack:
        good = [stack.enter_context(mock_process.connect()) for _ in range(10)]
        for turn in range(10):
            for content in trouble:
                stack.enter_context(mock_process.connect()).send(content)
            for client in good:
                client.send(request(b"{}" if turn % 2 else b'{"reason": 5}'))
            assert [client.answer().status for client in good] == [200 if turn % 2 else 400] * 10


# The control plane, behind the same door


CONTROL = {
    "not UTF-8": b"\xff\xfe{",
    "not JSON": b"{" * 500,
    "deep": b"[" * 100_000,
    "NUL": b"\0",
    "too long": b'"' + b"a" * (2 * MAX_BODY) + b'"',
}


@pytest.mark.parametrize("content", CONTROL.values(), ids=CONTROL)
@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "\xff;;=/"])
@pytest.mark.parametrize("target", ["/_mock/health", "/_mock/nothing", "/_mock/requests/%00", "/_mock/docs/..%2f..%2f"])
def test_the_control_plane_takes_no_harm(mock_process: Running, content: bytes, media_type: str, target: str) -> None:
    with mock_process.connect() as client:
        client.socket.sendall(request(content, f"Content-Type: {media_type}", "Connection: close", target=target))
        head, _, told = client.socket.makefile("rb").read().partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert 400 <= status < 500
    assert _envelope.is_valid(json.loads(told))
    assert [answer.status for answer in mock_process.ask(request(b"{}"))] == [200]


def test_half_a_request_to_the_control_plane_does_nothing(mock_process: Running) -> None:
    (before,) = mock_process.ask(request(b"{}"))
    assert before.number > 1
    with mock_process.connect() as client:
        client.send(
            b"POST /_mock/reset HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 3\r\n\r\n{}"
        )
    (after,) = mock_process.ask(request(b"{}"))
    assert after.number > before.number  # a reset would have begun to count anew
