"""The webhooks of a tenant, for tests. It uses the control plane."""

from collections.abc import Iterable

from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing.connection import (
    SLACK,
    Connection,
    Json,
    Rows,
    Secret,
    duration,
    id_of,
    names,
    rows,
    without_none,
)
from vorel_mock.testing.receiver import Receiver
from vorel_mock.testing.subscription import Subscription


class Webhooks:
    """The webhooks of a tenant: subscriptions, receivers and deliveries."""

    def __init__(self, connection: Connection, receivers: set[Receiver], *path: str) -> None:
        self._connection = connection
        self._receivers = receivers
        self._path = path

    def receive(self, events: Iterable[str] = EVENTS) -> Receiver:
        """Start a receiver on loopback and subscribe it: `with tenant.webhooks.receive() as inbox`.

        The mock must run on this machine.
        """
        receiver = Receiver(self, tuple(names("events", events)), self._receivers.discard)
        self._receivers.add(receiver)
        return receiver

    def subscribe(self, target_url: str, events: Iterable[str] = EVENTS) -> Subscription:
        """Subscribe `target_url` to events; a test event is sent first."""
        made = self._connection.ask(
            "POST", *self._path, "webhooks", json={"target_url": target_url, "events": names("events", events)}
        )
        return Subscription(made["id"], made["target_url"], tuple(made["events"]), Secret(made["secret"]))

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._connection.ask("DELETE", *self._path, "webhooks", subscription.id)

    def hold(self, subscription: Subscription) -> None:
        """Hold back events until `release`."""
        self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json={"held": True})

    def release(self, subscription: Subscription) -> None:
        """Send the events that were held back."""
        self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json={"held": False})

    def deliveries(self) -> Rows:
        """Return the deliveries, oldest first: `event`, `state` (pending, delivered, failed, dead), `attempts`, …"""
        return rows(self._connection.ask("GET", *self._path, "deliveries"))

    def wait(
        self,
        event: str | None = None,
        *,
        state: str = "delivered",
        timeout: float = 10.0,
        after: int = 0,
        subscription: Subscription | None = None,
    ) -> Json:
        """Wait for a delivery in `state` that matches, skip the first `after` of them, and return it.

        Raises ControlError 408 after `timeout` seconds, which are 60 at most.
        """
        wanted = without_none(event=event, state=state, webhook_id=subscription.id if subscription else None)
        wanted |= {"after": after, "timeout": duration("timeout", timeout)}
        path = (*self._path, "deliveries", "wait")
        return dict(self._connection.ask("POST", *path, json=wanted, timeout=timeout + SLACK))

    def redeliver(self, delivery: Json | str, *, tampered: bool = False) -> Json:
        """Send a delivery again, given as it is or by its id. `tampered` signs another body."""
        path = (*self._path, "deliveries", id_of(delivery), "redeliver")
        return dict(self._connection.ask("POST", *path, json={"tampered": tampered}))
