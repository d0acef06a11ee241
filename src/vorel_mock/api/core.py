"""First and last step: whatever goes wrong becomes an ErrorEnvelope, and every answer leaves through one door."""

import logging
import traceback
from collections.abc import Coroutine
from email.utils import formatdate
from functools import lru_cache
from threading import RLock
from typing import Any, cast

import msgspec
from starlette.types import Receive, Scope, Send

from vorel_mock.api.faults import injection as faults
from vorel_mock.api.messages import Answer, Exchange, Headers, Refusal
from vorel_mock.api.pipeline import Pipeline
from vorel_mock.api.router import Router
from vorel_mock.api.steps import rate_limit
from vorel_mock.contract.contract import Contract
from vorel_mock.mock.journal.access_log import RequestLog
from vorel_mock.mock.journal.journal import Journal
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.snapshot import rehearsal
from vorel_mock.mock.store.memory import MemoryStore
from vorel_mock.model.clock import Clock, stopwatch
from vorel_mock.model.redaction import redact
from vorel_mock.server import request_body as body
from vorel_mock.server import transmission as manner

REQUEST_ID = b"x-mock-request-id"
_JSON = (b"content-type", b"application/json")

#: The request of which nothing is known.
_NOTHING: Scope = {"type": "http", "method": "", "path": "", "query_string": b"", "headers": [], "root_path": ""}

logger = logging.getLogger("vorel_mock")


class Envelope:
    """The ASGI application of the API."""

    def __init__(
        self,
        contract: Contract,
        settings: Settings,
        clock: Clock,
        store: MemoryStore,
        router: Router,
        journal: Journal,
        log: RequestLog,
        lock: RLock,
    ) -> None:
        self._contract = contract
        self._always = settings.rate_limit_headers == "always"
        self._clock = clock
        self._store = store
        self._router = router
        self._journal = journal
        self._log = log
        self._lock = lock
        self._number = 0

    async def start(self) -> None:
        """Make ready what the first request would otherwise have to wait for."""
        await self._router.start()

    def reset(self) -> None:
        """Begin to count the requests anew."""
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = stopwatch()
        try:
            raw, unreadable = await body.read(scope, receive)
        except body.ClientGone:
            return  # half a request has no effect
        with self._lock:
            self._number += 1
            exchange = self._exchange(scope, f"req_{self._number:08d}")
            exchange.body, exchange.unreadable = raw, unreadable
            answer = await self._answer(scope, exchange, self._router)
            self._complete(exchange, answer, started)
            self._keep(exchange)
        if answer.manner is not None:
            await manner.send_badly(scope, send, answer, answer.manner)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def refuse_unparsed(self, message: str) -> Answer:
        """The answer to bytes that are no HTTP request; nothing but that they came is known of it."""
        with self._lock:
            self._number += 1
            exchange = self._exchange(_NOTHING, f"req_{self._number:08d}")
            answer = self._refusal(exchange, Refusal(400, message, pointer="#/paths"))
            self._complete(exchange, answer, stopwatch())
            self._keep(exchange)
        return answer

    def rehearse(self, method: str, path: str, query: bytes, headers: Headers, raw: bytes) -> Exchange:
        """The exchange that such a request would be, on a copy of the tenant whose key it has: without an effect."""
        scope = {**_NOTHING, "method": method, "path": path, "query_string": query, "headers": headers}
        with self._lock:
            exchange = self._exchange(scope, "rehearsal")
            exchange.body, exchange.unreadable = body.cut(raw)
            stage = MemoryStore()
            for tenant in self._store.tenants():
                if any(key.token.encode() in value for key in tenant.keys.values() for _, value in headers):
                    stage.add(rehearsal(tenant))
            router = Router(self._contract, Pipeline(self._contract, stage, _publish_nothing))
            answer = _without_waiting(self._answer(scope, exchange, router))
            self._complete(exchange, answer, stopwatch())
        return exchange

    def _exchange(self, scope: Scope, exchange_id: str) -> Exchange:
        return Exchange(
            exchange_id, self._clock.now(), scope["method"], scope["path"], scope["query_string"], scope["headers"]
        )

    async def _answer(self, scope: Scope, exchange: Exchange, router: Router) -> Answer:
        # Nothing in here waits: the stack is asynchronous by its interface only, so that the lock is never held long.
        try:
            await router.route(scope, exchange)
            assert exchange.answer is not None
        except Refusal as refusal:
            return self._refusal(exchange, refusal)
        except Exception as error:
            logger.exception("%s: %s %s", exchange.id, exchange.method, redact(exchange.path))
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"the mock's own fault: {type(error).__name__} in {where.name}, line {where.lineno}"
            return self._refusal(exchange, Refusal(500, "The mock failed. This is a bug of the mock.", reason=reason))
        return exchange.answer

    def _refusal(self, exchange: Exchange, refusal: Refusal) -> Answer:
        contract = self._contract
        exchange.reason = refusal.reason
        if refusal.pointer is not None:
            exchange.pointer = refusal.pointer
        elif refusal.status in contract.error_responses:
            exchange.pointer = contract.error_responses[refusal.status][0]
        code = contract.error_codes.get(refusal.status, "internal_error")
        content = msgspec.json.encode({"error": {"code": code, "message": redact(refusal.message)}})
        return Answer(refusal.status, content, [_JSON, *refusal.headers])

    def _complete(self, exchange: Exchange, answer: Answer, started: float) -> None:
        """What every answer carries."""
        if exchange.tenant is not None:
            exchange.at = exchange.tenant.clock.now()
        if self._always and exchange.quota is not None and answer.status != 429:
            answer.headers += rate_limit.headers(exchange.quota, self._contract.rate_limit_headers(exchange.operation))
        preference = faults.applied(exchange, answer)
        if preference is not None:
            answer.headers.append((b"preference-applied", preference.encode()))
        if answer.status != 204:  # RFC 9110, 8.6
            answer.headers.append((b"content-length", b"%d" % len(answer.body)))
        answer.headers += [
            (b"date", http_date(int(exchange.at))),
            (REQUEST_ID, exchange.id.encode()),
        ]
        if exchange.unreadable is not None:
            answer.headers.append((b"connection", b"close"))
        exchange.answer = answer
        exchange.duration = stopwatch() - started

    def _keep(self, exchange: Exchange) -> None:
        self._journal.add(exchange)
        self._log.write(exchange)


def _publish_nothing(*_: Any, **__: Any) -> None:
    """What is rehearsed is told to nobody."""


def _without_waiting(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast(Answer, done.value)
    raise AssertionError("answering a request waited for something")


@lru_cache(maxsize=64)
def http_date(second: int) -> bytes:
    """`second` since the epoch as a Date header has it."""
    return formatdate(second, usegmt=True).encode()
