"""Deleting the tenants whose lease has ended. Mock creates it; a thread runs as long as a tenant has a lease."""

import threading
from collections.abc import Callable
from threading import RLock

from vorel_mock.model.lease import Lease
from vorel_mock.model.tenant import Tenant

#: Seconds between two looks at the tenants, at least.
_PAUSE = 0.25


class Expiry:
    """The tenants with a lease. `lock` is the mock's, `remove` deletes a tenant and calls `forget`.

    The methods without an underscore are called with the lock held.
    """

    def __init__(self, lock: RLock, remove: Callable[[Tenant], None]) -> None:
        self._lock = lock
        self._remove = remove
        self._tenants: set[Tenant] = set()
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()

    def set(self, tenant: Tenant, seconds: float | None) -> None:
        """Give `tenant` a lease of so many seconds of real time; None takes it away."""
        if seconds is None:
            self.forget(tenant)
            return
        tenant.lease = Lease(seconds)
        self._tenants.add(tenant)
        self._changed.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="vorel-mock-expiry", daemon=True)
            self._thread.start()

    def forget(self, tenant: Tenant) -> None:
        """Let go of a tenant. Its lease is over."""
        tenant.lease = None
        self._tenants.discard(tenant)

    def sweep(self) -> None:
        """Delete the tenants whose lease has ended."""
        for tenant in [each for each in self._tenants if each.lease is None or not each.lease.left]:
            self._remove(tenant)

    def stop(self) -> None:
        """End the thread. The tenants stay."""
        self._tenants.clear()
        self._changed.set()

    def _run(self) -> None:
        while (pause := self._look()) is not None:
            self._changed.wait(pause)
            self._changed.clear()

    def _look(self) -> float | None:
        """Delete what has ended. Returns the seconds until the next look; None ends the thread: no lease is left.

        A function of its own: a variable of a thread that waits would keep a deleted tenant in memory.
        """
        with self._lock:
            self.sweep()
            left = [tenant.lease.left for tenant in self._tenants if tenant.lease is not None]
            if left:
                return max(_PAUSE, min(left))
            self._thread = None
            return None
