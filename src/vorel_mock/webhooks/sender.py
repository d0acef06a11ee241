"""Make one attempt: a POST to the target, and its result. It ends in time whatever the receiver does."""

import asyncio
import ssl
from functools import cached_property
from typing import Any

import httpx

import vorel_mock
from vorel_mock.model.clock import stopwatch
from vorel_mock.model.webhooks import Attempt
from vorel_mock.webhooks import signature
from vorel_mock.webhooks.target_policy import TargetError, TargetPolicy

METHOD = "POST"
#: Bytes of a response body that are read, and bytes of body and headers that the journal of deliveries keeps.
MAX_READ = 64 * 1024
MAX_KEPT = 4 * 1024


class Sender:
    """Sends webhooks. Use it in one event loop.

    It uses httpx's transports without httpx.Client: no cookies shared by receivers, no redirects, no proxy from the
    environment. Each attempt has its own connection, so that a broken one affects no other.
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

    async def aclose(self) -> None:
        """Close what is open."""
        for name in ("_plain", "_secure"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()

    async def _exchange(self, url: str, body: bytes, signed: str, attempt: Attempt) -> None:
        refused: httpx.ConnectError | None = None
        for address in await self._targets.addresses(url):
            try:
                return await self._post(url, address, body, signed, attempt)
            except httpx.ConnectError as error:  # localhost is two addresses; a receiver may listen on one of them
                refused = refused or error
        raise refused or TargetError("there is no address to connect to")

    async def _post(self, url: str, address: str, body: bytes, signed: str, attempt: Attempt) -> None:
        target = httpx.URL(url)
        headers = {
            "Host": target.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": f"vorel-mock/{vorel_mock.__version__}",
            "Connection": "close",
            signature.HEADER: signed,
        }
        connections: list[Any] = []

        async def note_connection(event: str, info: dict[str, Any]) -> None:
            # httpcore leaves the connection open when it is cancelled in the middle of a TLS handshake.
            if event == "connection.connect_tcp.complete":
                connections.append(info["return_value"])

        # The URL has the address, so that the name is not resolved a second time. TLS still uses the name.
        request = httpx.Request(
            METHOD,
            target.copy_with(host=address),
            headers=headers,
            content=body,
            extensions={"sni_hostname": target.host, "trace": note_connection},
        )
        attempt.request_headers = _bounded(request.headers)
        transport = self._secure if target.scheme == "https" else self._plain
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            for connection in connections:
                await connection.aclose()
            raise
        try:
            attempt.status = response.status_code
            attempt.response_headers = _bounded(response.headers)
            attempt.response_body = await _beginning(response)
        finally:
            await response.aclose()

    @cached_property
    def _plain(self) -> httpx.AsyncHTTPTransport:
        return _transport(verify=False)

    @cached_property
    def _secure(self) -> httpx.AsyncHTTPTransport:
        # The system's certificates (and SSL_CERT_FILE): where a certificate made for localhost is made known.
        return _transport(verify=ssl.create_default_context())


def _transport(verify: ssl.SSLContext | bool) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)


async def _beginning(response: httpx.Response) -> str:
    """Return the part of the body that is kept. At most MAX_READ bytes are read; that counts as complete."""
    kept = b""
    size = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:  # as it came: what is packed small stays small
        kept += chunk[: MAX_KEPT - len(kept)]
        size += len(chunk)
        if size >= MAX_READ:
            break
    return kept.decode("utf-8", "replace")


def _bounded(headers: httpx.Headers) -> dict[str, str]:
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
    if isinstance(error, httpx.RemoteProtocolError):
        return f"not an HTTP answer: {error}"
    return str(error) or type(error).__name__
