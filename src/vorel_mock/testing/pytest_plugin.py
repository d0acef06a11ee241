"""The pytest plugin: fixtures `vorel_server`, `vorel` and `avorel`, marker `vorel`, option --vorel-mock-url.

Every pytest run loads it in an environment where vorel-mock is installed. It imports nothing but pytest until a test
uses a fixture.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vorel_mock.testing.control_client import Control
    from vorel_mock.testing.tenant import AsyncTenant, Tenant

#: Requests that the report of a failing test shows, the latest ones.
_SHOWN = 50
_MARKER = (
    "vorel(**settings): settings of the tenant of the fixture `vorel`: rate_limit=2, crm=None, … "
    "(the schema NewTenant of the control plane)"
)
_TENANT = pytest.StashKey["Tenant"]()
_CONTROL = pytest.StashKey["Control"]()
#: The id of the latest request when the test began.
_BEFORE = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --vorel-mock-url."""
    parser.getgroup("vorel-mock").addoption(
        "--vorel-mock-url",
        metavar="URL",
        help="use the vorel-mock that runs at this URL instead of starting one; the environment variable "
        "VOREL_MOCK_CONTROL_TOKEN has its control token, if it requires one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def vorel_server(pytestconfig: pytest.Config) -> Iterator["Control"]:
    """The control plane of the mock of this session: `base_url`, `new_tenant()`, …

    Each worker of pytest-xdist starts its own mock, unless --vorel-mock-url names a running one.
    """
    url = pytestconfig.getoption("--vorel-mock-url")
    if url is None:
        from vorel_mock.testing.mock_server import MockServer

        with MockServer() as mock:
            yield mock.control
    else:
        with _running(url) as control:
            yield control


@contextmanager
def _running(url: str) -> Iterator["Control"]:
    from vorel_mock.testing.connection import ControlError
    from vorel_mock.testing.control_client import Control

    problem = None
    with ExitStack() as stack:
        try:
            control = stack.enter_context(Control(url, os.environ.get("VOREL_MOCK_CONTROL_TOKEN") or None))
            control.health()
        except (ControlError, ValueError) as error:
            problem = f"--vorel-mock-url: {str(error).removeprefix('base_url: ')}"
        _fail_if(problem)
        yield control


@pytest.fixture
def vorel(vorel_server: "Control", request: pytest.FixtureRequest) -> Iterator["Tenant"]:
    """A tenant for this test alone: `base_url`, `key`, `headers`, `lead`, `clock`, `faults`, `webhooks`, `requests`, …

    `@pytest.mark.vorel(rate_limit=2)` on test, class or module sets its settings. If the test fails, the report lists
    the requests of the tenant.
    """
    from vorel_mock.testing.connection import ControlError

    problem = None
    settings = _settings(request.node)
    if "snapshot" in settings:  # it has a name; and keys, which another test may have as well
        settings.setdefault("keys", "fresh")
    elif "fork" not in settings:  # the original has a name
        settings.setdefault("name", request.node.name[:200])
    try:
        before = vorel_server.requests(limit=1)
        tenant = vorel_server.new_tenant(**settings)
    except ControlError as error:
        problem = f"@pytest.mark.vorel: {error.message}"
    except TypeError as error:
        problem = f"@pytest.mark.vorel: {error}"
    _fail_if(problem)
    request.node.stash[_TENANT] = tenant
    request.node.stash[_CONTROL] = vorel_server
    request.node.stash[_BEFORE] = before[0]["id"] if before else None
    with tenant:
        yield tenant


@pytest.fixture
def avorel(vorel: "Tenant") -> "AsyncTenant":
    """The tenant of `vorel` for tests that run on an event loop: the same names, to be awaited."""
    return vorel.asynchronous


def _fail_if(problem: str | None) -> None:
    """Fail with `problem`. Not called within `except`: the report would show the traceback of the HTTP client, too."""
    if problem is not None:
        pytest.fail(problem, pytrace=False)


def _settings(node: pytest.Item) -> dict[str, Any]:
    """Return the settings in the marks of test, class and module; the nearest mark wins."""
    settings: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("vorel"))):
        if mark.args:
            _fail_if("@pytest.mark.vorel: takes settings by name only: @pytest.mark.vorel(rate_limit=2)")
        settings.update(mark.kwargs)
    return settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failing test the requests of its tenant, and the reason for each response."""
    report = yield
    if report.failed and report.when != "teardown" and _TENANT in item.stash:
        tenant = item.stash[_TENANT]
        try:
            told = _journal(tenant, item.stash[_CONTROL], item.stash[_BEFORE])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of whatever kind: an exception in this hook would end the whole run
            told = f"not available: {error}"
        report.sections.append((f"vorel-mock: requests of tenant {tenant.id}", told))
    return report


def _journal(tenant: "Tenant", control: "Control", before: str | None) -> str:
    own = tenant.requests.list(limit=_SHOWN)
    total = tenant.requests.count()
    # A request with a wrong key belongs to no tenant. On a mock that others use, too, it may be of another test.
    latest = control.requests(limit=_SHOWN)
    # By position and not by time, which is the same for all on a frozen clock. A mock that was reset counts anew.
    began = next((n for n, exchange in enumerate(latest, 1) if exchange["id"] == before), 0)
    strangers = [exchange for exchange in latest[began:] if exchange["tenant_id"] is None]
    lines = [_line(exchange) for exchange in own] or ["none"]
    if total > len(own):
        lines.insert(0, f"(the latest {len(own)} of {total})")
    if strangers:
        lines += ["meanwhile, without a valid key:", *(_line(exchange) for exchange in strangers)]
    return "\n".join(lines)


def _line(exchange: dict[str, Any]) -> str:
    request, why = exchange["request"], exchange["explanation"]
    fault = f"fault {exchange['fault']}; " if exchange["fault"] else ""
    status = exchange["response"]["status"] or "no answer"
    return f"{request['method']} {request['path']} -> {status}  {fault}{why['decided_by']}: {why['rule']}"
