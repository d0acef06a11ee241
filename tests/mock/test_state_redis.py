"""`--state redis://…`: many mocks are one, and what a client was answered is there again, whatever dies.

With a real Redis server of its own for each worker of pytest: `apt install redis-server`.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from tests.mock.state import HANDOFF, Steps, client, everything, inbox, served, until

from vorel_mock.mock.tenant_log import redis_log, replica, sequencer
from vorel_mock.mock.tenant_log.interface import LogError
from vorel_mock.mock.tenant_log.redis_log import RedisLog
from vorel_mock.testing import Control, ControlError, InProcessMock

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed: apt install redis-server"
)


class Server:
    """A Redis server that writes each command to the disk before it answers."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._command = ["redis-server", "--port", str(self.port), "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1"]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), redis.Redis(port=self.port) as there:
            return bool(there.ping())
        return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def server(own_server: Server) -> Server:
    with redis.Redis(port=own_server.port) as there:
        there.flushall()
    return own_server


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that says nothing is taken for dead after a second."""
    monkeypatch.setattr(redis_log, "CLAIM", 1.0)
    monkeypatch.setattr(sequencer, "CLAIM_EVERY", 0.2)


@pytest.mark.parametrize(("seed", "processes", "every"), [(0, 1, 1000), (1, 2, 3), (2, 4, 5), (3, 3, 1000)])
def test_any_number_of_processes_answer_as_one_in_memory(
    server: Server, seed: int, processes: int, every: int, quiet_webhooks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "CHECKPOINT_EVERY", every)
    settings: dict[str, Any] = {"seed": 5, "clock": "frozen"}
    with contextlib.ExitStack() as stack:
        in_memory = stack.enter_context(InProcessMock(**settings))
        mocks = [stack.enter_context(InProcessMock(**settings, state=server.url)) for _ in range(processes)]
        clients = [stack.enter_context(client(mock)) for mock in mocks]
        expected, answered = Steps(in_memory, seed), Steps(mocks[0], seed)
        for number in range(80):
            answered.http = clients[number % processes]
            assert answered.next() == expected.next()
        ids = list(everything(in_memory))
        for mock in mocks:
            assert everything(mock) == everything(in_memory, ids)
        with InProcessMock(state=server.url) as late:
            assert everything(late) == everything(in_memory, ids)


class Load:
    """Clients that hand off a lead and push records, through any of several URLs, until they are told to stop."""

    def __init__(self, urls: Callable[[], list[str]], keys: list[str], threads: int = 6) -> None:
        self._urls = urls
        self.handoffs: list[tuple[str, str]] = []
        self.records: list[tuple[str, str]] = []
        self.slowest = 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[keys[n % len(keys)], n]) for n in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, key: str, number: int) -> None:
        count = 0
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False) as http:
            while not self._stop.is_set():
                count += 1
                url = self._urls()[count % len(self._urls())]
                began = time.monotonic()
                with contextlib.suppress(httpx.TransportError):
                    if count % 3:
                        answer = http.post(f"{url}/api/v1/leads/{LEAD}/handoff", json={})
                        if answer.status_code == 200:
                            self.handoffs.append((key, answer.json()["handoff_id"]))
                    else:
                        idempotency_key = f"k{count}"
                        body = {
                            "object": "contact",
                            "fields": {"last_name": "Lee"},
                            "idempotency_key": idempotency_key,
                        }
                        answer = http.post(f"{url}/api/v1/crm/records", json=body)
                        if answer.status_code == 200 and answer.json().get("ok"):
                            self.records.append((idempotency_key, answer.json()["external_id"]))
                    self.slowest = max(self.slowest, time.monotonic() - began)

    def check(self, url: str) -> None:
        """What was answered is there exactly once, and a key of a record has made one."""
        rows = httpx.get(f"{url}/_mock/tenants/{TENANT}/audit-log").json()["data"]
        written = [row["handoff_id"] for row in rows]
        accepted = [handoff for _, handoff in self.handoffs]
        assert len(set(written)) == len(written)
        assert len(set(accepted)) == len(accepted)
        assert set(accepted) <= set(written)
        records = httpx.get(f"{url}/_mock/tenants/{TENANT}/crm-records").json()["data"]
        made = {row["idempotency_key"]: row["external_id"] for row in records}
        assert len(made) == len(records)
        assert all(made[key] == external for key, external in self.records)


TENANT, LEAD = "00000001-7e4a-4000-8000-000000000000", "00000001-1ead-4000-8000-000000000001"


def keys(url: str) -> list[str]:
    return list(httpx.get(f"{url}/_mock/target").json()["keys"]["full"][:2])


@pytest.fixture
def processes(server: Server) -> Iterator[Callable[..., tuple["subprocess.Popen[str]", str]]]:
    """Start a mock on the server; they end with the test."""
    running = []

    def start(*options: str) -> tuple["subprocess.Popen[str]", str]:
        running.append(served(server.url, *options))
        return running[-1]

    yield start
    for process, _ in running:
        process.kill()
        process.wait(30)


def test_processes_that_die_lose_nothing_and_limits_hold_over_all(processes: Any) -> None:
    limit = 60
    options = ("--clock=frozen", f"--rate-limit={limit}")
    mocks = [processes(*options) for _ in range(3)]
    live = [url for _, url in mocks]
    with Load(lambda: live, keys(live[0])) as load:
        until(lambda: len(load.handoffs) > 20)
        mocks[0][0].send_signal(signal.SIGKILL)
        live[:] = live[1:]
        count = len(load.handoffs)
        until(lambda: len(load.handoffs) > count + 20)
        for process, _ in mocks[1:]:
            process.send_signal(signal.SIGKILL)
    _, url = processes()
    load.check(url)
    for key in keys(url):
        answers = [200] * sum(own == key for own, _ in load.handoffs)
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as http:
            answers += [http.post(f"{url}/api/v1/leads/{LEAD}/handoff", json={}).status_code for _ in range(limit)]
        assert 429 in answers
        assert answers.count(200) <= limit


def test_redis_that_dies_and_comes_back_loses_nothing(server: Server, processes: Any) -> None:
    options = ("--rate-limit=0", "--tenant-rate-limit=0")
    urls = [processes(*options)[1] for _ in range(2)]
    with Load(lambda: urls, keys(urls[0])) as load:
        until(lambda: len(load.handoffs) > 30)
        server.kill()
        until(lambda: httpx.get(f"{urls[0]}/_mock/health", timeout=20).status_code == 503)
        sick = httpx.get(f"{urls[0]}/_mock/health", timeout=20)
        assert "cannot be reached" in sick.text or "does not answer" in sick.text
        answer = httpx.post(
            f"{urls[1]}/api/v1/leads/{LEAD}/handoff",
            headers={"Authorization": f"Bearer {load.handoffs[0][0]}"},
            json={},
        )
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"]["message"]
        server.start()
        count = len(load.handoffs)
        until(lambda: len(load.handoffs) > count + 30)
    assert load.slowest < 5 + 3  # and some for a busy machine
    for url in urls:
        load.check(url)
        assert httpx.get(f"{url}/_mock/health").status_code == 200


class Link:
    """A way to a server that can be cut, and held up."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += (near, far)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=[one, other], daemon=True).start()

    def _relay(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._open.wait()
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Let nothing through, and say nothing."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Break all connections."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()
        self.release()
        for each in self._sockets:
            each.close()


def test_a_network_that_breaks_or_says_nothing_is_answered_in_time(server: Server) -> None:
    link = Link(server.port)
    with InProcessMock(state=f"redis://127.0.0.1:{link.port}", rate_limit=0, tenant_rate_limit=0) as mock:
        tenant = mock.new_tenant()
        read, statuses = [], []
        with mock.client(tenant) as http:
            for number in range(12):
                if number in (2, 7):
                    link.cut()
                if number == 4:
                    link.hold()
                began = time.monotonic()
                answer = http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={})
                assert time.monotonic() - began < 5
                link.release()
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    read.append(answer.json()["handoff_id"])
                else:
                    time.sleep(redis_log.PAUSE)
        assert set(statuses) == {200, 503}
        written = [row["id"] for row in tenant.handoffs()]
        assert len(set(written)) == len(written)
        assert set(read) <= set(written)  # one whose answer was lost may be there as well
    link.close()


