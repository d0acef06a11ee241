"""The webhooks of a tenant, for tests. It uses the control plane."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing.connection import SLACK, Connection, Json, Rows, duration, id_of, names, without_none
from vorel_mock.testing.receiver import AsyncReceiver, Receiver, ReceiverOperations
from vorel_mock.testing.sides import Awaiting, Blocking, operation, waiting
from vorel_mock.testing.subscription import Subscription, deliveries, subscribe, unsubscribe

R = TypeVar("R", bound=ReceiverOperations)


class WebhookOperations(Generic[R]):
    """What both kinds do."""

    _kind: type[R]

    def __init__(self, connection: Connection, receivers: set[ReceiverOperations], *path: str) -> None:
        self._connection = connection
        self._receivers = receivers
        self._path = path

    @operation
    async def receive(self, events: Iterable[str] = EVENTS) -> R:
        """Start a receiver on loopback and subscribe it: `with tenant.webhooks.receive() as inbox`.

        The mock must run on this machine.
        """
        wanted = names("events", events)
        receiver = self._kind(self._connection, self._path, self._receivers)
        await receiver.open(wanted)
        return receiver

    @operation
    async def subscribe(self, target_url: str, events: Iterable[str] = EVENTS) -> Subscription:
        """Subscribe `target_url` to events; a test event is sent first."""
        return await subscribe(self._connection, self._path, target_url, names("events", events))

    @operation
    async def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        await unsubscribe(self._connection, self._path, subscription)

    @operation
    async def hold(self, subscription: Subscription) -> None:
        """Hold back events until `release`."""
        await self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json={"held": True})

    @operation
    async def release(self, subscription: Subscription) -> None:
        """Send the events that were held back."""
        await self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json={"held": False})

    @operation
    async def deliveries(self) -> Rows:
        """Return the deliveries, oldest first: `event`, `state` (pending, delivered, failed, dead), `attempts`, …"""
        return await deliveries(self._connection, self._path)

    @waiting
    async def wait(
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
        return dict(await self._connection.ask("POST", *path, json=wanted, within=timeout + SLACK))

    @operation
    async def redeliver(self, delivery: Json | str, *, tampered: bool = False) -> Json:
        """Send a delivery again, given as it is or by its id. `tampered` signs another body."""
        path = (*self._path, "deliveries", id_of(delivery), "redeliver")
        return dict(await self._connection.ask("POST", *path, json={"tampered": tampered}))


class Webhooks(WebhookOperations[Receiver], Blocking):
    """The webhooks of a tenant: subscriptions, receivers and deliveries."""

    _kind = Receiver


class AsyncWebhooks(WebhookOperations[AsyncReceiver], Awaiting):
    """`Webhooks` whose operations are awaited."""

    _kind = AsyncReceiver
