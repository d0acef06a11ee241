"""Everything that a mock answers over HTTP: the API, and the control plane below /_mock. All shells share it."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from vorel_mock.api.messages import MAX_BODY, Headers, Request, Response
from vorel_mock.control import handlers
from vorel_mock.control.app import ControlPlane
from vorel_mock.control.document import PREFIX, READS
from vorel_mock.mock.mock import Mock
from vorel_mock.server.cors import Cors


class Shell(Protocol):
    """What calls the mock in this process, and carries out the waits of a response."""

    def end_waits(self) -> None:
        """End every request that waits for its response."""


class App:
    """The API, a plain function, and the control plane, which takes time."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        origins = mock.settings.cors_origins
        self._cors = Cors(origins, mock.contract, mock.clock) if origins else None
        self.answer: Callable[[Request], Response] = mock.answer
        """Answers a request to the API."""
        if self._cors is not None:
            self.answer = partial(_answer_with_cors, mock, self._cors)
        self.control = ControlPlane(mock)
        self.shells: WeakSet[Shell] = WeakSet()
        """Those whose waits end with the mock. A port ends its own."""
        self.waits = mock.state is not None
        """True if `answer` waits for a log: shells with an event loop call `answer_later` then."""
        self._mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Mailbox] = WeakKeyDictionary()
        if self.waits:
            mock.start(handlers.commands(mock))

    async def answer_later(self, request: Request) -> Response:
        """Answer a request to the API when what it changes is written."""
        response = None if self._cors is None else self._cors.preflight(request)
        if response is None:
            loop = asyncio.get_running_loop()
            mailbox = self._mailboxes.get(loop)
            if mailbox is None:
                mailbox = self._mailboxes[loop] = _Mailbox(loop)
            answered: asyncio.Future[Response] = loop.create_future()
            self.mock.submit(request, partial(mailbox.put, answered))
            response = await answered
            if self._cors is not None:
                response = self._cors.shared(request, response)
        return response

    def body_limit(self, path: str, headers: Headers) -> int:
        """Return how many bytes the body of a request may have."""
        # A large body is read only for a client that may use the control plane.
        permitted = self.control.body_limit(path, headers) if is_below(path) else None
        return MAX_BODY if permitted is None else permitted

    def reload(self) -> str | None:
        """Read the fixtures again, and reset their tenants. Returns what is wrong, if that is not possible."""
        if self.mock.settings.fixtures is None:
            return "there is no file; --fixtures names one"
        try:
            self.mock.reset()
        except ValueError as error:
            return str(error)
        return None

    def begin_to_stop(self) -> None:
        """Have pages that listen for changes end: a thread that writes later finds no event loop any more."""
        self.mock.stopped = True

    def stop(self) -> None:
        """End what runs beside the requests: waits, the control plane's threads, and the webhooks'."""
        for shell in list(self.shells):
            shell.end_waits()
        self.control.stop()
        self.mock.stop()


class _Mailbox:
    """Hands responses from the thread of a log to an event loop, which is woken once for all that come together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._made: deque[tuple[asyncio.Future[Response], Response]] = deque()

    def put(self, answered: "asyncio.Future[Response]", response: Response) -> None:
        """Have `answered` be `response`. In the thread of the log."""
        self._made.append((answered, response))
        if len(self._made) == 1:
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                self._loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        while self._made:
            answered, response = self._made.popleft()
            if not answered.done():
                answered.set_result(response)


def _answer_with_cors(mock: Mock, cors: Cors, request: Request) -> Response:
    return cors.preflight(request) or cors.shared(request, mock.answer(request))


def is_control(request: Request) -> bool:
    """Return True if the control plane answers a request: one below its path, or of a browser at the root."""
    path = request.path
    if path.startswith(PREFIX):
        return is_below(path)
    return path == "/" and request.method in READS and b"text/html" in request.fields.get(b"accept", b"")


def is_below(path: str) -> bool:
    """Return True if a path belongs to the control plane."""
    return path.startswith(PREFIX) and (len(path) == len(PREFIX) or path[len(PREFIX)] == "/")
