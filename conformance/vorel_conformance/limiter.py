"""The limiter, tested on keys of their own: bursts now, and later ones when the time for them has come.

A burst sends exactly what a window allows, and a few requests more. It cannot know whether somebody else used its key
a moment ago; so what looks like an early refusal is tried again on the same key after a window of rest. And a window
that is aligned to the clock may end within a burst; so bursts keep away from full minutes, and a late refusal across
one is repeated.

Between the bursts the rest of the suite runs: the jobs here say when they are due.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vorel_conformance.exchange import Exchange
from vorel_conformance.target import TargetError

if TYPE_CHECKING:
    from vorel_conformance.session import Probe

EXTRA = 4  # requests beyond the limit, each of which must be refused
GRACE_S = 1.0  # after Retry-After, which counts whole seconds
LOOK_S = 6.0  # a shorter wait is too short to look at twice
LOOK_AT = 0.6  # of a wait
REPEATS = 2  # of a burst that a window's end fell into


@dataclass(frozen=True)
class Burst:
    """What came of a burst. `lost` requests broke their connection: nobody knows whether they counted."""

    key: str
    pattern: str
    served: int
    asked: int
    lost: int
    first: Exchange
    refusal: Exchange | None
    ended: float  # time.monotonic()
    crossed: bool  # a full window of the server's clock began within the burst


@dataclass
class Job:
    """Something to do at a moment (time.monotonic())."""

    at: float
    run: Callable[[], None]


@dataclass
class Limiter:
    """The bursts of one run."""

    probe: Probe
    jobs: list[Job] = field(default_factory=list)
    settled: dict[str, Burst] = field(default_factory=dict)  # by pattern, where nothing is left to repeat
    refused: list[Burst] = field(default_factory=list)
    asked_another: bool = False
    shared: bool = False  # all keys share one allowance
    pending: set[str] = field(default_factory=set)  # keys with a burst to come

    def start(self) -> None:
        """Send the first bursts, one for each pattern, and lay out what follows."""
        keys = [f"burst.{n}" for n in range(len(self.probe.target.burst))]
        patterns = ["handoff", "crm", "both"] if self.probe.target.own else ["crm"]
        if len(keys) == 1:
            patterns = patterns[-1:]
        spare = keys.pop() if len(keys) > 1 else None
        for pattern, key in zip(_first(patterns, len(keys)), keys, strict=False):
            self._burst(key, pattern)
        window = self.probe.target.window_s
        if spare:
            # Half a window later: a server whose window is half as long resets at half minutes too, and shows it once.
            self._later(window / 2, lambda: self._burst(spare, patterns[-1]), spare)
        self._recovery()
        rested = next((each for each in reversed(self.refused) if each.key not in self.pending), None)
        if rested and window > 1:
            self._again(rested)

    def due(self) -> bool:
        """Whether a job's time has come."""
        return any(job.at <= time.monotonic() for job in self.jobs)

    def tick(self) -> None:
        """Do the jobs that are due."""
        while self.due():
            self._next()

    def finish(self) -> None:
        """Wait for the jobs that are left, do them, and compare the patterns."""
        while self.jobs:
            job = min(self.jobs, key=lambda each: each.at)
            time.sleep(max(0.0, job.at - time.monotonic()))
            self._next()
        self._compare()

    def _next(self) -> None:
        job = min(self.jobs, key=lambda each: each.at)
        self.jobs.remove(job)
        job.run()

    def _later(self, seconds: float, run: Callable[[], None], key: str) -> None:
        def and_then() -> None:
            self.pending.discard(key)
            run()

        self.pending.add(key)
        self.jobs.append(Job(time.monotonic() + seconds, and_then))

    def _again(self, burst: Burst, attempt: int = 1) -> None:
        """The same burst, once its key has rested for a whole window: nothing of it can be left."""
        rest = burst.ended + self.probe.target.window_s + GRACE_S - time.monotonic()
        self._later(rest, lambda: self._burst(burst.key, burst.pattern, rested=True, attempt=attempt), burst.key)

    def _burst(self, key: str, pattern: str, *, rested: bool = False, attempt: int = 0) -> None:
        if self.shared:
            return
        burst = send_burst(self.probe.part(f"{key} {attempt}"), key, pattern)
        if rested:
            # A whole window of rest is more than any Retry-After could ask for.
            self.probe.check("limit.recovers", not isinstance(burst, float), "still refused after a window of rest")
        if isinstance(burst, float):
            self._another_key()
            if rested or attempt >= REPEATS:
                self.probe.session.gap("limit.not-before", f"keys.{key} is refused from the first request on")
                return
            self._later(burst, lambda: self._burst(key, pattern, rested=rested, attempt=attempt + 1), key)
            return
        if burst.refusal:
            self.refused.append(burst)
            self._window(burst)
            self._another_key()
        target = self.probe.target
        early, late = burst.served < target.limit - burst.lost, burst.served > target.limit
        if early and not rested and attempt < REPEATS:
            self._again(burst, attempt + 1)
            return
        if late and burst.crossed:
            if attempt < REPEATS:
                self._again(burst, attempt + 1)
            else:
                self.probe.session.gap("limit.enforced", "the target is too slow: each burst ran into the next window")
            return
        known = self.settled.get(pattern)
        # The worse of two counts: a limit that is right once is not right.
        if known is None or abs(burst.served - target.limit) > abs(known.served - target.limit):
            self.settled[pattern] = burst

    def _another_key(self) -> None:
        """`limit.per-key`, once: a key is refused at this moment, so another one must be served."""
        if self.asked_another:
            return
        self.asked_another = True
        probe = self.probe.part("another key")
        for _ in range(2):
            exchange = probe.send_at_once(probe.valid(probe.crm, key=probe.full()))
            if exchange.answered and exchange.status < 500:
                ok = exchange.status != 429
                if not ok:
                    # One allowance for all: to go on as planned would be to knock on a closed door.
                    self.probe.session.client.pacer.one_allowance()
                    self.shared = True
                message = "another key of the tenant is refused as well"
                self.probe.check("limit.per-key", ok, message, exchange, expected="an answer other than 429", got="429")

    def _window(self, burst: Burst) -> None:
        """`limit.window`: the reset is at a full window of the server's clock, or a window after the first request."""
        refusal, window = burst.refusal, self.probe.target.window_s
        reset = reset_of(refusal, window) if refusal else None
        if refusal is None or reset is None:
            return
        moment, grace = reset
        off = moment % window
        aligned = min(off, window - off) <= grace
        # By the server's Date, which may be old, or by our own clock, which may be off; both in whole seconds.
        first = burst.first
        close = min(3.0, window / 4) if window >= 8 else 3.0
        since_first = any(abs(moment - begin - window) <= close for begin in (first.at, first.started))
        self.probe.check(
            "limit.window",
            aligned or since_first,
            f"the window ends {moment - burst.first.at:.0f} s after its first request, and not at a full minute",
            refusal,
            expected=f"a multiple of {window:g}, or {burst.first.at + window:.0f}",
            got=f"{moment:.0f}",
        )

    def _recovery(self) -> None:
        """After Retry-After: one request on a key that nothing else is planned for, or on the last of them."""
        burst = next((each for each in self.refused if each.key not in self.pending), None)
        if burst is None or burst.refusal is None:
            return
        wait = min(burst.refusal.wait_s or self.probe.target.window_s, self.probe.target.window_s + 2)
        at = burst.ended + wait + GRACE_S

        def look() -> None:
            if self.shared:
                return
            probe = self.probe.part("recovery")
            exchange = probe.send_at_once(probe.valid(probe.crm, key=burst.key))
            if exchange.answered and exchange.status < 500:
                ok = exchange.status != 429
                message = f"still refused, {wait:g} s after a 429 that said so"
                self.probe.check(
                    "limit.recovers", ok, message, exchange, expected="an answer other than 429", got="429"
                )

        self._later(at - time.monotonic(), look, burst.key)
        # While the window runs: what the next 429 says must be about the same moment.
        if wait > LOOK_S:
            self.jobs.append(Job(burst.ended + wait * LOOK_AT, lambda: self._same_end(burst)))

    def _same_end(self, burst: Burst) -> None:
        """Within the time that a 429 told: the key is refused still, and the next 429 names the same end."""
        probe, target = self.probe.part("later"), self.probe.target
        window = target.window_s
        exchange = probe.send_at_once(probe.valid(probe.crm, key=burst.key))
        if burst.refusal and burst.refusal.wait_s and burst.served <= target.limit and not self.shared:
            # Where more than the limit was served, limit.enforced has said so; limit.per-key, where all keys share one.
            told = burst.refusal.wait_s
            waited = exchange.started + exchange.elapsed - burst.refusal.started
            # A run that is busy looks late; and whole seconds may be up to one more than are left.
            if exchange.answered and exchange.status < 500 and waited < told - 1.5:
                message = f"served {waited:.0f} s after a 429 that said {told:g} s"
                ok = exchange.status == 429
                probe.check("limit.retry-after", ok, message, exchange, expected="429", got=str(exchange.status))
        before = reset_of(burst.refusal, window) if burst.refusal else None
        after = reset_of(exchange, window)
        if self.shared or exchange.status != 429 or before is None or after is None:
            return
        moved = after[0] - before[0]
        message = f"the end of the window has moved by {moved:g} s between two 429s of it"
        ok = abs(moved) <= 2 + before[1] + after[1]
        probe.check("limit.reset", ok, message, exchange, expected=f"{before[0]:.0f}", got=f"{after[0]:.0f}")

    def _compare(self) -> None:
        """Book what the bursts came to."""
        probe, limit = self.probe, self.probe.target.limit
        if self.shared:
            for clause in ("limit.not-before", "limit.enforced", "limit.every-operation", "limit.recovers"):
                probe.session.gap(clause, "all keys share one allowance, see limit.per-key")
            return
        reference = self.settled.get("handoff") or next(iter(self.settled.values()), None)
        if reference is None:
            probe.session.gap_if_unseen("limit.not-before", "no burst came to an end")
            probe.session.gap_if_unseen("limit.enforced", "no burst came to an end")
            return
        exchange = reference.refusal or reference.first
        early = reference.served < limit - reference.lost
        probe.check(
            "limit.not-before",
            not early,
            f"request {reference.served + 1} of a window was refused",
            exchange,
            expected=f"{limit} requests served",
            got=f"{reference.served} served",
        )
        late = reference.served > limit
        probe.check(
            "limit.enforced",
            not late and (early or reference.refusal is not None),
            f"{reference.served} of {reference.asked} requests of a window were served",
            exchange,
            expected=f"{limit} served, the others refused with 429",
            got=f"{reference.served} served",
        )
        others = [each for each in self.settled.values() if each is not reference]
        if reference.refusal is None:
            probe.session.gap("limit.every-operation", "the limit is not enforced, see limit.enforced")
        elif not others and reference.pattern == "both":
            probe.check("limit.every-operation", ok=True)
        elif not others:
            probe.session.gap("limit.every-operation", "add a second key to [keys] burst of the target profile")
        for other in others if reference.refusal else ():
            slack = other.lost + reference.lost
            probe.check(
                "limit.every-operation",
                abs(other.served - reference.served) <= slack,
                f"{other.served} requests served ({other.pattern}), {reference.served} of {reference.pattern} alone",
                other.refusal or other.first,
                expected=f"{reference.served} served",
                got=f"{other.served} served",
            )


