"""Armed faults: which requests of a tenant shall meet one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, Self

#: Faults that one tenant may have; those that are spent make room.
MAX_FAULTS = 200
#: Requests that met it, which an armed fault keeps: the latest.
MAX_CONSUMED = 100
#: Seconds: a client that still waits after a month has waited long enough.
LONGEST_DELAY = 30 * 86400.0
#: Seconds that a 429 may tell to wait: a window of the limit has as many.
LONGEST_RETRY_AFTER = 60.0
#: Characters of the base URL that a redirect names.
LONGEST_LOCATION = 500


@dataclass(frozen=True, slots=True)
class Consumption:
    """A fault that was met. `at` is seconds since the epoch."""

    request_id: str
    at: float


@dataclass(slots=True)
class ArmedFault:
    """A fault of the catalogue, waiting for the requests that it is for.

    Of the requests that match, the first `after` pass; of the rest every `every`-th, or each with probability `chance`,
    meets it; and at most `next` do (None: no end).
    """

    id: str
    fault: str
    operation: str | None = None
    next: int | None = None
    every: int = 1
    after: int = 0
    chance: float | None = None
    delay: float | None = None
    """Seconds, for the faults that take time; None is the fault's own."""
    retry_after: float | None = None
    """Seconds that a 429 tells to wait; None is until the end of the window."""
    location: str | None = None
    """Base URL that a redirect names; None is the fault's own."""
    seen: int = 0
    met: int = 0
    consumed: list[Consumption] = field(default_factory=list)

    def meets(self, operation: str, draw: Callable[[int], float]) -> bool:
        """Count a request to `operation`; whether it meets the fault. `draw(n)` is the n-th of numbers in [0, 1)."""
        if self.spent or self.operation not in (None, operation):
            return False
        self.seen += 1
        number = self.seen - self.after
        if number <= 0 or number % self.every:
            return False
        if self.chance is not None and draw(self.seen) >= self.chance:
            return False
        self.met += 1
        return True

    @property
    def spent(self) -> bool:
        """True if no further request will meet it."""
        return self.next is not None and self.met >= self.next

    def note(self, request_id: str, at: float) -> None:
        """Remember which request met it."""
        self.consumed.append(Consumption(request_id, at))
        del self.consumed[:-MAX_CONSUMED]

    def copy(self) -> Self:
        """Return one that counts on its own from here."""
        kind: Any = type(self)
        own: Self = kind(*_values(kind)(self))
        own.consumed = list(self.consumed)
        return own


@cache
def _values(kind: type[Any]) -> attrgetter[tuple[Any, ...]]:
    """Return what gets the values of all fields in one call: faults and stubs are copied with the lock held."""
    return attrgetter(*(each.name for each in fields(kind)))
