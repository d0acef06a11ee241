"""What the tests of a state that survives have in common: things to do to a mock, processes, receivers."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import httpx

from vorel_mock.testing import InProcessMock

HANDOFF = "conversation.handoff_requested"


class Steps:
    """Does things of all kinds to a mock, the same for the same seed."""

    def __init__(self, mock: InProcessMock, seed: int) -> None:
        self.http = client(mock)
        self._chance = random.Random(seed)
        self._tenants = [self._control("POST", "/tenants", {"name": name}).json() for name in ("one", "two")]
        self._number = 0

    def _control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.http.request(method, f"/_mock{path}", json=body)

    def next(self) -> tuple[int, str, dict[str, str]]:
        """Do the next thing. Returns what was answered."""
        self._number += 1
        tenant = self._chance.choice(self._tenants)
        path, key = f"/tenants/{tenant['id']}", self._chance.choice(tenant["keys"]["full"])
        if self._number % 20 == 0:
            response = self._control("POST", f"{path}/reset")
        else:
            response = self._chance.choice([self._request, self._command])(tenant["id"], path, key)
        return response.status_code, response.text, dict(response.headers)

    def _request(self, tenant_id: str, path: str, key: str) -> httpx.Response:
        leads = [row["id"] for row in self._control("GET", f"{path}/leads").json()["data"]]
        record = {
            "object": "contact",
            "fields": {"last_name": "Lee", "email": f"a{self._number}@example.com"},
            "idempotency_key": f"key-{self._chance.randrange(9)}",
        }
        where, body = self._chance.choice(
            [
                (f"leads/{self._chance.choice(leads)}/handoff", {"summary": f"s{self._number}"}),
                ("crm/records", record),
                ("crm/records", {}),
                ("nowhere", {}),
            ]
        )
        token = self._chance.choice([key, key, key, "nobody"])
        return self.http.post(f"/api/v1/{where}", json=body, headers={"Authorization": f"Bearer {token}"})

    def _command(self, tenant_id: str, path: str, key: str) -> httpx.Response:
        lead = self._control("GET", f"{path}/leads").json()["data"][0]["id"]
        method, where, body = self._chance.choice(
            [
                ("POST", f"{path}/leads", {"name": f"Lead {self._number}", "unknown": 2**70}),
                ("PATCH", f"{path}/leads/{lead}", {"conversation_status": "closed"}),
                ("POST", f"{path}/keys", {"scopes": ["leads:write"]}),
                ("DELETE", f"{path}/keys/full_2", None),
                ("POST", f"{path}/faults", {"fault": "internal_error", "next": 2}),
                ("POST", f"{path}/clock", {"advance": f"{self._chance.randrange(40)}s"}),
                ("POST", "/clock", {"advance": "1s"}),
                ("PATCH", path, {"rate_limit": self._chance.randrange(3, 50)}),
                ("POST", f"{path}/webhooks", {"target_url": "http://127.0.0.1:9/", "events": ["lead.created"]}),
                ("POST", f"{path}/events", {"event": "lead.created"}),
                ("POST", f"{path}/handoffs", {"lead_id": lead}),
                ("POST", "/tenants", {"fork": tenant_id}),
                ("POST", f"{path}/stubs", {"response": {"fault": "internal_error"}}),
                ("PUT", f"{path}/snapshot", self._control("GET", f"{path}/snapshot").json()),
            ]
        )
        return self._control(method, where, body)


def client(mock: InProcessMock) -> httpx.Client:
    """A client of a mock, without a key."""
    return httpx.Client(transport=mock.client()._transport, base_url=mock.base_url)


def everything(mock: InProcessMock, ids: list[str] | None = None) -> dict[str, Any]:
    """What the control plane shows of each tenant."""
    with client(mock) as http:
        if ids is None:
            ids = [tenant["id"] for tenant in http.get("/_mock/tenants").json()["data"]]
        paths = {tenant_id: f"/_mock/tenants/{tenant_id}" for tenant_id in ids}
        return {each: [http.get(f"{path}{part}").json() for part in ("", "/snapshot")] for each, path in paths.items()}


def served(state: Path | str, *options: str) -> tuple["subprocess.Popen[str]", str]:
    """A mock as a process of its own, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vorel_mock", "serve", "--port=0", f"--state={state}", "--json-logs", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if '"event":"ready"' in line.replace(" ", ""):
            threading.Thread(target=_read, args=[process.stdout], daemon=True).start()
            return process, line.partition('"base_url":')[2].split('"')[1]
    raise AssertionError("the mock did not start")


def _read(pipe: IO[str]) -> None:
    """Read to the end, so that the mock never waits for us."""
    with pipe:
        for _ in pipe:
            pass


class _Inbox(BaseHTTPRequestHandler):
    """Keeps the ids of events; answers with the status of the server."""

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append(event["id"])  # type: ignore[attr-defined] # ours: see `inbox`
        self.send_response(self.server.status)  # type: ignore[attr-defined] # the same
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def inbox(status: int, port: int = 0) -> Iterator[tuple[list[str], int]]:
    """A receiver of webhooks: what it got, and its port."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Inbox) as server:
        server.got, server.status = [], status  # type: ignore[attr-defined] # read by _Inbox
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.got, server.server_port  # type: ignore[attr-defined] # as above
        server.shutdown()
        thread.join(30)


def until(there: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)
