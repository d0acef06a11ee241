"""An httpx client of the API for a tenant: over a port, or straight into a mock in this process."""

from typing import Any

import httpx

from vorel_mock.server.app import App
from vorel_mock.testing.transport import AsyncMockTransport, MockTransport


def client(app: App | None, base_url: str, headers: dict[str, str], options: dict[str, Any]) -> httpx.Client:
    """Return a client of `base_url` with these headers; `options` are those of httpx.Client, and win.

    With `app`, a mock in this process, it uses no socket.
    """
    transport = None if app is None else MockTransport(app)
    return httpx.Client(**{"transport": transport, **_options(base_url, headers, options)})


def async_client(app: App | None, base_url: str, headers: dict[str, str], options: dict[str, Any]) -> httpx.AsyncClient:
    """Return a client for an event loop, as `client` does."""
    transport = None if app is None else AsyncMockTransport(app)
    return httpx.AsyncClient(**{"transport": transport, **_options(base_url, headers, options)})


def _options(base_url: str, headers: dict[str, str], options: dict[str, Any]) -> dict[str, Any]:
    merged = httpx.Headers(headers)
    merged.update(options.get("headers"))
    return {"base_url": base_url, **options, "headers": merged}
