"""Time: a clock against a model of it, and what moves with it."""

import math
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vorel_mock.model.clock import LATEST, Clock, iso, parse_duration, parse_iso, write_duration

START = 1_700_000_000.0
SECONDS = st.floats(min_value=0, max_value=1e7, allow_nan=False).map(lambda x: round(x * 1024) / 1024)  # exact sums


class Machine(RuleBasedStateMachine):
    """A mock's clock, two that follow it, and what each of them must show."""

    def __init__(self) -> None:
        super().__init__()
        self.real = START
        mock = Clock()
        mock._source = lambda: self.real
        self.clocks = [mock, Clock(mock), Clock(mock)]
        self.shown = [START] * 3
        self.held = [False] * 3

    def _runs(self, number: int) -> bool:
        return not self.held[number] and not self.held[0]

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        for number in range(3):
            if self._runs(number):
                self.shown[number] += seconds
        self.real += seconds

    @rule(number=st.integers(0, 2))
    def freeze(self, number: int) -> None:
        self.clocks[number].freeze()
        self.held[number] = True

    @rule(number=st.integers(0, 2))
    def resume(self, number: int) -> None:
        self.clocks[number].resume()
        self.held[number] = False

    @rule(number=st.integers(0, 2), seconds=SECONDS, by_setting=st.booleans())
    def move(self, number: int, seconds: float, by_setting: bool) -> None:
        if by_setting:
            self.clocks[number].set(self.shown[number] + seconds)
        else:
            self.clocks[number].advance(seconds)
        self.shown[number] += seconds
        if number == 0:
            for follower in (1, 2):
                if not self.held[follower]:
                    self.shown[follower] += seconds

    @rule(number=st.integers(0, 2), seconds=SECONDS.filter(bool))
    def never_backwards(self, number: int, seconds: float) -> None:
        with pytest.raises(ValueError, match="forward only"):
            self.clocks[number].set(self.shown[number] - seconds)
        with pytest.raises(ValueError, match="forward only"):
            self.clocks[number].advance(-seconds)

    @rule(number=st.integers(0, 2))
    def never_beyond_the_end(self, number: int) -> None:
        with pytest.raises(ValueError, match="9998"):
            self.clocks[number].set(LATEST)

    @rule(number=st.integers(1, 2), moment=SECONDS, frozen=st.booleans())
    def taken_over(self, number: int, moment: float, frozen: bool) -> None:
        self.clocks[number].restore(START + moment, frozen=frozen)
        self.shown[number], self.held[number] = START + moment, frozen

    @invariant()
    def all_show_what_they_must(self) -> None:
        assert [clock.now() for clock in self.clocks] == self.shown
        assert [clock.held for clock in self.clocks] == self.held
        assert [clock.frozen for clock in self.clocks] == [not self._runs(number) for number in range(3)]


TestClock = Machine.TestCase
TestClock.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"])), min_size=1, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    assert math.isclose(
        parse_duration("".join(f"{number}{unit}" for number, unit in parts)),
        sum(number * units[unit] for number, unit in parts),
    )


@given(st.integers(0, 10**12))
def test_a_duration_is_written_as_it_is_read(microseconds: int) -> None:
    assert round(parse_duration(write_duration(microseconds / 1e6)) * 1e6) == microseconds


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "-1s", "+1s", "1s ", "1s\n", "1.s", ".5s", "1e3s", "٣s", "1w"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration such as 61s, 2h, 1h30m or 500ms"):
        parse_duration(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)))
def test_a_moment_is_read_as_it_is_written(moment: Any) -> None:
    seconds = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000).timestamp()
    assert abs(parse_iso(iso(seconds)) - seconds) < 0.002


# RFC 3339, 5.6, exactly. M13.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2027-01-01t00:00:00z", "2027-01-01T00:00:00.000Z"),
        ("2027-01-01T01:30:00+01:30", "2027-01-01T00:00:00.000Z"),
        ("2027-01-01T00:00:00.123456789Z", "2027-01-01T00:00:00.123Z"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000Z"),
        ("2027-01-01T00:59:60+01:00", "2027-01-01T00:00:00.000Z"),
    ],
)
def test_every_timestamp_of_rfc_3339_is_read(text: str, shown: str) -> None:
    assert iso(parse_iso(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2027-W01-1T00:00:00Z",
        "20270101T000000Z",
        "2027-01-01T00:00Z",
        "2027-01-01",
        "2027-01-01 00:00:00Z",
        "2027-01-01T00:00:00",
        "2027-01-01T00:00:00+0100",
        "2027-01-01T00:00:00,5Z",
        "2027-01-01T00:00:00.Z",
        "2027-01-01T24:00:00Z",
        "2027-01-01T12:00:60Z",
        "2027-02-29T00:00:00Z",
        "\uff12027-01-01T00:00:00Z",
        "",
    ],
)
def test_other_spellings_of_iso_8601_are_not(text: str) -> None:
    with pytest.raises(ValueError, match="is not an RFC 3339 timestamp such as"):
        parse_iso(text)
