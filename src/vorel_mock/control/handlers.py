"""What the operations of the control plane do."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import request

import vorel_mock
from vorel_mock import demo
from vorel_mock.api.journal import explain
from vorel_mock.clock import iso
from vorel_mock.crm import RESERVED_VALUES
from vorel_mock.lean_connexion import ProblemException
from vorel_mock.mock import Mock

Json = dict[str, Any]


def health(mock: Mock) -> Json:
    """Is it up, and what is it?"""
    info = mock.contract.document["info"]
    return {
        "status": "ok",
        "version": vorel_mock.__version__,
        "contract": {
            "title": info["title"],
            "version": info["version"],
            "operations": [operation.id for operation in mock.contract.operations],
        },
        "seed": mock.seed,
        "clock": {"now": iso(mock.clock.now()), "frozen": mock.clock.frozen},
        "tenants": sum(1 for _ in mock.store.tenants()),
    }


def target(mock: Mock) -> Json:
    """The target profile of the demo world, with the base URL by which it was asked for."""
    return demo.target(mock.store, request.host_url.rstrip("/"))


def reset(mock: Mock) -> tuple[None, int]:
    """Back to the state of the start."""
    mock.reset()
    return None, 204


def reserved_values(mock: Mock) -> Json:
    """Field values that make a CRM write fail softly."""
    return {"data": [dict(value) for value in RESERVED_VALUES]}


def get_request(mock: Mock, id: str) -> Json:
    """How an answer came about."""
    exchange = mock.journal.get(id)
    if exchange is None:
        raise ProblemException(status=404, detail="No request with this id is kept.")
    return explain(exchange, mock.contract)


def contract_document(mock: Mock) -> Json:
    """The contract document with this mock as its only server, so that nobody tries things out on production."""
    return {**mock.contract.document, "servers": [{"url": mock.contract.base_path or "/", "description": "this mock"}]}


_BY_OPERATION_ID: dict[str, Callable[..., Any]] = {
    "health": health,
    "target": target,
    "reset": reset,
    "reservedValues": reserved_values,
    "getRequest": get_request,
    "contractDocument": contract_document,
}


def bind(mock: Mock) -> dict[str, Callable[..., Any]]:
    """The handlers by operationId, each holding the mock's lock while it runs."""
    return {name: partial(_locked, mock, function) for name, function in _BY_OPERATION_ID.items()}


def _locked(mock: Mock, function: Callable[..., Any], **arguments: Any) -> Any:
    with mock.lock:
        return function(mock, **arguments)
