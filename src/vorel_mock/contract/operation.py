"""The operations of a document, as the steps of a request need them."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from vorel_mock.contract.document import Document
from vorel_mock.contract.document_file import ContractError, escape
from vorel_mock.contract.schemas import Validator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
#: Between the parts of a list or an object, by the style of the parameter.
_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|", "deepObject": None}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation: path, query, header or cookie."""

    name: str
    location: str
    required: bool
    kind: Literal["text", "list", "object", "deep", "json"]
    """The kind of its value; `deep` is an object whose members are parameters: `filter[name]=Ann`."""
    separator: str | None
    """The text between the parts of a list or an object; None if each part is a parameter of its own."""
    pairs: bool
    """True if the parts of an object are written `name=value`."""
    types: frozenset[str]
    item_types: frozenset[str]
    member_types: Mapping[str, frozenset[str]]
    validator: Validator | None
    declared: Mapping[str, Any]
    """The parameter object, references resolved."""
    is_text: bool
    """True if its value is its text."""


@dataclass(frozen=True, slots=True)
class Body:
    """The request body of an operation."""

    required: bool
    media_types: tuple[str, ...]
    """In lower case, without parameters, ranges (`image/*`) included. Empty: JSON."""
    takes_json: bool
    json_validator: Validator | None
    pointer: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One alternative of an operation's `security`: the scopes that a key needs to satisfy it."""

    scopes: frozenset[str]
    pointer: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document."""

    id: str
    method: str
    path: str
    pointer: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    security: tuple[Requirement, ...]
    """Alternatives; empty when the operation asks for no key."""
    responses: Mapping[str, Mapping[str, Any]]
    """Status (or `default`) to the response object, references resolved."""
    success_pointer: str
    """The pointer of its 200 response."""

    def declared_as(self, status: int) -> str | None:
        """Return the name under which a status is declared: `404`, `4XX` or `default`; None if it is not."""
        names = (str(status), f"{status // 100}XX", "default")
        return next((name for name in names if name in self.responses), None)


def read_operations(document: Document, base_path: str) -> tuple[Operation, ...]:
    """Return every operation, in the document's order, below `base_path`. Raises ContractError."""
    found = []
    for path in document.document.get("paths") or {}:
        where, item = document.follow(f"#/paths/{escape(path)}")
        found += [_operation(document, base_path, path, method, item, where) for method in METHODS if method in item]
    shapes: dict[tuple[str, str], str] = {}
    for operation in found:
        other = shapes.setdefault((operation.method, re.sub(r"\{[^}]*\}", "{}", operation.path)), operation.path)
        if other != operation.path:
            raise ContractError(f"{other} and {operation.path} are the same path, and both have {operation.method}")
    for operation_id, times in Counter(operation.id for operation in found).items():
        if times > 1:
            raise ContractError(f"operationId {operation_id!r} is a duplicate")
    return tuple(found)


def _operation(
    document: Document, base_path: str, path: str, method: str, item: dict[str, Any], where: str
) -> Operation:
    node = item[method]
    pointer = f"{where}/{method}"
    shared = [f"{where}/parameters/{i}" for i, _ in enumerate(item.get("parameters", []))]
    own = [f"{pointer}/parameters/{i}" for i, _ in enumerate(node.get("parameters", []))]
    # An operation's parameter takes the place of the path's of the same name and location.
    parameters: dict[tuple[str, str], Parameter] = {}
    for pointers in (shared, own):
        declared = [_parameter(document, p) for p in pointers]
        parameters |= {(p.name, p.location): p for p in declared}
        if len({(p.name, p.location) for p in declared}) < len(declared):
            raise ContractError(f"{pointer}: a parameter is a duplicate")
    names = set(re.findall(r"\{([^}]*)\}", path))
    for name in names ^ {p.name for p in parameters.values() if p.location == "path"}:
        fault = "no parameter declares {%s} of its path" if name in names else "its path has no {%s}"
        raise ContractError(f"{pointer}: {fault.replace('%s', name)}")
    # Of these the document says more elsewhere; OpenAPI has them ignored here.
    for name, location in list(parameters):
        if location == "header" and name.lower() in ("accept", "content-type", "authorization"):
            del parameters[name, location]
    return Operation(
        id=node.get("operationId") or f"{method} {path}",
        method=method,
        path=base_path + path,
        pointer=pointer,
        parameters=tuple(parameters.values()),
        body=_body(document, node, pointer),
        security=_security(document, node, pointer),
        responses={str(status): document.resolve(r) for status, r in (node.get("responses") or {}).items()},
        success_pointer=f"{pointer}/responses/200",
    )


