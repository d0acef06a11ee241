"""The journal of a tenant, for tests. It uses the control plane."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from vorel_mock.testing.connection import (
    SLACK,
    Connection,
    Json,
    duration,
    query,
    without_none,
)
from vorel_mock.testing.rows import Exchange, read_rows
from vorel_mock.testing.sides import Awaiting, Blocking, operation, waiting

Exchanges = list[Exchange]


class Filters(TypedDict, total=False):
    """Filters of the journal. `since` and `until` are times on the tenant's clock.

    None is the same as leaving it out.
    """

    operation: str | None
    status: int | None
    key_id: str | None
    since: str | datetime | None
    until: str | datetime | None
    contains: str | None
    limit: int | None


class RequestOperations:
    """What both kinds do."""

    def __init__(self, connection: Connection, headers: Callable[[], Mapping[str, str]], *path: str) -> None:
        self._connection = connection
        self._headers = headers
        self._path = path

    @operation
    async def list(self, **filters: Unpack[Filters]) -> Exchanges:
        """Return the exchanges that match, oldest first: `request`, `response`, `explanation`, …; redacted."""
        return read_rows(Exchange, await found(self._connection, (*self._path, "requests"), filters))

    @operation
    async def count(self, **filters: Unpack[Filters]) -> int:
        """Return the number of exchanges that match."""
        return int((await found(self._connection, (*self._path, "requests"), {**filters, "limit": 1}))["total"])

    @waiting
    async def wait(
        self,
        count: int = 1,
        timeout: float = 10.0,
        *,
        operation: str | None = None,
        status: int | None = None,
        key_id: str | None = None,
        contains: str | None = None,
    ) -> Exchanges:
        """Wait until `count` exchanges match, and return them. Raises ControlError 408 after `timeout` (at most 60 s).

        Use it if the program under test runs in parallel with the test.
        """
        wanted = without_none(operation=operation, status=status, key_id=key_id, contains=contains)
        wanted |= {"count": count, "timeout": duration("timeout", timeout)}
        path = (*self._path, "requests", "wait")
        return read_rows(Exchange, await self._connection.ask("POST", *path, json=wanted, within=timeout + SLACK))

    @operation
    async def har(self, **filters: Unpack[Filters]) -> Json:
        """Return the exchanges that match as HAR 1.2."""
        return dict(await found(self._connection, (*self._path, "requests.har"), filters))

    @operation
    async def clear(self) -> None:
        """Clear the journal of the tenant."""
        await self._connection.ask("DELETE", *self._path, "requests")

    @operation
    async def explain(
        self, path: str, *, method: str = "POST", headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Exchange:
        """Dry-run a request: return the exchange, as in `list`, without any effect.

        `headers` default to those of the tenant. `body` is a JSON value, or a text that is sent as it is.
        """
        wanted = {"path": path, "method": method, "headers": dict(self._headers() if headers is None else headers)}
        return Exchange(await self._connection.ask("POST", "explain", json=wanted | without_none(body=body)))


async def found(connection: Connection, path: tuple[str, ...], filters: Filters) -> Any:
    """Return what the journal at `path` has of the exchanges that match."""
    return await connection.ask("GET", *path, params=query(**filters))


class Requests(RequestOperations, Blocking):
    """The journal of a tenant: the requests with one of its keys, and the reason for each response."""


class AsyncRequests(RequestOperations, Awaiting):
    """`Requests` whose operations are awaited."""
