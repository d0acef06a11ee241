"""The mock on a port: listen, serve each connection, end on a signal."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from vorel_mock.server.app import App
from vorel_mock.server.descriptors import most_connections, raise_limit
from vorel_mock.server.http_connection import HttpConnection
from vorel_mock.unpatched.event_loop import new_event_loop, sleep
from vorel_mock.unpatched.sockets import bound, listening

logger = logging.getLogger("vorel_mock")

#: Seconds that a response under way is given when the mock is told to end.
GRACE = 1.0
_BACKLOG = 2048
#: Free ports that are tried until one is free on both loopback addresses.
_TRIES = 20


class _Refused(asyncio.Protocol):
    """A connection beyond the most that may be open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


class Server:
    """Serves an App on a socket. `on_ready` is called once it does."""

    def __init__(self, app: App, on_ready: Callable[[], None] = lambda: None) -> None:
        self.connections: set[HttpConnection] = set()
        self._app = app
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._stop_asked = False
        self._reloads: set[asyncio.Task[None]] = set()
        self._warned = False

    def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until `stop` is called, then close `sockets`. It has the calling thread to itself."""
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self.serve(sockets))

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on the running loop until `stop` is called, then close `sockets`."""
        loop = self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        if self._stop_asked:
            self._ended.set()
        control_turn = asyncio.Lock()
        most = most_connections()

        def connection() -> asyncio.Protocol:
            if len(self.connections) >= most:
                self._warn(most)
                return _Refused()
            return HttpConnection(self._app, self.connections, loop, control_turn)

        listening = [await loop.create_server(connection, sock=sock, backlog=_BACKLOG) for sock in sockets]
        try:
            self._on_ready()
            await self._ended.wait()
        finally:
            for each in listening:
                each.close()
            self._app.begin_to_stop()
            await self._close_connections()
            self._app.stop()

    def stop(self) -> None:
        """End `run` or `serve`. From any thread."""
        self._stop_asked = True
        if self._loop is not None and self._ended is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
                self._loop.call_soon_threadsafe(self._ended.set)

    def reload(self) -> None:
        """Have the fixtures read again. The log says what came of it. From any thread, and from a signal handler."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._start_reload)

    def _start_reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reloaded())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reloaded(self) -> None:
        problem = await asyncio.to_thread(self._app.reload)
        mock = self._app.mock
        if problem is not None:
            text = f"Error: the fixtures were not read again, and nothing was changed: {problem}"
            mock.log.say(text, event="fixtures", problem=problem)
        elif not mock.settings.quiet:
            count = len(mock.fixtures)
            text = f"Read the fixtures again from {mock.settings.fixtures}; tenants: {count}"
            mock.log.say(text, event="fixtures", file=str(mock.settings.fixtures), tenants=count)

    def _warn(self, most: int) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("%d connections are open, which is the most; further ones are closed at once", most)

    async def _close_connections(self) -> None:
        for connection in list(self.connections):
            connection.shut_down()
        for _ in range(round(GRACE / 0.01)):
            if self.connections:
                await sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        await sleep(0)


def listen(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Return the sockets that listen on `host` and `port` (0 picks one). Raises OSError if that is not possible.

    `localhost` is both loopback addresses on one port: clients differ in which they try, and some try one only. If the
    machine has no IPv6, it is 127.0.0.1 alone. `shared`: other processes of this user may listen there as well.
    """
    if host.lower() != "localhost":
        return [listening(host, port, _BACKLOG, shared=shared)]
    for _ in range(_TRIES):
        first = listening("127.0.0.1", port, _BACKLOG, shared=shared)
        try:
            return [first, listening("::1", first.getsockname()[1], _BACKLOG, shared=shared)]
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return [first]
            first.close()
            if port:
                raise
    raise OSError(errno.EADDRINUSE, "found no port that is free on both loopback addresses")


def reserve(host: str, port: int) -> list[socket.socket]:
    """Return sockets that hold a port for processes that are about to listen on it. They take no connection.

    Raises OSError if a program listens there that does not share the port.
    """
    sockets = listen(host, port, shared=True)
    held = [bound(*sock.getsockname()[:2]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return held


def base_url(sockets: Sequence[socket.socket]) -> str:
    """Return the URL of the first of listening sockets; a wildcard address is shown as loopback."""
    host, port = sockets[0].getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: App, sockets: Sequence[socket.socket], on_ready: Callable[[], None]) -> None:
    """Serve `app` on `sockets` as a program: until Ctrl-C or SIGTERM. It changes settings of the whole process."""
    # The mock says what there is to say; the words of the libraries underneath would only repeat it.
    for library in ("asyncio", "connexion"):
        logging.getLogger(library).setLevel(logging.CRITICAL)

    def ready() -> None:
        # What exists now stays, so that the collector need not walk it. And it runs seldom, because histories are
        # long: full collections were the slowest hundredth of all responses.
        gc.freeze()
        gc.enable()
        gc.set_threshold(50_000, 20, 100)
        # While the control plane computes, the API has its turn every half a millisecond; five are Python's own.
        sys.setswitchinterval(0.0005)
        on_ready()

    raise_limit()
    server = Server(app, ready)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    if hasattr(signal, "SIGHUP"):  # not on Windows
        at_terminal = _at_terminal()

        def hung_up(*_: object) -> None:
            # A terminal that is closed sends the same signal. Nobody reads the log then, or knows of the mock.
            if at_terminal and not _at_terminal():
                server.stop()
            else:
                server.reload()

        signal.signal(signal.SIGHUP, hung_up)
    server.run(sockets)


def _at_terminal() -> bool:
    """Return True if a person can type into the program."""
    try:
        return os.isatty(0)
    except OSError:
        return False
