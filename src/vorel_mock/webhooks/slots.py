"""The attempts that may run at once, shared fairly between tenants.

A tenant gets a further slot only while it has less than a quarter of those that are still free. So the fewer are free,
the fewer one tenant can take, and there is one for the next tenant even where the receivers of many hang.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

#: A tenant with n slots gets another one if more than n times as many are free.
_SHARE = 4


class Slots:
    """So many slots. Used by one event loop, in its thread. `owner` is whoever shares with others: a tenant."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._taken: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        """Those that wait, by owner: in turn, one of each."""

    @asynccontextmanager
    async def slot(self, owner: Hashable) -> AsyncIterator[None]:
        """Wait for a slot, in the order of arrival among those of `owner`, and hold it."""
        if owner not in self._waiting and self._may_take(owner):
            self._take(owner)
        else:
            await self._turn(owner)
        try:
            yield
        finally:
            self._give_back(owner)

    def _may_take(self, owner: Hashable) -> bool:
        return self._taken[owner] * _SHARE < self._free

    def _take(self, owner: Hashable) -> None:
        self._free -= 1
        self._taken[owner] += 1

    async def _turn(self, owner: Hashable) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(owner, turn)
            else:
                self._give_back(owner)  # its turn had just come
            raise

    def _leave(self, owner: Hashable, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(owner, deque())
        if turn in turns:  # else it was passed over, being cancelled
            turns.remove(turn)
            if not turns:
                del self._waiting[owner]

    def _give_back(self, owner: Hashable) -> None:
        self._free += 1
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
        self._hand_out()

    def _hand_out(self) -> None:
        """Give the free slots to those that wait: to the owner with the fewest; of several, to whose turn it is."""
        while candidates := [owner for owner in self._waiting if self._may_take(owner)]:
            owner = min(candidates, key=self._taken.__getitem__)
            turns = self._waiting.pop(owner)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns  # at the end: the others come first
            if not turn.cancelled():
                self._take(owner)
                turn.set_result(None)
