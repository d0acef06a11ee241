"""Tenants that expire, over HTTP: when, what renews them, and what is left of them."""

import gc
import threading
import weakref
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from vorel_mock.mock.mock import Mock
from vorel_mock.model import lease

Json = dict[str, Any]


class Hand:
    """The real time of leases, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(lease, "monotonic", hand)
    return hand


@pytest.fixture
def make(control: httpx.Client) -> Callable[..., Json]:
    def make(**wanted: Any) -> Json:
        answer = control.post("/_mock/tenants", json=wanted)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    return make


def handoff(http: httpx.Client, tenant: Json) -> int:
    path = f"/api/v1/leads/{tenant['leads']['own'][0]}/handoff"
    return http.post(path, headers={"Authorization": f"Bearer {tenant['keys']['full'][0]}"}).status_code


def path(tenant: Json) -> str:
    return f"/_mock/tenants/{tenant['id']}"


def test_it_goes_by_itself_and_frees_its_memory(control: httpx.Client, make: Callable[..., Json], mock: Mock) -> None:
    made = make(ttl="1s")
    gone = weakref.ref(mock.store.tenant(made["id"]))
    assert gone() is not None
    ends = monotonic() + 20
    while gone() is not None and monotonic() < ends:
        sleep(0.05)
    gc.collect()
    assert gone() is None
    assert control.get(path(made)).status_code == 404
    assert not [t for t in threading.enumerate() if t.name == "vorel-mock-expiry" and t is mock.expiry._thread]


def test_use_renews_it_and_disuse_ends_it(control: httpx.Client, make: Callable[..., Json], hand: Hand) -> None:
    used, looked_at, left_alone, lasting = make(ttl="10m"), make(ttl="10m"), make(ttl="10m"), make()
    for _ in range(3):
        hand.now += 500
        assert handoff(control, used) == 200
        shown = control.get(path(looked_at)).json()
        assert (shown["ttl"], shown["expires_in"]) == ("600s", "600s")
    assert control.get(path(left_alone)).status_code == 404
    assert handoff(control, left_alone) == 401
    hand.now += 600
    assert handoff(control, used) == 401
    known = {tenant["id"] for tenant in control.get("/_mock/tenants").json()["data"]}
    assert not known & {used["id"], looked_at["id"], left_alone["id"]}
    shown = control.get(path(lasting)).json()
    assert (shown["ttl"], shown["expires_in"]) == (None, None)


def test_a_list_and_an_unknown_key_renew_nothing(control: httpx.Client, make: Callable[..., Json], hand: Hand) -> None:
    made = make(ttl="60s")
    hand.now += 30
    control.get("/_mock/tenants")
    control.get("/_mock/health")
    before = control.get("/_mock/health").json()["tenants"]
    hand.now += 30
    assert control.get("/_mock/health").json()["tenants"] == before - 1
    assert control.get(path(made)).status_code == 404


def test_the_tenant_s_own_clock_has_no_part_in_it(control: httpx.Client, make: Callable[..., Json]) -> None:
    made = make(ttl="1h")
    control.post(f"{path(made)}/clock", json={"advance": "2d"})
    assert handoff(control, made) == 200


def test_patch_sets_and_removes_it(control: httpx.Client, make: Callable[..., Json], hand: Hand) -> None:
    made = make()
    assert control.patch(path(made), json={"ttl": "5m"}).json()["ttl"] == "300s"
    assert control.patch(path(made), json={"name": "x"}).json()["ttl"] == "300s"
    assert control.patch(path(made), json={"ttl": None}).json()["ttl"] is None
    hand.now += 1e6
    assert handoff(control, made) == 200
    assert control.post(f"{path(made)}/reset").status_code == 204
    control.patch(path(made), json={"ttl": "5m"})
    control.post(f"{path(made)}/reset")
    assert control.get(path(made)).json()["ttl"] == "300s", "it is no state"


@pytest.mark.parametrize("ttl", ["0s", "999ms", "31d", "soon", "", 5])
def test_what_it_may_be_is_said(control: httpx.Client, make: Callable[..., Json], ttl: Any) -> None:
    before = control.get("/_mock/health").json()["tenants"]
    for answer in (
        control.post("/_mock/tenants", json={"ttl": ttl}),
        control.patch(path(make()), json={"ttl": ttl}),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("ttl: must be ")
    assert control.get("/_mock/health").json()["tenants"] == before + 1


def test_a_demo_tenant_has_none(control: httpx.Client) -> None:
    demo = control.get("/_mock/target").json()["tenants"][0]
    answer = control.patch(path(demo), json={"ttl": "5m"})
    assert answer.status_code == 409
    assert "fork it" in answer.json()["error"]["message"]


def test_snapshots_and_forks_may_have_one(control: httpx.Client, make: Callable[..., Json], hand: Hand) -> None:
    original = make()
    snapshot = control.get(f"{path(original)}/snapshot").json()
    assert "ttl" not in snapshot
    made = [make(snapshot=snapshot, keys="fresh", ttl="60s"), make(fork=original["id"], ttl="60s")]
    assert [handoff(control, tenant) for tenant in made] == [200, 200]
    hand.now += 60
    assert [handoff(control, tenant) for tenant in [*made, original]] == [401, 401, 200]
