"""A whole run: preflight, burst, suite, breaches tried again, recovery, report."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from vorel_conformance import __version__, clauses, contract, suite
from vorel_conformance.exchange import Client, GoneError, SpentError
from vorel_conformance.outcome import case_entry, violation_entry
from vorel_conformance.preflight import preflight
from vorel_conformance.report import verdict
from vorel_conformance.report.redact import redactor
from vorel_conformance.session import Record, Session, Violation
from vorel_conformance.suite import Plan, Test
from vorel_conformance.target import LINES, Target, TargetError, check_url, fetch

Event = Callable[[dict[str, Any]], None]

DEFAULT_RATE = 2400  # requests a minute over all keys, unless the pool of keys allows less
TRIES_AGAIN = 4  # how often a breach is tried again
BREACHES_TRIED = 2  # of one clause


@dataclass(frozen=True)
class Options:
    """How to run. Times in seconds."""

    seed: int | None = None  # None: drawn, and told in the report
    max_requests: int = 4000
    rate: float | None = None  # requests a minute over all keys; None: as the pool of keys allows, at most DEFAULT_RATE
    clauses: tuple[str, ...] = ()  # ids or groups; none: all
    fuzz: int = 150  # generated requests of each kind: valid and invalid, for each operation
    limit: int | None = None  # None: the profile's, which is the contract's
    window_s: float | None = None
    connect_timeout: float = 5.0
    timeout: float = 10.0  # of one answer, from byte to byte; three times as long for the whole of it
    workers: int | None = None  # None: one, or more where the target is slow
    time_limit: float = 480.0  # of the whole run
    again: int = TRIES_AGAIN


def plan_of(target_: Target, options: Options) -> Plan:
    """What the cost of the tests depends on."""
    return Plan(
        own=len(target_.own),
        foreign=len(target_.foreign),
        full=len(target_.full),
        burst=len(target_.burst),
        soft_failures=len(target_.soft_failures),
        singles=frozenset(target_.single),
        limit=target_.limit,
        fuzz=options.fuzz,
    )


def plan(target_: Target, options: Options) -> dict[str, Any]:
    """What a run sets out to do: clauses, requests, writes at most, minutes, and the lines that the profile lacks."""
    target_ = settle(target_.base_url, target_, options)
    selected = clauses.select(options.clauses)
    size = plan_of(target_, options)
    tests = [each for each in suite.collect() if set(each.clauses) & set(selected)]
    # The preflight knocks once with each key and at each lead.
    preflight_cost = 1 + size.full + size.own + len(size.singles & {"leads_only", "crm_only"}) + size.soft_failures
    bursts = sum(each.requests(size) for each in tests if each.when != suite.MIDDLE)
    rest = preflight_cost + sum(each.requests(size) for each in tests if each.when == suite.MIDDLE)
    requests = min(bursts + rest, options.max_requests)
    refused = sum(each.requests(size) for each in tests if not each.writes)
    seconds = 60.0 * rest / rate_of(target_, options)
    if bursts:
        seconds = max(seconds, target_.window_s) + 10
    return {
        "target": target_.base_url,
        "clauses": len(selected),
        "requests": requests,
        "writes": max(0, requests - refused),
        "rate": round(rate_of(target_, options)),
        "minutes": math.ceil(seconds / 30) / 2,
        "missing": [LINES[name] for name in target_.lacks],
    }


def settle(base_url: str, target_: Target | None, options: Options) -> Target:
    """The target with the options' limit and window.

    Asks the server for its profile when there is none. TargetError.
    """
    found = target_ if target_ is not None else fetch(base_url)
    found = replace(found, base_url=check_url(base_url))
    if options.limit is not None:
        found = replace(found, limit=options.limit)
    if options.window_s is not None:
        found = replace(found, window_s=options.window_s)
    return found


def rate_of(target_: Target, options: Options) -> float:
    """Requests a minute: what the pool of keys allows, with a margin, and no more than was asked for."""
    pool = len(target_.full) * target_.limit * 60.0 / target_.window_s * 0.95
    return min(pool, options.rate or DEFAULT_RATE)


def run(
    base_url: str,
    *,
    target: Target | None = None,
    options: Options = Options(),
    on_event: Event | None = None,
) -> dict[str, Any]:
    """Certify the server at `base_url` and return the JSON report.

    `target` is its profile; without one the server is asked for it at `/_mock/target`. `on_event` is called with
    `{"event": "phase", "name"}`, `{"event": "exchange", "number"}` and `{"event": "clause", "id", "status", "checks"}`.
    TargetError when the server cannot be tested; ValueError when `options.clauses` names an unknown clause.
    """
    tell = on_event or (lambda _: None)
    selected = clauses.select(options.clauses)
    found = settle(base_url, target, options)
    seed = options.seed if options.seed is not None else secrets.randbits(32)
    started = datetime.now(UTC)
    clock = time.monotonic()
    client = Client(
        found,
        seed=seed,
        max_requests=options.max_requests,
        rate=rate_of(found, options),
        connect_timeout=options.connect_timeout,
        timeout=options.timeout,
        on_exchange=lambda exchange: tell({"event": "exchange", "number": exchange.number}),
    )
    client.deadline = clock + options.time_limit
    session = Session(found, client, selected=selected, on_event=tell)
    session.shared["fuzz"] = options.fuzz
    tests = [each for each in suite.collect() if session.wants(*each.clauses)]
    try:
        tell({"event": "phase", "name": "preflight"})
        try:
            preflight(session, options.workers)
        except GoneError as error:
            raise TargetError(str(error)) from error
        except SpentError as error:
            _stop(session, tests, set(), error)
        else:
            _run_tests(session, tests, options, tell)
    finally:
        client.close()
    return report(session, started, time.monotonic() - clock)


def _run_tests(session: Session, tests: list[Test], options: Options, tell: Event) -> None:
    by_name = {each.name: each for each in tests}
    done: set[str] = set()

    def one(test: Test) -> None:
        done.add(test.name)
        _run_test(session, test)

    try:
        for name, when in (("burst", suite.EARLY), ("suite", suite.MIDDLE)):
            todo = [each for each in tests if each.when == when]
            if todo:
                tell({"event": "phase", "name": name})
            if session.workers == 1 or when == suite.EARLY:
                for each in todo:
                    one(each)
                    tick(session)
            else:
                with ThreadPoolExecutor(session.workers) as pool:
                    waiting = {pool.submit(one, each) for each in todo}
                    while waiting:
                        finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                        tick(session)
                        for future in finished:
                            future.result()
        tell({"event": "phase", "name": "again"})
        try_again(session, by_name, options)
        late_tests = [each for each in tests if each.when == suite.LATE and each.name not in done]
        if late_tests:
            tell({"event": "phase", "name": "recovery"})
        for each in late_tests:
            one(each)
    except (SpentError, GoneError) as error:
        _stop(session, tests, done, error)


def _stop(session: Session, tests: list[Test], done: set[str], error: Exception) -> None:
    """Note that the run ends here: what has not been asked is inconclusive."""
    for test in tests:
        if test.name not in done or test.when == suite.LATE:
            for id_ in test.clauses:
                session.gap(id_, str(error))
    session.shared["stopped"] = str(error)


def tick(session: Session) -> None:
    """Between two tests: what the limiter's test has to do at a certain time."""
    limiter = session.shared.get("limiter")
    if limiter is not None:
        limiter.tick()


