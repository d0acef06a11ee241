"""The HTTP client of a run: every request of the kit goes through `Client.send`, paced, budgeted and recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from vorel_conformance.http import content_coding, urls
from vorel_conformance.http.clock import Clock
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.pacing import Pacer
from vorel_conformance.http.placeholders import holds_placeholder, resolve
from vorel_conformance.http.target import Target
from vorel_conformance.http.transport import READ_CAP, USUAL, NoAnswerError, Transport, Trust, Way
from vorel_conformance.spec import contract

ATTEMPTS = 3  # a connection may break by chance; if it breaks three times, the request is the cause
AWAY_S = 10.0  # seconds to wait for a target that stopped accepting connections
AWAY_STEP_S = 0.1
GONE = 8  # requests in a row without a response, after which the target counts as gone


class SpentError(Exception):
    """The budget of requests, or of time, is used up."""


class GoneError(Exception):
    """The target stopped responding during the run."""


class Client:
    """Sends requests to one target. Safe to use from several threads."""

    def __init__(
        self,
        target: Target,
        *,
        seed: int,
        max_requests: int,
        rate: float,
        rate_binds_bursts: bool = False,
        connect_timeout: float,
        timeout: float,
        trust: Trust = USUAL,
        connections: int = 32,
        on_exchange: Callable[[Exchange], None] = lambda _: None,
        clock: Clock | None = None,
        way: Way | None = None,
    ) -> None:
        """`clock`, `way`: the time of the run and the way to the target. None: of this machine, and connections."""
        self.clock = clock or Clock()
        self.target = target
        self.seed = seed
        self.max_requests = max_requests
        self.trust = trust.of(target.base_url)
        self.pacer = Pacer(target, rate, self.clock, binding=rate_binds_bursts)
        self.exchanges: list[Exchange] = []  # without their bodies
        self.retried = 0
        self.outages: list[float] = []  # seconds for which the target accepted no connection, each time
        self._on_exchange = on_exchange
        self._lock = threading.Lock()
        self._count = 0
        self._failures_in_a_row = 0
        self._gone = ""
        self._stopped = ""
        self._responded = False
        self._away = threading.Lock()
        self._way = way or Transport(
            target.base_url, timeout=timeout, connect_timeout=connect_timeout, trust=trust, connections=connections
        )

    def close(self) -> None:
        """Close the connections."""
        self._way.close()

    def stop(self, reason: str) -> None:
        """Send nothing more: whatever is asked for from now on raises SpentError."""
        self._stopped = reason

    def end_at(self, deadline: float) -> None:
        """Send nothing after `deadline`, in the monotonic time of the clock."""
        self.pacer.deadline = deadline

    @property
    def left(self) -> int:
        """The number of requests that are left in the budget."""
        return max(0, self.max_requests - self._count)

    def send(self, request: Request, *, unpaced: bool = False) -> Exchange:
        """Send one request and record the exchange. If the connection breaks, send it again.

        Raises SpentError if the budget is used up, GoneError if the target stopped responding.
        """
        with self._lock:
            if self._stopped:
                raise SpentError(self._stopped)
            if self._gone:
                raise GoneError(self._gone)
            if self._count >= self.max_requests:
                raise SpentError(f"the budget of {self.max_requests} requests is used up")
            self._count += 1
            number = self._count
        if not self.pacer.wait(request.key, unpaced=unpaced):
            raise SpentError("the time limit of the run is reached")
        if self._stopped:
            raise SpentError(self._stopped)
        exchange = self._exchange(number, request)
        with self._lock:
            self.exchanges.append(exchange.record)
            self._responded = self._responded or exchange.responded
            self._failures_in_a_row = 0 if exchange.responded else self._failures_in_a_row + 1
            if self._failures_in_a_row >= GONE:
                self._gone = f"the target stopped responding after {number} requests: {exchange.failure}"
        self._on_exchange(exchange)
        return exchange

    def _wait_until_back(self) -> None:
        """Wait a while for a target that accepts no connection any more: it may be restarting."""
        with self._away:  # one thread looks, the others wait for it
            began = self.clock.monotonic()
            while not (back := self._way.accepts()) and self.clock.monotonic() - began < AWAY_S and not self._stopped:
                self.clock.sleep(AWAY_STEP_S)
            if back and self.clock.monotonic() - began > AWAY_STEP_S:
                self.outages.append(self.clock.monotonic() - began)

    def _exchange(self, number: int, request: Request) -> Exchange:
        path = resolve(request.path, self.target, self.seed)
        headers = [(name, resolve(value, self.target, self.seed)) for name, value in request.headers]
        body = request.body
        if body and holds_placeholder(body):
            body = resolve(body.decode("utf-8"), self.target, self.seed).encode("utf-8")
        exchange = Exchange(
            number,
            request,
            urls.join(self.target.base_url, request.path),
            contract.load().operation(request.method, request.path.partition("?")[0]),
            credential=next((value for name, value in headers if name == "Authorization"), ""),
        )
        failure, connected = "", False
        for attempt in range(ATTEMPTS):
            started, began = self.clock.time(), self.clock.monotonic()
            try:
                answer = self._way.ask(request.method, path, headers, body)
            except NoAnswerError as error:
                failure, connected = str(error), error.connected
                with self._lock:
                    self.retried += 1
                if not error.connected and self._responded:
                    self._wait_until_back()
                # A second timeout is enough: a third attempt would only cost time.
                if error.timeout and attempt >= 1:
                    break
                continue
            elapsed = self.clock.monotonic() - began
            return _decoded(replace(exchange, **vars(answer), started=started, elapsed=elapsed))
        elapsed = self.clock.monotonic() - began
        return replace(exchange, failure=failure, connected=connected, started=started, elapsed=elapsed)


def _decoded(exchange: Exchange) -> Exchange:
    """Return the exchange with its body decoded, in case the server has compressed it unasked."""
    coding = exchange.header("Content-Encoding")
    if exchange.truncated or not coding:
        return exchange
    found = content_coding.decode(exchange.body, coding, READ_CAP)
    return replace(
        exchange,
        body=found.body,
        truncated=found.truncated,
        undecoded=found.problem,
        unknown_coding=found.unknown,
    )
