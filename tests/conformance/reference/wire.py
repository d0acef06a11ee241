"""Servers that misbehave on the wire: slow, dropped, closed, too long, not HTTP.

Plain sockets, with a thread for each connection. A manner is a function that writes the reply to one request, and
returns True if the connection stays open.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any

from .server import Hooks, Reply, Request, Running, Server, Variant
from .world import make_world

CERTIFICATE = Path(__file__).with_name("untrusted.pem")
LOOPBACK_CERTIFICATE = Path(__file__).with_name("loopback.pem")  # self-signed, as a developer makes one


@dataclass(frozen=True)
class Turn:
    """One request: its connection, its number on this server, the conformant reply, whether to stop."""

    connection: socket.socket
    number: int
    reply: Reply
    stopping: threading.Event

    def write(self, *, version: str = "1.1", connection: str | None = None, status: str | None = None) -> None:
        """Write the reply as HTTP."""
        status = status or f"{self.reply.status} {HTTPStatus(self.reply.status).phrase}"
        lines = [f"HTTP/{version} {status}", *(f"{name}: {value}" for name, value in self.reply.headers)]
        lines += [f"Date: {formatdate(usegmt=True)}", f"Content-Length: {len(self.reply.body)}"]
        if connection:
            lines.append(f"Connection: {connection}")
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + self.reply.body)


Manner = Callable[[Turn], bool]


def plain(turn: Turn) -> bool:
    """Send a correct response."""
    turn.write()
    return True


def slow(seconds: float) -> Manner:
    """Delay every response."""

    def answer(turn: Turn) -> bool:
        turn.stopping.wait(seconds)
        turn.write()
        return True

    return answer


def drop_one_in(number: int) -> Manner:
    """Close some connections instead of a response, after the request was served and counted."""

    def answer(turn: Turn) -> bool:
        if turn.number % number == 0:
            return False
        turn.write()
        return True

    return answer


def cut_one_in(number: int) -> Manner:
    """Close some connections in the middle of a response."""

    def answer(turn: Turn) -> bool:
        if turn.number % number == 0:
            turn.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{")
            return False
        turn.write()
        return True

    return answer


def close_silently(turn: Turn) -> bool:
    """Close after every response without announcing it."""
    turn.write()
    return False


def close_said(turn: Turn) -> bool:
    """Send `Connection: close` with every response."""
    turn.write(connection="close")
    return False


def http_1_0(turn: Turn) -> bool:
    """Use HTTP/1.0: one response for each connection."""
    turn.write(version="1.0")
    return False


def no_reason(turn: Turn) -> bool:
    """Send a status line without a reason phrase."""
    turn.write(status=f"{turn.reply.status} ")
    return True


def endless(size: int) -> Manner:
    """Send `size` bytes as every response."""

    def answer(turn: Turn) -> bool:
        turn.connection.sendall(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        chunk = b"x" * 65536
        for _ in range(size // len(chunk)):
            if turn.stopping.is_set():
                break
            turn.connection.sendall(chunk)
        return False

    return answer


def endless_one_in(number: int, size: int) -> Manner:
    """Send `size` bytes as some responses."""
    return lambda turn: endless(size)(turn) if turn.number % number == 0 else plain(turn)


def drip(turn: Turn) -> bool:
    """Send single bytes of the response, without an end."""
    turn.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while not turn.stopping.wait(0.2):
        turn.connection.sendall(b" ")
    return False


def never(turn: Turn) -> bool:
    """Send nothing and keep the connection open."""
    turn.stopping.wait()
    return False


def never_after(number: int) -> Manner:
    """Respond to some requests, then send nothing."""
    return lambda turn: plain(turn) if turn.number <= number else never(turn)


def gone_after(number: int) -> Manner:
    """Respond to some requests, then close every connection."""
    return lambda turn: plain(turn) if turn.number <= number else False


def redirect(turn: Turn) -> bool:
    """Redirect every request."""
    where = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://api.example.com/\r\nContent-Length: 0\r\n\r\n"
    turn.connection.sendall(where)
    return True


def garbage(turn: Turn) -> bool:
    """Send something that is not HTTP."""
    turn.connection.sendall(b"\x16\x03\x01 SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe")
    return False


def long_headers(turn: Turn) -> bool:
    """Send headers without an end."""
    turn.connection.sendall(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(OSError):
        for number in range(100_000):
            if turn.stopping.is_set():
                break
            turn.connection.sendall(b"X-Padding-%d: %s\r\n" % (number, b"x" * 200))
    return False


def web_page(turn: Turn) -> bool:
    """Send a web page for every request."""
    page = b"<!doctype html><title>It works!</title>"
    turn.connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)
    )
    return True


def _read(stream: Any) -> Request | None:
    """Read one request from the connection. Returns None at its end."""
    line = stream.readline(65536).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := stream.readline(65536).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    path, _, query = line[1].partition("?")
    return Request(line[0], path, query, headers, body)


@contextmanager
def serve_wire(
    manner: Manner,
    *,
    limit: int = 200,
    window: float = 60.0,
    tls: Path | None = None,
    full_keys: int = 40,
    fault: Variant | None = None,
) -> Iterator[Running]:
    """Serve the reference server with a manner. `tls`: the certificate."""
    world = make_world(full_keys)
    server = Server(world, fault.apply(Hooks()) if fault else Hooks(), limit, window)
    lock = threading.Lock()
    numbers = itertools.count(1)
    stopping = threading.Event()
    open_connections: set[socket.socket] = set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls:
        context.load_cert_chain(tls)

    def converse(accepted: socket.socket) -> None:
        connection = accepted
        with lock:
            open_connections.add(accepted)
        try:
            with contextlib.suppress(OSError, ValueError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection.makefile("rb") as stream:
                    while not stopping.is_set() and (request := _read(stream)):
                        with lock:
                            turn = Turn(connection, next(numbers), server.respond(request), stopping)
                        if not manner(turn):
                            break
        finally:
            with lock:
                open_connections.discard(accepted)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def accept() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    base_url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Running(base_url, {"base_url": base_url, **world.profile}, server)
    finally:
        stopping.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with lock:
            for connection in open_connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 5
        while open_connections and time.monotonic() < deadline:
            time.sleep(0.01)
