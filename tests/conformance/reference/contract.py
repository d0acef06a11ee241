"""The parts of the contract document that the reference server uses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs

HANDOFF, CRM = "handoffLead", "createCrmRecord"

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "openapi.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: re.Pattern[str]
    scopes: frozenset[str]
    body_required: bool
    body: jsonschema_rs.Validator


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    # Masked, so that a message never repeats input of the client.
    whole = schema | {"components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True, mask="the value")


def _operations() -> tuple[Operation, ...]:
    return tuple(
        Operation(
            name=operation["operationId"],
            method=method.upper(),
            path=re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))),
            scopes=frozenset(operation["security"][0]["BearerAuth"]),
            body_required=operation["requestBody"]["required"],
            body=_validator(operation["requestBody"]["content"]["application/json"]["schema"]),
        )
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    )


OPERATIONS = _operations()


def body_error(operation: Operation, value: Any) -> str | None:
    """Return the first violation of the body's schema as `field: problem`, or None."""
    for error in operation.body.iter_errors(value):
        field = getattr(error.kind, "property", None) or ".".join(map(str, error.instance_path)) or "body"
        return f"{field}: {error.message}"
    return None
