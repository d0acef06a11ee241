"""The records in a tenant's CRM."""

from sys import getsizeof
from typing import Any

import msgspec

from vorel_mock.model.footprint import footprint
from vorel_mock.model.types import Moment, Uuid

#: Bytes of the objects of a record beside its fields: ids, URL, and its place among the idempotency keys. Measured.
_RECORD = 600


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


def size(record: CrmRecord, *, shared: bool = False) -> int:
    """Return about how many bytes a record takes. `shared`: names and values in `vendor_fields` are those of `fields`.

    They are, unless the record was read from a snapshot.
    """
    vendor_fields = getsizeof(record.vendor_fields) if shared else footprint(record.vendor_fields)
    return _RECORD + len(record.idempotency_key) + footprint(record.fields) + vendor_fields


def canonical(object: str, fields: dict[str, Any]) -> bytes:
    """Return object and fields as JSON that is the same for the same members in any order."""
    return msgspec.json.encode([object, fields], order="deterministic")
