"""The whole mock: health, target, reset, the documents."""

from copy import deepcopy
from typing import Any

from flask import request

import vorel_mock
from vorel_mock.contract.document import Document
from vorel_mock.contract.operation import Operation, is_json
from vorel_mock.control import document
from vorel_mock.control.handlers.clock import shown
from vorel_mock.control.handlers.support import Operations, api_url, reject
from vorel_mock.mock import demo, fixtures
from vorel_mock.mock import target as profiles
from vorel_mock.mock.mock import Mock
from vorel_mock.model.crm import RESERVED_VALUES

Json = dict[str, Any]


def health(mock: Mock) -> Json:
    """Return the state and the version of the mock."""
    info = mock.contract.document["info"]
    with mock.lock:
        mock.expiry.sweep()
        return {
            "status": "ok",
            "version": vorel_mock.__version__,
            "contract": {
                "title": info["title"],
                "version": info["version"],
                "operations": [operation.id for operation in mock.contract.operations],
            },
            "seed": mock.seed,
            "clock": shown(mock.clock),
            "tenants": mock.store.total,
        }


def target(mock: Mock) -> Json:
    """Return the target profile of the fixtures, with the base URL of the request."""
    with mock.lock:
        return profiles.of_mock(mock, api_url(mock))


def reset(mock: Mock, body: Json | None = None) -> tuple[None, int]:
    """Restore the initial state of the fixtures; with `all`, delete the other tenants."""
    try:
        mock.reset(everything=bool((body or {}).get("all")))
    except fixtures.FixturesError as error:
        reject(409, f"the fixtures cannot be read again, and nothing was changed: {'; '.join(error.problems)}")
    except ValueError as error:
        reject(409, f'{error}, or say {{"all": true}}')
    return None, 204


def fixtures_schema(mock: Mock) -> Json:
    """Return the JSON Schema of a file with fixtures."""
    from vorel_mock.mock.fixtures import rows  # the start need not wait for the structures

    return rows.schema(mock.contract)


def reserved_values(mock: Mock) -> Json:
    """Field values that make a CRM write fail softly."""
    return {"data": [dict(value) for value in RESERVED_VALUES]}


def contract_document(mock: Mock) -> Json:
    """Return the contract document with this mock as its only server, so that no one tests against production.

    What it gives no example of has one that works, so that a page that fills in requests fills in good ones.
    """
    shown = Document(deepcopy(mock.contract.document))
    server = request.script_root + mock.contract.base_path or "/"
    shown.document["servers"] = [{"url": server, "description": "this mock"}]
    for operation in mock.contract.operations:
        if operation.id in demo.BODIES:
            _add_examples(mock, shown, operation)
    return shown.document


def _add_examples(mock: Mock, shown: Document, operation: Operation) -> None:
    """Add a body and a lead to an operation with a handler, where the document has no examples."""
    with mock.lock:
        leads = [lead for tenant in mock.fixtures for lead in tenant.leads]
    for parameter in map(shown.resolve, shown.at(operation.pointer).get("parameters", ())):
        if operation.id == "handoffLead" and parameter.get("in") == "path" and leads:
            parameter.setdefault("example", leads[0])
    if operation.body is not None:
        for media_type, media in shown.at(operation.body.pointer).get("content", {}).items():
            if is_json(media_type) and "examples" not in media:
                media.setdefault("example", demo.BODIES[operation.id])


def control_document(mock: Mock) -> Json:
    """Return the document of the control plane."""
    return document.served(mock.contract, request.script_root + document.PREFIX, token=mock.control_token is not None)


OPERATIONS: Operations = {
    "health": health,
    "target": target,
    "reset": reset,
    "reservedValues": reserved_values,
    "contractDocument": contract_document,
    "controlDocument": control_document,
    "fixturesSchema": fixtures_schema,
}
