"""Turn the bytes of a connection into requests: HTTP/1.1 by httptools, with bounds, and no I/O.

Whatever cannot be parsed becomes a Request as well (`malformed`, `unreadable`), so that the core answers it like any
other, in its turn.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import IO, Any, Literal

import httptools

from vorel_mock.api.messages import MAX_BODY, Headers, Request, first_values, too_long
from vorel_mock.contract.routes import decode_path
from vorel_mock.server import header_blocks

#: Bytes of request line and headers, and number of headers, that a request may have.
MAX_HEAD = 64 * 1024
MAX_HEADERS = 100
#: Bytes of a body that are kept in memory; a longer one is kept in a temporary file.
MAX_IN_MEMORY = 4 * 1024 * 1024
#: Bytes beyond the limit of a body that are read and discarded: a client can finish and read why it was rejected.
MAX_DISCARDED = 16 * 1024 * 1024

_HEAD_TOO_LARGE = (
    f"The request has more than {MAX_HEADERS} headers, or target and headers of over {MAX_HEAD // 1024} KiB."
)
#: RFC 9112, 3.2.2: a target that is a URL; its path and its query.
_ABSOLUTE = re.compile(
    rb"[a-z][a-z0-9+.-]*://(?:\[[^\[\]/?#]*\](?::[0-9]*)?|[^\[\]/?#]*)(/[^?#]*)?(?:\?([^#]*))?", re.IGNORECASE
)
#: RFC 9110, 7.2: a host, and optionally a port.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


#: What the client is expected to send next: its first request; another one; the rest of a head, or of a body; nothing
#: that is looked at. Texts and not an Enum, whose members take Python 3.11 longer to find than most steps here take.
Phase = Literal["first", "idle", "head", "body", "ended"]


class _Unacceptable(Exception):
    """The parser accepts the request and the mock does not; the message is the client's."""


