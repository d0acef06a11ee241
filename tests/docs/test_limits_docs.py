"""docs/limits.md: each number is the one in the code, and each test that it names exists."""

import re

import pytest
from tests.paths import DOCS, ROOT

from vorel_mock.api import messages, strict_json
from vorel_mock.control import guard
from vorel_mock.control.console import pages
from vorel_mock.control.handlers import support
from vorel_mock.mock import provisioning, waiting_places
from vorel_mock.mock.fixtures import reading, rows
from vorel_mock.mock.journal import journal, verification
from vorel_mock.mock.tenant_log import replica
from vorel_mock.model import armed_faults, held_responses, history, request_pattern, stubs, tenant, webhooks
from vorel_mock.server import descriptors, http_connection, request_parser
from vorel_mock.webhooks import dispatcher, event_kinds, sender, worker


def size(number: int) -> str:
    """A number of bytes, in the largest unit that it is a multiple of."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number % 1024**power == 0:
            return f"{number // 1024**power} {unit}"
    raise ValueError(number)


ROWS_OF_A_HISTORY = f"{history.MAX_ROWS:,} and {size(history.MAX_BYTES)}"
MEMBERS = f"{request_pattern.MAX_MEMBERS} headers and {request_pattern.MAX_MEMBERS} members of the body"
BOUNDS = {
    "tenants in memory with `--state`": f"{replica.MAX_LOADED:,}",
    "API keys of a tenant": f"{tenant.MAX_KEYS:,}",
    "leads of a tenant": f"{tenant.MAX_LEADS:,}",
    "webhooks of a tenant": f"{dispatcher.MAX_WEBHOOKS}",
    "armed faults of a tenant": f"{armed_faults.MAX_FAULTS}",
    "stubs of a tenant": f"{stubs.MAX_STUBS}",
    "response of a stub": f"{size(stubs.MAX_RESPONSE)} and {stubs.MAX_HEADERS} headers",
    "request that a stub is for": f"{size(request_pattern.MAX_BYTES)}, {MEMBERS}",
    "fields in a mapping of an object": f"{provisioning.MAX_MAPPED:,}",
    "handoffs of a tenant": ROWS_OF_A_HISTORY,
    "audit rows of a tenant": ROWS_OF_A_HISTORY,
    "CRM records of a tenant": ROWS_OF_A_HISTORY,
    "deliveries of a tenant": f"{webhooks.MAX_DELIVERIES:,} and {size(history.MAX_BYTES)}",
    "data of an event that is published below `/_mock`": size(event_kinds.MAX_DATA),
    "pages of the console that listen for changes": f"{pages.LISTENERS}",
    "journal of a tenant": f"{journal.MAX_EXCHANGES:,} and {size(journal.MAX_BYTES)}",
    "journal in all": f"{journal.MAX_IN_ALL:,} and {size(journal.MAX_BYTES_IN_ALL)}",
    "patterns of a verification of requests": f"{verification.MAX_PATTERNS}",
    "requests that a verification compares to tell the nearest": f"{verification.MAX_COMPARED:,}",
    "responses that the faults of a tenant hold back": f"{held_responses.MAX_HELD:,}",
    "requests that wait, in all": f"{waiting_places.MAX_WAITS}",
    "webhook attempts at once, in all": f"{worker.MAX_IN_FLIGHT}",
    "what is read of a receiver's response": size(sender.MAX_READ),
    "what is kept of a receiver's response": "{0} of headers and {0} of the body".format(size(sender.MAX_KEPT)),
    "body of a request to the API": size(messages.MAX_BODY),
    "body of a request to the control plane": size(guard.MAX_BODY),
    "body with a snapshot": size(guard.MAX_SNAPSHOT),
    "body with a snapshot, with a tenant token": size(guard.MAX_OWN_SNAPSHOT),
    "file with fixtures": size(reading.MAX_FILE),
    "tenants in a file with fixtures": f"{rows.MAX_TENANTS:,}",
    "nesting of a body": f"{strict_json.MAX_DEPTH}",
    "request line and headers": f"{size(request_parser.MAX_HEAD)} and {request_parser.MAX_HEADERS} headers",
    "open connections": f"{descriptors.MAX_CONNECTIONS:,}, or half of the files that the process may open",
    "time for the headers of a request": f"{http_connection.HEAD_TIMEOUT:g} s",
    "time for the body": f"{http_connection.BODY_TIMEOUT:g} s",
    "time in which a client reads something": f"{http_connection.WRITE_TIMEOUT:g} s",
    "time between two requests of a connection": f"{http_connection.KEEP_ALIVE:g} s",
    "time for a response that a fault holds back, when the client sends no more": f"{http_connection.GONE_TIMEOUT:g} s",
    "time for a wait": f"{support.LONGEST_WAIT:g} s",
}


def table() -> list[list[str]]:
    found = []
    for line in (DOCS / "limits.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] != "what" and set(cells[0]) != {"-"}:
            found.append(cells)
    return found


def test_the_page_has_the_bounds_of_the_code() -> None:
    assert {row[0]: row[1] for row in table()} == BOUNDS


@pytest.mark.parametrize("row", table(), ids=lambda row: str(row[0]))
def test_the_test_that_shows_a_bound_exists(row: list[str]) -> None:
    assert len(row) == 4
    file, name = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", row[3]).groups()  # type: ignore[union-attr] # it must match
    assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text("utf-8"), re.MULTILINE)


def test_the_readme_s_memory_is_that_of_the_code() -> None:
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert (
        f"latest {history.MAX_ROWS:,} handoffs, {history.MAX_ROWS:,} audit rows, {history.MAX_ROWS:,} CRM records and "
        f"{webhooks.MAX_DELIVERIES:,} webhook deliveries, each kind within {size(history.MAX_BYTES)}, and its latest "
        f"{journal.MAX_EXCHANGES:,} requests ({size(journal.MAX_BYTES)}; {journal.MAX_IN_ALL:,} in all)"
    ) in text
    assert "(docs/limits.md)" in text
