"""The contract document: find it, read it, look things up. The kit repeats none of its values in code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs

PACKAGE = Path(__file__).resolve().parents[1]
# In an installation the wheel puts it beside the package; in a checkout it is at the root.
PLACES = (PACKAGE.parent / "vorel_contract" / "openapi.json", PACKAGE.parents[1] / "openapi.json")
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

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the path of any request to this operation, whatever the lead."""
        return re.compile(re.escape(self.path).replace(re.escape("{id}"), "[^/]*"))

    @property
    def takes_lead(self) -> bool:
        """True if the path contains the id of a lead."""
        return "{id}" in self.path

    def url(self, lead: str = "") -> str:
        """Return the path with `lead` as its parameter."""
        return self.path.replace("{id}", lead)


@dataclass(frozen=True)
class Contract:
    """The document, and lookups in it."""

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
        """The operation that writes to the CRM."""
        return next(each for each in self.operations.values() if not each.takes_lead)

    def at(self, pointer: str) -> Any:
        """Return the value at a JSON pointer. Raises KeyError if there is none."""
        value: Any = self.document
        for token in pointer.split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(token)] if isinstance(value, list) else value[token]
            except (IndexError, ValueError, TypeError, KeyError) as error:
                raise KeyError(pointer) from error
        return value

    def schema(self, name: str) -> dict[str, Any]:
        """Return a schema of the components by its name."""
        found: dict[str, Any] = self.document["components"]["schemas"][name]
        return found

    def operation(self, method: str, path: str) -> Operation | None:
        """Return the operation that a request belongs to, or None. `path` has no query."""
        for each in self.operations.values():
            if each.method == method and each.pattern.fullmatch(path):
                return each
        return None

    def code_of(self, operation: Operation, status: int) -> str | None:
        """Return the error code of a declared status: the name of its response in snake case. None without one."""
        response = self.document["paths"][operation.path][operation.method.lower()]["responses"].get(str(status), {})
        name = response.get("$ref", "").rsplit("/", 1)[-1]
        code = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        return code if code in self.codes else None

    def codes_of_undeclared(self, status: int) -> list[str]:
        """Return the error codes for a status of a response that no operation declares, for example of another path.

        A status that an operation declares has its own code. Any other has a code without a status, or that of 400.
        """
        named = {
            other: code
            for each in self.operations.values()
            for other in each.statuses
            if (code := self.code_of(each, other))
        }
        if status in named:
            return [named[status]]
        return [code for code in self.codes if code not in named.values() or code == named.get(400)]

    @property
    def codes(self) -> list[str]:
        """The error codes."""
        found: list[str] = self.schema("ErrorEnvelope")["properties"]["error"]["properties"]["code"]["enum"]
        return found

    @property
    def limit_headers(self) -> list[str]:
        """The headers that the contract declares for a 429, in its spelling."""
        return list(self.document["components"]["responses"]["RateLimited"]["headers"])


def find() -> Path:
    """Return the path of the contract. Raises FileNotFoundError if the installation lacks it."""
    for place in PLACES:
        if place.is_file():
            return place
    raise FileNotFoundError("openapi.json is missing from this installation: reinstall vorel-mock")


@cache
def load() -> Contract:
    """Return the contract that the kit certifies against."""
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
    """Return a compiled validator of the schema at `pointer`, with formats and the references of the document."""
    schema = load().at(pointer)
    return validator_of({**schema, "components": load().document["components"]})


def validator_of(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return a compiled validator of any schema in JSON Schema 2020-12, with formats."""
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
