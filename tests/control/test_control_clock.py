"""What moves with the clock: limits, Date, Retry-After, audit times, the journal, webhooks."""

import socket
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import httpx
import pytest
from tests import checked_client as checked

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.clock import parse_iso
from vorel_mock.server.app import App
from vorel_mock.testing import Control, ControlError

Json = dict[str, Any]


@pytest.fixture
def made(control: httpx.Client) -> Json:
    return dict(control.post("/_mock/tenants", json={"rate_limit": 2}).json())


@pytest.fixture
def tenant(made: Json) -> str:
    return f"/_mock/tenants/{made['id']}"


def handoff(http: httpx.Client, made: Json) -> httpx.Response:
    path = f"/api/v1/leads/{made['leads']['own'][0]}/handoff"
    return http.post(path, headers={"Authorization": f"Bearer {made['keys']['full'][0]}"})


def date(answer: httpx.Response) -> float:
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


@pytest.mark.parametrize("whole", [False, True])
def test_a_limited_key_is_served_after_a_minute(control: httpx.Client, made: Json, tenant: str, whole: bool) -> None:
    clock = "/_mock/clock" if whole else f"{tenant}/clock"
    control.post(clock, json={"advance": "13.25s"})
    assert [handoff(control, made).status_code for _ in range(3)] == [200, 200, 429]
    limited = handoff(control, made)
    now = parse_iso(control.get(f"{tenant}/clock").json()["now"])
    assert date(limited) == int(now)
    reset = int(limited.headers["X-RateLimit-Reset"])
    assert reset % 60 == 0
    assert int(limited.headers["Retry-After"]) == 47  # 46.75, rounded up
    control.post(clock, json={"advance": "46.5s"})
    still = handoff(control, made)
    assert (still.status_code, still.headers["Retry-After"], still.headers["X-RateLimit-Reset"]) == (
        429,
        "1",
        str(reset),
    )
    control.post(clock, json={"advance": "250ms"})
    served = handoff(control, made)
    assert (served.status_code, date(served)) == (200, reset)


def test_times_are_the_tenant_s(control: httpx.Client, made: Json, tenant: str) -> None:
    moment = "2031-02-03T04:05:06.000Z"
    assert control.post(f"{tenant}/clock", json={"set": moment}).json() == {
        "now": moment,
        "frozen": True,
        "settled": True,
    }
    control.post(f"{tenant}/faults", json={"fault": "latency", "delay": "0s"})
    answer = handoff(control, made)
    assert date(answer) == parse_iso(moment)
    (row,) = control.get(f"{tenant}/audit-log").json()["data"]
    (asked,) = control.get(f"{tenant}/handoffs").json()["data"]
    (kept,) = control.get(f"{tenant}/requests").json()["data"]
    (armed,) = control.get(f"{tenant}/faults").json()["data"]
    assert [row["at"], asked["requested_at"], kept["at"], armed["consumed"][0]["at"]] == [moment] * 4
    assert control.get("/_mock/clock").json()["now"] < moment


