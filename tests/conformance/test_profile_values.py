"""Profiles with values that no run can use, and with members that contradict each other. K12, K34."""

from typing import Any

import pytest
from tests.conformance.reference.world import make_world

from vorel_conformance.http.target import TargetError, from_profile

WORLD = make_world()


def profile(**changes: Any) -> dict[str, Any]:
    keys, leads = dict(WORLD.profile["keys"]), dict(WORLD.profile["leads"])
    made: dict[str, Any] = {"keys": keys, "leads": leads}
    for name, value in changes.items():
        table, _, member = name.partition("__")
        made.setdefault(table, {})[member] = value
    return made


def test_the_profile_itself_is_right() -> None:
    assert from_profile(profile(), "http://127.0.0.1:1").own


@pytest.mark.parametrize("value", [1e300, float("inf"), float("nan"), -1, 0, True, "200", 1_000_001])
def test_a_limit_that_no_run_can_ask_for_is_named(value: Any) -> None:
    with pytest.raises(TargetError, match=r"rate_limit\.requests: must be a number above 0 and at most 1e\+06"):
        from_profile(profile(rate_limit__requests=value), "http://127.0.0.1:1")


@pytest.mark.parametrize("value", [1e9, float("inf"), float("nan"), 0])
def test_a_window_that_no_run_can_wait_for_is_named(value: Any) -> None:
    with pytest.raises(TargetError, match=r"rate_limit\.window_s: must be a number above 0 and at most 3600"):
        from_profile(profile(rate_limit__window_s=value), "http://127.0.0.1:1")


@pytest.mark.parametrize(
    "lead", ["../../admin", "x", "@evil.example", "${full.0}", "00000000-0000-0000-0000-00000000000/"]
)
@pytest.mark.parametrize("place", ["own", "foreign"])
def test_a_lead_that_is_no_id_is_named(place: str, lead: str) -> None:
    with pytest.raises(TargetError, match=rf"leads\.{place}: .* is not an id of a lead"):
        from_profile(profile(**{f"leads__{place}": [lead]}), "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"leads__foreign": [WORLD.profile["leads"]["own"][0].upper()]}, r"leads\.own and leads\.foreign: "),
        ({"keys__revoked": WORLD.profile["keys"]["full"][0]}, r"keys\.revoked and keys\.full: "),
        ({"keys__read_only": WORLD.profile["keys"]["revoked"]}, r"keys\.\w+ and keys\.\w+: have the same key"),
    ],
)
def test_members_that_contradict_each_other_are_both_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        from_profile(profile(**changes), "http://127.0.0.1:1")
