"""Tests as a host has them, with every tool that patches what the plugin might use. test_coexistence.py runs them."""

import asyncio
import http.client
import multiprocessing
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
import responses
import respx
import time_machine
import vcr
from freezegun import freeze_time
from pytest_httpx import HTTPXMock

with freeze_time("2030-01-01"):  # a host may well import the mock then
    import_module("vorel_mock.testing.mock_server")
    from vorel_mock.testing import AsyncTenant, ControlError, InProcessMock, Tenant

TEST = "webhook.test"

# Reading the system's certificates takes as long as a test.
get, post = partial(httpx.get, verify=False), partial(httpx.post, verify=False)


def use(vorel: Tenant) -> None:
    """Use the control plane and webhooks."""
    with vorel.webhooks.receive() as inbox:
        assert inbox.next(TEST, timeout=30)["event"] == TEST
        vorel.webhooks.redeliver(vorel.webhooks.wait(TEST))
        vorel.clock.advance("1h")
        assert [delivery["state"] for delivery in vorel.webhooks.deliveries()] == ["delivered"] * 2


def wait(vorel: Tenant) -> None:
    """Wait for what does not come: an answer to webhooks, an event, a request."""
    with vorel.webhooks.receive() as inbox:
        assert inbox.next(TEST, timeout=30)["event"] == TEST
        inbox.delay = 0.3
        vorel.patch(webhook_timeout="0.05s")
        vorel.webhooks.redeliver(vorel.webhooks.wait(TEST, subscription=inbox.subscription))
        vorel.clock.advance("1h")
        last = vorel.webhooks.deliveries()[-1]
        assert (last["state"], len(last["attempts"])) == ("dead", 6)
        assert "timed out" in last["attempts"][0]["error"]
        with pytest.raises(TimeoutError, match="accepted so far"):
            inbox.next("conversation.closed", timeout=0.1)
    with pytest.raises(ControlError, match="408"):
        vorel.requests.wait(timeout=0.1)


# What replaces HTTP clients


def test_respx(vorel: Tenant, respx_mock: respx.MockRouter) -> None:
    own = respx_mock.get("https://api.example.com/").respond(204)
    use(vorel)
    assert own.call_count == len(respx_mock.calls) == 0
    respx_mock.route(host="127.0.0.1").pass_through()
    assert get(f"{vorel.base_url}/_mock/health").status_code == 200
    assert get("https://api.example.com/").status_code == 204
    assert own.call_count == 1


@pytest.mark.httpx_mock(should_mock=lambda request: request.url.host != "127.0.0.1")
def test_pytest_httpx(vorel: Tenant, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url="https://api.example.com/", status_code=204)
    use(vorel)
    assert get("https://api.example.com/").status_code == 204
    assert get(f"{vorel.base_url}/_mock/health").status_code == 200
    assert len(httpx_mock.get_requests()) == 1


@responses.activate
def test_responses(vorel: Tenant) -> None:
    use(vorel)
    assert len(responses.calls) == 0


def test_vcr(vorel: Tenant, tmp_path: Path) -> None:
    with vcr.use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
        use(vorel)
        get(f"{vorel.base_url}/_mock/health")
    assert [request.path for request in cassette.requests] == ["/_mock/health"], "the test's own is recorded, no other"
    with vcr.use_cassette(str(tmp_path / "other.yaml"), ignore_localhost=True, record_mode="none"):
        assert get(f"{vorel.base_url}/_mock/health").status_code == 200


