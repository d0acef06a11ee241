"""Paced, budgeted, recorded HTTP.

A request is written without secrets: `${full.0}` stands for the first key of the pool, `${full.0|flip.57}` for that
key with another digit in place 57. So a recorded request can be shown, and sent again by whoever has the profile.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property

import httpx

from vorel_conformance import contract, strict
from vorel_conformance.target import SINGLE_KEYS, Target, TargetError
from vorel_conformance.templates import holds_template, resolve

READ_CAP = 1 << 20  # bytes of an answer that are read; the contract's answers are a few hundred
ATTEMPTS = 3  # a connection may break; a request that breaks it three times is the request's doing
GONE = 8  # requests in a row without an answer, after which nobody is there any more
SHARE_OF_LIMIT = 0.95  # of a key's limit: what the kit allows itself


class SpentError(Exception):
    """The budget of requests, or of time, is used up."""


class GoneError(Exception):
    """The target stopped answering in the middle of the run."""


@dataclass(frozen=True)
class Request:
    """A request without secrets. `path` has its query; `key` names the credential, for pacing and for the reader."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    key: str | None = None


@dataclass(frozen=True)
class Exchange:
    """A request and what came of it. `status` is 0 and `failure` says why when there was no answer."""

    number: int
    request: Request
    url: str
    operation: contract.Operation | None
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    failure: str = ""
    started: float = 0.0  # epoch seconds
    elapsed: float = 0.0  # seconds
    credential: str = field(default="", repr=False)  # the secret that was sent: oracles look for it in the answer

    @property
    def answered(self) -> bool:
        """Whether there was an answer, whole."""
        return self.status != 0

    def header(self, name: str) -> str | None:
        """The value of a header, the first when there are several; None without it."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @cached_property
    def parsed(self) -> strict.Parsed:
        """The body, strictly parsed."""
        if self.truncated:
            return strict.Parsed(error=f"the body is longer than {READ_CAP} bytes")
        return strict.parse(self.body)

    @property
    def is_json(self) -> bool:
        """Whether the media type is JSON, whatever its parameters."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower() == contract.MEDIA_TYPE

    @property
    def valid_key(self) -> bool:
        """Whether the request carried a valid key, as it should be carried."""
        name = self.request.key or ""
        issued = name != "revoked" and name.partition(".")[0] in ("full", "burst", "soft", *SINGLE_KEYS)
        return issued and ("Authorization", f"Bearer ${{{name}}}") in self.request.headers

    @property
    def at(self) -> float:
        """The moment of the answer in epoch seconds: by the server's Date, or else by our clock."""
        try:
            return parsedate_to_datetime(self.header("Date") or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return self.started + self.elapsed

    @property
    def wait_s(self) -> float | None:
        """Retry-After in seconds, or None when it is not there or no integer."""
        value = self.header("Retry-After") or ""
        return float(value) if re.fullmatch("[0-9]{1,18}", value) else None


class Pacer:
    """When the next request may go out: evenly over all keys, and never over a key's share of its limit."""

    def __init__(self, target: Target, rate: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._target = target
        self._interval = 60.0 / rate
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        self._sent: dict[str, deque[float]] = {}
        self._parked: dict[str, float] = {}
        self._lock = threading.Lock()
        self._together = False
        self._share = max(1, int(target.limit * SHARE_OF_LIMIT))

    def one_allowance(self) -> None:
        """Treat all keys as one from here on: the target gives them one allowance together."""
        with self._lock:
            self._together = True
            self._interval = max(self._interval, self._target.window_s / self._share)

    def park(self, key: str, seconds: float) -> None:
        """Leave a key alone for a while: it was told to."""
        with self._lock:
            self._parked["all" if self._together else key] = self._clock() + min(seconds, self._target.window_s + 1)

    def ready_in(self, key: str) -> float:
        """Seconds until a parked key may be used again; 0 for any other."""
        return max(0.0, self._parked.get(key, 0.0) - self._clock())

    def wait(self, key: str | None, *, unpaced: bool) -> None:
        """Sleep until a request on `key` may go out, and count it. `unpaced` is for the burst alone."""
        key = "all" if key and self._together else key
        while True:
            with self._lock:
                now = self._clock()
                due = 0.0 if unpaced else max(self._next, self._key_due(key, now))
                if due <= now:
                    self._next = max(self._next, now - self._interval) + self._interval
                    if key:
                        self._sent.setdefault(key, deque()).append(now)
                    return
            self._sleep(min(due - now, 1.0))

    def _key_due(self, key: str | None, now: float) -> float:
        if key is None:
            return now
        sent = self._sent.setdefault(key, deque())
        # A little more than a window: our clock sees the sending, the server's the arrival.
        horizon = self._target.window_s * 1.02
        while sent and sent[0] <= now - horizon:
            sent.popleft()
        full = sent[-self._share] + horizon if len(sent) >= self._share else now
        return max(full, self._parked.get(key, now))


class Client:
    """Sends requests to one target. May be used from several threads."""

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
            # A proxy between this machine and itself would only be in the way.
            trust_env=not target.is_loopback,
            follow_redirects=False,
        )
        self._http.headers.clear()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def left(self) -> int:
        """How many requests the budget still allows."""
        return max(0, self.max_requests - self._count)

    def send(self, request: Request, *, unpaced: bool = False) -> Exchange:
        """Send one request, again when the connection breaks, and record the exchange. SpentError, GoneError."""
        with self._lock:
            if self._gone:
                raise GoneError(self._gone)
            if self._count >= self.max_requests:
                raise SpentError(f"the budget of {self.max_requests} requests is spent")
            if time.monotonic() > self.deadline:
                raise SpentError("the time for this run is over")
            self._count += 1
            number = self._count
        self.pacer.wait(request.key, unpaced=unpaced)
        exchange = self._exchange(number, request)
        with self._lock:
            self.exchanges.append(exchange)
            self._failures_in_a_row = 0 if exchange.answered else self._failures_in_a_row + 1
            if self._failures_in_a_row >= GONE:
                self._gone = f"the target does not answer any more, after {number} requests: {exchange.failure}"
        self._on_exchange(exchange)
        return exchange

    def _exchange(self, number: int, request: Request) -> Exchange:
        path = resolve(request.path, self.target, self.seed)
        headers = [(name, resolve(value, self.target, self.seed)) for name, value in request.headers]
        credential = next((value for name, value in headers if name == "Authorization"), "")
        operation = contract.load().operation(request.method, request.path.partition("?")[0])
        failure = ""
        for attempt in range(ATTEMPTS):
            started = time.time()
            clock = time.monotonic()
            try:
                status, answer, body, truncated = self._once(request, path, headers)
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
                failure = explain(error)
                with self._lock:
                    self.retried += 1
                # A time-out that comes again would come a third time; it only costs time.
                if isinstance(error, httpx.TimeoutException) and attempt >= 1:
                    break
                continue
            return Exchange(
                number,
                request,
                self.target.base_url + request.path,
                operation,
                status,
                answer,
                body,
                truncated,
                started=started,
                elapsed=time.monotonic() - clock,
                credential=credential,
            )
        return Exchange(
            number,
            request,
            self.target.base_url + request.path,
            operation,
            failure=failure,
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
        if body_sent and holds_template(body_sent):
            body_sent = resolve(body_sent.decode("utf-8"), self.target, self.seed).encode("utf-8")
        built = self._http.build_request(request.method, self.target.base_url + path, headers=wire, content=body_sent)
        patience = time.monotonic() + 3 * self._timeout
        answer = self._http.send(built, stream=True)
        try:
            body = bytearray()
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > READ_CAP:
                    break
                if time.monotonic() > patience:
                    raise httpx.ReadTimeout(f"the answer was not complete after {3 * self._timeout:g} s")
        finally:
            answer.close()
        fields = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in answer.headers.raw)
        return answer.status_code, fields, bytes(body[:READ_CAP]), len(body) > READ_CAP


def explain(error: Exception) -> str:
    """What went wrong with a connection, in words."""
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__


def must_answer(client: Client, request: Request, what: str) -> Exchange:
    """Send a request of the preflight. TargetError when there is no answer, or one that no API gives."""
    for _ in range(ATTEMPTS):
        exchange = client.send(request)
        problem = _no_api(exchange, client.target.base_url, what)
        if not problem:
            return exchange
    raise TargetError(problem)


def _no_api(exchange: Exchange, base_url: str, what: str) -> str:
    """Why an answer cannot be one of this API; empty when it can."""
    if not exchange.answered:
        hint = (
            " Set SSL_CERT_FILE to the authority that signed it." if "CERTIFICATE" in exchange.failure.upper() else ""
        )
        return f"{base_url} does not answer {what}: {exchange.failure}.{hint}"
    if 300 <= exchange.status < 400:
        where = exchange.header("Location") or "nowhere"
        return f"{base_url} redirects {what} to {where}; give the URL where the API itself is."
    if exchange.truncated:
        return f"{base_url} answers {what} with more than {READ_CAP} bytes; is it this API?"
    if exchange.body.lstrip().startswith(b"<") and not exchange.is_json:
        return f"{base_url} answers {what} with a web page (HTTP {exchange.status}); is it this API?"
    return ""
