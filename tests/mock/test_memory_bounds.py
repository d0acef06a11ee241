"""Whatever grows with requests is bounded."""

import gc
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.api.messages import MAX_BODY, Request
from vorel_mock.mock import demo
from vorel_mock.mock.journal import journal
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.snapshot import dump
from vorel_mock.mock.store import memory
from vorel_mock.model import history
from vorel_mock.model.history import History
from vorel_mock.model.tenant import MAX_KEYS
from vorel_mock.model.webhooks import Attempt, Delivery
from vorel_mock.server.request_parser import RequestParser


@given(sizes=st.lists(st.integers(0, 40), max_size=60), max_rows=st.integers(1, 12), max_bytes=st.integers(0, 100))
def test_a_history_keeps_the_newest_within_its_bounds(sizes: list[int], max_rows: int, max_bytes: int) -> None:
    forgotten: list[int] = []
    rows: History[int] = History(max_rows, max_bytes, on_forget=forgotten.append)
    for number, size in enumerate(sizes):
        rows.append(number, size)
        kept = list(rows)
        assert kept == list(range(number + 1 - len(kept), number + 1))  # the newest, none left out
        assert forgotten == list(range(number + 1 - len(kept)))  # the others, each once, oldest first
        assert rows.dropped == len(forgotten)
        assert 1 <= len(rows) == len(kept) <= max_rows
        assert sum(sizes[n] for n in kept) <= max_bytes or len(kept) == 1
        # No more is forgotten than has to be.
        if forgotten and len(kept) < max_rows:
            assert sum(sizes[n] for n in [forgotten[-1], *kept]) > max_bytes


def test_a_history_without_bounds_to_speak_of_forgets_nothing() -> None:
    rows: History[int] = History()
    for number in range(1000):
        rows.append(number)
    assert (list(rows), rows.dropped) == (list(range(1000)), 0)
    assert (rows.max_rows, rows.max_bytes) == (history.MAX_ROWS, history.MAX_BYTES)


def test_the_journal_s_bytes_count_the_whole_request(
    http: httpx.Client, mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 400_000)
    for _ in range(100):
        http.post(f"/{'p' * 2000}?{'q' * 2000}", headers={"X-Padding": "h" * 2000}, content=b"b" * 2000)
    kept = sum(
        len(e.target) + len(e.path) + len(e.query) + sum(len(value) for _, value in e.headers) + len(e.body)
        for e in (exchange.request for exchange in mock.journal._by_id.values())
    )
    assert 300_000 < kept <= 400_000


