"""The deliveries of one webhook in the order in which they are due, and the ladder that a failing one climbs."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from vorel_mock.model.webhooks import MAX_DELIVERIES, Attempt, Delivery, Webhook

#: Seconds before each attempt, since the attempt before it; the first since the event.
LADDER = (0.0, 5.0, 30.0, 120.0, 600.0, 1800.0)

_sequence = count()


@dataclass(slots=True, eq=False)
class Lane:
    """What waits for one webhook. One attempt is made at a time, in order of due time, then of arrival."""

    webhook: Webhook
    queue: list[tuple[float, int, Delivery]] = field(default_factory=list)
    parked: deque[Delivery] = field(default_factory=lambda: deque(maxlen=MAX_DELIVERIES))
    """What goes out behind the next event."""
    free_at: float = 0.0
    """When, on the tenant's clock, the attempt before was over."""
    busy: bool = False
    """An attempt is being made."""
    closed: bool = False
    """Nothing is sent or recorded any more."""
    poked: bool = False
    """The dispatcher is about to look at it."""
    # The event loop's handles of what is going on; the dispatcher's alone.
    timer: Any = None
    task: Any = None
    _limit: int = 64

    def push(self, delivery: Delivery) -> None:
        """Queue `delivery` for its `due_at`."""
        assert delivery.due_at is not None
        if len(self.queue) >= self._limit:  # a webhook that is held must not collect what nobody keeps any more
            self.queue = [entry for entry in self.queue if not entry[2].forgotten]
            heapq.heapify(self.queue)
            self._limit = 64 + 2 * len(self.queue)
        heapq.heappush(self.queue, (delivery.due_at, next(_sequence), delivery))

    def next_due(self) -> float | None:
        """When the next attempt is due; None when there is none."""
        while self.queue and self.queue[0][2].forgotten:
            heapq.heappop(self.queue)
        return self.queue[0][0] if self.queue else None

    def pop(self) -> tuple[Delivery, float]:
        """The delivery whose attempt is next, and when, on the tenant's clock, that attempt begins."""
        due, _, delivery = heapq.heappop(self.queue)
        return delivery, max(due, self.free_at)

    def unpark(self, due_at: float) -> None:
        """Queue what was parked, for `due_at`."""
        while self.parked:
            delivery = self.parked.popleft()
            if not delivery.forgotten:
                delivery.due_at = due_at
                self.push(delivery)

    def is_due(self, now: float) -> bool:
        """Whether an attempt is being made, or should be."""
        if self.busy:
            return True
        due = None if self.webhook.held else self.next_due()
        return due is not None and due <= now


def record(delivery: Delivery, attempt: Attempt) -> None:
    """Add `attempt` to `delivery`, and decide what that makes of it.

    2xx: delivered. 4xx: failed, for good. Everything else, 3xx too: again, until the ladder is used up.
    """
    delivery.attempts.append(attempt)
    delivery.due_at = None
    status_class = attempt.status // 100 if attempt.status is not None and attempt.error is None else None
    if status_class == 2:
        delivery.state = "delivered"
    elif status_class == 4:
        delivery.state = "failed"
    elif len(delivery.attempts) >= len(LADDER):
        delivery.state = "dead"
    else:
        delivery.due_at = attempt.at + LADDER[len(delivery.attempts)]
