"""The mock for tests: a server in a thread, a mock in process, a pytest fixture.

A name is imported when it is used, so that the pytest plugin costs nothing in a test run that does not use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vorel_mock.testing.clock import AsyncClock, Clock
    from vorel_mock.testing.connection import ControlError
    from vorel_mock.testing.control_client import AsyncControl, Control
    from vorel_mock.testing.faults import AsyncFaults, Faults
    from vorel_mock.testing.in_process import InProcessMock
    from vorel_mock.testing.mock_server import MockServer
    from vorel_mock.testing.receiver import AsyncReceiver, Receiver
    from vorel_mock.testing.requests import AsyncRequests, Requests
    from vorel_mock.testing.rows import (
        ArmedFault,
        Attempt,
        AuditRow,
        CrmRecord,
        Delivery,
        EventKind,
        Exchange,
        Fault,
        Handoff,
        Key,
        Lead,
        Stub,
        TenantSettings,
    )
    from vorel_mock.testing.stubs import AsyncStubs, StubRequest, StubResponse, Stubs
    from vorel_mock.testing.subscription import Subscription
    from vorel_mock.testing.tenant import AsyncTenant, Tenant
    from vorel_mock.testing.transport import AsyncMockTransport, MockTransport
    from vorel_mock.testing.webhooks import AsyncWebhooks, Webhooks

_MODULES = {
    "AsyncClock": "clock",
    "Clock": "clock",
    "AsyncControl": "control_client",
    "Control": "control_client",
    "AsyncFaults": "faults",
    "Faults": "faults",
    "AsyncRequests": "requests",
    "Requests": "requests",
    "AsyncStubs": "stubs",
    "StubRequest": "stubs",
    "StubResponse": "stubs",
    "Stubs": "stubs",
    "Subscription": "subscription",
    "AsyncTenant": "tenant",
    "Tenant": "tenant",
    "AsyncWebhooks": "webhooks",
    "Webhooks": "webhooks",
    "ControlError": "connection",
    "InProcessMock": "in_process",
    "AsyncReceiver": "receiver",
    "Receiver": "receiver",
    "MockServer": "mock_server",
    "AsyncMockTransport": "transport",
    "MockTransport": "transport",
    "ArmedFault": "rows",
    "Attempt": "rows",
    "AuditRow": "rows",
    "CrmRecord": "rows",
    "Delivery": "rows",
    "EventKind": "rows",
    "Exchange": "rows",
    "Fault": "rows",
    "Handoff": "rows",
    "Key": "rows",
    "Lead": "rows",
    "TenantSettings": "rows",
    "Stub": "rows",
}

__all__ = [
    "ArmedFault",
    "AsyncClock",
    "AsyncControl",
    "AsyncFaults",
    "AsyncMockTransport",
    "AsyncReceiver",
    "AsyncRequests",
    "AsyncStubs",
    "AsyncTenant",
    "AsyncWebhooks",
    "Attempt",
    "AuditRow",
    "Clock",
    "Control",
    "ControlError",
    "CrmRecord",
    "Delivery",
    "EventKind",
    "Exchange",
    "Fault",
    "Faults",
    "Handoff",
    "InProcessMock",
    "Key",
    "Lead",
    "MockServer",
    "MockTransport",
    "Receiver",
    "Requests",
    "Stub",
    "StubRequest",
    "StubResponse",
    "Stubs",
    "Subscription",
    "Tenant",
    "TenantSettings",
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
