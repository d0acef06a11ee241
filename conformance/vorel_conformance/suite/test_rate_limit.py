"""The limiter. `limiter` has the bursts; these two say when they begin and that they come to an end."""

from __future__ import annotations

from vorel_conformance.limiter import EXTRA, Limiter
from vorel_conformance.session import Probe
from vorel_conformance.suite import EARLY, LATE, Plan, covers

FROM_BURSTS = (
    "limit.not-before",
    "limit.enforced",
    "limit.every-operation",
    "limit.per-key",
    "limit.window",
    "limit.recovers",
)
FROM_REFUSALS = (
    "limit.retry-after",
    "limit.headers-present",
    "limit.headers-integer",
    "limit.limit-value",
    "limit.remaining-zero",
    "limit.reset",
)


def _first_bursts(plan: Plan) -> int:
    bursts = min(3 if plan.own else 1, max(1, plan.burst - 1)) if plan.burst else 0
    return bursts * (plan.limit + EXTRA) + (2 if plan.burst else 0)


def _later_bursts(plan: Plan) -> int:
    if not plan.burst:
        return 0
    return (1 + (plan.burst > 1)) * (plan.limit + EXTRA) + 2


@covers(*FROM_BURSTS, *FROM_REFUSALS, requests=_first_bursts, when=EARLY)
def test_burst(probe: Probe) -> None:
    if not probe.has("burst", *FROM_BURSTS, *FROM_REFUSALS):
        return
    limiter = Limiter(probe)
    probe.session.shared["limiter"] = limiter
    limiter.start()


@covers(*FROM_BURSTS, *FROM_REFUSALS, requests=_later_bursts, when=LATE)
def test_recovery(probe: Probe) -> None:
    limiter = probe.session.shared.get("limiter")
    if limiter is None:
        return
    limiter.finish()
    if not limiter.refused:
        for clause in FROM_REFUSALS:
            probe.session.gap_if_unseen(clause, "no request was ever refused with 429")
    for clause in ("limit.window", "limit.recovers", "limit.per-key"):
        probe.session.gap_if_unseen(
            clause, "no 429 said when its window ends" if limiter.refused else "no 429 was seen"
        )
