"""The mock on a port of its own, in a thread, for any test framework."""

import socket
import threading
from typing import Any

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.server.listener import Server, base_url, listen
from vorel_mock.testing.control_client import Control
from vorel_mock.testing.tenant import Tenant


class MockServer:
    """A mock on a free port: `with MockServer() as mock:`, or `start` and `stop`, any number of times.

    `settings` are those of `vorel_mock.Settings`: `seed`, `clock`, `rate_limit`, … Raises TypeError for an unknown
    setting or a wrong type, ValueError for an invalid value.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = Settings(**{"port": 0, **settings})
        self._running: tuple[Server, threading.Thread, Control] | None = None

    def start(self) -> "MockServer":
        """Start the server. It accepts requests when this returns.

        Raises RuntimeError if it runs already, OSError if the port is in use.
        """
        if self._running is not None:
            raise RuntimeError(f"this MockServer runs already, at {self.base_url}")
        app = App(Mock(self._settings))
        sockets = listen(self._settings.host, self._settings.port)
        ready = threading.Event()
        server = Server(app, ready.set)
        thread = threading.Thread(target=_serve, args=[server, sockets, ready], name="vorel-mock-server", daemon=True)
        url = base_url(sockets)
        thread.start()
        ready.wait()
        self._running = server, thread, Control(url, app.mock.control_token)
        return self

    def stop(self) -> None:
        """Stop the server and delete every tenant. It is no error if it does not run."""
        if self._running is None:
            return
        server, thread, control = self._running
        self._running = None
        control.close()
        server.stop()
        thread.join()

    def __enter__(self) -> "MockServer":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"MockServer({self.base_url!r})" if self._running else "MockServer(not started)"

    @property
    def control(self) -> Control:
        """Its control plane. Raises RuntimeError if it does not run."""
        if self._running is None:
            raise RuntimeError("this MockServer does not run: use it in `with`, or call start()")
        return self._running[2]

    @property
    def base_url(self) -> str:
        """Its URL: http://127.0.0.1:PORT."""
        return self.control.base_url

    def new_tenant(self, **settings: Any) -> Tenant:
        """Create a tenant, see `Control.new_tenant`."""
        return self.control.new_tenant(**settings)


def _serve(server: Server, sockets: list[socket.socket], ready: threading.Event) -> None:
    try:
        server.run(sockets)
    finally:
        ready.set()  # `start` must not wait for a server that failed
