"""Turn one request into one response. Synchronous: no I/O, no framework, no real time; never waits.

The shells in `vorel_mock.server` call it through `Mock.answer`, which holds the lock. Everything that it uses of time
and chance comes from clocks and ids, so that the same requests in the same order give the same bytes again.
"""

import logging
import traceback
from email.utils import formatdate
from functools import lru_cache

from vorel_mock.api.errors import error_response
from vorel_mock.api.faults import injection
from vorel_mock.api.messages import ApiError, Exchange, Request, Response
from vorel_mock.api.pipeline import Pipeline
from vorel_mock.api.router import Router
from vorel_mock.api.steps import rate_limit
from vorel_mock.contract.contract import Contract
from vorel_mock.model.clock import Clock
from vorel_mock.model.redaction import redact

REQUEST_ID = b"x-mock-request-id"

logger = logging.getLogger("vorel_mock")


class Core:
    """Answers requests. `always`: each response to an authenticated request carries the rate limit headers."""

    def __init__(self, contract: Contract, router: Router, pipeline: Pipeline, clock: Clock, *, always: bool) -> None:
        self._contract = contract
        self._router = router
        self._pipeline = pipeline
        self._clock = clock
        self._always = always

    def answer(self, request: Request, request_id: str) -> Exchange:
        """Answer a request. `Exchange.response` is set, whatever the request was."""
        exchange = Exchange(request_id, 0.0, request)
        try:
            if request.malformed is not None:
                raise ApiError(400, request.malformed, pointer="#/paths")
            response = self._pipeline.respond(exchange, self._router.find(exchange))
        except ApiError as error:
            response = self._rejected(exchange, error)
        except Exception as error:
            logger.exception("%s: %s %s", exchange.id, request.method, redact(request.path))
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"the mock's own fault: {type(error).__name__} in {where.name}, line {where.lineno}"
            problem = ApiError(500, "The mock failed. This is a bug of the mock.", reason=reason)
            response = self._rejected(exchange, problem)
        self._complete(exchange, response)
        return exchange

    def reject(self, request: Request, request_id: str, error: ApiError) -> Exchange:
        """Answer a request that no step has looked at."""
        exchange = Exchange(request_id, 0.0, request)
        self._complete(exchange, self._rejected(exchange, error))
        return exchange

    def _rejected(self, exchange: Exchange, error: ApiError) -> Response:
        exchange.reason = error.reason
        if error.pointer is not None:
            exchange.pointer = error.pointer
        elif error.status in self._contract.error_responses:
            exchange.pointer = self._contract.error_responses[error.status][0]
        return error_response(self._contract, error, exchange.operation)

    def _complete(self, exchange: Exchange, response: Response) -> None:
        """Add the headers that every response carries."""
        if exchange.tenant is None:
            exchange.at = self._clock.now()
        headers = response.headers
        if self._always and exchange.quota is not None and response.status != 429:
            headers += rate_limit.headers(exchange.quota, self._contract.rate_limit_headers(exchange.operation))
        if exchange.preference is not None and injection.was_applied(exchange, response):
            headers.append((b"preference-applied", exchange.preference.encode()))
        if response.transmission is not None and response.transmission.chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        elif response.status != 204:  # RFC 9110, 8.6
            headers.append(_content_length(len(response.body)))
        headers += (_date(int(exchange.at)), (REQUEST_ID, exchange.id.encode()))
        if exchange.request.unreadable is not None or exchange.request.malformed is not None:
            headers.append((b"connection", b"close"))
        if response.finish is not None:
            response.headers, response.finish = response.finish(headers), None
        exchange.response = response


# The journal keeps thousands of responses: that they share these pairs saves memory, and the time to drop them again.


@lru_cache(maxsize=1024)
def _content_length(length: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % length


@lru_cache(maxsize=64)
def _date(second: int) -> tuple[bytes, bytes]:
    return b"date", http_date(second)


def http_date(second: int) -> bytes:
    """Return `second` (since the epoch) as a Date header has it."""
    return formatdate(second, usegmt=True).encode()
