"""An event loop in a thread of its own, for code that has none."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

Result = TypeVar("Result")


class Stopped(Exception):
    """The loop was stopped before the coroutine had a result."""


class LoopThread:
    """Runs coroutines for callers in other threads. Started on first use; ended by `stop`, or when it is collected."""

    def __init__(self, name: str = "vorel-mock") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: weakref.finalize[[asyncio.AbstractEventLoop, threading.Thread], LoopThread] | None = None

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Return the coroutine's result. Raises its exception, or Stopped if the loop is stopped meanwhile."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._started()).result()
        except CancelledError:
            raise Stopped from None

    def stop(self) -> None:
        """Cancel what runs and end the thread; it may be started again."""
        with self._lock:
            end, self._loop, self._end = self._end, None, None
        if end is not None:
            end()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_run, args=[loop], name=self._name, daemon=True)
                thread.start()
                self._end = weakref.finalize(self, _stop, loop, thread)
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run `loop` until it is stopped; then cancel what is left in it, and close it."""
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