def _run_test(session: Session, test: Test) -> None:
    session.shared["clauses of " + test.name] = test.clauses
    try:
        test.function(session.probe(test.name))
    except TargetError:
        raise
    except (SpentError, GoneError) as error:
        for id_ in test.clauses:
            session.gap(id_, str(error))
        raise
    except Exception as error:  # a fault of the kit must not end the run; it is told, and exits 70
        session.kit_error(test.name, None, error)


def try_again(session: Session, tests: dict[str, Test], options: Options) -> None:
    """Send the breaches again, a few times each: what comes and goes is flaky."""
    reruns: dict[str, dict[str, int]] = {}
    for record in list(session.records.values()):
        for place, violation in enumerate(record.violations[:BREACHES_TRIED]):
            exchange = violation.exchange
            if options.again < 1:
                continue
            if exchange is not None and _alone(session, violation):
                failed = count = 1
                for _ in range(options.again):
                    again = session.client.send(exchange.request)
                    checks = session.judge(again, violation.test, violation.expectation)
                    asked = [check for check in checks if check.clause == record.clause.id]
                    # An answer of another kind says nothing: a 429 does not come again just because one asks again.
                    count += bool(asked)
                    failed += any(not check.ok for check in asked)
            else:
                # A burst takes a window, and repeats itself where it is in doubt.
                if violation.test not in tests or violation.test in ("test_burst", "test_recovery"):
                    continue
                if violation.test not in reruns:
                    reruns[violation.test] = rerun(session, tests, violation.test)
                failed = 1 + min(1, reruns[violation.test].get(record.clause.id, 0))
                count = 2
            if failed < count:
                record.violations[place] = replace(violation, flaky=(failed, count))


