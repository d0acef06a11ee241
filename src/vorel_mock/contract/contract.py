"""The contract document, read once: operations, scopes, header names, error codes, compiled validators.

Whatever the document says is taken from here, so that it is never typed a second time. JSON pointers are written as
URI fragments (`#/paths/~1api~1v1…/post`), the form in which a reader can look them up.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import jsonschema_rs

from vorel_mock.contract import metaschema as openapi
from vorel_mock.contract.document_file import ContractError as ContractError
from vorel_mock.contract.document_file import escape, first_line, read_document

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_URI = "urn:vorel:contract"
#: A schema may be composed of itself.
_MAX_COMPOSITION = 8
#: Between the parts of a list or an object, by the style of the parameter.
_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|", "deepObject": None}
_NAMES = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def default_path() -> Path:
    """Return the path of the vendored document: beside the installed packages, or at the root of a checkout."""
    packages = Path(__file__).parents[2]
    installed = packages / "vorel_contract" / "openapi.json"
    return installed if installed.exists() else packages.parent / "openapi.json"


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a value breaks its schema."""

    field: str
    """The member at fault, as a dotted path within the value; empty for the value itself."""
    message: str
    """The demand of the schema. Never quotes the value, which may hold a secret."""
    pointer: str
    """The keyword of the document that is broken."""


class Validator:
    """One schema of the document, compiled, JSON Schema 2020-12, formats asserted."""

    __slots__ = ("_compiled", "is_valid")

    def __init__(self, registry: jsonschema_rs.Registry, pointer: str) -> None:
        self._compiled = jsonschema_rs.Draft202012Validator(
            {"$ref": _uri(pointer)}, registry=registry, validate_formats=True, mask="value"
        )
        self.is_valid = self._compiled.is_valid

    def violations(self, value: object) -> Iterator[Violation]:
        """Every way in which `value` breaks the schema."""
        for error in self._compiled.iter_errors(value):
            path = [str(step) for step in error.instance_path]
            details = error.kind.as_dict()
            if "property" in details:  # `required`: the path ends at the object, the fault is its member
                path.append(str(details["property"]))
            if "options" in details:
                message = "must be one of " + ", ".join(json.dumps(option) for option in details["options"])
            elif "property" in details:
                message = "is required"
            else:
                message = re.sub(r"^value (is )?", lambda m: "is " if m[1] else "", error.message)
            location = (error.absolute_keyword_location or "").removeprefix(_URI)
            yield Violation(".".join(path), message, unquote(location))


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


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """The names of the headers that tell about the limit; None for one that the document does not declare."""

    retry_after: str | None
    limit: str | None
    remaining: str | None
    reset: str | None


