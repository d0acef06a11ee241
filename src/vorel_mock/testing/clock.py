"""A clock of the mock, for tests. It uses the control plane."""

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
from vorel_mock.testing.sides import Awaiting, Blocking, fetched, operation, waiting

#: Seconds that moving a clock may take: it waits for webhook attempts that become due, and receivers may be slow.
_SETTLING = 120.0


class ClockOperations:
    """What both kinds of clock do."""

    def __init__(self, connection: Connection, *path: str) -> None:
        self._connection = connection
        self._path = (*path, "clock")

    @fetched
    async def now(self) -> datetime:
        """Its time, in UTC."""
        return _moment(await self._connection.ask("GET", *self._path))

    @fetched
    async def frozen(self) -> bool:
        """True if it is frozen."""
        return bool((await self._connection.ask("GET", *self._path))["frozen"])

    @waiting
    async def advance(self, by: Duration) -> datetime:
        """Advance it by `61s`, `2h`, or a number of seconds. Returns its new time.

        When it returns, all webhook attempts that became due have been made. Raises ControlError `not_settled` if
        receivers are too slow for that; the clock has moved nevertheless.
        """
        return await self._change(advance=duration("advance", by))

    @waiting
    async def set(self, to: str | datetime) -> datetime:
        """Advance it to a time (RFC 3339, or a datetime with a time zone), as `advance` does. Returns its new time."""
        if not isinstance(to, (str, datetime)):
            raise TypeError(f"set: must be a datetime with a time zone, or RFC 3339 as a text, not {to!r}")
        return await self._change(set=moment_text(to))

    @operation
    async def freeze(self) -> datetime:
        """Freeze it. Returns its time."""
        return await self._change(freeze=True)

    @operation
    async def resume(self) -> datetime:
        """Resume it. Returns its time."""
        return await self._change(resume=True)

    async def _change(self, **change: Any) -> datetime:
        changed = await self._connection.ask("POST", *self._path, json=change, within=_SETTLING)
        if changed.get("settled") is False:
            message = (
                f"the clock shows {changed['now']}, but webhook attempts that are due by then have not been made: a "
                "receiver is too slow. Let it answer sooner, or make the tenant's webhook_timeout shorter"
            )
            raise ControlError(200, "not_settled", message)
        return _moment(changed)


class Clock(ClockOperations, Blocking):
    """The clock of a tenant, or of the whole mock. It moves forward only."""


class AsyncClock(ClockOperations, Awaiting):
    """A `Clock` whose operations are awaited."""


def _moment(clock: Json) -> datetime:
    return datetime.fromisoformat(clock["now"]).astimezone(UTC)
