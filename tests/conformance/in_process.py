"""The kit and a server in one process, without connections, on a clock that jumps.

What the kit waits for costs no time: its sleep moves the clock, and the windows of the server's rate limit end by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.conformance.reference import Running
from tests.conformance.reference.server import Request, Variant, make

from vorel_conformance.http import urls
from vorel_conformance.http.clock import Clock
from vorel_conformance.http.transport import READ_CAP, Answer
from vorel_mock.server.app import App
from vorel_mock.testing.channels import arrived

TOOK_S = 0.001  # what a request takes on the clock
STARTED = 1_900_000_000.4  # epoch seconds; neither at the begin of a window nor of a second


class JumpingClock(Clock):
    """A time that only moves by `sleep`, and at once."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = threading.Lock()
        self._steps: Callable[[], bool] | None = None  # what runs beside the run
        self._each = self._due = 0.0

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return STARTED + self._now

    def sleep(self, seconds: float) -> None:
        end = self._now + seconds
        while (steps := self._steps) is not None and self._due <= end:
            self._move_to(self._due)
            self._due += self._each
            self._steps = None  # a step that sleeps runs no other
            self._steps = steps if steps() else None
        self._move_to(end)

    def every(self, seconds: float, step: Callable[[], bool]) -> Callable[[], None]:
        self._steps, self._each, self._due = step, seconds, self._now

        def stop() -> None:
            self._steps = None

        return stop

    def _move_to(self, moment: float) -> None:
        with self._lock:
            self._now = max(self._now, moment)


@dataclass(frozen=True)
class Inside(Running):
    """A reference server that nothing but `InProcess` leads to."""

    clock: JumpingClock


def inside(reading: Variant | None = None, fault: Variant | None = None, **options: Any) -> Inside:
    """Make a reference server without a port. Arguments as for `reference.serve`."""
    clock = JumpingClock()
    server = make(reading, fault, clock=clock.time, **options)
    base_url = "http://127.0.0.1:3000"
    return Inside(base_url, {"base_url": base_url, **server.world.profile}, server, clock)


class InProcess:  # a vorel_conformance.http.transport.Way
    """The way to a reference server in this process."""

    def __init__(self, running: Inside) -> None:
        self._running = running
        self._clock = running.clock
        self._connection = 1  # the number of the connection that there would be
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None) -> Answer:
        url = urlsplit(urls.join(self._running.base_url, path))
        given = {"host": url.netloc, "accept-encoding": "identity"}
        given |= {
            name.lower(): value.encode("utf-8", "surrogateescape").decode("latin-1").strip(" \t")
            for name, value in headers
        }
        server = self._running.server
        self._clock.sleep(TOOK_S)
        with self._lock:
            request = Request(method, unquote(url.path), url.query, given, body or b"", str(self._connection))
            reply = server.respond(request)
            fields = reply.headers
            if server.date:
                fields = (*fields, ("Date", formatdate(self._clock.time(), usegmt=True)))
            if "close" in (given.get("connection"), *(value for name, value in fields if name == "Connection")):
                self._connection += 1
        sent = b"" if method == "HEAD" else reply.body
        return Answer(reply.status, fields, sent[:READ_CAP], len(sent) > READ_CAP)

    def accepts(self) -> bool:
        return True

    def close(self) -> None:
        pass


class ToMock:  # a vorel_conformance.http.transport.Way
    """The way to a mock in this process. Its clock is frozen, and shows what the run's shows."""

    def __init__(self, app: App, clock: JumpingClock) -> None:
        self._app = app
        self._clock = clock

    def ask(self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None) -> Answer:
        self._clock.sleep(TOOK_S)
        given = [(b"host", b"127.0.0.1"), (b"accept-encoding", b"identity")]
        given += [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers]
        if body is not None:
            given.append((b"content-length", str(len(body)).encode()))
        request = arrived(self._app, method, path.encode("ascii"), given, body or b"")
        mock = self._app.mock
        with mock.lock:
            mock.clock.set(self._clock.time())
            response = mock.answer(request)
        assert response.transmission is None, "a fault on the wire needs a connection"
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
        return Answer(response.status, fields, b"" if method == "HEAD" else response.body, truncated=False)

    def accepts(self) -> bool:
        return True

    def close(self) -> None:
        pass
