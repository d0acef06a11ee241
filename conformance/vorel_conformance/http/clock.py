"""The time of a run. Whatever waits, or compares times, takes it from the clock of the run's client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """The time of this machine, in seconds. A test may give a run another one, whose `sleep` needs no time."""

    def monotonic(self) -> float:
        """Return a time that only ever grows."""
        return time.monotonic()

    def time(self) -> float:
        """Return the epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def every(self, seconds: float, step: Callable[[], bool]) -> Callable[[], None]:
        """Call `step` again and again, beside whatever else the run does, until it returns False.

        Returns a function that ends this. It waits for a step that runs.
        """
        stopping = threading.Event()

        def steps() -> None:
            while step() and not stopping.wait(seconds):
                pass

        def stop() -> None:
            stopping.set()
            thread.join()

        thread = threading.Thread(target=steps, name="vorel-conformance clock", daemon=True)
        thread.start()
        return stop