def _first(patterns: list[str], keys: int) -> list[str]:
    """The patterns for so many keys: one operation alone and both in turns, before the other operation alone."""
    return patterns if keys >= len(patterns) else [patterns[0], patterns[-1]][:keys]


def send_burst(probe: Probe, key: str, pattern: str) -> Burst | float:
    """Send what a window allows on `key`, and EXTRA more.

    A number of seconds instead, when the key is used up already.
    """
    target, client = probe.target, probe.session.client
    keep_off_the_boundary(probe)
    retried = client.retried
    operations = {"handoff": [probe.handoff], "crm": [probe.crm], "both": [probe.handoff, probe.crm]}[pattern]
    requests = [probe.valid(operations[n % len(operations)], key=key) for n in range(target.limit)]
    # The last ones come on connections of their own: a limit that counts by connection forgets the key with it.
    requests.extend(
        probe.valid(operations[n % len(operations)], key=key, headers=[("Connection", "close")])
        for n in range(target.limit, target.limit + EXTRA)
    )
    first = probe.send_at_once(requests[0])
    if first.status == 401:
        raise TargetError(
            f"keys.burst[{key.partition('.')[2]}] does not authenticate (401). Correct it in the target profile."
        )
    if first.status == 429:
        return min(first.wait_s or target.window_s, target.window_s) + GRACE_S
    sent = [first]
    # The order within the allowance does not matter; beyond it, it does.
    probe.each(lambda request: sent.append(probe.send_at_once(request)), requests[1 : target.limit])
    sent.extend(probe.send_at_once(request) for request in requests[target.limit :])
    refusals = [each for each in sent if each.status == 429]
    served = len([each for each in sent if each.answered and each.status != 429])
    lost = len([each for each in sent if not each.answered]) + client.retried - retried
    last = max(sent, key=lambda each: each.started)
    return Burst(
        key=key,
        pattern=pattern,
        served=served,
        asked=len(sent),
        lost=lost,
        first=first,
        refusal=max(refusals, key=lambda each: each.started) if refusals else None,
        ended=time.monotonic(),
        crossed=first.at // target.window_s != last.at // target.window_s,
    )


