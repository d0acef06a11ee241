"""The suite under pytest: `pytest conformance --base-url URL`.

A test fails with the breaches that its own exchanges showed, whichever clause they belong to; it is skipped when one of
its clauses could not be asked.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vorel_conformance import run, suite
from vorel_conformance.exchange import Client, SpentError
from vorel_conformance.preflight import preflight
from vorel_conformance.session import Probe, Session
from vorel_conformance.target import TargetError, fetch, from_file

SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `vorel-conformance server` takes as well."""
    group = parser.getgroup("vorel-conformance")
    group.addoption("--base-url", help="The server to certify.")
    group.addoption("--target", type=Path, help="Its target profile; without it URL/_mock/target is asked.")
    group.addoption("--conformance-seed", type=int, help="The same seed sends the same requests.")
    group.addoption("--i-own-this-target", action="store_true", help="Needed for any target but this machine.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The limiter's burst goes first, its recovery last."""
    tests = {item: _test_of(item) for item in items}
    items.sort(key=lambda item: test.when if (test := tests[item]) else suite.MIDDLE)


@pytest.fixture(scope="session")
def conformance(pytestconfig: pytest.Config) -> Iterator[Session]:
    """The run that all tests share; it begins with the preflight."""
    base_url = pytestconfig.getoption("--base-url")
    if not base_url:
        raise pytest.UsageError("say which server to certify: pytest conformance --base-url URL")
    path, seed = pytestconfig.getoption("--target"), pytestconfig.getoption("--conformance-seed")
    options = run.Options(seed=seed if seed is not None else secrets.randbits(32))
    try:
        target = from_file(path, base_url) if path else fetch(base_url)
        target.permit(owned=pytestconfig.getoption("--i-own-this-target"))
        client = Client(
            target,
            seed=options.seed or 0,
            max_requests=options.max_requests,
            rate=run.rate_of(target, options),
            connect_timeout=options.connect_timeout,
            timeout=options.timeout,
        )
        client.deadline = time.monotonic() + options.time_limit
        session = Session(target, client)
        session.shared["fuzz"] = options.fuzz
        preflight(session)
    except TargetError as error:
        pytest.exit(str(error), returncode=3)
    pytestconfig.stash[SESSION] = session
    yield session
    client.close()


@pytest.fixture
def probe(conformance: Session, request: pytest.FixtureRequest) -> Probe:
    """The handle that a test of the suite works with."""
    return conformance.probe(request.function.__name__)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Run a test, then let it answer for its breaches and its gaps."""
    test = _test_of(pyfuncitem)
    try:
        result = yield
    except SpentError as error:
        pytest.skip(str(error))
    session = pyfuncitem.config.stash.get(SESSION, None)
    if test is None or session is None:
        return result
    breaches = [
        f"{record.clause.id} ({record.clause.level}): {violation.check.message}\n"
        f'    the contract: "{record.clause.quote}" ({record.clause.pointer})\n'
        f"    expected {violation.check.expected}; got {violation.check.got}"
        for record in session.records.values()
        for violation in record.violations
        if violation.test == test.name and record.clause.level == "MUST"
    ]
    if breaches:
        pytest.fail("\n".join(breaches), pytrace=False)
    gaps = [gap for id_ in test.clauses for gap in session.records[id_].gaps]
    if gaps:
        pytest.skip(gaps[0])
    return result


def _test_of(item: pytest.Item) -> suite.Test | None:
    return suite.test_of(item.function) if isinstance(item, pytest.Function) else None
