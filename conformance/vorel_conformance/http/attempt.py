"""One request of an integration with what came back: what the oracles of the client kit judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlsplit

import h11

from vorel_conformance.http.strict_json import Parsed, parse
from vorel_conformance.http.tap import Connection, Direction
from vorel_conformance.spec import contract

Headers = tuple[tuple[str, str], ...]

_HEAD_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Attempt:
    """A request and its response. Times are seconds since the situation began."""

    number: int
    connection: int
    on_connection: int  # 1 for the first request of its connection
    started: float  # its first byte
    sent: float | None  # its last byte; None if it never came
    method: str
    target: str
    headers: Headers  # names as on the wire
    body: bytes
    status: int = 0  # 0: no response
    response_headers: Headers = ()
    response: bytes = b""
    ended: float | None = None  # last byte of the response, or end of the connection; None if neither came
    end: str = "no answer"  # answered, cut short, reset, closed, given up, no answer
    problem: str = ""  # why the request is not HTTP
    opened: float = 0.0  # its connection
    closed: float | None = None  # its connection; None: it was open to the end

    @property
    def path(self) -> str:
        """The path, without query."""
        return urlsplit(self.target).path if "://" in self.target else self.target.partition("?")[0]

    @cached_property
    def operation(self) -> contract.Operation | None:
        """The operation of the contract, or None."""
        return contract.load().operation(self.method, self.path)

    @cached_property
    def lead(self) -> str:
        """The lead of a handoff, as it stands in the path."""
        return self.path.split("/")[-2] if self.operation and self.operation.takes_lead else ""

    @cached_property
    def parsed(self) -> Parsed:
        """The body as JSON."""
        return parse(self.body)

    @cached_property
    def answer(self) -> Parsed:
        """The body of the response as JSON."""
        return parse(self.response)

    @property
    def answered(self) -> bool:
        """True if the response came completely."""
        return self.end == "answered"

    def header(self, name: str) -> str | None:
        """Return the first value of a header of the request."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def response_header(self, name: str) -> str | None:
        """Return the first value of a header of the response."""
        return next((value for key, value in self.response_headers if key.lower() == name.lower()), None)

    @property
    def retry_after(self) -> int | None:
        """The seconds of Retry-After, or None."""
        value = self.response_header("Retry-After") or ""
        return int(value) if value.isdigit() else None


@dataclass(frozen=True)
class _Message:
    """A parsed message, with the positions of its bytes in the stream."""

    first: int
    last: int  # of its last byte, exclusive
    complete: bool
    start_line: tuple[str, ...]
    headers: Headers
    body: bytes
    problem: str = ""


def attempts(connections: Sequence[Connection], began: float) -> list[Attempt]:
    """Return all requests of these connections, in the order of their first bytes."""
    found = [attempt for each in connections for attempt in _of_connection(each, began)]
    found.sort(key=lambda attempt: attempt.started)
    return [replace(attempt, number=n) for n, attempt in enumerate(found, 1)]


def _of_connection(connection: Connection, began: float) -> list[Attempt]:
    requests = _messages(connection.requests, client=True)
    methods = [each.start_line[0] for each in requests if not each.problem]
    responses = _messages(connection.responses, client=False, methods=methods)
    found = []
    closed = min((each.ended for each in (connection.requests, connection.responses) if each.ended), default=None)
    for position, request in enumerate(requests):
        response = responses[position] if position < len(responses) else None
        end, ended = _end(connection, request, response)
        method, target = request.start_line if len(request.start_line) == 2 else ("", "")
        found.append(
            Attempt(
                number=0,
                connection=connection.number,
                on_connection=position + 1,
                started=_time(connection.requests, request.first) - began,
                sent=_time(connection.requests, request.last - 1) - began if request.complete else None,
                method=method,
                target=target,
                headers=request.headers,
                body=request.body,
                status=int(response.start_line[0]) if response and response.start_line else 0,
                response_headers=response.headers if response else (),
                response=response.body if response else b"",
                ended=None if ended is None else ended - began,
                end=end,
                problem=request.problem,
                opened=connection.opened - began,
                closed=None if closed is None else closed - began,
            )
        )
    return found


def _end(connection: Connection, request: _Message, response: _Message | None) -> tuple[str, float | None]:
    """Return how the exchange ended, and when."""
    answers = connection.responses
    if response and response.complete:
        return "answered", _time(answers, response.last - 1)
    asked, answered = connection.requests.ended, answers.ended
    if asked is not None and (answered is None or asked < answered):
        return "given up", asked
    if answered is None:
        return "no answer", None
    if response:
        return "cut short", answered
    return ("reset" if answers.reset else "closed"), answered


def _time(direction: Direction, position: int) -> float:
    """Return when the byte at this position came."""
    for at, data in direction.pieces:
        position -= len(data)
        if position < 0:
            return at
    return direction.pieces[-1][0] if direction.pieces else 0.0


def _messages(direction: Direction, *, client: bool, methods: Sequence[str] = ()) -> list[_Message]:
    """Return the messages of one direction: requests of a client, or final responses of a server."""
    stream = b"".join(data for _, data in direction.pieces)
    found: list[_Message] = []
    at = 0
    while at < len(stream):
        method = methods[len(found)] if len(found) < len(methods) else "POST"
        message = _message(stream, at, client=client, method=method, closed=direction.ended is not None)
        found.append(message)
        if not message.complete or message.last <= at:
            break
        at = message.last
    return found


def _message(stream: bytes, at: int, *, client: bool, method: str, closed: bool) -> _Message:
    parser = h11.Connection(h11.SERVER if client else h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    if not client:
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
    start_line: tuple[str, ...] = ()
    headers: Headers = ()
    body = bytearray()
    try:
        parser.receive_data(stream[at:])
        if closed and not client:
            parser.receive_data(b"")
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return _Message(at, len(stream), False, start_line, headers, bytes(body))
            if isinstance(event, h11.Request):
                start_line = (event.method.decode("latin-1"), event.target.decode("latin-1"))
                headers = _text(event.headers.raw_items())
            elif isinstance(event, h11.Response):
                start_line, headers = (str(event.status_code),), _text(event.headers.raw_items())
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                rest = len(parser.trailing_data[0])
                return _Message(at, len(stream) - rest, True, start_line, headers, bytes(body))
    except h11.RemoteProtocolError as error:
        # A response that is cut short ends here too; a request that is no HTTP is reported.
        return _Message(at, len(stream), False, start_line, headers, bytes(body), str(error) if client else "")


def _text(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
