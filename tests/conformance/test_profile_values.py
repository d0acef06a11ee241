"""Profiles with values that no run can use, and with members that contradict each other. K12, K33, K34."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.conformance.hostile import hostile, response
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


FULL, BURST = WORLD.profile["keys"]["full"], WORLD.profile["keys"]["burst"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keys__full": [FULL[0], FULL[1], FULL[0]]}, r"keys\.full\[0\] and keys\.full\[2\]: the same key twice"),
        ({"keys__burst": [BURST[0], FULL[1]]}, r"keys\.full\[1\] and keys\.burst\[1\]: the same key; a burst needs"),
        ({"keys__burst": [BURST[1], BURST[1]]}, r"keys\.burst\[0\] and keys\.burst\[1\]: the same key; a burst needs"),
        ({"keys__leads_only": BURST[0]}, r"keys\.burst\[0\] and keys\.leads_only: the same key; a burst needs"),
        ({"keys__full": [FULL[0], "two words"]}, r"keys\.full\[1\]: an invalid character; allowed: printable ASCII"),
        (
            dict.fromkeys(("soft_failures__a", "soft_failures__b"), "vapk_test_x"),
            r"soft_failures\.a and soft_failures\.b: the same",
        ),
        ({"soft_failures__No CRM": FULL[0]}, r"soft_failures: 'No CRM' is not an error of the CRM"),
        ({"soft_failures__../x": FULL[0], "soft_failures__": FULL[0]}, r"soft_failures: ''.*; soft_failures: '\.\./x'"),
        ({"keys__ful": [], "keys__bursts": [], "leads__owned": []}, r"keys\.bursts.*; .*keys\.ful\b.*; .*leads\.owned"),
    ],
)
def test_each_wrong_member_is_named(changes: dict[str, Any], said: str) -> None:  # K12
    with pytest.raises(TargetError, match=said):
        from_profile(profile(**changes), "http://127.0.0.1:1")


@pytest.mark.parametrize("key", ["vapk_live_" + "0" * 47 + "1", "password", "vapk_live_" + "abc" * 16, "undefined"])
def test_a_key_that_is_too_plain_is_a_warning_and_accuses_nobody(
    kit: Callable[..., Result], tmp_path: Path, key: str
) -> None:  # K33
    message = "00000000-0000-4000-8000-000000000001 undefined: no password 000000000000000001 abcabcabcabcabcabc"
    body = json.dumps({"error": {"code": "bad_request", "message": message}}).encode()
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"keys": {"full": [key]}, "rate_limit": {"requests": 1000, "window_s": 1}}))
    with hostile(response(body, "Connection: close", status="400 Bad Request")) as server:
        command = ("server", server.base_url, "--target", path, "--rate", 100_000)
        result = kit(*command, "--clauses", "envelope.message-safe", "--max-requests", 20)
    assert "keys.full[0]: so plain that a response may contain the same by chance" in result.output
    assert "1 clause passed" in result.output, result.output


def test_a_key_with_random_digits_is_searched_for(kit: Callable[..., Result], tmp_path: Path) -> None:  # K33
    key = FULL[0]
    body = json.dumps({"error": {"code": "bad_request", "message": f"no {key[-12:]}"}}).encode()
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"keys": {"full": [key]}, "rate_limit": {"requests": 1000, "window_s": 1}}))
    with hostile(response(body, "Connection: close", status="400 Bad Request")) as server:
        command = ("server", server.base_url, "--target", path, "--rate", 100_000)
        result = kit(*command, "--clauses", "envelope.message-safe", "--max-requests", 20)
    assert result.exit_code == 1, result.output
    assert "so plain" not in result.output
    assert "the response repeats the credential" in result.output
