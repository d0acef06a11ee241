"""Subscriptions of a tenant, and what became of each event that was sent to them. Times are seconds since the epoch."""

from dataclasses import dataclass, field
from sys import getsizeof
from typing import Literal

from vorel_mock.model.footprint import footprint

#: The public events, as docs.vorel.ai lists them; the contract document itself names only the one of the handoff.
EVENTS = (
    "lead.created",
    "lead.updated",
    "lead.qualified",
    "conversation.created",
    "conversation.handoff_requested",
    "conversation.closed",
    "booking.created",
    "booking.rescheduled",
    "booking.cancelled",
    "booking.completed",
    "offering.created",
    "offering.updated",
)

#: What is sent to a new subscription, whatever it subscribed to. That it is sent is documented; its name is ours.
TEST_EVENT = "webhook.test"

#: Seconds that a tenant may give the receivers of its webhooks.
SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 0.001, 3600.0
#: Deliveries that a tenant keeps, within the bytes of a history. Each has at most six attempts, each of a few KiB
#: (`webhooks/sender.py`).
MAX_DELIVERIES = 1_000

#: Bytes of a delivery or an attempt without its texts.
_ROW = 512

State = Literal["pending", "delivered", "failed", "dead"]
"""`failed`: a 4xx ended it at once. `dead`: all attempts of the retry schedule failed."""


@dataclass(slots=True, eq=False)
class Webhook:
    """A subscription: where to, which events, and the secret that signs them."""

    id: str
    target_url: str
    events: frozenset[str]
    secret: str = field(repr=False)
    held: bool = False
    """Held back: what is published waits until the webhook is released."""


@dataclass(slots=True)
class Attempt:
    """One request to the target, and what came of it."""

    at: float
    """On the tenant's clock: when it was due, or when the webhook was free for it."""
    status: int | None = None
    """None when no answer came."""
    error: str | None = None
    """Why there is no whole answer. None when there is one, whatever its status."""
    duration: float = 0.0
    """Seconds of real time."""
    url: str = ""
    """The target of the webhook at that time."""
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    """Its beginning, as the receiver sent it: redact it before it is shown."""

    def size(self) -> int:
        """Return about how many bytes it takes."""
        texts = sum(map(getsizeof, (self.url, self.error, self.response_body)))
        return _ROW + texts + footprint(self.request_headers) + footprint(self.response_headers)


@dataclass(slots=True, eq=False)
class Delivery:
    """One event on its way to one webhook."""

    id: str
    webhook_id: str
    event: str
    event_id: str
    """The `id` of the payload, by which a consumer recognises duplicates."""
    body: bytes
    created_at: float
    state: State = "pending"
    due_at: float | None = None
    """When the next attempt is due. None: no attempt is due, or it is sent behind the webhook's next event."""
    attempts: list[Attempt] = field(default_factory=list)
    tampered: bool = False
    """It carries a signature that does not belong to its body."""
    copy_of: str | None = None
    """The delivery that this one repeats: a duplicate, or a redelivery."""
    forgotten: bool = False
    """The tenant no longer keeps it: it is not sent any more."""

    def size(self) -> int:
        """Return about how many bytes it takes with its attempts."""
        return _ROW + len(self.body) + sum(attempt.size() for attempt in self.attempts)

    def copy(self) -> "Delivery":
        """Return what it is now."""
        # Member by member: `copy.copy` takes ten times as long, and the caller holds the mock's lock.
        return Delivery(
            self.id,
            self.webhook_id,
            self.event,
            self.event_id,
            self.body,
            self.created_at,
            self.state,
            self.due_at,
            self.attempts.copy(),
            self.tampered,
            self.copy_of,
            self.forgotten,
        )

    def forget(self) -> None:
        """Called when the tenant's history lets go of it."""
        self.forgotten = True