def test_deliveries_are_made_by_another_process_when_theirs_dies(server: Server, hasty: None) -> None:
    with InProcessMock(state=server.url) as first, InProcessMock(state=server.url) as second, client(second) as http:
        with inbox(503) as (failed, port):
            tenant = first.new_tenant()
            tenant.webhooks.subscribe(f"http://127.0.0.1:{port}/", [HANDOFF])
            bearer = {"Authorization": f"Bearer {tenant.key}"}
            assert http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={}, headers=bearer).status_code == 200
            until(lambda: len(failed) == 2)  # the test event, and the handoff's; made by one of the two
            until(lambda: all(row["attempts"] for row in tenant.webhooks.deliveries()))
        state = first._app.mock.state
        assert state is not None
        assert tenant.id in state._replica.owned
        state._replica.take_deliveries = lambda: None  # type: ignore[method-assign] # it says nothing any more
        first._app.mock.webhooks.stop()  # and sends nothing
        with inbox(200, port) as (got, _):
            moved = http.post(f"/_mock/tenants/{tenant.id}/clock", json={"advance": "10s"}, timeout=60)
            assert moved.json()["settled"]
            assert sorted(got) == sorted(failed)
        rows = http.get(f"/_mock/tenants/{tenant.id}/deliveries").json()["data"]
        assert [[each["status"] for each in row["attempts"]] for row in rows] == [[503, 200], [503, 200]]


