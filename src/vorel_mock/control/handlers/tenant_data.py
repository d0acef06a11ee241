"""The rows written for a tenant: handoffs, audit log, CRM records. They can be added as the API adds them."""

from hashlib import sha256
from typing import Any

import msgspec
from flask import Response
from msgspec.structs import asdict

from vorel_mock.api.operations import handoff_status
from vorel_mock.control.handlers.streaming import counted
from vorel_mock.control.handlers.support import Operations, chosen, find_tenant, moment, reject
from vorel_mock.mock.fixtures.building import OF_VENDOR, vendor_members
from vorel_mock.mock.mock import Mock
from vorel_mock.model.clock import iso
from vorel_mock.model.commands import create_record, handoff_requested, keep_record, known_record, request_handoff
from vorel_mock.model.crm import CrmError
from vorel_mock.model.crm_records import CrmRecord, canonical
from vorel_mock.model.handoffs import Handoff
from vorel_mock.model.redaction import redact_deep
from vorel_mock.model.tenant import Tenant

Json = dict[str, Any]

#: The key of audit rows that no request to the API has caused.
CONTROL_PLANE = "control-plane"


def list_handoffs(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the handoffs, in the order in which they were written."""
    with mock.lock:
        rows = list(find_tenant(mock, tenant_id).handoffs)
    return counted(chosen(rows, filters, lambda row: row.requested_at), _handoff)


def add_handoff(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Hand a lead off, as the API does; with `requested_at`, as if that had been done then."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        lead = tenant.leads.get(body["lead_id"].lower())
        if lead is None:
            reject(404, "lead_id: the tenant has no lead with this id.")
        handoff = request_handoff(
            tenant,
            lead,
            reason=body.get("reason"),
            summary=body.get("summary"),
            status=handoff_status(mock.contract),
            key_id=CONTROL_PLANE,
            now=_past("requested_at", body, tenant),
        )
        if tenant.webhooks and "requested_at" not in body:  # of what is long past, webhooks were told then
            mock.webhooks.publish(tenant, handoff_requested(tenant, handoff))
    return _handoff(handoff), 201


def list_audit_log(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the audit log, in the order in which it was written."""
    with mock.lock:
        rows = list(find_tenant(mock, tenant_id).audit_log)
    found = chosen(rows, filters, lambda row: row.at)
    return counted(found, lambda row: redact_deep({**asdict(row), "at": iso(row.at)}))


def list_crm_records(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the records in the tenant's CRM, under canonical names and under the vendor's."""
    with mock.lock:
        records = list(find_tenant(mock, tenant_id).crm_records)
    return counted(chosen(records, filters, lambda row: row.at), _record)


def add_crm_record(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Write a record to the tenant's CRM, as the API does; 409 for a soft failure.

    With a member that the vendor gives, the record is written as if the CRM had taken it before.
    """
    content = {name: body[name] for name in ("object", "fields", "idempotency_key")}
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        now = _past("at", body, tenant)
        try:
            if any(name in body for name in OF_VENDOR):
                record = _written_before(tenant, content, body, now)
            else:
                record = create_record(tenant, **content, now=now)
        except (CrmError, ValueError) as failure:
            reject(409, str(failure))
    return _record(record), 201


def _written_before(tenant: Tenant, content: Json, body: Json, now: float) -> CrmRecord:
    """Return a record that the CRM took before. Raises CrmError or ValueError if no vendor would have taken it."""
    fingerprint = sha256(canonical(content["object"], content["fields"])).digest()
    known = known_record(tenant, content["idempotency_key"], fingerprint)
    if known is not None:
        return known
    connection = None if tenant.crm is None else msgspec.to_builtins(tenant.crm)
    of_vendor = vendor_members(body, connection, tenant.ids)
    return keep_record(tenant, CrmRecord(id=tenant.ids.uuid(), at=now, fingerprint=fingerprint, **content, **of_vendor))


def _past(name: str, body: Json, tenant: Tenant) -> float:
    """Return the time that a request gives as `name`, and without it that of the tenant's clock."""
    now = tenant.clock.now()
    at = moment(name, body, now)
    if at > now:
        reject(400, f"{name}: must not be later than the tenant's clock")
    return at


def _handoff(handoff: Handoff) -> Json:
    return dict(redact_deep({**asdict(handoff), "requested_at": iso(handoff.requested_at)}))


def _record(record: CrmRecord) -> Json:
    shown = asdict(record)
    del shown["fingerprint"]
    return dict(redact_deep({**shown, "at": iso(record.at)}))


OPERATIONS: Operations = {
    "listHandoffs": list_handoffs,
    "addHandoff": add_handoff,
    "listAuditLog": list_audit_log,
    "listCrmRecords": list_crm_records,
    "addCrmRecord": add_crm_record,
}
