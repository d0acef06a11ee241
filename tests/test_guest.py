"""The mock as a guest in somebody's process: its threads end with it, and it leaves alone what is not its own."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from vorel_mock.server.app import App
from vorel_mock.server.listener import Server


@pytest.fixture
def asyncio_logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("asyncio")
    level = logger.level
    yield logger
    logger.setLevel(level)


def _workers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("vorel-mock-control")}


def test_the_threads_of_the_control_plane_end_with_the_mock(app: App, http: httpx.Client) -> None:
    others = _workers()
    http.get("/_mock/health")
    assert _workers() - others
    app.stop()
    deadline = time.monotonic() + 10
    while _workers() - others:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_those_who_wait_do_not_close_the_control_plane_to_others(app: App, http: httpx.Client) -> None:
    tenant = http.post("/_mock/tenants").json()
    path = f"/_mock/tenants/{tenant['id']}/requests/wait"
    with ThreadPoolExecutor(30) as pool:
        waits = [pool.submit(http.post, path, json={"timeout": "60s"}, timeout=90) for _ in range(30)]
        assert http.get("/_mock/health", timeout=60).json()["status"] == "ok"
        headers = {"Authorization": f"Bearer {tenant['keys']['full'][0]}"}
        http.post(f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff", headers=headers)
        assert [wait.result(60).status_code for wait in waits] == [200] * 30
    app.stop()


def test_a_server_that_is_made_leaves_the_loop_its_words(app: App, asyncio_logger: logging.Logger) -> None:
    asyncio_logger.setLevel(logging.WARNING)
    Server(app)
    assert asyncio_logger.level == logging.WARNING
