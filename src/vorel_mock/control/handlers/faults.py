"""Faults: the catalogue, and what is armed for a tenant."""

from typing import Any

from vorel_mock.api.faults.catalogue import CATALOGUE, check_armed
from vorel_mock.control.handlers.support import Operations, duration, find_tenant, make_room, reject
from vorel_mock.mock.mock import Mock
from vorel_mock.model.armed_faults import LONGEST_DELAY, LONGEST_RETRY_AFTER, MAX_FAULTS, ArmedFault
from vorel_mock.model.clock import iso, write_duration
from vorel_mock.model.ids import undrawn

Json = dict[str, Any]


def fault_catalogue(mock: Mock) -> Json:
    """Return the catalogue of faults."""
    shown = ("id", "sentence", "stage", "clause", "operation", "option", "group")
    return {"data": [{name: getattr(fault, name) for name in shown} for fault in CATALOGUE.values()]}


def list_faults(mock: Mock, tenant_id: str) -> Json:
    """Return the armed faults, and the requests that consumed them."""
    with mock.lock:
        return {"data": [_shown(armed) for armed in find_tenant(mock, tenant_id).faults]}


def arm_fault(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Arm a fault."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        delay = duration("delay", body["delay"], most=LONGEST_DELAY) if "delay" in body else None
        wait = duration("retry_after", body["retry_after"], most=LONGEST_RETRY_AFTER) if "retry_after" in body else None
        endless = "every" in body or "chance" in body
        armed = ArmedFault(
            id=undrawn(tenant.ids.uuid, [fault.id for fault in tenant.faults].__contains__),
            fault=CATALOGUE[body["fault"]].id,
            operation=body.get("operation"),
            next=body.get("next", None if endless else 1),
            every=body.get("every", 1),
            after=body.get("after", 0),
            chance=body.get("chance"),
            location=body.get("location"),
            delay=delay,
            retry_after=wait,
        )
        try:
            check_armed(armed)
        except ValueError as error:
            reject(400, str(error))
        make_room(tenant.faults, MAX_FAULTS, "armed faults")
        tenant.faults.append(armed)
        return _shown(armed), 201


def disarm_faults(mock: Mock, tenant_id: str) -> tuple[None, int]:
    """Disarm every fault of the tenant, and let go the responses that they hold back."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        tenant.faults.clear()
        tenant.held.release(but=[stub.id for stub in tenant.stubs])
    return None, 204


def disarm_fault(mock: Mock, tenant_id: str, fault_id: str) -> tuple[None, int]:
    """Disarm one fault, and let go the responses that it holds back."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        left = [armed for armed in tenant.faults if armed.id != fault_id]
        if len(left) == len(tenant.faults):
            reject(404, "The tenant has no armed fault with this id.")
        tenant.faults[:] = left
        tenant.held.release(fault_id)
    return None, 204


def _shown(armed: ArmedFault) -> Json:
    shown = ("id", "fault", "operation", "next", "every", "after", "chance", "seen", "met", "spent")
    return {
        **{name: getattr(armed, name) for name in shown},
        "delay": None if armed.delay is None else write_duration(armed.delay),
        "retry_after": None if armed.retry_after is None else write_duration(armed.retry_after),
        "location": armed.location,
        "consumed": consumed(armed),
    }


def consumed(armed: ArmedFault) -> list[Json]:
    """Return the requests that met an armed fault, or a stub."""
    return [{"request_id": met.request_id, "at": iso(met.at)} for met in armed.consumed]


OPERATIONS: Operations = {
    "faultCatalogue": fault_catalogue,
    "listFaults": list_faults,
    "armFault": arm_fault,
    "disarmFaults": disarm_faults,
    "disarmFault": disarm_fault,
}
