"""The interface of the place where tenants live. `vorel_mock.mock.store` has the implementations."""

from collections.abc import Iterator
from typing import Protocol

from vorel_mock.model.keys import ApiKey
from vorel_mock.model.tenant import Tenant


class Store(Protocol):
    """Tenants and their keys. The caller holds the mock's lock."""

    def tenant(self, tenant_id: str) -> Tenant | None:
        """Return the tenant with that id."""

    def tenants(self) -> Iterator[Tenant]:
        """Iterate over all tenants, in the order in which they were added."""

    def by_token(self, token: str) -> tuple[Tenant, ApiKey] | None:
        """Return the key with that token and its tenant. Tokens are compared completely and in constant time."""
