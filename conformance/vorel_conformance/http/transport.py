"""One request and its answer, bounded in bytes and in time. Knows no keys, no clauses and no pace.

The server is not trusted. The whole answer has one deadline and one allowance of bytes, from the connection to the last
byte of the body: status lines without end (1xx), a dripping head and a dripping body all end there. Nothing is
decompressed, no redirect is followed, and no cookie is kept.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import httpcore

from vorel_conformance.http import urls

READ_CAP = 1 << 20  # bytes of a body that are read; the contract's responses have a few hundred
# Bytes of a whole answer, with its head and its framing.
WIRE_CAP = 2 * READ_CAP
WHOLE = 3  # a whole answer may take so many times the time-out between two bytes
_PIECE = 16 * 1024  # of a request, between two looks at the clock
_BODY_EXPECTED = ("POST", "PUT", "PATCH")


@dataclass(frozen=True)
class Answer:
    """A response as it came. `truncated`: the body is longer than READ_CAP, and this is its beginning."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool


class NoAnswerError(Exception):
    """There is no complete answer. `connected` is False if there was no connection either."""

    def __init__(self, reason: str, *, connected: bool = True, timeout: bool = False) -> None:
        super().__init__(reason)
        self.connected = connected
        self.timeout = timeout


class SetupError(Exception):
    """A certificate file or a proxy of the environment is unusable. The message says what to do."""


@dataclass(frozen=True)
class Trust:
    """The servers that an https connection is made to: those with a certificate of the usual authorities, of `cacert`
    alone (PEM), or, if `insecure`, any.
    """

    cacert: Path | None = None
    insecure: bool = False

    def of(self, base_url: str) -> Trust:
        """Return what counts for this URL: nothing unless it is https."""
        return self if urlsplit(base_url).scheme == "https" else Trust()

    @property
    def curl_options(self) -> tuple[str, ...]:
        """The options with which curl connects to the same servers."""
        return ("-k",) if self.insecure else ("--cacert", str(self.cacert)) if self.cacert else ()


USUAL = Trust()


class Way(Protocol):
    """The way to a server: `Transport`, or in a test one without connections. Safe to use from several threads."""

    def ask(self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None) -> Answer:
        """Send a request to `path` below the base URL. Raises NoAnswerError if no complete answer arrives in time."""

    def accepts(self) -> bool:
        """Return True if the server accepts a connection."""

    def close(self) -> None:
        """Close the connections."""


