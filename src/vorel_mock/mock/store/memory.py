"""The model in memory: tenants by id, keys by the prefix of their token."""

from collections.abc import Iterator
from hmac import compare_digest

from vorel_mock.model.keys import ApiKey
from vorel_mock.model.tenant import Tenant

#: Characters of a token that a look-up goes by; the whole token is compared all the same.
PREFIX = 22


class MemoryStore:
    """Tenants and their keys."""

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}
        self._keys: dict[str, list[tuple[Tenant, ApiKey]]] = {}

    def add(self, tenant: Tenant) -> None:
        """Add a tenant with all its keys. ValueError, and nothing is added, when its id or a token is taken."""
        if tenant.id in self._tenants:
            raise ValueError(f"there is a tenant of the id {tenant.id}")
        for key in tenant.keys.values():
            self._refuse_taken(key)
        self._tenants[tenant.id] = tenant
        for key in tenant.keys.values():
            self.index(tenant, key)

    def remove(self, tenant: Tenant) -> None:
        """Forget a tenant and its keys."""
        del self._tenants[tenant.id]
        for key in tenant.keys.values():
            self.unindex(key)

    def index(self, tenant: Tenant, key: ApiKey) -> None:
        """Make `key` of `tenant` found by its token. ValueError when another key has that token."""
        self._refuse_taken(key)
        self._keys.setdefault(key.token[:PREFIX], []).append((tenant, key))

    def _refuse_taken(self, key: ApiKey) -> None:
        owner = self.by_token(key.token)
        if owner is not None:  # one of the two would never be found again
            raise ValueError(f"the token of key {key.id} is that of key {owner[1].id} of tenant {owner[0].id}")

    def unindex(self, key: ApiKey) -> None:
        """Have `key` found no longer."""
        entries = self._keys.get(key.token[:PREFIX], [])
        entries[:] = [entry for entry in entries if entry[1] is not key]
        if not entries:
            self._keys.pop(key.token[:PREFIX], None)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant of that id, if there is one."""
        return self._tenants.get(tenant_id)

    def tenants(self) -> Iterator[Tenant]:
        """Every tenant, in the order in which they were added."""
        return iter(self._tenants.values())

    def by_token(self, token: str) -> tuple[Tenant, ApiKey] | None:
        """Whose key this is. Tokens are compared whole and in constant time: an equal prefix is not enough."""
        given = token.encode()
        for tenant, key in self._keys.get(token[:PREFIX], ()):
            if compare_digest(key.token.encode(), given):
                return tenant, key
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._tenants.clear()
        self._keys.clear()
