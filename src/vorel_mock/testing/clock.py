"""A clock of the mock, as a test wants to hold it."""

from datetime import UTC, datetime
from typing import Any

from vorel_mock.testing.connection import (
    Connection,
    ControlError,
    Duration,
    Json,
    duration,
    moment_text,
)

#: Seconds that moving a clock may take: the webhook attempts that become due are made, and receivers may be slow.
_SETTLING = 120.0


class Clock:
    """A clock of the mock: a tenant's, or that of all. Forward only."""

    def __init__(self, connection: Connection, *path: str) -> None:
        self._connection = connection
        self._path = (*path, "clock")

    @property
    def now(self) -> datetime:
        """The time that it shows, in UTC."""
        return _moment(self._connection.ask("GET", *self._path))

    @property
    def frozen(self) -> bool:
        """True if it is frozen."""
        return bool(self._connection.ask("GET", *self._path)["frozen"])

    def advance(self, by: Duration) -> datetime:
        """Advance it by `61s`, `2h`, or a number of seconds; return its new time.

        All webhook attempts that are due by then have been made when this returns. Raises ControlError `not_settled` if
        receivers are too slow for that; the clock has moved nevertheless.
        """
        return self._change(advance=duration("advance", by))

    def set(self, to: str | datetime) -> datetime:
        """Advance it to a time (RFC 3339, or a datetime with a time zone), as `advance` does; return its new time."""
        if not isinstance(to, (str, datetime)):
            raise TypeError(f"set: must be a datetime with a time zone, or RFC 3339 as a text, not {to!r}")
        return self._change(set=moment_text(to))

    def freeze(self) -> datetime:
        """Freeze it; return its time."""
        return self._change(freeze=True)

    def resume(self) -> datetime:
        """Resume it; return its time."""
        return self._change(resume=True)

    def _change(self, **change: Any) -> datetime:
        changed = self._connection.ask("POST", *self._path, json=change, timeout=_SETTLING)
        if changed.get("settled") is False:
            message = (
                f"the clock shows {changed['now']}, but webhook attempts that are due by then have not been made: a "
                "receiver is too slow. Let it answer sooner, or make the tenant's webhook_timeout shorter"
            )
            raise ControlError(200, "not_settled", message)
        return _moment(changed)


def _moment(clock: Json) -> datetime:
    return datetime.fromisoformat(clock["now"]).astimezone(UTC)
