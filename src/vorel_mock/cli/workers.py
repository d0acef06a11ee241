"""Several processes on one port: start them, start again what dies, end them all."""

import signal
import subprocess
import sys
from types import FrameType

import click

from vorel_mock.unpatched.clocks import monotonic, sleep

#: Seconds in which a process that begins must not end, and how often one may do so in a row.
_SHORT = 5.0
_PATIENCE = 5
#: Seconds between two looks at the processes, and for each to end.
_LOOK = 0.1
_GRACE = 15.0


class Workers:
    """So many processes, each with the arguments of this one."""

    def __init__(self, number: int, port: int) -> None:
        self._port = port
        self._running: list[subprocess.Popen[bytes] | None] = [None] * number
        self._began = [0.0] * number
        self._short_lives = 0
        self._ends = False

    def run(self) -> int:
        """Run until a signal ends this process. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        if hasattr(signal, "SIGHUP"):  # not on Windows
            signal.signal(signal.SIGHUP, self._reload)
        for index in range(len(self._running)):
            self._start(index)
        code = 0
        while not self._ends:
            code = self._look()
            sleep(_LOOK)
        return self._ended(code)

    def _start(self, index: int) -> None:
        command = [sys.executable, "-m", "vorel_mock", *sys.argv[1:], f"--port={self._port}", f"--worker={index}"]
        self._began[index] = monotonic()
        # Its end of the pipe is closed when this process ends, however it does.
        self._running[index] = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - this program

    def _look(self) -> int:
        """Start again what has died. Returns the exit code, not 0 if that is of no use."""
        for index, process in enumerate(self._running):
            code = None if process is None else process.poll()
            if code is None or self._ends:
                continue
            if monotonic() - self._began[index] < _SHORT:
                self._short_lives += 1
            else:
                self._short_lives = 0
            if code == 2 or self._short_lives >= _PATIENCE:  # it has said what is wrong
                click.echo(f"Error: process {index} ended with code {code}; all end.", err=True)
                self._ends = True
                return code if code > 0 else 1
            click.echo(f"Process {index} ended with code {code}, and is started again.", err=True)
            self._start(index)
        return 0

    def _ended(self, code: int) -> int:
        """End all processes."""
        running = [process for process in self._running if process is not None]
        for process in running:
            process.terminate()
        deadline = monotonic() + _GRACE
        for process in running:
            try:
                process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return code

    def _end(self, *_: int | FrameType | None) -> None:
        self._ends = True

    def _reload(self, *_: int | FrameType | None) -> None:
        """Have one process read the fixtures again: the state is shared."""
        process = self._running[0]
        if process is not None:
            process.send_signal(signal.SIGHUP)
