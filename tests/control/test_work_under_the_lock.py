"""What the control plane does while it holds the mock's lock, and a request while others wait, does not grow.

Counted in calls of functions, and not in time: the API waits for whoever holds the lock.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic, sleep
from types import FrameType
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests import checked_client as checked

from vorel_mock.api.messages import Request
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.stubs import Stub
from vorel_mock.model.webhooks import Attempt, Delivery

Json = dict[str, Any]

NIL = str(UUID(int=0))


class CountingLock:
    """The lock of a mock, which counts the calls that are made while it is held."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.calls = 0

    def __enter__(self) -> None:
        self._lock.__enter__()
        sys.setprofile(self._count)

    def __exit__(self, *raised: Any) -> None:
        sys.setprofile(None)
        self._lock.__exit__(*raised)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


@pytest.fixture
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))


def answer(mock: Mock, made: Json, path: str, body: Json) -> None:
    headers = [(b"authorization", f"Bearer {made['keys']['full'][0]}".encode()), (b"content-type", b"application/json")]
    request = Request("POST", path.encode(), path, b"", headers, dict(headers), json.dumps(body).encode())
    assert mock.answer(request).status == 200


def fill(mock: Mock, made: Json, first: int, last: int) -> None:
    """Handoffs, audit rows, records, deliveries, leads and an exchange for each, with those numbers."""
    for number in range(first, last):
        answer(mock, made, f"/api/v1/leads/{made['leads']['own'][0]}/handoff", {"reason": f"r{number}"})
        record = {"object": "contact", "fields": {"email": "a@example.com"}, "idempotency_key": str(number)}
        answer(mock, made, "/api/v1/crm/create-record", record)
        tenant = mock.store.tenant(made["id"])
        assert tenant is not None
        stub = {"request": {"key": "none"}, "response": {"status": 403, "body": {"a": [number]}}}
        tenant.stubs.append(Stub.of(str(UUID(int=number)), stub))
        attempts = [Attempt(0.0, 500, response_headers={"x": "y"}) for _ in range(6)]
        tenant.deliveries.append(
            Delivery(str(UUID(int=number)), NIL, "lead.created", NIL, b"{}", 0.0, attempts=attempts)
        )


READS: dict[str, Callable[[httpx.Client, Json], httpx.Response]] = {
    "handoffs": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/handoffs"),
    "audit log": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/audit-log"),
    "CRM records": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/crm-records"),
    "requests": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/requests"),
    "the latest request": lambda control, made: control.get("/_mock/requests?limit=1"),
    "requests that match": lambda control, made: control.get("/_mock/requests?contains=r7"),
    "HAR": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/requests.har"),
    "wait": lambda control, made: control.post(f"/_mock/tenants/{made['id']}/requests/wait", json={"count": 5}),
    "deliveries": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/deliveries"),
    "stubs": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/stubs"),
    "snapshot": lambda control, made: control.get(f"/_mock/tenants/{made['id']}/snapshot"),
    "explain": lambda control, made: control.post(
        "/_mock/explain",
        json={
            "path": f"/api/v1/leads/{made['leads']['own'][0]}/handoff",
            "headers": {"Authorization": f"Bearer {made['keys']['full'][0]}"},
        },
    ),
}


@pytest.mark.parametrize("what", READS)
def test_what_is_done_under_the_lock_does_not_grow_with_what_is_kept(mock: Mock, what: str) -> None:  # M6
    with checked.client(mock) as control:
        made = control.post("/_mock/tenants").json()
        lock = CountingLock(mock.lock)
        counts = []
        for first, last in ((0, 55), (55, 120)):
            fill(mock, made, first, last)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(mock, "lock", lock)
                lock.calls = 0
                assert READS[what](control, made).is_success
            counts.append(lock.calls)
    assert counts[0] > 0
    # Deliveries and stubs change while they are sent: each is copied, a thousand and two hundred at most. A request
    # is compared with each stub.
    copied = {"deliveries": 8, "stubs": 8, "snapshot": 16, "explain": 36}
    most = max(20, 65 * copied.get(what, 0))
    assert counts[1] - counts[0] <= most


@contextmanager
def waits(control: httpx.Client, mock: Mock, made: Json, number: int) -> Iterator[None]:
    """That many requests that wait for what never comes."""

    def wait() -> None:
        control.post(f"/_mock/tenants/{made['id']}/requests/wait", json={"count": 10_000, "timeout": "60s"})

    threads = [Thread(target=wait) for _ in range(number)]
    for thread in threads:
        thread.start()
    deadline = monotonic() + 20
    while len(mock.journal._waits.get(made["id"], [])) < number:
        assert monotonic() < deadline
        sleep(0.005)
    try:
        yield
    finally:
        mock.stop()
        for thread in threads:
            thread.join(20)


def calls_of_a_handoff(mock: Mock, made: Json) -> int:
    """The calls that one takes, once it is no more the first."""
    counts = []
    for _ in range(3):
        calls = 0

        def count(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            answer(mock, made, f"/api/v1/leads/{made['leads']['own'][0]}/handoff", {})
        finally:
            sys.setprofile(None)
        counts.append(calls)
    return min(counts)


def test_waits_cost_a_comparison_for_each_request_of_their_tenant_and_nothing_for_others(mock: Mock) -> None:  # M29
    with checked.client(mock) as control:
        busy, other = (control.post("/_mock/tenants").json() for _ in range(2))
        before = [calls_of_a_handoff(mock, made) for made in (busy, other)]
        with waits(control, mock, busy, 40):
            after = [calls_of_a_handoff(mock, made) for made in (busy, other)]
    assert after[1] - before[1] <= 2
    assert after[0] - before[0] <= 40 * 12
