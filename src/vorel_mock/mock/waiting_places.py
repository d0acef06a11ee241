"""The places for requests to the control plane that wait, shared between tenants.

A tenant gets a further place only while it has less than three times as many as are free. So one tenant takes three
quarters at most, and there is a place for the next one even where three take all that they can get.
"""

from collections import Counter
from collections.abc import Hashable
from threading import Lock

#: Requests that may wait at once for something to happen. Fewer than the control plane has threads.
MAX_WAITS = 200
_SHARE = 3


class WaitingPlaces:
    """So many places; from any thread. `owner` is what is waited on: a tenant's id, or None for all of them."""

    def __init__(self, number: int = MAX_WAITS) -> None:
        self._number = self.free = number
        self._taken: Counter[Hashable] = Counter()
        self._lock = Lock()

    @property
    def taken(self) -> int:
        """The number of places that are taken."""
        return self._number - self.free

    def take(self, owner: Hashable) -> bool:
        """Take a place if there is one for `owner`."""
        with self._lock:
            if self._taken[owner] >= _SHARE * self.free:
                return False
            self.free -= 1
            self._taken[owner] += 1
            return True

    def give_back(self, owner: Hashable) -> None:
        """Give back a place that was taken."""
        with self._lock:
            self.free += 1
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
