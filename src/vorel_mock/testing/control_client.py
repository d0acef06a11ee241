"""A client of the control plane, for a running mock and for one in process."""

from email.utils import parsedate_to_datetime
from typing import Any, Unpack

import httpx

from vorel_mock.testing.clock import Clock
from vorel_mock.testing.connection import SNAPSHOT_TIMEOUT, Connection, Json, Rows, rows
from vorel_mock.testing.requests import Filters, Requests
from vorel_mock.testing.tenant import Tenant


class Control:
    """The control plane of a mock at a base URL, or behind an httpx client. `token` is its control token, if any.

    Close it, or use it in `with`. Raises ValueError if the URL or the token is invalid.
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
        """The URL of the mock."""
        return self._connection.base_url

    def new_tenant(self, **settings: Any) -> Tenant:
        """Create a tenant: `name`, `rate_limit`, `tenant_rate_limit`, `crm`, `notified_channel`, `seed`, `leads`, …

        All settings are optional. The schema NewTenant of the control plane describes them. `snapshot=…` makes it what
        a snapshot says; with `keys="fresh"`, any number of tenants can be made of one. Raises ControlError if a setting
        is invalid; the message names it.
        """
        response = self._connection.exchange("POST", "tenants", json=settings, timeout=SNAPSHOT_TIMEOUT)
        return Tenant(self._connection, response.json(), parsedate_to_datetime(response.headers["Date"]))

    def tenants(self) -> Rows:
        """Return the settings of every tenant, the demo tenants first."""
        return rows(self._connection.ask("GET", "tenants"))

    def health(self) -> Json:
        """Return version, contract, seed and clock."""
        return dict(self._connection.ask("GET", "health"))

    def target(self) -> Json:
        """Return the target profile of the demo tenants: base URL, keys, leads."""
        return dict(self._connection.ask("GET", "target"))

    def faults(self) -> Rows:
        """Return the catalogue of faults: `id`, `sentence`, `stage`, …"""
        return rows(self._connection.ask("GET", "faults"))

    def requests(self, **filters: Unpack[Filters]) -> Rows:
        """Return the exchanges of all tenants that match, and those without a valid key, oldest first."""
        return Requests(self._connection, dict).list(**filters)

    def reset(self, *, everything: bool = False) -> None:
        """Restore the initial state of the demo tenants; with `everything`, delete all others."""
        self._connection.ask("POST", "reset", json={"all": everything})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
