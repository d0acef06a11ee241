"""The mock without a socket: httpx clients that lead into it."""

from typing import Any

import httpx

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.control_client import Control
from vorel_mock.testing.tenant import Tenant
from vorel_mock.testing.transport import AsyncMockTransport, MockTransport

# A port where nothing listens: a client without the transport is refused, and does not reach another mock.
_BASE_URL = "http://127.0.0.1:1"


class InProcessMock:
    """`with InProcessMock() as mock:` and then `mock.client(tenant)`. Webhooks leave through real sockets all the same.

    `settings` are those of `vorel_mock.Settings`: `seed`, `clock`, `rate_limit`, …; Raises TypeError for an
    unknown one or a wrong type, ValueError for an invalid value.
    """

    def __init__(self, **settings: Any) -> None:
        self._app = App(Mock(Settings(**settings)))
        self._http = self.client()
        self.control = Control(self._http, self._app.mock.control_token)
        """Its control plane."""

    def __enter__(self) -> "InProcessMock":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The base of URLs. Nothing listens there."""
        return _BASE_URL

    def new_tenant(self, **settings: Any) -> Tenant:
        """Create a tenant, see `Control.new_tenant`."""
        return self.control.new_tenant(**settings)

    def client(self, tenant: Tenant | None = None, **options: Any) -> httpx.Client:
        """An httpx.Client that leads into the mock, with the tenant's key; `options` are those of httpx."""
        return httpx.Client(transport=MockTransport(self._app), **_options(tenant, options))

    def async_client(self, tenant: Tenant | None = None, **options: Any) -> httpx.AsyncClient:
        """The same for asynchronous code."""
        return httpx.AsyncClient(transport=AsyncMockTransport(self._app), **_options(tenant, options))

    def close(self) -> None:
        """End its threads. Clients that were asked for have to be closed by the caller."""
        self._http.close()
        self._app.stop()


def _options(tenant: Tenant | None, options: dict[str, Any]) -> dict[str, Any]:
    headers = httpx.Headers(tenant.headers if tenant is not None else {})
    headers.update(options.get("headers"))
    return {"base_url": _BASE_URL, **options, "headers": headers}
