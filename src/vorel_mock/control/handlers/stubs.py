"""Stubs: the responses that a developer wishes for some requests of a tenant."""

from typing import Any

from flask import Response

from vorel_mock.api.faults.stub_check import check_stub
from vorel_mock.control.handlers.faults import consumed
from vorel_mock.control.handlers.streaming import listed
from vorel_mock.control.handlers.support import Operations, find_tenant, make_room, reject
from vorel_mock.mock.mock import Mock
from vorel_mock.model.ids import undrawn
from vorel_mock.model.stubs import MAX_STUBS, Stub
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.unknown_name import not_among

Json = dict[str, Any]


def list_stubs(mock: Mock, tenant_id: str) -> Json | Response:
    """Return the stubs of a tenant, in the order in which they were added."""
    return listed(copies(mock, tenant_id), shown)


def copies(mock: Mock, tenant_id: str) -> list[Stub]:
    """Return the stubs of a tenant as they are now: to show them takes time, and needs no lock."""
    with mock.lock:
        return [stub.copy() for stub in find_tenant(mock, tenant_id).stubs]


def get_stub(mock: Mock, tenant_id: str, stub_id: str) -> Json:
    """Return one stub, and the requests that met it."""
    with mock.lock:
        stub = _found(find_tenant(mock, tenant_id), stub_id).copy()
    return shown(stub)


def add_stub(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Add a stub, if the contract allows its response."""
    try:
        # Schemas are compiled for it: without the lock.
        check_stub(mock.contract, stub := Stub.of("", body))
    except ValueError as error:
        reject(400, str(error))
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        key = stub.request.key
        if key is not None and key not in tenant.keys:
            reject(400, not_among("request.key", key, tenant.keys))
        make_room(tenant.stubs, MAX_STUBS, "stubs")
        stub.id = undrawn(tenant.ids.uuid, [known.id for known in tenant.stubs].__contains__)
        tenant.stubs.append(stub)
    return shown(stub), 201


def remove_stubs(mock: Mock, tenant_id: str) -> tuple[None, int]:
    """Remove every stub of the tenant, and let go the responses that they hold back."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        for stub in tenant.stubs:
            tenant.held.release(stub.id)
        tenant.stubs.clear()
    return None, 204


def remove_stub(mock: Mock, tenant_id: str, stub_id: str) -> tuple[None, int]:
    """Remove one stub, and let go the responses that it holds back."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        stub = _found(tenant, stub_id)
        tenant.stubs.remove(stub)
        tenant.held.release(stub.id)
    return None, 204


def _found(tenant: Tenant, stub_id: str) -> Stub:
    found = next((stub for stub in tenant.stubs if stub.id == stub_id), None)
    return found or reject(404, "The tenant has no stub with this id.")


def shown(stub: Stub) -> Json:
    """Return a stub as JSON, with the requests that met it."""
    counts = {name: getattr(stub, name) for name in ("seen", "met", "spent")}
    return {"id": stub.id, **stub.as_json(), **counts, "consumed": consumed(stub)}


OPERATIONS: Operations = {
    "listStubs": list_stubs,
    "getStub": get_stub,
    "addStub": add_stub,
    "removeStubs": remove_stubs,
    "removeStub": remove_stub,
}
