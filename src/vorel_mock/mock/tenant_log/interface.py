"""The interface of the place where logs are kept. `sqlite_log` is a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Flags of tenants: it has deliveries to make; its clock is frozen, and is moved when the mock's is.
PENDING, FROZEN = 1, 2
#: The fact that is the number of the latest request.
NUMBER = "number"


class LogError(Exception):
    """The log cannot be used. The text says where it is, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Append:
    """An entry for the log of a tenant; `tenant_id` None: a request that is no tenant's, which is only numbered.

    `known` is the version of the tenant that the writer has.
    """

    tenant_id: str | None
    known: int
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


@dataclass(frozen=True, slots=True)
class Stored:
    """What a log has of a tenant: a checkpoint, and the entries behind it."""

    version: int
    checkpoint: bytes
    entries: Sequence[PlacedEntry]


@dataclass(slots=True)
class Changes:
    """What is written beside entries."""

    checkpoints: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """By tenant: version and checkpoint. Entries up to that version are no longer needed."""
    removed: set[str] = field(default_factory=set)
    tokens: dict[bytes, str | None] = field(default_factory=dict)
    """The tenant of the key whose token has that hash; None: of no key any more."""
    flags: dict[str, int] = field(default_factory=dict)
    """What a tenant must be found by while it is not in memory: PENDING, FROZEN, both or none."""
    facts: dict[str, bytes] = field(default_factory=dict)
    """What concerns the whole mock, by name. NUMBER is the number of the latest request."""


class Log(Protocol):
    """Logs of tenants, with an index of their keys. Used by one thread. Each method may raise LogError."""

    def facts(self) -> Mapping[str, bytes]:
        """Return what `Changes.facts` has set. Empty: the log is new."""

    def place(self, entries: Sequence[Append]) -> Sequence[Placed | None]:
        """Give each entry its place in order. None: there is no such tenant any more."""

    def commit(self, changes: Changes) -> None:
        """Write for good what was placed, and `changes`: all or nothing."""

    def load(self, tenant_id: str) -> Stored | None:
        """Return what there is of a tenant."""

    def owner(self, token: bytes) -> str | None:
        """Return the tenant that has the key whose token has that hash."""

    def tenant_ids(self) -> Sequence[str]:
        """Return the tenants, in the order in which they were made."""

    def flagged(self, flag: int) -> Sequence[str]:
        """Return the tenants that have a flag."""

    def close(self) -> None:
        """Let go of what it holds."""
