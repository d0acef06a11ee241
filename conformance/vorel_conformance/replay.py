"""The breaches of a report, sent again, alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vorel_conformance import clauses, report, run, suite
from vorel_conformance.contract import validator_of
from vorel_conformance.exchange import Client, Request
from vorel_conformance.outcome import request_from
from vorel_conformance.session import Expectation, Session
from vorel_conformance.target import Target, TargetError

TRIES = 3


class ReportError(Exception):
    """The report cannot be replayed: says why."""


@dataclass(frozen=True)
class Result:
    """What came of one breach: it showed in `failed` of `of` tries."""

    clause: str
    message: str
    failed: int
    of: int


def load(path: Path) -> dict[str, Any]:
    """Read a JSON report. ReportError when it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: not JSON: {error}") from error
    problem = next(validator_of(report.schema()).iter_errors(found), None)
    if problem:
        place = "/".join(map(str, problem.instance_path)) or "the whole of it"
        raise ReportError(f"{path}: not a report of vorel-conformance: {place}: {problem.message[:200]}")
    result: dict[str, Any] = found
    return result


def replay(found: dict[str, Any], target: Target, *, rate: float | None = None, timeout: float = 10.0) -> list[Result]:
    """Send each breach of a report again. TargetError when the target does not answer at all."""
    options = run.Options(seed=found["seed"], rate=rate, timeout=timeout)
    client = Client(
        target,
        seed=found["seed"],
        max_requests=options.max_requests,
        rate=run.rate_of(target, options),
        connect_timeout=options.connect_timeout,
        timeout=timeout,
    )
    results = []
    tests = {each.name: each for each in suite.collect()}
    whole: dict[str, dict[str, int]] = {}
    try:
        for entry in found["clauses"]:
            for violation in entry["violations"]:
                if entry["id"] not in clauses.load():
                    raise ReportError(f"{entry['id']} is no clause of this release")
                session = Session(target, client)
                results.append(_again(session, tests, whole, entry["id"], violation))
    finally:
        client.close()
    return results


def _again(
    session: Session,
    tests: dict[str, suite.Test],
    whole: dict[str, dict[str, int]],
    clause: str,
    violation: dict[str, Any],
) -> Result:
    message, name = violation["message"], violation.get("test", "")
    failed = judged = 0
    if violation["request"]:
        request = _request(violation["request"])
        case = violation.get("case")
        expectation = (
            Expectation(case["clause"], case["label"], frozenset(case["statuses"]), case["field"]) if case else None
        )
        for _ in range(TRIES):
            try:
                exchange = session.client.send(request)
            except KeyError as error:
                raise TargetError(
                    f"the report needs the key {error.args[0]}, and the target profile has none"
                ) from error
            checks = [c for c in session.judge(exchange, name, expectation) if c.clause == clause]
            judged += bool(checks)
            failed += any(not each.ok for each in checks)
    if judged or name not in tests:
        return Result(clause, message, failed, TRIES)
    # The breach shows in the comparison of several exchanges: the test that makes them runs again.
    if name not in whole:
        whole[name] = run.rerun(session, tests, name)
    return Result(clause, message, min(1, whole[name].get(clause, 0)), 1)


def _request(entry: dict[str, Any]) -> Request:
    try:
        return request_from(entry)
    except (KeyError, ValueError, TypeError) as error:
        raise ReportError(f"a request of the report is damaged: {error}") from error
