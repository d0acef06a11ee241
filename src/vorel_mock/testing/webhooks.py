"""The webhooks of a tenant, for tests. It uses the control plane."""

from collections.abc import Iterable
from datetime import datetime
from typing import Generic, TypeVar

from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing.connection import SLACK, Connection, Json, Secret, duration, id_of, names, without_none
from vorel_mock.testing.receiver import AsyncReceiver, Receiver, ReceiverOperations
from vorel_mock.testing.rows import Delivery
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
    async def subscribe(
        self, target_url: str, events: Iterable[str] = EVENTS, *, secret: str | None = None
    ) -> Subscription:
        """Subscribe `target_url` to events; a test event is sent first. `secret` signs them; a random one if None."""
        return await subscribe(self._connection, self._path, target_url, names("events", events), secret)

    @operation
    async def change(
        self,
        subscription: Subscription,
        *,
        target_url: str | None = None,
        events: Iterable[str] | None = None,
        secret: str | None = None,
    ) -> Subscription:
        """Change a subscription, for attempts from now on. Returns what it is then. None leaves as it is."""
        listed = None if events is None else names("events", events)
        wanted = without_none(target_url=target_url, events=listed, secret=secret)
        made = await self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json=wanted)
        known = subscription.secret if secret is None else Secret(secret)
        return Subscription(made["id"], made["target_url"], tuple(made["events"]), known)

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
    async def publish(self, event: str, data: Json | None = None) -> list[Delivery]:
        """Publish any event. Returns its deliveries, which are queued; none if nobody subscribed to it.

        `data` is checked by the schema of the event, which `docs/webhooks.md` lists. None: an example about the
        tenant's first lead. Raises ControlError 400, which names each wrong member.
        """
        wanted = {"event": event, **without_none(data=data)}
        published = await self._connection.ask("POST", *self._path, "events", json=wanted)
        return [Delivery(delivery) for delivery in published["deliveries"]]

    @operation
    async def deliveries(
        self,
        *,
        event: str | None = None,
        state: str | None = None,
        subscription: Subscription | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> list[Delivery]:
        """Return the deliveries that match, oldest first: `event`, `state`, `attempts`, …; the newest `limit` of them.

        States: pending, delivered, failed, dead.
        """
        webhook_id = None if subscription is None else subscription.id
        filters = {"event": event, "state": state, "webhook_id": webhook_id, "since": since, "until": until}
        return await deliveries(self._connection, self._path, **filters, limit=limit)

    @operation
    async def mark(self) -> str | None:
        """Return a mark: `wait(since=mark)` sees only deliveries that are made from now on."""
        newest = await deliveries(self._connection, self._path, limit=1)
        return newest[0].id if newest else None

    @waiting
    async def wait(
        self,
        event: str | None = None,
        *,
        state: str = "delivered",
        timeout: float = 10.0,
        after: int = 0,
        since: str | None = None,
        subscription: Subscription | None = None,
    ) -> Delivery:
        """Wait for a delivery in `state` that matches, skip the first `after` of them, and return it.

        `since` is a mark: deliveries that were made before it do not count. None: all count.

        Raises ControlError 408 after `timeout` seconds, which are 60 at most.
        """
        wanted = without_none(
            event=event, state=state, since=since, webhook_id=subscription.id if subscription else None
        )
        wanted |= {"after": after, "timeout": duration("timeout", timeout)}
        path = (*self._path, "deliveries", "wait")
        return Delivery(await self._connection.ask("POST", *path, json=wanted, within=timeout + SLACK))

    @operation
    async def redeliver(self, delivery: Json | str, *, tampered: bool = False) -> Delivery:
        """Send a delivery again, given as it is or by its id. `tampered` signs another body."""
        path = (*self._path, "deliveries", id_of(delivery), "redeliver")
        return Delivery(await self._connection.ask("POST", *path, json={"tampered": tampered}))


class Webhooks(WebhookOperations[Receiver], Blocking):
    """The webhooks of a tenant: subscriptions, receivers and deliveries."""

    _kind = Receiver


class AsyncWebhooks(WebhookOperations[AsyncReceiver], Awaiting):
    """`Webhooks` whose operations are awaited."""

    _kind = AsyncReceiver
