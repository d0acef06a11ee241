"""What the user sees while the mock runs: a line for each request, as text or as JSON."""

import json
import queue
import sys
import threading
from typing import Any, TextIO

import click
import msgspec

from vorel_mock.api.exchange import Exchange
from vorel_mock.clock import iso
from vorel_mock.redaction import redact

#: Lines that may wait for a slow terminal; beyond that they are counted, not kept.
_MAX_WAITING = 20_000


class RequestLog:
    """Writes a line for each exchange, from a thread of its own: a reader that stops reading never stops the mock."""

    def __init__(self, stream: TextIO | None = None, *, as_json: bool = False, quiet: bool = False) -> None:
        self._stream = stream or sys.stdout
        self._as_json = as_json
        self._quiet = quiet
        self._colour = not as_json and self._stream.isatty()
        self._waiting: queue.SimpleQueue[Exchange | str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        if not self._quiet and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write what waits, for at most a second, and end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(timeout=1)
            self._thread = None

    def say(self, text: str, **members: Any) -> None:
        """One line of the mock's own: `text`, or as JSON its members."""
        self._put(msgspec.json.encode(members).decode() if self._as_json else text)

    def write(self, exchange: Exchange) -> None:
        """The line of an exchange. It is put into words by the thread, away from the hot path."""
        if self._thread is not None:
            self._put(exchange)

    def _put(self, entry: Exchange | str) -> None:
        if self._waiting.qsize() < _MAX_WAITING:
            self._waiting.put(entry)
        else:
            self._dropped += 1

    def _run(self) -> None:
        ended = False
        while not ended:
            entries = [self._waiting.get()]
            # Whatever has come meanwhile goes out in one write.
            while len(entries) < 1000 and not self._waiting.empty():
                entries.append(self._waiting.get())
            ended = entries[-1] is None
            lines = [entry if isinstance(entry, str) else self._line(entry) for entry in entries if entry is not None]
            if self._dropped:
                lines.append(f"({self._dropped} lines left out: the terminal was too slow)")
                self._dropped = 0
            try:
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads any more

    def _line(self, exchange: Exchange) -> str:
        return json_line(exchange) if self._as_json else text_line(exchange, colour=self._colour)


def text_line(exchange: Exchange, *, colour: bool = False) -> str:
    """`06:51:00 POST /api/v1/… 404 0.4 ms  not_found: No lead with this id … (req_00000001)`."""
    answer = exchange.answer
    assert answer is not None
    time = iso(exchange.at)[11:19]
    status = str(answer.status)
    if colour:
        time = click.style(time, dim=True)
        status = click.style(status, fg="green" if answer.status < 400 else "yellow" if answer.status < 500 else "red")
    path = redact(_printable(exchange.path))
    line = f"{time} {exchange.method or '?'} {path} {status} {exchange.duration * 1000:.1f} ms"
    if answer.status >= 400:
        line += f"  {_code(exchange)}: {_printable(redact(exchange.reason))} ({exchange.id})"
    elif exchange.reason.startswith("soft failure"):
        line += f"  {exchange.reason}"
    return line


def json_line(exchange: Exchange) -> str:
    """The same as one JSON object."""
    answer = exchange.answer
    assert answer is not None
    failed = answer.status >= 400
    members = {
        "time": iso(exchange.at),
        "id": exchange.id,
        "method": exchange.method,
        "path": redact(exchange.path),
        "status": answer.status,
        "duration_ms": round(exchange.duration * 1000, 3),
        "operation": exchange.operation.id if exchange.operation is not None else None,
        "tenant_id": exchange.tenant.id if exchange.tenant is not None else None,
        "key_id": exchange.key.id if exchange.key is not None else None,
        "code": _code(exchange) if failed else None,
        "reason": redact(exchange.reason) if failed else None,
    }
    told = {name: value for name, value in members.items() if value is not None}
    line = msgspec.json.encode(told).decode()
    # JSON has a line separator or a control character of Unicode stand as it is; a terminal and a reader of lines mind.
    return line if line.isprintable() else json.dumps(told)


def _code(exchange: Exchange) -> str:
    assert exchange.answer is not None
    return str(msgspec.json.decode(exchange.answer.body)["error"]["code"])


def _printable(text: str) -> str:
    """A path or the name of a member may hold anything; a terminal must not be told to do things by it."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