def test_a_wait_sees_what_another_process_answers(server: Server) -> None:
    with InProcessMock(state=server.url) as one, InProcessMock(state=server.url) as two, client(two) as http:
        tenant = one.new_tenant()
        told: list[Any] = []
        waits = threading.Thread(target=lambda: told.append(tenant.requests.wait(operation="handoffLead", timeout=20)))
        waits.start()
        time.sleep(0.1)
        bearer = {"Authorization": f"Bearer {tenant.key}"}
        assert http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={}, headers=bearer).status_code == 200
        waits.join(30)
        assert len(told) == 1


def test_a_lease_is_renewed_through_any_process(server: Server, hasty: None) -> None:
    with InProcessMock(state=server.url) as one, InProcessMock(state=server.url) as two, client(two) as http:
        used, unused = one.new_tenant(ttl="2s"), one.new_tenant(ttl="2s")
        bearer = {"Authorization": f"Bearer {used.key}"}
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            assert http.post(f"/api/v1/leads/{used.lead}/handoff", json={}, headers=bearer).status_code == 200
            time.sleep(0.2)
        ids = [tenant["id"] for tenant in one.control.tenants()]
        assert used.id in ids
        assert unused.id not in ids


def test_a_clock_is_moved_for_all_processes(server: Server) -> None:
    with InProcessMock(state=server.url, clock="frozen") as one, InProcessMock(state=server.url) as two:
        tenant, held = one.new_tenant(), one.new_tenant()
        held.clock.freeze()
        with client(two) as http:
            assert http.post("/_mock/clock", json={"advance": "90s"}).status_code == 200
        for each in (tenant, held):
            assert each.clock.now.isoformat() == "2026-01-01T00:01:30+00:00"
        with one.client(tenant) as own:
            assert own.post(f"/api/v1/leads/{tenant.lead}/handoff", json={}).headers["date"].endswith("00:01:30 GMT")