class RequestParser:
    """Calls `on_request(request, keep_alive)` for each request. After one that is not kept alive it reads no more.

    `body_limit(path, headers)` returns the bytes that the body of a request may have.
    """

    def __init__(self, on_request: Callable[[Request, bool], None], body_limit: Callable[[str, Headers], int]) -> None:
        self._on_request = on_request
        self._limit_of = body_limit
        self._parser: Any = httptools.HttpRequestParser(self)
        self.phase: Phase = "first"
        self.expects_continue = False
        """The client waits for `100 Continue` before it sends the body."""
        self._stalled = 0
        """Bytes since the last step forward: a head that began, a complete head, a piece of a body."""
        self._piece = self._begun_in = 0
        """Bytes of the piece that is being read, and of the one in which this head began."""
        self._url = b""
        self._path, self._query = "", b""
        self._begun = 0
        """Messages that began."""
        self._latest: Request | None = None
        """The request that was completed last, while `feed` runs."""
        self._last_url = b""
        self._last_headers: Headers = []
        self._fields: dict[bytes, bytes] = {}
        self._headers: Headers = []
        self._hosts: list[bytes] = []
        self._expectation = b""
        self._body: list[bytes] = []
        self._size = self._limit = 0
        self._file: IO[bytes] | None = None
        """The body, if it is large."""

    def feed(self, data: bytes) -> None:
        """Read on."""
        waits = self.phase == "idle" or self.phase == "first"
        known = header_blocks.find(data) if waits else None
        if known is not None:
            self.phase = "idle"
            self._on_request(known, True)
            return
        begun = self._begun
        self._parse(data)
        latest, self._latest = self._latest, None
        if waits and latest is not None and self.phase == "idle" and self._begun == begun + 1:
            header_blocks.remember(data, latest)

    def _parse(self, data: bytes) -> None:
        self._piece = len(data)
        self._stalled += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.fail(_problem(error, data), "is not framed as HTTP says: " + str(error))
        if self._stalled > MAX_HEAD:
            self.fail(_HEAD_TOO_LARGE, "its chunk extensions or trailers are too long")

    def fail(self, head: str, body: str) -> None:
        """Give up: what arrives cannot be read any further. `head` or `body` says why, as the phase is."""
        if self.phase == "body":
            self._complete(body, keep_alive=False)
        elif self.phase != "ended":
            self.phase = "ended"
            self._on_request(Request("", b"", "", b"", [], {}, malformed=head), False)

    def end(self) -> None:
        """Look at nothing more."""
        self.phase = "ended"

    def close(self) -> None:
        """Let go of everything: without this, the parser and its owner refer to each other."""
        self.phase = "ended"
        self._forget_file()
        self._parser = None
        self._on_request = _ignore

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._begun += 1
        if self.phase != "ended":
            self.phase = "head"
        self._url, self._headers, self._hosts = b"", [], []
        self._body, self._size, self._expectation = [], 0, b""
        self._begun_in, self._stalled = self._piece, 0

    def on_url(self, url: bytes) -> None:
        """Add a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; a trailer has no meaning here and must not pass for a header."""
        if self.phase == "head":
            name = name.lower()
            self._headers.append((name, value))
            if name == b"host":
                self._hosts.append(value)
            elif name == b"expect":
                self._expectation = value

    def on_headers_complete(self) -> None:
        """Check the head, and prepare for the body."""
        if self.phase != "head":
            return
        headers, parser = self._headers, self._parser
        # The size is counted only where it may be too much: counting takes as long as a step.
        may_be_large = self._stalled + self._begun_in > MAX_HEAD
        if len(headers) > MAX_HEADERS or (may_be_large and self._head_size() > MAX_HEAD):
            raise _Unacceptable(_HEAD_TOO_LARGE)
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise _Unacceptable("CONNECT is not served: this is no proxy.")
            return  # httptools reports it behind the head, see _ignore_upgrade
        self._share()
        self._limit = MAX_BODY
        self._stalled = 0
        self.phase = "body"
        if self._expectation.lower() == b"100-continue":
            self._expected()

    def _share(self) -> None:
        """Take over what is the same as in the request before: clients repeat target and headers, journals keep both.

        That takes less time than to drop what an old request held alone, and less memory.
        """
        if self._headers == self._last_headers:
            self._headers = self._last_headers
        else:
            self._last_headers, self._fields = self._headers, first_values(self._headers)
        if self._url == self._last_url:
            self._url = self._last_url
        else:
            self._last_url = self._url
            self._path, self._query = _split(self._url)

    def on_body(self, body: bytes) -> None:
        """Add a piece of the body."""
        if self.phase != "body":
            return
        self._stalled = 0
        self._size += len(body)
        if self._size > self._limit == MAX_BODY:
            self._limit = self._limit_of(self._path, self._headers)
        if self._size <= MAX_IN_MEMORY and self._size <= self._limit:
            self._body.append(body)
        elif self._size <= self._limit:
            self._write(body)
        else:
            self._body.clear()
            self._forget_file()
            if self._size > self._limit + MAX_DISCARDED:
                self._complete(too_long(self._limit), keep_alive=False)

    def _write(self, body: bytes) -> None:
        """Add a piece of a large body to a temporary file."""
        try:
            if self._file is None:
                self._file = TemporaryFile()  # noqa: SIM115 - closed when the request is complete, or never will be
                self._file.writelines(self._body)
                self._body.clear()
            self._file.write(body)
        except OSError as error:
            self._complete(f"could not be kept in a temporary file: {error.strerror}", keep_alive=False)

    def _forget_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what is left in its buffer may have no room
                file.close()

    def on_message_complete(self) -> None:
        """The body is complete."""
        if self.phase == "body":  # not in the head, if another protocol is offered
            unreadable = too_long(self._limit) if self._size > self._limit else None
            parser = self._parser
            self._complete(unreadable, keep_alive=parser.should_keep_alive() and parser.get_http_version() == "1.1")

    # Below, what these have in common.

    def _complete(self, unreadable: str | None, *, keep_alive: bool) -> None:
        """Hand over a request that is complete, or will not get any further."""
        hosts, body, self._body = self._hosts, self._body, []
        large = None
        if self._file is not None:
            if unreadable is None:
                try:
                    self._file.flush()
                    large = mmap(self._file.fileno(), 0, access=ACCESS_READ)  # it is gone when nobody refers to it
                except OSError as error:
                    unreadable = f"could not be kept in a temporary file: {error.strerror}"
            self._forget_file()
        malformed = None if len(hosts) == 1 and _is_host(hosts[0]) else self._host_problem()
        keep_alive = keep_alive and unreadable is None and malformed is None
        self.phase = "idle" if keep_alive else "ended"
        self.expects_continue = False
        request = self._latest = Request(
            _text(self._parser.get_method()),
            self._url,
            self._path,
            self._query,
            self._headers,
            self._fields,
            b"" if unreadable else body[0] if len(body) == 1 else b"".join(body),
            unreadable,
            malformed,
            self._parser.get_http_version() == "1.0",
            large,
        )
        self._on_request(request, keep_alive)

    def _expected(self) -> None:
        """Have the client told to go on, unless its body will be too long (RFC 9110, 10.1.1)."""
        length = next((int(value) for name, value in self._headers if name == b"content-length"), 0)
        self._limit = self._limit_of(self._path, self._headers)
        if length > self._limit:
            self._complete(too_long(self._limit), keep_alive=False)
        else:
            self.expects_continue = self._parser.get_http_version() == "1.1"

    def _head_size(self) -> int:
        return len(self._url) + sum(len(name) + len(value) for name, value in self._headers)

    def _host_problem(self) -> str | None:
        """Return what is wrong with the Host header (RFC 9112, 3.2), if anything."""
        if len(self._hosts) > 1:
            return f"Host: is there {len(self._hosts)} times; send it once."
        if self._hosts:
            return "Host: must be a host name or an address, and optionally a port."
        return "Host: is required in HTTP/1.1." if self._parser.get_http_version() == "1.1" else None

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse a request that offers another protocol once more, as if it did not.

        httptools takes it for the last request in HTTP, and its body for the other protocol. A server that does not
        switch reads it like any other request, body included: Java's HttpClient offers h2c with each first request.
        """
        version, method = self._parser.get_http_version().encode(), self._parser.get_method()
        lines = [b"%s %s HTTP/%s" % (method, self._url, version)]
        for name, value in self._headers:
            if name == b"connection":
                value = b",".join(word for word in value.split(b",") if word.strip().lower() != b"upgrade")
            lines.append(b"%s: %s" % (name, value))
        self._parser = httptools.HttpRequestParser(self)
        self.feed(b"\r\n".join([*lines, b"", rest]))


def _split(target: bytes) -> tuple[str, bytes]:
    """Return path and query of a target: a path, a URL, or `*` (RFC 9112, 3.2)."""
    path, _, query = target.partition(b"#")[0].partition(b"?")
    if not path.startswith(b"/") and target != b"*":
        parts = _ABSOLUTE.fullmatch(target.partition(b"#")[0])
        if parts is None:
            raise _Unacceptable("Not a valid HTTP request: the request line's target is not a URL.")
        path, query = parts[1] or b"/", parts[2] or b""
    return decode_path(path.decode("ascii")), query


def _problem(error: httptools.HttpParserError, data: bytes) -> str:
    """Return the parser's words, which quote nothing that was sent."""
    if isinstance(error.__context__, _Unacceptable):
        return str(error.__context__)
    if data.startswith(b"\x16\x03"):
        return "This is TLS, and this port speaks plain HTTP: use http:// instead of https://."
    return f"Not a valid HTTP request: {error}."


@lru_cache(maxsize=256)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


@lru_cache(maxsize=64)
def _text(method: bytes) -> str:
    return method.decode("ascii")


def _ignore(request: Request, keep_alive: bool) -> None:
    """Discard a request: the client is gone."""
