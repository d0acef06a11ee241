"""Oracles for a webhook receiver: its answers, and what it has acted upon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vorel_conformance.checks.response import Check
from vorel_conformance.suite.client.deliveries import Delivery, DeliverySituation

# Seconds that a receiver has (docs.vorel.ai).
LONGEST_S = 10.0


@dataclass(frozen=True)
class Answered:
    """A delivery, and what came back. `status` is 0 without an answer."""

    delivery: Delivery
    started: float  # seconds since the situation began
    elapsed: float
    status: int
    failure: str = ""

    @property
    def accepted(self) -> bool:
        """True for 2xx in time."""
        return 200 <= self.status < 300 and self.elapsed <= LONGEST_S

    @property
    def told(self) -> str:
        """The answer in words."""
        if not self.status:
            return f"no answer ({self.failure})"
        late = f" after {self.elapsed:.1f} s" if self.elapsed > LONGEST_S else ""
        return f"HTTP {self.status}{late}"


def judge(
    situation: DeliverySituation, answers: Sequence[Answered], acted_upon: Sequence[str] | None
) -> Iterator[Check]:
    """Yield the checks of one situation. `acted_upon`: the ids that the receiver tells; None if it tells none."""
    for answer in answers:
        yield from _answer(answer)
    if acted_upon is not None:
        yield from _effects(situation, answers, Counter(acted_upon))


def _answer(answer: Answered) -> Iterator[Check]:
    delivery = answer.delivery
    for clause in delivery.clauses:
        if clause == "webhook.effect":
            continue
        ok = answer.accepted if delivery.lawful else 400 <= answer.status < 500
        expected = f"2xx within {LONGEST_S:g} s" if delivery.lawful else "4xx"
        yield Check(clause, ok, f"{delivery.what}: {answer.told}", expected, answer.told)
    if delivery.lawful and not delivery.broken_off:
        yield Check(
            "webhook.accepts",
            answer.accepted,
            f"{delivery.what}: {answer.told}",
            f"2xx within {LONGEST_S:g} s",
            answer.told,
        )


def _effects(situation: DeliverySituation, answers: Sequence[Answered], counts: Counter[str]) -> Iterator[Check]:
    seen: set[str] = set()
    for answer in answers:
        delivery, times = answer.delivery, counts[answer.delivery.event]
        if not delivery.lawful:
            yield Check(
                "webhook.no-effect",
                times == 0,
                f"{delivery.what}: was acted upon, although its signature is wrong",
                "no effect",
                f"{times} effects",
            )
            continue
        if not answer.accepted or not delivery.acted_upon or delivery.event in seen:
            continue
        seen.add(delivery.event)
        told = f"acted upon {times} times"
        yield Check("webhook.effect", times > 0, f"{delivery.what}: was taken, and not acted upon", "an effect", told)
        if situation.name == "webhook-twice":
            yield Check("webhook.once", times == 1, f"an event that came twice was {told}", "once", told)
        elif situation.name == "webhook-twice-at-once":
            message = f"an event that came four times at the same moment was {told}"
            yield Check("webhook.once-at-once", times == 1, message, "once", told)
        elif "webhook.retried" in delivery.clauses:
            message = f"an event whose first delivery broke off was {told}"
            yield Check("webhook.retried", times == 1, message, "once", told)
