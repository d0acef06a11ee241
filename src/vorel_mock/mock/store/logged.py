"""Tenants in memory whose log is kept elsewhere: notes what changed outside of the log, for the sequencer to write."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from vorel_mock.mock.store.memory import MemoryStore
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.tenant import Tenant


@dataclass(slots=True)
class Notes:
    """Changes that were made outside of the log."""

    changed: dict[str, Tenant] = field(default_factory=dict)
    """Tenants whose log goes on from a new checkpoint: made, imported or reset."""
    removed: set[str] = field(default_factory=set)
    tokens: dict[bytes, str | None] = field(default_factory=dict)
    """The tenant of each key that was added, None for one that was taken away, by the hash of the token."""


class LoggedStore(MemoryStore):
    """The tenants that are in memory, of all that there are. The caller holds the mock's lock."""

    def __init__(self) -> None:
        super().__init__()
        self._notes = Notes()
        self.ids: dict[str, None] = {}
        """All tenants, those outside of memory as well, as far as this process knows."""
        self._is_quiet = False
        self._counted: int | None = None

    def take_notes(self) -> Notes:
        """Return what was noted, to be written now."""
        taken, self._notes = self._notes, Notes()
        return taken

    def give_back(self, notes: Notes) -> None:
        """Note again what could not be written."""
        later = self._notes
        changed = {name: tenant for name, tenant in notes.changed.items() if name in self._tenants}
        self._notes = Notes(changed | later.changed, notes.removed | later.removed, notes.tokens | later.tokens)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Note nothing meanwhile: what changes is a copy of what the log has."""
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before

    def add(self, tenant: Tenant) -> None:
        """Add a tenant, as a MemoryStore does."""
        if tenant.id in self.ids and not self._is_quiet:
            raise ValueError(f"there is a tenant with the id {tenant.id}")
        super().add(tenant)
        if tenant.id not in self.ids:
            self._recount(+1)
        self.ids[tenant.id] = None
        self.note(tenant)

    def remove(self, tenant: Tenant) -> None:
        """Remove a tenant and its keys."""
        super().remove(tenant)
        if not self._is_quiet:
            self.ids.pop(tenant.id, None)
            self._recount(-1)
            self._notes.changed.pop(tenant.id, None)
            self._notes.removed.add(tenant.id)

    def note(self, tenant: Tenant) -> None:
        """Have the log of a tenant go on from a new checkpoint."""
        if not self._is_quiet:
            self._notes.changed[tenant.id] = tenant

    def forget_others(self, kept: Collection[str]) -> None:
        """Delete the tenants that are not in memory, but for those with the ids `kept`."""
        others = [each for each in self.ids if each not in self._tenants and each not in kept]
        for each in others:
            del self.ids[each]
        self._recount(-len(others))
        self._notes.removed.update(others)

    def index(self, tenant: Tenant, key: ApiKey) -> None:
        """Have a key be found by its token."""
        super().index(tenant, key)
        if not self._is_quiet:
            self._notes.tokens[token_hash(key.token)] = tenant.id

    def unindex(self, key: ApiKey) -> None:
        """Have a key be found no longer."""
        super().unindex(key)
        if not self._is_quiet:
            self._notes.tokens[token_hash(key.token)] = None

    @property
    def total(self) -> int:
        """The number of tenants, those outside of memory as well, as far as this process knows."""
        return len(self.ids) if self._counted is None else self._counted

    def _recount(self, more: int) -> None:
        """Keep a count that was taken right. A tenant that is read from the log is part of it."""
        if self._counted is not None and not self._is_quiet:
            self._counted += more

    def see(self, ids: Iterable[str]) -> None:
        """Note which tenants there are."""
        self.ids, self._counted = dict.fromkeys(ids), None

    def count(self, number: int) -> None:
        """Note how many tenants there are."""
        self._counted = number


def token_hash(token: str) -> bytes:
    """Return what a log finds a key by: it need not know the token."""
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16).digest()
