"""The contract document: found, read, and asked. Nothing that stands in it is typed again in the kit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

HERE = Path(__file__).resolve().parent
# Beside the installed packages (the wheel puts it there), or at the root of a checkout.
PLACES = (HERE.parent / "vorel_contract" / "openapi.json", HERE.parent.parent / "openapi.json")
MEDIA_TYPE = "application/json"


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    id: str
    method: str
    path: str
    scopes: frozenset[str]
    statuses: frozenset[int]
    body: Mapping[str, Any]
    body_required: bool

    @property
    def takes_lead(self) -> bool:
        """Whether the path carries the id of a lead."""
        return "{id}" in self.path

    def url(self, lead: str = "") -> str:
        """The path, with `lead` in the place of its parameter."""
        return self.path.replace("{id}", lead)


@dataclass(frozen=True)
class Contract:
    """The document as it was read, and what the kit asks it for."""

    document: dict[str, Any]
    sha256: str
    operations: Mapping[str, Operation]

    @property
    def version(self) -> str:
        """`info.version`."""
        return str(self.document["info"]["version"])

    @property
    def handoff(self) -> Operation:
        """The operation that escalates a lead."""
        return next(each for each in self.operations.values() if each.takes_lead)

    @property
    def crm(self) -> Operation:
        """The operation that writes into the CRM."""
        return next(each for each in self.operations.values() if not each.takes_lead)

    def at(self, pointer: str) -> Any:
        """The value at a JSON pointer; KeyError when there is none."""
        value: Any = self.document
        for token in pointer.split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(token)] if isinstance(value, list) else value[token]
            except (IndexError, ValueError, TypeError, KeyError) as error:
                raise KeyError(pointer) from error
        return value

    def schema(self, name: str) -> dict[str, Any]:
        """A schema of the components by its name."""
        found: dict[str, Any] = self.document["components"]["schemas"][name]
        return found

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a request belongs to, or None; `path` comes without its query."""
        for each in self.operations.values():
            pattern = re.escape(each.path).replace(re.escape("{id}"), "[^/]*")
            if each.method == method and re.fullmatch(pattern, path):
                return each
        return None

    def code_of(self, operation: Operation, status: int) -> str | None:
        """The error code that belongs to a declared status: the name of its response, in snake case."""
        response = self.document["paths"][operation.path][operation.method.lower()]["responses"].get(str(status), {})
        name = response.get("$ref", "").rsplit("/", 1)[-1]
        code = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        return code if code in self.codes else None

    @property
    def codes(self) -> list[str]:
        """The error codes."""
        found: list[str] = self.schema("ErrorEnvelope")["properties"]["error"]["properties"]["code"]["enum"]
        return found

    @property
    def limit_headers(self) -> list[str]:
        """The headers that a 429 declares, in the contract's spelling."""
        return list(self.document["components"]["responses"]["RateLimited"]["headers"])


def find() -> Path:
    """The file that holds the contract; FileNotFoundError when the installation lacks it."""
    for place in PLACES:
        if place.is_file():
            return place
    raise FileNotFoundError("openapi.json is missing from this installation; install vorel-mock again")


@cache
def load() -> Contract:
    """The contract that the kit certifies against."""
    raw = find().read_bytes()
    document = json.loads(raw)
    operations = {}
    for path, methods in document["paths"].items():
        for method, item in methods.items():
            content = item["requestBody"]["content"][MEDIA_TYPE]["schema"]
            operations[item["operationId"]] = Operation(
                id=item["operationId"],
                method=method.upper(),
                path=path,
                scopes=frozenset(scope for each in item["security"] for names in each.values() for scope in names),
                statuses=frozenset(int(status) for status in item["responses"]),
                body=document["components"]["schemas"][content["$ref"].rsplit("/", 1)[-1]],
                body_required=item["requestBody"]["required"],
            )
    return Contract(document, hashlib.sha256(raw).hexdigest(), operations)


@cache
def validator(pointer: str) -> jsonschema_rs.Draft202012Validator:
    """A compiled validator of the schema at `pointer`; formats are checked, references are those of the document."""
    schema = load().at(pointer)
    return validator_of({**schema, "components": load().document["components"]})


def validator_of(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A compiled validator of any schema in JSON Schema 2020-12, formats checked."""
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
