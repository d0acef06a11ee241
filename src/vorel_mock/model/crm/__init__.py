"""The CRM systems a tenant can be connected to: what becomes of a record pushed into one of them.

Start at `vendor.create`; `hubspot`, `salesforce` and `zoho` are tables. docs/crm.md prints them, with their sources.
"""

from collections.abc import Mapping

from vorel_mock.model.crm.errors import DETAILS, RESERVED_VALUES, CrmError, ErrorName, reserved_error
from vorel_mock.model.crm.hubspot import HUBSPOT
from vorel_mock.model.crm.salesforce import SALESFORCE
from vorel_mock.model.crm.vendor import Created, Field, OneOf, Vendor, VendorObject, create
from vorel_mock.model.crm.zoho import ZOHO

#: Every vendor the mock can stand for, by the name that a tenant's settings use.
VENDORS: Mapping[str, Vendor] = {"hubspot": HUBSPOT, "salesforce": SALESFORCE, "zoho": ZOHO}

__all__ = [
    "DETAILS",
    "RESERVED_VALUES",
    "VENDORS",
    "Created",
    "CrmError",
    "ErrorName",
    "Field",
    "OneOf",
    "Vendor",
    "VendorObject",
    "create",
    "reserved_error",
]
