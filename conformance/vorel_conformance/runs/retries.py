"""Retries of violations, to find the flaky ones: a violation that is not seen again every time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from vorel_conformance.session.probe import NotServedError, Probe
from vorel_conformance.session.results import ClauseResult
from vorel_conformance.session.session import Session, Violation
from vorel_conformance.suite import Test, together

VIOLATIONS_RETRIED = 2  # of one clause


def retry_violations(session: Session, tests: Iterable[Test], times: int) -> None:
    """Retry the first violations of every clause, and mark the flaky ones.

    A violation that one exchange shows is retried `times` times by its request. Any other is retried once by its test.
    """
    if times < 1:
        return
    by_name = {each.name: each for each in tests}
    reruns: dict[str, dict[str, ClauseResult[Violation]]] = {}
    for result in list(session.results.values()):
        for index, violation in enumerate(result.violations[:VIOLATIONS_RETRIED]):
            exchange = violation.exchange
            if exchange is not None and violation.alone:
                failed = count = 1
                for _ in range(times):
                    again = session.client.send(exchange.request)
                    checks = session.judge(again, violation.test, violation.expectation).checks
                    asked = [check for check in checks if check.clause == result.clause.id]
                    # A response without a check of this clause is no evidence: a 429 need not come again.
                    count += bool(asked)
                    failed += any(not check.ok for check in asked)
            else:
                test = by_name.get(violation.test)
                if test is None or not test.repeatable:
                    continue
                if test.name not in reruns:
                    reruns[test.name] = rerun(session, by_name.values(), test)
                failed = 1 + min(1, reruns[test.name][result.clause.id].broken)
                count = 2
            if failed < count:
                result.violations[index] = replace(violation, flaky=(failed, count))


def rerun(session: Session, tests: Iterable[Test], test: Test) -> dict[str, ClauseResult[Violation]]:
    """Run a test again, with its pair if it has one, in a session of its own. Returns the evidence for each clause."""
    separate = Session(
        session.target,
        session.client,
        selected={id_: result.clause for id_, result in session.results.items()},
        workers=session.workers,
        fuzz_count=session.fuzz_count,
    )
    separate.clauses_of_tests = session.clauses_of_tests
    separate.not_served = session.not_served
    for each in together(test, tests):
        with contextlib.suppress(NotServedError):
            each.function(Probe(separate, each.name))
    return separate.results
