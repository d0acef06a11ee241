"""The HTTP client of a run: every request of the kit goes through `Client.send`, paced, budgeted and recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx

from vorel_conformance.http import urls
from vorel_conformance.http.exchange import READ_CAP, Exchange, Request
from vorel_conformance.http.pacing import Pacer
from vorel_conformance.http.placeholders import holds_placeholder, resolve
from vorel_conformance.http.target import Target
from vorel_conformance.spec import contract

ATTEMPTS = 3  # a connection may break by chance; if it breaks three times, the request is the cause
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
        connect_timeout: float,
        timeout: float,
        connections: int = 32,
        on_exchange: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        self.target = target
        self.seed = seed
        self.max_requests = max_requests
        self.deadline = float("inf")  # of the run, on time.monotonic's clock
        self.pacer = Pacer(target, rate, time.monotonic, time.sleep)
        self.exchanges: list[Exchange] = []
        self.retried = 0
        self._timeout = timeout
        self._on_exchange = on_exchange
        self._lock = threading.Lock()
        self._count = 0
        self._failures_in_a_row = 0
        self._gone = ""
        self._http = httpx.Client(
            base_url=target.base_url,
            timeout=httpx.Timeout(timeout, connect=connect_timeout, pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # Requests to this machine must not go through a proxy.
            trust_env=not target.is_loopback,
            follow_redirects=False,
        )
        self._http.headers.clear()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def left(self) -> int:
        """The number of requests that are left in the budget."""
        return max(0, self.max_requests - self._count)

    def send(self, request: Request, *, unpaced: bool = False) -> Exchange:
        """Send one request and record the exchange. If the connection breaks, send it again.

        Raises SpentError if the budget is used up, GoneError if the target stopped responding.
        """
        with self._lock:
            if self._gone:
                raise GoneError(self._gone)
            if self._count >= self.max_requests:
                raise SpentError(f"the budget of {self.max_requests} requests is used up")
            if time.monotonic() > self.deadline:
                raise SpentError("the time limit of the run is reached")
            self._count += 1
            number = self._count
        self.pacer.wait(request.key, unpaced=unpaced)
        exchange = self._exchange(number, request)
        with self._lock:
            self.exchanges.append(exchange)
            self._failures_in_a_row = 0 if exchange.responded else self._failures_in_a_row + 1
            if self._failures_in_a_row >= GONE:
                self._gone = f"the target stopped responding after {number} requests: {exchange.failure}"
        self._on_exchange(exchange)
        return exchange

    def _exchange(self, number: int, request: Request) -> Exchange:
        path = resolve(request.path, self.target, self.seed)
        headers = [(name, resolve(value, self.target, self.seed)) for name, value in request.headers]
        credential = next((value for name, value in headers if name == "Authorization"), "")
        operation = contract.load().operation(request.method, request.path.partition("?")[0])
        failure, connected = "", False
        for attempt in range(ATTEMPTS):
            started = time.time()
            clock = time.monotonic()
            try:
                status, fields, body, truncated = self._once(request, path, headers)
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
                failure = explain(error)
                connected = connected or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                with self._lock:
                    self.retried += 1
                # A second timeout is enough: a third attempt would only cost time.
                if isinstance(error, httpx.TimeoutException) and attempt >= 1:
                    break
                continue
            return Exchange(
                number,
                request,
                urls.join(self.target.base_url, request.path),
                operation,
                status,
                fields,
                body,
                truncated,
                started=started,
                elapsed=time.monotonic() - clock,
                credential=credential,
            )
        return Exchange(
            number,
            request,
            urls.join(self.target.base_url, request.path),
            operation,
            failure=failure,
            connected=connected,
            started=started,
            elapsed=time.monotonic() - clock,
            credential=credential,
        )

    def _once(
        self, request: Request, path: str, headers: list[tuple[str, str]]
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool]:
        wire = [(name.encode("ascii"), value.encode("utf-8", "surrogateescape")) for name, value in headers]
        wire.append((b"Accept-Encoding", b"identity"))
        body_sent = request.body
        if body_sent and holds_placeholder(body_sent):
            body_sent = resolve(body_sent.decode("utf-8"), self.target, self.seed).encode("utf-8")
        built = self._http.build_request(
            request.method, urls.join(self.target.base_url, path), headers=wire, content=body_sent
        )
        deadline = time.monotonic() + 3 * self._timeout
        response = self._http.send(built, stream=True)
        try:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > READ_CAP:
                    break
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"the response was not complete after {3 * self._timeout:g} s")
        finally:
            response.close()
        fields = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw)
        return response.status_code, fields, bytes(body[:READ_CAP]), len(body) > READ_CAP


def explain(error: Exception) -> str:
    """Describe a failed connection in words."""
    if isinstance(error, httpx.ConnectTimeout):
        return "timeout: no connection"
    if isinstance(error, httpx.TimeoutException):
        return "timeout: no response"
    return str(error) or type(error).__name__
