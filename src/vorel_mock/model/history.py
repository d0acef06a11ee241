"""Rows that grow with requests: the newest are kept, within a number of rows and of bytes."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Row = TypeVar("Row")

#: Rows and bytes that one history of a tenant keeps at most, unless told otherwise.
MAX_ROWS = 10_000
MAX_BYTES = 32 * 1024 * 1024


class History(Generic[Row]):
    """An append-only list that forgets its oldest rows when it holds more than `max_rows` or `max_bytes`.

    `on_forget` is called with each row that goes. The newest row always stays, however large.
    """

    __slots__ = ("_bytes", "_grown", "_on_forget", "_rows", "_sizes", "dropped", "max_bytes", "max_rows")

    def __init__(
        self,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        on_forget: Callable[[Row], object] | None = None,
    ) -> None:
        # Two queues and not one of pairs: a pair for each row takes as long to make and to drop as a row itself.
        self._rows: deque[Row] = deque()
        self._sizes: deque[int] = deque()
        self._grown: dict[int, int] = {}
        """The bytes by which rows have grown, by the identity of the row."""
        self._bytes = 0
        self._on_forget = on_forget
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self.dropped = 0
        """Number of rows that were forgotten."""

    def append(self, row: Row, size: int = 0) -> None:
        """Add `row`, which takes about `size` bytes."""
        rows = self._rows
        rows.append(row)
        self._sizes.append(size)
        self._bytes += size
        while len(rows) > self.max_rows or (self._bytes > self.max_bytes and len(rows) > 1):
            self.forget_oldest()

    @property
    def newest(self) -> Row | None:
        """The newest row, if there is one."""
        return self._rows[-1] if self._rows else None

    def grow(self, row: Row, size: int) -> None:
        """Count that `row`, which is in here, takes `size` bytes more. It may be forgotten for that."""
        self._grown[id(row)] = self._grown.get(id(row), 0) + size
        self._bytes += size
        while self._bytes > self.max_bytes and len(self._rows) > 1:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """Forget the oldest row; there must be one."""
        row = self._rows.popleft()
        self._bytes -= self._sizes.popleft()
        if self._grown:
            self._bytes -= self._grown.pop(id(row), 0)
        self.dropped += 1
        if self._on_forget is not None:
            self._on_forget(row)

    def drain(self) -> None:
        """Let go of all rows, one after the other, so that no other thread waits until all are freed."""
        while self._rows:
            self._rows.popleft()
        self._sizes.clear()

    def copy(
        self, on_forget: Callable[[Row], object] | None = None, copied: Callable[[Row], Row] | None = None
    ) -> "History[Row]":
        """Return a history with the same rows and bounds, and an `on_forget` of its own.

        `copied` copies a row that may change.
        """
        made: History[Row] = History(self.max_rows, self.max_bytes, on_forget)
        made._rows, made._sizes, made._bytes = self._rows.copy(), self._sizes.copy(), self._bytes
        made._grown = self._grown.copy()
        if copied is not None:
            made._rows = deque(map(copied, self._rows))
            made._grown = {
                id(new): self._grown[id(old)]
                for old, new in zip(self._rows, made._rows, strict=True)
                if id(old) in self._grown
            }
        return made

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __reversed__(self) -> Iterator[Row]:
        return reversed(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
