"""What the tests share: a mock in process, on a clock that stands still, and a client for it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import hypothesis
import pytest
from jsonschema import Draft202012Validator
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from tests import checked_client as checked
from tests.serving import serving

from vorel_mock.contract.operation import is_json
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

# No deadline for one example: a busy machine is no error. Tests that need more examples say so.
hypothesis.settings.register_profile("suite", max_examples=50, deadline=None)
hypothesis.settings.load_profile("suite")

# httpx imports it when it first needs it. In a test of pytester that would be a copy that goes with the test, and httpx
# would know the errors of that copy alone.
assert httpcore

# In a background job SIGINT is ignored, and every mock that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means here: two workers a core, because many tests wait for other processes."""
    return 2 * (os.cpu_count() or 1)


#: The modules with tests that take long, most of it waiting.
LONG = (
    "test_npm_package.py",
    "test_client_proof.py",
    "test_client_cli.py",
    "test_robustness.py",
    "test_bench.py",
    "test_mock.py",
)


@pytest.hookimpl(trylast=True)  # what -k and the like leave
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each worker begin with its share of the long tests, that none is left to wait for at the end.

    Pytest-xdist gives each worker one piece of the list, the pieces about as long as one another.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    order = {name: number for number, name in enumerate(LONG)}
    long = sorted((item for item in items if item.path.name in LONG), key=lambda item: order[item.path.name])
    rest = iter(item for item in items if item.path.name not in LONG)
    pieces: list[pytest.Item] = []
    for number in range(workers):
        pieces += long[number::workers]
        pieces += islice(rest, max(0, (number + 1) * len(items) // workers - len(pieces)))
    items[:] = [*pieces, *rest]


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """For `pytester`: a run has this plugin and anyio's, and no other that happens to be installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "vorel_mock.testing.pytest_plugin,anyio.pytest_plugin")


@pytest.fixture
def settings() -> Settings:
    """Override in a module to change the mock."""
    return Settings(seed=1, clock="frozen")


@pytest.fixture
def mock(settings: Settings) -> Mock:
    return Mock(settings)


@pytest.fixture
def app(mock: Mock) -> App:
    """Override it together with `mock`, with the scope of the module, where tests hold nothing against a shared one."""
    return App(mock)


@pytest.fixture
def http(app: App) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with httpx.Client(transport=MockTransport(app), base_url="http://127.0.0.1:3000") as client:
        yield client


@pytest.fixture
def key() -> str:
    """A key of the first demo tenant that may do everything."""
    return demo.token(1, 1, 1)


@pytest.fixture
def lead() -> str:
    """A lead of the first demo tenant."""
    return demo.lead_id(1, 1)


@pytest.fixture
def api(http: httpx.Client, key: str) -> httpx.Client:
    """A client that authenticates with `key`."""
    http.headers["Authorization"] = f"Bearer {key}"
    return http


@pytest.fixture
def serve() -> Iterator[Callable[[App], str]]:
    """Serves an application on a port of its own until the test ends; gives the base URL."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app))[0]


#: What is wrong with an answer, by the document that the mock serves; nothing if it is right.
Judge = Callable[[Mock, httpx.Response], list[str]]


@pytest.fixture(scope="session")
def judge() -> Judge:
    """Two validators that know nothing of the mock, and of one another: openapi-core and jsonschema."""
    specs: dict[int, tuple[dict[str, Any], OpenAPI]] = {}

    def problems(mock: Mock, answer: httpx.Response) -> list[str]:
        exchange = mock.journal.get(answer.headers["X-Mock-Request-Id"])
        assert exchange is not None
        operation, document = exchange.operation, mock.contract.document
        assert operation is not None
        declared = operation.responses.get(str(answer.status_code)) or operation.responses.get("default")
        if declared is None:
            return [f"{operation.id} declares no {answer.status_code}"]
        content = declared.get("content") or {}
        if not content:
            return [f"{operation.id} declares no content of {answer.status_code}"] if answer.content else []
        media_type = answer.headers["Content-Type"]
        if media_type not in content:
            return [f"{operation.id} declares no {media_type} of {answer.status_code}"]
        if id(document) not in specs:
            specs[id(document)] = document, OpenAPI.from_dict(document)
        server = urlsplit(document["servers"][0]["url"])
        request = MockRequest(f"{server.scheme}://{server.netloc}", operation.method, answer.request.url.path)
        response = MockResponse(
            answer.content, status_code=answer.status_code, headers=dict(answer.headers), content_type=media_type
        )
        if not is_json(media_type):
            return []  # nothing that either of them could read
        found = [str(error) for error in specs[id(document)][1].unmarshal_response(request, response).errors]
        schema = {**content[media_type]["schema"], "components": document["components"]}
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return found + [error.message for error in validator.iter_errors(answer.json())]

    return problems


@pytest.fixture
def control(mock: Mock) -> Iterator[httpx.Client]:
    """A client of the control plane, in process; each answer is checked against the control plane's document."""
    with checked.client(mock) as client:
        yield client


@pytest.fixture(scope="module")
def shared() -> Iterator[httpx.Client]:
    """The same for tests that leave nothing behind but tenants of their own."""
    with checked.client(Mock(Settings(seed=1, clock="frozen"))) as client:
        yield client
