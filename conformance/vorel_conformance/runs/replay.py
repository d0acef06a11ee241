"""Replay: send the violations of a report again, each alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vorel_conformance import report, suite
from vorel_conformance.http.client import GoneError
from vorel_conformance.http.exchange import Request
from vorel_conformance.http.target import Target, TargetError
from vorel_conformance.report.entries import request_from
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.retries import rerun
from vorel_conformance.runs.server import client_of
from vorel_conformance.session.judging import Expectation
from vorel_conformance.session.session import Session
from vorel_conformance.spec import clauses
from vorel_conformance.spec.contract import validator_of

TRIES = 3


class ReportError(Exception):
    """The report cannot be replayed. The message says why."""


@dataclass(frozen=True)
class Result:
    """The result for one violation: it was seen in `failed` of `of` tries."""

    clause: str
    message: str
    failed: int
    of: int


def load(path: Path) -> dict[str, Any]:
    """Read a JSON report. Raises ReportError if the file is not one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: not JSON: {error}") from error
    problem = next(validator_of(report.schema()).iter_errors(found), None)
    if problem:
        place = "/".join(map(str, problem.instance_path)) or "the document"
        raise ReportError(f"{path}: not a report of vorel-conformance: {place}: {problem.message[:200]}")
    result: dict[str, Any] = found
    return result


def replay(found: dict[str, Any], target: Target, *, rate: float | None = None, timeout: float = 10.0) -> list[Result]:
    """Send every violation of a report again.

    Raises TargetError if the target does not respond or its profile lacks a key, ReportError if the report is damaged.
    """
    options = Options(rate=rate, timeout=timeout, time_limit=math.inf)
    client = client_of(target, options, seed=found["seed"])
    results = []
    tests = {each.name: each for each in suite.collect()}
    whole: dict[str, dict[str, int]] = {}
    try:
        for entry in found["clauses"]:
            for violation in entry["violations"]:
                if entry["id"] not in clauses.load():
                    raise ReportError(f"{entry['id']}: not a clause of this release")
                session = Session(target, client)
                results.append(_again(session, tests, whole, entry["id"], violation))
    except GoneError as error:
        raise TargetError(str(error)) from error
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
                    f"the report needs the key {error.args[0]}, which the target profile lacks"
                ) from error
            checks = [c for c in session.judge(exchange, name, expectation).checks if c.clause == clause]
            judged += bool(checks)
            failed += any(not each.ok for each in checks)
    if judged or name not in tests:
        return Result(clause, message, failed, TRIES)
    # Only a comparison of several exchanges shows the violation: run its test again.
    if name not in whole:
        whole[name] = rerun(session, tests.values(), tests[name])
    return Result(clause, message, min(1, whole[name].get(clause, 0)), 1)


def _request(entry: dict[str, Any]) -> Request:
    try:
        return request_from(entry)
    except (KeyError, ValueError, TypeError) as error:
        raise ReportError(f"the report contains a damaged request: {error}") from error
