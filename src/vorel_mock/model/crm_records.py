"""Writing a record into the tenant's CRM, once for each idempotency_key."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from vorel_mock.model import crm
from vorel_mock.model.crm import CrmError, ErrorName
from vorel_mock.model.types import Moment, Uuid

if TYPE_CHECKING:
    from vorel_mock.model.tenant import Tenant


class CrmRecord(msgspec.Struct, frozen=True):  # made in C, as the rows of a handoff are
    """A record in the tenant's CRM, as the tenant called it and as the vendor does."""

    id: Uuid
    at: Moment
    object: str
    fields: dict[str, Any]
    idempotency_key: str
    fingerprint: bytes
    """Of object and fields: what makes a repeated request the same request."""
    vendor: str
    vendor_object: str
    vendor_fields: dict[str, Any]
    external_id: str
    record_url: str | None


def create_record(
    tenant: Tenant, *, object: str, fields: dict[str, Any], idempotency_key: str, now: float
) -> CrmRecord:
    """The record made for `idempotency_key`: a new one, or the one made before. CrmError is the soft failure.

    A failure is not remembered: the same key may be tried again.
    """
    canonical = _canonical(object, fields)
    fingerprint = sha256(canonical).digest()
    known = tenant.idempotency.get(idempotency_key)
    if known is not None:
        if known.fingerprint != fingerprint:
            detail = "idempotency_key was used before, for a record with another object or other fields"
            raise CrmError(ErrorName.VALIDATION_ERROR, detail)
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
    tenant.idempotency[idempotency_key] = record
    tenant.crm_records.append(record, 2 * len(canonical))
    return record


def size(record: CrmRecord) -> int:
    """About how many bytes a record takes beside its own members."""
    return 2 * len(_canonical(record.object, record.fields))


def _canonical(object: str, fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode([object, fields], order="deterministic")


def _failure(name: ErrorName) -> CrmError:
    return CrmError(name, crm.DETAILS[name])
