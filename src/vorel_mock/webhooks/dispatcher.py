"""The webhooks and deliveries of all tenants: subscribe, publish, redeliver, hold back, wait.

Mock creates it; the core publishes events to it, and the control plane calls the rest. It never keeps the API waiting:
worker.py makes the attempts, on a thread of its own, on the clocks of the tenants.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import islice
from threading import RLock
from weakref import WeakSet

from vorel_mock.model.clock import Clock
from vorel_mock.model.handoffs import Event
from vorel_mock.model.ids import undrawn
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.unknown_name import unknown_name
from vorel_mock.model.wait import Client, Wait, wait_for
from vorel_mock.model.webhooks import EVENTS, TEST_EVENT, Delivery, Webhook
from vorel_mock.unpatched.clocks import monotonic
from vorel_mock.webhooks.payload import payload
from vorel_mock.webhooks.queue import RETRY_SCHEDULE, DeliveryQueue
from vorel_mock.webhooks.target_policy import TargetPolicy
from vorel_mock.webhooks.worker import Worker

MAX_WEBHOOKS = 50


class SubscriptionError(ValueError):
    """A subscription that cannot be made. Its text names the field, what is wrong, and what is allowed."""


class Dispatcher:
    """The deliveries of all tenants. `lock` is the mock's; `clock` is the mock's, which tenants' clocks follow.

    Every method may be called from any thread, with the lock held or not; `stop` only without.
    """

    def __init__(
        self,
        lock: RLock,
        targets: TargetPolicy,
        clock: Clock,
        on_attempt: Callable[[Tenant, Delivery], object] = lambda *_: None,
    ) -> None:
        """`on_attempt` is called after each attempt, with the lock held, in the thread that made it."""
        self._lock = lock
        self._on_attempt = on_attempt
        self._targets = targets
        self._tenants: dict[Tenant, _TenantDeliveries] = {}
        self._worker = Worker(lock, targets, clock, self._attempted)
        self._paused: WeakSet[Tenant] = WeakSet()
        """Tenants whose deliveries are kept but not sent: their past is being repeated, or another process sends them.
        """

    # Called by the core.

    def publish(
        self,
        tenant: Tenant,
        event: Event,
        *,
        duplicate: bool = False,
        tampered: bool = False,
        late: float = 0.0,
        after_next: bool = False,
        body: bytes | None = None,
    ) -> list[Delivery]:
        """Queue `event` for each webhook of `tenant` that subscribed to it.

        Test aids: `duplicate` sends it twice; `tampered` signs another body; `late` delays it by that many seconds of
        the tenant's clock; `after_next` sends it behind the webhook's next event. Returns the deliveries in order of
        subscription. `body` is the payload of the event, if the caller has made it already, without the lock.
        """
        if not tenant.webhooks:
            return []
        made: list[Delivery] = []
        with self._lock:
            subscribed = [webhook for webhook in tenant.webhooks.values() if event.event in webhook.events]
            if subscribed:
                sent = payload(event, tenant.id) if body is None else body
                due_at = None if after_next else event.created_at + late + RETRY_SCHEDULE[0]
            for webhook in subscribed:
                delivery = self._deliver(tenant, webhook, event, sent, due_at, tampered)
                made.append(delivery)
                if duplicate:
                    made.append(self._repeat(tenant, webhook, delivery, due_at, tampered))
                if due_at is not None:
                    self._queue(tenant, webhook).release_behind_next(due_at)
        return made

    # Called by the control plane.

    def subscribe(self, tenant: Tenant, target_url: str, events: Collection[str], secret: str | None = None) -> Webhook:
        """Add a webhook to `tenant`, and queue its test event. `secret` is a new one if None.

        Raises TargetError if webhooks may not go to `target_url`. Raises SubscriptionError if `events` is empty or
        names an unknown event, or if the tenant has too many webhooks.
        """
        self._targets.check(target_url)
        wanted = _known(events)
        with self._lock:
            if len(tenant.webhooks) >= MAX_WEBHOOKS:
                raise SubscriptionError(f"the tenant already has {MAX_WEBHOOKS} webhooks, the maximum; delete one")
            ids = tenant.ids
            webhook_id = undrawn(ids.uuid, tenant.webhooks.get)
            webhook = Webhook(webhook_id, target_url, wanted, secret=secret or f"whsec_{ids.hex(48)}")
            tenant.webhooks[webhook.id] = webhook
            now = tenant.clock.now()
            event = Event(ids.uuid(), TEST_EVENT, now, {"webhook_id": webhook.id})
            self._deliver(tenant, webhook, event, payload(event, tenant.id), now + RETRY_SCHEDULE[0], tampered=False)
        return webhook

    def change(
        self, webhook: Webhook, *, target_url: str | None, events: Collection[str] | None, secret: str | None
    ) -> None:
        """Change what is not None, for attempts from now on. Raises the errors of `subscribe`."""
        if target_url is not None:
            self._targets.check(target_url)
        wanted = webhook.events if events is None else _known(events)
        with self._lock:
            webhook.target_url = target_url or webhook.target_url
            webhook.events, webhook.secret = wanted, secret or webhook.secret

    def unsubscribe(self, tenant: Tenant, webhook: Webhook) -> None:
        """End a subscription. Pending deliveries fail; an attempt that is running is not recorded."""
        with self._lock:
            tenant.webhooks.pop(webhook.id, None)
            own = self._deliveries_of(tenant)
            queue = own.queues.pop(webhook.id, None)
            if queue is not None:
                self._worker.close(queue)
            for delivery in tenant.deliveries:
                if delivery.webhook_id == webhook.id and delivery.state == "pending":
                    delivery.state, delivery.due_at = "failed", None
                    own.tell(delivery)
            own.tell()

    def redeliver(self, tenant: Tenant, delivery: Delivery, *, tampered: bool = False) -> Delivery:
        """Send the event of `delivery` again now, with the same id and body, as a delivery of its own.

        Raises SubscriptionError if its webhook was deleted.
        """
        with self._lock:
            webhook = tenant.webhooks.get(delivery.webhook_id)
            if webhook is None:
                raise SubscriptionError("the webhook of this delivery was deleted")
            return self._repeat(tenant, webhook, delivery, tenant.clock.now(), tampered)

    def hold(self, tenant: Tenant, webhook: Webhook) -> None:
        """Hold back events that are published to `webhook` from now on. A running attempt finishes."""
        with self._lock:
            webhook.held = True
            self._deliveries_of(tenant).tell()

    def release(self, tenant: Tenant, webhook: Webhook) -> None:
        """Send, in order, the events that were held back or that waited for a next event."""
        with self._lock:
            webhook.held = False
            queue = self._queue(tenant, webhook)
            queue.free_at = max(queue.free_at, tenant.clock.now())
            queue.release_behind_next(tenant.clock.now())
            self._worker.wake_up(tenant, queue)

    def forget(self, tenant: Tenant) -> None:
        """Send nothing more for `tenant`: it was deleted or reset. Running attempts are not recorded."""
        with self._lock:
            own = self._tenants.pop(tenant, None)
            if own is not None:
                for queue in own.queues.values():
                    self._worker.close(queue)
                own.queues.clear()
                own.release()

    def requeue(self, tenant: Tenant) -> None:
        """Queue the pending deliveries of `tenant.deliveries`, for example after a snapshot was loaded."""
        with self._lock:
            self.forget(tenant)
            self._enqueue_all(tenant)

    def pause(self, tenant: Tenant) -> None:
        """Keep the deliveries of `tenant` without sending them. Running attempts are not recorded."""
        with self._lock:
            self._paused.add(tenant)
            own = self._tenants.get(tenant)
            if own is not None:
                for queue in own.queues.values():
                    self._worker.close(queue)
                own.queues.clear()

    def resume(self, tenant: Tenant) -> None:
        """Send what `pause` has kept."""
        with self._lock:
            if tenant in self._paused:
                self._paused.discard(tenant)
                self._enqueue_all(tenant)

    def tell(self, tenant: Tenant, delivery: Delivery) -> None:
        """Wake the waits for a change of `delivery`, which was made elsewhere."""
        with self._lock:
            self._deliveries_of(tenant).tell(delivery)

    # Time, waiting, start and stop.

    def wake(self, tenants: Iterable[Tenant] | None = None) -> None:
        """Look at the queues again: the clocks of `tenants` (None: of all) were moved, frozen or unfrozen."""
        with self._lock:
            for tenant in list(self._tenants if tenants is None else tenants):
                if (own := self._tenants.get(tenant)) is not None:
                    for queue in own.queues.values():
                        self._worker.wake_up(tenant, queue)

    def settle(self, tenants: Iterable[Tenant] | None = None, timeout: float = 30.0) -> bool:
        """Wait until every attempt that is due on the clocks of `tenants` (None: of all) has been made.

        That includes attempts which become due through earlier ones: after a jump of two hours, a failing delivery
        goes through its whole retry schedule. Does not wait for events that are held back. Returns False after
        `timeout` seconds, or if the dispatcher is stopped meanwhile.
        """
        deadline = monotonic() + timeout
        with self._lock:
            chosen = list(self._tenants if tenants is None else tenants)
            self.wake(chosen)
            for tenant in chosen:
                own = self._tenants.get(tenant)
                if own is None:
                    continue
                settled = _settled(own, tenant.clock)
                left = max(0.0, deadline - monotonic())
                wait_for(own.changed, partial(self._stopped_or, settled), left)
                if not settled():
                    return False
        return True

    def wait(
        self,
        tenant: Tenant,
        predicate: Callable[[Delivery], bool],
        timeout: float,
        client: Client | None = None,
        *,
        skip: int = 0,
    ) -> Delivery | None:
        """Return the first delivery of `tenant` that matches after `skip` others, as soon as there is one.

        Returns None after `timeout` seconds, or when the tenant is forgotten, the dispatcher stopped, or `client` gone
        meanwhile. Must be called without the lock.
        """
        deadline, client = monotonic() + timeout, client or Client()
        with self._lock:
            own = self._deliveries_of(tenant)
        while True:
            wait = Wait(predicate)
            with self._lock:
                deliveries = list(tenant.deliveries)
                over = self._worker.stopped or self._tenants.get(tenant) is not own
                own.waits.append(wait)
            try:
                found = next(islice(filter(predicate, deliveries), skip, None), None)
                left = deadline - monotonic()
                if found is not None or over or client.gone or left <= 0:
                    return found
                with client.ends(wait.done):
                    wait.done.wait(left)
            finally:
                with self._lock:
                    own.waits.remove(wait)

    def start(self) -> None:
        """Send again after `stop`. A new dispatcher need not be started: its thread comes with the first delivery."""
        with self._lock:
            self._worker.start()
            self.wake()

    def stop(self) -> None:
        """Cancel running attempts and end the thread. Their deliveries stay pending."""
        with self._lock:
            end_thread = self._worker.stop()
            for own in self._tenants.values():
                own.release()
        end_thread()

    # Below, the lock is held.

    def _enqueue_all(self, tenant: Tenant) -> None:
        for delivery in tenant.deliveries:
            webhook = tenant.webhooks.get(delivery.webhook_id)
            if delivery.state == "pending" and webhook is not None:
                self._enqueue(tenant, self._queue(tenant, webhook), delivery)

    def _stopped_or(self, settled: Callable[[], bool]) -> bool:
        return self._worker.stopped or settled()

    def _deliver(
        self, tenant: Tenant, webhook: Webhook, event: Event, body: bytes, due_at: float | None, tampered: bool
    ) -> Delivery:
        delivery = Delivery(
            tenant.ids.uuid(),
            webhook.id,
            event.event,
            event.id,
            body,
            event.created_at,
            due_at=due_at,
            tampered=tampered,
        )
        return self._keep(tenant, webhook, delivery)

    def _repeat(
        self, tenant: Tenant, webhook: Webhook, original: Delivery, due_at: float | None, tampered: bool
    ) -> Delivery:
        delivery = Delivery(
            tenant.ids.uuid(),
            webhook.id,
            original.event,
            original.event_id,
            original.body,
            tenant.clock.now(),
            due_at=due_at,
            tampered=tampered,
            copy_of=original.id,
        )
        return self._keep(tenant, webhook, delivery)

    def _keep(self, tenant: Tenant, webhook: Webhook, delivery: Delivery) -> Delivery:
        tenant.deliveries.append(delivery, delivery.size())
        self._enqueue(tenant, self._queue(tenant, webhook), delivery)
        self._deliveries_of(tenant).tell(delivery)
        return delivery

    def _enqueue(self, tenant: Tenant, queue: DeliveryQueue, delivery: Delivery) -> None:
        if tenant in self._paused:
            return
        if delivery.due_at is None:
            queue.behind_next.append(delivery)
        else:
            queue.push(delivery)
            self._worker.wake_up(tenant, queue)

    def _attempted(self, tenant: Tenant, delivery: Delivery) -> None:
        if not delivery.forgotten:
            tenant.deliveries.grow(delivery, delivery.attempts[-1].size())
        self._deliveries_of(tenant).tell(delivery)
        self._on_attempt(tenant, delivery)

    def _deliveries_of(self, tenant: Tenant) -> _TenantDeliveries:
        own = self._tenants.get(tenant)
        if own is None:
            own = self._tenants[tenant] = _TenantDeliveries(threading.Condition(self._lock))
        return own

    def _queue(self, tenant: Tenant, webhook: Webhook) -> DeliveryQueue:
        queues = self._deliveries_of(tenant).queues
        queue = queues.get(webhook.id)
        if queue is None:
            queue = queues[webhook.id] = DeliveryQueue(webhook)
        return queue


class _TenantDeliveries:
    """The delivery queues of one tenant by webhook id, and the waits for a change."""

    def __init__(self, changed: threading.Condition) -> None:
        self.changed = changed
        self.queues: dict[str, DeliveryQueue] = {}
        self.waits: list[Wait[Delivery]] = []

    def tell(self, delivery: Delivery | None = None) -> None:
        """Wake the waits for a change of `delivery`, or of something else."""
        self.changed.notify_all()
        if delivery is not None:
            for wait in self.waits:
                wait.offer(delivery)

    def release(self) -> None:
        """End every wait."""
        self.changed.notify_all()
        for wait in self.waits:
            wait.done.set()


def _known(events: Collection[str]) -> frozenset[str]:
    for unknown in sorted(set(events).difference(EVENTS)):
        raise SubscriptionError(f"events: {unknown_name('event', unknown, EVENTS)}")
    if not events:
        raise SubscriptionError(f"events: must name at least one of {', '.join(EVENTS)}")
    return frozenset(events)


def _settled(own: _TenantDeliveries, clock: Clock) -> Callable[[], bool]:
    return lambda: not any(queue.is_due(clock.now()) for queue in own.queues.values())
