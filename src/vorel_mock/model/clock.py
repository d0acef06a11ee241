"""The only source of time.

A clock shows seconds since the Unix epoch. It runs or it is frozen, and it can be moved, forward only.
A clock may take its time from another clock: a tenant's clock follows the mock's until it is frozen or moved itself.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

from vorel_mock.unpatched.clocks import steady_time

#: How far a clock may be moved: what a Date header, an RFC 3339 timestamp, and both some weeks later, can say.
LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class Clock:
    """A clock that can be frozen and moved.

    While it runs, its time is that of the clock it `follows`, or the machine's. With `at` (seconds since the epoch) it
    is frozen at that time.
    """

    __slots__ = ("_follows", "_frozen_at", "_offset", "_source")

    def __init__(self, follows: "Clock | None" = None, at: float | None = None) -> None:
        self._follows = follows
        self._source: Callable[[], float] = steady_time if follows is None else follows.now
        self._offset = 0.0
        self._frozen_at = at

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        if self._frozen_at is not None:
            return self._frozen_at
        return self._source() + self._offset

    @property
    def frozen(self) -> bool:
        """True if it is frozen, itself or because the clock that it follows is."""
        return self.held or (self._follows is not None and self._follows.frozen)

    @property
    def held(self) -> bool:
        """True if it is frozen itself."""
        return self._frozen_at is not None

    def freeze(self) -> None:
        """Freeze the clock."""
        self._frozen_at = self.now()

    def resume(self) -> None:
        """Run on from the time shown."""
        if self._frozen_at is not None:
            self._offset = self._frozen_at - self._source()
            self._frozen_at = None

    def set(self, moment: float, *, ahead: float = 0.0) -> None:
        """Move the clock forward to `moment` (seconds since the epoch). Raises ValueError if that is in the past."""
        now = self.now()
        if moment < now:
            raise ValueError(f"the clock runs forward only: {iso(moment)} lies before its time, {iso(now)}")
        self._move_to(moment, now, ahead)

    def advance(self, seconds: float, *, ahead: float = 0.0) -> None:
        """Move the clock forward by `seconds`. `ahead` is how far the furthest clock that follows it is in front of it.

        Raises ValueError if `seconds` is negative, or if this clock or that one would pass the year 9998.
        """
        if seconds < 0:
            raise ValueError(f"the clock runs forward only: cannot advance by {seconds:g} s")
        now = self.now()
        self._move_to(now + seconds, now, ahead)

    def _move_to(self, moment: float, now: float, ahead: float) -> None:
        if moment + ahead >= LATEST:
            raise ValueError(
                "clocks end with the year 9998" + (", and a tenant's is ahead of this one" if ahead else "")
            )
        if self._frozen_at is not None:
            self._frozen_at = moment
        else:
            self._offset += moment - now

    @property
    def position(self) -> tuple[float, float | None]:
        """How far it is ahead of the clock that it follows, in seconds, and the time at which it is frozen itself."""
        return self._offset, self._frozen_at

    def take_position(self, offset: float, frozen_at: float | None) -> None:
        """Take over the `position` of another clock."""
        self._offset, self._frozen_at = offset, frozen_at

    def restore(self, moment: float, *, frozen: bool) -> None:
        """Show `moment`, which may lie in the past, and freeze or run on: for restoring a snapshot."""
        self._frozen_at = moment
        if not frozen:
            self.resume()


class Timeline(Clock):
    """Shows the time of the clock that it follows, or the time that it is held at while something past is repeated."""

    __slots__ = ("_held_at", "_shown")

    def __init__(self, follows: Clock) -> None:
        super().__init__(follows)
        self._shown = follows
        self._held_at: float | None = None

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._shown.now() if self._held_at is None else self._held_at

    def hold_at(self, moment: float | None) -> None:
        """Show `moment` (seconds since the epoch) until this is called with None."""
        self._held_at = moment


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def parse_duration(text: str, *, least: float = 0.0, most: float = inf) -> float:
    """Return the seconds of `61s`, `2h`, `1h30m`, `500ms`, `1d`.

    Raises ValueError if it is not a duration, or not one of `least` to `most` seconds.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 61s, 2h, 1h30m or 500ms")
    seconds = float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if not least <= seconds <= most:
        lowest = f"{write_duration(least)} to " if least else "at most "
        raise ValueError(f"must be {lowest}{write_duration(most)}")
    return seconds


def write_duration(seconds: float) -> str:
    """`seconds` as `parse_duration` reads it, to the microsecond: `61s`, `0.25s`."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def iso(moment: float) -> str:
    """`moment` as RFC 3339 in UTC with milliseconds: `2026-11-23T06:51:00.000Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: RFC 3339, 5.6. Python reads a good deal more of ISO 8601: week dates, the basic format, a time without seconds.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def parse_iso(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 timestamp. Raises ValueError if it is invalid."""
    parts = _RFC_3339.fullmatch(text)
    leap = parts is not None and parts[1] == "60"
    try:
        if parts is None:
            raise ValueError
        moment = datetime.fromisoformat((text[:17] + "59" + text[19:] if leap else text).upper())
        if leap:  # the second after 23:59:59 UTC
            moment += timedelta(seconds=1)
            if moment.astimezone(UTC).strftime("%H%M%S") != "000000":
                raise ValueError
    except (ValueError, OverflowError):
        hint = "; it has no offset from UTC" if _RFC_3339.fullmatch(f"{text}Z") else ""
        raise ValueError(f"{text!r} is not an RFC 3339 timestamp such as 2027-01-01T00:00:00Z{hint}") from None
    if not 1970 <= moment.year <= 9998:  # what a Date header, a day later too, can say
        raise ValueError(f"{text!r} lies outside of the years 1970 to 9998")
    return max(0.0, moment.timestamp())
