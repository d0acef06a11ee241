"""The core: a plain function of the mock's state and a request, with no other source of anything."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from vorel_mock import Mock, Settings
from vorel_mock.api.messages import Exchange, Request, Response, first_values
from vorel_mock.mock import demo

KEY = (b"authorization", b"Bearer " + demo.token(1, 1, 1).encode())
HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
CREATE = "/api/v1/crm/create-record"
RECORD = b'{"object": "contact", "fields": {"email": "a@example.com"}, "idempotency_key": "k"}'


def request(method: str, path: str, body: bytes = b"", *headers: tuple[bytes, bytes]) -> Request:
    return Request(method, path.encode(), path, b"", list(headers), first_values(list(headers)), body)


REQUESTS = [
    request("POST", HANDOFF, b"{}", KEY),
    request("POST", HANDOFF, b'{"reason": 5}', KEY),
    request("POST", HANDOFF, b"{}"),
    request("GET", HANDOFF, b"", KEY),
    request("POST", "/nothing", b"", KEY),
    request("POST", CREATE, RECORD, KEY),
    request("POST", CREATE, RECORD, KEY),
    request("POST", CREATE, RECORD, KEY, (b"prefer", b"code=429")),
    request("POST", HANDOFF, b"", KEY, (b"prefer", b"fault=latency")),
    request("POST", HANDOFF, b"", KEY, (b"prefer", b"fault=connection_reset_after_commit")),
    Request("", b"", "", b"", [], {}, malformed="Not a valid HTTP request."),
    Request("POST", b"", HANDOFF, b"", [KEY], {KEY[0]: KEY[1]}, unreadable="is longer than 1 MiB"),
]


@pytest.fixture
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No time, no thread, no socket, no event loop: each of them fails the test."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("the core may not do this")

    for module, name in (
        (time, "time"),
        (time, "monotonic"),
        (time, "sleep"),
        (socket, "socket"),
        (threading.Thread, "start"),
        (asyncio, "get_event_loop"),
        (asyncio, "get_running_loop"),
    ):
        monkeypatch.setattr(module, name, forbidden)
    yield
    monkeypatch.undo()


def _answered(mock: Mock) -> list[Exchange]:
    return [mock._core.answer(each, f"r{number}") for number, each in enumerate(REQUESTS)]


@pytest.mark.usefixtures("nothing_else")
def _data(response: Response | None) -> object:
    """Return a response without the handle by which a fault lets it go before its time."""
    assert response is not None
    how = response.transmission
    return response.status, response.body, response.headers, how and (how.delay, how.drip, how.end)


def test_it_takes_time_and_chance_from_clock_and_ids_alone() -> None:
    one, two = (_answered(Mock(Settings(seed=1, clock="frozen"))) for _ in range(2))
    assert [_data(exchange.response) for exchange in one] == [_data(exchange.response) for exchange in two]
    statuses = [exchange.response.status for exchange in one if exchange.response is not None]
    assert statuses == [200, 400, 401, 405, 404, 200, 200, 429, 200, 503, 400, 400]


def test_a_response_that_is_late_says_so_and_nobody_waits() -> None:
    exchange = _answered(Mock(Settings(seed=1, clock="frozen")))[8]
    assert exchange.response is not None
    assert exchange.response.transmission is not None
    assert exchange.response.transmission.delay == 1.0


def test_another_seed_gives_other_ids() -> None:
    one, two = (_answered(Mock(Settings(seed=seed, clock="frozen")))[0] for seed in (1, 2))
    assert one.response != two.response


def test_what_is_kept_of_a_request_does_not_change() -> None:
    """The journal is read without the lock."""
    mock = Mock(Settings(seed=1, clock="frozen"))
    first = mock._core.answer(REQUESTS[0], "r1")
    told = repr((first.response, first.reason, first.quota))
    for _ in range(3):
        _answered(mock)
    assert repr((first.response, first.reason, first.quota)) == told
