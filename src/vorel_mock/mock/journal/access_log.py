"""The access log: a line for each request on the standard output, as text or as JSON."""

import asyncio
import contextlib
import json
import os
import select
import stat
import sys
from collections import deque
from functools import lru_cache
from typing import Any

import click
import msgspec

from vorel_mock.api.messages import Exchange
from vorel_mock.mock.journal.explain import key_secrets, secrets
from vorel_mock.mock.settings import LOG_LEVELS, LogLevel
from vorel_mock.model.clock import iso
from vorel_mock.model.redaction import MARK, redact
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.webhooks import Delivery
from vorel_mock.unpatched.clocks import real_time

#: Lines, and characters of lines, that may wait for a slow reader; beyond that lines are counted, not kept.
_MAX_WAITING = 20_000
_MAX_CHARACTERS = 8 * 1024 * 1024
#: Seconds for which lines are gathered, so that they share a write.
_PAUSE = 0.02
#: Seconds that the last lines are given when the mock ends.
_LAST = 1.0
#: Characters of a path that is remembered without its secrets.
_SHORT = 200
#: Characters of a path, or of a reason, in a line. The journal keeps the whole.
MAX_SHOWN = 1_000


class AccessLog:
    """Writes lines without waiting for their reader: a reader that stops reading never stops the mock.

    It has no thread: one that wants to run twenty times a second takes a fifth of all requests away, because Python
    has each thread wait for the others.
    """

    def __init__(self, *, as_json: bool = False, level: LogLevel = "info", off: bool = False) -> None:
        """`level`: of the least important lines that are written. `off`: nothing is written."""
        self._as_json = as_json
        self._level = LOG_LEVELS.index(level)
        self._off = off
        self.secrets: tuple[str, ...] = ()
        """Texts that no line may show."""
        self._colour = False
        self._running = False
        self._lines: deque[str] = deque()
        self._characters = 0
        self._unwritten = b""
        self._dropped = 0
        self._scheduled = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write to the standard output, which may be closed from the start: then Python has none.

        All that follows happens in the thread of `loop`; only `attempt` may be called from another one.
        """
        stream = sys.stdout
        if self._off or stream is None or self._running:
            return
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._colour = not self._as_json and stream.isatty() and not os.environ.get("NO_COLOR")
        self._loop = loop
        # A file can always be written to. Anything else is polled first, and then accepts PIPE_BUF bytes at least.
        waits = not stat.S_ISREG(os.fstat(self._descriptor).st_mode) and hasattr(select, "poll")
        self._at_once = select.PIPE_BUF if waits else sys.maxsize
        self._poll = select.poll() if waits else None
        if self._poll is not None:
            self._poll.register(self._descriptor, select.POLLOUT)
        self._running = True

    def stop(self, text: str | None, **members: Any) -> None:
        """Write the waiting lines and `text` (see `say`), if there is one, as far as they are read within a second."""
        if self._running:
            self._scheduled = True  # the event loop has ended, and calls nothing later
            if text is not None:
                self.say(text, **members)
            self._write(patience=_LAST)
            self._running = False

    def say(self, text: str, **members: Any) -> None:
        """Write one line of the mock itself: `text`, or `members` as JSON."""
        if self._running:
            self._append(msgspec.json.encode(members).decode() if self._as_json else text)

    def show_secret(self, token: str) -> None:
        """Write the line of a control token that the mock has made: nobody else knows it."""
        if self._running:
            members = {"event": "control_token", "control_token": token}
            self._put(msgspec.json.encode(members).decode() if self._as_json else f"Control token: {token}")

    def write(self, exchange: Exchange) -> None:
        """Write the line of a request."""
        if not self._running or (self._level and LOG_LEVELS.index(severity(exchange)) < self._level):
            return
        if len(self._lines) < _MAX_WAITING and self._characters < _MAX_CHARACTERS:
            also = self.secrets
            line = json_line(exchange, also) if self._as_json else text_line(exchange, also, colour=self._colour)
            self._append(line)
        else:
            self._dropped += 1

    def attempt(self, tenant: Tenant, delivery: Delivery) -> None:
        """Write the line of the latest attempt of a webhook delivery. May be called from any thread."""
        if not self._running or (self._level and 200 <= (delivery.attempts[-1].status or 0) < 300):
            return
        line = delivery_json(tenant, delivery) if self._as_json else delivery_line(tenant, delivery)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._append, line)

    def _append(self, line: str) -> None:
        for secret in self.secrets:
            line = line.replace(secret, MARK)
        self._put(line)

    def _put(self, line: str) -> None:
        self._lines.append(line)
        self._characters += len(line)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(_PAUSE, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._running:
            self._write(patience=0.0)
            if self._lines or self._unwritten:
                self._scheduled = True
                self._loop.call_later(_PAUSE, self._flush)

    def _write(self, *, patience: float) -> None:
        """Write as much as is taken; `patience`: seconds that the reader may take for each piece."""
        try:
            while (self._lines or self._unwritten) and self._is_taken(patience):
                if not self._unwritten:
                    self._unwritten = "".join([f"{line}\n" for line in self._gathered()]).encode(
                        self._encoding, "backslashreplace"
                    )
                # Past Python's own buffer, which would wait for the reader.
                written = os.write(self._descriptor, self._unwritten[: self._at_once])
                self._unwritten = self._unwritten[written:]
        except OSError:  # the reader is gone, or the disk is full
            self._running = False
            self._lines.clear()

    def _gathered(self) -> list[str]:
        lines = list(self._lines)
        self._lines.clear()
        self._characters = 0
        if self._dropped:
            lines.append(self._left_out())
            self._dropped = 0
        return lines

    def _is_taken(self, patience: float) -> bool:
        return self._poll is None or bool(self._poll.poll(patience * 1000))

    def _left_out(self) -> str:
        if self._as_json:
            return msgspec.json.encode({"event": "left_out", "lines": self._dropped}).decode()
        return f"({self._dropped} lines left out: the terminal was too slow)"


def text_line(exchange: Exchange, also: tuple[str, ...] = (), *, colour: bool = False) -> str:
    """Return the line of a request, such as

    `2026-11-27T06:51:00Z POST /api/v1/… 404 0.4 ms  <tenant id> req_00000001  not_found: No lead with this id …`

    `also` are secrets beside those of the exchange.
    """
    time = _second(int(real_time()))
    sent = exchange.status
    status = "(no answer)" if sent is None else str(sent)
    if colour:
        time = click.style(time, dim=True)
        colours = "red" if sent is None or sent >= 500 else "yellow" if sent >= 400 else "green"
        status = click.style(status, fg=colours)
    request, key = exchange.request, exchange.key
    if key is not None and len(request.path) <= _SHORT:
        what = _known_request(request.method, request.path, key.token, also)
    else:
        what = (
            f"{request.method} {_printable(_redacted(exchange, request.path, also))}"
            if request.method
            else "(unreadable)"
        )
    tenant = "-" if exchange.tenant is None else exchange.tenant.id
    line = f"{time} {what} {status} {exchange.duration * 1000:.1f} ms  {tenant} {exchange.id}"
    if exchange.fault is not None:
        line += f"  fault {exchange.fault}"
    if exchange.stub is not None:
        line += f"  stub {exchange.stub}"
    if sent is None:
        line += f"  {exchange.reason}"
    elif sent >= 400:
        line += f"  {_code(exchange)}: {_printable(_redacted(exchange, exchange.reason, also))}"
    elif exchange.reason.startswith("soft failure"):
        line += f"  {exchange.reason}"
    return line


def delivery_line(tenant: Tenant, delivery: Delivery) -> str:
    """Return the line of the latest attempt of a webhook delivery."""
    attempt = delivery.attempts[-1]
    said = f"({attempt.error})" if attempt.error else str(attempt.status)
    return (
        f"{_second(int(real_time()))} webhook {delivery.event} {_printable(_target(tenant, delivery))} "
        f"{_printable(redact(said))} {attempt.duration * 1000:.1f} ms  {tenant.id} {delivery.id}  "
        f"attempt {len(delivery.attempts)}: {delivery.state}"
    )


def _target(tenant: Tenant, delivery: Delivery) -> str:
    webhook = tenant.webhooks.get(delivery.webhook_id)
    return "(deleted)" if webhook is None else redact(webhook.target_url)[:MAX_SHOWN]


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return f"{iso(second)[:19]}Z"


@lru_cache(maxsize=1024)
def _known_request(method: str, path: str, token: str, also: tuple[str, ...]) -> str:
    """Return method and path as the log shows them: the same few come again and again."""
    return f"{method} {_printable(redact(path, [*key_secrets(token), *also]))}"


def severity(exchange: Exchange) -> LogLevel:
    """Return the level of a request's line."""
    status = exchange.status
    if status is None or status >= 500:
        return "error"
    if (
        status >= 400
        or exchange.fault is not None
        or exchange.stub is not None
        or exchange.reason.startswith("soft failure")
    ):
        return "warning"
    return "info"


