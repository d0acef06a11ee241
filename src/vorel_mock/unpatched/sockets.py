"""Listening sockets, also in a run of tests that disables sockets (pytest-socket)."""

import _socket  # `socket` is what is patched
import socket

#: The class of sockets itself, if what has its name is a subclass that rejects them.
Socket: type[socket.socket] = next(each for each in socket.socket.__mro__ if each.__module__ == "socket")


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that holds a port without listening on it, which others of this user may do. Raises OSError."""
    family, kind, protocol, _, address = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)[0]
    sock = Socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def listening(host: str, port: int, backlog: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0 picks one). Raises OSError if that is not possible.

    `shared`: other processes of this user may listen there as well, and the system shares connections out.
    """
    family, kind, protocol, _, address = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)[0]
    sock = Socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
