"""Cross-origin requests: which pages of other origins may call the API. The rules are Starlette's."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from vorel_mock.api.core import http_date
from vorel_mock.api.errors import JSON, error_body
from vorel_mock.api.messages import Request, Response
from vorel_mock.contract.contract import Contract
from vorel_mock.model.clock import Clock

_EVERY = ["*"]
_NOT_ALLOWED = "Access-Control-Request-Method: no page may use this method, or reach a private network"


class Cors:
    """Adds the CORS headers for pages of `origins`, which can then read every header of a response."""

    def __init__(self, origins: tuple[str, ...], contract: Contract, clock: Clock) -> None:
        # Used for its rules alone: the middleware itself would need an asynchronous application behind it.
        self._rules = CORSMiddleware(
            _unused, origins, allow_methods=_EVERY, allow_headers=_EVERY, expose_headers=_EVERY, max_age=600
        )
        self._contract = contract
        self._clock = clock

    def preflight(self, request: Request) -> Response | None:
        """Return the response to a browser that asks before it calls; None if `request` is no such question."""
        if request.method != "OPTIONS" or request.fields.get(b"access-control-request-method") is None:
            return None
        headers = Headers(raw=request.headers)
        origin = headers.get("origin")
        if origin is None:
            return None
        made = self._rules.preflight_response(headers)
        told = [header for header in made.raw_headers if header[0] not in (b"content-length", b"content-type")]
        content, media_type = bytes(made.body), (b"content-type", b"text/plain; charset=utf-8")
        if made.status_code >= 400:
            message = f"Origin: pages of {origin} may not call this mock; --cors-origin names those that may"
            if self._rules.is_allowed_origin(origin):
                message = _NOT_ALLOWED
            told = [header for header in told if header[0] == b"vary"]
            content, media_type = error_body(self._contract, made.status_code, message), JSON
        length = (b"content-length", b"%d" % len(content))
        date = (b"date", http_date(int(self._clock.now())))
        return Response(made.status_code, content, [*told, length, media_type, date])

    def shared(self, request: Request, response: Response) -> Response:
        """Return `response` with the headers that let a page read it."""
        rules, origin = self._rules, request.fields.get(b"origin")
        added = {b"vary": b"Origin"}
        if origin is not None:
            added |= {name.lower().encode(): value.encode() for name, value in rules.simple_headers.items()}
            if not rules.allow_all_origins and rules.is_allowed_origin(origin.decode("latin-1")):
                added[b"access-control-allow-origin"] = origin
        headers = [*response.headers, *added.items()]
        return Response(response.status, response.body, headers, response.transmission)


async def _unused(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("only the rules of the middleware are used")
