"""What the handlers of the control plane share: how one refuses, how it finds its tenant."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from vorel_mock.lean_connexion import ProblemException
from vorel_mock.mock import Mock
from vorel_mock.model.tenant import Tenant

#: Handlers by operationId; each takes the mock first.
Operations = Mapping[str, Callable[..., Any]]


def refuse(status: int, message: str) -> NoReturn:
    """End the request with `status` and the envelope."""
    raise ProblemException(status=status, detail=message)


def find_tenant(mock: Mock, tenant_id: str) -> Tenant:
    """The tenant, or 404."""
    return mock.store.tenant(tenant_id.lower()) or refuse(404, "No tenant with this id.")
