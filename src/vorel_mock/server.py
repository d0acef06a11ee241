"""The mock on a port: uvicorn, with limits on what it reads and the envelope on what it refuses."""

import contextlib
import logging
import socket
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from vorel_mock.app import App

#: Bytes and number of headers (and seconds for them to arrive) that one request may have.
MAX_HEAD = 64 * 1024
MAX_HEADERS = 100
HEAD_TIMEOUT = 30.0
#: Seconds that a request under way is given when the mock is told to end.
GRACE = 2


class HeadTooLarge(Exception):
    """More headers, or longer ones, than the mock reads."""


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, with bounds: a head that never ends, in size or in time, is refused."""

    app: Any
    _in_head = False
    _head_size = 0
    _head_timer: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser; watch a head that is not yet whole."""
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse("The request's headers are longer than 64 KiB.")
                return
        super().data_received(data)
        if self._in_head and self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        headers = self.headers
        if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEAD:
            raise HeadTooLarge
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed gets the envelope like everything else."""
        too_large = len(self.headers or ()) > MAX_HEADERS or self._head_size > MAX_HEAD
        self._refuse("The request's headers are too many or too long." if too_large else msg)

    def _refuse(self, message: str) -> None:
        app: App = self.config.loaded_app.app if hasattr(self.config.loaded_app, "app") else self.config.loaded_app
        answer = app.mock.api.refuse_unparsed(message)
        head = b"".join(b"%s: %s\r\n" % header for header in [*answer.headers, (b"connection", b"close")])
        self.transport.write(STATUS_LINE[answer.status] + head + b"\r\n" + answer.body)
        self.transport.close()


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
    for library in ("uvicorn", "connexion", "asyncio"):
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
        timeout_graceful_shutdown=GRACE,
    )
    return Server(config, on_ready)


def run(app: App, sock: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve `app` on `sock` until the process is told to end."""
    server = make(app, on_ready)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
        server.run(sockets=[sock])