class Contract:
    """The document and what is read from it. Compiled parts are made on first use and kept."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._registry = jsonschema_rs.Registry([(_URI, document)], draft=jsonschema_rs.Draft202012)

    def resolve(self, node: Any) -> Any:
        """`node`, or what it refers to when it is a reference within the document."""
        seen = 0
        while isinstance(node, dict) and "$ref" in node:
            reference = node["$ref"]
            if not isinstance(reference, str) or not reference.startswith("#/") or (seen := seen + 1) > 50:
                raise ContractError(f"$ref {reference!r} cannot be resolved within the document")
            node = self.at(reference)
        return node

    def keywords(self, schema: Any) -> Mapping[str, Any]:
        """Return the keywords of a schema, references resolved; none if it is `true` or `false`."""
        schema = self.resolve(schema)
        return schema if isinstance(schema, dict) else {}

    def follow(self, pointer: str) -> tuple[str, dict[str, Any]]:
        """Follow the references at `pointer`; return the final pointer and the value there."""
        node = self.at(pointer)
        self.resolve(node)  # ends, or says that it does not
        while isinstance(node, dict) and "$ref" in node:
            pointer = node["$ref"]
            node = self.at(pointer)
        if not isinstance(node, dict):
            raise ContractError(f"what is referred to as {pointer} is no object")
        return pointer, node

    def at(self, pointer: str) -> Any:
        """Return the value at a JSON pointer of the document. Raises ContractError if there is none."""
        node: Any = self.document
        for step in pointer.removeprefix("#").split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(name)] if isinstance(node, list) else node[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ContractError(f"the document has nothing at {pointer}") from None
        return node

    def validator(self, pointer: str) -> Validator:
        """The schema at `pointer`, compiled."""
        try:
            return Validator(self._registry, pointer)
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise ContractError(f"the schema at {pointer} cannot be compiled: {first_line(error)}") from None

    def invalid(self, values: Mapping[str, tuple[str, Any]]) -> frozenset[str]:
        """The names of those `values` (each with the pointer of its schema) that break their schemas."""
        schema = {"properties": {name: {"$ref": _uri(pointer)} for name, (pointer, _) in values.items()}}
        try:
            compiled = jsonschema_rs.Draft202012Validator(schema, registry=self._registry, validate_formats=True)
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
            for pointer, _ in values.values():
                self.validator(pointer)  # the one at fault says so
            raise
        errors = compiled.iter_errors({name: value for name, (_, value) in values.items()})
        return frozenset(str(error.instance_path[0]) for error in errors)

    def checker(self, schema: Any) -> Callable[[Any], bool]:
        """Return a check of values against `schema`, which need not be in the document, but may refer to it."""
        try:
            return jsonschema_rs.Draft202012Validator(
                _absolute(schema), registry=self._registry, validate_formats=True
            ).is_valid
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise ContractError(f"a schema cannot be compiled: {first_line(error)}") from None

    @cached_property
    def base_path(self) -> str:
        """The path of the first server's URL, under which every path of the document lies; mostly empty."""
        servers = self.document.get("servers") or [{"url": "/"}]
        url = str(servers[0]["url"])
        for name, variable in (servers[0].get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable["default"]))
        try:
            path = unquote(urlsplit(url).path).strip("/")
        except ValueError:
            raise ContractError(f"the URL of its first server cannot be read: {url!r}") from None
        if "{" in path:
            raise ContractError(f"the URL of its first server has a variable that is not declared there: {url!r}")
        return f"/{path}" if path else ""

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation, in the document's order."""
        found = []
        for path in self.document.get("paths") or {}:
            where, item = self.follow(f"#/paths/{escape(path)}")
            found += [self._operation(path, method, item, where) for method in METHODS if method in item]
        shapes: dict[tuple[str, str], str] = {}
        for operation in found:
            other = shapes.setdefault((operation.method, re.sub(r"\{[^}]*\}", "{}", operation.path)), operation.path)
            if other != operation.path:
                raise ContractError(f"{other} and {operation.path} are the same path, and both have {operation.method}")
        ids = [operation.id for operation in found]
        for operation_id in ids:
            if ids.count(operation_id) > 1:
                raise ContractError(f"operationId {operation_id!r} is a duplicate")
        return tuple(found)

    def _operation(self, path: str, method: str, item: dict[str, Any], where: str) -> Operation:
        node = item[method]
        pointer = f"{where}/{method}"
        shared = [f"{where}/parameters/{i}" for i, _ in enumerate(item.get("parameters", []))]
        own = [f"{pointer}/parameters/{i}" for i, _ in enumerate(node.get("parameters", []))]
        # An operation's parameter takes the place of the path's of the same name and location.
        parameters: dict[tuple[str, str], Parameter] = {}
        for pointers in (shared, own):
            declared = [self._parameter(p) for p in pointers]
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
            path=self.base_path + path,
            pointer=pointer,
            parameters=tuple(parameters.values()),
            body=self._body(node, pointer),
            security=self._security(node, pointer),
            responses={str(status): self.resolve(r) for status, r in (node.get("responses") or {}).items()},
            success_pointer=f"{pointer}/responses/200",
        )

    def _parameter(self, pointer: str) -> Parameter:
        pointer, node = self.follow(pointer)
        if "in" not in node or "name" not in node:
            raise ContractError(f"what is referred to as {pointer} is no parameter")
        where, holder = node["in"], node
        style = node.get("style", "simple" if where in ("path", "header") else "form")
        if style not in _SEPARATORS:
            raise ContractError(f"{pointer}: the mock does not know the style {style!r} of a parameter")
        content = next(iter(node.get("content") or ()), None)
        if content is not None:
            pointer, holder = f"{pointer}/content/{escape(content)}", node["content"][content]
        schema = self.resolve(holder.get("schema", {}))
        types = self.types_of(schema)
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
            item_types=self.types_of(self.keywords(schema).get("items", {})),
            member_types={
                name: self.types_of(member) | self.types_of(self.keywords(member).get("items", {}))
                for name, member in self._members(schema).items()
            },
            validator=self.validator(f"{pointer}/schema") if "schema" in holder else None,
            declared=node,
            is_text=kind == "text" and not types & {"integer", "number", "boolean"},
        )

    def _members(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """The members that a schema names, by itself or through composition."""
        schema = self.resolve(schema)
        if not isinstance(schema, dict) or depth > _MAX_COMPOSITION:
            return {}
        members = dict(schema.get("properties", {}))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                members = {**self._members(part, depth + 1), **members}
        return members

    def types_of(self, schema: Any, depth: int = 0) -> frozenset[str]:
        """The types that a schema names, by itself or through composition."""
        schema = self.resolve(schema)
        if not isinstance(schema, dict) or depth > _MAX_COMPOSITION:
            return frozenset()
        declared = schema.get("type", ())
        names = {declared} if isinstance(declared, str) else set(declared)
        if not names:
            values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
            names = {_NAMES[type(value)] for value in values if type(value) in _NAMES}
        for keyword in ("allOf", "anyOf", "oneOf"):
            names.update(*(self.types_of(part, depth + 1) for part in schema.get(keyword, ())))
        return frozenset(names)

    def _body(self, node: dict[str, Any], pointer: str) -> Body | None:
        if "requestBody" not in node:
            return None
        pointer, body = self.follow(f"{pointer}/requestBody")
        content = body.get("content") or {}
        jsons = [name for name in content if is_json(name) or media_type(name) in ("*/*", "application/*")]
        media = next((name for name in jsons if "schema" in content[name]), None)
        return Body(
            required=bool(body.get("required")),
            media_types=tuple(map(media_type, content)),
            takes_json=not content or bool(jsons),
            json_validator=self.validator(f"{pointer}/content/{escape(media)}/schema") if media else None,
            pointer=pointer,
        )

    def _security(self, node: dict[str, Any], pointer: str) -> tuple[Requirement, ...]:
        where = f"{pointer}/security" if "security" in node else "#/security"
        alternatives = node.get("security", self.document.get("security", []))
        if {} in alternatives:
            return ()
        return tuple(
            Requirement(frozenset(scope for scopes in schemes.values() for scope in scopes), f"{where}/{i}")
            for i, schemes in enumerate(alternatives)
        )

    @cached_property
    def scopes(self) -> frozenset[str]:
        """Every scope that some operation asks for."""
        return frozenset(s for operation in self.operations for need in operation.security for s in need.scopes)

    def scopes_of(self, operation_id: str) -> frozenset[str]:
        """The scopes that satisfy an operation; none when the document does not have it."""
        found = (o.security[0].scopes for o in self.operations if o.id == operation_id and o.security)
        return next(found, frozenset())

    @cached_property
    def notified_channels(self) -> tuple[str, ...]:
        """The enum of `notified_channel`; empty if the document has none."""
        for operation in self.operations:
            for media in (operation.responses.get("200", {}).get("content") or {}).values():
                members = self.keywords(media.get("schema", {})).get("properties", {})
                if "notified_channel" in members:
                    return tuple(self.keywords(members["notified_channel"]).get("enum", ()))
        return ()

    @cached_property
    def bearer_format(self) -> str | None:
        """The shape of a key as the document tells it: `vapk_<env>_<48-hex>`; None if it tells none (`JWT`, say)."""
        schemes = (self.document.get("components") or {}).get("securitySchemes") or {}
        told = (scheme.get("bearerFormat", "") for scheme in map(self.resolve, schemes.values()))
        return next((shape for shape in told if "<" in shape), None)

    @cached_property
    def token_pattern(self) -> re.Pattern[str]:
        """The shape of a key; any word if the document tells none."""
        if self.bearer_format is None:
            return re.compile(r"\S+")
        pattern = re.sub(r"<(\d+)(?:\\?[- ])hex[^<>]*>", r"[0-9a-f]{\1}", re.escape(self.bearer_format))
        return re.compile(re.sub(r"<[a-z]+>", "[a-z]+", pattern))

    @cached_property
    def error_responses(self) -> Mapping[int, tuple[str, str]]:
        """Status to the pointer and the description of the error response that the document declares for it."""
        found: dict[int, tuple[str, str]] = {}
        for path, item in (self.document.get("paths") or {}).items():
            for method in METHODS:
                for status, response in (self.resolve(item).get(method, {}).get("responses") or {}).items():
                    if status.isdigit() and int(status) >= 400:
                        pointer = f"{item.get('$ref', f'#/paths/{escape(path)}')}/{method}/responses/{status}"
                        entry = response.get("$ref", pointer), self.resolve(response).get("description", "")
                        found.setdefault(int(status), entry)
        return found

    @cached_property
    def error_codes(self) -> Mapping[int, str]:
        """Status to error code: the document names its error responses (`RateLimited`) as it names its codes.

        A response that has no name, or another one, goes by the phrase of its status.
        """
        try:
            known = self.at("#/components/schemas/ErrorEnvelope/properties/error/properties/code/enum")
        except ContractError:
            known = ["bad_request", "unauthorized", "forbidden", "not_found", "conflict"]
        phrases = {status.value: status.phrase.title().replace(" ", "") for status in HTTPStatus if status >= 400}
        names = {status: pointer.rsplit("/", 1)[-1] for status, (pointer, _) in self.error_responses.items()}
        codes = {
            status: code
            for status, name in [*phrases.items(), *names.items()]
            if (code := re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()) in known
        }
        # 405 and 500 are declared for no operation; which of the document's codes they carry is our decision.
        return {405: "bad_request", 429: "rate_limited", 500: "internal_error", **codes}

    def rate_limit_headers(self, operation: Operation | None) -> RateLimitHeaders:
        """The header names of the operation's own 429 answer; where it declares none, of the document's first one."""
        names = self._rate_limit_headers
        return names.get(operation.id if operation is not None else "", names[""])

    @cached_property
    def _rate_limit_headers(self) -> Mapping[str, RateLimitHeaders]:
        """By operationId, the empty one for whatever declares no 429."""
        found = {o.id: _limit_headers(o.responses["429"]) for o in self.operations if "429" in o.responses}
        return {"": next(iter(found.values()), _limit_headers({})), **found}


def _limit_headers(response: Mapping[str, Any]) -> RateLimitHeaders:
    by_suffix = {name.lower().rsplit("-", 1)[-1]: name for name in response.get("headers") or {}}
    return RateLimitHeaders(*(by_suffix.get(suffix) for suffix in ("after", "limit", "remaining", "reset")))


def load(path: Path | None = None) -> Contract:
    """The contract at `path` (JSON or YAML, OpenAPI 3.1), or the vendored one. ContractError says what is wrong.

    Only a document that somebody brings is checked against the OpenAPI schema here: the vendored one is pinned, and
    checked by a test.
    """
    document = read_document(path or default_path())
    if path is not None:
        openapi.check(document)
    try:
        contract = Contract(document)
        if path is not None:
            _check_references(contract, document, "#")
        if not contract.operations:
            raise ContractError("the document declares no operation")
        # All that is read later is read once now, so that nothing of it can go wrong later.
        _ = contract.token_pattern, contract.error_codes, contract.notified_channels, contract.rate_limit_headers(None)
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # a reference to something of another kind
        raise ContractError(
            f"is not a valid OpenAPI 3.1 document: {type(error).__name__} {first_line(error)}"
        ) from error
    return contract


def _check_references(contract: Contract, node: Any, where: str) -> None:
    """Reject references to nothing, and to other files or hosts. Raises ContractError."""
    if isinstance(node, list):
        for number, value in enumerate(node):
            _check_references(contract, value, f"{where}/{number}")
    elif isinstance(node, dict):
        for name, value in node.items():
            _check_references(contract, value, f"{where}/{escape(name)}")
        reference = node.get("$ref")
        if isinstance(reference, str) and (reference.startswith("#/") or not reference.startswith("#")):
            try:
                contract.resolve(node)
            except ContractError as error:
                raise ContractError(f"{error} (at {where})") from None


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Return True if a Content-Type is JSON."""
    name = media_type(content_type)
    return name == "application/json" or name.endswith("+json")


def _uri(pointer: str) -> str:
    """A pointer into the document as a URI: its fragment cannot hold braces and quotes as they are."""
    return _URI + quote(unquote(pointer), safe="#/~!$&'()*+,;=:@-._")


def _absolute(node: Any) -> Any:
    """A schema whose references lead into the document from anywhere."""
    if isinstance(node, dict):
        return {
            key: _uri(value) if key == "$ref" and isinstance(value, str) and value[:1] == "#" else _absolute(value)
            for key, value in node.items()
        }
    return [_absolute(item) for item in node] if isinstance(node, list) else node
