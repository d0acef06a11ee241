"""Replay: send the violations of a report again, each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vorel_conformance import suite
from vorel_conformance.http import urls
from vorel_conformance.http.client import GoneError, SpentError
from vorel_conformance.http.target import Target, TargetError, check_url, from_profile, read_profile
from vorel_conformance.http.transport import USUAL, Trust
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.report_file import Item, ReportError, ReportFile
from vorel_conformance.runs.retries import rerun
from vorel_conformance.runs.server import client_of
from vorel_conformance.session.results import ClauseResult
from vorel_conformance.session.session import Session, Violation

TRIES = 3
TIME_LIMIT = 3600.0  # seconds
MOST_REQUESTS = 4000  # for the tests that are run again, beside the requests of the report


@dataclass(frozen=True)
class Result:
    """The result for one violation: seen in `failed` of `of` tries, or `unasked` with the reason."""

    clause: str
    message: str
    failed: int = 0
    of: int = 0
    unasked: str = ""


def profile_for(found: ReportFile, path: Path) -> Target:
    """Read the profile for a replay. The keys of a profile go to the server of the profile, never to another one.

    Raises TargetError if the profile is invalid, ReportError if the target of the report is another server.
    """
    profile = read_profile(path)
    url = profile.get("base_url")
    if not isinstance(url, str):
        raise ReportError(
            f"{path}: base_url: missing. Add the base URL of the server that the keys are for: "
            "a replay sends them nowhere else, whatever the report says."
        )
    if not urls.same_base(check_url(url), found.target):
        raise ReportError(
            f"the target of the report is {found.target}, but the keys of {path} are for {check_url(url)}. "
            f"Nothing was sent. If you trust {found.target} with these keys, set base_url in {path} to it."
        )
    return from_profile(profile, found.target, str(path))


def replay(
    found: ReportFile,
    target: Target,
    *,
    rate: float | None = None,
    timeout: float = 10.0,
    trust: Trust = USUAL,
) -> list[Result]:
    """Send every violation of a report again. If the target does not respond, the rest could not be asked."""
    options = Options(
        rate=rate,
        timeout=timeout,
        trust=trust,
        time_limit=TIME_LIMIT,
        max_requests=MOST_REQUESTS + TRIES * len(found.items),
    )
    client = client_of(target, options, seed=found.seed)
    tests = {each.name: each for each in suite.collect()}
    reruns: dict[str, dict[str, ClauseResult[Violation]]] = {}
    results: list[Result] = []
    problem = ""
    try:
        for item in found.items:
            if not problem:
                try:
                    results.append(_again(Session(target, client), tests, reruns, item))
                    continue
                except (GoneError, SpentError, _UnreachableError) as error:
                    problem = str(error)
            results.append(Result(item.clause, item.message, unasked=problem))
    finally:
        client.close()
    return results


class _UnreachableError(Exception):
    """No connection to the target could be made."""


def _again(
    session: Session, tests: Mapping[str, suite.Test], reruns: dict[str, dict[str, ClauseResult[Violation]]], item: Item
) -> Result:
    failed = judged = 0
    unasked = "the report has neither its request nor a test of this release"
    if item.request:
        for _ in range(TRIES):
            try:
                exchange = session.client.send(item.request)
            except KeyError as error:
                reason = f"the target profile lacks the key {error.args[0]}"
                return Result(item.clause, item.message, unasked=reason)
            if not exchange.connected:
                raise _UnreachableError(f"{session.target.base_url} does not respond: {exchange.failure}")
            checks = [c for c in session.judge(exchange, item.test, item.expectation).checks if c.clause == item.clause]
            judged += bool(checks)
            failed += any(not each.ok for each in checks)
            unasked = f"HTTP {exchange.status}" if exchange.responded else exchange.failure
    if judged:
        return Result(item.clause, item.message, failed, judged)
    # Only a comparison of several exchanges shows the violation: run its test again.
    if item.test in tests:
        try:
            if item.test not in reruns:
                reruns[item.test] = rerun(session, tests.values(), tests[item.test])
        except TargetError as error:
            return Result(item.clause, item.message, unasked=str(error))
        again = reruns[item.test].get(item.clause)
        if again and again.checks:
            return Result(item.clause, item.message, min(1, again.broken), 1)
        unasked = again.gaps[0] if again and again.gaps else "its test did not ask for it"
    return Result(item.clause, item.message, unasked=unasked)
