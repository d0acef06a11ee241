"""What the tests share: a mock in process, on a clock that stands still, and a client for it."""

from collections.abc import Iterator

import httpx
import pytest

import checked
from vorel_mock import demo
from vorel_mock.app import App
from vorel_mock.mock import Mock
from vorel_mock.settings import Settings
from vorel_mock.testing.transport import MockTransport


@pytest.fixture
def settings() -> Settings:
    """Override in a module to change the mock."""
    return Settings(seed=1, clock="frozen")


@pytest.fixture
def mock(settings: Settings) -> Mock:
    return Mock(settings)


@pytest.fixture
def http(mock: Mock) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with httpx.Client(transport=MockTransport(App(mock)), base_url="http://127.0.0.1:3000") as client:
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
def control(mock: Mock) -> Iterator[httpx.Client]:
    """A client of the control plane, in process; each answer is checked against the control plane's document."""
    with checked.client(mock) as client:
        yield client


@pytest.fixture(scope="module")
def shared() -> Iterator[httpx.Client]:
    """The same for tests that leave nothing behind but tenants of their own."""
    with checked.client(Mock(Settings(seed=1, clock="frozen"))) as client:
        yield client