def test_the_mock_s_clock_moves_every_tenant_s_by_as_much(control: httpx.Client, made: Json, tenant: str) -> None:
    other = f"/_mock/tenants/{control.post('/_mock/tenants').json()['id']}"
    control.post(f"{tenant}/clock", json={"advance": "1h"})
    control.post(f"{tenant}/clock", json={"freeze": True})
    before = [parse_iso(control.get(f"{path}/clock").json()["now"]) for path in ("/_mock", tenant, other)]
    control.post("/_mock/clock", json={"advance": "1d"})
    after = [parse_iso(control.get(f"{path}/clock").json()["now"]) for path in ("/_mock", tenant, other)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [86400.0] * 3


def test_a_tenant_s_clock_runs_or_stands_by_itself() -> None:
    with checked.client(Mock(Settings(seed=1))) as control:
        tenant = f"/_mock/tenants/{control.post('/_mock/tenants').json()['id']}"
        held = control.post(f"{tenant}/clock", json={"freeze": True}).json()
        assert held["frozen"]
        assert control.get(f"{tenant}/clock").json() == held
        assert not control.get("/_mock/clock").json()["frozen"]
        assert control.post(f"{tenant}/clock", json={"resume": True}).json()["frozen"] is False
        assert control.post("/_mock/clock", json={"freeze": True}).json()["frozen"]
        assert control.get(f"{tenant}/clock").json()["frozen"]
        assert control.post("/_mock/clock", json={"resume": True}).json()["frozen"] is False


def test_no_clock_gets_beyond_the_end_by_any_way(control: httpx.Client, made: Json, tenant: str) -> None:
    assert control.post(f"{tenant}/clock", json={"set": "9998-12-31T23:59:00Z"}).status_code == 200
    for change in ({"advance": "61s"}, {"set": "2999-01-01T00:00:00Z"}):
        answer = control.post("/_mock/clock", json=change)
        assert answer.status_code == 400
        assert "a tenant's is ahead" in answer.json()["error"]["message"]
    assert handoff(control, made).status_code == 200
    assert control.post(f"{tenant}/clock", json={"resume": True}).status_code == 200
    assert control.get("/_mock/tenants").status_code == 200


@pytest.mark.parametrize("whole", [False, True])
def test_a_clock_that_was_moved_says_whether_the_due_attempts_were_made(
    control: httpx.Client, mock: Mock, tenant: str, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    clock = "/_mock/clock" if whole else f"{tenant}/clock"
    assert control.post(clock, json={"advance": "1s"}).json()["settled"] is True
    with socket.create_server(("127.0.0.1", 0)) as hangs:  # accepts, and never answers
        port = hangs.getsockname()[1]
        hook = {"target_url": f"http://127.0.0.1:{port}/", "events": ["conversation.handoff_requested"]}
        control.patch(tenant, json={"webhook_timeout": "1h"})
        assert control.post(f"{tenant}/webhooks", json=hook).status_code == 201
        # Neither freezing nor resuming makes anything due: they would take the 90 s that moving the clock may take.
        for change in ({"freeze": True}, {"resume": True}):
            changed = control.post(clock, json=change, timeout=60)
            assert changed.status_code == 200
            assert "settled" not in changed.json()
        monkeypatch.setattr("vorel_mock.mock.mock.SETTLE_TIMEOUT", 0.01)
        for move in ({"advance": "1s"}, {"set": "2026-01-02T00:00:00Z"}):
            moved = control.post(clock, json=move)
            assert (moved.status_code, moved.json()["settled"]) == (200, False)
        with Control(App(mock)) as client, pytest.raises(ControlError) as raised:
            client.clock.advance("1s")
        assert raised.value.code == "not_settled"
        assert "a receiver is too slow" in str(raised.value)
        mock.stop()


def test_a_mock_that_ends_lets_go_of_whoever_moves_its_clock(control: httpx.Client, mock: Mock, tenant: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        port = hangs.getsockname()[1]
        hook = {"target_url": f"http://127.0.0.1:{port}/", "events": ["conversation.handoff_requested"]}
        control.patch(tenant, json={"webhook_timeout": "1h"})
        control.post(f"{tenant}/webhooks", json=hook)
        told: list[Any] = []
        mover = threading.Thread(
            target=lambda: told.append(control.post(f"{tenant}/clock", json={"advance": "1s"}, timeout=60))
        )
        mover.start()
        with hangs.accept()[0]:
            mock.stop()
            mover.join(30)
        assert [answer.json()["settled"] for answer in told] == [False]


class Receiver(ThreadingHTTPServer):
    """Answers every webhook with `status`, and remembers what came."""

    daemon_threads = True
    status = 503

    def __init__(self) -> None:
        self.received: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("whole", [False, True])
def test_due_attempts_have_been_made_when_the_call_returns(
    control: httpx.Client, mock: Mock, made: Json, tenant: str, receiver: Receiver, whole: bool
) -> None:
    clock = "/_mock/clock" if whole else f"{tenant}/clock"
    subscription = {
        "target_url": f"http://127.0.0.1:{receiver.server_port}/",
        "events": ["conversation.handoff_requested"],
    }
    control.post(f"{tenant}/webhooks", json=subscription)
    control.post(clock, json={"advance": "0s"})
    assert len(receiver.received) == 1  # the test event, once
    handoff(control, made)
    for step, attempts in (("0s", 1), ("4.9s", 1), ("100ms", 2), ("30s", 3), ("12m", 5), ("1h", 6), ("9h", 6)):
        control.post(clock, json={"advance": step})
        delivery = control.get(f"{tenant}/deliveries").json()["data"][-1]
        assert len(delivery["attempts"]) == attempts, step
    assert delivery["state"] == "dead"
    assert len(receiver.received) == 12
    at = [parse_iso(attempt["at"]) for attempt in delivery["attempts"]]
    assert [round(b - a) for a, b in pairwise(at)] == [5, 30, 120, 600, 1800]
    mock.stop()


def test_since_the_time_that_a_row_shows_the_row_is_found(control: httpx.Client, mock: Mock) -> None:
    tenant = control.post("/_mock/tenants").json()
    path = f"/_mock/tenants/{tenant['id']}"
    clock = mock.tenants()[-1].clock
    clock.freeze()
    clock.restore(1_800_000_000.9 - 2.4e-7, frozen=True)  # shown as .900: a quarter of a microsecond later
    control.post(f"{path}/handoffs", json={"lead_id": tenant["leads"]["own"][0]})
    (row,) = control.get(f"{path}/handoffs").json()["data"]
    assert row["requested_at"].endswith(".900Z")
    assert control.get(f"{path}/handoffs", params={"since": row["requested_at"]}).json()["data"] == [row]
