"""First and last step: whatever goes wrong becomes an ErrorEnvelope, and every answer leaves through one door."""

import logging
import traceback
from email.utils import formatdate
from functools import lru_cache
from threading import RLock

import msgspec
from starlette.types import Receive, Scope, Send

from vorel_mock.api import body, rate_limit
from vorel_mock.api.exchange import Answer, Exchange, Refusal
from vorel_mock.api.journal import Journal
from vorel_mock.api.routing import Router
from vorel_mock.clock import Clock, stopwatch
from vorel_mock.console import RequestLog
from vorel_mock.contract import Contract
from vorel_mock.redaction import redact
from vorel_mock.settings import Settings

REQUEST_ID = b"x-mock-request-id"
_JSON = (b"content-type", b"application/json")

logger = logging.getLogger("vorel_mock")


class Envelope:
    """The ASGI application of the API."""

    def __init__(
        self,
        contract: Contract,
        settings: Settings,
        clock: Clock,
        router: Router,
        journal: Journal,
        log: RequestLog,
        lock: RLock,
    ) -> None:
        self._contract = contract
        self._always = settings.rate_limit_headers == "always"
        self._clock = clock
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
            raw, unreadable = await body.read(receive)
        except body.ClientGone:
            return  # half a request has no effect
        with self._lock:
            exchange = self._begin(scope["method"], scope["path"], scope["query_string"], scope["headers"])
            exchange.body, exchange.unreadable = raw, unreadable
            answer = await self._answer(scope, exchange)
            self._finish(exchange, answer, started)
        if unreadable is not None:
            answer.headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def refuse_unparsed(self, message: str) -> Answer:
        """The answer to bytes that are no HTTP request; nothing but that they came is known of it."""
        with self._lock:
            exchange = self._begin("", "", b"", [])
            answer = self._refusal(exchange, Refusal(400, message, pointer="#/paths"))
            self._finish(exchange, answer, stopwatch())
        return answer

    def _begin(self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]) -> Exchange:
        self._number += 1
        return Exchange(f"req_{self._number:08d}", self._clock.now(), method, path, query, headers)

    async def _answer(self, scope: Scope, exchange: Exchange) -> Answer:
        # Nothing in here waits: the stack is asynchronous by its interface only, so that the lock is never held long.
        try:
            await self._router.route(scope, exchange)
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

    def _finish(self, exchange: Exchange, answer: Answer, started: float) -> None:
        """What every answer carries; then the journal and the log have it."""
        clock = exchange.tenant.clock if exchange.tenant is not None else self._clock
        if self._always and exchange.quota is not None and answer.status != 429:
            answer.headers += rate_limit.headers(exchange.quota, self._contract)
        if answer.status != 204:  # RFC 9110, 8.6
            answer.headers.append((b"content-length", b"%d" % len(answer.body)))
        answer.headers += [
            (b"date", http_date(int(clock.now()))),
            (REQUEST_ID, exchange.id.encode()),
        ]
        exchange.answer = answer
        exchange.duration = stopwatch() - started
        self._journal.add(exchange)
        self._log.write(exchange)


@lru_cache(maxsize=64)
def http_date(second: int) -> bytes:
    """`second` since the epoch as a Date header has it."""
    return formatdate(second, usegmt=True).encode()