def _alone(session: Session, violation: Violation) -> bool:
    """Whether the breach shows in one exchange, so that its request alone can be tried again."""
    if violation.exchange is None:
        return False
    checks = session.judge(violation.exchange, violation.test, violation.expectation)
    return any(check.clause == violation.check.clause for check in checks)


def rerun(session: Session, tests: dict[str, Test], name: str) -> dict[str, int]:
    """Run a test once more beside the books: how many breaches of each clause."""
    beside = Session(session.target, session.client, selected={id_: r.clause for id_, r in session.records.items()})
    beside.workers = session.workers
    beside.shared = {**session.shared}
    # The limiter's two tests are one.
    for each in ("test_burst", "test_recovery") if name in ("test_burst", "test_recovery") else (name,):
        tests[each].function(beside.probe(each))
    return {id_: record.broken for id_, record in beside.records.items()}


def report(session: Session, started: datetime, duration: float) -> dict[str, Any]:
    """The JSON report, without any secret in it."""
    document = contract.load()
    records = list(session.records.values())
    for record in records:
        if record.status == "inconclusive" and not record.gaps:
            record.gaps.append("nothing of the kind that it needs was seen")
    found: dict[str, Any] = {
        "tool": {"name": "vorel-conformance", "version": __version__},
        "contract": {"version": document.version, "sha256": document.sha256},
        "target": session.target.base_url,
        "seed": session.seed,
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": round(duration, 1),
        "requests": len(session.client.exchanges),
        "verdict": "",
        "clauses": [_clause_entry(session, each) for each in records],
        "writes": session.writes,
        "retried": session.client.retried,
        "cases": [case_entry(each) for each in session.client.exchanges],
    }
    if "stopped" in session.shared:
        found["stopped"] = session.shared["stopped"]
    found["verdict"] = verdict(found)
    return redactor(session.target.secrets)(found)


def _clause_entry(session: Session, record: Record) -> dict[str, Any]:
    clause = record.clause
    entry: dict[str, Any] = {
        "id": clause.id,
        "title": clause.title,
        "level": clause.level,
        "pointer": clause.pointer,
        "quote": clause.quote,
        "status": record.status,
        "checks": record.checks,
        "violations": [violation_entry(each, session) for each in record.violations],
    }
    reason = "; ".join(record.errors) or record.not_applicable
    if record.status == "inconclusive":
        reason = "; ".join(record.gaps[:5])
    if reason:
        entry["reason"] = reason
    if record.broken > len(record.violations):
        entry["violations_total"] = record.broken
    return entry
