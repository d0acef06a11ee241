"""Brings events to webhooks, on the clocks of their tenants, without ever keeping the API waiting.

All attempts run in one event loop, in one thread that is started by the first delivery. A receiver that hangs costs a
socket there, not a thread, and its time-out covers the whole exchange, however it drips; so a hundred of them hold up
no other. State changes under the mock's lock, which is never held while waiting for the network.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import islice
from threading import RLock
from time import monotonic
from typing import Any

from vorel_mock.model.clock import Clock
from vorel_mock.model.handoffs import Event
from vorel_mock.model.ids import undrawn
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.wait import Wait
from vorel_mock.model.webhooks import EVENTS, TEST_EVENT, Delivery, Webhook
from vorel_mock.webhooks.payload import payload
from vorel_mock.webhooks.queue import RETRY_SCHEDULE, DeliveryQueue, record_attempt
from vorel_mock.webhooks.sender import Sender
from vorel_mock.webhooks.signature import sign
from vorel_mock.webhooks.target_policy import TargetPolicy

#: Attempts that may be under way at once, over all tenants: as many sockets. The next ones wait for one to end.
MAX_IN_FLIGHT = 256
MAX_WEBHOOKS = 50
#: Seconds that `stop` waits for the thread.
_GRACE = 5.0


class SubscriptionError(ValueError):
    """A subscription that cannot be made; its text names the member, says why, and what to do."""


class Dispatcher:
    """The deliveries of all tenants. `lock` is the mock's; `clock` is the mock's, which tenants' clocks follow.

    Every method may be called from any thread, with the lock held or not; `stop` only without.
    """

    def __init__(self, lock: RLock, targets: TargetPolicy, clock: Clock) -> None:
        self._lock = lock
        self._targets = targets
        self._clock = clock
        self._tenants: dict[Tenant, _TenantDeliveries] = {}
        self._engine: _Engine | None = None
        self._stopped = False

    # What the model does.

    def publish(
        self,
        tenant: Tenant,
        event: Event,
        *,
        duplicate: bool = False,
        tampered: bool = False,
        late: float = 0.0,
        after_next: bool = False,
    ) -> list[Delivery]:
        """Queue `event` for each webhook of `tenant` that subscribed to it; the deliveries, in order of subscription.

        As test aids: send it twice (`duplicate`), with a signature that does not belong to the body (`tampered`), so
        many seconds of the tenant's clock `late`, or behind the next event that the webhook gets (`after_next`).
        """
        if not tenant.webhooks:
            return []
        made: list[Delivery] = []
        with self._lock:
            subscribed = [webhook for webhook in tenant.webhooks.values() if event.event in webhook.events]
            if subscribed:
                body = payload(event, tenant.id)
                due_at = None if after_next else event.created_at + late + RETRY_SCHEDULE[0]
            for webhook in subscribed:
                delivery = self._deliver(tenant, webhook, event, body, due_at, tampered)
                made.append(delivery)
                if duplicate:
                    made.append(self._repeat(tenant, webhook, delivery, due_at, tampered))
                if due_at is not None:
                    self._queue(tenant, webhook).release_behind_next(due_at)
        return made

    # What the control plane does.

    def subscribe(self, tenant: Tenant, target_url: str, events: Collection[str]) -> Webhook:
        """A new webhook of `tenant` with a secret of its own; the test event is on its way to it.

        TargetError when webhooks may not go to `target_url`; SubscriptionError when `events` is empty or names an
        unknown one, or the tenant has too many webhooks.
        """
        self._targets.check(target_url)
        wanted = _known(events)
        with self._lock:
            if len(tenant.webhooks) >= MAX_WEBHOOKS:
                raise SubscriptionError(f"the tenant has {MAX_WEBHOOKS} webhooks, and cannot have more; delete one")
            ids = tenant.ids
            webhook = Webhook(undrawn(ids.uuid, tenant.webhooks.get), target_url, wanted, secret=f"whsec_{ids.hex(48)}")
            tenant.webhooks[webhook.id] = webhook
            now = tenant.clock.now()
            event = Event(ids.uuid(), TEST_EVENT, now, {"webhook_id": webhook.id})
            self._deliver(tenant, webhook, event, payload(event, tenant.id), now + RETRY_SCHEDULE[0], tampered=False)
        return webhook

    def unsubscribe(self, tenant: Tenant, webhook: Webhook) -> None:
        """End a subscription. What was pending has failed; an attempt that is being made is not recorded."""
        with self._lock:
            tenant.webhooks.pop(webhook.id, None)
            own = self._deliveries_of(tenant)
            queue = own.queues.pop(webhook.id, None)
            if queue is not None:
                self._close(queue)
            for delivery in tenant.deliveries:
                if delivery.webhook_id == webhook.id and delivery.state == "pending":
                    delivery.state, delivery.due_at = "failed", None
                    own.tell(delivery)
            own.tell()

    def redeliver(self, tenant: Tenant, delivery: Delivery, *, tampered: bool = False) -> Delivery:
        """Send the event of `delivery` once more, now, with the same id and body, as a delivery of its own.

        SubscriptionError when its webhook is gone.
        """
        with self._lock:
            webhook = tenant.webhooks.get(delivery.webhook_id)
            if webhook is None:
                raise SubscriptionError("the webhook of this delivery does not exist any more")
            return self._repeat(tenant, webhook, delivery, tenant.clock.now(), tampered)

    def hold(self, tenant: Tenant, webhook: Webhook) -> None:
        """Hold back whatever is published to `webhook` from now on; an attempt that is being made ends."""
        with self._lock:
            webhook.held = True
            self._deliveries_of(tenant).tell()

    def release(self, tenant: Tenant, webhook: Webhook) -> None:
        """Send what was held back, and what waited for a next event, in its order, from now on."""
        with self._lock:
            webhook.held = False
            queue = self._queue(tenant, webhook)
            queue.free_at = max(queue.free_at, tenant.clock.now())
            queue.release_behind_next(tenant.clock.now())
            self._wake_up(tenant, queue)

    def forget(self, tenant: Tenant) -> None:
        """Send nothing more for `tenant`: it was deleted or reset. Attempts that are being made are not recorded."""
        with self._lock:
            own = self._tenants.pop(tenant, None)
            if own is not None:
                for queue in own.queues.values():
                    self._close(queue)
                own.queues.clear()
                own.release()

    def requeue(self, tenant: Tenant) -> None:
        """Queue whatever is pending in `tenant.deliveries`: they came from elsewhere, from a snapshot say."""
        with self._lock:
            self.forget(tenant)
            for delivery in tenant.deliveries:
                webhook = tenant.webhooks.get(delivery.webhook_id)
                if delivery.state == "pending" and webhook is not None:
                    self._enqueue(tenant, self._queue(tenant, webhook), delivery)

    # Time.

    def wake(self, tenants: Iterable[Tenant] | None = None) -> None:
        """Look again: the clocks of `tenants` (None: of all) were moved, held or let go."""
        with self._lock:
            for tenant in list(self._tenants if tenants is None else tenants):
                if (own := self._tenants.get(tenant)) is not None:
                    for queue in own.queues.values():
                        self._wake_up(tenant, queue)

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
                own.changed.wait_for(partial(self._stopped_or, settled), left)
                if not settled():
                    return False
        return True

    def wait(
        self, tenant: Tenant, predicate: Callable[[Delivery], bool], timeout: float, *, skip: int = 0
    ) -> Delivery | None:
        """Return the first delivery of `tenant` that matches, behind `skip` that match too, as soon as there is one.

        Returns None after `timeout` seconds, or when the tenant is forgotten or the dispatcher stopped meanwhile. Must
        be called without the lock.
        """
        deadline = monotonic() + timeout
        with self._lock:
            own = self._deliveries_of(tenant)
        while True:
            wait = Wait(predicate)
            with self._lock:
                deliveries = list(tenant.deliveries)
                over = self._stopped or self._tenants.get(tenant) is not own
                own.waits.append(wait)
            try:
                found = next(islice(filter(predicate, deliveries), skip, None), None)
                left = deadline - monotonic()
                if found is not None or over or left <= 0:
                    return found
                wait.done.wait(left)
            finally:
                with self._lock:
                    own.waits.remove(wait)

    def start(self) -> None:
        """Send again after `stop`. A new dispatcher need not be started: its thread comes with the first delivery."""
        with self._lock:
            self._stopped = False
            self.wake()

    def stop(self) -> None:
        """Break off what is being sent, end the thread. What was not sent stays pending."""
        with self._lock:
            self._stopped = True
            engine, self._engine = self._engine, None
            for own in self._tenants.values():
                own.release()
        if engine is not None:
            engine.stop()

    # Below, the lock is held.

    def _stopped_or(self, settled: Callable[[], bool]) -> bool:
        return self._stopped or settled()

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
        tenant.deliveries.append(delivery, len(delivery.body))
        self._enqueue(tenant, self._queue(tenant, webhook), delivery)
        self._deliveries_of(tenant).tell(delivery)
        return delivery

    def _enqueue(self, tenant: Tenant, queue: DeliveryQueue, delivery: Delivery) -> None:
        if delivery.due_at is None:
            queue.behind_next.append(delivery)
        else:
            queue.push(delivery)
            self._wake_up(tenant, queue)

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

    def _close(self, queue: DeliveryQueue) -> None:
        queue.closed = True
        if self._engine is not None:
            self._engine.call(_cancel, queue)

    def _wake_up(self, tenant: Tenant, queue: DeliveryQueue) -> None:
        """Have the loop look at `queue`, unless it is going to anyway."""
        if queue.busy or queue.woken or queue.webhook.held or self._stopped:
            return
        if self._engine is None:
            self._engine = _Engine(self._targets)
        queue.woken = True
        self._engine.call(self._run_next, self._engine, tenant, queue)

    # Below, in the thread of the loop.

    def _run_next(self, engine: _Engine, tenant: Tenant, queue: DeliveryQueue) -> None:
        """Make the next attempt of `queue`, or sleep until it is due. While the clock is frozen, it is not due."""
        with self._lock:
            queue.woken = False
            if queue.timer is not None:
                queue.timer.cancel()
                queue.timer = None
            if engine is not self._engine or queue.busy or queue.closed or queue.webhook.held:
                return
            due = queue.next_due()
            if due is None:
                return
            wait = due - tenant.clock.now()
            if wait <= 0:
                delivery, at = queue.pop()
                queue.busy = True
                queue.task = engine.spawn(self._attempt(engine, tenant, queue, delivery, at))
            elif not self._is_frozen(tenant):
                queue.timer = engine.loop.call_later(max(wait, 0.001), self._run_next, engine, tenant, queue)

    async def _attempt(
        self, engine: _Engine, tenant: Tenant, queue: DeliveryQueue, delivery: Delivery, at: float
    ) -> None:
        webhook = queue.webhook
        # The signature of something else: well formed, and wrong whatever the secret.
        signed = sign(webhook.secret, delivery.body + b" " if delivery.tampered else delivery.body)
        try:
            async with engine.slots:
                stood = self._is_frozen(tenant)
                attempt = await engine.sender.send(
                    webhook.target_url, delivery.body, signed, at=at, seconds=tenant.webhook_timeout
                )
        except asyncio.CancelledError:
            with self._lock:
                queue.busy, queue.task = False, None
                if not queue.closed:
                    queue.push(delivery)  # it did not happen
            # Not raised again: a task that ends with an exception refers to itself through it, and keeps the tenant.
            return
        with self._lock:
            queue.busy, queue.task = False, None
            if queue.closed:
                return
            queue.free_at = at if stood or self._is_frozen(tenant) else at + attempt.duration
            record_attempt(delivery, attempt)
            if delivery.due_at is not None:
                queue.push(delivery)
            self._deliveries_of(tenant).tell(delivery)
            self._run_next(engine, tenant, queue)

    def _is_frozen(self, tenant: Tenant) -> bool:
        return tenant.clock.frozen or self._clock.frozen


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


class _Engine:
    """The thread, its loop, and what lives in it."""

    def __init__(self, targets: TargetPolicy) -> None:
        self.loop = asyncio.new_event_loop()
        self.slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self.sender = Sender(targets)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="vorel-mock-webhooks", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the loop call `function`. From any thread."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Run `coroutine` in the loop. From its thread."""
        task: asyncio.Task[None] = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> None:
        """Cancel what runs, end the thread. From another thread, which must not hold the mock's lock."""
        self.call(self.loop.stop)
        self._thread.join(_GRACE)

    def _run(self) -> None:
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._end())
        finally:
            self.loop.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sender.aclose()


def _known(events: Collection[str]) -> frozenset[str]:
    unknown = sorted(set(events).difference(EVENTS))
    if unknown:
        raise SubscriptionError(f"events: {', '.join(map(repr, unknown))} unknown; there are {', '.join(EVENTS)}")
    if not events:
        raise SubscriptionError(f"events: must name at least one of {', '.join(EVENTS)}")
    return frozenset(events)


def _settled(own: _TenantDeliveries, clock: Clock) -> Callable[[], bool]:
    return lambda: not any(queue.is_due(clock.now()) for queue in own.queues.values())


def _cancel(queue: DeliveryQueue) -> None:
    if queue.timer is not None:
        queue.timer.cancel()
    if queue.task is not None:
        queue.task.cancel()
