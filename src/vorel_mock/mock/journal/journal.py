"""Step: every exchange is kept for a while, and can be asked how its answer came about."""

from collections import OrderedDict
from itertools import chain
from threading import Condition, RLock
from typing import Any

from vorel_mock.api.messages import STEPS, Exchange
from vorel_mock.model.clock import iso
from vorel_mock.model.history import History
from vorel_mock.model.redaction import MARK, redact_deep

#: What is kept for one tenant, and for the requests that no tenant made.
MAX_EXCHANGES = 2_000
MAX_BYTES = 16 * 1024 * 1024
#: What is kept in all, however many tenants there are.
MAX_IN_ALL = 100_000
MAX_BYTES_IN_ALL = 256 * 1024 * 1024


class Journal:
    """The latest exchanges of each tenant, found by their id."""

    def __init__(self, lock: RLock) -> None:
        self.changed = Condition(lock)
        """Told of every exchange that is added; its lock is the mock's."""
        # Not a plain dict: finding the first of one takes longer the more have been taken from its front.
        self._by_id: OrderedDict[str, Exchange] = OrderedDict()
        self._by_tenant: dict[str | None, History[Exchange]] = {}
        self._bytes = 0

    def add(self, exchange: Exchange) -> None:
        """Keep `exchange`; the oldest of its tenant may go for it."""
        tenant_id = exchange.tenant.id if exchange.tenant is not None else None
        history = self._by_tenant.get(tenant_id)
        if history is None:
            history = self._by_tenant[tenant_id] = History(MAX_EXCHANGES, MAX_BYTES, on_forget=self._drop)
        self._by_id[exchange.id] = exchange
        exchange.size = size = _size(exchange)
        self._bytes += size
        history.append(exchange, size)
        while len(self._by_id) > MAX_IN_ALL or self._bytes > MAX_BYTES_IN_ALL:
            oldest = next(iter(self._by_id.values()))
            self._by_tenant[oldest.tenant.id if oldest.tenant is not None else None].forget_oldest()
        self.changed.notify_all()

    def _drop(self, exchange: Exchange) -> None:
        if self._by_id.pop(exchange.id, None) is not None:
            self._bytes -= exchange.size

    def clear(self) -> None:
        """Forget everything."""
        self._by_id.clear()
        self._by_tenant.clear()
        self._bytes = 0

    def forget(self, tenant_id: str) -> None:
        """Forget the exchanges of a tenant."""
        for exchange in self._by_tenant.pop(tenant_id, ()):
            self._drop(exchange)

    def exchanges(self, tenant_id: str | None = None) -> list[Exchange]:
        """The exchanges of a tenant, or of everybody, oldest first."""
        if tenant_id is not None:
            return list(self._by_tenant.get(tenant_id, ()))
        return list(self._by_id.values())

    def get(self, exchange_id: str) -> Exchange | None:
        """The exchange with that X-Mock-Request-Id, if it is still kept."""
        return self._by_id.get(exchange_id)


def _size(exchange: Exchange) -> int:
    """About how many bytes a request takes."""
    head = sum(map(len, chain.from_iterable(exchange.request.headers)))
    return len(exchange.request.path) + len(exchange.request.query) + head + len(exchange.request.body)


def explain(exchange: Exchange) -> dict[str, Any]:
    """The exchange as JSON, redacted: request, answer, and the steps that led from one to the other."""
    response, operation = exchange.response, exchange.operation
    assert response is not None
    told = {
        "id": exchange.id,
        "at": iso(exchange.at),
        "duration_ms": round(exchange.duration * 1000, 3),
        "operation": operation.id if operation is not None else None,
        "tenant_id": exchange.tenant.id if exchange.tenant is not None else None,
        "key_id": exchange.key.id if exchange.key is not None else None,
        "fault": exchange.fault,
        "request": {
            "method": exchange.request.method,
            "path": exchange.request.path,
            "query": exchange.request.query.decode("latin-1"),
            "headers": _headers(exchange.request.headers),
            "body": exchange.request.body.decode("utf-8", "replace"),
        },
        "response": {
            "status": exchange.status,
            "headers": [] if exchange.status is None else _headers(response.headers),
            "body": response.body.decode("utf-8", "replace"),
        },
        "explanation": {
            "decided_by": exchange.decided_by,
            "rule": exchange.reason,
            "pointer": exchange.pointer,
            "steps": list(_steps(exchange)),
        },
    }
    told = redact_deep(told, secrets(exchange))
    for header in told["request"]["headers"]:
        if header[0] == "authorization":
            scheme = header[1].split(" ")[0]
            header[1] = f"{scheme} {MARK}" if scheme.lower() == "bearer" else MARK
    return dict(told)


def secrets(exchange: Exchange) -> list[str]:
    """The values of this exchange that nobody may see again: what its Authorization headers carried."""
    values = [value.decode("latin-1") for name, value in exchange.request.headers if name == b"authorization"]
    # A word of three letters is no secret, and replacing it everywhere would leave nothing to read.
    return [word for value in values for word in value.split() if len(word) >= 8]


def _headers(headers: list[tuple[bytes, bytes]]) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _steps(exchange: Exchange) -> Any:
    """Each step with what it found; those behind the deciding one were not reached."""
    decided = STEPS.index(exchange.decided_by)
    for number, step in enumerate(STEPS):
        if number > decided:
            yield {"step": step, "outcome": "not reached"}
        else:
            outcome = "decided" if number == decided else "passed"
            yield {
                "step": step,
                "outcome": outcome,
                "detail": exchange.reason if number == decided else _passed(exchange, step),
            }


def _passed(exchange: Exchange, step: str) -> str:
    operation, key, quota = exchange.operation, exchange.key, exchange.quota
    match step:
        case "routing" if operation is not None:
            return f"{operation.id} ({operation.pointer})"
        case "faults":
            return "none consumed" if exchange.fault is None else f"{exchange.fault} is consumed"
        case "authentication" | "scope" | "rate_limit" if key is None:
            return "the operation asks for no key"
        case "authentication" if exchange.tenant is not None and key is not None:
            return f"key {key.id} of tenant {exchange.tenant.id}"
        case "rate_limit" if quota is not None:
            limits = [
                f"request {count} of {limit or 'unlimited'} for the {owner}"
                for count, limit, owner in (
                    (quota.key_count, quota.key_limit, "key"),
                    (quota.tenant_count, quota.tenant_limit, "tenant"),
                )
            ]
            return f"{', '.join(limits)}; the window ends at {iso(quota.reset_at)}"
        case "scope" if operation is not None and key is not None:
            wanted = sorted(next(need.scopes for need in operation.security if need.scopes <= key.scopes))
            return f"the key has {', '.join(wanted)}" if wanted else "no scope is asked for"
        case _:
            return "in order"
