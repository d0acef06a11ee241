"""The stubs of a tenant, for tests. It uses the control plane."""

from collections.abc import Mapping
from typing import Any, TypedDict

from vorel_mock.testing.connection import (
    Connection,
    Duration,
    Json,
    duration,
    id_of,
    without_none,
)
from vorel_mock.testing.rows import Stub, read_rows
from vorel_mock.testing.sides import Awaiting, Blocking, operation


class StubRequest(TypedDict, total=False):
    """The requests that a stub is for. What is left out may be anything."""

    operation: str
    """An operationId."""
    lead: Json | str
    """The lead in the path, as it is or by its id."""
    key: str
    """The id of a key, such as `full_1`."""
    headers: Mapping[str, str | None]
    """Name to the exact value; None: there is no such header."""
    body: Mapping[str, Any]
    """Name of a member, or JSON pointer, to its value."""
    nth: int
    """The Nth request that matches."""


class StubResponse(TypedDict, total=False):
    """The response: either `status`, with headers, body and delay, or `fault`, with its options."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """A JSON value, or a text that is sent as it is. Without it an error has the body of the contract."""
    delay: Duration
    fault: str
    """A fault of the catalogue."""
    retry_after: Duration
    location: str


class StubOperations:
    """What both kinds do."""

    def __init__(self, connection: Connection, *path: str) -> None:
        self._connection = connection
        self._path = (*path, "stubs")

    @operation
    async def add(
        self,
        response: StubResponse,
        request: StubRequest | None = None,
        *,
        times: int | None = None,
        unlawful: bool = False,
    ) -> Stub:
        """Have the requests that match get a response, and nothing be done. Returns the stub with its `id`.

        `times`: answer so many (default: without end; 1 with `nth`). Raises ControlError 400, with what the contract
        says, if it does not allow the response, unless `unlawful`.
        """
        meant: dict[str, Any] = dict(request or {})
        if "lead" in meant:
            meant["lead"] = id_of(meant["lead"])
        wished: dict[str, Any] = dict(response)
        for name in ("delay", "retry_after"):
            if name in wished:
                wished[name] = duration(name, wished[name])
        wanted = {"request": meant, "response": wished, "unlawful": unlawful, **without_none(times=times)}
        return Stub(await self._connection.ask("POST", *self._path, json=wanted))

    @operation
    async def list(self) -> list[Stub]:
        """Return the stubs, spent ones included, each with the requests that met it."""
        return read_rows(Stub, await self._connection.ask("GET", *self._path))

    @operation
    async def get(self, stub: Json | str) -> Stub:
        """Return one as it is now, given the result of `add` or its id: how often it was met, and by which requests."""
        return Stub(await self._connection.ask("GET", *self._path, id_of(stub)))

    @operation
    async def remove(self, stub: Json | str) -> None:
        """Remove one, given the result of `add` or its id."""
        await self._connection.ask("DELETE", *self._path, id_of(stub))

    @operation
    async def clear(self) -> None:
        """Remove all."""
        await self._connection.ask("DELETE", *self._path)


class Stubs(StubOperations, Blocking):
    """The stubs of a tenant: the responses that a test wishes for some requests."""


class AsyncStubs(StubOperations, Awaiting):
    """`Stubs` whose operations are awaited."""
