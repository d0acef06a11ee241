"""The requests that every server gets: both operations of the contract, and a request that breaks it."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from vorel_mock.mock import demo

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "openapi.json"

#: A demo key with every scope, of the tenant that has HubSpot.
KEY = demo.token(tenant=1, role=1, number=1)

#: A placeholder in a body. requests.lua puts a text there that no other request has.
UNIQUE = "@unique@"


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request under load, and the response that it must get."""

    id: str
    template: str
    """The path as the contract writes it."""
    path: str
    """The path of the request."""
    body: str
    answer: str
    """A response of ours, for the peers that have to be told what to send."""
    member: str
    """A member of each right response. A soft failure has status 200 too, but lacks it."""
    status: int = 200
    """The status of each right response."""

    @property
    def valid(self) -> bool:
        """Whether the request keeps to the contract."""
        return self.status < 400


class BadAnswer(Exception):
    """A server sent a response that the case does not allow."""


def cases() -> list[Case]:
    """Return the cases of the benchmark, a valid one first. Their paths come from the contract."""
    lead = demo.lead_id(tenant=1, number=1)
    templates = {
        operation["operationId"]: template
        for template, item in json.loads(CONTRACT.read_text("utf-8"))["paths"].items()
        for operation in item.values()
    }
    handoff, create = templates["handoffLead"], templates["createCrmRecord"]
    fields = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+1 555 010 0199"}
    return [
        Case(
            id="handoffLead",
            template=handoff,
            path=handoff.format(id=lead),
            body=json.dumps({"reason": "no-response-7d", "summary": "Seven days, three messages, no answer."}),
            answer=_compact(
                {
                    "handoff_id": "3f0c9a7e-52b1-4c1d-9a64-0d5a2b7c8e91",
                    "lead_id": lead,
                    "conversation_id": "00000001-c0de-4000-8000-000000000001",
                    "conversation_status": "awaiting_human",
                    "notified_channel": "slack",
                }
            ),
            member="handoff_id",
        ),
        Case(
            id="createCrmRecord",
            template=create,
            path=create,
            body=json.dumps({"object": "contact", "fields": fields, "idempotency_key": UNIQUE}),
            answer=_compact(
                {
                    "ok": True,
                    "external_id": "482913507726",
                    "record_url": "https://app.hubspot.com/contacts/44512345/record/0-1/482913507726",
                }
            ),
            member="external_id",
        ),
        Case(
            id="invalid handoffLead",
            template=handoff,
            path=handoff.format(id=lead),
            body=json.dumps({"reason": 5}),
            answer="",
            member="error",
            status=400,
        ),
    ]


def _compact(value: dict[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))


def probe(port: int, case: Case, unique: str) -> None:
    """Send one request. Raises BadAnswer if the response is wrong, one of NOT_YET if there is none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    try:
        connection.request("POST", case.path, case.body.replace(UNIQUE, unique), headers)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    finally:
        connection.close()
    try:
        right = response.status == case.status and case.member in json.loads(body)
    except ValueError:
        right = False
    if not right:
        raise BadAnswer(f"{case.id}: expected {case.status} with `{case.member}`, got {response.status}: {body[:200]}")


#: What `probe` raises as long as a server does not answer.
NOT_YET = (OSError, HTTPException)
