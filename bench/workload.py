"""What is asked of every server: the two operations of the contract, the way a client asks them."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from vorel_mock.mock import demo

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "openapi.json"

#: A demo key with every scope, of the tenant that has HubSpot.
KEY = demo.token(tenant=1, role=1, number=1)

#: In a body: a text that no other request has (requests.lua).
UNIQUE = "@unique@"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation under load. `path` is that of a request, `template` that of the contract."""

    id: str
    template: str
    path: str
    body: str
    answer: str
    """An answer of ours, for the peer that has to be told what to say."""
    expected: str
    """A member of every answer that counts as one: a soft failure is a 200 as well, and lacks it."""


class BadAnswer(Exception):
    """A server answered, and not with what the operation answers."""


def operations() -> list[Operation]:
    """The operations of the benchmark; their paths are the contract's."""
    lead = demo.lead_id(tenant=1, number=1)
    templates = {
        operation["operationId"]: template
        for template, item in json.loads(CONTRACT.read_text("utf-8"))["paths"].items()
        for operation in item.values()
    }
    handoff, create = templates["handoffLead"], templates["createCrmRecord"]
    fields = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+1 555 010 0199"}
    return [
        Operation(
            id="handoffLead",
            template=handoff,
            path=handoff.format(id=lead),
            body=json.dumps({"reason": "no-response-7d", "summary": "Seven days, three messages, no answer."}),
            answer=json.dumps(
                {
                    "handoff_id": "3f0c9a7e-52b1-4c1d-9a64-0d5a2b7c8e91",
                    "lead_id": lead,
                    "conversation_id": "00000001-c0de-4000-8000-000000000001",
                    "conversation_status": "awaiting_human",
                    "notified_channel": "slack",
                },
                separators=(",", ":"),
            ),
            expected="handoff_id",
        ),
        Operation(
            id="createCrmRecord",
            template=create,
            path=create,
            body=json.dumps({"object": "contact", "fields": fields, "idempotency_key": UNIQUE}),
            answer=json.dumps(
                {
                    "ok": True,
                    "external_id": "482913507726",
                    "record_url": "https://app.hubspot.com/contacts/44512345/record/0-1/482913507726",
                },
                separators=(",", ":"),
            ),
            expected="external_id",
        ),
    ]


def probe(port: int, operation: Operation, unique: str) -> None:
    """Send one request. OSError or HTTPException while nobody answers, BadAnswer when the answer is not the one."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    try:
        connection.request("POST", operation.path, operation.body.replace(UNIQUE, unique), headers)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    finally:
        connection.close()
    try:
        answered = response.status == 200 and operation.expected in json.loads(body)
    except ValueError:
        answered = False
    if not answered:
        raise BadAnswer(f"{operation.id} answered {response.status}: {body[:200]}")


#: What `probe` raises as long as a server is not there yet.
NOT_YET = (OSError, HTTPException)
