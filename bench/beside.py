"""`python -m bench.beside`: the latency of the API while the control plane works for another tenant.

One client sends a handoff every 2 ms, from a process of its own. Beside it the control plane does one thing again and
again: list deliveries, export a journal, take snapshots, wait. The time of a request counts from when it was due.
"""

import http.client
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import quantiles
from typing import Any

import click
import rich.box
from rich.console import Console
from rich.table import Table

from bench import programs
from bench.workload import ROOT

#: Seconds between two requests of the client.
_EVERY = 0.002
#: What is to be reached in each case, in milliseconds.
P50, P99 = 2.0, 20.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of work. `prepare` makes what it works on; `work` does it once."""

    name: str
    prepare: Callable[["Control"], Any]
    work: Callable[["Control", Any], object]


class Control:
    """A client of the control plane and, with a key, of the API. One connection for each thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._local = threading.local()

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """The JSON of the response. Raises RuntimeError if it is an error other than a time-out of a wait."""
        return json.loads(self.raw(method, path, None if body is None else json.dumps(body).encode(), key) or b"null")

    def raw(self, method: str, path: str, body: bytes | None = None, key: str | None = None) -> bytes:
        """The bytes of the response."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content: bytes = response.read()
        if response.status >= 400 and response.status != 408:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:200]!r}")
        return content

    def tenant(self, **settings: Any) -> dict[str, Any]:
        """A new tenant without limits."""
        made: dict[str, Any] = self.ask("POST", "/_mock/tenants", {"rate_limit": 0, "tenant_rate_limit": 0, **settings})
        return made

    def handoffs(self, tenant: dict[str, Any], count: int, body: dict[str, str] | None = None) -> None:
        """Hand off the first lead of a tenant so many times."""
        path, key = f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff", tenant["keys"]["full"][0]
        content = json.dumps(body or {}, ensure_ascii=False).encode()
        for _ in range(count):
            self.raw("POST", path, content, key)


def _tenant(control: Control) -> Any:
    return control.tenant()


def _busy(count: int, body: dict[str, str] | None = None) -> Callable[[Control], Any]:
    def prepare(control: Control) -> Any:
        tenant = control.tenant()
        control.handoffs(tenant, count, body)
        return tenant

    return prepare


def _with_records(control: Control) -> Any:
    tenant = control.tenant()
    fields = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com"}
    for number in range(10_000):
        body = {"object": "contact", "fields": fields, "idempotency_key": str(number)}
        control.ask("POST", "/api/v1/crm/create-record", body, tenant["keys"]["full"][0])
    return tenant


def _with_deliveries(control: Control) -> Any:
    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name is http.server's
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500)
            self.send_header("Content-Length", "4096")
            self.end_headers()
            self.wfile.write(b"x" * 4096)

        def log_message(self, *_: Any) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    receiver.daemon_threads = True
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    tenant = control.tenant()
    path = f"/_mock/tenants/{tenant['id']}"
    control.ask("POST", f"{path}/clock", {"freeze": True})
    url = f"http://127.0.0.1:{receiver.server_address[1]}/"
    control.ask("POST", f"{path}/webhooks", {"target_url": url, "events": ["conversation.handoff_requested"]})
    control.handoffs(tenant, 999)
    control.ask("POST", f"{path}/clock", {"advance": "3h"})
    return tenant


def _many_tenants(control: Control) -> Any:
    for _ in range(5_000):
        last = control.tenant()
    return last


def _snapshot(control: Control) -> Any:
    tenant = _busy(10_000, {"reason": "é" * 200, "summary": "é" * 1000})(control)
    content = control.raw("GET", f"/_mock/tenants/{tenant['id']}/snapshot")
    return tenant, content


def _path(what: str) -> Callable[[Control, Any], object]:
    return lambda control, tenant: control.raw("GET", f"/_mock/tenants/{tenant['id']}/{what}")


def _explain(control: Control, tenant: Any) -> object:
    headers = {"Authorization": f"Bearer {tenant['keys']['full'][0]}"}
    path = f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff"
    return control.ask("POST", "/_mock/explain", {"path": path, "headers": headers})


def _wait(control: Control, tenant: Any) -> object:
    return control.ask("POST", f"/_mock/tenants/{tenant['id']}/requests/wait", {"count": 1900, "timeout": "1s"})


def _many_waits(control: Control, tenant: Any) -> object:
    path = f"/_mock/tenants/{tenant['id']}/requests/wait"
    with ThreadPoolExecutor(151) as pool:
        waits = [pool.submit(control.ask, "POST", path, {"count": 10_000, "timeout": "2s"}) for _ in range(150)]
        control.handoffs(tenant, 500)
        return [wait.result() for wait in waits]


def _long_body(control: Control, tenant: Any) -> object:
    nested = b'{"body": [' + b",".join([b'{"a": [1]}'] * 2_000_000) + b"]}"
    try:
        return control.raw("POST", "/_mock/explain", nested)
    except RuntimeError:
        return None  # rejected, as it should be


CASES = (
    Case("nothing", _tenant, lambda control, tenant: time.sleep(0.1)),
    Case("1,000 deliveries of 6 attempts", _with_deliveries, _path("deliveries")),
    Case("a journal of 2,000 as HAR", _busy(2_000), _path("requests.har?limit=10000")),
    Case("the latest request of 2,000", _busy(2_000), _path("requests?limit=1")),
    Case("a wait that finds 1,900", _busy(1_950), _wait),
    Case("150 waits on a busy tenant", _tenant, _many_waits),
    Case("a list of 10,000 handoffs", _busy(10_000), _path("handoffs")),
    Case("a list of 10,000 CRM records", _with_records, _path("crm-records")),
    Case("export of a snapshot of 50 MB", _snapshot, lambda c, made: _path("snapshot")(c, made[0])),
    Case(
        "import of a snapshot of 50 MB",
        _snapshot,
        lambda c, made: c.raw("PUT", f"/_mock/tenants/{made[0]['id']}/snapshot", made[1]),
    ),
    Case("a body of 20 MB", _tenant, _long_body),
    Case("explain with 5,000 tenants", _many_tenants, _explain),
)


def client(port: int, seconds: float, results: Any) -> None:
    """Send a handoff every 2 ms; put the latencies, in seconds from when each was due, into `results`."""
    control = Control(port)
    tenant = control.tenant()
    path, key = f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff", tenant["keys"]["full"][0]
    latencies = []
    start = time.perf_counter()
    for number in range(int(seconds / _EVERY)):
        due = start + number * _EVERY
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        control.raw("POST", path, b"{}", key)
        latencies.append(time.perf_counter() - due)
    results.put(latencies)


@contextmanager
def _again_and_again(work: Callable[[], object]) -> Iterator[list[float]]:
    """Do `work` in a thread until the block ends; the seconds that each time took."""
    ended, took = threading.Event(), list[float]()

    def run() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def measure(port: int, case: Case, seconds: float) -> tuple[float, float, list[float]]:
    """p50 and p99 of the API's latency in milliseconds, and the seconds that the work took each time."""
    control = Control(port)
    made = case.prepare(control)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with _again_and_again(lambda: case.work(control, made)) as took:
        process = context.Process(target=client, args=(port, seconds, results))
        process.start()
        latencies = sorted(results.get(timeout=300))
        process.join()
    cuts = quantiles(latencies, n=100)
    return cuts[49] * 1000, cuts[98] * 1000, took


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=5.0, show_default=True, help="Of load in each case.")
@click.option("--only", default="", help="Cases whose name contains this.")
def main(seconds: float, only: str) -> None:
    """Measure the latency of the API beside the control plane's work."""
    table = Table(box=rich.box.MARKDOWN)
    for number, column in enumerate(("beside", "p50 ms", "p99 ms", "the work takes s", "")):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="vorel-bench-") as folder:
        for case in CASES:
            if only in case.name:
                click.echo(case.name, err=True)
                with programs.running(programs.ours(ROOT), Path(folder) / "mock") as mock:
                    p50, p99, took = measure(mock.port, case, seconds)
                met = p50 <= P50 and p99 <= P99
                missed += not met
                work = f"{sorted(took)[len(took) // 2]:.3f}" if took else "-"
                table.add_row(case.name, f"{p50:.2f}", f"{p99:.2f}", work, "" if met else "missed")
    console = Console(width=120, highlight=False)
    console.print(table)
    console.print(f"To be reached in each case: p50 {P50:g} ms, p99 {P99:g} ms; {missed} missed.")
    sys.exit(0)


if __name__ == "__main__":
    main(prog_name="python -m bench.beside")
