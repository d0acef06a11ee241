"""An event loop in a thread of its own, whose time nobody patches."""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from vorel_mock.unpatched.event_loop import new_event_loop

Result = TypeVar("Result")


class Stopped(Exception):
    """The loop was stopped before the coroutine had a result."""


class LoopThread:
    """Runs coroutines for callers in other threads. Started on first use; ended by `stop`, or when it is collected."""

    def __init__(self, name: str = "vorel-mock") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: int | None = None
        self._end: weakref.finalize[[asyncio.AbstractEventLoop, threading.Thread], LoopThread] | None = None

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Return the coroutine's result. Raises its exception, or Stopped if the loop is stopped meanwhile."""
        return result(self.submit(coroutine))

    def submit(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Start a coroutine. Its future is cancelled if the loop is stopped, and ends it if it is cancelled itself."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._started())

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel what runs and end the thread, with `last` before that; it may be started again."""
        with self._lock:
            loop, end, self._loop, self._end = self._loop, self._end, None, None
            own = self._process == os.getpid()
        if loop is not None and end is not None and own:
            if last is not None:
                asyncio.run_coroutine_threadsafe(last(), loop).result()
            end()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._process != os.getpid():  # a fork has the loop, but not its thread
                if self._end is not None:
                    self._end.detach()
                self._loop, self._process = None, os.getpid()
            if self._loop is None:
                loop = self._loop = new_event_loop()
                thread = threading.Thread(target=_run, args=[loop], name=self._name, daemon=True)
                thread.start()
                self._end = weakref.finalize(self, _stop, loop, thread)
            return self._loop


def result(future: Future[Result], seconds: float | None = None) -> Result:
    """Wait for what `LoopThread.submit` returned, and cancel it if that is interrupted.

    Raises its exception, Stopped, or TimeoutError after `seconds`.
    """
    try:
        return future.result(seconds)
    except CancelledError:
        raise Stopped from None
    except BaseException:
        future.cancel()
        raise


async def awaited(future: Future[Result]) -> Result:
    """Await what `LoopThread.submit` returned, on another loop, and cancel it if that is cancelled.

    Raises its exception, or Stopped.
    """
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or not task.cancelling():  # nobody cancelled the caller: the loop has ended
            raise Stopped from None
        raise


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
