"""The limiter against a model of it: which request is refused, and what the headers say."""

from collections import Counter
from math import ceil, floor
from typing import Any

import httpx
import pytest
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

PER_KEY, PER_TENANT, WINDOW = 4, 7, 60
OWN = demo.lead_id(1, 1)
#: Three keys of one tenant, one of another. The third has no scope for createCrmRecord.
KEYS = {demo.token(1, 1, 1): 1, demo.token(1, 1, 2): 1, demo.token(1, 4, 1): 1, demo.token(2, 1, 1): 2}
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

#: What may be sent; all of it counts, whatever the answer.
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "handoff": (f"/api/v1/leads/{OWN}/handoff", {}),
    "nobody's lead": ("/api/v1/leads/ffffffff-ffff-4fff-8fff-ffffffffffff/handoff", {}),
    "malformed id": ("/api/v1/leads/none/handoff", {}),
    "record": ("/api/v1/crm/create-record", {"json": {"object": "contact", "fields": {}, "idempotency_key": "k"}}),
    "broken body": ("/api/v1/crm/create-record", {"content": b"{"}),
}


def _client(mock: Mock) -> httpx.Client:
    return httpx.Client(transport=MockTransport(App(mock)), base_url="http://127.0.0.1:3000")


class Limiter(RuleBasedStateMachine):
    """Requests and a clock that is moved, beside two counters."""

    def __init__(self, mock: Mock, client: httpx.Client) -> None:
        super().__init__()
        mock.reset()
        self.mock, self.client = mock, client
        self.counts: Counter[tuple[str, int]] = Counter()
        self.refused: tuple[str, int] | None = None

    @rule(key=st.sampled_from(sorted(KEYS)), kind=st.sampled_from(sorted(REQUESTS)))
    def send(self, key: str, kind: str) -> None:
        path, request = REQUESTS[kind]
        answer = self.client.post(path, headers={"Authorization": f"Bearer {key}"}, **request)
        now = self.mock.clock.now()
        window = floor(now / WINDOW)
        reset = (window + 1) * WINDOW
        buckets = [(key, PER_KEY), (f"tenant {KEYS[key]}", PER_TENANT)]
        for bucket, _ in buckets:
            self.counts[bucket, window] += 1
        over = [limit for bucket, limit in buckets if self.counts[bucket, window] > limit]
        told = tuple(int(answer.headers[name]) for name in HEADERS)
        if over:
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "rate_limited"
            assert told == (over[0], 0, reset)
            self.refused = key, int(answer.headers["Retry-After"])
            assert self.refused[1] == max(1, ceil(reset - now))
        else:
            assert answer.status_code in (200, 400, 403, 404)
            left, limit = min((limit - self.counts[bucket, window], limit) for bucket, limit in buckets)
            assert told == (limit, left, reset)
            assert "Retry-After" not in answer.headers

    @rule(token=st.sampled_from(["vapk_live_" + "0" * 48, demo.token(1, 6, 1), "x"]))
    def send_without_a_key(self, token: str) -> None:
        answer = self.client.post(REQUESTS["handoff"][0], headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert not set(HEADERS) & {name.title() for name in answer.headers}

    @rule(key=st.sampled_from(sorted(KEYS)))
    def send_where_nothing_is(self, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        assert self.client.post("/api/v1/none", headers=headers).status_code == 404
        assert self.client.get(REQUESTS["handoff"][0], headers=headers).status_code == 405

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 7.25, 29.999, 59, 60, 61, 3600]))
    def advance(self, seconds: float) -> None:
        self.mock.clock.advance(seconds)

    @rule(before=st.sampled_from([0, 0.001, 0.5, 1]))
    def go_to_the_end_of_the_window(self, before: float) -> None:
        now = self.mock.clock.now()
        self.mock.clock.advance(max(0.0, (floor(now / WINDOW) + 1) * WINDOW - before - now))

    @precondition(lambda self: self.refused is not None)
    @rule()
    def wait_as_long_as_told(self) -> None:
        assert self.refused is not None
        (key, seconds), self.refused = self.refused, None
        self.mock.clock.advance(seconds)
        window = floor(self.mock.clock.now() / WINDOW)
        if not self.counts[f"tenant {KEYS[key]}", window]:  # else others may have used it up
            self.send(key, "handoff")
            assert self.counts[key, window] == 1


