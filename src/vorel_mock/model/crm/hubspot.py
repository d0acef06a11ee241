"""HubSpot: contacts, leads, deals, appointments and tickets, by their internal property names."""

from vorel_mock.model.crm.formats import EMAIL, INTERNAL_ID, MOMENT, NUMBER, picklist
from vorel_mock.model.crm.vendor import Field, OneOf, Vendor, VendorObject

CONTACTS = VendorObject(
    name="contacts",
    code="0-1",
    fields=(
        Field("first_name", "firstname"),
        Field("last_name", "lastname"),
        Field("email", "email", EMAIL),
        Field("phone", "phone"),
        Field("mobile_phone", "mobilephone"),
        Field("company", "company"),
        Field("job_title", "jobtitle"),
        Field("website", "website"),
        Field("address", "address"),
        Field("city", "city"),
        Field("state", "state"),
        Field("postal_code", "zip"),
        Field("country", "country"),
        Field("date_of_birth", "date_of_birth"),
        Field("lifecycle_stage", "lifecyclestage", INTERNAL_ID),
        Field("status", "hs_lead_status"),
        Field("owner_id", "hubspot_owner_id"),
    ),
    one_of=(OneOf(("email", "firstname", "lastname")),),
)

LEADS = VendorObject(
    name="leads",
    code="0-136",
    fields=(
        Field("name", "hs_lead_name", required=True),
        Field("lead_type", "hs_lead_type"),
        Field("label", "hs_lead_label"),
        Field("pipeline", "hs_pipeline", INTERNAL_ID),
        Field("stage", "hs_pipeline_stage", INTERNAL_ID),
        Field("owner_id", "hubspot_owner_id"),
    ),
)

DEALS = VendorObject(
    name="deals",
    code="0-3",
    fields=(
        Field("name", "dealname", required=True),
        Field("stage", "dealstage", INTERNAL_ID, required=True),
        Field("pipeline", "pipeline", INTERNAL_ID, default="default"),
        Field("amount", "amount", NUMBER),
        Field("close_date", "closedate", MOMENT),
        Field("deal_type", "dealtype"),
        Field("description", "description"),
        Field("owner_id", "hubspot_owner_id"),
    ),
)

APPOINTMENTS = VendorObject(
    name="appointments",
    code="0-421",
    fields=(
        Field("title", "hs_appointment_name"),
        Field("starts_at", "hs_appointment_start", MOMENT, required=True),
        Field("ends_at", "hs_appointment_end", MOMENT),
        Field("status", "hs_appointment_status"),
        Field("owner_id", "hubspot_owner_id"),
    ),
)

TICKETS = VendorObject(
    name="tickets",
    code="0-5",
    fields=(
        Field("subject", "subject", required=True),
        Field("status", "hs_pipeline_stage", INTERNAL_ID, required=True),
        Field("pipeline", "hs_pipeline", INTERNAL_ID, default="0"),
        Field("priority", "hs_ticket_priority", picklist("LOW", "MEDIUM", "HIGH", "URGENT")),
        Field("description", "content"),
        Field("origin", "source_type"),
        Field("owner_id", "hubspot_owner_id"),
    ),
)

HUBSPOT = Vendor(
    name="HubSpot",
    objects={"contact": CONTACTS, "lead": LEADS, "deal": DEALS, "appointment": APPOINTMENTS, "case": TICKETS},
    new_id=lambda code, ids: ids.digits(12),
    record_url="https://app.hubspot.com/contacts/{account}/record/{code}/{id}",
    account="44512345",
)