def json_line(exchange: Exchange, also: tuple[str, ...] = ()) -> str:
    """The same as one JSON object. `tenant_time` is the time of the tenant's clock."""
    sent = exchange.status
    failed = sent is None or sent >= 400
    members = {
        "time": iso(real_time()),
        "tenant_time": iso(exchange.at) if exchange.tenant is not None else None,
        "id": exchange.id,
        "method": exchange.request.method,
        "path": _redacted(exchange, exchange.request.path, also),
        "status": sent,
        "duration_ms": round(exchange.duration * 1000, 3),
        "operation": exchange.operation.id if exchange.operation is not None else None,
        "tenant_id": exchange.tenant.id if exchange.tenant is not None else None,
        "key_id": exchange.key.id if exchange.key is not None else None,
        "fault": exchange.fault,
        "stub": exchange.stub,
        "code": _code(exchange) if failed and sent is not None else None,
        "reason": _redacted(exchange, exchange.reason, also) if failed else None,
    }
    return _json({name: value for name, value in members.items() if value is not None or name == "status"})


def delivery_json(tenant: Tenant, delivery: Delivery) -> str:
    """The line of the latest attempt of a delivery as one JSON object."""
    attempt = delivery.attempts[-1]
    return _json(
        {
            "time": iso(real_time()),
            "tenant_time": iso(attempt.at),
            "event": "webhook_attempt",
            "webhook_event": delivery.event,
            "delivery_id": delivery.id,
            "webhook_id": delivery.webhook_id,
            "tenant_id": tenant.id,
            "target_url": _target(tenant, delivery),
            "attempt": len(delivery.attempts),
            "state": delivery.state,
            "status": attempt.status,
            "error": attempt.error and redact(attempt.error),
            "duration_ms": round(attempt.duration * 1000, 3),
        }
    )


