"""Step: the operations themselves, plain functions over a tenant. Every other operation answers by example."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vorel_mock.api.messages import Refusal
from vorel_mock.api.steps.validation import Arguments
from vorel_mock.contract.contract import Contract, ContractError, Operation, is_json
from vorel_mock.model.crm_records import create_record
from vorel_mock.model.handoffs import Event, request_handoff
from vorel_mock.model.tenant import Tenant

#: Takes an event that the operation published.
Publish = Callable[[Event], object]
#: What answers an operation: the value of its 200 answer, from the tenant, the id of the key, and the arguments.
Handler = Callable[[Tenant, str, Arguments, Publish], dict[str, Any]]


def handoff_lead(tenant: Tenant, key_id: str, arguments: Arguments, publish: Publish, *, status: str) -> dict[str, Any]:
    """Escalate a lead to a human (#/paths/~1api~1v1~1leads~1{id}~1handoff/post).

    A lead of another tenant is not looked at: it answers exactly as one that does not exist.
    """
    lead = tenant.leads.get(arguments.path["id"].lower())
    if lead is None:
        raise Refusal(404, "No lead with this id is visible to your tenant.")
    body = arguments.body if isinstance(arguments.body, dict) else {}
    reason, summary = body.get("reason"), body.get("summary")
    handoff, event = request_handoff(
        tenant,
        lead,
        # Where a document does not say that they are text, what is none is an unknown member like any other.
        reason=reason if isinstance(reason, str) else None,
        summary=summary if isinstance(summary, str) else None,
        status=status,
        key_id=key_id,
    )
    publish(event)
    return {
        "handoff_id": handoff.id,
        "lead_id": lead.id,
        "conversation_id": handoff.conversation_id,
        "conversation_status": status,
        "notified_channel": handoff.notified_channel,
    }


def create_crm_record(tenant: Tenant, key_id: str, arguments: Arguments, publish: Publish) -> dict[str, Any]:
    """Push a record into the tenant's CRM (#/paths/~1api~1v1~1crm~1create-record/post).

    CrmError is the soft failure: the pipeline makes `{"ok": false, ..}` of it, under status 200.
    """
    body = arguments.body
    record = create_record(
        tenant, object=body["object"], fields=body["fields"], idempotency_key=body["idempotency_key"]
    )
    answer = {"ok": True, "external_id": record.external_id}
    return answer if record.record_url is None else {**answer, "record_url": record.record_url}


def handlers(contract: Contract) -> dict[str, Handler]:
    """The handlers by operationId. ContractError when the document asks for what a handler does not do."""
    made: dict[str, Handler] = {}
    for operation in contract.operations:
        if operation.id == "handoffLead":
            _fits(contract, operation, parameter="id")
            made[operation.id] = partial(handoff_lead, status=_conversation_status(contract, operation))
        elif operation.id == "createCrmRecord":
            _fits(contract, operation, members={"object": "string", "fields": "object", "idempotency_key": "string"})
            made[operation.id] = create_crm_record
    return made


def _fits(
    contract: Contract, operation: Operation, parameter: str = "", members: Mapping[str, str] | None = None
) -> None:
    """Check that what a handler takes for granted is what the document demands: `members` of a type, that is."""
    if not operation.security:
        raise ContractError(f"{operation.id}: the mock needs a key to know the tenant, and its security asks for none")
    if parameter and f"{{{parameter}}}" not in operation.path:
        raise ContractError(f"{operation.id}: the mock needs the path parameter {parameter!r}, and there is none")
    if members:
        body = contract.resolve(contract.at(operation.pointer).get("requestBody", {}))
        schemas = (media.get("schema", {}) for name, media in body.get("content", {}).items() if is_json(name))
        schema = contract.keywords(next(schemas, {}))
        required = schema.get("required", ()) if body.get("required") else ()
        missing = [member for member in members if member not in required]
        if missing:
            raise ContractError(f"{operation.id}: the mock needs a body in which {', '.join(missing)} is required")
        for member, kind in members.items():
            if contract.types_of(schema.get("properties", {}).get(member, {})) != {kind}:
                raise ContractError(f"{operation.id}: the mock needs a body in which {member} is of type {kind}")


def _conversation_status(contract: Contract, operation: Operation) -> str:
    """The status that a handoff leads to: the only one that the document allows in the answer."""
    try:
        content = operation.responses["200"]["content"]["application/json"]
        schema = contract.keywords(content["schema"])
        return str(contract.keywords(schema["properties"]["conversation_status"])["enum"][0])
    except (KeyError, IndexError):
        raise ContractError(f"{operation.id}: its 200 answer has no enum for conversation_status") from None