def test_monkeypatch(vorel: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("patched")

    for owner, name in ((httpx.Client, "request"), (http.client.HTTPConnection, "request")):
        monkeypatch.setattr(owner, name, fail)
    calls: list[object] = []  # a test may well count them

    def called(*arguments: object) -> float:
        calls.append(arguments)
        return 0.0

    for name in ("time", "monotonic", "perf_counter", "sleep"):
        monkeypatch.setattr(time, name, called)
    # A test of retries makes them short. The mock may live in this process.
    patched: tuple[tuple[object, str], ...] = (
        (asyncio, "sleep"),
        (asyncio, "wait_for"),
        (uuid, "uuid4"),
        (random, "random"),
    )
    for module, name in patched:
        monkeypatch.setattr(module, name, fail)
    use(vorel)
    wait(vorel)
    assert calls == []
    monkeypatch.undo()

    async def at_once(_: float) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", at_once)
    vorel.faults.arm("latency", delay="0.2s")
    started = time.monotonic()
    assert post(f"{vorel.base_url}/api/v1/leads/{vorel.lead}/handoff", headers=vorel.headers).status_code == 200
    assert time.monotonic() - started > 0.2


# What forbids sockets


@pytest.mark.disable_socket
def test_no_sockets_at_all(vorel: Tenant) -> None:
    assert vorel.webhooks.subscribe("http://127.0.0.1:1/").events
    vorel.clock.advance("1h")
    assert vorel.webhooks.deliveries()[0]["attempts"][5]["error"].startswith("connection refused")
    with InProcessMock() as mock, mock.new_tenant() as tenant, mock.client(tenant) as api:
        assert api.post(f"/api/v1/leads/{tenant.lead}/handoff").status_code == 200
    with pytest.raises(Exception, match=r"A test tried to use socket"):
        get(vorel.base_url)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_sockets_of_this_machine_only(vorel: Tenant) -> None:
    use(vorel)
    assert get(f"{vorel.base_url}/_mock/health").status_code == 200


# What stops or moves the time


@contextmanager
def freezegun() -> Iterator[None]:
    with freeze_time("2031-02-03"):
        assert datetime.now(UTC).year == 2031
        yield


@contextmanager
def time_machine_back() -> Iterator[None]:
    with time_machine.travel(datetime.now(UTC) - timedelta(days=400), tick=False):
        yield


STOPPED = pytest.mark.parametrize("stopped", [freezegun, time_machine_back])


@STOPPED
def test_waits_end_and_limits_hold_while_the_time_is_stopped(vorel: Tenant, stopped: Callable[[], Any]) -> None:
    vorel.patch(rate_limit=1)
    url = f"{vorel.base_url}/api/v1/leads/{vorel.lead}/handoff"
    before = vorel.clock.now
    with stopped():
        wait(vorel)
        assert [post(url, headers=vorel.headers).status_code for _ in range(2)] == [200, 429]
        vorel.clock.advance("61s")
        assert post(url, headers=vorel.headers).status_code == 200
        vorel.faults.arm("latency", delay=0.1)
        assert post(url, headers=vorel.headers).status_code == 429
    assert timedelta(hours=1, seconds=61) <= vorel.clock.now - before < timedelta(hours=2), "by its own clock alone"


@STOPPED
def test_a_mock_that_is_made_then_goes_on(stopped: Callable[[], Any]) -> None:
    with stopped(), InProcessMock() as mock, mock.new_tenant() as tenant, mock.client(tenant) as api:
        before = tenant.clock.now
        tenant.faults.arm("latency", delay=0.1)
        assert api.post(f"/api/v1/leads/{tenant.lead}/handoff").status_code == 200
        assert tenant.clock.now - before >= timedelta(seconds=0.09), "a clock that runs, runs"
        tenant.restore(tenant.snapshot())

        async def ask() -> int:
            tenant.faults.arm("latency", delay=0.1)
            async with mock.async_client(tenant) as api:
                return (await api.post(f"/api/v1/leads/{tenant.lead}/handoff")).status_code

        assert asyncio.run(ask()) == 200


# Event loops


@asynccontextmanager
async def consumer() -> AsyncIterator[str]:
    """A consumer of webhooks on the loop of the test."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def use_on_a_loop(avorel: AsyncTenant) -> None:
    async with consumer() as url:
        subscription = await avorel.webhooks.subscribe(url)
        assert (await avorel.webhooks.wait(TEST, subscription=subscription))["attempts"][0]["status"] == 200
        await avorel.webhooks.redeliver((await avorel.webhooks.deliveries())[0])
        before = await avorel.clock.now
        assert await avorel.clock.advance("1h") >= before + timedelta(hours=1)
        assert {delivery["state"] for delivery in await avorel.webhooks.deliveries()} == {"delivered"}
    async with avorel.webhooks.receive() as inbox:
        assert (await inbox.next(TEST))["event"] == TEST
        with pytest.raises(TimeoutError, match="no event arrived"):
            await inbox.next(timeout=0.05)
    answer = asyncio.create_task(avorel.requests.wait(timeout=20))
    async with httpx.AsyncClient(verify=False, base_url=avorel.base_url, headers=avorel.headers) as api:
        await api.post(f"/api/v1/leads/{avorel.lead}/handoff")
    assert len(await answer) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await avorel.requests.wait(2, timeout=50)
    stub = await avorel.stubs.add({"status": 404}, {"operation": "handoffLead"}, times=1)
    assert [each["id"] for each in await avorel.stubs.list()] == [stub["id"]]
    await avorel.stubs.remove(stub)
    await avorel.faults.arm("unavailable")
    await avorel.reset()
    assert await avorel.faults.armed() == []


@pytest.mark.asyncio
async def test_pytest_asyncio(avorel: AsyncTenant, vorel: Tenant) -> None:
    assert avorel.id == vorel.id
    await use_on_a_loop(avorel)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(avorel: AsyncTenant, anyio_backend: str) -> None:
    await use_on_a_loop(avorel)


@pytest.mark.asyncio
async def test_a_wait_for_what_this_loop_has_to_do_says_so(vorel: Tenant) -> None:
    async with consumer() as url:
        vorel.webhooks.subscribe(url)
        began = time.monotonic()
        with pytest.raises(RuntimeError, match=r"use the fixture `avorel`"):
            vorel.clock.advance("1h")
        assert time.monotonic() - began < 20
        with vorel.webhooks.receive() as inbox:
            assert inbox.next(TEST), "what needs no loop is had"


@pytest.mark.asyncio
async def test_in_process_on_a_loop() -> None:
    with InProcessMock() as mock:
        async with mock.control.asynchronous.new_tenant() as tenant:
            assert tenant.id in {known["id"] for known in await mock.control.asynchronous.tenants()}
            await use_in_process(mock, tenant)
            async with tenant.fork() as fork:
                assert len(await fork.handoffs()) == 1
        with pytest.raises(ControlError, match="404"):
            await tenant.settings()


async def use_in_process(mock: InProcessMock, tenant: AsyncTenant) -> None:
    waiting = asyncio.create_task(tenant.requests.wait(timeout=20))
    async with mock.async_client(tenant) as api:
        await api.post(f"/api/v1/leads/{tenant.lead}/handoff")
    assert len(await waiting) == 1
    assert len(await tenant.handoffs()) == 1


# Processes and threads


def test_a_fork(vorel: Tenant) -> None:
    vorel.requests.count()

    def child() -> None:
        assert vorel.requests.count() == 0
        vorel.add_lead("Ada")

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert vorel.lead_states()[-1]["name"] == "Ada"


def test_threads(vorel: Tenant) -> None:
    threads = [threading.Thread(target=vorel.add_lead) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(vorel.lead_states()) >= 9
