"""A client of the control plane, for a running mock and for one in process."""

from datetime import datetime
from typing import Any, Generic, TypeVar, Unpack

from vorel_mock.server.app import App
from vorel_mock.testing.clock import AsyncClock, Clock
from vorel_mock.testing.connection import Connection, Json
from vorel_mock.testing.requests import Filters, Pattern, found, mark, verified
from vorel_mock.testing.rows import EventKind, Exchange, Fault, TenantSettings, read_rows
from vorel_mock.testing.sides import AwaitingManager, BlockingManager, operation
from vorel_mock.testing.tenant import AsyncTenant, Tenant, TenantOperations, created
from vorel_mock.testing.tenant import found as found_tenant

T = TypeVar("T", bound=TenantOperations)


class ControlOperations(Generic[T]):
    """What both kinds of client do."""

    _kind: type[T]

    def __init__(self, where: str | App | Connection, token: str | None = None) -> None:
        self._connection = where if isinstance(where, Connection) else Connection(where, token)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    @property
    def base_url(self) -> str:
        """The URL of the mock."""
        return self._connection.base_url

    @operation
    async def new_tenant(self, /, **settings: Any) -> T:
        """Create a tenant: `name`, `rate_limit`, `tenant_rate_limit`, `crm`, `notified_channel`, `seed`, `leads`, …

        All settings are optional. The schema NewTenant of the control plane describes them. `snapshot=…` makes it what
        a snapshot says; with `keys="fresh"`, any number of tenants can be made of one. `ttl="10m"` has it deleted when
        there has been no request for that long. Raises ControlError if a setting is invalid; the message names it.
        """
        return self._kind(self._connection, await created(self._connection, settings))

    @operation
    async def tenant(self, tenant_id: str) -> T:
        """Return the tenant with this id. The control token opens each, a tenant token its own.

        Raises ControlError if there is none, or the token does not open it.
        """
        return self._kind(self._connection, await found_tenant(self._connection, tenant_id))

    @operation
    async def tenants(self) -> list[TenantSettings]:
        """Return the settings of every tenant, the demo tenants first."""
        return read_rows(TenantSettings, await self._connection.ask("GET", "tenants"))

    @operation
    async def health(self) -> Json:
        """Return version, contract, seed and clock."""
        return dict(await self._connection.ask("GET", "health"))

    @operation
    async def target(self) -> Json:
        """Return the target profile of the fixtures, or the demo tenants: base URL, keys, leads."""
        return dict(await self._connection.ask("GET", "target"))

    @operation
    async def faults(self) -> list[Fault]:
        """Return the catalogue of faults: `id`, `sentence`, `stage`, …"""
        return read_rows(Fault, await self._connection.ask("GET", "faults"))

    @operation
    async def requests(self, **filters: Unpack[Filters]) -> list[Exchange]:
        """Return the exchanges of all tenants that match, and those without a valid key, oldest first."""
        return read_rows(Exchange, await found(self._connection, ("requests",), filters))

    @operation
    async def mark(self) -> str:
        """Return a mark: `since=mark` has `verify` and `requests` see only what comes from now on."""
        return await mark(self._connection)

    @operation
    async def verify(
        self, *in_order: Json, since: str | datetime | None = None, **wanted: Unpack[Pattern]
    ) -> list[Exchange]:
        """Verify which requests the whole mock received, as `Requests.verify` does for a tenant."""
        return await verified(self._connection, (), in_order, since, wanted)

    @operation
    async def events(self) -> list[EventKind]:
        """Return the events of webhooks, each with the JSON Schema of its data and an example."""
        return read_rows(EventKind, await self._connection.ask("GET", "events"))

    @operation
    async def clear_requests(self) -> None:
        """Clear the journal of the whole mock."""
        await self._connection.ask("DELETE", "requests")

    @operation
    async def reset(self, *, everything: bool = False) -> None:
        """Restore the initial state of the demo tenants, or of the fixtures, whose file is read again.

        With `everything`, delete all other tenants. Raises ControlError, and nothing changes, if the file is wrong.
        """
        await self._connection.ask("POST", "reset", json={"all": everything})


class Control(ControlOperations[Tenant], BlockingManager):
    """The control plane of a mock at a base URL. `token` is its control token, if it requires one; or a tenant token.

    Close it, or use it in `with`. Raises ValueError if the URL or the token is invalid.
    """

    _kind = Tenant

    def __init__(self, where: str | App | Connection, token: str | None = None) -> None:
        super().__init__(where, token)
        self.clock = Clock(self._connection)
        """The clock that the clocks of all tenants follow."""

    @property
    def asynchronous(self) -> "AsyncControl":
        """The same for a running event loop."""
        return AsyncControl(self._connection)

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class AsyncControl(ControlOperations[AsyncTenant], AwaitingManager):
    """A `Control` whose operations are awaited. Close it, or use it in `async with`."""

    _kind = AsyncTenant

    def __init__(self, where: str | App | Connection, token: str | None = None) -> None:
        super().__init__(where, token)
        self.clock = AsyncClock(self._connection)
        """The clock that the clocks of all tenants follow."""

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Not awaited: it waits for nothing."""
        self._connection.close()
