"""The door of the control plane.

A page in a browser can reach loopback: by DNS rebinding (a foreign name in Host), by a form or a script of another
origin. So Host and Origin are checked, only JSON is taken, nothing is shared across origins, and a mock that listens
beyond loopback asks for a token. Bodies are read whole and strictly here, because Connexion takes a chunked one, and an
optional one that is absent, for an error.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vorel_mock.api.steps import validation
from vorel_mock.contract.contract import Contract
from vorel_mock.mock.settings import is_loopback
from vorel_mock.server import request_body as body

#: Bytes: a snapshot of a busy tenant is large.
MAX_BODY = 64 * 1024 * 1024
#: And deep: it holds bodies that were sent to the API, within a list or two of its own.
_MAX_DEPTH = validation.MAX_DEPTH + 8
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_JSON = b"application/json"
_LOOKED_AT = (b"host", b"origin", b"sec-fetch-site", b"authorization", b"content-type")
#: A name, an address, an address in brackets; a port behind it.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::[0-9]{1,5})?")


def parse(raw: bytes) -> Any:
    """The JSON value of a body; ValueError says what is wrong with it."""
    return validation.parse(raw, _MAX_DEPTH)


class Guard:
    """Lets a request through to the control plane, or refuses it with the envelope."""

    def __init__(self, app: ASGIApp, contract: Contract, token: str | None) -> None:
        self._app = app
        self._contract = contract
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        headers = dict(scope["headers"])
        refused = _repeated(scope["headers"]) or self._refusal(scope["method"], headers)
        if refused is not None:
            await self._refuse(send, *refused)
            return
        if "\n" in scope["path"]:  # Starlette's routes never match one, Flask's do
            await self._refuse(send, 404, "Nothing is at a path with a line break.")
            return
        if scope["method"] in _WRITES:
            try:
                raw, unreadable = await body.read(scope, receive, MAX_BODY)
            except body.ClientGone:
                return
            problem = f"body: {unreadable}" if unreadable else _problem(headers, raw)
            if problem is not None:
                await self._refuse(send, 400, problem)
                return
            scope, receive = _with_body(scope, raw or b"{}")
        await self._app(scope, receive, send)

    def _refusal(self, method: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if self._token is None:
            if not is_loopback(_hostname(host)):
                return 403, "Host: the control plane answers to localhost only; use 127.0.0.1 or localhost in the URL"
        elif not self._knows_token(headers.get(b"authorization", b"").decode("latin-1")):
            return 401, "Authorization: this mock is reachable from elsewhere; send the control token as Bearer"
        origin = headers.get(b"origin")
        if origin is not None and _netloc(origin.decode("latin-1")) != host.lower():
            return 403, "Origin: a page of another origin may not use the control plane"
        if method in _WRITES and headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return 403, "Sec-Fetch-Site: a page of another site may not use the control plane"
        return None

    def _knows_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":  # what a browser sends after it has asked: the token is the password
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        elif scheme.lower() != "bearer":
            return False
        return compare_digest(given.strip().encode(), (self._token or "").encode())

    async def _refuse(self, send: Send, status: int, message: str) -> None:
        code = self._contract.error_codes.get(status, "bad_request")
        content = msgspec.json.encode({"error": {"code": code, "message": message}})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if status == 401:
            headers.append((b"www-authenticate", b'Basic realm="vorel-mock control token as password"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _repeated(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """Refuse a header twice that is looked at here: what is behind might look at the other one."""
    for name, count in Counter(name for name, _ in headers if name in _LOOKED_AT).items():
        if count > 1:
            return 400, f"{name.decode().title()}: stands {count} times; send it once"
    return None


def _hostname(host: str) -> str:
    """The name or address in a Host header without its port and brackets; empty when it is anything else as well."""
    parts = _HOST.fullmatch(host)
    return (parts[1] or parts[2]) if parts else ""


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None when it is none, as `null` is."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _problem(headers: dict[bytes, bytes], raw: bytes) -> str | None:
    """What is wrong with a body, if anything. A form is refused even when it is empty: only a page sends those."""
    content_type = headers.get(b"content-type")
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    if media_type != _JSON and (raw or content_type is not None):
        return "Content-Type: must be application/json"
    if not raw:
        return None
    try:
        parse(raw)
    except ValueError as error:
        return f"body: {error}"
    return None


def _with_body(scope: Scope, raw: bytes) -> tuple[Scope, Receive]:
    """The request with its body in one piece and of known length."""
    kept = [h for h in scope["headers"] if h[0] not in (b"content-length", b"transfer-encoding", b"content-type")]
    headers = [*kept, (b"content-type", _JSON), (b"content-length", b"%d" % len(raw))]
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return {**scope, "headers": headers}, receive
