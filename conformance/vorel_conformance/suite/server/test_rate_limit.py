"""The rate limit. These two tests start and finish the bursts of `rate_limit_bursts`."""

from __future__ import annotations

from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import Size, When, covers
from vorel_conformance.suite.rate_limit_bursts import BURSTS, CHECKS_AT, PHASES_S, Bursts, later, over

FROM_BURSTS = (
    "limit.not-before",
    "limit.enforced",
    "limit.every-operation",
    "limit.per-key",
    "limit.window",
    "limit.recovers",
)
FROM_REJECTIONS = (
    "limit.retry-after",
    "limit.headers-present",
    "limit.headers-integer",
    "limit.limit-value",
    "limit.remaining-zero",
    "limit.reset",
)


def _first_bursts(size: Size) -> int:
    bursts = min(3 if size.own else 1, max(1, size.burst - 1)) if size.burst else 0
    return bursts * (size.limit + over(size.limit)) + (2 + size.full if size.burst else 0)


def _later_bursts(size: Size) -> int:
    if not size.burst:
        return 0
    looks = 1 + len(PHASES_S) + len(CHECKS_AT) * later(size.limit)
    return (1 + (size.burst > 1)) * (size.limit + over(size.limit)) + looks


@covers(*FROM_BURSTS, *FROM_REJECTIONS, requests=_first_bursts, when=When.EARLY, pair=BURSTS, repeatable=False)
def test_burst(probe: Probe) -> None:
    if not probe.has("burst", *FROM_BURSTS, *FROM_REJECTIONS):
        return
    if reason := probe.session.no_bursts or probe.session.client.pacer.too_slow_for(
        probe.target.limit + over(probe.target.limit)
    ):
        for clause in (*FROM_BURSTS, *FROM_REJECTIONS):
            probe.session.gap(clause, reason)
        return
    bursts = Bursts(probe)
    probe.session.bursts = bursts
    bursts.start()


@covers(*FROM_BURSTS, *FROM_REJECTIONS, requests=_later_bursts, when=When.LATE, pair=BURSTS, repeatable=False)
def test_recovery(probe: Probe) -> None:
    bursts = probe.session.bursts
    if bursts is None:
        return
    bursts.finish()
    if not bursts.saw_429:
        for clause in FROM_REJECTIONS:
            probe.session.gap_if_unseen(clause, "no request was rejected with 429")
    for clause in ("limit.window", "limit.recovers", "limit.per-key"):
        probe.session.gap_if_unseen(
            clause, "no 429 named the end of its window" if bursts.saw_429 else "no request was rejected with 429"
        )
