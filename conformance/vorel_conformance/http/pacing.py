"""Pacing: decides when the next request may go out."""

from __future__ import annotations

import math
import threading
from collections import deque

from vorel_conformance.http.clock import Clock
from vorel_conformance.http.target import Target

SHARE_OF_LIMIT = 0.95  # the part of a key's limit that the kit uses
SHARE_OF_WINDOW = 0.5  # the part of a window that a burst may take


def too_slow(rate: float, count: int, window_s: float) -> str:
    """Return why a burst of `count` requests cannot be sent at `rate` a minute, or an empty string."""
    needed = count * 60.0 / (SHARE_OF_WINDOW * window_s)
    if rate >= needed:
        return ""
    return (
        f"the rate limit cannot be tested at {rate:g} requests a minute: that takes {count} requests within half a "
        f"window; use --rate {math.ceil(needed)} or none"
    )


class Pacer:
    """Spreads requests evenly over all keys, and keeps every key below its share of the limit."""

    def __init__(
        self,
        target: Target,
        rate: float,
        clock: Clock,
        *,
        binding: bool = False,
    ) -> None:
        """`binding`: the rate is the user's own, and binds the bursts as well."""
        self.deadline = float("inf")  # nothing is sent after it
        self._binding = binding
        self._target = target
        self._rate = rate
        self._interval = 60.0 / rate
        self._clock = clock
        self._next = 0.0
        self._sent: dict[str, deque[float]] = {}
        self._held_until: dict[str, float] = {}
        self._lock = threading.Lock()
        self._together = False
        self._share = max(1, int(target.limit * SHARE_OF_LIMIT))

    def too_slow_for(self, count: int) -> str:
        """Return why a burst of `count` requests cannot be sent at the user's own rate, or an empty string."""
        return too_slow(self._rate, count, self._target.window_s) if self._binding else ""

    def one_allowance(self) -> None:
        """Treat all keys as one from now on, because the target counts them together."""
        with self._lock:
            self._together = True
            self._interval = max(self._interval, self._target.window_s / self._share)

    def hold_back(self, key: str, seconds: float) -> None:
        """Do not use a key for `seconds`, at most for one window: the target answered it with 429."""
        with self._lock:
            held_until = self._clock.monotonic() + min(seconds, self._target.window_s + 1)
            self._held_until["all" if self._together else key] = held_until

    def ready_in(self, key: str) -> float:
        """Return the seconds until a key that is held back may be used again; 0 for any other key."""
        return max(0.0, self._held_until.get(key, 0.0) - self._clock.monotonic())

    def wait(self, key: str | None, *, unpaced: bool) -> bool:
        """Sleep until a request on `key` may go out, and count it. Only the bursts are `unpaced`.

        Returns False, at once, if that would be after the deadline.
        """
        key = "all" if key and self._together else key
        while True:
            with self._lock:
                now = self._clock.monotonic()
                due = 0.0 if unpaced else self._key_due(key, now)
                if not unpaced or self._binding:
                    due = max(due, self._next)
                if max(due, now) > self.deadline:
                    return False
                if due <= now:
                    self._next = max(self._next, now - self._interval) + self._interval
                    if key:
                        self._sent.setdefault(key, deque()).append(now)
                    return True
            self._clock.sleep(min(due - now, 1.0))

    def _key_due(self, key: str | None, now: float) -> float:
        if key is None:
            return now
        sent = self._sent.setdefault(key, deque())
        # 2 % more than a window: our clock measures the sending, the server's clock the arrival.
        horizon = self._target.window_s * 1.02
        while sent and sent[0] <= now - horizon:
            sent.popleft()
        full = sent[-self._share] + horizon if len(sent) >= self._share else now
        return max(full, self._held_until.get(key, now))
