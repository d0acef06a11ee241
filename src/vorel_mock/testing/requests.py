"""The journal of a tenant, for tests. It uses the control plane."""

from collections.abc import Callable, Mapping
from datetime import datetime
from json import dumps
from typing import Any, TypedDict, Unpack

from vorel_mock.testing.connection import (
    SLACK,
    Connection,
    ControlError,
    Json,
    duration,
    moment_text,
    query,
    without_none,
)
from vorel_mock.testing.rows import Exchange, read_rows
from vorel_mock.testing.sides import Awaiting, Blocking, operation, waiting

Exchanges = list[Exchange]


class Filters(TypedDict, total=False):
    """Filters of the journal. `since` is a mark, or as `until` a time on the tenant's clock.

    None is the same as leaving it out.
    """

    operation: str | None
    status: int | None
    key_id: str | None
    since: str | datetime | None
    until: str | datetime | None
    contains: str | None
    limit: int | None


class Pattern(TypedDict, total=False):
    """What a request must have, and how many must have come. None is the same as leaving it out."""

    operation: str | None
    lead: str | None
    """The id of the lead in its path."""
    key: str | None
    """The id of its key, such as `full_1`."""
    headers: Mapping[str, str | None] | None
    """Name to the exact value; None: there is no such header."""
    body: Mapping[str, Any] | None
    """Name of a member, or JSON pointer, to its value: an object has these members at least."""
    exactly: int | None
    at_least: int | None
    never: bool | None


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
        lead: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        body: Mapping[str, Any] | None = None,
        since: str | datetime | None = None,
    ) -> Exchanges:
        """Wait until `count` exchanges match, and return them. Raises ControlError 408 after `timeout` (at most 60 s).

        Use it if the program under test runs in parallel with the test. `lead`, `headers` and `body` as in `verify`.
        `since` is a mark: what came before it does not count.
        """
        wanted = without_none(operation=operation, status=status, key_id=key_id, contains=contains, since=_text(since))
        wanted |= without_none(lead=lead, headers=headers, body=body)
        wanted |= {"count": count, "timeout": duration("timeout", timeout)}
        path = (*self._path, "requests", "wait")
        return read_rows(Exchange, await self._connection.ask("POST", *path, json=wanted, within=timeout + SLACK))

    @operation
    async def mark(self) -> str:
        """Return a mark: `since=mark` has `wait`, `verify`, `list` and `count` see only what comes from now on."""
        return await mark(self._connection)

    @operation
    async def verify(
        self, *in_order: Json, since: str | datetime | None = None, **wanted: Unpack[Pattern]
    ) -> Exchanges:
        """Verify that a request came: `verify(operation="handoffLead", body={"reason": "no-response-7d"})`.

        At least one that matches, unless `exactly`, `at_least` or `never` says otherwise. Objects with the same
        members, without names, must have come in this order: `verify({"operation": …}, {"operation": …})`. Returns
        the exchanges that match. Raises AssertionError, which shows the nearest requests and where they differ.
        """
        return await verified(self._connection, self._path, in_order, since, wanted)

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


async def mark(connection: Connection) -> str:
    """Return the mark of the newest request of the mock."""
    return str((await connection.ask("GET", "requests", "mark"))["mark"])


async def verified(
    connection: Connection,
    path: tuple[str, ...],
    in_order: tuple[Json, ...],
    since: str | datetime | None,
    wanted: Pattern,
) -> Exchanges:
    """Return the exchanges that match, of the journal at `path`. Raises AssertionError if they are not as expected."""
    if in_order and wanted:
        raise TypeError("verify: takes one pattern by names, or several as objects, not both")
    if not all(isinstance(each, dict) for each in in_order):
        raise TypeError('verify: a pattern is an object: {"operation": "handoffLead"}')
    marked = without_none(since=_text(since))
    patterns = [{**marked, **without_none(**each)} for each in (in_order or [wanted])]
    json = patterns if in_order else patterns[0]
    try:
        return read_rows(Exchange, await connection.ask("POST", *path, "requests", "verify", json=json))
    except ControlError as error:
        if error.status != 409:
            raise
        raise AssertionError(_told(error.body)) from None


def _told(missed: Json) -> str:
    """Return why a verification does not hold: what was expected, and the nearest requests with their differences."""
    lines = [missed["problem"]]
    lines += [f"expected: {dumps(missed['wanted'], ensure_ascii=False)}"] if missed["wanted"] else []
    if not missed["compared"]:
        lines.append("no request came")
    if missed["nearest"]:
        differs = missed["nearest"][0]["differences"]
        lines.append(f"nearest of {missed['compared']}:" if differs else "these match:")
    for near in missed["nearest"]:
        lines.append(f"  {near['id']} {near['method']} {near['path']} -> {near['status'] or 'no answer'}")
        lines += [
            f"    {each['place']}: wanted {each['wanted']}, found {each['found']}" for each in near["differences"]
        ]
    return "\n".join(lines)


def _text(moment: str | datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)


async def found(connection: Connection, path: tuple[str, ...], filters: Filters) -> Any:
    """Return what the journal at `path` has of the exchanges that match."""
    return await connection.ask("GET", *path, params=query(**filters))


class Requests(RequestOperations, Blocking):
    """The journal of a tenant: the requests with one of its keys, and the reason for each response."""


class AsyncRequests(RequestOperations, Awaiting):
    """`Requests` whose operations are awaited."""
