"""The records in a tenant's CRM."""

from sys import getsizeof
from typing import Any

import msgspec

from vorel_mock.model.footprint import footprint

#: Bytes of the objects of a record beside its fields: ids, URL, and its place among the idempotency keys. Measured.
_RECORD = 600


class CrmRecord(msgspec.Struct, frozen=True):  # made in C, as the rows of a handoff are
    """A record in the tenant's CRM, as the tenant called it and as the vendor does."""

    id: str
    at: float
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
    """Return about how many bytes a record takes. `shared`: all values in `vendor_fields` are those of `fields`."""
    size = _RECORD + len(record.idempotency_key) + footprint(record.fields) + getsizeof(record.vendor_fields)
    if not shared:
        counted = set(map(id, record.fields.values()))
        size += footprint({name: value for name, value in record.vendor_fields.items() if id(value) not in counted})
    return size


def share_values(fields: dict[str, Any], vendor_fields: dict[str, Any]) -> dict[str, Any]:
    """Return `vendor_fields` with the values of `fields` in the place of equal ones, as when a record is created."""
    known = {msgspec.json.encode(value, order="deterministic"): value for value in fields.values()}
    return {
        name: known.get(msgspec.json.encode(value, order="deterministic"), value)
        for name, value in vendor_fields.items()
    }


def canonical(object: str, fields: dict[str, Any]) -> bytes:
    """Return object and fields as JSON that is the same for the same members in any order."""
    return msgspec.json.encode([object, fields], order="deterministic")
