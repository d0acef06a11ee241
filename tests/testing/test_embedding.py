"""The mock as a guest in somebody's process: its threads end with it, and it leaves alone what is not its own."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from vorel_mock.server.app import App
from vorel_mock.server.listener import Server
from vorel_mock.testing import InProcessMock, MockServer


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


@pytest.mark.parametrize("closed", ["client", "mock"])
@pytest.mark.parametrize("what", ["a fault that delays", "a wait in the control plane"])
def test_closing_a_client_or_the_mock_ends_what_waits_in_it(what: str, closed: str) -> None:
    """M3: it waited for ever, and Python could not end."""
    with InProcessMock() as mock:
        tenant, client, began = mock.new_tenant(), mock.client(timeout=None), threading.Event()
        path, body = f"/_mock/tenants/{tenant.id}/requests/wait", {"timeout": "60s"}
        if what == "a fault that delays":
            tenant.faults.arm("latency", delay="1h")
            path, body = f"/api/v1/leads/{tenant.lead}/handoff", {}
        caught: list[Exception] = []

        def ask() -> None:
            began.set()
            try:
                client.post(path, json=body, headers=tenant.headers)
            except httpx.HTTPError as error:
                caught.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert began.wait(10)
        time.sleep(0.3)
        (client if closed == "client" else mock).close()
        thread.join(10)
        assert not thread.is_alive()
        assert [type(error) for error in caught] == [httpx.ReadError]
        client.close()


def test_closing_the_mock_ends_what_an_asynchronous_client_waits_for() -> None:
    async def ask() -> None:
        with InProcessMock() as mock:
            tenant = mock.new_tenant()
            tenant.faults.arm("latency", delay="1h")
            client = mock.async_client(tenant, timeout=None)
            asked = asyncio.create_task(client.post(f"/api/v1/leads/{tenant.lead}/handoff"))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(mock.close)
            with pytest.raises(httpx.ReadError):
                await asyncio.wait_for(asked, 10)
            await client.aclose()

    asyncio.run(ask())


def test_the_host_s_own_connexion_is_left_as_it_is() -> None:
    """M4: Connexion had a placeholder in the place of Starlette's test client."""
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from vorel_mock.testing import InProcessMock\n"
        "with InProcessMock(): pass\n"
        "import connexion\n"
        "app = connexion.FlaskApp('x')\n"
        "app.app.add_url_rule('/', view_func=lambda: 'hello')\n"
        "print(app.test_client().get('/').text)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "hello\n", done.stderr


def test_importing_the_mock_warns_of_nothing() -> None:
    code = "import vorel_mock.asgi, vorel_mock.control.app, vorel_mock.testing.in_process"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_loggers_threads_and_settings_of_the_process_are_left_alone() -> None:
    """M5, M24: loggers stayed silent for good; a client that was not closed kept its thread and its descriptors."""
    with MockServer():
        pass  # uvloop keeps one pipe for the whole process
    gc.collect()
    loggers = {name: logging.getLogger(name).level for name in ("uvicorn.error", "connexion", "asyncio", "httpx")}
    before = set(threading.enumerate()), gc.get_threshold(), sys.getswitchinterval(), _descriptors()
    with MockServer() as server:
        server.new_tenant()
    for _ in range(3):
        mock = InProcessMock()
        tenant = mock.new_tenant()
        mock.client(tenant).post(f"/api/v1/leads/{tenant.lead}/handoff")
        mock.close()
        del mock, tenant
    deadline = time.monotonic() + 10
    while True:
        gc.collect()
        left = set(threading.enumerate()) - before[0]
        if not left and _descriptors() <= before[3]:
            break
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    assert (gc.get_threshold(), sys.getswitchinterval()) == before[1:3]
    assert {name: logging.getLogger(name).level for name in loggers} == loggers


def _descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_server_that_is_made_leaves_the_loop_its_words(app: App, asyncio_logger: logging.Logger) -> None:
    asyncio_logger.setLevel(logging.WARNING)
    Server(app)
    assert asyncio_logger.level == logging.WARNING