def _parameter(document: Document, pointer: str) -> Parameter:
    pointer, node = document.follow(pointer)
    if "in" not in node or "name" not in node:
        raise ContractError(f"what is referred to as {pointer} is no parameter")
    where, holder = node["in"], node
    style = node.get("style", "simple" if where in ("path", "header") else "form")
    if style not in _SEPARATORS:
        raise ContractError(f"{pointer}: the mock does not know the style {style!r} of a parameter")
    content = next(iter(node.get("content") or ()), None)
    if content is not None:
        pointer, holder = f"{pointer}/content/{escape(content)}", node["content"][content]
    schema = document.resolve(holder.get("schema", {}))
    types = document.types_of(schema)
    explode = bool(node.get("explode", style == "form"))
    kind: Literal["text", "list", "object", "deep", "json"] = "text"
    if content is not None:
        kind = "json" if is_json(content) else "text"
    elif style == "deepObject":
        kind = "deep"
    elif "array" in types:
        kind = "list"
    elif "object" in types:
        kind = "object"
    return Parameter(
        name=node["name"],
        location=where,
        required=bool(node.get("required")),
        kind=kind,
        separator=None if explode and where == "query" else _SEPARATORS[style],
        pairs=explode,
        types=types,
        item_types=document.types_of(document.keywords(schema).get("items", {})),
        member_types={
            name: document.types_of(member) | document.types_of(document.keywords(member).get("items", {}))
            for name, member in document.members_of(schema).items()
        },
        validator=document.validator(f"{pointer}/schema") if "schema" in holder else None,
        declared=node,
        is_text=kind == "text" and not types & {"integer", "number", "boolean"},
    )


def _body(document: Document, node: dict[str, Any], pointer: str) -> Body | None:
    if "requestBody" not in node:
        return None
    pointer, body = document.follow(f"{pointer}/requestBody")
    content = body.get("content") or {}
    jsons = [name for name in content if is_json(name) or media_type(name) in ("*/*", "application/*")]
    media = next((name for name in jsons if "schema" in content[name]), None)
    return Body(
        required=bool(body.get("required")),
        media_types=tuple(map(media_type, content)),
        takes_json=not content or bool(jsons),
        json_validator=document.validator(f"{pointer}/content/{escape(media)}/schema") if media else None,
        pointer=pointer,
    )


def _security(document: Document, node: dict[str, Any], pointer: str) -> tuple[Requirement, ...]:
    where = f"{pointer}/security" if "security" in node else "#/security"
    alternatives = node.get("security", document.document.get("security", []))
    if {} in alternatives:
        return ()
    return tuple(
        Requirement(frozenset(scope for scopes in schemes.values() for scope in scopes), f"{where}/{i}")
        for i, schemes in enumerate(alternatives)
    )


@lru_cache(maxsize=256)
def lead_parameter(path: str) -> str | None:
    """Return the name of the path parameter that is the id of a lead: `/leads/{id}`; None if there is none."""
    found = re.search(r"/leads/\{([^}]*)\}", path)
    return None if found is None else found[1]


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Return True if a Content-Type is JSON."""
    name = media_type(content_type)
    return name == "application/json" or name.endswith("+json")
