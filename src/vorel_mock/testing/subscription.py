"""A webhook subscription, for tests."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from vorel_mock.testing.connection import Rows


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook subscription. `secret` is the key of its signatures; the repr does not show it."""

    id: str
    target_url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)


class Subscriptions(Protocol):
    """The part of `Webhooks` that a receiver uses."""

    def subscribe(self, target_url: str, events: Iterable[str]) -> Subscription:
        """Subscribe `target_url` to events."""

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""

    def deliveries(self) -> Rows:
        """Return the deliveries, oldest first."""
