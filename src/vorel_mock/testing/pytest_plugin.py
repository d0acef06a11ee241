"""The pytest plugin: fixtures `vorel_server`, `vorel` and `avorel`, markers, ini values, option --vorel-mock-url.

Every pytest run loads it in an environment where vorel-mock is installed. It imports nothing but pytest until a test
uses a fixture.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vorel_mock.testing.control_client import Control
    from vorel_mock.testing.plugin_servers import Servers
    from vorel_mock.testing.tenant import AsyncTenant, Tenant

#: Requests that the report of a failing test shows, the latest ones.
_SHOWN = 50
_MARKER = (
    "vorel(**settings): settings of the tenant of the fixture `vorel`: rate_limit=2, crm=None, … "
    "(the schema NewTenant of the control plane)"
)
_SERVER_MARKER = (
    "vorel_server(**settings): the test has a mock with these settings: seed, clock, fixtures, contract; "
    "also with --vorel-mock-url. Tests with the same settings share it"
)
#: Settings of the mock that the plugin starts: ini values `vorel_mock_NAME`, and names in the marker `vorel_server`.
_SETTINGS = {
    "seed": "a whole number: the same seed and the same requests give the same ids",
    "clock": "real (the default), frozen, or the RFC 3339 time at which it is frozen",
    "fixtures": "a file with the tenants that it begins with, relative to rootdir",
    "contract": "the OpenAPI document to serve: a file, relative to rootdir, or a URL",
}
#: The settings in markers, each once: pytest keeps a fixture for as long as its parameter is the same object.
_MARKED = pytest.StashKey[dict[str, dict[str, Any]]]()
_TENANT = pytest.StashKey["Tenant"]()
_CONTROL = pytest.StashKey["Control"]()
#: Tenants of failed tests that are left on a mock which runs on, and for how long.
_MOST_LEFT = 20
_LEFT_FOR = "1h"
#: The tests whose tenants are left.
_LEFT = pytest.StashKey[set[str]]()
#: The id of the latest request when the test began.
_BEFORE = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --vorel-mock-url and the ini values."""
    for name, meaning in _SETTINGS.items():
        parser.addini(f"vorel_mock_{name}", f"of the vorel-mock that is started: {meaning}", default="")
    parser.getgroup("vorel-mock").addoption(
        "--vorel-mock-url",
        metavar="URL",
        help="use the vorel-mock that runs at this URL instead of starting one; the environment variable "
        "VOREL_MOCK_CONTROL_TOKEN has its control token, if it requires one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", _MARKER)
    config.addinivalue_line("markers", _SERVER_MARKER)
    config.stash[_MARKED] = {}
    config.stash[_LEFT] = set()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with the marker `vorel_server` a `vorel_server` of its own settings, and all that depends on it."""
    if "vorel_server" not in metafunc.fixturenames:
        return
    if settings := _settings(metafunc.definition, "vorel_server"):
        told = ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))
        same = metafunc.config.stash[_MARKED].setdefault(told, settings)
        ids = [getattr(pytest, "HIDDEN_PARAM", told)]  # pytest 8.4 has it
        metafunc.parametrize("vorel_server", [same], indirect=True, scope="session", ids=ids)


@pytest.fixture(scope="session")
def _vorel_servers() -> Iterator["Servers"]:
    from vorel_mock.testing.plugin_servers import Servers

    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def vorel_server(request: pytest.FixtureRequest, _vorel_servers: "Servers") -> "Control":
    """The control plane of the mock of this session: `base_url`, `new_tenant()`, …

    Each worker of pytest-xdist starts its own mock, unless --vorel-mock-url names a running one.
    `@pytest.mark.vorel_server(clock="frozen")` on test, class or module asks for one with other settings.
    """
    from vorel_mock.testing.plugin_servers import Unusable

    config = request.config
    marked: dict[str, Any] = getattr(request, "param", {})
    url = config.getoption("--vorel-mock-url")
    if url is not None and not marked:
        where = "--vorel-mock-url"
        start = partial(_vorel_servers.running, url, os.environ.get("VOREL_MOCK_CONTROL_TOKEN") or None)
    else:
        ini = {name: value for name in _SETTINGS if (value := config.getini(f"vorel_mock_{name}"))}
        where = ", ".join(["@pytest.mark.vorel_server"] * bool(marked) + [f"vorel_mock_{name}" for name in ini])
        start = partial(_vorel_servers.started, {**ini, **marked}, _SETTINGS, config.rootpath)
    try:
        return start()
    except Unusable as error:
        problem = f"{where}: {error}"
    pytest.fail(problem, pytrace=False)  # not within `except`, as in `_fail_if`


@pytest.fixture
def vorel(vorel_server: "Control", request: pytest.FixtureRequest) -> Iterator["Tenant"]:
    """A tenant for this test alone: `base_url`, `key`, `headers`, `lead`, `clock`, `faults`, `stubs`, `webhooks`, …

    `@pytest.mark.vorel(rate_limit=2)` on test, class or module sets its settings. If the test fails, the report lists
    the requests of the tenant, and a mock at --vorel-mock-url keeps the tenant for an hour.
    """
    from vorel_mock.testing.connection import ControlError

    problem = None
    settings = _settings(request.node, "vorel")
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
    with ExitStack() as stack:
        stack.enter_context(tenant)
        yield tenant
        if request.node.nodeid in request.config.stash[_LEFT]:
            with suppress(ControlError):  # the test itself has deleted it
                tenant.leave_behind(_LEFT_FOR)
                stack.pop_all()


@pytest.fixture
def avorel(vorel: "Tenant") -> "AsyncTenant":
    """The tenant of `vorel` for tests that run on an event loop: the same names, to be awaited."""
    return vorel.asynchronous


def _fail_if(problem: str | None) -> None:
    """Fail with `problem`. Not called within `except`: the report would show the traceback of the HTTP client, too."""
    if problem is not None:
        pytest.fail(problem, pytrace=False)


def _settings(node: pytest.Item, marker: str) -> dict[str, Any]:
    """Return the settings in the marks of test, class and module; the nearest mark wins."""
    settings: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers(marker))):
        if mark.args:
            _fail_if(f"@pytest.mark.{marker}: takes settings by name only: @pytest.mark.{marker}(seed=2)")
        settings.update(mark.kwargs)
    return settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failing test the requests of its tenant, and the reason for each response."""
    report = yield
    if report.failed and report.when != "teardown" and _TENANT in item.stash:
        tenant = item.stash[_TENANT]
        try:
            told = _journal(tenant, item.stash[_CONTROL], item.stash[_BEFORE]) + _left(item, tenant)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of whatever kind: an exception in this hook would end the whole run
            told = f"not available: {error}"
        report.sections.append((f"vorel-mock: requests of tenant {tenant.id}", told))
    return report


def _left(item: pytest.Item, tenant: "Tenant") -> str:
    """Leave the tenant of a failed test if its mock runs on; return where to look at it."""
    left = item.config.stash[_LEFT]
    runs_on = item.config.getoption("--vorel-mock-url") is not None and not _settings(item, "vorel_server")
    if not runs_on or len(left) >= _MOST_LEFT:
        return ""
    left.add(item.nodeid)
    return f"\nkept for an hour: {tenant.base_url}/_mock/console/requests?tenant={tenant.id}"


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
    stub = f"stub {exchange['stub']}; " if exchange.get("stub") else ""
    status = exchange["response"]["status"] or "no answer"
    return f"{request['method']} {request['path']} -> {status}  {fault}{stub}{why['decided_by']}: {why['rule']}"
