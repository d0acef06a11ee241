"""Bursts over the rate limit, on keys that nothing else uses. `suite.server.test_rate_limit` starts and finishes them.

A burst sends exactly as many requests as a window allows, and tens of requests more, in several forms: repetitions of
the last one, new connections, other addresses in X-Forwarded-For, after a round of all other keys. Someone may have
used its key just before.
A burst that is limited too early is therefore repeated on the same key after a window of rest. A window that is
aligned to the clock may also end during a burst. Bursts therefore avoid full minutes, and a burst across one that is
limited too late is repeated.

The other tests run between the bursts: every step here has a time when it is due.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from vorel_conformance.http.client import GoneError, SpentError
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.target import TargetError

if TYPE_CHECKING:
    from vorel_conformance.http.clock import Clock
    from vorel_conformance.session.probe import Probe
    from vorel_conformance.spec.contract import Operation

BURSTS = "bursts"  # the pair of the tests that start and finish them
MOST_OVER = 30  # requests of a burst over the limit, each of which must be rejected; fewer if the limit is small
MOST_LATER = 8  # requests of each look during the window, each of which must be rejected
AT_ONCE = 8  # requests at the same time, in the burst that is sent so
GRACE_S = 1.0  # added to a wait after which a burst is repeated
# Added to Retry-After: a client that waits exactly that long must be served. The clocks may differ by that much.
CLOCKS_S = 0.1
PUNCTUAL_S = 0.01  # between two looks for steps that must be punctual
CHECK_S = 6.0  # shorter waits are not checked in between
# Seconds between 429s whose Retry-After is compared: a server that rounds down does it by most of a second for one.
PHASES_S = (0.0, 0.25, 0.5, 0.75)
CHECKS_AT = (0.3, 0.6, 0.85)  # the parts of a wait after which it is checked in between
REPEATS = 2  # of a burst during which a window ended


@dataclass(frozen=True)
class Burst:
    """The result of a burst. `lost` requests broke their connection or led to a server error: the server may have
    counted them or not.
    """

    key: str
    pattern: str
    served: int
    asked: int
    lost: int
    first: Exchange
    rejection: Exchange | None
    ended: float  # in the monotonic time of the clock
    crossed: bool  # a window aligned to the server's clock began during the burst
    at_once: bool = False  # several requests at the same time


@dataclass
class Step:
    """An action that is due at a monotonic time of the clock.

    `punctual`: it must not wait for the end of a test. The clock runs it.
    """

    at: float
    run: Callable[[], None]
    punctual: bool = False


@dataclass
class Bursts:
    """The bursts of one run, and the checks that follow from them."""

    probe: Probe
    steps: list[Step] = field(default_factory=list)
    settled: dict[str, Burst] = field(default_factory=dict)  # by pattern: bursts that need no repetition
    rejected: list[Burst] = field(default_factory=list)
    checked_other_key: bool = False
    one_allowance: bool = False  # all keys share one allowance
    crowded: bool = False  # a burst had requests with all other keys in between
    looks: int = 0  # during the window
    pending: set[str] = field(default_factory=set)  # keys with a step to come
    lock: threading.Lock = field(default_factory=threading.Lock)  # of the steps
    end_punctual: Callable[[], None] | None = None  # ends the running of punctual steps

    @property
    def clock(self) -> Clock:
        """The time of the run."""
        return self.probe.session.client.clock

    def start(self) -> None:
        """Send the first bursts, one for each pattern, and plan the later steps."""
        keys = [f"burst.{n}" for n in range(len(self.probe.target.burst))]
        patterns = self._patterns()
        if not patterns:
            return
        if len(keys) == 1:
            patterns = patterns[-1:]
        spare = keys.pop() if len(keys) > 1 else None
        for pattern, key in zip(_first(patterns, len(keys)), keys, strict=False):
            self._burst(key, pattern)
        window = self.probe.target.window_s
        if spare:
            # Half a window later: this detects a server whose window is half as long. If there are two keys, one
            # operation alone has the first, and both operations in turns have this one.
            pattern = patterns[0] if keys[1:] else patterns[-1]
            self._later(window / 2, lambda: self._burst(spare, pattern, at_once=True), spare)
        self._plan_recovery()
        rested = next((each for each in reversed(self.rejected) if each.key not in self.pending), None)
        if rested and window > 1:
            self._repeat(replace(rested, pattern=patterns[0]))

    def _patterns(self) -> list[str]:
        probe = self.probe
        handoff = bool(probe.target.own) and probe.serves(probe.handoff, "limit.every-operation")
        crm = probe.serves(probe.crm, "limit.every-operation")
        return ["handoff"] * handoff + ["crm"] * crm + ["both"] * (handoff and crm)

    @property
    def saw_429(self) -> bool:
        """True if a burst was rejected with 429."""
        return bool(self.rejected)

    def tick(self) -> None:
        """Run the steps that are due."""
        while step := self._take():
            step.run()

    def finish(self) -> None:
        """Wait for the remaining steps, run them, and compare the patterns."""
        while self.steps:
            with self.lock:
                due = min((each.at for each in self.steps), default=0.0)
            self.clock.sleep(max(0.0, due - self.clock.monotonic()))
            self.tick()
        self.stop()  # it waits for the last punctual step, which may still run
        self._compare()

    def stop(self) -> None:
        """Run no punctual step any more."""
        if self.end_punctual is not None:
            self.end_punctual()

    def _run_punctual(self) -> bool:
        """Run the punctual steps that are due, single requests. Returns False if there will be no more."""
        try:
            while step := self._take(punctual=True):
                step.run()
        except (SpentError, GoneError):
            return False  # the test that runs meets it too
        except Exception as error:  # a fault of the kit must not end the run: the report shows it
            self.probe.session.kit_error(self.probe.name, None, error)
        return self._is_punctual()

    def _is_punctual(self) -> bool:
        with self.lock:
            return any(each.punctual for each in self.steps)

    def _take(self, *, punctual: bool = False) -> Step | None:
        """Remove and return the first step that is due, or the first punctual one."""
        with self.lock:
            now = self.clock.monotonic()
            due = [each for each in self.steps if each.at <= now and (each.punctual or not punctual)]
            if not due:
                return None
            step = min(due, key=lambda each: each.at)
            self.steps.remove(step)
            return step

    def _later(self, seconds: float, run: Callable[[], None], key: str, *, punctual: bool = False) -> Step:
        def and_then() -> None:
            self.pending.discard(key)
            run()

        self.pending.add(key)
        step = Step(self.clock.monotonic() + seconds, and_then, punctual)
        with self.lock:
            self.steps.append(step)
        return step

    def _repeat(self, burst: Burst, attempt: int = 1) -> None:
        """Plan the same burst after a whole window of rest, when no earlier request can count any more."""
        rest = burst.ended + self.probe.target.window_s + GRACE_S - self.clock.monotonic()
        again = partial(self._burst, burst.key, burst.pattern, rested=True, at_once=burst.at_once, attempt=attempt)
        self._later(rest, again, burst.key)

    def _burst(self, key: str, pattern: str, *, rested: bool = False, at_once: bool = False, attempt: int = 0) -> None:
        if self.one_allowance:
            return
        crowd = not self.crowded
        self.crowded = True
        burst = send_burst(self.probe.part(f"{key} {attempt}"), key, pattern, at_once=at_once, crowd=crowd)
        if rested:
            # No Retry-After can ask for more than a whole window of rest.
            self.probe.check("limit.recovers", not isinstance(burst, float), "still rejected after a window of rest")
        if isinstance(burst, float):
            self._check_other_key()
            if rested or attempt >= REPEATS:
                self.probe.session.gap("limit.not-before", f"keys.{key} is rejected from the first request on")
                return
            again = partial(self._burst, key, pattern, rested=rested, at_once=at_once, attempt=attempt + 1)
            self._later(burst, again, key)
            return
        if burst.rejection:
            self.rejected.append(burst)
            self._check_window(burst)
            self._check_other_key()
        target = self.probe.target
        early, late = burst.served < target.limit - burst.lost, burst.served > target.limit
        if early and not rested and attempt < REPEATS:
            self._repeat(burst, attempt + 1)
            return
        if late and burst.crossed:
            if attempt < REPEATS:
                self._repeat(burst, attempt + 1)
            else:
                self.probe.session.gap("limit.enforced", "the target is too slow: every burst ran into the next window")
            return
        known = self.settled.get(pattern)
        # Keep the worse of two counts: the limit must be right every time.
        if known is None or abs(burst.served - target.limit) > abs(known.served - target.limit):
            self.settled[pattern] = burst

    def _check_other_key(self) -> None:
        """Check `limit.per-key` once: while one key is rejected, another one must be served."""
        if self.checked_other_key:
            return
        self.checked_other_key = True
        probe = self.probe.part("another key")
        for _ in range(2):
            exchange = probe.send_at_once(_served(probe, probe.next_full_key()))
            if exchange.responded and exchange.status < 500:
                ok = exchange.status != 429
                if not ok:
                    # All keys share one allowance: further bursts would prove nothing.
                    self.probe.session.client.pacer.one_allowance()
                    self.one_allowance = True
                message = "another key of the tenant is rejected too"
                self.probe.check("limit.per-key", ok, message, exchange, expected="a status other than 429", got="429")

    def _check_window(self, burst: Burst) -> None:
        """Check `limit.window`: the window ends at a full minute of the server, or a window after its first request."""
        rejection, window = burst.rejection, self.probe.target.window_s
        reset = reset_of(rejection, window) if rejection else None
        if rejection is None or reset is None:
            return
        moment, grace = reset
        off = moment % window
        aligned = min(off, window - off) <= grace
        # Compare with the server's Date, which may be old, and with our clock, which may be wrong, in whole seconds.
        first = burst.first
        close = min(3.0, window / 4) if window >= 8 else 3.0
        since_first = any(abs(moment - begin - window) <= close for begin in (first.at, first.started))
        self.probe.check(
            "limit.window",
            aligned or since_first,
            f"the window ends {moment - burst.first.at:.0f} s after its first request, and not at a full minute",
            rejection,
            expected=f"a multiple of {window:g}, or {burst.first.at + window:.0f}",
            got=f"{moment:.0f}",
        )

    def _plan_recovery(self) -> None:
        """Plan the check of `limit.recovers`: exactly after Retry-After, one request on a key without another step."""
        burst = next((each for each in self.rejected if each.key not in self.pending), None)
        if burst is None or burst.rejection is None:
            return
        wait = min(burst.rejection.wait_s or self.probe.target.window_s, self.probe.target.window_s + 2)

        def check_again() -> None:
            if self.one_allowance:
                return
            probe = self.probe.part("recovery")
            exchange = probe.send_at_once(_served(probe, burst.key))
            if exchange.responded and exchange.status < 500:
                ok = exchange.status != 429
                message = "rejected again after exactly the time that a 429 asked to wait for"
                self.probe.check("limit.recovers", ok, message, exchange, expected="a status other than 429", got="429")

        again = burst.ended + wait + CLOCKS_S
        recovery = self._later(again - self.clock.monotonic(), check_again, burst.key, punctual=True)
        if wait <= CHECK_S:
            return

        def ask() -> None:
            """Ask once more, for a 429 with an earlier end. A server that rounds down names one."""
            probe = self.probe.part("phase")
            exchange = probe.send_at_once(_served(probe, burst.key))
            if exchange.status == 429 and exchange.wait_s:
                recovery.at = min(recovery.at, self.clock.monotonic() + exchange.wait_s + CLOCKS_S)

        now = self.clock.monotonic()
        with self.lock:
            self.steps += [Step(now + seconds, ask, punctual=True) for seconds in PHASES_S]
            # During the window: the key is rejected, and the next 429 names the same end.
            self.steps += [Step(burst.ended + wait * part, lambda: self._check_same_end(burst)) for part in CHECKS_AT]
        self.end_punctual = self.clock.every(PUNCTUAL_S, self._run_punctual)

    def _check_same_end(self, burst: Burst) -> None:
        """Check during the wait that a 429 asked for: the key is rejected, and the next 429 names the same end."""
        self.looks += 1
        probe, target = self.probe.part(f"later {self.looks}"), self.probe.target
        window = target.window_s
        again: list[Exchange] = []
        requests = over_the_limit(probe, probe.operations[-1:], burst.key, later(target.limit))
        probe.each(lambda request: again.append(probe.send_at_once(request)), requests)
        exchange = max(again, key=lambda each: each.started)
        if burst.rejection and burst.rejection.wait_s and burst.served <= target.limit and not self.one_allowance:
            # limit.enforced reports a burst that was served too much, limit.per-key keys that share one allowance.
            told = burst.rejection.wait_s
            # A busy run may check late, and Retry-After may be rounded up by a second.
            timely = [
                each
                for each in again
                if each.responded
                and each.status < 500
                and each.started + each.elapsed - burst.rejection.started < told - 1.5
            ]
            served = [each for each in timely if each.status != 429]
            if served and len(served) < len(timely):
                probe.check(
                    "limit.enforced",
                    False,
                    f"{len(served)} of {len(timely)} requests were served "
                    f"{served[0].started - burst.rejection.started:.0f} s after the limit of the window was reached",
                    served[0],
                    expected="429",
                    got=str(served[0].status),
                )
            elif timely:
                waited = timely[-1].started + timely[-1].elapsed - burst.rejection.started
                message = f"served {waited:.0f} s after a 429 that asked to wait {told:g} s"
                shown = [*served, *timely][0]
                probe.check("limit.retry-after", not served, message, shown, expected="429", got=str(shown.status))
        before = reset_of(burst.rejection, window) if burst.rejection else None
        after = reset_of(exchange, window)
        if self.one_allowance or exchange.status != 429 or before is None or after is None:
            return
        moved = after[0] - before[0]
        message = f"the end of the window moved by {moved:g} s between two 429s of this window"
        ok = abs(moved) <= 2 + before[1] + after[1]
        probe.check("limit.reset", ok, message, exchange, expected=f"{before[0]:.0f}", got=f"{after[0]:.0f}")

    def _compare(self) -> None:
        """Record the verdicts on the bursts."""
        probe, limit = self.probe, self.probe.target.limit
        if self.one_allowance:
            for clause in ("limit.not-before", "limit.enforced", "limit.every-operation", "limit.recovers"):
                probe.session.gap(clause, "all keys share one allowance, see limit.per-key")
            return
        reference = self.settled.get("handoff") or next(iter(self.settled.values()), None)
        if reference is None:
            probe.session.gap_if_unseen("limit.not-before", "no burst was completed")
            probe.session.gap_if_unseen("limit.enforced", "no burst was completed")
            return
        if reference.rejection is None and reference.served < limit:
            for clause in ("limit.not-before", "limit.enforced", "limit.every-operation"):
                probe.session.gap(clause, f"{reference.lost} requests of a burst led to no response or a server error")
            return
        exchange = reference.rejection or reference.first
        early = reference.served < limit - reference.lost
        probe.check(
            "limit.not-before",
            not early,
            f"request {reference.served + 1} of a window was rejected",
            exchange,
            expected=f"{limit} requests served",
            got=f"{reference.served} served",
        )
        late = reference.served > limit
        probe.check(
            "limit.enforced",
            not late and (early or reference.rejection is not None),
            f"{reference.served} of {reference.asked} requests of a window were served"
            + (f", {reference.lost} led to no response or a server error" if reference.lost else "")
            + ("" if reference.rejection else ", none was rejected with 429"),
            exchange,
            expected=f"{limit} served, the others rejected with 429",
            got=f"{reference.served} served",
        )
        others = [each for each in self.settled.values() if each is not reference]
        if reference.rejection is None:
            probe.session.gap("limit.every-operation", "the limit is not enforced, see limit.enforced")
        elif not others and reference.pattern == "both":
            probe.check("limit.every-operation", ok=True)
        elif not others and len(probe.operations) == 1:
            pass  # `_patterns` has recorded the reason
        elif not others:
            probe.session.gap("limit.every-operation", "add a second key to [keys] burst of the target profile")
        for other in others if reference.rejection else ():
            slack = other.lost + reference.lost
            probe.check(
                "limit.every-operation",
                abs(other.served - reference.served) <= slack,
                f"{other.served} requests served ({other.pattern}), {reference.served} of {reference.pattern} alone",
                other.rejection or other.first,
                expected=f"{reference.served} served",
                got=f"{other.served} served",
            )


def _served(probe: Probe, key: str) -> Request:
    """Return a valid request on a key, of an operation that the target serves."""
    return probe.valid(probe.operations[-1], key=key)


def _first(patterns: list[str], keys: int) -> list[str]:
    """Return the patterns for a number of keys. One operation alone and both in turns come first."""
    return patterns if keys >= len(patterns) else [patterns[0], patterns[-1]][:keys]


def over(limit: int) -> int:
    """Return the number of requests of a burst over the limit."""
    return max(4, min(MOST_OVER, limit * 3 // 5))


def later(limit: int) -> int:
    """Return the number of requests of a look during the window."""
    return max(2, min(MOST_LATER, limit // 5))


def over_the_limit(probe: Probe, operations: Sequence[Operation], key: str, count: int) -> list[Request]:
    """Return requests to be rejected, in forms for which a server may forget the limit."""
    requests: list[Request] = []
    for n in range(count):
        form = n % 4
        if form == 1:  # a new connection: this detects a limit that is counted for each
            headers = [("Connection", "close")]
        elif form == 2:  # an address of RFC 5737
            headers = [("X-Forwarded-For", f"203.0.113.{n}")]
        else:
            headers = []
        repeated = requests[-1:] if form == 3 else []
        requests += repeated or [probe.valid(operations[n % len(operations)], key=key, headers=headers)]
    return requests


def send_burst(probe: Probe, key: str, pattern: str, *, at_once: bool = False, crowd: bool = False) -> Burst | float:
    """Send as many requests as a window allows on `key`, and tens more.

    `at_once`: several at the same time. `crowd`: with a round of requests on all other full keys before the last ones.
    Returns the seconds to wait instead if the key is already used up. Raises TargetError if the key is invalid.
    """
    target, client = probe.target, probe.session.client
    keep_off_the_boundary(probe)
    retried = client.retried
    operations = {"handoff": [probe.handoff], "crm": [probe.crm], "both": [probe.handoff, probe.crm]}[pattern]
    requests = [probe.valid(operations[n % len(operations)], key=key) for n in range(target.limit)]
    requests += over_the_limit(probe, operations, key, over(target.limit))
    first = probe.send_at_once(requests[0]).cut
    if first.status == 401:
        raise TargetError(
            f"keys.burst[{key.partition('.')[2]}] does not authenticate (401). Correct it in the target profile."
        )
    if first.status == 429:
        return min(first.wait_s or target.window_s, target.window_s) + GRACE_S
    sent = [first]
    if at_once:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent.extend(pool.map(lambda request: probe.send_at_once(request).cut, requests[1:]))
    else:
        # One after the other, unless the target is slow. What is over the limit comes after what is not.
        before_crowd = (target.limit + len(requests)) // 2
        others = [probe.valid(operations[0], key=f"full.{n}") for n in range(len(target.full) if crowd else 0)]
        probe.each(lambda request: sent.append(probe.send_at_once(request).cut), requests[1 : target.limit])
        probe.each(lambda request: sent.append(probe.send_at_once(request).cut), requests[target.limit : before_crowd])
        probe.each(probe.send_at_once, others)
        probe.each(lambda request: sent.append(probe.send_at_once(request).cut), requests[before_crowd:])
    rejections = [each for each in sent if each.status == 429]
    served = len([each for each in sent if each.responded and each.status != 429 and each.status < 500])
    # A request that broke its connection, or led to a server error, may have counted or not.
    lost = len([each for each in sent if not each.responded or each.status >= 500]) + client.retried - retried
    last = max(sent, key=lambda each: each.started)
    return Burst(
        key=key,
        pattern=pattern,
        served=served,
        asked=len(sent),
        lost=lost,
        first=first,
        rejection=max(rejections, key=lambda each: each.started) if rejections else None,
        ended=client.clock.monotonic(),
        crossed=first.at // target.window_s != last.at // target.window_s,
        at_once=at_once,
    )


def keep_off_the_boundary(probe: Probe) -> None:
    """Wait for the next full window of the server's clock if a burst would run into it."""
    window, clock = probe.target.window_s, probe.session.client.clock
    seen = [each for each in probe.session.client.exchanges[-50:] if each.responded]
    if not seen:
        return
    typical = sorted(each.elapsed for each in seen)[len(seen) // 2]
    length = 0.3 + 1.5 * typical * (probe.target.limit / probe.session.workers + over(probe.target.limit))
    off = seen[-1].at - (seen[-1].started + seen[-1].elapsed)
    # Date counts whole seconds: a difference below two seconds does not count.
    now = clock.time() + (off if abs(off) >= 2 else 0.0)
    left = window - now % window
    if left < length < window:
        clock.sleep(left + min(0.2, window / 10))


def reset_of(rejection: Exchange, window: float) -> tuple[float, float] | None:
    """Return the end of the window that a 429 names, in the server's epoch seconds, and its tolerance in seconds.

    Returns None if the 429 names no end.
    """
    reset = rejection.header("X-RateLimit-Reset") or ""
    if reset.isdecimal() and abs(int(reset) - rejection.at) <= 3 * window + 5:
        return float(reset), 0.0
    if rejection.wait_s is not None and rejection.wait_s <= 3 * window + 5:
        return math.floor(rejection.at) + rejection.wait_s, 1.0
    return None
