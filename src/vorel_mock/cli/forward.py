"""Pass webhooks on: `vorel-mock webhooks listen --forward-to URL`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import click
import httpx

from vorel_mock.unpatched.clocks import sleep, stopwatch
from vorel_mock.webhooks import signature
from vorel_mock.webhooks.receiver import Listener, WebhookHandler

#: Seconds that the receiver has; the mock itself gives up after ten, unless the tenant says otherwise.
_TIMEOUT = 60.0
#: Bytes of a response that are passed on; the mock keeps fewer.
_MAX_BODY = 64 * 1024
#: Headers of a connection, and those that belong to the new one. All others are passed on as they came.
_OF_CONNECTION = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
#: The response to the mock if there is none of the receiver.
_BAD_GATEWAY = 502


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The response to a webhook that was passed on, or the reason that there is none."""

    status: int
    body: bytes
    content_type: str
    outcome: str


class Forwarder:
    """Posts webhooks to `url`: the same bytes under the same headers. Use it from any thread."""

    def __init__(self, url: str) -> None:
        """Raises click.UsageError if the URL is invalid."""
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise click.UsageError(f"--forward-to: {error}") from None
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise click.UsageError("--forward-to: must be a URL such as http://127.0.0.1:8080/webhooks")
        self._client = httpx.Client(timeout=_TIMEOUT, trust_env=False)
        self._client.headers.clear()  # of httpx itself, such as Accept-Encoding: the webhook has none

    def forward(self, body: bytes, headers: Iterable[tuple[str, str]]) -> Forwarded:
        """Post a webhook. Never raises: if there is no response, the mock is told 502."""
        # In latin-1, as they were read: a header may hold any byte.
        passed = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
            if name.lower() not in _OF_CONNECTION
        ]
        started = stopwatch()
        try:
            with self._client.stream("POST", self._url, content=body, headers=passed) as response:
                content = bytearray()
                for piece in response.iter_raw():
                    content += piece
                    if len(content) >= _MAX_BODY:
                        break
        except httpx.HTTPError as error:
            outcome = f"{_BAD_GATEWAY}: {self._url} gave no response ({str(error) or type(error).__name__})"
            return Forwarded(_BAD_GATEWAY, outcome.encode(), "text/plain; charset=utf-8", outcome)
        outcome = f"{response.status_code} from {self._url} in {(stopwatch() - started) * 1000:.0f} ms"
        media_type = response.headers.get("content-type", "application/octet-stream")
        return Forwarded(response.status_code, bytes(content[:_MAX_BODY]), media_type, outcome)


def forwarding(
    listener: Listener, forward: Callable[[bytes, Iterable[tuple[str, str]]], Forwarded]
) -> type[WebhookHandler]:
    """Return a handler that passes webhooks on, has the listener show them, and responds with what came back."""

    class Handler(WebhookHandler):
        def handle_webhook(self, body: bytes) -> None:
            # Not under the listener's lock: a slow receiver must not keep the next webhook waiting.
            passed = forward(body, self.headers.items())
            listener.show_forwarded(self.path, body, self.headers.get(signature.HEADER), passed.outcome)
            sleep(listener.delay)
            self.answer(passed.status, passed.body, passed.content_type)

    return Handler
