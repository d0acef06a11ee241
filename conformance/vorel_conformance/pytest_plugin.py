"""The suite under pytest: `pytest conformance --base-url URL`.

A test fails with the violations that its own exchanges show, whichever clause they belong to. It is skipped if one of
its clauses could not be checked.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from vorel_conformance import suite
from vorel_conformance.http.client import SpentError
from vorel_conformance.http.harmless import harmless
from vorel_conformance.http.target import TargetError, load
from vorel_conformance.http.transport import SetupError, Trust
from vorel_conformance.runs.plan import Options
from vorel_conformance.runs.preflight import preflight
from vorel_conformance.runs.server import client_of
from vorel_conformance.session.probe import NotServedError, Probe
from vorel_conformance.session.session import Session, Violation
from vorel_conformance.spec.clauses import Clause

SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that `vorel-conformance server` has too."""
    group = parser.getgroup("vorel-conformance")
    group.addoption("--base-url", help="The server to certify.")
    group.addoption("--target", type=Path, help="Target profile; by default from URL/_mock/target.")
    group.addoption("--conformance-seed", type=int, help="The same seed sends the same requests.")
    group.addoption("--cacert", type=Path, help="Certificates in PEM that an https target must have, or be signed by.")
    group.addoption("--insecure", action="store_true", help="Do not verify the certificate of an https target.")
    group.addoption("--i-own-this-target", action="store_true", help="Required for any target except this machine.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by the phases of a run: the bursts first, their recovery last."""
    tests = {item: _test_of(item) for item in items}
    items.sort(key=lambda item: test.when if (test := tests[item]) else suite.When.MIDDLE)


@pytest.fixture(scope="session")
def conformance(pytestconfig: pytest.Config) -> Iterator[Session]:
    """The session that all tests share. It starts with the preflight."""
    base_url = pytestconfig.getoption("--base-url")
    if not base_url:
        raise pytest.UsageError("--base-url: missing; use pytest conformance --base-url URL")
    path, seed = pytestconfig.getoption("--target"), pytestconfig.getoption("--conformance-seed")
    trust = Trust(pytestconfig.getoption("--cacert"), pytestconfig.getoption("--insecure"))
    options = Options(trust=trust)
    try:
        target = load(base_url, path, owned=pytestconfig.getoption("--i-own-this-target"), trust=trust)
        client = client_of(target, options, seed=seed if seed is not None else secrets.randbits(32))
        session = Session(target, client, fuzz_count=options.fuzz)
        preflight(session)
    except (TargetError, SetupError) as error:
        pytest.exit(harmless(str(error)), returncode=3)
    pytestconfig.stash[SESSION] = session
    yield session
    client.close()


@pytest.fixture
def probe(conformance: Session, request: pytest.FixtureRequest) -> Probe:
    """The handle of a test of the suite."""
    return Probe(conformance, request.function.__name__)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Run a test. Then fail it with its violations, or skip it with its gaps."""
    test = _test_of(pyfuncitem)
    try:
        result = yield
    except (SpentError, NotServedError) as error:
        pytest.skip(harmless(str(error)))
    session = pyfuncitem.config.stash.get(SESSION, None)
    if test is None or session is None:
        return result
    violations = [
        f"{each.clause.id} ({each.clause.level}): {harmless(violation.check.message)}\n"
        f"    the contract: {harmless(_quote(each.clause, violation))}\n"
        f"    expected {harmless(violation.check.expected)}; got {harmless(violation.check.got)}"
        for each in session.results.values()
        for violation in each.violations
        if violation.test == test.name and each.clause.level == "MUST"
    ]
    if violations:
        pytest.fail("\n".join(violations), pytrace=False)
    gaps = [gap for id_ in test.clauses for gap in session.results[id_].gaps]
    if gaps:
        pytest.skip(harmless(gaps[0]))
    return result


def _quote(clause: Clause, violation: Violation) -> str:
    pointer, quote = clause.source(violation.places)
    return f'"{quote}" ({pointer})'


def _test_of(item: pytest.Item) -> suite.Test | None:
    return suite.test_of(item.function) if isinstance(item, pytest.Function) else None
