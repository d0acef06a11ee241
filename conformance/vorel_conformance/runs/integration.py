"""The ways to give an integration its tasks: a command that is started, or a running service that is asked."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol
from urllib.parse import urlsplit

from vorel_conformance.http import strict_json, urls
from vorel_conformance.http.transport import USUAL, WHOLE, NoAnswerError, Transport, Trust, advice
from vorel_conformance.suite.client.observation import Execution
from vorel_conformance.suite.client.tasks import Task, Told, document

# Seconds for a command that has told all outcomes to end by itself.
_GRACE_S = 5.0
# Seconds between SIGTERM and SIGKILL.
_TERM_S = 1.0
_PIECE = 64 * 1024
# Bytes of a line; a longer one is no outcome. Bytes of stderr that the report shows.
_LINE = 1024 * 1024
_SHOWN = 2_000
# Bytes before the key in the line that has it, for the reader to find the place.
_SHOWN_BEFORE = 60
# Bytes of each stream that are searched for the key in any spelling. Further ones are searched for the key itself.
_SEARCHED = 2 * 1024 * 1024


class StartError(Exception):
    """The integration cannot be started, or not reached. The message says what to do."""


class Door(Protocol):
    """One way to give tasks."""

    @property
    def name(self) -> str:
        """The integration, for the report."""

    @property
    def stop(self) -> threading.Event:
        """Set: whatever is under way ends soon."""

    def give(
        self, tasks: Sequence[Task], base_url: str, key: str, holds_key: Callable[[str], bool], began: float
    ) -> Execution:
        """Give the tasks, wait for the outcomes, and return what was told. Raises StartError."""


@dataclass(frozen=True)
class Command:
    """A command that is started for each execution, without a shell, in a process group of its own."""

    argv: tuple[str, ...]
    timeout: float
    stop: threading.Event = field(default_factory=threading.Event, compare=False)  # set: end what runs

    @property
    def name(self) -> str:
        """The command line."""
        return shlex.join(self.argv)

    def give(
        self, tasks: Sequence[Task], base_url: str, key: str, holds_key: Callable[[str], bool], began: float
    ) -> Execution:
        """Start the command with the tasks on stdin, and wait until it has ended."""
        started = time.monotonic()
        environment = {**os.environ, "VOREL_BASE_URL": base_url, "VOREL_API_KEY": key}
        try:
            process = subprocess.Popen(  # noqa: S603 - the command that the user gave, no shell
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(cannot_start(self.argv[0], error)) from error
        told, known = Told(), {task.id for task in tasks}
        out = _Stream("stdout", key, holds_key, lambda line: told.add_line(line, time.monotonic() - began, known))
        err = _Stream("stderr", key, holds_key)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        threads = [
            threading.Thread(target=_feed, args=(process.stdin, document(tasks)), daemon=True),
            threading.Thread(target=out.read, args=(process.stdout,), daemon=True),
            threading.Thread(target=err.read, args=(process.stderr,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        timed_out = not self._wait(process, started, lambda: known <= {outcome.id for outcome in told.outcomes})
        end_group(process)
        for thread in threads:
            thread.join(2.0)
        return Execution(
            tasks=tasks,
            told=told,
            started=started - began,
            ended=time.monotonic() - began,
            exit_status=None if timed_out else process.returncode,
            timed_out=timed_out,
            output=err.end.decode("utf-8", "replace"),
            leaks={stream.name: stream.before_key for stream in (out, err) if stream.leaked},
        )

    def _wait(self, process: subprocess.Popen[bytes], started: float, all_told: Callable[[], bool]) -> bool:
        """Wait until the process has ended. Return False if it had to be given up."""
        told_at: float | None = None
        while True:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if told_at is None and all_told():
                    told_at = now
                if (
                    self.stop.is_set()
                    or now - started > self.timeout
                    or (told_at is not None and now - told_at > _GRACE_S)
                ):
                    return False
            else:
                return True


def cannot_start(program: str, error: OSError) -> str:
    """Return why a program cannot be started, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"{program}: no such command. Give the path of a program, or one that is found on PATH"
    if isinstance(error, PermissionError):
        return f"{program}: is not executable. Run: chmod +x {shlex.quote(program)}, or name its interpreter first"
    if error.errno == 8:  # ENOEXEC
        return f"{program}: the system cannot run it. Begin the file with #! and an interpreter, or name that first"
    return f"{program}: cannot be started: {error.strerror or error}"


