"""`python -m bench.cold_start`: how long a mock takes to start on a large state, and to answer for a tenant in it."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import httpx

from bench import programs
from bench.programs import Program
from vorel_mock.api.messages import Request, first_values
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.store.logged import token_hash
from vorel_mock.mock.tenant_log import checkpoints, opening
from vorel_mock.mock.tenant_log.entries import Entry, RequestEntry, encode
from vorel_mock.mock.tenant_log.interface import Append, Changes, Known, NewCheckpoint

#: Tenants that are written at once.
_BATCH = 1_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tenants", default=100_000, show_default=True, type=click.IntRange(1))
@click.option("--entries", default=10, show_default=True, type=click.IntRange(0), help="Entries of each tenant.")
def main(tenants: int, entries: int) -> None:
    """Fill a file, and Redis, with tenants that have a checkpoint and entries behind it, and start a mock on each."""
    for program in (programs.in_file(), programs.in_redis(1)):
        with tempfile.TemporaryDirectory(prefix="vorel-cold-") as name, programs.beside(program, Path(name)):
            place = str(Path(name) / "mock.db") if program.name == "file" else f"unix://{Path(name) / 'ready'}"
            began = time.perf_counter()
            key, lead = _fill(place, tenants, entries)
            filled = time.perf_counter() - began
            _measure(program, Path(name), key, lead, f"{tenants:,} tenants, filled in {filled:.0f} s")


def _fill(place: str, tenants: int, entries: int) -> tuple[str, str]:
    """Write the tenants. Returns a key and a lead of one of them."""
    mock = Mock(Settings(seed=1))
    log, _ = opening.opened(place if "://" in place else Path(place), mock.contract, None)
    key = lead = ""
    log.commit(Changes(facts=opening.facts(mock.contract, 1, 0, mock.clock, {})))
    for start in range(0, tenants, _BATCH):
        changes, placed = Changes(), []
        for _ in range(min(_BATCH, tenants - start)):
            tenant = mock.make_tenant({"keys": {"full": 1, "burst": 0}, "leads": 1})
            key, lead = next(iter(tenant.keys.values())).token, next(iter(tenant.leads))
            content = checkpoints.capture(tenant, mock.clock.now())()
            changes.checkpoints[tenant.id] = NewCheckpoint(Known(), content, is_made=True)
            changes.tokens[token_hash(key)] = tenant.id
            placed += [(tenant.id, encode(Entry(mock.clock.now(), RequestEntry.of(_handoff(key, lead)))))] * entries
            mock.remove_tenant(tenant)
        log.commit(changes)
        appends = [Append(tenant_id, Known(), packed, is_request=True) for tenant_id, packed in placed]
        if appends:
            log.place(appends)
            log.commit(Changes())
    log.close()
    return key, lead


def _handoff(key: str, lead: str) -> Request:
    path = f"/api/v1/leads/{lead}/handoff"
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")]
    return Request("POST", path.encode(), path, b"", headers, first_values(headers), b"{}")


def _measure(program: Program, folder: Path, key: str, lead: str, what: str) -> None:
    """Start the mock, and ask it for a tenant that it has not in memory."""
    command = program.command(0, folder)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        while "Ready" not in process.stdout.readline():
            pass
        ready = time.perf_counter() - began
        began = time.perf_counter()
        answer = httpx.post(f"{url}/api/v1/leads/{lead}/handoff", headers={"Authorization": f"Bearer {key}"}, json={})
        first = time.perf_counter() - began
        rss = int(subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True, text=True).stdout)
        click.echo(
            f"{program.title}: {what}; Ready {ready:.2f} s, first answer {first * 1000:.0f} ms, {rss / 1024:.0f} MiB"
        )
        if answer.status_code != 200:
            sys.exit(f"Error: {answer.status_code} {answer.text}")
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
