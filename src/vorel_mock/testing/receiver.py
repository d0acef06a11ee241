"""A receiver of webhooks for a test. It verifies signatures and returns the events one by one."""

import json
from collections import Counter
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any

from vorel_mock.model.webhooks import TEST_EVENT
from vorel_mock.testing.connection import ControlError, Json
from vorel_mock.testing.subscription import Subscription, Subscriptions
from vorel_mock.webhooks import signature
from vorel_mock.webhooks.receiver import serve

#: Seconds between two checks of the server's thread if it must end.
_POLL = 0.02


class Receiver:
    """A receiver that listens on loopback and is subscribed to events of a tenant. Close it, or use it in `with`.

    It responds 200, and 401 if the signature is wrong. It accepts the events to which it responds 2xx, and `next`
    returns only those.
    """

    def __init__(
        self, webhooks: Subscriptions, events: tuple[str, ...], on_close: Callable[["Receiver"], object]
    ) -> None:
        self.status: int | None = None
        """The status of every response from now on. None: 200, and 401 if the signature is wrong."""
        self.delay = 0.0
        """Seconds before each response from now on."""
        self.events: list[Json] = []
        """The accepted events in order of arrival, test events and duplicates included."""
        self._taken: set[int] = set()
        self._rejected = 0
        self._webhooks = webhooks
        self._on_close = on_close
        self._arrived = Condition()
        self._secret = ""
        self._closed = False
        self._server = serve(self, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": _POLL}, name="vorel-mock-receiver", daemon=True
        )
        self._thread.start()
        try:
            with self._arrived:  # the test event may arrive before the secret: it waits in `take`
                self.subscription: Subscription = webhooks.subscribe(self.url, events)
                self._secret = self.subscription.secret
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> "Receiver":
        """Return the receiver."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        return f"Receiver({self.url!r}, {len(self.events)} accepted, {self._rejected} rejected)"

    def next(self, event: str | None = None, timeout: float = 5.0) -> Json:
        """Return the next accepted event that was not returned yet: `id`, `event`, `data`, …

        `event` is its name. None: any name except that of the test event, with which each subscription begins. Raises
        TimeoutError after `timeout` seconds; the message lists the events that arrived.
        """
        found: list[int] = []

        def there() -> bool:
            found[:] = (n for n, candidate in enumerate(self.events) if n not in self._taken and _is(candidate, event))
            return bool(found)

        with self._arrived:
            if self._arrived.wait_for(there, timeout):
                self._taken.add(found[0])
                return self.events[found[0]]
        raise TimeoutError(self._what_came_instead(event or "event", timeout))

    def close(self) -> None:
        """End the subscription and the thread. It is no error if they have ended."""
        if self._closed:
            return
        try:
            self._webhooks.unsubscribe(self.subscription)
        except ControlError:
            pass  # the tenant, or the whole mock, is gone, and the subscription with it
        finally:
            self._stop()

    def take(self, path: str, body: bytes, header: str | None) -> int:
        """Handle a webhook in the server's thread; return the status of the response."""
        with self._arrived:
            genuine = header is not None and signature.verify(self._secret, body, header)
            status = self.status or (200 if genuine else 401)
            if genuine and 200 <= status < 300:
                self.events.append(json.loads(body))
            else:
                self._rejected += 1
            self._arrived.notify_all()
        return status

    def _stop(self) -> None:
        self._closed = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._on_close(self)

    def _what_came_instead(self, wanted: str, timeout: float) -> str:
        came = Counter(str(event.get("event")) for event in self.events)
        told = [f"no {wanted} arrived within {timeout:g} s"]
        told.append("accepted so far: " + (", ".join(f"{count} {name}" for name, count in came.items()) or "nothing"))
        if self._rejected:
            told.append(f"{self._rejected} rejected, for a wrong signature or by the `status` of the receiver")
        waiting = self._undelivered()
        if waiting:
            told.append("not delivered: " + ", ".join(waiting))
        return "; ".join(told)

    def _undelivered(self) -> list[str]:
        try:
            deliveries = self._webhooks.deliveries()
        except ControlError:
            return []
        own = [d for d in deliveries if d["webhook_id"] == self.subscription.id and d["state"] != "delivered"]
        return [f"{delivery['event']} is {delivery['state']}{_last(delivery)}" for delivery in own]


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
