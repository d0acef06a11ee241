"""The mock on a port: uvicorn, with limits on what it reads and the envelope on what it refuses."""

import contextlib
import gc
import logging
import re
import signal
import socket
import struct
from asyncio import Event, TimerHandle, Transport
from collections.abc import Callable, Sized
from typing import Any

import httptools
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from vorel_mock.api.router import decode_path
from vorel_mock.server.asgi import App
from vorel_mock.server.request_body import UNREADABLE
from vorel_mock.server.transmission import ABORT

#: Bytes and number of headers that one request may have.
MAX_HEAD = 64 * 1024
MAX_HEADERS = 100
#: Seconds that a head, and then a body, may take to arrive.
HEAD_TIMEOUT = 30.0
BODY_TIMEOUT = 30.0
#: Seconds that a connection may stand idle between two requests: as long as most servers, so that pools do not race it.
KEEP_ALIVE = 75
#: Seconds for which a refused client may go on sending, so that it gets to read why it was refused.
LINGER = 2.0
#: Seconds that a request under way is given when the mock is told to end.
GRACE = 1

_HEAD_TOO_LARGE = (
    f"The request has more than {MAX_HEADERS} headers, or target and headers of over {MAX_HEAD // 1024} KiB."
)
_NO_PATH = re.compile(rb"^[a-z][a-z0-9+.-]*://[^/?#]*(?=[?#]|$)", re.IGNORECASE)


class Unacceptable(Exception):
    """A request that the parser takes and the mock does not; the message is the client's."""


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, with bounds in size and time, and an answer to whatever cannot be read.

    An unreadable head is answered in its turn, after the requests before it. A body that breaks off unreadable is
    handed on as such (`UNREADABLE`), so that the road of a request decides on it as on any other.
    """

    # Uvicorn types these more narrowly than it uses them.
    app: Any
    cycle: Any
    transport: Transport

    def connection_made(self, transport: Any) -> None:
        """A client is there; it has a while to say something."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._outlet = _Outlet(self)
        self._extensions: Any = {ABORT: self.reset}
        self._in_head = False
        self._no_progress = 0  # bytes since the last step forward: a head begun, a head whole, a piece of a body
        self._deaf = False  # nothing that still comes is looked at
        self._heard_out = False  # nothing comes any more
        self._timer: TimerHandle | None = None
        self._wait(HEAD_TIMEOUT)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; watch what is not yet whole."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        self._no_progress += len(data)
        self._feed(data)
        if self._deaf:
            return
        cycle = self.cycle
        if self._no_progress > MAX_HEAD:
            self._fail(_HEAD_TOO_LARGE, "its chunk extensions or trailers are too long")
        elif self._timer is None and (self._in_head or cycle is None or cycle.more_body or cycle.response_complete):
            self._wait(BODY_TIMEOUT if self._in_body else HEAD_TIMEOUT)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(_what_is_wrong(error, data), "is not framed as HTTP says: " + str(error))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol once more, as if it did not.

        The parser takes it for the last thing said in HTTP and its body for the other protocol. A server that does not
        switch reads it as any other request, body included: Java's HttpClient offers h2c with each first request.
        """
        version, method = self.parser.get_http_version().encode(), self.parser.get_method()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(word for word in value.split(b",") if word.strip().lower() != b"upgrade")
            lines.append(b"%s: %s" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._no_progress = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which has no meaning here and must not pass for a header."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        headers = self.headers
        size = len(self.url) + sum(len(name) + len(value) for name, value in headers)
        if len(headers) > MAX_HEADERS or size > MAX_HEAD:
            raise Unacceptable(_HEAD_TOO_LARGE)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise Unacceptable("CONNECT is not served: this is no proxy.")
            return  # the parser will say so itself, see _ignore_upgrade
        self._in_head = False
        self._no_progress = 0
        self._stop_waiting()
        target, self.url = self.url, _origin_form(self.url)
        super().on_headers_complete()
        if target == b"*":
            self.scope["path"] = "*"
        elif b"%" in self.scope["raw_path"]:
            self.scope["path"] = decode_path(self.scope["raw_path"].decode("ascii"))
        self.scope["extensions"] = self._extensions
        self.cycle.transport = self._outlet
        self.cycle.send_500_response = self._give_up

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._no_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if not self._in_head:  # else it offers an upgrade, and is about to be read once more
            self._stop_waiting()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is complete."""
        if self.parser is None:
            return  # the client is gone
        self._outlet.answered()
        super().on_response_complete()

    @property
    def _in_body(self) -> bool:
        return not self._in_head and self.cycle is not None and self.cycle.more_body

    def _wait(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._timed_out)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        if self._in_head or self._in_body:
            head = f"The request's headers did not arrive within {HEAD_TIMEOUT:g} seconds."
            self._fail(head, f"did not arrive within {BODY_TIMEOUT:g} seconds")
        else:
            self.transport.close()

    def _fail(self, message: str, body: str) -> None:
        """What comes cannot be read any further: `message` says why, or `body` if it is a body that breaks off."""
        self._deaf = True
        self._stop_waiting()
        if self._in_body:
            cycle = self.cycle
            cycle.scope[UNREADABLE] = body
            cycle.keep_alive = cycle.more_body = False
            cycle.message_event.set()
        else:
            self._refuse(message)

    def _refuse(self, message: str) -> None:
        loaded = self.config.loaded_app
        app: App = getattr(loaded, "app", loaded)

        async def refusal(scope: Scope, receive: Receive, send: Send) -> None:
            answer = app.mock.api.refuse_unparsed(message)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

        last = self.cycle
        self.cycle = RequestResponseCycle(
            scope={"type": "http", "method": ""},  # type: ignore[typeddict-item]  # there is no more to tell of it
            transport=self._outlet,  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body = False
        if last is None or last.response_complete:
            self._start_asgi_task(self.cycle, refusal)  # type: ignore[arg-type]  # Starlette's types, uvicorn's types
        else:
            self.pipeline.appendleft((self.cycle, refusal))  # type: ignore[arg-type]

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never stays; asyncio lets a protocol choose
        """The client says no more. Whether it may still hear: yes, if a whole request of its waits for an answer."""
        waits = bool(self.cycle) and not self.cycle.response_complete and not self._in_body
        if waits:
            self._deaf = self._heard_out = True
            self.cycle.keep_alive = False
        return waits

    def linger(self) -> None:
        """Say no more, and let the client finish: closing on what it still sends would take the answer from it."""
        self._deaf = True
        self._stop_waiting()
        self.pipeline.clear()
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER, self.transport.close)

    def reset(self) -> None:
        """Break the connection off, as a fault asks: the client is told that it was reset."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _give_up(self) -> None:
        """Close, where uvicorn would answer 500 in its own words: the mock ends while an answer is held back."""
        self.transport.close()

    def shutdown(self) -> None:
        """The mock ends: half a request is given up, a whole one is answered."""
        if self._in_body:
            self.transport.close()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone.

        What is left of the connection must not refer to itself: the collector comes too seldom to wait for it (`run`).
        """
        self._stop_waiting()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._outlet.detach()
        self.cycle = None
        self.pipeline.clear()
        del self._outlet, self._extensions, self.scope