def _message(path: str, body: bytes = b"", *headers: str, token: str = demo.token(1, 1, 1)) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1:3000", "User-Agent: python-httpx/0.28.1", "Accept: */*"]
    lines += ["Accept-Encoding: gzip, deflate", "Connection: keep-alive", f"Authorization: Bearer {token}"]
    return "\r\n".join([*lines, *headers, f"Content-Length: {len(body)}", "", ""]).encode() + body


HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
RECORD = b'{"object":"contact","fields":{"email":"a@example.com"},"idempotency_key":"key-%d"}'
#: The n-th of many requests, as they are on a connection.
REQUESTS: dict[str, Callable[[int], bytes]] = {
    "the same headers": lambda n: _message(HANDOFF, b'{"reason":"asked for"}'),
    "the same 90 headers": lambda n: _message(HANDOFF, b"{}", *(f"X-{i}: {i}" for i in range(90))),
    "a header of its own": lambda n: _message(HANDOFF, b'{"reason":"asked for"}', f"X-Trace: {n:032x}"),
    "90 headers of its own": lambda n: _message(HANDOFF, b"{}", *(f"X-{i}: {n + i}" for i in range(90))),
    "a large header": lambda n: _message(HANDOFF, b"{}", f"X: {n}{'y' * 6000}"),
    "a body": lambda n: _message(HANDOFF, b'{"x":"%s"}' % (b"b" * 3000)),
    "a record": lambda n: _message("/api/v1/crm/create-record", RECORD % n),
    "rejected": lambda n: _message(HANDOFF, b'{"reason":5}'),
    "no key": lambda n: _message(HANDOFF, b"{}", token="none"),
    "a path of its own": lambda n: _message(f"/nothing/{n}/{'p' * 500}"),
    "a query of its own": lambda n: _message(f"/nothing?{n}&{'q' * 500}"),
}


def _taken(work: Callable[[], None]) -> int:
    """The bytes of the objects that `work` leaves behind."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_journal_s_bytes_are_what_its_objects_take(kind: str) -> None:  # M27
    """17.5 KB were kept of a request with 90 headers, and counted as 500 bytes."""
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))
    tenant = next(mock.store.tenants())
    for rows in (tenant.handoffs, tenant.audit_log, tenant.crm_records):
        rows.max_rows = 1

    def answer(request: Request, keep_alive: bool) -> None:
        mock.answer(request)

    parser = RequestParser(answer, lambda path, headers: MAX_BODY)

    def feed(numbers: range) -> None:
        for number in numbers:
            parser.feed(REQUESTS[kind](number))

    feed(range(50))
    mock.journal.clear()
    taken = _taken(lambda: feed(range(50, 350)))
    assert mock.journal.count() == 300
    assert 1 / 1.3 < taken / mock.journal._bytes < 1.3


FIELDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "two": lambda n: {"first_name": f"Ada {n}"},
    "many": lambda n: {f"field_{n}_{i}": str(n + i) for i in range(1000)},
    "numbers": lambda n: {"x": [n + i + 0.5 for i in range(1000)]},
    "empty lists": lambda n: {"x": [[] for _ in range(1000)]},
    "objects": lambda n: {"x": [{f"name {n} {i}": None} for i in range(1000)]},
    "a text": lambda n: {"x": "a" * 10_000},
    "a text outside of ASCII": lambda n: {"x": "\u20ac" * 10_000},
}


@pytest.mark.parametrize("kind", FIELDS)
def test_the_bytes_of_crm_records_are_what_their_objects_take(kind: str) -> None:  # M27
    """75,000 fields were counted as their text."""
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))
    tenant = next(mock.store.tenants())
    mock.journal.add = lambda exchange: None  # type: ignore[method-assign] # the records alone are measured

    def create(numbers: range) -> None:
        for number in numbers:
            fields = {"email": "a@example.com", **FIELDS[kind](number)}
            body = msgspec.json.encode({"object": "contact", "fields": fields, "idempotency_key": f"key-{number}"})
            assert _send(mock, "/api/v1/crm/create-record", demo.token(1, 1, 1), [body]) == [200]

    create(range(5))
    while tenant.crm_records:
        tenant.crm_records.forget_oldest()
    taken = _taken(lambda: create(range(5, 25)))
    assert len(tenant.crm_records) == 20
    assert 1 / 1.5 < taken / tenant.crm_records._bytes < 1.3


TEXTS: dict[str, Callable[[int], dict[str, str]]] = {
    "none": lambda n: {},
    "short": lambda n: {"reason": f"asked {n}"},
    "full": lambda n: {"reason": f"{n:0200}", "summary": f"{n:01000}"},
    "outside of ASCII": lambda n: {"reason": f"{n}".ljust(200, "\u20ac"), "summary": f"{n}".ljust(1000, "\u20ac")},
}


@pytest.mark.parametrize(
    ("kind", "how"), [*((kind, "made") for kind in TEXTS), ("none", "imported"), ("outside of ASCII", "imported")]
)
def test_the_bytes_of_handoffs_and_audit_rows_are_what_their_objects_take(kind: str, how: str) -> None:  # M27
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))
    tenant = next(mock.store.tenants())
    mock.journal.add = lambda exchange: None  # type: ignore[method-assign] # the rows alone are measured
    bodies = [msgspec.json.encode(TEXTS[kind](number)) for number in range(60)]

    def make() -> None:
        assert set(_send(mock, HANDOFF, demo.token(1, 1, 1), bodies)) == {200}

    empty = dump(tenant)
    taken = _taken(make)
    rows = tenant
    if how == "imported":
        states = []

        def read(content: bytes) -> int:
            return _taken(lambda: states.append(mock.snapshots.read(msgspec.json.decode(content))))

        without = read(empty)
        taken, rows = read(dump(tenant)) - without, states[1]
    assert len(rows.handoffs) == len(rows.audit_log) == 60
    # A handoff and its audit row share their texts, and both histories count them.
    assert 0.8 < (rows.handoffs._bytes + rows.audit_log._bytes) / taken < 3


HEADERS = {
    "few": {"content-type": "text/plain", "date": "Thu, 01 Jan 1970 00:00:00 GMT"},
    "many": {f"{number:x}": "" for number in range(500)},
    "long": {"x": "y" * 4000},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_the_bytes_of_deliveries_are_what_their_objects_take(kind: str) -> None:  # M27
    """500 headers of a receiver were counted as their names, without the places in which they are kept."""
    kept: list[Delivery] = []

    def attempt(number: int) -> Attempt:
        headers = {f"{name}{number}"[:-1]: f"{value} " for name, value in HEADERS[kind].items()}
        body, error = "\u20ac" * 1000 + str(number), f"no answer: {number} {'e' * 100}"
        return Attempt(float(number), 200, error, 0.5, f"http://127.0.0.1:{number}/", {"x": "y"}, headers, body)

    def deliver() -> None:
        for number in range(6):
            made = [attempt(number * 10 + each) for each in range(6)]
            ids = [f"{number}{name}{'0' * 32}" for name in ("id", "webhook", "event")]
            body = b"{%d}" % number * 100
            kept.append(Delivery(ids[0], ids[1], "lead.created", ids[2], body, float(number), attempts=made))

    taken = _taken(deliver)
    assert 0.8 < sum(delivery.size() for delivery in kept) / taken < 1.5


def _send(mock: Mock, path: str, token: str, bodies: Iterable[bytes]) -> list[int]:
    """Each body to `path`, past httpx, which takes most of the time of a request in process."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return [
        mock.answer(Request("POST", path.encode(), path, b"", headers, dict(headers), body)).status for body in bodies
    ]


def test_ten_thousand_requests_leave_what_is_bounded_within_its_bounds() -> None:
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))
    tenant = next(mock.store.tenants())
    histories = (tenant.handoffs, tenant.audit_log, tenant.crm_records)
    for rows in histories:
        rows.max_rows = 500  # so that ten thousand are far beyond it
    record = b'{"object":"contact","fields":{"email":"a@example.com"},"idempotency_key":"%d"}'
    handoff, token = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff", demo.token(1, 1, 1)

    statuses = [
        *_send(mock, handoff, token, [b""] * 3_500),
        *_send(mock, "/api/v1/crm/create-record", token, [record % n for n in range(3_500)]),
        *_send(mock, "/api/v1/crm/create-record", "none", [b"{}"] * 3_000),
    ]
    assert statuses == [200] * 7_000 + [401] * 3_000
    assert [len(rows) for rows in histories] == [500] * 3
    assert [rows.dropped for rows in histories] == [3_000] * 3
    assert set(tenant.idempotency) == {record.idempotency_key for record in tenant.crm_records}
    # Of the tenant, and of nobody: what one of them does never drives the other's out.
    kept = list(mock.journal._by_id.values())
    assert len(kept) == 2 * journal.MAX_EXCHANGES
    assert sum(exchange.tenant is None for exchange in kept) == journal.MAX_EXCHANGES


def test_a_key_whose_record_is_forgotten_makes_a_new_one(api: httpx.Client, mock: Mock) -> None:
    next(mock.store.tenants()).crm_records.max_rows = 1

    def create(key: str) -> str:
        record = {"object": "contact", "fields": {"email": "ann@example.com"}, "idempotency_key": key}
        return str(api.post("/api/v1/crm/create-record", json=record).json()["external_id"])

    first = create("a")
    assert create("a") == first
    create("b")
    assert create("a") != first


def _busy(http: httpx.Client, name: str) -> Any:
    """A tenant with something of everything; its id."""
    tenant = http.post("/_mock/tenants", json={"name": name}).json()
    path, headers = f"/_mock/tenants/{tenant['id']}", {"Authorization": f"Bearer {tenant['keys']['full'][0]}"}
    events = ["conversation.handoff_requested"]
    http.post(f"{path}/webhooks", json={"target_url": "http://127.0.0.1:9/", "events": events})
    http.post(f"{path}/faults", json={"fault": "latency", "delay": "0s", "every": 1})
    for number in range(3):
        http.post(f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff", headers=headers)
        record = {"object": "contact", "fields": {"email": "a@example.com"}, "idempotency_key": str(number)}
        assert http.post("/api/v1/crm/create-record", json=record, headers=headers).json()["ok"]
    return tenant["id"]


@pytest.mark.parametrize("how", ["deleted", "deleted after a reset", "deleted after an import", "deleted with all"])
def test_a_tenant_that_is_removed_is_freed_at_once(http: httpx.Client, mock: Mock, how: str) -> None:  # M2
    """Not by the garbage collector, which runs seldom where the mock is a program."""
    tenant_id = _busy(http, how)
    path = f"/_mock/tenants/{tenant_id}"
    if how == "deleted after a reset":
        http.post(f"{path}/reset")
    if how == "deleted after an import":
        assert http.put(f"{path}/snapshot", json=http.get(f"{path}/snapshot").json()).status_code == 204
    tenant = weakref.ref(mock.store.tenant(tenant_id))
    assert tenant() is not None
    gc.collect()
    gc.disable()
    try:
        if how == "deleted with all":
            http.post("/_mock/reset", json={"all": True})
        else:
            http.delete(path)
        deadline = time.monotonic() + 5  # a thread may still be on its way out of a handler
        while tenant() is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert tenant() is None
    finally:
        gc.enable()


def test_keys_with_equal_beginnings_are_no_burden(http: httpx.Client, mock: Mock) -> None:  # M26
    """A look-up compares one key and not all that begin as it does; an import looks each up."""
    made = http.post("/_mock/tenants").json()
    path = f"/_mock/tenants/{made['id']}/snapshot"
    content = http.get(path).json()
    tokens = [f"vapk_live_{'0' * 40}{number:08x}" for number in range(MAX_KEYS)]
    content["keys"] = [{"id": f"k{number}", "token": token, "scopes": []} for number, token in enumerate(tokens)]
    calls = []

    def counted(one: bytes, other: bytes) -> bool:
        calls.append(one)
        return one == other

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "compare_digest", counted)
        for _ in range(2):  # the second finds each key as the tenant's own
            assert http.put(path, json=content).status_code == 204
        found = mock.store.by_token(tokens[-1])
    assert found is not None
    assert (found[0].id, found[1].id) == (made["id"], f"k{MAX_KEYS - 1}")
    assert len(calls) <= 2 * MAX_KEYS
    content["keys"].append({"id": "another", "token": f"vapk_live_{'1' * 48}", "scopes": []})
    refused = http.put(path, json=content)
    assert refused.status_code == 400
    assert "snapshot.keys: is too long; at most 10000 are allowed" in refused.json()["error"]["message"]
