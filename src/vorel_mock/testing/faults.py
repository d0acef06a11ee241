"""The faults of a tenant, for tests. It uses the control plane."""

from vorel_mock.testing.connection import (
    Connection,
    Duration,
    Json,
    duration,
    id_of,
    without_none,
)
from vorel_mock.testing.rows import ArmedFault, read_rows
from vorel_mock.testing.sides import Awaiting, Blocking, operation


class FaultOperations:
    """What both kinds do."""

    def __init__(self, connection: Connection, *path: str) -> None:
        self._connection = connection
        self._path = (*path, "faults")

    @operation
    async def arm(
        self,
        fault: str,
        *,
        next: int | None = None,
        every: int | None = None,
        after: int | None = None,
        chance: float | None = None,
        operation: str | None = None,
        delay: Duration | None = None,
        retry_after: Duration | None = None,
        location: str | None = None,
    ) -> ArmedFault:
        """Arm a fault of the catalogue. Returns it with its `id`.

        `after`: skip the first N matching requests. `every`: then fail every Nth. `chance`: fail each with this
        probability from 0 to 1, drawn from the seed. `next`: stop after N failures (default 1; unlimited with `every`
        or `chance`). `operation`: only requests to this operationId match. `delay`: for faults that take time.
        `retry_after`: what a 429 tells to wait. `location`: the base URL that a redirect names.
        """
        wanted = without_none(
            next=next, every=every, after=after, chance=chance, operation=operation, location=location
        )
        for name, value in (("delay", delay), ("retry_after", retry_after)):
            if value is not None:
                wanted[name] = duration(name, value)
        return ArmedFault(await self._connection.ask("POST", *self._path, json={"fault": fault, **wanted}))

    @operation
    async def armed(self) -> list[ArmedFault]:
        """Return the armed faults, spent ones included, each with the requests that consumed it."""
        return read_rows(ArmedFault, await self._connection.ask("GET", *self._path))

    @operation
    async def disarm(self, armed: Json | str) -> None:
        """Disarm one, given the result of `arm` or its id."""
        await self._connection.ask("DELETE", *self._path, id_of(armed))

    @operation
    async def clear(self) -> None:
        """Disarm all."""
        await self._connection.ask("DELETE", *self._path)


class Faults(FaultOperations, Blocking):
    """The faults of a tenant. `Control.faults()` lists the catalogue."""


class AsyncFaults(FaultOperations, Awaiting):
    """`Faults` whose operations are awaited."""
