"""The mock without a socket: httpx clients that call it directly."""

from typing import Any

import httpx

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing import api_client
from vorel_mock.testing.channels import IN_PROCESS_URL
from vorel_mock.testing.control_client import Control
from vorel_mock.testing.tenant import Tenant, TenantOperations


class InProcessMock:
    """A mock in this process: `with InProcessMock() as mock:`, then `mock.client(tenant)`.

    Webhooks still use real sockets. `settings` are those of `vorel_mock.Settings`: `seed`, `clock`, `rate_limit`, …
    Raises TypeError for an unknown setting or a wrong type, ValueError for an invalid value.
    """

    def __init__(self, **settings: Any) -> None:
        self._app = App(Mock(Settings(**settings)))
        self.control = Control(self._app, self._app.mock.control_token)
        """Its control plane."""

    def __enter__(self) -> "InProcessMock":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The base of URLs. Nothing listens there."""
        return IN_PROCESS_URL

    def new_tenant(self, **settings: Any) -> Tenant:
        """Create a tenant, see `Control.new_tenant`."""
        return self.control.new_tenant(**settings)

    def client(self, tenant: TenantOperations | None = None, **options: Any) -> httpx.Client:
        """Return an httpx.Client that calls the mock with the tenant's key. `options` are those of httpx.Client."""
        return api_client.client(self._app, IN_PROCESS_URL, _headers(tenant), options)

    def async_client(self, tenant: TenantOperations | None = None, **options: Any) -> httpx.AsyncClient:
        """Return an httpx.AsyncClient, as `client` does."""
        return api_client.async_client(self._app, IN_PROCESS_URL, _headers(tenant), options)

    def close(self) -> None:
        """End its threads, and requests that wait for their response with a ReadError."""
        self.control.close()
        self._app.stop()


def _headers(tenant: TenantOperations | None) -> dict[str, str]:
    return {} if tenant is None else tenant.headers
