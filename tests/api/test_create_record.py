"""createCrmRecord through the public door: the demo tenants, reserved values, what is stored, a mapping."""

import re
from typing import Any

import httpx
import pytest

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.model.crm import RESERVED_VALUES
from vorel_mock.model.tenant import Tenant

CREATE = "/api/v1/crm/create-record"
PERSON = {"first_name": "Ann", "last_name": "Lee", "email": "ann@example.com", "shoe_size": 38}


def _create(
    http: httpx.Client, tenant: int, fields: dict[str, Any], object_: str = "contact", key: str = "k"
) -> dict[str, Any]:
    answer = http.post(
        CREATE,
        json={"object": object_, "fields": fields, "idempotency_key": key},
        headers={"Authorization": f"Bearer {demo.token(tenant, 1, 1)}"},
    )
    assert answer.status_code == 200
    return dict(answer.json())


def _tenant(mock: Mock, number: int) -> Tenant:
    return list(mock.store.tenants())[number - 1]


@pytest.mark.parametrize(
    ("tenant", "external_id", "record_url", "vendor_object", "vendor_fields"),
    [
        (
            1,
            r"[1-9][0-9]{11}",
            "https://app.hubspot.com/contacts/44512345/record/0-1/{id}",
            "contacts",
            {"firstname": "Ann", "lastname": "Lee", "email": "ann@example.com", "shoe_size": 38},
        ),
        (
            2,
            r"003[0-9A-Za-z]{15}",
            "https://vorel-demo.my.salesforce.com/lightning/r/Contact/{id}/view",
            "Contact",
            {"FirstName": "Ann", "LastName": "Lee", "Email": "ann@example.com", "shoe_size": 38},
        ),
        (
            3,
            r"[1-9][0-9]{17}",
            "https://crm.zoho.com/crm/org7000123/tab/Contacts/{id}",
            "Contacts",
            {"First_Name": "Ann", "Last_Name": "Lee", "Email": "ann@example.com", "shoe_size": 38},
        ),
    ],
    ids=["HubSpot", "Salesforce", "Zoho"],
)
def test_a_record_goes_into_the_tenant_s_crm(
    http: httpx.Client,
    mock: Mock,
    tenant: int,
    external_id: str,
    record_url: str,
    vendor_object: str,
    vendor_fields: dict[str, Any],
) -> None:
    answer = _create(http, tenant, PERSON)
    assert answer["ok"] is True
    assert re.fullmatch(external_id, answer["external_id"])
    assert answer["record_url"] == record_url.replace("{id}", answer["external_id"])
    (record,) = _tenant(mock, tenant).crm_records
    assert (record.object, record.fields) == ("contact", PERSON)
    assert (record.vendor_object, record.vendor_fields) == (vendor_object, vendor_fields)
    assert (record.external_id, record.record_url) == (answer["external_id"], answer["record_url"])


@pytest.mark.parametrize(
    ("tenant", "error"), [(4, "no_crm_configured"), (5, "auth_failed"), (6, "rate_limited")], ids=lambda v: str(v)
)
def test_a_tenant_whose_crm_fails_fails_softly(http: httpx.Client, mock: Mock, tenant: int, error: str) -> None:
    bodies: list[dict[str, Any]] = [PERSON, {}, {"email": "validation_error@crm-error.test"}]
    for fields in bodies:
        answer = _create(http, tenant, fields)
        assert (answer["ok"], answer["error"]) == (False, error)
        assert answer["detail"]
        assert set(answer) == {"ok", "error", "detail"}
    assert list(_tenant(mock, tenant).crm_records) == []


@pytest.mark.parametrize("tenant", [1, 2, 3])
@pytest.mark.parametrize("value", RESERVED_VALUES, ids=lambda value: value["error"])
@pytest.mark.parametrize("field", ["email", "last_name", "anything"])
def test_a_reserved_value_makes_its_error(
    http: httpx.Client, mock: Mock, tenant: int, value: dict[str, str], field: str
) -> None:
    answer = _create(http, tenant, {**PERSON, field: value["value"]})
    assert answer == {"ok": False, "error": value["error"], "detail": value["detail"]}
    assert list(_tenant(mock, tenant).crm_records) == []


def test_there_is_a_reserved_value_for_each_error_that_the_document_names(mock: Mock) -> None:
    document = mock.contract.at("#/components/schemas/CrmCreateRecordResponse/oneOf/1/description")
    operation = mock.contract.at("#/paths/~1api~1v1~1crm~1create-record/post/description")
    assert len(RESERVED_VALUES) == 4
    for value in RESERVED_VALUES:
        assert value["error"] in document or value["error"] in operation


@pytest.mark.parametrize(
    ("tenant", "object_", "fields", "named"),
    [
        (1, "deal", {"name": "Roof"}, ["`stage`"]),
        (1, "contact", {"email": "none"}, ["`email`"]),
        (2, "contact", {"first_name": "Ann"}, ["`last_name`"]),
        (2, "lead", {}, ["`last_name`", "`company`"]),
        (3, "appointment", {"title": "Visit", "starts_at": "soon"}, ["`starts_at`", "`ends_at`"]),
    ],
)
def test_what_the_vendor_would_refuse_names_the_canonical_field(
    http: httpx.Client, tenant: int, object_: str, fields: dict[str, str], named: list[str]
) -> None:
    answer = _create(http, tenant, fields, object_)
    assert (answer["ok"], answer["error"]) == (False, "validation_error")
    assert [name for name in named if name not in answer["detail"]] == []


def test_a_tenant_s_own_mapping_wins(http: httpx.Client, mock: Mock) -> None:
    crm = _tenant(mock, 1).crm
    assert crm is not None
    crm.mappings = {"contact": {"email": "work_email", "shoe_size": "shoe_size__c"}}
    assert _create(http, 1, PERSON)["ok"] is True
    (record,) = _tenant(mock, 1).crm_records
    assert record.fields == PERSON
    assert record.vendor_fields == {
        "firstname": "Ann",
        "lastname": "Lee",
        "work_email": "ann@example.com",
        "shoe_size__c": 38,
    }


def test_each_object_of_the_document_can_be_pushed(http: httpx.Client, mock: Mock) -> None:
    when = "2026-11-23T09:00:00Z"
    fields: dict[str, dict[str, Any]] = {
        "contact": PERSON,
        "lead": {"name": "Ann Lee", "last_name": "Lee", "company": "Lee & Co"},
        "deal": {"name": "Roof", "stage": "appointmentscheduled", "close_date": "2026-12-01"},
        "appointment": {"title": "Visit", "starts_at": when, "ends_at": when},
        "case": {"subject": "Leak", "status": "1", "origin": "Phone"},
    }
    assert list(fields) == mock.contract.at("#/components/schemas/CrmCreateRecordBody/properties/object/enum")
    for tenant in (1, 2, 3):
        answers = [_create(http, tenant, sent, object_, key=object_) for object_, sent in fields.items()]
        assert [answer.get("detail") for answer in answers] == [None] * 5
        assert len({answer["external_id"] for answer in answers}) == 5
        assert len({answer["record_url"] for answer in answers}) == 5
