"""Makes the attempts of deliveries: one thread and one event loop for the queues of all tenants.

The dispatcher creates it. A receiver that hangs costs a socket here, not a thread, and its timeout covers the whole
exchange; a hundred such receivers delay no other. State changes under the mock's lock, which is never held while
waiting for the network.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from threading import RLock
from typing import Any

from vorel_mock.model.clock import Clock
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.webhooks import Delivery
from vorel_mock.unpatched.event_loop import new_event_loop
from vorel_mock.webhooks.queue import DeliveryQueue, record_attempt
from vorel_mock.webhooks.sender import Sender
from vorel_mock.webhooks.signature import sign
from vorel_mock.webhooks.slots import Slots
from vorel_mock.webhooks.target_policy import TargetPolicy

#: Attempts that may run at once, over all tenants: one socket each. `Slots` shares them: six tenants can have one for
#: each of their 50 webhooks, so that none waits for another, and 20 more tenants still get some.
MAX_IN_FLIGHT = 512
#: Seconds that `_Engine.stop` waits for the thread.
_GRACE = 5.0


class Worker:
    """Runs delivery queues. `attempted` is called, with the lock held, after each attempt that was recorded.

    The methods without an underscore may be called from any thread, with the lock held.
    """

    def __init__(
        self, lock: RLock, targets: TargetPolicy, clock: Clock, attempted: Callable[[Tenant, Delivery], None]
    ) -> None:
        self.stopped = False
        self._lock = lock
        self._targets = targets
        self._clock = clock
        self._attempted = attempted
        self._engine: _Engine | None = None

    def start(self) -> None:
        """Allow attempts again after `stop`. The thread starts with the first of them."""
        self.stopped = False

    def stop(self) -> Callable[[], None]:
        """Allow no further attempts. Returns a function that ends the thread; call it without the lock."""
        self.stopped = True
        engine, self._engine = self._engine, None
        return engine.stop if engine is not None else lambda: None

    def wake_up(self, tenant: Tenant, queue: DeliveryQueue) -> None:
        """Have the loop look at `queue`, unless it is going to anyway."""
        if queue.busy or queue.woken or queue.webhook.held or self.stopped:
            return
        if self._engine is None:
            self._engine = _Engine(self._targets)
        queue.woken = True
        self._engine.call(self._run_next, self._engine, tenant, queue)

    def close(self, queue: DeliveryQueue) -> None:
        """Send nothing more from `queue`. An attempt that is running is cancelled and not recorded."""
        queue.closed = True
        if self._engine is not None:
            self._engine.call(_cancel, queue)

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
        # The signature of another body: well formed, and wrong with every secret.
        signed = sign(webhook.secret, delivery.body + b" " if delivery.tampered else delivery.body)
        try:
            async with engine.slots.slot(tenant):
                was_frozen = self._is_frozen(tenant)
                attempt = await engine.sender.send(
                    webhook.target_url, delivery.body, signed, at=at, seconds=tenant.webhook_timeout
                )
        except asyncio.CancelledError:
            with self._lock:
                queue.busy, queue.task = False, None
                if not queue.closed:
                    queue.push(delivery)  # the attempt does not count
            # Not raised again: a task that ends with an exception refers to itself through it, and keeps the tenant.
            return
        with self._lock:
            queue.busy, queue.task = False, None
            if queue.closed:
                return
            queue.free_at = at if was_frozen or self._is_frozen(tenant) else at + attempt.duration
            record_attempt(delivery, attempt)
            if delivery.due_at is not None:
                queue.push(delivery)
            self._attempted(tenant, delivery)
            self._run_next(engine, tenant, queue)

    def _is_frozen(self, tenant: Tenant) -> bool:
        return tenant.clock.frozen or self._clock.frozen


class _Engine:
    """A thread with an event loop, its tasks, the sender, and the slots for attempts."""

    def __init__(self, targets: TargetPolicy) -> None:
        self.loop = new_event_loop()
        self.slots = Slots(MAX_IN_FLIGHT)
        self.sender = Sender(targets)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="vorel-mock-webhooks", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the loop call `function`. May be called from any thread."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Run `coroutine` in the loop. Must be called from its thread."""
        task: asyncio.Task[None] = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> None:
        """Cancel the tasks and end the thread. Must be called from another thread, without the mock's lock."""
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


def _cancel(queue: DeliveryQueue) -> None:
    if queue.timer is not None:
        queue.timer.cancel()
    if queue.task is not None:
        queue.task.cancel()
