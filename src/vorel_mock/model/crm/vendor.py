"""A vendor is a table; `create` reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from vorel_mock.model.crm.errors import CrmError, ErrorName, reserved_error
from vorel_mock.model.crm.formats import TEXT, Format
from vorel_mock.model.ids import Ids


@dataclass(frozen=True, slots=True)
class Field:
    """A row: the canonical name, the vendor's property, and what the vendor demands of it.

    `default` is what the vendor itself fills in when the property is not sent.
    """

    canonical: str
    property: str
    format: Format = TEXT
    required: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """At least one of these properties is required, unless the boolean property `unless` is true."""

    properties: tuple[str, ...]
    unless: str | None = None


@dataclass(frozen=True, slots=True)
class VendorObject:
    """One of the vendor's objects. `code` is the vendor's short name of it in ids or in record URLs."""

    name: str
    code: str
    fields: tuple[Field, ...]
    one_of: tuple[OneOf, ...] = ()
    # Read off the rows once, for the hot path.
    properties: Mapping[str, str] = field(init=False, repr=False)
    accepts: Mapping[str, Callable[[object], bool]] = field(init=False, repr=False)
    required: tuple[OneOf, ...] = field(init=False, repr=False)
    defaults: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = self.fields
        derived = {
            "properties": {row.canonical: row.property for row in rows},
            "accepts": {row.property: row.format.accepts for row in rows},
            "required": (*(OneOf((row.property,)) for row in rows if row.required), *self.one_of),
            "defaults": {row.property: row.default for row in rows if row.default is not None},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # the way into a frozen dataclass


@dataclass(frozen=True, slots=True)
class Vendor:
    """A CRM product.

    `objects` goes by the contract's object names. `new_id` makes a record id from the object's code.
    `record_url` is a template over account, name, code and id. `account` is one as the vendor writes them, for a tenant
    that names none.
    """

    name: str
    objects: Mapping[str, VendorObject]
    new_id: Callable[[str, Ids], str]
    record_url: str
    account: str

    def url(self, object: str, account: str, external_id: str) -> str | None:
        """Return the URL of a record; None without an account."""
        if not account:
            return None
        target = self.objects[object]
        return self.record_url.format(account=_quoted(account), name=target.name, code=target.code, id=external_id)


class Created(NamedTuple):
    """A record as the vendor holds it. `vendor_fields` goes by the vendor's property names."""

    vendor_object: str
    vendor_fields: dict[str, object]
    external_id: str
    record_url: str | None


def create(
    vendor: Vendor,
    object: str,
    fields: dict[str, object],
    *,
    ids: Ids,
    account: str,
    overrides: Mapping[str, Mapping[str, str]],
) -> Created:
    """Push a record into `vendor`: translate the canonical names, check what the vendor demands, make id and URL.

    `account` is the tenant's account with the vendor; without one (empty) the record has no URL. `overrides` is the
    tenant's `tenant_crm_field_mappings`, `{object: {canonical: property}}`; it wins over the vendor's own mapping entry
    by entry. A canonical name that neither knows is passed on unchanged, and so is every value.

    Raises CrmError, and nothing else, if a reserved value asks for it or if the vendor would reject the record. The
    detail names every canonical field at fault and repeats no value.
    """
    asked_for = reserved_error(fields)
    if asked_for is not None:
        raise asked_for
    target = vendor.objects.get(object)
    if target is None:
        known = ", ".join(vendor.objects)
        raise CrmError(ErrorName.VALIDATION_ERROR, f"`object` must be one that {vendor.name} has: {known}")

    own = overrides.get(object)
    properties = {**target.properties, **own} if own else target.properties
    vendor_fields = {properties.get(canonical, canonical): value for canonical, value in fields.items()}

    complete = all(_fulfilled(demand, vendor_fields) for demand in target.required)
    if len(vendor_fields) != len(fields) or not complete or _malformed(target, vendor_fields):
        problems = _problems(vendor, target, properties, fields, vendor_fields)
        raise CrmError(ErrorName.VALIDATION_ERROR, "; ".join(problems))

    for name, value in target.defaults.items():
        vendor_fields.setdefault(name, value)
    external_id = vendor.new_id(target.code, ids)
    return Created(target.name, vendor_fields, external_id, vendor.url(object, account, external_id))


@lru_cache(maxsize=1024)
def _quoted(account: str) -> str:
    # An account comes from the tenant's settings: whatever it contains, the URL stays valid.
    return quote(account, safe="", errors="replace")


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def _fulfilled(demand: OneOf, vendor_fields: Mapping[str, object]) -> bool:
    for name in demand.properties:
        if not _blank(vendor_fields.get(name)):
            return True
    return demand.unless is not None and vendor_fields.get(demand.unless) is True


def _malformed(target: VendorObject, vendor_fields: Mapping[str, object]) -> list[str]:
    """Return the properties whose values the vendor rejects; a blank value is no value."""
    known = target.accepts
    return [
        name for name, value in vendor_fields.items() if name in known and not known[name](value) and not _blank(value)
    ]


def _problems(
    vendor: Vendor,
    target: VendorObject,
    properties: Mapping[str, str],
    fields: Mapping[str, object],
    vendor_fields: Mapping[str, object],
) -> list[str]:
    """Everything that is wrong with the record, in sentences that name canonical fields."""
    where = f"{vendor.name} {target.name}"
    sources: dict[str, list[str]] = {}
    for canonical in fields:
        sources.setdefault(properties.get(canonical, canonical), []).append(canonical)

    problems = [
        f"{_names(canonicals, ' and ')} are mapped to {name} of {where}: send only one of them"
        for name, canonicals in sources.items()
        if len(canonicals) > 1
    ]
    if problems:
        return problems  # which of the values counts is open, so nothing can be said of them yet
    for demand in target.required:
        if not _fulfilled(demand, vendor_fields):
            wanted = [_canonical(name, properties) for name in demand.properties]
            one_of = "one of " if len(wanted) > 1 else ""
            in_vendor_terms = ", ".join(demand.properties)
            problems.append(f"{one_of}{_names(wanted, ', ')} is required by {where} ({in_vendor_terms})")
    nouns = {row.property: row.format.noun for row in target.fields}
    problems += [
        f"{_names(sources[name], ', ')} must be {nouns[name]} for {where} ({name})"
        for name in _malformed(target, vendor_fields)
    ]
    return problems


def _names(canonicals: list[str], separator: str) -> str:
    return separator.join(f"`{canonical}`" for canonical in canonicals)


def _canonical(name: str, properties: Mapping[str, str]) -> str:
    """The canonical field that becomes the property `name`; one that the tenant has added goes before the vendor's.

    Where the tenant has mapped every such field elsewhere, the property's own name is the one to send.
    """
    return next((canonical for canonical in reversed(list(properties)) if properties[canonical] == name), name)
