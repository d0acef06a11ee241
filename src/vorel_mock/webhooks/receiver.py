"""An HTTP server that receives webhooks, and a consumer of it that shows them on a terminal.

The consumer responds 2xx at once, and 4xx if the signature is wrong; its options make it respond badly.
"""

import json
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock
from typing import Any, Protocol

from vorel_mock.unpatched.clocks import sleep
from vorel_mock.webhooks import signature

MAX_BODY = 1024 * 1024
#: Seconds that a sender has for its request.
READ_TIMEOUT = 30
#: Event ids that are remembered, to recognise a duplicate.
_MAX_SEEN = 10_000


class Consumer(Protocol):
    """Handles the webhooks that a server receives."""

    delay: float
    """Seconds before each response."""

    def take(self, path: str, body: bytes, header: str | None) -> int:
        """Handle a webhook and its signature (`header`). Returns the status of the response."""
        ...


@dataclass(slots=True)
class Listener:
    """A receiver that shows webhooks on a terminal."""

    show: Callable[[str], object]
    """Called with the text for each webhook that arrived."""
    secret: str | None = None
    status: int | None = None
    """The status of every response. None: 200, and 401 if the signature is wrong."""
    delay: float = 0.0
    """Seconds before each response."""
    received: int = 0
    lock: Lock = field(default_factory=Lock)
    """Hold it to make webhooks wait: the test event may arrive before the response that has the secret."""
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def take(self, path: str, body: bytes, header: str | None) -> int:
        """Show a webhook. Returns the status of the response."""
        with self.lock:  # one at a time: lines of two webhooks must not mix
            verdict, genuine = self._verify(body, header)
            status = self.status or (200 if genuine else 401)
            self._show(path, str(status), body, verdict)
        return status

    def show_forwarded(self, path: str, body: bytes, header: str | None, outcome: str) -> None:
        """Show a webhook that was answered by somebody else; `outcome` is what came of that."""
        with self.lock:
            self._show(path, outcome, body, self._verify(body, header)[0])

    def _show(self, path: str, outcome: str, body: bytes, verdict: str) -> None:
        self.received += 1
        first = f"{self.received}. POST {printable(path)} -> {printable(outcome)}"
        self.show("\n".join([first, *self._told(body, verdict)]))

    def _verify(self, body: bytes, header: str | None) -> tuple[str, bool]:
        if header is None:
            return f"absent: there is no {signature.HEADER}", self.secret is None
        if self.secret is None:
            return "not checked: use --secret, or --base-url to subscribe", True
        if signature.verify(self.secret, body, header):
            return "verified", True
        return "WRONG: not the HMAC-SHA256 of these bytes with this secret", False

    def _told(self, body: bytes, verdict: str) -> list[str]:
        try:
            value = json.loads(body)
            text = json.dumps(value, indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            value, text = None, body.decode("utf-8", "replace") or "(empty)"
        lines = [f"   signature {verdict}"]
        event_id = value.get("id") if isinstance(value, dict) else None
        if isinstance(event_id, str):
            if event_id in self._seen:
                lines.append("   duplicate id: a consumer must ignore it")
            self._seen[event_id] = None
            if len(self._seen) > _MAX_SEEN:
                self._seen.popitem(last=False)
        return lines + ["   " + printable(line) for line in text.split("\n")]


def printable(text: str) -> str:
    """Return `text` with control characters escaped, for a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def serve(
    consumer: Consumer, host: str, port: int, handler: "type[WebhookHandler] | None" = None
) -> ThreadingHTTPServer:
    """Return a server for `consumer`; port 0 picks a free one. Call `serve_forever`. Raises OSError if it is in use."""
    return _Server((host, port), type("Handler", (handler or WebhookHandler,), {"consumer": consumer}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without asking a name server for the name of this machine, as http.server would."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a sender that disconnects."""


class WebhookHandler(BaseHTTPRequestHandler):
    """Reads one webhook, and responds as the consumer says."""

    consumer: Consumer
    timeout = READ_TIMEOUT

    def do_POST(self) -> None:
        """Read a webhook."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.answer(411, b"A webhook must have a Content-Length.")
        elif len(length) > 9 or int(length) > MAX_BODY:
            self.answer(413, b"A webhook must have at most 1 MiB.")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self.handle_webhook(body)

    def handle_webhook(self, body: bytes) -> None:
        """Respond to a webhook that has arrived completely."""
        status = self.consumer.take(self.path, body, self.headers.get(signature.HEADER))
        sleep(self.consumer.delay)
        self.answer(status, b"")

    def do_GET(self) -> None:
        """Say what this is."""
        self.answer(405, b"This is a receiver of webhooks: POST to it.")

    def answer(self, status: int, content: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        """Send a response, and close the connection."""
        self.send_response_only(status)  # without a Date, for which http.server asks the clock that tests patch
        self.send_header("Connection", "close")
        if status >= 200 and status not in (204, 304):
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: the listener shows each webhook."""
