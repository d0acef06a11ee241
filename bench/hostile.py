"""`make soak`: many requests of all kinds, most of them broken, and what is left of them.

Each kind says which statuses are right. The run fails if another one comes, if the mock keeps a connection, or if its
memory goes on growing.
"""

import contextlib
import json
import math
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import rich.box
from rich.console import Console
from rich.table import Table

from bench import programs
from bench.workload import KEY, ROOT
from vorel_mock.mock import demo

Random = random.Random

#: Clients at once.
_CLIENTS = 4
#: Seconds that a response may take.
_PATIENCE = 30.0
#: MiB by which memory may grow in the second half of the run.
_GROWTH = 16.0
_HANDOFF = f"/api/v1/leads/{demo.lead_id(tenant=1, number=1)}/handoff"
_CREATE = "/api/v1/crm/create-record"
#: The path of the first demo tenant, with the id that it always has.
_TENANT = "/_mock/tenants/00000001-7e4a-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: its bytes, and the statuses that are right. None: no response has to come."""

    make: Callable[[Random], bytes]
    statuses: tuple[int | None, ...]


def request(method: str, path: str, body: bytes = b"", *headers: str, key: str | None = KEY) -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _post(path: str, body: Callable[[Random], bytes], *headers: str) -> Callable[[Random], bytes]:
    return lambda draw: request("POST", path, body(draw), *headers)


def _noise(draw: Random) -> bytes:
    return draw.randbytes(draw.randint(1, 2000))


def _record(draw: Random) -> bytes:
    fields = {"email": "a@example.com", "x": [None] * draw.randint(0, 50)}
    return json.dumps({"object": "contact", "fields": fields, "idempotency_key": str(draw.random())}).encode()


