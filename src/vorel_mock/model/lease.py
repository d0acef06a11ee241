"""The time that a tenant lives without a request of its own (`ttl`)."""

from vorel_mock.unpatched.clocks import monotonic

#: Seconds that a tenant may be given.
SHORTEST_TTL = 1.0
LONGEST_TTL = 30 * 86400.0


class Lease:
    """Ends when it has not been renewed for `seconds`.

    Seconds of real time, and not of the tenant's clock: that may be frozen, or moved by a day in a test.
    """

    __slots__ = ("_ends", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until it ends; 0 once it has ended."""
        return max(0.0, self._ends - monotonic())

    def restart(self) -> None:
        """Have it begin anew, even if it has ended."""
        self._ends = monotonic() + self.seconds

    def renew(self) -> bool:
        """Have it begin anew. False if it has ended: then the tenant counts as deleted."""
        now = monotonic()
        if now >= self._ends:
            return False
        self._ends = now + self.seconds
        return True
