"""The record of requests: the latest exchanges of each tenant, by id, and who waits for more of them.

The caller holds the mock's lock. An exchange does not change once it is here, so that it can be read without.
"""

from collections.abc import Reversible
from itertools import chain, islice
from sys import getsizeof

from vorel_mock.api.messages import Exchange
from vorel_mock.model.history import History
from vorel_mock.model.wait import Wait

#: Exchanges and bytes that are kept for one tenant, and for the requests without a valid key.
MAX_EXCHANGES = 2_000
MAX_BYTES = 16 * 1024 * 1024
#: Exchanges and bytes that are kept in all, however many tenants there are.
MAX_IN_ALL = 100_000
MAX_BYTES_IN_ALL = 256 * 1024 * 1024
#: Bytes of the objects of an exchange, and of a header beside its text: tuple, two strings of bytes, places in a list
#: and a dictionary. Measured: tests/mock/test_memory_bounds.py compares what is counted with what is taken.
_EXCHANGE = 1_000
_HEADER = 200


class Journal:
    """The latest exchanges of each tenant."""

    def __init__(self) -> None:
        self._by_id: dict[str, Exchange] = {}
        self._by_tenant: dict[str | None, History[Exchange]] = {}
        self._bytes = 0
        self._waits: dict[str, list[Wait[Exchange]]] = {}

    def add(self, exchange: Exchange) -> None:
        """Keep `exchange`; the oldest of its tenant may be forgotten for it."""
        tenant_id = exchange.tenant.id if exchange.tenant is not None else None
        history = self._by_tenant.get(tenant_id)
        if history is None:
            history = self._by_tenant[tenant_id] = History(MAX_EXCHANGES, MAX_BYTES, on_forget=self._drop)
        self._by_id[exchange.id] = exchange
        exchange.size = size = _size(exchange, history.newest)
        self._bytes += size
        history.append(exchange, size)
        if len(self._by_id) > MAX_IN_ALL or self._bytes > MAX_BYTES_IN_ALL:
            self._make_room()
        if self._waits and tenant_id is not None:
            for wait in self._waits.get(tenant_id, ()):
                wait.offer(exchange)

    def clear(self) -> None:
        """Forget everything."""
        self._by_id.clear()
        self._by_tenant.clear()
        self._bytes = 0

    def forget(self, tenant_id: str) -> None:
        """Forget the exchanges of a tenant."""
        for exchange in self._by_tenant.pop(tenant_id, ()):
            self._drop(exchange)

    def get(self, exchange_id: str) -> Exchange | None:
        """Return the exchange with that X-Mock-Request-Id, if it is still kept."""
        return self._by_id.get(exchange_id)

    def exchanges(self, tenant_id: str | None = None) -> list[Exchange]:
        """Return the exchanges of a tenant, or of all, oldest first."""
        return list(self._by_id.values() if tenant_id is None else self._by_tenant.get(tenant_id, ()))

    def count(self, tenant_id: str | None = None) -> int:
        """Return how many exchanges of a tenant, or of all, are kept."""
        return len(self._by_id if tenant_id is None else self._by_tenant.get(tenant_id, ()))

    def truncated(self, tenant_id: str | None = None) -> list[Exchange]:
        """Return the oldest exchange that is kept of a tenant, or of each, of which older ones were forgotten."""
        histories = self._by_tenant.values() if tenant_id is None else [self._by_tenant.get(tenant_id)]
        return [next(iter(history)) for history in histories if history is not None and history.dropped]

    def latest(self, number: int, tenant_id: str | None = None) -> list[Exchange]:
        """Return the latest exchanges, oldest of them first, without walking through the others."""
        rows: Reversible[Exchange] = self._by_id.values()
        if tenant_id is not None:
            rows = self._by_tenant.get(tenant_id, ())
        return list(islice(reversed(rows), number))[::-1]

    def follow(self, tenant_id: str, wait: Wait[Exchange]) -> None:
        """Offer `wait` each exchange of a tenant from now on."""
        self._waits.setdefault(tenant_id, []).append(wait)

    def unfollow(self, tenant_id: str, wait: Wait[Exchange]) -> None:
        """Offer `wait` nothing more."""
        waits = self._waits[tenant_id]
        waits.remove(wait)
        if not waits:
            del self._waits[tenant_id]

    def release(self, tenant_id: str | None = None) -> None:
        """End the waits on a tenant that is deleted, or all."""
        for waits in list(self._waits.values()) if tenant_id is None else [self._waits.get(tenant_id, [])]:
            for wait in waits:
                wait.done.set()

    def _drop(self, exchange: Exchange) -> None:
        if self._by_id.pop(exchange.id, None) is not None:
            self._bytes -= exchange.size

    def _make_room(self) -> None:
        # A hundredth at once: to find the first of a dict is slow where many before it were removed.
        while len(self._by_id) > MAX_IN_ALL or self._bytes > MAX_BYTES_IN_ALL:
            for oldest in list(islice(self._by_id.values(), max(1, MAX_IN_ALL // 100))):
                self._by_tenant[oldest.tenant.id if oldest.tenant is not None else None].forget_oldest()


def _size(exchange: Exchange, previous: Exchange | None) -> int:
    """Return about how many bytes an exchange takes: its objects, and all that clients can make large.

    `previous` is the one before it in its history. What both share counts once: clients repeat target and headers.
    """
    request = exchange.request
    size = _EXCHANGE + len(request.body) + len(exchange.response.body if exchange.response is not None else b"")
    earlier = None if previous is None else previous.request
    if earlier is None or request.target is not earlier.target:
        size += getsizeof(request.target) + getsizeof(request.path) + getsizeof(request.query)
    if earlier is None or request.headers is not earlier.headers:
        size += _HEADER * len(request.headers) + sum(map(len, chain.from_iterable(request.headers)))
    return size
