"""What the user sees while the mock runs: a line for each request, as text or as JSON."""

import contextlib
import json
import os
import sys
import threading
from collections import deque
from functools import lru_cache
from time import sleep
from typing import Any

import click
import msgspec

from vorel_mock.api.messages import Exchange
from vorel_mock.mock.journal.explain import secrets
from vorel_mock.model.clock import iso
from vorel_mock.model.redaction import redact

#: Lines, and characters of lines, that may wait for a slow terminal; beyond that lines are counted, not kept.
_MAX_WAITING = 20_000
_MAX_CHARACTERS = 8 * 1024 * 1024
#: Seconds for which lines are gathered: each time that the thread runs, it delays a response.
_PAUSE = 0.02


class AccessLog:
    """Writes a line for each request, from a thread of its own: a reader that stops reading never stops the mock."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._colour = False
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._put = self._written = 0  # characters; each is counted by one side alone
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write to the standard output, which may be closed from the start: then Python has none."""
        stream = sys.stdout
        if self._quiet or stream is None or self._thread is not None:
            return
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._colour = not self._as_json and stream.isatty() and not os.environ.get("NO_COLOR")
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, for at most a second, and end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake.set()
            thread.join(timeout=1)

    def say(self, text: str, **members: Any) -> None:
        """Write one line of the mock's own: `text`, or as JSON its members."""
        if self._thread is not None:
            self._append(msgspec.json.encode(members).decode() if self._as_json else text)

    def write(self, exchange: Exchange) -> None:
        """Write the line of a request."""
        if self._thread is None:
            return
        if len(self._waiting) < _MAX_WAITING and self._put - self._written < _MAX_CHARACTERS:
            # Put into words here and not in the thread: while it computed, no response could leave.
            self._append(json_line(exchange) if self._as_json else text_line(exchange, colour=self._colour))
        else:
            self._dropped += 1

    def _append(self, line: str) -> None:
        self._put += len(line)
        self._waiting.append(line)
        if len(self._waiting) == 1:
            self._wake.set()

    def _run(self) -> None:
        try:
            while self._thread is not None or self._waiting:
                if not self._waiting:
                    self._wake.wait()
                self._wake.clear()
                if self._thread is not None:
                    sleep(_PAUSE)
                # Whatever has come meanwhile goes out in one write.
                lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
                written = sum(map(len, lines))
                if self._dropped:
                    lines.append(self._left_out())
                    self._dropped = 0
                self._write("".join(f"{line}\n" for line in lines))
                self._written += written
        except OSError:
            self._thread = None  # nobody reads any more
            self._waiting.clear()

    def _write(self, text: str) -> None:
        # Past Python's own buffer: while nobody reads, the thread would hold its lock, and Python could not end.
        left = memoryview(text.encode(self._encoding, "backslashreplace"))
        while left:
            left = left[os.write(self._descriptor, left) :]

    def _left_out(self) -> str:
        if self._as_json:
            return msgspec.json.encode({"event": "left_out", "lines": self._dropped}).decode()
        return f"({self._dropped} lines left out: the terminal was too slow)"


def text_line(exchange: Exchange, *, colour: bool = False) -> str:
    """`06:51:00 POST /api/v1/… 404 0.4 ms  not_found: No lead with this id … (req_00000001)`."""
    time = _time_of_day(int(exchange.at))
    sent = exchange.status
    status = "(no answer)" if sent is None else str(sent)
    if colour:
        time = click.style(time, dim=True)
        colours = "red" if sent is None or sent >= 500 else "yellow" if sent >= 400 else "green"
        status = click.style(status, fg=colours)
    request = exchange.request
    what = f"{request.method} {_printable(_redacted(exchange, request.path))}" if request.method else "(unreadable)"
    line = f"{time} {what} {status} {exchange.duration * 1000:.1f} ms"
    if sent is None:
        line += f"  {exchange.reason} ({exchange.id})"
    elif sent >= 400:
        line += f"  {_code(exchange)}: {_printable(_redacted(exchange, exchange.reason))} ({exchange.id})"
    elif exchange.reason.startswith("soft failure"):
        line += f"  {exchange.reason}"
    return line


@lru_cache(maxsize=4)
def _time_of_day(second: int) -> str:
    return iso(second)[11:19]


def json_line(exchange: Exchange) -> str:
    """The same as one JSON object."""
    sent = exchange.status
    failed = sent is None or sent >= 400
    members = {
        "time": iso(exchange.at),
        "id": exchange.id,
        "method": exchange.request.method,
        "path": _redacted(exchange, exchange.request.path),
        "status": sent,
        "duration_ms": round(exchange.duration * 1000, 3),
        "operation": exchange.operation.id if exchange.operation is not None else None,
        "tenant_id": exchange.tenant.id if exchange.tenant is not None else None,
        "key_id": exchange.key.id if exchange.key is not None else None,
        "fault": exchange.fault,
        "code": _code(exchange) if failed and sent is not None else None,
        "reason": _redacted(exchange, exchange.reason) if failed else None,
    }
    told = {name: value for name, value in members.items() if value is not None or name == "status"}
    line = msgspec.json.encode(told).decode()
    # JSON has a line separator or a control character of Unicode stand as it is; a terminal and a reader of lines mind.
    return line if line.isprintable() else json.dumps(told)


def _code(exchange: Exchange) -> str:
    """The error code of the answer; a fault may have left no such thing in it."""
    assert exchange.response is not None
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(exchange.response.body, type=_Envelope).error.code
    return "no envelope"


class _Error(msgspec.Struct):
    code: str


class _Envelope(msgspec.Struct):
    error: _Error


def _redacted(exchange: Exchange, text: str) -> str:
    return redact(text, (exchange.key.token,) if exchange.key is not None else secrets(exchange))


def _printable(path: str) -> str:
    """A path may hold anything once decoded; a terminal must not be told to do things by it."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)
