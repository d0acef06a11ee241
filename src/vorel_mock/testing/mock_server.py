"""The mock on a port of its own, in a thread, for any test framework."""

import threading
from typing import Any

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server import wire as server
from vorel_mock.server.asgi import App
from vorel_mock.testing.control_client import Control
from vorel_mock.testing.tenant import Tenant


class MockServer:
    """`with MockServer() as mock:`, or `start` and `stop`, as often as you like. The port is a free one.

    `settings` are those of `vorel_mock.Settings`: `seed`, `clock`, `rate_limit`, …; TypeError for another, and
    for a value of another type; ValueError for one that cannot be had. OSError (a port that is taken) from `start`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = Settings(**{"port": 0, **settings})
        self._running: tuple[server.Server, threading.Thread, Control] | None = None

    def start(self) -> "MockServer":
        """Serve; it answers when this returns. RuntimeError when it serves already."""
        if self._running is not None:
            raise RuntimeError(f"this MockServer serves already, at {self.base_url}")
        mock = Mock(self._settings)
        app = App(mock)
        ended_or_ready = threading.Event()
        running = server.make(app, ended_or_ready.set)
        sock = server.listen(self._settings.host, self._settings.port)

        def serve() -> None:
            try:
                running.run(sockets=[sock])
            finally:
                sock.close()
                ended_or_ready.set()

        thread = threading.Thread(target=serve, name="vorel-mock-server", daemon=True)
        base_url = server.base_url(sock)
        thread.start()
        ended_or_ready.wait()
        if not running.started:
            raise RuntimeError("the mock did not start")
        self._running = running, thread, Control(base_url, mock.control_token)
        return self

    def stop(self) -> None:
        """Stop serving, and forget every tenant. Doing it twice is no error."""
        if self._running is None:
            return
        running, thread, control = self._running
        self._running = None
        control.close()
        running.should_exit = True
        thread.join()

    def __enter__(self) -> "MockServer":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"MockServer({self.base_url!r})" if self._running else "MockServer(not started)"

    @property
    def control(self) -> Control:
        """Its control plane. RuntimeError when it does not serve."""
        if self._running is None:
            raise RuntimeError("this MockServer does not serve: use it in `with`, or call start()")
        return self._running[2]

    @property
    def base_url(self) -> str:
        """Where it serves: http://127.0.0.1:PORT."""
        return self.control.base_url

    def new_tenant(self, **settings: Any) -> Tenant:
        """A new world, see `Control.new_tenant`."""
        return self.control.new_tenant(**settings)