def test_a_token_is_taken_wherever_its_tenant_is(server: Server) -> None:
    with InProcessMock(state=server.url) as one, InProcessMock(state=server.url) as two, client(two) as http:
        tenant = one.new_tenant()
        path = f"/_mock/tenants/{tenant.id}/snapshot"
        snapshot = client(one).get(path).json()
        assert http.post("/_mock/tenants", json={"snapshot": snapshot}).status_code == 409
        minted = http.post(
            f"/_mock/tenants/{TENANT}/keys", json={"scopes": ["leads:write"], "token": snapshot["keys"][0]["token"]}
        )
        assert minted.status_code == 409


def test_what_redis_cannot_be_is_told_within_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(LogError, match="does not answer in time"):
            RedisLog(f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/3")
        assert time.monotonic() - began < 5
    with pytest.raises(LogError) as raised:
        RedisLog("redis://user:secret@127.0.0.1:1/3")
    assert "redis://***@127.0.0.1:1/3: cannot be reached" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_workers_are_started_again_and_end_together(server: Server) -> None:
    process, url = served(server.url, "--workers=2")
    try:
        first = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
        assert len(first.split()) == 2
        subprocess.run(["kill", "-9", first.split()[0]], check=True)
        until(lambda: len(_children(process.pid) - set(first.split())) == 1)
        until(lambda: httpx.get(f"{url}/_mock/health").status_code == 200)
        children = _children(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert process.returncode == 0


def _children(pid: int) -> set[str]:
    return set(subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split())


def test_a_tenant_token_opens_its_tenant_in_each_process(server: Server) -> None:
    settings: dict[str, Any] = {"state": server.url, "control_token": "of-the-operator", "max_tenants": 2}
    with InProcessMock(**settings) as one, InProcessMock(**settings) as two:
        tenant = one.new_tenant(name="kept")
        with Control(two._app, tenant.control_token) as owner:
            assert owner.health()["status"] == "ok"
            assert owner.tenant(tenant.id).settings().name == "kept"
            two.new_tenant()
            with pytest.raises(ControlError, match=r"^409 conflict: this mock takes 2 tenants at most"):
                one.new_tenant()
            one.control.tenant(tenant.id).delete()
            with pytest.raises(ControlError, match=r"^401 unauthorized: Authorization: the tenant of this token"):
                owner.health()
            one.new_tenant()


def test_a_secret_that_one_process_makes_is_that_of_all(server: Server) -> None:
    with InProcessMock(state=server.url) as one, InProcessMock(state=server.url) as two, client(two) as http:
        tenant = one.new_tenant()
        assert http.get(f"/_mock/tenants/{tenant.id}").status_code == 200  # the other one has it in memory as well
        with client(one) as first:
            minted = first.post(f"/_mock/tenants/{tenant.id}/keys", json={"scopes": ["leads:write"]}).json()
            hook = {"target_url": "http://127.0.0.1:9/", "events": [HANDOFF]}
            secret = first.post(f"/_mock/tenants/{tenant.id}/webhooks", json=hook).json()["secret"]
        bearer = {"Authorization": f"Bearer {minted['token']}"}
        assert http.post(f"/api/v1/leads/{tenant.lead}/handoff", json={}, headers=bearer).status_code == 200
        (webhook,) = http.get(f"/_mock/tenants/{tenant.id}/snapshot").json()["webhooks"]
        assert webhook["secret"] == secret


def test_redis_that_goes_away_between_an_answer_and_the_next_look_ends_nothing(server: Server) -> None:
    with InProcessMock(state=server.url) as mock, client(mock) as http:
        state = mock._app.mock.state
        assert state is not None
        assert http.get("/_mock/health").status_code == 200
        take_deliveries = state._replica.take_deliveries

        looked: list[bool] = []

        def away() -> None:
            looked.append(True)
            state._replica.take_deliveries = take_deliveries  # type: ignore[method-assign] # it is back at once
            raise LogError("redis://…: cannot be reached.")

        state._replica.take_deliveries = away  # type: ignore[method-assign] # at the moment that is meant
        state._claim_at = 0.0
        assert http.post("/_mock/tenants").status_code == 201
        assert looked
        assert http.post("/_mock/tenants").status_code == 201
