"""A client of the control plane. Works against a running mock and in process alike."""

from email.utils import parsedate_to_datetime
from typing import Any, Unpack

import httpx

from vorel_mock.testing.clock import Clock
from vorel_mock.testing.connection import Connection, Json, Rows, rows
from vorel_mock.testing.requests import Filters, Requests
from vorel_mock.testing.tenant import Tenant


class Control:
    """The control plane of a mock at a base URL, or behind an httpx client. `token` is its control token, if any.

    Close it, or use it in `with`. ValueError when the URL, or the token, is none.
    """

    def __init__(self, where: str | httpx.Client, token: str | None = None) -> None:
        self._connection = Connection(where, token)
        self.clock = Clock(self._connection)
        """The clock that the clocks of all tenants follow."""

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Control({self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the mock is."""
        return self._connection.base_url

    def new_tenant(self, **settings: Any) -> Tenant:
        """A new world: `name`, `rate_limit`, `tenant_rate_limit`, `crm`, `notified_channel`, `seed`, `leads`, …

        All of them are optional, and told by the schema NewTenant in the control plane's documentation. ControlError
        names what cannot be had.
        """
        response = self._connection.exchange("POST", "tenants", json=settings)
        return Tenant(self._connection, response.json(), parsedate_to_datetime(response.headers["Date"]))

    def tenants(self) -> Rows:
        """The settings of every tenant, those of the demo world first."""
        return rows(self._connection.ask("GET", "tenants"))

    def health(self) -> Json:
        """Version, contract, seed, clock."""
        return dict(self._connection.ask("GET", "health"))

    def target(self) -> Json:
        """The target profile of the demo world: base URL, keys, leads."""
        return dict(self._connection.ask("GET", "target"))

    def faults(self) -> Rows:
        """The catalogue of faults: `id`, `sentence`, `stage`, …"""
        return rows(self._connection.ask("GET", "faults"))

    def requests(self, **filters: Unpack[Filters]) -> Rows:
        """The exchanges of all tenants that match, and those that came without a valid key; oldest first."""
        return Requests(self._connection, {}).list(**filters)

    def reset(self, *, everything: bool = False) -> None:
        """The demo world back to its start; with `everything`, other tenants go."""
        self._connection.ask("POST", "reset", json={"all": everything})

    def close(self) -> None:
        """Close the connection. Receivers are their tenants'."""
        self._connection.close()
