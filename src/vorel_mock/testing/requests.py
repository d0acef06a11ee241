"""The journal of a tenant, for tests. It uses the control plane."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from vorel_mock.testing.connection import (
    SLACK,
    Connection,
    Json,
    Rows,
    duration,
    moment_text,
    rows,
    without_none,
)


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


class Requests:
    """The journal of a tenant: the requests with one of its keys, and the reason for each response."""

    def __init__(self, connection: Connection, headers: Callable[[], Mapping[str, str]], *path: str) -> None:
        self._connection = connection
        self._headers = headers
        self._path = path

    def list(self, **filters: Unpack[Filters]) -> Rows:
        """Return the exchanges that match, oldest first: `request`, `response`, `explanation`, …; redacted."""
        return rows(self._find("requests", filters))

    def count(self, **filters: Unpack[Filters]) -> int:
        """Return the number of exchanges that match."""
        return int(self._find("requests", {**filters, "limit": 1})["total"])

    def wait(
        self,
        count: int = 1,
        timeout: float = 10.0,
        *,
        operation: str | None = None,
        status: int | None = None,
        key_id: str | None = None,
        contains: str | None = None,
    ) -> Rows:
        """Wait until `count` exchanges match, and return them. Raises ControlError 408 after `timeout` (at most 60 s).

        Use it if the program under test runs in parallel with the test.
        """
        wanted = without_none(operation=operation, status=status, key_id=key_id, contains=contains)
        wanted |= {"count": count, "timeout": duration("timeout", timeout)}
        path = (*self._path, "requests", "wait")
        return rows(self._connection.ask("POST", *path, json=wanted, timeout=timeout + SLACK))

    def har(self, **filters: Unpack[Filters]) -> Json:
        """Return the exchanges that match as HAR 1.2."""
        return dict(self._find("requests.har", filters))

    def clear(self) -> None:
        """Clear the journal of the tenant."""
        self._connection.ask("DELETE", *self._path, "requests")

    def explain(
        self, path: str, *, method: str = "POST", headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Json:
        """Dry-run a request: return the exchange, as in `list`, without any effect.

        `headers` default to those of the tenant. `body` is a JSON value, or a text that is sent as it is.
        """
        wanted = {"path": path, "method": method, "headers": dict(self._headers() if headers is None else headers)}
        return dict(self._connection.ask("POST", "explain", json=wanted | without_none(body=body)))

    def _find(self, what: str, filters: Filters) -> Any:
        params = {
            name: moment_text(value) if isinstance(value, datetime) else value
            for name, value in without_none(**filters).items()
        }
        return self._connection.ask("GET", *self._path, what, params=params)
