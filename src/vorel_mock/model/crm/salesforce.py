"""Salesforce: Contact, Lead, Opportunity, Event and Case, by their API field names."""

import string

from vorel_mock.model.crm.formats import BOOLEAN, DATE, DATE_TIME, EMAIL, NUMBER
from vorel_mock.model.crm.vendor import Field, OneOf, Vendor, VendorObject
from vorel_mock.model.ids import Ids

CONTACT = VendorObject(
    name="Contact",
    code="003",
    fields=(
        Field("first_name", "FirstName"),
        Field("last_name", "LastName", required=True),
        Field("email", "Email", EMAIL),
        Field("phone", "Phone"),
        Field("mobile_phone", "MobilePhone"),
        Field("job_title", "Title"),
        Field("address", "MailingStreet"),
        Field("city", "MailingCity"),
        Field("state", "MailingState"),
        Field("postal_code", "MailingPostalCode"),
        Field("country", "MailingCountry"),
        Field("date_of_birth", "Birthdate", DATE),
        Field("source", "LeadSource"),
        Field("description", "Description"),
        Field("account_id", "AccountId"),
        Field("owner_id", "OwnerId"),
    ),
)

LEAD = VendorObject(
    name="Lead",
    code="00Q",
    fields=(
        Field("first_name", "FirstName"),
        Field("last_name", "LastName", required=True),
        Field("company", "Company", required=True),
        Field("email", "Email", EMAIL),
        Field("phone", "Phone"),
        Field("mobile_phone", "MobilePhone"),
        Field("job_title", "Title"),
        Field("website", "Website"),
        Field("address", "Street"),
        Field("city", "City"),
        Field("state", "State"),
        Field("postal_code", "PostalCode"),
        Field("country", "Country"),
        Field("source", "LeadSource"),
        Field("status", "Status", default="Open - Not Contacted"),
        Field("description", "Description"),
        Field("owner_id", "OwnerId"),
    ),
)

OPPORTUNITY = VendorObject(
    name="Opportunity",
    code="006",
    fields=(
        Field("name", "Name", required=True),
        Field("stage", "StageName", required=True),
        Field("close_date", "CloseDate", DATE, required=True),
        Field("amount", "Amount", NUMBER),
        Field("probability", "Probability", NUMBER),
        Field("deal_type", "Type"),
        Field("next_step", "NextStep"),
        Field("source", "LeadSource"),
        Field("description", "Description"),
        Field("account_id", "AccountId"),
        Field("owner_id", "OwnerId"),
    ),
)

EVENT = VendorObject(
    name="Event",
    code="00U",
    fields=(
        Field("title", "Subject"),
        Field("starts_at", "StartDateTime", DATE_TIME, required=True),
        Field("ends_at", "EndDateTime", DATE_TIME),
        Field("duration_minutes", "DurationInMinutes", NUMBER),
        Field("all_day", "IsAllDayEvent", BOOLEAN),
        Field("location", "Location"),
        Field("description", "Description"),
        Field("contact_id", "WhoId"),
        Field("owner_id", "OwnerId"),
    ),
    one_of=(OneOf(("EndDateTime", "DurationInMinutes"), unless="IsAllDayEvent"),),
)

CASE = VendorObject(
    name="Case",
    code="500",
    fields=(
        Field("subject", "Subject"),
        Field("status", "Status", default="New"),
        Field("priority", "Priority"),
        Field("origin", "Origin"),
        Field("case_type", "Type"),
        Field("description", "Description"),
        Field("name", "SuppliedName"),
        Field("email", "SuppliedEmail", EMAIL),
        Field("phone", "SuppliedPhone"),
        Field("contact_id", "ContactId"),
        Field("account_id", "AccountId"),
        Field("owner_id", "OwnerId"),
    ),
)

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_UPPER_CASE_BITS = {ord(letter): "01"[letter.isupper()] for letter in _BASE62}
_SUFFIX_ALPHABET = string.ascii_uppercase + "012345"


def case_safe_suffix(id15: str) -> str:
    """Return the three characters that make a 15-character id unambiguous without letter case.

    Each encodes which of five characters are upper case; the first of the five is the lowest bit.
    """
    bits = id15.translate(_UPPER_CASE_BITS)[::-1]
    return (
        _SUFFIX_ALPHABET[int(bits[10:], 2)] + _SUFFIX_ALPHABET[int(bits[5:10], 2)] + _SUFFIX_ALPHABET[int(bits[:5], 2)]
    )


def _new_id(key_prefix: str, ids: Ids) -> str:
    # After the key prefix: two characters for the instance, a reserved 0, nine for the record.
    id15 = f"{key_prefix}gK0{ids.letters(9, _BASE62)}"
    return id15 + case_safe_suffix(id15)


SALESFORCE = Vendor(
    name="Salesforce",
    objects={"contact": CONTACT, "lead": LEAD, "deal": OPPORTUNITY, "appointment": EVENT, "case": CASE},
    new_id=_new_id,
    record_url="https://{account}.my.salesforce.com/lightning/r/{name}/{id}/view",
    account="acme-dev-ed",
)
