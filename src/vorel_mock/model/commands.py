"""Commands: plain functions that change a tenant. They take the time from their caller and never wait."""

from hashlib import sha256
from typing import Any

from vorel_mock.model import crm
from vorel_mock.model.clock import iso
from vorel_mock.model.crm import CrmError, ErrorName
from vorel_mock.model.crm_records import CrmRecord, canonical, size
from vorel_mock.model.handoffs import (
    DEFAULT_REASON,
    DEFAULT_SUMMARY,
    HANDOFF,
    HANDOFF_REQUESTED,
    AuditRow,
    Event,
    Handoff,
    row_size,
)
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.tenant import Tenant


def request_handoff(
    tenant: Tenant, lead: Lead, *, reason: str | None, summary: str | None, status: str, key_id: str, now: float
) -> Handoff:
    """Set the lead's conversation to `status`, and write a new handoff and audit row.

    A second call writes new rows again. None for `reason` or `summary` gives the default.
    """
    conversation = tenant.conversations[lead.conversation_id]
    if conversation.status != status:
        tenant.conversations[conversation.id] = Conversation(conversation.id, status)
    handoff = Handoff(
        id=tenant.ids.uuid(),
        lead_id=lead.id,
        conversation_id=conversation.id,
        reason=DEFAULT_REASON if reason is None else reason,
        summary=DEFAULT_SUMMARY if summary is None else summary,
        notified_channel=tenant.notified_channel,
        requested_at=now,
    )
    audited = AuditRow(
        tenant.ids.uuid(),
        now,
        HANDOFF,
        handoff.id,
        lead.id,
        conversation.id,
        handoff.reason,
        handoff.summary,
        key_id,
    )
    size_of_each = row_size(handoff)
    tenant.handoffs.append(handoff, size_of_each)
    tenant.audit_log.append(audited, size_of_each)
    return handoff


def handoff_requested(tenant: Tenant, handoff: Handoff) -> Event:
    """Return the event that tells the tenant's webhooks about a handoff."""
    return Event(tenant.ids.uuid(), HANDOFF_REQUESTED, handoff.requested_at, handoff_data(handoff))


def handoff_data(handoff: Handoff) -> dict[str, Any]:
    """Return what an event tells of a handoff."""
    return {
        "handoff_id": handoff.id,
        "lead_id": handoff.lead_id,
        "conversation_id": handoff.conversation_id,
        "reason": handoff.reason,
        "summary": handoff.summary,
        "notified_channel": handoff.notified_channel,
        "requested_at": iso(handoff.requested_at),
    }


def happened(tenant: Tenant, event: str, data: dict[str, Any]) -> Event:
    """Return an event of now, for the tenant's webhooks."""
    return Event(tenant.ids.uuid(), event, tenant.clock.now(), data)


def create_record(
    tenant: Tenant, *, object: str, fields: dict[str, Any], idempotency_key: str, now: float
) -> CrmRecord:
    """The record made for `idempotency_key`: a new one, or the one made before. CrmError is the soft failure.

    A failure is not remembered: the same key may be tried again.
    """
    fingerprint = sha256(canonical(object, fields)).digest()
    known = known_record(tenant, idempotency_key, fingerprint)
    if known is not None:
        return known
    connection = tenant.crm
    if connection is None:
        raise _failure(ErrorName.NO_CRM_CONFIGURED)
    if connection.failure is not None:
        raise _failure(connection.failure)
    vendor = crm.VENDORS[connection.vendor]
    created = crm.create(
        vendor, object, fields, ids=tenant.ids, account=connection.account, overrides=connection.mappings
    )
    record = CrmRecord(
        id=tenant.ids.uuid(),
        at=now,
        object=object,
        fields=fields,
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        vendor=connection.vendor,
        vendor_object=created.vendor_object,
        vendor_fields=created.vendor_fields,
        external_id=created.external_id,
        record_url=created.record_url,
    )
    return keep_record(tenant, record)


def known_record(tenant: Tenant, idempotency_key: str, fingerprint: bytes) -> CrmRecord | None:
    """Return the record made before for a key. CrmError, if it is one of other content."""
    known = tenant.idempotency.get(idempotency_key)
    if known is not None and known.fingerprint != fingerprint:
        detail = "idempotency_key was used before, for a record with another object or other fields"
        raise CrmError(ErrorName.VALIDATION_ERROR, detail)
    return known


def keep_record(tenant: Tenant, record: CrmRecord) -> CrmRecord:
    """Have a record be in the tenant's CRM, for its idempotency key as well."""
    tenant.idempotency[record.idempotency_key] = record
    tenant.crm_records.append(record, size(record, shared=True))
    return record


def _failure(name: ErrorName) -> CrmError:
    return CrmError(name, crm.DETAILS[name])