def _altered(draw: Random) -> bytes:
    """A handoff with some bytes changed. Whatever comes of it is no failure of the mock."""
    content = bytearray(request("POST", _HANDOFF, b'{"reason": "asked for"}'))
    for _ in range(draw.randint(1, 4)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    return bytes(content)


def _broken_snapshot(draw: Random) -> bytes:
    return b'{"handoffs": [%s{' % (b'{"id": "x"},' * draw.randint(0, 500_000))


def _json(method: str, path: str, body: Callable[[Random], bytes]) -> Callable[[Random], bytes]:
    return lambda draw: request(method, path, body(draw), "Content-Type: application/json", key=None)


KINDS = {
    "handoff": Kind(_post(_HANDOFF, lambda draw: b'{"reason": "%d"}' % draw.randrange(999)), (200,)),
    "record": Kind(_post(_CREATE, _record), (200,)),
    "noise as a body": Kind(_post(_HANDOFF, _noise), (400,)),
    "cut JSON": Kind(_post(_CREATE, lambda draw: _record(draw)[: draw.randint(1, 40)]), (400,)),
    "deep JSON": Kind(_post(_CREATE, lambda draw: b"[" * draw.randint(200, 90_000)), (400,)),
    "a wrong type": Kind(_post(_HANDOFF, lambda draw: b'{"reason": %d}' % draw.randrange(99)), (400,)),
    "a long body": Kind(_post(_HANDOFF, lambda draw: b"[" * draw.randint(1_048_577, 2_000_000)), (400,)),
    "another media type": Kind(_post(_HANDOFF, lambda draw: b"<a/>", "Content-Type: text/xml"), (400,)),
    "no key": Kind(lambda draw: request("POST", _HANDOFF, key=None), (401,)),
    "an unknown key": Kind(lambda draw: request("POST", _HANDOFF, key=f"vapk_live_{draw.randbytes(24).hex()}"), (401,)),
    "another tenant's lead": Kind(
        lambda draw: request("POST", f"/api/v1/leads/{demo.lead_id(tenant=2, number=1)}/handoff"), (404,)
    ),
    "no id": Kind(lambda draw: request("POST", f"/api/v1/leads/{draw.random()}/handoff"), (400,)),
    "another path": Kind(lambda draw: request("GET", f"/{draw.random()}?{draw.random()}"), (404,)),
    "another method": Kind(lambda draw: request(draw.choice(["GET", "PUT", "DELETE"]), _HANDOFF), (405,)),
    "many headers": Kind(lambda draw: request("POST", _HANDOFF, b"", *["X: y"] * draw.randint(110, 900)), (400,)),
    "a large header": Kind(
        lambda draw: request("POST", _HANDOFF, b"", f"X: {'y' * draw.randint(70_000, 200_000)}"), (400,)
    ),
    "no host": Kind(lambda draw: request("POST", _HANDOFF).replace(b"Host", b"Hose"), (400,)),
    "altered bytes": Kind(_altered, (200, 400, 401, 404, 405, None)),
    "noise": Kind(_noise, (400, None)),
    "half a request": Kind(lambda draw: request("POST", _HANDOFF, b"x" * 500)[: -draw.randint(1, 499)], (None,)),
    "a fault": Kind(_post(_HANDOFF, lambda draw: b"", "Prefer: fault=internal_error"), (500,)),
    "a reset": Kind(_post(_HANDOFF, lambda draw: b"", "Prefer: fault=connection_reset"), (None,)),
    "an unknown preference": Kind(_post(_HANDOFF, lambda draw: b"", "Prefer: fault=typo"), (400,)),
    "the journal": Kind(lambda draw: request("GET", f"{_TENANT}/requests?limit=20", key=None), (200,)),
    "a wrong filter": Kind(lambda draw: request("GET", f"{_TENANT}/requests?limit=x", key=None), (400,)),
    "a new tenant": Kind(_json("POST", "/_mock/tenants", lambda draw: b"{}"), (201,)),
    "noise to the control plane": Kind(_json("POST", "/_mock/tenants", _noise), (400,)),
    "a broken snapshot": Kind(_json("PUT", f"{_TENANT}/snapshot", _broken_snapshot), (400,)),
    "nothing there": Kind(lambda draw: request("GET", f"/_mock/{draw.random()}", key=None), (404,)),
    "another origin": Kind(lambda draw: request("POST", "/_mock/reset", b"{}", "Origin: http://a.example"), (403,)),
}
#: Kinds of which fewer are sent: they take a hundred times as long.
_RARE = ("a long body", "a broken snapshot", "the journal", "deep JSON")


class Client:
    """One client, with a connection that it uses for as long as the mock keeps it."""

    def __init__(self, port: int, draw: Random) -> None:
        self._port = port
        self._draw = draw
        self._socket: socket.socket | None = None
        self.made: list[str] = []
        """The tenants that it has created."""

    def ask(self, kind: Kind) -> int | None:
        """Send a request of a kind. Returns the status; None if the connection ended, or was ended, without one."""
        content = kind.make(self._draw)
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE)
        try:
            with contextlib.suppress(ConnectionError):
                self._socket.sendall(content)  # the mock may reject it before it has read everything
            if kind.statuses == (None,) and b"Prefer" not in content:
                self.hang_up()
                return None
            if None not in kind.statuses:
                return self._answer()
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            try:
                return self._answer()
            finally:
                self.hang_up()  # something may be left of what was sent
        except ConnectionError:
            self.hang_up()
            return None

    def delete_tenant(self) -> int | None:
        """Delete the oldest of the tenants that it has created."""
        path = f"/_mock/tenants/{self.made.pop(0)}"
        return self.ask(Kind(lambda draw: request("DELETE", path, key=None), (204,)))

    def hang_up(self) -> None:
        """End the connection with a reset, so that the port is free again."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.close()
            self._socket = None

    def _answer(self) -> int | None:
        assert self._socket is not None
        with self._socket.makefile("rb") as file:
            line = file.readline()
            if not line:
                self.hang_up()
                return None
            status = int(line.split()[1])
            headers = {}
            while (header := file.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                headers[name.lower()] = value.strip()
            body = b""
            if headers.get(b"transfer-encoding") == b"chunked":
                while size := int(file.readline(), 16):
                    file.read(size + 2)
                file.readline()
            else:
                body = file.read(int(headers.get(b"content-length", b"0")))
        if status == 201:
            self.made.append(json.loads(body)["id"])
        if headers.get(b"connection") == b"close":
            self.hang_up()
        return status


@dataclass(slots=True)
class Found:
    """What came of a run."""

    counts: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    points: list[tuple[int, float, int]] = field(default_factory=list)
    """Requests, MiB and descriptors, at the start, at half of the requests, at the end."""


def soak(mock: programs.Running, requests: int, seed: int, deadline: float) -> Found:
    """Send that many requests to a mock. Raises Broken if that takes longer than until `deadline`."""
    found, lock = Found(), threading.Lock()
    usual = [name for name in KINDS if name not in _RARE]

    def note(name: str, status: int | None, right: tuple[int | None, ...]) -> None:
        with lock:
            found.counts[name, status] += 1
            if status not in right:
                found.wrong[name, f"{status} is none of {', '.join(map(str, right))}"] += 1

    def run(number: int, count: int) -> None:
        draw = Random(f"{seed}/{number}")
        client = Client(mock.port, draw)
        for _ in range(count):
            if time.monotonic() > deadline:
                break
            name = draw.choice(_RARE if draw.random() < 0.02 else usual)
            try:
                note(name, client.ask(KINDS[name]), KINDS[name].statuses)
                if len(client.made) > 5:
                    note("deleting a tenant", client.delete_tenant(), (204,))
            except (OSError, ValueError, KeyError) as error:
                client.hang_up()
                with lock:
                    found.wrong[name, repr(error)[:100]] += 1
        while client.made:
            client.delete_tenant()
        client.hang_up()

    def half(first: bool) -> None:
        count = math.ceil(requests / 2 / _CLIENTS)
        numbers = range(_CLIENTS) if first else range(_CLIENTS, 2 * _CLIENTS)
        threads = [threading.Thread(target=run, args=(number, count)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settled = time.monotonic() + 5
        while _descriptors(mock) > found.points[0][2] and time.monotonic() < settled:
            time.sleep(0.05)
        found.points.append((sum(found.counts.values()), mock.rss(), _descriptors(mock)))

    found.points.append((0, mock.rss(), _descriptors(mock)))
    half(first=True)
    half(first=False)
    if time.monotonic() > deadline:
        raise programs.Broken(f"only {sum(found.counts.values())} of {requests} requests were made in time")
    return found


def _descriptors(mock: programs.Running) -> int:
    folder = Path(f"/proc/{mock.pid}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def problems(found: Found) -> list[str]:
    """Return what is wrong with a run."""
    said = [f"{name}: {what} ({count} times)" for (name, what), count in found.wrong.items()]
    start, middle, end = found.points
    if end[1] > middle[1] + _GROWTH:
        said.append(f"memory: {middle[1]:.0f} MiB at half of the requests, {end[1]:.0f} MiB at the end")
    if end[2] > start[2]:
        said.append(f"descriptors: {start[2]} at the start, {end[2]} at the end")
    return said


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--requests", default=100_000, show_default=True, type=click.IntRange(100), help="How many are sent.")
@click.option("--seed", default=1, show_default=True, help="What is drawn.")
@click.option("--minutes", default=20.0, show_default=True, help="That it may take.")
def main(requests: int, seed: int, minutes: float) -> None:
    """Send requests of all kinds, most of them broken, and look at what is left of them."""
    with tempfile.TemporaryDirectory(prefix="vorel-bench-") as folder:
        try:
            with programs.running(programs.ours(ROOT), Path(folder) / "mock") as mock:
                found = soak(mock, requests, seed, time.monotonic() + minutes * 60)
        except programs.Broken as error:
            raise click.ClickException(str(error)) from None
    table = Table("kind", "status", "responses", box=rich.box.MARKDOWN)
    for (name, status), count in sorted(found.counts.items(), key=str):
        table.add_row(name, "no response" if status is None else str(status), str(count))
    console = Console(width=100, highlight=False)
    console.print(table)
    for number, rss, descriptors in found.points:
        console.print(f"after {number} requests: {rss:.1f} MiB, {descriptors} descriptors")
    wrong = problems(found)
    for problem in wrong:
        console.print(f"wrong: {problem}", markup=False)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(prog_name="python -m bench.hostile")
