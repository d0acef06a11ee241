"""One client's connection: have its requests answered in their order, and write the responses.

A request to the API is answered in the same call that received its last byte, and its response leaves in one write.
Requests behind one that takes time (the control plane, a fault that delays, a client that does not read) wait for their
turn. Nothing more is read until they had it, so that what a client can make the mock keep is bounded.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from math import inf
from typing import Any, Literal, cast

from starlette.types import Message

from vorel_mock.api.messages import Request, Response, Transmission
from vorel_mock.model.held_responses import HeldResponse
from vorel_mock.model.wait import Client
from vorel_mock.server.app import App, is_control
from vorel_mock.server.control_response import ControlResponse
from vorel_mock.server.request_parser import Phase, RequestParser
from vorel_mock.server.transmission import Close, Reset, Wait, actions, chunk, head, pause
from vorel_mock.unpatched.event_loop import sleep

#: Bytes that are parsed at once. What arrives behind a request that takes time is kept unparsed.
SLICE = 16 * 1024
#: Seconds that a head, and then a body, may take to arrive.
HEAD_TIMEOUT = 30.0
BODY_TIMEOUT = 30.0
#: Seconds in which something of a response must have been written.
WRITE_TIMEOUT = 30.0
#: Seconds that a fault may still hold back a response when the client sends nothing more: mostly it has gone away.
GONE_TIMEOUT = 30.0
#: Seconds that a connection may be idle between two requests: as long as most servers, so that pools do not race it.
KEEP_ALIVE = 75.0
#: Seconds for which a rejected client may go on sending, so that it gets to read why it was rejected.
LINGER = 2.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)

#: What is too late when the deadline of a connection has passed.
Lateness = Literal["nothing", "request", "head", "body", "write", "gone", "close"]


class HttpConnection(asyncio.Protocol):
    """The server's side of one connection. `connections` is the set of those that are open.

    `control_turn` is held while a request to the control plane starts, and while its response does: each occupies the
    event loop for a while. Where many do so at once, requests to the API are answered in between.
    """

    def __init__(
        self,
        app: App,
        connections: "set[HttpConnection]",
        loop: asyncio.AbstractEventLoop,
        control_turn: asyncio.Lock,
    ) -> None:
        self._app = app
        self._connections = connections
        self._loop = loop
        self._control_turn = control_turn
        self._parser = RequestParser(self._submit, app.body_limit)
        self._transport: asyncio.Transport | None = None
        self._unparsed = b""
        self.waiting: deque[tuple[Request, bool]] = deque()
        """Requests that wait for their turn, each with whether the connection goes on after it."""
        self.task: asyncio.Task[None] | None = None
        """Sends the response to a request that takes time."""
        self._cancellable = False
        """True if `task` may be cancelled. The control plane finishes what it has begun, like any server."""
        self._never = False
        """True while a fault holds back a response that never comes."""
        self._held: HeldResponse | None = None
        """The response that a fault holds back."""
        self._client: Client | None = None
        """The client of a request to the control plane, which may wait."""
        self._writable: asyncio.Future[None] | None = None
        """Pending while the client does not read what was written."""
        self._reading = True
        self._eof = False
        """The client sends nothing more."""
        self._unread = False
        """The client may still send something that is not looked at."""
        self._shutting_down = False
        self._lateness: Lateness = "nothing"
        self._deadline = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._unwritten = 0

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the client has a while to send something."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._parser.phase == "ended":
            self._unread = True
        elif self._unparsed:
            self._unparsed += data
        else:
            self._parse(data)

    def eof_received(self) -> bool:
        """Return whether to keep the connection for writing: a complete request may still wait for its response."""
        self._eof = True
        if self._client is not None:  # one that closes says no more than this
            self._client.leave()
        waits = bool(self.waiting) or self.task is not None
        if self._parser.phase == "body" or not waits or self._never:
            return False
        self._parser.end()
        self._watch()
        return True

    def pause_writing(self) -> None:
        """Answer nothing more until the client reads."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Go on with what waits."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """End. Nothing that is left refers to itself: the garbage collector comes too seldom to wait for it."""
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self.task is not None and self._cancellable:
            self.task.cancel()
        if self._client is not None:
            self._client.leave()
        self._let_go()
        self._parser.close()
        self.waiting.clear()
        self._unparsed = b""
        self._transport = self._timer = self._writable = None

    def shut_down(self) -> None:
        """The server ends: finish the response that is under way, and close."""
        self.waiting.clear()
        self._unparsed = b""
        self._parser.end()
        self._shutting_down = True
        if self.task is None:
            self._close()

    def abort(self) -> None:
        """Close without finishing anything."""
        if self._transport is not None:
            self._transport.abort()

    # Reading.

    def _parse(self, data: bytes) -> None:
        """Parse `data`, as far as it can be answered now."""
        parser = self._parser
        if len(data) <= SLICE:
            parser.feed(data)
        else:
            for start in range(0, len(data), SLICE):
                if self.waiting or self.task is not None:
                    self._unparsed = data[start:]
                    break
                if parser.phase == "ended":
                    self._unread = True
                    break
                parser.feed(data[start : start + SLICE])
        self._settle()

    def _settle(self) -> None:
        """Do what depends on the state that was reached: ask for a body, read on or not, set the deadline."""
        if self._parser.phase == "idle" and self.task is None and self._reading and self._writable is None:
            # The usual case, and the shortest way: everything that was read is answered.
            self._expect("request", KEEP_ALIVE)
            return
        if self._parser.expects_continue and self.task is None and not self.waiting:
            self._parser.expects_continue = False
            self._write(_CONTINUE)
        self._pace()
        self._watch()

    def _pace(self) -> None:
        """Read only while nothing waits, so that one read at most is kept."""
        reading = not (self.waiting or self._unparsed)
        transport = self._transport
        if reading is not self._reading and transport is not None and not transport.is_closing():
            self._reading = reading
            if reading:
                transport.resume_reading()
            else:
                transport.pause_reading()

    # Answering.

    def _submit(self, request: Request, keep_alive: bool) -> None:
        """Answer a request now, or when it is its turn."""
        if self.task is None and self._writable is None and not self.waiting:
            self._answer(request, keep_alive)
        else:
            self.waiting.append((request, keep_alive))

    def _answer(self, request: Request, keep_alive: bool) -> None:
        if request.unreadable is not None or request.malformed is not None:
            self._unread = True
        if is_control(request) and request.malformed is None:
            self._start(self._run_control(request, keep_alive), cancellable=False)
            return
        if self._app.waits:
            self._start(self._answer_later(request, keep_alive), cancellable=False)
            return
        made = self._app.answer(request)
        if made.transmission is not None:
            self._note(made.transmission)
            self._start(self._transmit(request, made, keep_alive), cancellable=True)
            return
        self._write(
            head(made.status, made.headers, keep_alive=keep_alive) + (made.body if request.method != "HEAD" else b"")
        )
        self._lateness = "nothing"  # the wait for the next request begins
        if not keep_alive:
            self._close()

    def _start(self, sending: Coroutine[Any, Any, None], *, cancellable: bool) -> None:
        self._cancellable = cancellable
        self.task = self._loop.create_task(sending)

    def _note(self, transmission: Transmission) -> None:
        """Note that a fault holds back a response."""
        self._never, self._held = transmission.end in ("reset", "closed"), transmission.held

    async def _answer_later(self, request: Request, keep_alive: bool) -> None:
        """Send a response when what the request has changed is written."""
        made = await self._app.answer_later(request)
        if made.transmission is not None:
            self._cancellable = True
            self._note(made.transmission)
        await self._transmit(request, made, keep_alive)

    async def _transmit(self, request: Request, response: Response, keep_alive: bool) -> None:
        """Send a response the way a fault asks for."""
        how = response.transmission
        chunked = how is not None and how.chunked
        unsent = head(response.status, response.headers, keep_alive=keep_alive)
        try:
            for action in actions(response):
                if isinstance(action, Wait):
                    await pause(action.seconds, self._held)
                elif isinstance(action, Reset):
                    self._reset()
                elif isinstance(action, Close):
                    keep_alive = False
                else:
                    body = chunk(action.body, last=not action.more) if chunked else action.body
                    self._write(unsent + (body if request.method != "HEAD" else b""))
                    unsent = b""
        finally:
            self._done(keep_alive)

    async def _run_control(self, request: Request, keep_alive: bool) -> None:
        """Have the control plane answer a request."""
        response = ControlResponse(request.method, keep_alive=keep_alive)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._take_turns()
            data = response.bytes(message)
            if data:
                self._write(data)
            if self._writable is not None:
                self._watch()
                await self._writable

        self._client = Client()
        try:
            await self._take_turns()
            await self._app.control.answer(request, send, client=self._client)
        finally:
            self._client = None
            self._done(keep_alive and response.complete)

    async def _take_turns(self) -> None:
        """Go on when requests to the API had a chance, if many to the control plane start, or end, at the same time."""
        async with self._control_turn:
            await sleep(0)

    def _done(self, keep_alive: bool) -> None:
        """A response that took time is sent: go on with the next request."""
        self.task, self._never = None, False
        self._let_go()
        self._lateness = "nothing"
        if keep_alive and not self._shutting_down:
            self._go_on()
        else:
            self._close()

    def _let_go(self) -> None:
        """Note that no response is held back any more."""
        held, self._held = self._held, None
        if held is not None:
            held.end()

    def _go_on(self) -> None:
        """Answer what waits, and read on."""
        while self.waiting and self.task is None and self._writable is None:
            self._answer(*self.waiting.popleft())
        if not self.waiting and self.task is None and self._transport is not None:
            if self._unparsed and self._parser.phase != "ended":
                data, self._unparsed = self._unparsed, b""
                self._parse(data)
            elif self._eof:
                self._close()
        self._settle()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        """Close; if the client may still be sending, only after it could read the response."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._parser.end()
        if self._unread and not self._eof:
            transport.write_eof()
            transport.resume_reading()
            self._expect("close", LINGER)
        else:
            transport.close()
            self._expect("close", WRITE_TIMEOUT)

    def _reset(self) -> None:
        """Reset the connection, as a fault asks."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    # Time. One timer serves all deadlines; it is moved only when one comes closer.

    def _watch(self) -> None:
        """Set the deadline of what is expected next."""
        if self._lateness == "close":
            return
        if self._writable is not None:
            if self._lateness != "write":
                self._unwritten = self._buffered()
                self._expect("write", WRITE_TIMEOUT)
        elif self._eof and self._held is not None:
            if self._lateness != "gone":
                self._expect("gone", GONE_TIMEOUT)
        elif self.task is not None or self.waiting:
            self._expect("nothing", inf)
        else:
            what, seconds = _expected(self._parser.phase)
            if what != self._lateness:
                self._expect(what, seconds)

    def _expect(self, what: Lateness, seconds: float) -> None:
        self._lateness = what
        self._deadline = self._loop.time() + seconds
        if self._deadline < self._timer_at:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(self._deadline, self._look), self._deadline

    def _look(self) -> None:
        """Act if the deadline has passed. Mostly it was moved since the timer was set."""
        self._timer, self._timer_at = None, inf
        if self._deadline > self._loop.time() or self._transport is None:
            if self._deadline < inf and self._transport is not None:
                self._set_timer()
            return
        match self._lateness:
            case "head" | "body":
                late = f"The request's headers did not arrive within {HEAD_TIMEOUT:g} seconds."
                self._parser.fail(late, f"did not arrive within {BODY_TIMEOUT:g} seconds")
            case "request":
                self._close()
            case "write" if self._buffered() < self._unwritten:
                self._lateness = "nothing"
                self._watch()
            case "write" | "gone" | "close":
                self._transport.abort()

    def _buffered(self) -> int:
        """Return the bytes that are written and not sent."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0


def _expected(phase: Phase) -> tuple[Lateness, float]:
    """Return what the client has to send next, and the seconds that it has for it."""
    match phase:
        case "idle":
            return "request", KEEP_ALIVE
        case "head":
            return "head", HEAD_TIMEOUT
        case "body":
            return "body", BODY_TIMEOUT
        case "first":
            return "request", HEAD_TIMEOUT
        case "ended":
            return "nothing", inf
