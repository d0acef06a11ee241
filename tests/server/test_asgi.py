"""The mock under another server, and mounted in another application: the same bytes as on its own port."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.serving import serving

from vorel_mock import Mock, Settings
from vorel_mock.asgi import create
from vorel_mock.mock import demo
from vorel_mock.server.app import App

KEY = {"Authorization": f"Bearer {demo.token(1, 1, 1)}"}
HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
CREATE = "/api/v1/crm/create-record"
RECORD = {"object": "contact", "fields": {"email": "ann@example.com"}, "idempotency_key": "k"}

#: Method, path, and what httpx sends. One after the other, to mocks of the same seed.
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", HANDOFF, {"headers": KEY, "json": {"reason": "no-response-7d"}}),
    ("POST", HANDOFF, {"headers": KEY}),
    ("POST", HANDOFF, {"headers": KEY, "json": {"reason": 5}}),
    ("POST", HANDOFF, {}),
    ("POST", HANDOFF, {"headers": KEY, "content": b"{"}),
    ("POST", HANDOFF, {"headers": KEY, "content": b'"' + b"a" * 2_000_000 + b'"'}),
    ("POST", HANDOFF.replace("leads", "l%65ads"), {"headers": KEY}),
    ("POST", "/api/v1/leads/a%2Fb/handoff", {"headers": KEY}),
    ("HEAD", HANDOFF, {"headers": KEY}),
    ("GET", HANDOFF, {"headers": KEY}),
    ("POST", "/nothing?q=1", {"headers": KEY}),
    ("POST", CREATE, {"headers": KEY, "json": RECORD}),
    ("POST", CREATE, {"headers": KEY, "json": RECORD}),
    ("POST", CREATE, {"headers": {**KEY, "Prefer": "code=429"}, "json": RECORD}),
    ("POST", CREATE, {"headers": {**KEY, "Prefer": "fault=slow_body"}, "json": RECORD}),
    ("POST", CREATE, {"headers": {**KEY, "Prefer": "fault=chunked_framing"}, "json": RECORD}),
    ("POST", CREATE, {"headers": {**KEY, "Prefer": "fault=redirect"}, "json": RECORD}),
    ("OPTIONS", HANDOFF, {"headers": {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}}),
    ("POST", HANDOFF, {"headers": {**KEY, "Origin": "http://a.example"}}),
    ("GET", "/_mock/health", {}),
    ("POST", "/_mock/tenants", {"json": {"name": "one"}}),
    ("POST", "/_mock/tenants", {"json": {"nmae": "one"}}),
    ("POST", "/_mock/tenants", {"data": {"a": "form"}}),
    ("GET", "/_mock/requests?limit=3", {}),
    ("GET", "/_mock/nothing", {}),
    ("DELETE", "/_mock/health", {}),
]
SETTINGS = Settings(seed=1, clock="frozen", cors_origins=("http://a.example",))
#: What a server says of itself, and of the connection.
_SERVER = {"connection", "server", "transfer-encoding"}


@contextmanager
def under_uvicorn(application: Any) -> Iterator[str]:
    """Serve an ASGI application as somebody else would; the base URL."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="critical", date_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def _answers(base_url: str) -> list[Any]:
    found = []
    with httpx.Client(base_url=base_url, trust_env=False, timeout=20) as client:
        for method, path, options in REQUESTS:
            response = client.request(method, path, **options)
            headers = sorted((name, value) for name, value in response.headers.items() if name not in _SERVER)
            told = response.content.replace(base_url.encode(), b"BASE").replace(base_url[7:].encode(), b"HOST")
            if path.startswith("/_mock/requests"):  # how long each took is in there
                told, headers = b"", []
            if path.startswith("/_mock/tenants"):  # its port is in there
                headers = [header for header in headers if header[0] != "content-length"]
            found.append((method, path, response.status_code, headers, told))
    return found


