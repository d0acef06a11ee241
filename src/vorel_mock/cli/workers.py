"""Several processes on one port: start them, start again what dies, end them all."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import click

from vorel_mock.unpatched.clocks import monotonic, sleep

#: Seconds in which a process that begins must not end, and how often one may do so in a row.
_SHORT = 5.0
_PATIENCE = 5
#: Seconds between two looks at the processes, and for all to end.
_LOOK = 0.1
_GRACE = 15.0


class Workers:
    """So many processes, forks of this one. `work` is what each does, given its number and a pipe.

    The pipe is closed when this process ends, however it does.
    """

    def __init__(self, number: int, work: Callable[[int, int], None]) -> None:
        self._work = work
        self._running = [0] * number
        self._began = [0.0] * number
        self._short_lives = 0
        self._ends = False
        self._pipe = os.pipe()

    def run(self) -> int:
        """Run until a signal ends this process. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._reload)
        for index in range(len(self._running)):
            self._start(index)
        code = 0
        while not self._ends:
            sleep(_LOOK)
            code = self._look()
        self._end_all()
        return code

    def _start(self, index: int) -> None:
        self._began[index] = monotonic()
        self._running[index] = os.fork()
        if not self._running[index]:
            os._exit(self._child(index))

    def _child(self, index: int) -> int:
        """Do the work. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._pipe[1])
        code = 0
        try:
            self._work(index, self._pipe[0])
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return code

    def _look(self) -> int:
        """Start again what has died. Returns the exit code, not 0 if that is of no use."""
        for index, pid in enumerate(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG) if pid else (0, 0)
            if not ended or self._ends:
                continue
            self._running[index], code = 0, os.waitstatus_to_exitcode(status)
            self._short_lives = self._short_lives + 1 if monotonic() - self._began[index] < _SHORT else 0
            if code == 2 or self._short_lives >= _PATIENCE:  # it has said what is wrong
                click.echo(f"Error: process {index} ended with code {code}; all end.", err=True)
                self._ends = True
                return code if code > 0 else 1
            click.echo(f"Process {index} ended with code {code}, and is started again.", err=True)
            self._start(index)
        return 0

    def _end_all(self) -> None:
        deadline = monotonic() + _GRACE
        for pid in filter(None, self._running):
            os.kill(pid, signal.SIGTERM)
        for pid in filter(None, self._running):
            while not os.waitpid(pid, os.WNOHANG)[0]:
                if monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                sleep(_LOOK / 10)

    def _end(self, *_: int | FrameType | None) -> None:
        self._ends = True

    def _reload(self, *_: int | FrameType | None) -> None:
        """Have one process read the fixtures again: the state is shared."""
        if self._running[0]:
            os.kill(self._running[0], signal.SIGHUP)
