"""Event loops whose time nobody patches, and which need no socket of Python's."""

import asyncio
import sys
from asyncio import sleep
from collections.abc import Callable

from vorel_mock.unpatched.clocks import monotonic

__all__ = ["new_event_loop", "sleep"]

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    if sys.platform == "win32":
        _Loop = asyncio.ProactorEventLoop
    else:
        _Loop = asyncio.SelectorEventLoop

    class _OwnTime(_Loop):
        """asyncio asks `time.monotonic`, which freezegun stops."""

        def time(self) -> float:
            """Return the loop's time in seconds."""
            return monotonic()

    new_event_loop = _OwnTime