def test_under_another_server_the_bytes_are_the_same() -> None:
    with serving(App(Mock(SETTINGS))) as (url, _):
        own = _answers(url)
    with under_uvicorn(create(SETTINGS)) as url:
        others = _answers(url)
    for one, other in zip(own, others, strict=True):
        assert one == other
    assert {status for _, _, status, _, _ in own} == {200, 201, 307, 400, 401, 404, 405, 429}


@pytest.mark.parametrize("prefer", ["code=429", "fault=other_header_names", "fault=redirect"])
def test_journal_and_har_name_headers_as_the_wire_does(prefer: str) -> None:  # M55
    settings = Settings(seed=1, rate_limit_headers="always")
    for door in (serving(App(Mock(settings))), under_uvicorn(create(settings))):
        with door as where:
            url = where if isinstance(where, str) else where[0]
            answer = httpx.post(f"{url}{HANDOFF}", headers={**KEY, "Prefer": prefer}, trust_env=False)
            on_the_wire = {name.decode() for name, _ in answer.headers.raw}
            (kept,) = httpx.get(f"{url}/_mock/requests", trust_env=False).json()["data"]
            (entry,) = httpx.get(f"{url}/_mock/requests.har", trust_env=False).json()["log"]["entries"]
            names = {name for name, _ in kept["response"]["headers"]}
            assert names == {name for name in on_the_wire if name not in _SERVER}
            assert names == {header["name"] for header in entry["response"]["headers"]}
            assert entry["response"]["content"]["mimeType"] == answer.headers.get("Content-Type", "")
            assert entry["response"]["redirectURL"] == answer.headers.get("Location", "")
            assert "authorization" in {name for name, _ in kept["request"]["headers"]}


def test_a_fault_that_resets_is_left_to_the_server() -> None:
    """ASGI has no word for it: what was begun is broken off, and of what was not, uvicorn makes a 500."""
    with under_uvicorn(create(SETTINGS)) as url:
        with pytest.raises(httpx.TransportError):
            httpx.post(url + HANDOFF, headers={**KEY, "Prefer": "fault=truncated_body"}, trust_env=False)
        answer = httpx.post(url + HANDOFF, headers={**KEY, "Prefer": "fault=connection_reset"}, trust_env=False)
        assert answer.status_code == 500
        assert httpx.post(url + HANDOFF, headers=KEY, trust_env=False).status_code == 200


def test_mounted_below_a_path() -> None:
    mounted = Starlette(routes=[Mount("/vorel", create(Settings(seed=1)))])
    with under_uvicorn(mounted) as url, httpx.Client(base_url=f"{url}/vorel", trust_env=False) as client:
        assert client.post(HANDOFF, headers=KEY).status_code == 200
        assert client.get("/_mock/health").json()["status"] == "ok"
        assert client.get("/_mock/target").json()["base_url"] == f"{url}/vorel"
        tenant = client.post("/_mock/tenants", json={"name": "a"}).json()
        assert tenant["base_url"] == f"{url}/vorel"
        assert client.get("/_mock/healt").status_code == 404


def test_it_ends_with_its_server() -> None:
    application = create(Settings(seed=1))
    before = {thread.name for thread in threading.enumerate()}
    with under_uvicorn(application) as url:
        assert httpx.get(f"{url}/_mock/health", trust_env=False).status_code == 200
    assert application.app.mock.stopped
    deadline = time.monotonic() + 10
    while any(t.name.startswith("vorel-mock") and t.name not in before for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_settings_of_the_environment(tmp_path: Path) -> None:
    code = (
        "from vorel_mock.asgi import app; import vorel_mock.asgi as module; assert module.app is app;"
        "print(app.app.mock.seed, app.app.mock.settings.rate_limit)"
    )
    (tmp_path / "vorel-mock.toml").write_text("rate-limit = 7\n")
    environment = {**os.environ, "VOREL_MOCK_SEED": "42"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "42 7\n", done.stderr


def test_a_wrong_setting_of_the_environment_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "VOREL_MOCK_SEED": "x"}
    code = "from vorel_mock.asgi import app"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "VOREL_MOCK_SEED" in done.stderr
    assert "Traceback" not in done.stderr
