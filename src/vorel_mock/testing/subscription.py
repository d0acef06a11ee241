"""A webhook subscription, for tests."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vorel_mock.testing.connection import Connection, Secret, query, without_none
from vorel_mock.testing.rows import Delivery, read_rows


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook subscription. `secret` is the key of its signatures; the repr does not show it."""

    id: str
    target_url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)


async def subscribe(
    connection: Connection, tenant: tuple[str, ...], target_url: str, events: Iterable[str], secret: str | None = None
) -> Subscription:
    """Subscribe `target_url` to events of the tenant at this path. `secret`: a random one if None."""
    wanted = {"target_url": target_url, "events": list(events), **without_none(secret=secret)}
    made = await connection.ask("POST", *tenant, "webhooks", json=wanted)
    return Subscription(made["id"], made["target_url"], tuple(made["events"]), Secret(made["secret"]))


async def unsubscribe(connection: Connection, tenant: tuple[str, ...], subscription: Subscription) -> None:
    """End a subscription."""
    await connection.ask("DELETE", *tenant, "webhooks", subscription.id)


async def deliveries(connection: Connection, tenant: tuple[str, ...], **filters: Any) -> list[Delivery]:
    """Return the deliveries of the tenant that match, oldest first."""
    return read_rows(Delivery, await connection.ask("GET", *tenant, "deliveries", params=query(**filters)))