def keep_off_the_boundary(probe: Probe) -> None:
    """Wait for the next full window of the server's clock, when a burst would run into it."""
    window, seen = probe.target.window_s, [each for each in probe.session.client.exchanges[-50:] if each.answered]
    if not seen:
        return
    typical = sorted(each.elapsed for each in seen)[len(seen) // 2]
    length = 0.3 + 1.5 * typical * (probe.target.limit / probe.session.workers + EXTRA)
    off = seen[-1].at - (seen[-1].started + seen[-1].elapsed)
    # Date counts whole seconds: a clock that seems less than two seconds off is ours.
    now = time.time() + (off if abs(off) >= 2 else 0.0)
    left = window - now % window
    if left < length < window:
        time.sleep(left + min(0.2, window / 10))


def reset_of(refusal: Exchange, window: float) -> tuple[float, float] | None:
    """When a 429 says that the window ends, in epoch seconds of the server, and how exactly.

    None when it does not say.
    """
    reset = refusal.header("X-RateLimit-Reset") or ""
    if reset.isdecimal() and abs(int(reset) - refusal.at) <= 3 * window + 5:
        return float(reset), 0.0
    if refusal.wait_s is not None and refusal.wait_s <= 3 * window + 5:
        return math.floor(refusal.at) + refusal.wait_s, 1.0
    return None