class _Flow(FlowControl):
    """Uvicorn's flow control, which reads no more while requests that were read still wait for their turn.

    Else each answer would be followed by another read, and a client that sends faster than it is served, or never reads
    an answer, would pile up requests without bound.
    """

    def __init__(self, transport: Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if not self._waiting:
            super().resume_reading()


class _Outlet:
    """The transport as a request's cycle sees it.

    Head and body of an answer leave in one write, which is a sixth of a request's time. Closing waits for a client that
    is still sending.
    """

    __slots__ = ("_head", "_next_is_head", "_protocol", "_write", "is_closing")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self._head = b""
        self._next_is_head = True

    def write(self, data: bytes) -> None:
        """Send `data`; a head waits for the first of its body."""
        if not self._next_is_head:
            head, self._head = self._head, b""
            self._write(head + data)
        elif data.startswith(b"HTTP/1.1 100"):
            self._write(data)
        else:
            self._next_is_head = False
            self._head = data

    def answered(self) -> None:
        """An answer is complete; what comes next is the head of another."""
        self._flush()
        self._next_is_head = True

    def detach(self) -> None:
        """The client is gone: what is still said to it, by a request that others wait behind, reaches nobody."""
        self._write = lambda data: None

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._write(head)

    def close(self) -> None:
        """Close now if all has been read, else linger."""
        self._flush()
        protocol = self._protocol
        if (protocol._deaf or protocol._in_body) and not protocol._heard_out:
            protocol.linger()
        else:
            protocol.transport.close()


def _what_is_wrong(error: httptools.HttpParserError, data: bytes) -> str:
    """The parser's words, which quote nothing that was sent."""
    cause = error.__context__
    if isinstance(cause, Unacceptable):
        return str(cause)
    if data.startswith(b"\x16\x03"):
        return "This is TLS, and this port speaks plain HTTP: use http:// instead of https://."
    if cause is not None:  # the one thing that uvicorn reads by itself
        return "Not a valid HTTP request: the request line's target is not a URL."
    return f"Not a valid HTTP request: {error}."


def _origin_form(target: bytes) -> bytes:
    """The target as uvicorn can read it: it knows neither `*` nor a URL that ends with its host."""
    if target.startswith(b"/"):
        return target  # as almost all are
    return b"/*" if target == b"*" else _NO_PATH.sub(rb"\g<0>/", target)


class Server(uvicorn.Server):
    """Uvicorn, telling when it serves."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port` (0 picks one). OSError when that cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def base_url(sock: socket.socket) -> str:
    """The URL of what listens on `sock`; a wildcard address is shown as loopback."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make(app: App, on_ready: Callable[[], None] = lambda: None) -> Server:
    """A server for `app`; run it with `server.run(sockets=[listen(…)])`."""
    # The words of the libraries underneath reach nobody: the mock says what there is to say.
    for library in ("uvicorn", "connexion"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        loop="auto",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    return Server(config, on_ready)


def run(app: App, sock: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve `app` on `sock` until the process is told to end, by Ctrl-C or by SIGTERM."""

    # Not in `make`: in a test, the loop's words may be about the program that is tested.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def ready() -> None:
        # What is there now stays: the collector need not walk it. And it comes seldom, because histories are long:
        # full collections were the slowest hundredth of all answers. Here only, not where the mock is a guest.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        on_ready()

    server = make(app, ready)
    # Uvicorn passes the signal on once it has ended. By default SIGTERM would then kill: no way to stop a container.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
        server.run(sockets=[sock])
