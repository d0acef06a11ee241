"""Tenants in memory, by id, and their keys, by token."""

from collections.abc import Collection, Iterator
from hmac import compare_digest

from vorel_mock.model.keys import ApiKey
from vorel_mock.model.tenant import Tenant

#: Characters of a token that may be shown: they tell keys apart and open nothing.
PREFIX = 22


class MemoryStore:
    """Tenants and their keys. The caller holds the mock's lock."""

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}
        # By the hash of the token, which Python keys with a secret of the process: how long a look-up takes tells
        # nothing about the tokens that exist. What has the same hash is compared completely.
        self._keys: dict[int, list[tuple[Tenant, ApiKey, bytes]]] = {}

    def add(self, tenant: Tenant) -> None:
        """Add a tenant with all its keys. Raises ValueError, and adds nothing, if its id or a token is taken."""
        if tenant.id in self._tenants:
            raise ValueError(f"there is a tenant with the id {tenant.id}")
        for key in tenant.keys.values():
            self._check_free(key)
        self._tenants[tenant.id] = tenant
        for key in tenant.keys.values():
            self.index(tenant, key)

    def note(self, tenant: Tenant) -> None:
        """Note that a tenant has become another one: for stores that keep it elsewhere as well."""

    def forget_others(self, kept: Collection[str]) -> None:
        """Delete the tenants that are kept elsewhere alone, but for those with the ids `kept`."""

    def remove(self, tenant: Tenant) -> None:
        """Remove a tenant and its keys."""
        del self._tenants[tenant.id]
        for key in tenant.keys.values():
            self.unindex(key)

    def index(self, tenant: Tenant, key: ApiKey) -> None:
        """Have `key` of `tenant` found by its token. Raises ValueError if another key has that token."""
        self._check_free(key)
        self._keys.setdefault(hash(key.token), []).append((tenant, key, key.token.encode()))

    def _check_free(self, key: ApiKey) -> None:
        owner = self.by_token(key.token)
        if owner is not None:  # one of the two would never be found again
            raise ValueError(f"the token of key {key.id} is that of key {owner[1].id} of tenant {owner[0].id}")

    def unindex(self, key: ApiKey) -> None:
        """Have `key` found no longer."""
        entries = self._keys.get(hash(key.token), [])
        entries[:] = [entry for entry in entries if entry[1] is not key]
        if not entries:
            self._keys.pop(hash(key.token), None)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """Return the tenant with that id."""
        return self._tenants.get(tenant_id)

    def tenants(self) -> Iterator[Tenant]:
        """Iterate over all tenants, in the order in which they were added."""
        return iter(self._tenants.values())

    @property
    def total(self) -> int:
        """The number of tenants."""
        return len(self._tenants)

    def by_token(self, token: str) -> tuple[Tenant, ApiKey] | None:
        """Return the key with that token and its tenant. Tokens are compared completely and in constant time."""
        for tenant, key, own in self._keys.get(hash(token), ()):
            if compare_digest(own, token.encode()):
                return tenant, key
        return None