def _feed(stdin: IO[bytes], tasks: object) -> None:
    # If it does not read its tasks, its outcomes will tell.
    with contextlib.suppress(OSError), stdin:
        stdin.write(json.dumps(tasks, ensure_ascii=False).encode("utf-8"))


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it left running in its group."""
    for number, patience in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, 5.0)):
        if number == signal.SIGKILL or process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


class _Stream:
    """Reads a stream to its end, in bounded memory; looks for the key in it."""

    def __init__(
        self,
        name: str,
        key: str,
        holds_key: Callable[[str], bool],
        on_line: Callable[[bytes], None] | None = None,
    ) -> None:
        self.name = name
        self.leaked = False
        self.before_key = ""  # what the line with the key begins with
        self.end = b""
        self._key, self._secret = key.encode(), key[-len(key) // 2 :].encode()
        self._holds_key = holds_key
        self._on_line = on_line
        self._line = bytearray()
        self._read = 0
        self._tail = b""

    def read(self, stream: IO[bytes]) -> None:
        """Read until the stream ends."""
        with stream:
            while piece := stream.read1(_PIECE):  # type: ignore[attr-defined]  # a buffered reader, typed as IO
                self._search(piece)
                self.end = (self.end + piece)[-_SHOWN:]
                if self._on_line:
                    self._split(piece)
        if self._line and self._on_line:
            self._on_line(bytes(self._line))

    def _search(self, piece: bytes) -> None:
        text = self._tail + piece
        self._tail = text[-256:]
        self._read += len(piece)
        if self.leaked:
            return
        if self._secret in text:
            self.leaked = True
            before = text.partition(self._key)[0].rpartition(b"\n")[2] if self._key in text else b""
            self.before_key = before[-_SHOWN_BEFORE:].decode("utf-8", "replace")
        elif self._read <= _SEARCHED:
            self.leaked = self._holds_key(text.decode("utf-8", "replace"))

    def _split(self, piece: bytes) -> None:
        assert self._on_line is not None
        first, *rest = piece.split(b"\n")
        for line in [first, *rest][:-1]:
            if len(self._line) + len(line) <= _LINE:
                self._on_line(bytes(self._line) + line)
            self._line.clear()
        last = rest[-1] if rest else first
        if len(self._line) <= _LINE:
            self._line += last


@dataclass(frozen=True)
class Trigger:
    """A running service that is asked over HTTP."""

    url: str
    timeout: float
    trust: Trust = USUAL
    stop: threading.Event = field(default_factory=threading.Event, compare=False)

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    def give(
        self, tasks: Sequence[Task], base_url: str, key: str, holds_key: Callable[[str], bool], began: float
    ) -> Execution:
        """POST the tasks, and read the outcomes from the response."""
        parts = urlsplit(self.url)
        started = time.monotonic()
        transport = Transport(
            urls.base(f"{parts.scheme}://{parts.netloc}"),
            timeout=self.timeout / WHOLE,
            connect_timeout=5.0,
            trust=self.trust,
        )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        told, known = Told(), {task.id for task in tasks}
        timed_out = False
        body = strict_json.dumps(document(tasks))
        try:
            answer = transport.ask("POST", path, [("Content-Type", "application/json")], body)
        except NoAnswerError as error:
            if not error.connected:
                remedy = advice(str(error)) or " Is the service running?"
                raise StartError(f"{self.url} does not respond: {error}.{remedy}") from error
            timed_out = error.timeout
            told.problems.append(f"the service did not answer the trigger: {error}")
        else:
            _read_answer(answer.status, answer.body, told, time.monotonic() - began, known)
        finally:
            transport.close()
        return Execution(tasks, told, started - began, time.monotonic() - began, timed_out=timed_out)


def _read_answer(status: int, body: bytes, told: Told, at: float, known: set[str]) -> None:
    if not 200 <= status < 300:
        told.problems.append(f"the service answered the trigger with HTTP {status}, not 2xx")
        return
    value = strict_json.parse(body).value
    outcomes = value.get("outcomes") if isinstance(value, dict) else None
    if isinstance(outcomes, list):
        for each in outcomes:
            if isinstance(each, dict):
                told.add(each, at, known)
            else:
                told.problems.append(f"an outcome that is no object: {str(each)[:100]}")
        return
    for line in body.splitlines():
        told.add_line(line, at, known)
    if not told.outcomes and not told.problems:
        told.problems.append('the service answered the trigger with neither {"outcomes": [...]} nor lines of outcomes')
