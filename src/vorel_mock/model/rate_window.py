"""Fixed windows, aligned to the epoch: `floor(now / 60)` is the bucket."""

from dataclasses import dataclass

#: Seconds. The contract says "200 req/min" in prose; that windows are fixed and aligned is in docs/assumptions.md.
WINDOW = 60


@dataclass(slots=True)
class Window:
    """A fixed window: the requests of a key or a tenant in the current minute."""

    number: int = -1
    count: int = 0

    def add(self, now: float) -> int:
        """Count a request at `now` (seconds since the epoch); the count of its window, this one included."""
        number = int(now // WINDOW)
        if number != self.number:
            self.number = number
            self.count = 0
        self.count += 1
        return self.count


def reset_at(now: float) -> int:
    """Return the end of the window of `now`, in seconds since the epoch."""
    return (int(now // WINDOW) + 1) * WINDOW
