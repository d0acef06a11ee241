"""Relays connections between an integration and a mock, and keeps what passed: when, in which direction, how it ended.

The integration talks to the tap as if it were the API. Bytes, ends and resets are passed on as they come; a journal
would show requests as the mock understood them, without the key, and without the connection that they came on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Bytes of one direction of a connection that are kept. More is relayed, and no longer looked at.
KEPT = 4 * 1024 * 1024
# Bytes that may wait for a slow reader before no more are read.
_WAITING = 1024 * 1024
_NOT_HERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Direction:
    """The bytes of one direction, each piece with the time at which it came. Times are those of `time.monotonic`."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    size: int = 0
    cut: bool = False  # more came than is kept
    ended: float | None = None
    reset: bool = False  # ended by a reset rather than in order

    def add(self, data: bytes) -> None:
        """Keep a piece."""
        if self.size + len(data) > KEPT:
            self.cut = True
            return
        self.size += len(data)
        self.pieces.append((time.monotonic(), data))

    def end(self, *, reset: bool) -> None:
        """Note the first end."""
        if self.ended is None:
            self.ended, self.reset = time.monotonic(), reset


@dataclass
class Connection:
    """One connection of the integration."""

    number: int
    opened: float
    requests: Direction = field(default_factory=Direction)
    responses: Direction = field(default_factory=Direction)


class Tap:
    """A port that relays to `upstream`, or answers 404 without one. Use `Relay.open` or `Relay.sink` to make one."""

    def __init__(self, upstream: tuple[str, int] | None, loop: asyncio.AbstractEventLoop) -> None:
        self.upstream = upstream
        self.port = 0
        self.connections: list[Connection] = []
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._open: set[_Side] = set()

    @property
    def base_url(self) -> str:
        """The URL of the tap, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and reset what is still open."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)

    async def listen(self, port: int) -> None:
        """Begin to listen. Raises OSError if the port is taken."""
        self._server = await self._loop.create_server(self._accept, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for side in list(self._open):
            side.reset()
        await asyncio.sleep(0)

    def _accept(self) -> asyncio.Protocol:
        connection = Connection(len(self.connections) + 1, time.monotonic())
        self.connections.append(connection)
        if self.upstream is None:
            return _Sink(connection)
        client = _Side(connection.requests, self._open)
        server = _Side(connection.responses, self._open)
        client.peer, server.peer = server, client
        client.made = lambda: self._connect(server)
        return client

    def _connect(self, server: _Side) -> None:
        async def connect() -> None:
            try:
                assert self.upstream is not None
                await self._loop.create_connection(lambda: server, *self.upstream)
            except OSError:
                server.connection_lost(ConnectionResetError())

        task = self._loop.create_task(connect())
        server.connecting = task  # keeps a reference: the loop has none


class _Side(asyncio.Protocol):
    """One of the two ends of a relayed connection: what it sends goes to its peer."""

    peer: _Side
    connecting: asyncio.Task[None] | None = None

    def __init__(self, seen: Direction, all_open: set[_Side]) -> None:
        self.made: Callable[[], None] = lambda: None
        self._seen = seen
        self._all_open = all_open
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []  # what came before this side was connected
        self._eof_early = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=_WAITING)
        self._all_open.add(self)
        if self._lost:
            self.reset()
            return
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._eof_early:
            transport.write_eof()
        self.made()

    def data_received(self, data: bytes) -> None:
        """Keep and pass on."""
        self._seen.add(data)
        self.peer.write(data)

    def eof_received(self) -> bool:
        """Pass on the end of this direction; the other one stays open."""
        self._seen.end(reset=False)
        self.peer.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Pass on that the connection is gone, and how."""
        self._seen.end(reset=error is not None)
        self._all_open.discard(self)
        self._lost = True
        if error is not None:
            self.peer.reset()
        else:
            self.peer.close()

    def pause_writing(self) -> None:
        """Read no more from the peer until this side takes bytes again."""
        if self.peer._transport and not self.peer._transport.is_closing():
            self.peer._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from the peer again."""
        if self.peer._transport and not self.peer._transport.is_closing():
            self.peer._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send."""
        if self._transport is None:
            self._early.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def write_eof(self) -> None:
        """Send an end."""
        if self._transport is None:
            self._eof_early = True
        elif not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close when everything has been sent."""
        self._lost = True
        if self._transport and not self._transport.is_closing():
            self._transport.close()

    def reset(self) -> None:
        """Send a reset: what waits to be sent is dropped."""
        self._lost = True
        if self._transport and not self._transport.is_closing():
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()


class _Sink(asyncio.Protocol):
    """Keeps what it is sent, and answers the first request with 404."""

    def __init__(self, connection: Connection) -> None:
        self._seen = connection.requests
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep, and answer when the head is complete."""
        self._seen.add(data)
        self._head = (self._head + data)[-65536:]
        if b"\r\n\r\n" in self._head and self._transport:
            self._transport.write(_NOT_HERE)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._seen.end(reset=error is not None)


class Relay:
    """The thread in which all taps of a run work. Use it as a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tap", daemon=True)
        self._thread.start()

    def open(self, upstream: tuple[str, int], port: int = 0) -> Tap:
        """Open a tap on this port of 127.0.0.1, or on a free one. Raises OSError if the port is taken."""
        tap = Tap(upstream, self._loop)
        asyncio.run_coroutine_threadsafe(tap.listen(port), self._loop).result(10)
        return tap

    def sink(self) -> Tap:
        """Open a port that keeps what it is sent, and answers each request with 404: the host that a redirect names."""
        tap = Tap(None, self._loop)
        asyncio.run_coroutine_threadsafe(tap.listen(0), self._loop).result(10)
        return tap

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
