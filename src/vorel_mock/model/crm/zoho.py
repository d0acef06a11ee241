"""Zoho CRM: Contacts, Leads, Deals, Events (its Meetings) and Cases, by their API field names."""

from vorel_mock.model.crm.formats import BOOLEAN, DATE, DATE_TIME, EMAIL, NUMBER, PHONE, URL
from vorel_mock.model.crm.vendor import Field, Vendor, VendorObject

CONTACTS = VendorObject(
    name="Contacts",
    code="Contacts",
    fields=(
        Field("first_name", "First_Name"),
        Field("last_name", "Last_Name", required=True),
        Field("email", "Email", EMAIL),
        Field("phone", "Phone", PHONE),
        Field("mobile_phone", "Mobile", PHONE),
        Field("job_title", "Title"),
        Field("address", "Mailing_Street"),
        Field("city", "Mailing_City"),
        Field("state", "Mailing_State"),
        Field("postal_code", "Mailing_Zip"),
        Field("country", "Mailing_Country"),
        Field("date_of_birth", "Date_of_Birth", DATE),
        Field("source", "Lead_Source"),
        Field("description", "Description"),
    ),
)

LEADS = VendorObject(
    name="Leads",
    code="Leads",
    fields=(
        Field("first_name", "First_Name"),
        Field("last_name", "Last_Name", required=True),
        Field("company", "Company"),
        Field("email", "Email", EMAIL),
        Field("phone", "Phone", PHONE),
        Field("mobile_phone", "Mobile", PHONE),
        Field("job_title", "Designation"),
        Field("website", "Website", URL),
        Field("address", "Street"),
        Field("city", "City"),
        Field("state", "State"),
        Field("postal_code", "Zip_Code"),
        Field("country", "Country"),
        Field("source", "Lead_Source"),
        Field("status", "Lead_Status"),
        Field("description", "Description"),
    ),
)

DEALS = VendorObject(
    name="Deals",
    code="Potentials",  # what the module was called before; its tab still is
    fields=(
        Field("name", "Deal_Name", required=True),
        Field("stage", "Stage", required=True),
        Field("pipeline", "Pipeline"),
        Field("amount", "Amount", NUMBER),
        Field("probability", "Probability", NUMBER),
        Field("close_date", "Closing_Date", DATE),
        Field("deal_type", "Type"),
        Field("next_step", "Next_Step"),
        Field("source", "Lead_Source"),
        Field("description", "Description"),
    ),
)

EVENTS = VendorObject(
    name="Events",
    code="Events",
    fields=(
        Field("title", "Event_Title", required=True),
        Field("starts_at", "Start_DateTime", DATE_TIME, required=True),
        Field("ends_at", "End_DateTime", DATE_TIME, required=True),
        Field("all_day", "All_day", BOOLEAN),
        Field("location", "Venue"),
        Field("description", "Description"),
    ),
)

CASES = VendorObject(
    name="Cases",
    code="Cases",
    fields=(
        Field("subject", "Subject", required=True),
        Field("status", "Status", required=True),
        Field("origin", "Case_Origin", required=True),
        Field("priority", "Priority"),
        Field("case_type", "Type"),
        Field("description", "Description"),
        Field("name", "Reported_By"),
        Field("email", "Email", EMAIL),
        Field("phone", "Phone", PHONE),
    ),
)

ZOHO = Vendor(
    name="Zoho",
    objects={"contact": CONTACTS, "lead": LEADS, "deal": DEALS, "appointment": EVENTS, "case": CASES},
    # 18 digits, not 19: an id of Zoho's fits a signed 64-bit integer.
    new_id=lambda code, ids: ids.digits(18),
    record_url="https://crm.zoho.com/crm/{account}/tab/{code}/{id}",
    account="org7000123",
)
