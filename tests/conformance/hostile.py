"""Servers that mean harm: plain sockets in this process, each with a script, closed at the end of the test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Script = Callable[[socket.socket], Any]


@dataclass
class Hostile:
    """A running server, and the requests that it got: head and body as text."""

    base_url: str
    requests: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hostile(script: Script | bytes = b"") -> Iterator[Hostile]:
    """Serve a script: what it does after each request. Bytes are sent as they are. Then the connection closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    found = Hostile(f"http://127.0.0.1:{listener.getsockname()[1]}")
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            found.requests.append(_read(connection))
            if isinstance(script, bytes):
                connection.sendall(script)
            else:
                script(connection)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1)
            while connection.recv(65536):  # a close with unread bytes would be a reset
                pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield found
    finally:
        for each in (listener, *connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _read(connection: socket.socket) -> str:
    """Read one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data.decode("latin-1")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode("latin-1")


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a response in JSON."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
