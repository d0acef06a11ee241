"""Make one attempt: a POST to the target, and its result. It ends in time whatever the receiver does."""

import asyncio
import ssl
from functools import cached_property

import httpx

import vorel_mock
from vorel_mock.model.webhooks import Attempt
from vorel_mock.unpatched.clocks import stopwatch
from vorel_mock.unpatched.http_client import HttpConnection, NotHttp, Response, connect, request_bytes
from vorel_mock.webhooks import signature
from vorel_mock.webhooks.target_policy import TargetError, TargetPolicy

METHOD = "POST"
#: Bytes of a response body that are read, and bytes of body and headers that the journal of deliveries keeps.
MAX_READ = 64 * 1024
MAX_KEPT = 4 * 1024


class Sender:
    """Sends webhooks. Use it in one event loop.

    There are no cookies, no redirects, and no proxy from the environment. Each attempt has its own connection, so that
    a broken one affects no other.
    """

    def __init__(self, targets: TargetPolicy) -> None:
        self._targets = targets

    async def send(self, url: str, body: bytes, signed: str, *, at: float, seconds: float) -> Attempt:
        """POST `body` to `url` with the signature `signed`, within `seconds` from resolving the name to the last byte.

        Never raises: a problem becomes the attempt's error.
        """
        attempt = Attempt(at, url=url)
        started = stopwatch()
        try:
            async with asyncio.timeout(seconds):
                await self._exchange(url, body, signed, attempt)
        except TimeoutError:
            where = "no answer" if attempt.status is None else "no whole answer"
            attempt.error = f"timed out: {where} within {seconds:g} s"
        except TargetError as error:
            attempt.error = str(error)
        except Exception as error:  # no exception may end the later deliveries
            attempt.error = _reason(error)
        attempt.duration = stopwatch() - started
        return attempt

    async def _exchange(self, url: str, body: bytes, signed: str, attempt: Attempt) -> None:
        target = httpx.URL(url)
        tls = self._tls if target.scheme == "https" else None
        port = target.port or (80 if tls is None else 443)
        # The address, so that the name is not resolved a second time; TLS still uses the name.
        name = None if tls is None else target.raw_host.decode("ascii")
        refused: OSError | None = None
        for address in await self._targets.addresses(url):
            attempt.request_headers = _headers(target, body, signed)
            try:
                connection = await connect(address, port, tls=tls, server_name=name)
            except OSError as error:  # localhost is two addresses; a receiver may listen on one of them
                refused = refused or error
            else:
                return await _post(connection, target, body, attempt)
        raise refused or TargetError("there is no address to connect to")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # The system's certificates (and SSL_CERT_FILE): where a certificate made for localhost is made known.
        return ssl.create_default_context()


def _headers(target: httpx.URL, body: bytes, signed: str) -> dict[str, str]:
    return {
        "host": target.netloc.decode("ascii"),
        "content-type": "application/json",
        "user-agent": f"vorel-mock/{vorel_mock.__version__}",
        "connection": "close",
        signature.HEADER.lower(): signed,
        "content-length": str(len(body)),
    }


async def _post(connection: HttpConnection, target: httpx.URL, body: bytes, attempt: Attempt) -> None:
    response = Response()
    request = request_bytes(METHOD, target.raw_path, attempt.request_headers, body)
    try:
        await connection.exchange(request, response, MAX_READ)
    finally:
        connection.close()
        attempt.status = response.status
        attempt.response_headers = _bounded(response.headers)
        # As it came: what is packed small stays small.
        attempt.response_body = response.body[:MAX_KEPT].decode("utf-8", "replace")


def _bounded(headers: dict[str, str]) -> dict[str, str]:
    """Headers by lower-case name, as many as fit."""
    kept: dict[str, str] = {}
    room = MAX_KEPT
    for name, value in headers.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        kept[name] = value
    return kept


def _reason(error: BaseException) -> str:
    """Return the error in words: the system's own if there is one (connection refused, reset)."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {getattr(cause, 'verify_message', None) or cause.reason or cause}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused: nothing listens there"
        if isinstance(cause, ConnectionError):
            return "connection reset by the receiver"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, NotHttp):
        return f"not an HTTP answer: {error}"
    return str(error) or type(error).__name__