def test_the_limiter_does_as_its_model() -> None:
    settings = Settings(
        seed=1, clock="frozen", rate_limit=PER_KEY, tenant_rate_limit=PER_TENANT, rate_limit_headers="always"
    )
    mock = Mock(settings)
    with _client(mock) as client:
        few = budget(max_examples=40, stateful_step_count=25, deadline=None)
        run_state_machine_as_test(lambda: Limiter(mock, client), settings=few)  # type: ignore[arg-type]  # it calls it


# The limits as they are when nothing is set.


def test_the_201st_request_of_a_window_is_refused(api: httpx.Client, mock: Mock, lead: str) -> None:
    mock.clock.advance(12.5)
    path = f"/api/v1/leads/{lead}/handoff"
    served = [api.post(path if n % 2 else "/api/v1/crm/create-record") for n in range(200)]
    assert {answer.status_code for answer in served} == {200, 400}
    assert not any(name.startswith("x-ratelimit") for answer in served for name in answer.headers)
    refused = api.post(path)
    assert refused.status_code == 429
    assert {name: refused.headers[name] for name in ("Retry-After", *HEADERS)} == {
        "Retry-After": "48",
        "X-RateLimit-Limit": "200",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(floor(mock.clock.now() / 60 + 1) * 60),
    }
    assert "200 requests a minute" in refused.json()["error"]["message"]
    other = {"Authorization": f"Bearer {demo.token(1, 1, 2)}"}
    assert api.post(path, headers=other).status_code == 200
    mock.clock.advance(47.4)
    assert api.post(path).headers["Retry-After"] == "1"
    mock.clock.advance(1)
    assert api.post(path).status_code == 200


@pytest.mark.parametrize(
    ("limits", "statuses"),
    [
        ({"rate_limit": 0, "tenant_rate_limit": 0}, [200] * 6),
        ({"rate_limit": 2, "tenant_rate_limit": 0}, [200, 200, 200, 200, 429, 429]),
        ({"rate_limit": 0, "tenant_rate_limit": 3}, [200, 200, 200, 429, 429, 429]),
        ({"rate_limit": 2, "tenant_rate_limit": 3}, [200, 200, 200, 429, 429, 429]),
        ({"rate_limit": 1, "tenant_rate_limit": 9}, [200, 200, 429, 429, 429, 429]),
    ],
)
def test_two_keys_of_a_tenant_in_turn(limits: dict[str, int], statuses: list[int]) -> None:
    with _client(Mock(Settings(seed=1, clock="frozen", **limits))) as client:  # type: ignore[arg-type]  # numbers only
        answers = [
            client.post(REQUESTS["handoff"][0], headers={"Authorization": f"Bearer {demo.token(1, 1, 1 + n % 2)}"})
            for n in range(6)
        ]
    assert [answer.status_code for answer in answers] == statuses


def test_without_a_limit_there_is_nothing_to_tell() -> None:
    settings = Settings(seed=1, clock="frozen", rate_limit_headers="always", rate_limit=0, tenant_rate_limit=0)
    with _client(Mock(settings)) as client:
        answer = client.post(REQUESTS["handoff"][0], headers={"Authorization": f"Bearer {demo.token(1, 1, 1)}"})
    assert answer.status_code == 200
    assert not any("ratelimit" in name for name in answer.headers)


def test_a_refused_request_does_nothing() -> None:
    mock = Mock(Settings(seed=1, clock="frozen", rate_limit=1))
    with _client(mock) as client:
        for _ in range(5):
            client.post(REQUESTS["handoff"][0], headers={"Authorization": f"Bearer {demo.token(1, 1, 1)}"})
    assert len(next(mock.store.tenants()).audit_log) == 1
