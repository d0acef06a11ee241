"""Clocks that nobody patches, and that no one sets back."""

import time
from collections.abc import Callable
from importlib.util import module_from_spec

# A second instance of the module: freezegun replaces the functions of the first one wherever a module refers to them,
# and pytest's monkeypatch does so in `time` itself.
_spec = time.__spec__
assert _spec is not None
assert _spec.loader is not None
_time = module_from_spec(_spec)
_spec.loader.exec_module(_time)

#: Seconds on a counter that only measures durations; its zero means nothing.
stopwatch: Callable[[], float] = _time.perf_counter
monotonic: Callable[[], float] = _time.monotonic
sleep: Callable[[float], None] = _time.sleep
#: The time of the machine, in seconds since the epoch: for what a person reads beside it. No behaviour depends on it.
real_time: Callable[[], float] = _time.time


def _counted_on() -> Callable[[], float]:
    # Linux stops its monotonic clock while the machine sleeps; this one goes on.
    boottime = getattr(_time, "CLOCK_BOOTTIME", None)
    read: Callable[..., float] = _time.monotonic if boottime is None else _time.clock_gettime
    arguments = () if boottime is None else (boottime,)
    began = _time.time() - read(*arguments)
    return lambda: began + read(*arguments)


#: Seconds since the epoch: the machine's time when this module was imported, and counted on from there. So it goes on
#: evenly where the machine's clock is set, or frozen by a tool that patches it below Python (time-machine).
steady_time = _counted_on()
