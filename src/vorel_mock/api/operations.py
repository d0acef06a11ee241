"""Step: the operations themselves, plain functions over a tenant. Other operations return an example response."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vorel_mock.api.messages import ApiError
from vorel_mock.api.steps.validation import Arguments
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import ContractError
from vorel_mock.contract.operation import Operation, is_json
from vorel_mock.model.commands import create_record, handoff_requested, request_handoff
from vorel_mock.model.handoffs import Event
from vorel_mock.model.tenant import Tenant

#: Receives an event that the operation publishes.
Publish = Callable[[Event], object]
#: Returns the value of the 200 response, given the tenant, the id of the key, the arguments, and the current time.
Handler = Callable[[Tenant, str, Arguments, float, Publish], dict[str, Any]]


def handoff_lead(
    tenant: Tenant, key_id: str, arguments: Arguments, now: float, publish: Publish, *, status: str
) -> dict[str, Any]:
    """Escalate a lead to a human (#/paths/~1api~1v1~1leads~1{id}~1handoff/post).

    Only the tenant's own leads are searched, so that another tenant's lead gives the same 404 as an unknown one.
    """
    lead = tenant.leads.get(arguments.path["id"].lower())
    if lead is None:
        raise ApiError(404, "No lead with this id is visible to your tenant.")
    body = arguments.body if isinstance(arguments.body, dict) else {}
    reason, summary = body.get("reason"), body.get("summary")
    handoff = request_handoff(
        tenant,
        lead,
        # A document may leave their types open; a value of another type is then ignored like an unknown member.
        reason=reason if isinstance(reason, str) else None,
        summary=summary if isinstance(summary, str) else None,
        status=status,
        key_id=key_id,
        now=now,
    )
    if tenant.webhooks:
        publish(handoff_requested(tenant, handoff))
    return {
        "handoff_id": handoff.id,
        "lead_id": lead.id,
        "conversation_id": handoff.conversation_id,
        "conversation_status": status,
        "notified_channel": handoff.notified_channel,
    }


def create_crm_record(
    tenant: Tenant, key_id: str, arguments: Arguments, now: float, publish: Publish
) -> dict[str, Any]:
    """Push a record into the tenant's CRM (#/paths/~1api~1v1~1crm~1create-record/post).

    Raises CrmError for a soft failure: the pipeline turns it into `{"ok": false, ..}` with status 200.
    """
    body = arguments.body
    record = create_record(
        tenant, object=body["object"], fields=body["fields"], idempotency_key=body["idempotency_key"], now=now
    )
    value = {"ok": True, "external_id": record.external_id}
    return value if record.record_url is None else {**value, "record_url": record.record_url}


def handlers(contract: Contract) -> dict[str, Handler]:
    """Return the handlers by operationId. Raises ContractError if the document does not fit a handler."""
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
    """Check that the document demands what a handler relies on: a path parameter, body `members` of a type.

    Raises ContractError if it does not.
    """
    if not operation.security:
        raise ContractError(f"{operation.id}: the mock needs a key to know the tenant; add `security` to the operation")
    if parameter and f"{{{parameter}}}" not in operation.path:
        raise ContractError(f"{operation.id}: the mock needs the path parameter {parameter!r}; add it to the path")
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


def handoff_status(contract: Contract) -> str:
    """Return the status of a conversation that was handed off; `active` if the document has no such operation."""
    found = (operation for operation in contract.operations if operation.id == "handoffLead")
    return next((_conversation_status(contract, operation) for operation in found), "active")


def _conversation_status(contract: Contract, operation: Operation) -> str:
    """Return the status that a handoff leads to: the only one that the document allows in the response."""
    try:
        content = operation.responses["200"]["content"]["application/json"]
        schema = contract.keywords(content["schema"])
        return str(contract.keywords(schema["properties"]["conversation_status"])["enum"][0])
    except (KeyError, IndexError):
        raise ContractError(f"{operation.id}: its 200 response has no enum for conversation_status") from None
