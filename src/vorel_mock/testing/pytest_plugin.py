"""The pytest plugin: the fixtures `vorel_server` and `vorel`, the marker `vorel`, the option --vorel-mock-url.

Loaded by every pytest run of an environment where vorel-mock is installed: it imports nothing but pytest until a
fixture is asked for.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vorel_mock.testing.control_client import Control
    from vorel_mock.testing.tenant import Tenant

#: Requests that the report of a failing test shows, the latest ones.
_SHOWN = 50
_MARKER = (
    "vorel(**settings): settings of the tenant that the fixture `vorel` makes: rate_limit=2, crm=None, … "
    "(the schema NewTenant of the control plane)"
)
_TENANT = pytest.StashKey["Tenant"]()
_CONTROL = pytest.StashKey["Control"]()
#: The id of the latest request when the test began.
_BEFORE = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--vorel-mock-url."""
    parser.getgroup("vorel-mock").addoption(
        "--vorel-mock-url",
        metavar="URL",
        help="use the vorel-mock that runs there (http://127.0.0.1:3000, say) instead of starting one; its control "
        "token, if it has one, is taken from the environment: VOREL_MOCK_CONTROL_TOKEN",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def vorel_server(pytestconfig: pytest.Config) -> Iterator["Control"]:
    """The control plane of a vorel-mock that serves for the whole session: `base_url`, `new_tenant()`, …

    Each worker of pytest-xdist has one of its own, unless --vorel-mock-url names one that runs.
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

    `@pytest.mark.vorel(rate_limit=2)` on test, class or module says what it is like. When the test fails, the requests
    of the tenant stand in the report.
    """
    from vorel_mock.testing.connection import ControlError

    problem = None
    settings = _settings(request.node)
    if "snapshot" not in settings:  # which holds a name
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


def _fail_if(problem: str | None) -> None:
    """Say what is wrong. Outside of any `except`, or the report would show the insides of the HTTP client as well."""
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
    """Tell with a failing test what its tenant was asked, and how each answer came about."""
    report = yield
    if report.failed and report.when != "teardown" and _TENANT in item.stash:
        tenant = item.stash[_TENANT]
        try:
            told = _journal(tenant, item.stash[_CONTROL], item.stash[_BEFORE])
        # An exception in this hook would end the whole run; tests patch httpx, which the client uses, to raise any.
        except (Exception, pytest.fail.Exception) as error:
            told = f"cannot be had: {error}"
        report.sections.append((f"vorel-mock: requests of tenant {tenant.id}", told))
    return report


def _journal(tenant: "Tenant", control: "Control", before: str | None) -> str:
    own = tenant.requests.list(limit=_SHOWN)
    total = tenant.requests.count()
    # Who sends a wrong key belongs to no tenant; on a mock that others use as well this may be somebody else.
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
