"""The mock for tests: a server in a thread, a mock in process, a pytest fixture.

A name is imported when it is used, so that the pytest plugin costs nothing in a test run that does not use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vorel_mock.testing.clock import Clock
    from vorel_mock.testing.connection import ControlError
    from vorel_mock.testing.control_client import Control
    from vorel_mock.testing.faults import Faults
    from vorel_mock.testing.in_process import InProcessMock
    from vorel_mock.testing.mock_server import MockServer
    from vorel_mock.testing.receiver import Receiver
    from vorel_mock.testing.requests import Requests
    from vorel_mock.testing.subscription import Subscription
    from vorel_mock.testing.tenant import Tenant
    from vorel_mock.testing.transport import AsyncMockTransport, MockTransport
    from vorel_mock.testing.webhooks import Webhooks

_MODULES = {
    "Clock": "clock",
    "Control": "control_client",
    "Faults": "faults",
    "Requests": "requests",
    "Subscription": "subscription",
    "Tenant": "tenant",
    "Webhooks": "webhooks",
    "ControlError": "connection",
    "InProcessMock": "in_process",
    "Receiver": "receiver",
    "MockServer": "mock_server",
    "AsyncMockTransport": "transport",
    "MockTransport": "transport",
}

__all__ = [
    "AsyncMockTransport",
    "Clock",
    "Control",
    "ControlError",
    "Faults",
    "InProcessMock",
    "MockServer",
    "MockTransport",
    "Receiver",
    "Requests",
    "Subscription",
    "Tenant",
    "Webhooks",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