def _json(members: dict[str, Any]) -> str:
    line = msgspec.json.encode(members).decode()
    # JSON allows unescaped line separators and control characters of Unicode, which break lines and terminals.
    return line if line.isprintable() else json.dumps(members)


def _code(exchange: Exchange) -> str:
    """Return the error code of the response. A fault may have left no error envelope in it."""
    assert exchange.response is not None
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(exchange.response.body, type=_Envelope).error.code
    return "no envelope"


class _Error(msgspec.Struct):
    code: str


class _Envelope(msgspec.Struct):
    error: _Error


def _redacted(exchange: Exchange, text: str, also: tuple[str, ...]) -> str:
    """Return the beginning of `text` without secrets."""
    # Twice as much is looked at as is shown: a key that is cut off would not be recognised.
    shown = _without_secrets(exchange, text[: 2 * MAX_SHOWN], also)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}..."


def _without_secrets(exchange: Exchange, text: str, also: tuple[str, ...]) -> str:
    if exchange.key is None:
        return redact(text, [*secrets(exchange), *also])
    # The same few paths come again and again. What is long is not kept.
    shown = _without_token if len(text) <= _SHORT else _without_token.__wrapped__
    return shown(text, exchange.key.token, also)


@lru_cache(maxsize=1024)
def _without_token(text: str, token: str, also: tuple[str, ...]) -> str:
    return redact(text, [*key_secrets(token), *also])


def _printable(path: str) -> str:
    """Return a decoded path with control characters escaped, for a terminal."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)
