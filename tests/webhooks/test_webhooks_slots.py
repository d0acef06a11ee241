"""Slots for attempts, shared between tenants: M7."""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.webhooks.dispatcher import MAX_WEBHOOKS
from vorel_mock.webhooks.slots import Slots
from vorel_mock.webhooks.worker import MAX_IN_FLIGHT


class Use:
    """Attempts of several owners that hold their slots until they are told to end."""

    def __init__(self, number: int) -> None:
        self.slots = Slots(number)
        self.running: list[tuple[int, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, owner: int) -> asyncio.Task[None]:
        task = asyncio.create_task(self._attempt(owner))
        self.tasks.append(task)
        await self.pass_on()
        return task

    async def _attempt(self, owner: int) -> None:
        async with self.slots.slot(owner):
            mine = owner, asyncio.Event()
            self.running.append(mine)
            try:
                await mine[1].wait()
            finally:
                self.running.remove(mine)

    async def end(self, number: int) -> None:
        self.running[number % len(self.running)][1].set()
        await self.pass_on()

    async def pass_on(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)

    @property
    def held(self) -> Counter[int]:
        return Counter(owner for owner, _ in self.running)


def test_six_tenants_have_a_slot_for_each_webhook_and_twenty_more_have_some() -> None:
    """What the comment at MAX_IN_FLIGHT promises, if every receiver hangs."""

    async def hang() -> None:
        use = Use(MAX_IN_FLIGHT)
        for owner in range(26):
            for _ in range(MAX_WEBHOOKS):
                await use.begin(owner)
        assert [use.held[owner] for owner in range(6)] == [MAX_WEBHOOKS] * 6
        assert all(use.held[owner] > 0 for owner in range(26))
        for task in use.tasks:
            task.cancel()

    asyncio.run(hang())


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.sampled_from(["begin", "end", "cancel"]), st.integers(0, 4)), max_size=60),
)
def test_whatever_happens_no_slot_is_lost_and_none_is_given_twice(number: int, steps: list[tuple[str, int]]) -> None:
    async def go() -> None:
        use = Use(number)
        for what, which in steps:
            if what == "begin":
                await use.begin(which)
            elif what == "end" and use.running:
                await use.end(which)
            elif what == "cancel" and use.tasks:
                use.tasks[which % len(use.tasks)].cancel()
                await use.pass_on()
            assert sum(use.held.values()) <= number
            # Nobody waits beside a slot that is free for him.
            assert not any(use.slots._may_take(owner) for owner in use.slots._waiting)
        while use.running:
            await use.end(0)
        assert all(task.done() for task in use.tasks)
        assert use.slots._free == number
        assert not use.slots._taken
        assert not use.slots._waiting

    asyncio.run(go())
