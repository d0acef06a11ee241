"""The oracles: plain functions from what was observed to checks. Each clause passes on evidence only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vorel_conformance.checks.response import Check
from vorel_conformance.suite.client.observation import Observation
from vorel_conformance.suite.client.oracles import answers, idempotency, limit, request, retry, secrets

Oracle = Callable[[Observation], Iterator[Check]]

ORACLES: tuple[Oracle, ...] = (
    *request.ORACLES,
    *idempotency.ORACLES,
    *limit.ORACLES,
    *retry.ORACLES,
    *answers.ORACLES,
    *secrets.ORACLES,
)


def judge(observation: Observation) -> list[Check]:
    """Return all checks of one situation."""
    return [check for oracle in ORACLES for check in oracle(observation)]