class Transport:
    """The connections to the server of one base URL. Safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        connect_timeout: float,
        trust: Trust = USUAL,
        connections: int = 32,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._allowance = _Allowance()
        parts = urlsplit(base_url)
        self._authority = parts.netloc
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(trust) if parts.scheme == "https" else None,
            proxy=None if urls.is_loopback(base_url) else _proxy(parts.scheme, parts.netloc),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=5.0,
            network_backend=_Backend(self._allowance),
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def accepts(self) -> bool:
        """Return True if the server accepts a connection."""
        try:
            _connected(self._base_url, self._connect_timeout).close()
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None) -> Answer:
        """Send a request to `path` below the base URL. Raises NoAnswerError if no complete answer arrives in time."""
        url = urlsplit(urls.join(self._base_url, path))
        target = (url.path or "/") + (f"?{url.query}" if "?" in path else "")
        wire = [(b"Host", self._authority.encode())]
        wire += [(name.encode("ascii"), value.encode("utf-8", "surrogateescape")) for name, value in headers]
        wire.append((b"Accept-Encoding", b"identity"))
        if body is not None or method in _BODY_EXPECTED:
            wire.append((b"Content-Length", str(len(body or b"")).encode()))
        self._allowance.start(WHOLE * self._timeout)
        try:
            return self._exchange(
                method,
                httpcore.URL(
                    scheme=url.scheme.encode(),
                    host=(url.hostname or "").encode(),
                    port=url.port,
                    target=target.encode("ascii"),
                ),
                wire,
                body,
            )
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            timeout = isinstance(error, httpcore.ConnectTimeout)
            reason = "timeout: no connection" if timeout else _text(error)
            raise NoAnswerError(reason, connected=False, timeout=timeout) from error
        except httpcore.TimeoutException as error:
            raise NoAnswerError(f"timeout: {self._allowance.reason or 'no response'}", timeout=True) from error
        except _FAILURES as error:
            raise NoAnswerError(_text(error)) from error

    def _exchange(
        self, method: str, url: httpcore.URL, headers: list[tuple[bytes, bytes]], body: bytes | None
    ) -> Answer:
        timeouts = {"connect": self._connect_timeout, "read": self._timeout, "write": self._timeout}
        with self._pool.stream(
            method, url, headers=headers, content=body, extensions={"timeout": timeouts}
        ) as response:
            read = bytearray()
            for chunk in response.iter_stream():
                read += chunk
                if len(read) > READ_CAP:
                    break
            fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
            return Answer(response.status, fields, bytes(read[:READ_CAP]), len(read) > READ_CAP)


_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    OSError,
)


def _text(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}..."


def advice(failure: str) -> str:
    """Return what to do about a failed connection, after a blank, or an empty string."""
    if "CERTIFICATE_VERIFY_FAILED" not in failure:
        return ""
    if "mismatch" in failure:
        return " Use a URL with a name that the certificate is for, or a certificate for this name."
    return (
        " If you trust it, add --cacert FILE: its certificate, or that of the authority that signed it, in PEM. "
        "--insecure skips the check, and the report says so."
    )


def connection(url: str, timeout: float, trust: Trust = USUAL) -> socket.socket:
    """Return a connection to the server of a URL, with TLS if it is https. Raises OSError, or SetupError."""
    connected = _connected(url, timeout)
    parts = urlsplit(url)
    if parts.scheme != "https":
        return connected
    try:
        return _tls(trust).wrap_socket(connected, server_hostname=parts.hostname)
    except BaseException:
        connected.close()
        raise


def _connected(url: str, timeout: float) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or urls.DEFAULT_PORTS[parts.scheme]), timeout)


def _tls(trust: Trust) -> ssl.SSLContext:
    """Return a context that trusts the usual authorities and SSL_CERT_FILE, the certificates of a file, or anybody."""
    cacert = trust.cacert
    if trust.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if cacert is None:
        return httpcore.default_ssl_context()
    try:
        context = ssl.create_default_context(cafile=str(cacert))
    except ssl.SSLError as error:
        raise SetupError(f"{cacert}: not a certificate; --cacert needs one or more in PEM") from error
    except OSError as error:
        raise SetupError(f"{cacert}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    # A certificate that a developer made is trusted as it is: it need not be that of an authority.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def _proxy(scheme: str, host: str) -> httpcore.Proxy | None:
    """Return the proxy that the environment names for this host, or None."""
    found = urllib.request.getproxies()
    url = found.get(scheme) or found.get("all")
    if not url or urllib.request.proxy_bypass(host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in urls.DEFAULT_PORTS or not parts.hostname or port == 0:
        raise SetupError(
            f"the proxy that the environment names for {scheme} is not an HTTP proxy; unset it or correct it"
        )
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    address = httpcore.URL(scheme=parts.scheme.encode(), host=parts.hostname.encode(), port=port, target=b"/")
    return httpcore.Proxy(address, auth=auth)


class _Allowance(threading.local):
    """What the answer that this thread waits for may still take."""

    deadline = float("inf")
    left = 0
    reason = ""

    def start(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.left = WIRE_CAP
        self.reason = ""
        self._seconds = seconds

    def time(self, timeout: float | None) -> float:
        """Return the time-out of the next step: `timeout`, or what is left of the whole."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            self.reason = f"the response was not complete after {self._seconds:g} s"
            raise httpcore.ReadTimeout(self.reason)
        if timeout is not None and timeout < left:
            self.reason = ""
            return timeout
        self.reason = f"the response was not complete after {self._seconds:g} s"
        return left

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise httpcore.RemoteProtocolError(
                f"the response has more than {WIRE_CAP} bytes, head and framing included"
            )


class _Stream(httpcore.NetworkStream):
    """A connection that keeps to the allowance of the thread that uses it."""

    def __init__(self, inner: httpcore.NetworkStream, allowance: _Allowance) -> None:
        self._inner = inner
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, self._allowance.time(timeout))
        self._allowance.take(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], self._allowance.time(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._allowance.time(timeout))
        return _Stream(inner, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Makes connections that keep to the allowance."""

    def __init__(self, allowance: _Allowance) -> None:
        self._inner = httpcore.SyncBackend()
        self._allowance = allowance

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.connect_tcp(host, port, self._allowance.time(timeout), local_address, socket_options)
        return _Stream(inner, self._allowance)
