"""A receiver of webhooks for a test. It verifies signatures and returns the events one by one."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from threading import Event, Thread
from typing import Any

from vorel_mock.model.webhooks import TEST_EVENT
from vorel_mock.testing.connection import Connection, ControlError, Json
from vorel_mock.testing.sides import AwaitingManager, BlockingManager, operation, waiting
from vorel_mock.testing.subscription import Subscription, deliveries, subscribe, unsubscribe
from vorel_mock.webhooks import signature
from vorel_mock.webhooks.receiver import serve

#: Seconds between two checks of the server's thread if it must end.
_POLL = 0.02


class ReceiverOperations:
    """What both kinds of receiver do."""

    subscription: Subscription

    def __init__(self, connection: Connection, tenant: tuple[str, ...], receivers: "set[ReceiverOperations]") -> None:
        self.status: int | None = None
        """The status of every response from now on. None: 200, and 401 if the signature is wrong."""
        self.delay = 0.0
        """Seconds before each response from now on."""
        self.events: list[Json] = []
        """The accepted events in order of arrival, test events and duplicates included."""
        self._taken: set[int] = set()
        self._rejected = 0
        self._connection = connection
        self._tenant = tenant
        self._receivers = receivers
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Condition()
        self._ready = Event()
        """Set once the secret is there: the test event may arrive before it."""
        self._closed = False
        self._server = serve(self, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": _POLL}, name="vorel-mock-receiver", daemon=True
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, {len(self.events)} accepted, {self._rejected} rejected)"

    async def open(self, events: Iterable[str]) -> None:
        """Start, and subscribe to `events`. On the loop of the connection, as everything that is not an operation."""
        self._thread.start()
        try:
            self.subscription = await subscribe(self._connection, self._tenant, self.url, events)
        except BaseException:
            self._stop()
            raise
        self._receivers.add(self)
        self._ready.set()

    @waiting
    async def next(self, event: str | None = None, timeout: float = 5.0) -> Json:
        """Return the next accepted event that was not returned yet: `id`, `event`, `data`, …

        `event` is its name. None: any name except that of the test event, with which each subscription begins. Raises
        TimeoutError after `timeout` seconds; the message lists the events that arrived.
        """
        found: list[int] = []

        def there() -> bool:
            found[:] = (n for n, candidate in enumerate(self.events) if n not in self._taken and _is(candidate, event))
            return bool(found)

        try:
            async with asyncio.timeout(timeout), self._arrived:
                await self._arrived.wait_for(there)
        except TimeoutError:
            if not there():
                raise TimeoutError(await self._what_came_instead(event or "event", timeout)) from None
        self._taken.add(found[0])
        return self.events[found[0]]

    @operation
    async def close(self) -> None:
        """End the subscription and the thread. It is no error if they have ended."""
        await self.leave()

    async def leave(self) -> None:
        """Close it."""
        if self._closed:
            return
        try:
            await unsubscribe(self._connection, self._tenant, self.subscription)
        except ControlError:
            pass  # the tenant, or the whole mock, is gone, and the subscription with it
        finally:
            self._stop()

    async def _leave(self) -> None:
        await self.leave()

    def take(self, path: str, body: bytes, header: str | None) -> int:
        """Handle a webhook in the server's thread; return the status of the response."""
        self._ready.wait()
        secret = "" if self._closed else self.subscription.secret
        genuine = header is not None and signature.verify(secret, body, header)
        status = self.status or (200 if genuine else 401)
        event = json.loads(body) if genuine and 200 <= status < 300 else None
        if event is None:
            self._rejected += 1
        else:
            self.events.append(event)
            self._loop.call_soon_threadsafe(self._tell)
        return status

    def _tell(self) -> None:
        self._loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()

    def _stop(self) -> None:
        self._closed = True
        self._ready.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._receivers.discard(self)

    async def _what_came_instead(self, wanted: str, seconds: float) -> str:
        came = Counter(str(event.get("event")) for event in self.events)
        told = [f"no {wanted} arrived within {seconds:g} s"]
        told.append("accepted so far: " + (", ".join(f"{count} {name}" for name, count in came.items()) or "nothing"))
        if self._rejected:
            told.append(f"{self._rejected} rejected, for a wrong signature or by the `status` of the receiver")
        waiting = await self._undelivered()
        if waiting:
            told.append("not delivered: " + ", ".join(waiting))
        return "; ".join(told)

    async def _undelivered(self) -> list[str]:
        try:
            sent = await deliveries(self._connection, self._tenant)
        except ControlError:
            return []
        own = [d for d in sent if d["webhook_id"] == self.subscription.id and d["state"] != "delivered"]
        return [f"{delivery['event']} is {delivery['state']}{_last(delivery)}" for delivery in own]


class Receiver(ReceiverOperations, BlockingManager):
    """A receiver that listens on loopback and is subscribed to events of a tenant. Close it, or use it in `with`.

    It responds 200, and 401 if the signature is wrong. It accepts the events to which it responds 2xx, and `next`
    returns only those.
    """


class AsyncReceiver(ReceiverOperations, AwaitingManager):
    """A `Receiver` whose operations are awaited. Close it, or use it in `async with`."""


def _is(candidate: Json, event: str | None) -> bool:
    name: Any = candidate.get("event")
    return bool(name != TEST_EVENT if event is None else name == event)


def _last(delivery: Json) -> str:
    """Return the result of the last attempt and the due time of the next one."""
    words = []
    if delivery["attempts"]:
        last = delivery["attempts"][-1]
        words.append(f"last attempt: {last['error'] or last['status']}")
    if delivery["due_at"]:
        words.append(f"due at {delivery['due_at']} on the tenant's clock")
    return f" ({', '.join(words)})" if words else ""
