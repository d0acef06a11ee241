"""The handlers of the control plane's operations, one module a subject."""

from collections.abc import Callable
from functools import partial
from typing import Any

from vorel_mock.control.handlers import clock, faults, keys, leads, stubs, tenant_data, tenants, verification, webhooks
from vorel_mock.control.handlers import journal as requests
from vorel_mock.control.handlers import mock as whole
from vorel_mock.mock.mock import Mock

_BY_OPERATION_ID: dict[str, Callable[..., Any]] = {
    **whole.OPERATIONS,
    **tenants.OPERATIONS,
    **keys.OPERATIONS,
    **leads.OPERATIONS,
    **tenant_data.OPERATIONS,
    **clock.OPERATIONS,
    **requests.OPERATIONS,
    **verification.OPERATIONS,
    **faults.OPERATIONS,
    **stubs.OPERATIONS,
    **webhooks.OPERATIONS,
}


def commands(mock: Mock) -> dict[str, Callable[..., Any]]:
    """Return what a log may have entries of, by name: the operations, and what the control plane does beside them."""
    return {**bind(mock), "moveTenantClock": partial(clock.move_tenant_clock, mock)}


def bind(mock: Mock) -> dict[str, Callable[..., Any]]:
    """The handlers by operationId. Each takes the mock's lock itself, for as long as it looks at state."""
    return {name: partial(function, mock) for name, function in _BY_OPERATION_ID.items()}
