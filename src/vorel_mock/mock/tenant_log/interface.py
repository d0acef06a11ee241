"""The interface of the place where logs are kept. `sqlite_log` is a file, `redis_log` a server that many share."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Flags of tenants: it has deliveries to make; its clock is frozen, and is moved when the mock's is.
PENDING, FROZEN = 1, 2
#: The fact that is the number of the latest request.
NUMBER = "number"


class LogError(Exception):
    """The log cannot be used. The text says where it is, what is wrong, and what to do."""


class Behind(Exception):
    """Nothing was done, because others have replaced these tenants, or changed the facts, since they were read."""

    def __init__(self, tenants: Collection[str] = ()) -> None:
        super().__init__(*tenants)
        self.tenants = tenants
        """Empty: the facts were changed."""


@dataclass(frozen=True, slots=True)
class Known:
    """How far a process is in the log of a tenant. The epoch counts how often the tenant was replaced."""

    version: int = 0
    epoch: int = 1


@dataclass(frozen=True, slots=True)
class Append:
    """An entry for the log of a tenant; `tenant_id` None: a request that is no tenant's, which is only numbered."""

    tenant_id: str | None
    known: Known
    content: bytes
    is_request: bool


#: An entry of a log: its version, the number of the request that it is (0: it is none), its content.
PlacedEntry = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an entry has its place. `missed` are entries of others before it, which the writer does not have."""

    version: int
    number: int
    """The number of a request over all tenants; 0 if it is none."""
    missed: Sequence[PlacedEntry] = ()
    is_gone: bool = False
    """There is no such tenant any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a log has of a tenant: a checkpoint, and the entries behind it."""

    known: Known
    """Of the checkpoint."""
    checkpoint: bytes
    entries: Sequence[PlacedEntry]


@dataclass(frozen=True, slots=True)
class Flags:
    """What a tenant must be found by while it is not in memory."""

    pending: bool = False
    frozen: bool = False
    ttl: float | None = None
    """Seconds that it lives without being used."""


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """A tenant at `known`. Entries up to that version are no longer needed."""

    known: Known
    content: bytes
    is_made: bool = False
    """The tenant is new."""
    is_replaced: bool = False
    """The tenant has become another one: what others know of it does not count any more."""


@dataclass(slots=True)
class Changes:
    """What is written beside entries."""

    checkpoints: dict[str, NewCheckpoint] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    tokens: dict[bytes, str | None] = field(default_factory=dict)
    """The tenant of the key whose token has that hash; None: of no key any more."""
    flags: dict[str, tuple[int, Flags]] = field(default_factory=dict)
    """Of tenants, each with the version that has them."""
    facts: dict[str, bytes] = field(default_factory=dict)
    """What concerns the whole mock, by name. NUMBER is the number of the latest request."""


class Log(Protocol):
    """Logs of tenants, with an index of their keys. Used by one thread. Each method may raise LogError."""

    is_shared: bool
    """Other processes may use it at the same time."""

    def facts(self) -> Mapping[str, bytes]:
        """Return what `Changes.facts` has set. Empty: the log is new."""

    def place(self, entries: Sequence[Append]) -> Sequence[Placed]:
        """Give each entry its place in order. May raise Behind."""

    def read(self, tenants: Mapping[str, Known], used: Collection[str]) -> Mapping[str, Sequence[PlacedEntry] | None]:
        """Return the entries that are not known; None: the tenant is gone. May raise Behind.

        `used` are those that somebody uses now: their leases begin anew.
        """

    def commit(self, changes: Changes) -> Mapping[str, Known]:
        """Write for good what was placed, and `changes`: all or nothing. Returns where replaced tenants are now."""

    def load(self, tenant_id: str) -> Stored | None:
        """Return what there is of a tenant."""

    def owner(self, token: bytes) -> str | None:
        """Return the tenant that has the key whose token has that hash."""

    def tenant_ids(self) -> Sequence[str]:
        """Return the tenants, in the order in which they were made."""

    def count(self) -> int:
        """Return the number of tenants. Asks the place where the log is kept."""

    def flagged(self, flag: int) -> Sequence[str]:
        """Return the tenants that have a flag."""

    def claim(self, owned: Collection[str]) -> Collection[str]:
        """Return the tenants whose deliveries this process makes from now on: those of `owned`, and others.

        Call it every few seconds: a process that does not is taken for dead.
        """

    def ended(self) -> Collection[str]:
        """Return tenants whose lease has ended, if the log watches leases."""

    def draw(self) -> int:
        """Return the number of an id that no other process draws. Of a log that is shared, and from any thread."""

    def close(self) -> None:
        """Let go of what it holds."""
