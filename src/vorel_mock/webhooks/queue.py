"""The delivery queue of a webhook, and the retry schedule of its deliveries."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from vorel_mock.model.webhooks import MAX_DELIVERIES, Attempt, Delivery, Webhook

#: Retry schedule: seconds to wait before each attempt, counted from the previous one (for the first, from the event).
RETRY_SCHEDULE = (0.0, 5.0, 30.0, 120.0, 600.0, 1800.0)

_sequence = count()


@dataclass(slots=True, eq=False)
class DeliveryQueue:
    """The deliveries that wait for one webhook. One attempt runs at a time, in order of due time, then of arrival."""

    webhook: Webhook
    heap: list[tuple[float, int, Delivery]] = field(default_factory=list)
    behind_next: deque[Delivery] = field(default_factory=lambda: deque(maxlen=MAX_DELIVERIES))
    """Deliveries that are sent behind the next event."""
    free_at: float = 0.0
    """The end of the previous attempt, on the tenant's clock."""
    busy: bool = False
    """True while an attempt runs."""
    closed: bool = False
    """True if nothing is sent or recorded any more."""
    woken: bool = False
    """True if the worker is about to look at it."""
    # Handles of the event loop; only the worker uses them.
    timer: Any = None
    task: Any = None
    _limit: int = 64

    def push(self, delivery: Delivery) -> None:
        """Queue `delivery` for its `due_at`."""
        assert delivery.due_at is not None
        if len(self.heap) >= self._limit:  # a webhook that is held back must not collect forgotten deliveries
            self.heap = [entry for entry in self.heap if not entry[2].forgotten]
            heapq.heapify(self.heap)
            self._limit = 64 + 2 * len(self.heap)
        heapq.heappush(self.heap, (delivery.due_at, next(_sequence), delivery))

    def next_due(self) -> float | None:
        """Return the time of the next attempt; None if there is none."""
        while self.heap and self.heap[0][2].forgotten:
            heapq.heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def pop(self) -> tuple[Delivery, float]:
        """Return the delivery of the next attempt, and the start of that attempt on the tenant's clock."""
        due, _, delivery = heapq.heappop(self.heap)
        return delivery, max(due, self.free_at)

    def release_behind_next(self, due_at: float) -> None:
        """Queue the deliveries that waited for the next event, for `due_at`."""
        while self.behind_next:
            delivery = self.behind_next.popleft()
            if not delivery.forgotten:
                delivery.due_at = due_at
                self.push(delivery)

    def is_due(self, now: float) -> bool:
        """Return True if an attempt is running, or is due."""
        if self.busy:
            return True
        due = None if self.webhook.held else self.next_due()
        return due is not None and due <= now


def record_attempt(delivery: Delivery, attempt: Attempt) -> None:
    """Add `attempt` to `delivery`, and decide what that makes of it.

    2xx: delivered. 4xx: failed, for good. Everything else, 3xx too: again, until the retry schedule is used up.
    """
    delivery.attempts.append(attempt)
    delivery.due_at = None
    status_class = attempt.status // 100 if attempt.status is not None and attempt.error is None else None
    if status_class == 2:
        delivery.state = "delivered"
    elif status_class == 4:
        delivery.state = "failed"
    elif len(delivery.attempts) >= len(RETRY_SCHEDULE):
        delivery.state = "dead"
    else:
        delivery.due_at = attempt.at + RETRY_SCHEDULE[len(delivery.attempts)]
