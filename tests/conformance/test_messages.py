"""What a violation tells its reader: what was sent, what was expected, and the sentence that it stands on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.in_process import inside
from tests.conformance.proof_runner import LIMIT, certify, report_on
from tests.conformance.reference import FAULTS, merged

from vorel_conformance import report
from vorel_conformance.report.causes import causes
from vorel_conformance.spec.contract import validator_of


def clause(fault: str, id_: str, **options: Any) -> dict[str, Any]:
    found = report_on(fault=next(each for each in FAULTS if each.id == fault), clauses=(id_,), **options)
    validator_of(report.schema()).validate(found)
    result: dict[str, Any] = next(each for each in found["clauses"] if each["id"] == id_)
    return result


def test_a_parser_that_crashes_is_named_under_its_clause() -> None:  # K24
    found = clause("broken_json_500", "body.json")
    assert found["status"] == "failed"
    told = [f"{each['message']}, expected {each['expected']}" for each in found["violations"]]
    assert "handoffLead: truncated JSON: HTTP 500, expected HTTP 400" in told
    assert "createCrmRecord: truncated JSON: HTTP 500, expected HTTP 400" in told


def test_a_server_error_says_what_was_sent_and_quotes_its_operation() -> None:  # K24
    found = clause("broken_json_500", "fuzz.no-server-error", retries=0)
    sent = {each["message"].partition(":")[0]: each for each in found["violations"]}
    assert set(sent) == {"handoffLead", "createCrmRecord"}
    for name, path in (("handoffLead", "handoff"), ("createCrmRecord", "Crm")):
        violation = sent[name]
        assert violation["message"].endswith(": HTTP 500")
        assert violation["expected"] == "a status below 500"
        assert path in violation.get("pointer", found["pointer"])


def test_a_server_error_of_a_directed_test_comes_before_generated_ones() -> None:  # K24
    found = clause("astral_500", "fuzz.no-server-error", retries=0, fuzz=60)
    assert "generated" in found["violations"][0]["message"]  # alone, the clause has no directed test
    found = report_on(
        fault=next(each for each in FAULTS if each.id == "astral_500"),
        clauses=("fuzz.no-server-error", "handoff.characters"),
        retries=0,
        fuzz=60,
    )
    assert found["clauses"][1]["violations"][0]["message"] == (
        "handoffLead: summary of 1000 astral characters: HTTP 500"
    )


@pytest.mark.parametrize(
    ("fault", "member", "quote"),
    [("reason_in_bytes", "reason", '"maxLength": 200'), ("summary_in_utf16", "summary", '"maxLength": 1000')],
)
def test_a_clause_about_two_members_quotes_the_one_that_is_violated(fault: str, member: str, quote: str) -> None:  # K25
    found = clause(fault, "handoff.characters")
    assert found["status"] == "failed"
    assert (found["pointer"], found["quote"]) == (f"/components/schemas/LeadHandoffBody/properties/{member}", quote)
    assert all("quote" not in each for each in found["violations"])


def test_a_violation_of_another_member_has_its_own_quote() -> None:  # K25
    found = clause("notes_in_bytes", "handoff.characters")
    pointers = {each.get("pointer", found["pointer"]).rpartition("/")[2] for each in found["violations"]}
    assert pointers == {"reason", "summary"}


def test_an_unnamed_field_is_explained() -> None:  # K26
    found = clause("field_not_named", "envelope.names-field")
    violation = next(each for each in found["violations"] if '"object"' in each["message"])
    assert violation["message"] == 'error.message does not contain "object", the name of the invalid field'
    assert violation["expected"] == 'a message that contains "object"'
    assert violation["got"].startswith("the message '")


def test_a_missing_comparison_is_explained() -> None:  # K26
    found = clause("broken_json_500", "tenancy.indistinguishable")
    assert found["status"] == "inconclusive"
    assert found["reason"] == (
        "broken JSON: nothing to compare with, because the requests for unknown leads led to HTTP 500"
    )


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("unknown_path_code", "POST /api/v1/vorel-conformance: HTTP 404: error.code is 'not_foundx'"),
        ("other_method_code", "GET /api/v1/crm/create-record: HTTP 405: error.code is 'method_not_allowed'"),
        ("codes_of_404_and_405", "POST /api/v1/vorel-conformance: HTTP 404 with error.code 'bad_request'"),
        ("codes_of_404_and_405", "GET /api/v1/crm/create-record: HTTP 405 with error.code 'not_found'"),
        ("get_works", "GET /api/v1/crm/create-record: HTTP 200"),
    ],
)
def test_an_envelope_outside_of_the_operations_is_judged_like_any_other(fault: str, told: str) -> None:  # K21
    found = clause(fault, "envelope.other-methods", retries=0)
    assert found["status"] == "warning"
    assert told in [each["message"] for each in found["violations"]]


def test_a_get_that_performs_an_operation_fails() -> None:  # K39
    found = clause("get_writes", "envelope.safe-get")
    assert found["status"] == "failed"
    assert found["violations"][0]["message"].startswith("GET /api/v1/crm/create-record performs createCrmRecord: ")
    assert found["pointer"] == "/paths/~1api~1v1~1crm~1create-record"


def test_a_retry_after_that_is_rounded_down_fails() -> None:  # K22
    fault = next(each for each in FAULTS if each.id == "retry_after_rounded_down")
    found = certify(inside(None, fault, limit=LIMIT, window=4.0), window_s=4.0, clauses=("limit.recovers",))
    assert found["clauses"][0]["status"] == "failed"
    (violation,) = found["clauses"][0]["violations"]
    assert violation["message"] == "rejected again after exactly the time that a 429 asked to wait for"


# What was hard to understand for somebody who wrote a server with Flask and followed nothing but the report.


def causes_of(*faults: str, **options: Any) -> list[dict[str, Any]]:
    found = report_on(fault=merged([each for each in FAULTS if each.id in faults]), **options)
    return causes(found)


def test_a_page_of_the_framework_is_told_as_one() -> None:
    made = causes_of("framework_page", clauses=("envelope", "body"))
    assert made[0]["title"].endswith("the response, HTTP 415 with text/html, is not the error envelope")
    told = "Answer this request with a status that the contract declares, not 415. Use the envelope: {"
    assert made[0]["fix"].startswith(told)


def test_a_foreign_lead_is_told_before_what_follows_from_it() -> None:
    (cause,) = causes_of("foreign_lead_403", clauses=("tenancy",))
    assert cause["clauses"][0] == "tenancy.foreign-lead"
    assert cause["fix"] == "Answer this request with HTTP 404, not 403."
    assert "tenancy.indistinguishable" in cause["clauses"]


def test_a_server_error_says_what_to_answer_with() -> None:
    (cause,) = causes_of("deep_500", clauses=("fuzz.no-server-error",))
    assert cause["fix"] == "Answer this request with a status that the contract declares, not 500."


def test_a_field_that_is_not_named_is_named_in_what_to_change() -> None:
    (cause,) = causes_of("field_not_named_handoff", clauses=("envelope.names-field", "handoff.types"))
    field = cause["got"] and cause["title"].split('"')[1]
    assert field in ("reason", "summary")
    assert cause["fix"] == f'Name the field: answer with a message that contains "{field}".'


def test_labels_of_fields_say_that_they_are_about_fields() -> None:
    (cause,) = causes_of("fields_empty_refused", clauses=("crm.fields-free",))
    assert cause["title"] == "createCrmRecord: fields: empty: HTTP 400"


def test_a_directed_request_is_shown_before_a_generated_one() -> None:
    for cause in causes_of("summary_in_utf16", clauses=("handoff.characters", "fuzz.valid-accepted"), fuzz=60):
        assert cause["clauses"][0] == "handoff.characters"
        assert cause["title"] == "handoffLead: summary of 1000 astral characters: HTTP 400"


def test_a_wrong_media_type_is_told_with_its_status() -> None:
    (cause,) = causes_of("error_as_text", clauses=("envelope.json-media-type",))
    assert cause["title"].endswith(": HTTP 401: Content-Type is 'text/plain'")
