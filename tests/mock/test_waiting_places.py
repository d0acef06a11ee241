"""The places for requests that wait are shared: nobody takes them all."""

from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.mock.waiting_places import MAX_WAITS, WaitingPlaces


def test_a_tenant_that_comes_late_has_a_place() -> None:
    places = WaitingPlaces()
    taken = []
    for owner in ("a", "b", "c", None):
        count = 0
        while places.take(owner):
            count += 1
        taken.append(count)
    assert taken[0] == MAX_WAITS * 3 // 4
    assert all(count > 0 for count in taken)


@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=60))
def test_no_place_is_lost(steps: list[tuple[str, bool]]) -> None:
    places, taken = WaitingPlaces(8), {"a": 0, "b": 0}
    for owner, take in steps:
        if take:
            taken[owner] += places.take(owner)
        elif taken[owner]:
            places.give_back(owner)
            taken[owner] -= 1
        assert places.free == 8 - sum(taken.values()) >= 0
    for owner, count in taken.items():
        for _ in range(count):
            places.give_back(owner)
    assert places.free == 8
    assert places.take("a")
