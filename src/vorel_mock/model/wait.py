"""Long polling: waiting for rows that match, without looking at all of them again and again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from vorel_mock.unpatched.clocks import monotonic

Row = TypeVar("Row")


class Wait(Generic[Row]):
    """Collects rows that match. `done` is set once there are `count`, or when waiting has become pointless.

    The code that adds a row offers it, with the mock's lock held. So a wait costs a comparison for each row, and no
    thread runs before there is something for it.
    """

    def __init__(self, matches: Callable[[Row], bool], count: int = 1) -> None:
        self.found: list[Row] = []
        self.done = Event()
        self._matches = matches
        self._count = count

    def offer(self, row: Row) -> None:
        """Take a row if it matches."""
        if self._matches(row):
            self.found.append(row)
            if len(self.found) >= self._count:
                self.done.set()

    def expect(self, count: int) -> None:
        """Change the number of rows that are waited for."""
        self._count = count
        if len(self.found) >= count:
            self.done.set()


class Client:
    """The client of a request that waits. When it goes away, nobody needs the response any more."""

    def __init__(self) -> None:
        self.gone = False
        self._events: set[Event] = set()
        self._lock = Lock()

    def leave(self) -> None:
        """Note that it is gone, and end its waits."""
        with self._lock:
            self.gone = True
            for event in self._events:
                event.set()

    @contextmanager
    def ends(self, event: Event) -> Iterator[None]:
        """Have `event` set when the client goes away, or at once if it is gone."""
        with self._lock:
            self._events.add(event)
            if self.gone:
                event.set()
        try:
            yield
        finally:
            with self._lock:
                self._events.discard(event)


def wait_for(condition: Condition, there: Callable[[], bool], seconds: float) -> bool:
    """Wait until `there` is true, for `seconds` at most, and return what it is then. Called with the condition held.

    As `Condition.wait_for`, which goes by a clock that test tools stop.
    """
    deadline = monotonic() + seconds
    while not there():
        left = deadline - monotonic()
        if left <= 0:
            return False
        condition.wait(left)
    return True
