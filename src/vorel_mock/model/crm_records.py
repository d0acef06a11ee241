"""The records in a tenant's CRM."""

from typing import Any

import msgspec

from vorel_mock.model.types import Moment, Uuid


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


def size(record: CrmRecord) -> int:
    """About how many bytes a record takes beside its own members."""
    return 2 * len(canonical(record.object, record.fields))


def canonical(object: str, fields: dict[str, Any]) -> bytes:
    """Return object and fields as JSON that is the same for the same members in any order."""
    return msgspec.json.encode([object, fields], order="deterministic")
