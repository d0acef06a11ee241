"""Serve a mock on a port of its own, in a thread of the test's process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from vorel_mock.server.app import App
from vorel_mock.server.listener import Server, base_url, listen


@contextmanager
def serving(app: App, port: int = 0) -> Iterator[tuple[str, Server]]:
    """The base URL and the server; it has ended when the block ends."""
    sockets, ready = listen("127.0.0.1", port), Event()
    server = Server(app, ready.set)
    thread = Thread(target=server.run, args=[sockets], daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield base_url(sockets), server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()
