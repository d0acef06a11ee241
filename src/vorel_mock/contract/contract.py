"""The contract document, read once: operations, scopes, header names, error codes.

Whatever the document says is taken from here, so that it is never typed a second time. JSON pointers are written as
URI fragments (`#/paths/~1api~1v1…/post`), the form in which a reader can look them up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vorel_mock.contract import metaschema
from vorel_mock.contract.bundle import bundle
from vorel_mock.contract.document import Document
from vorel_mock.contract.document_file import ContractError, escape, first_line, parse
from vorel_mock.contract.operation import METHODS, Operation, is_json, read_operations
from vorel_mock.contract.source import read
from vorel_mock.contract.upgrade import to_3_1


def default_path() -> Path:
    """Return the path of the vendored document: beside the installed packages, or at the root of a checkout."""
    packages = Path(__file__).parents[2]
    installed = packages / "vorel_contract" / "openapi.json"
    return installed if installed.exists() else packages.parent / "openapi.json"


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """The names of the headers that tell about the limit; None for one that the document does not declare."""

    retry_after: str | None
    limit: str | None
    remaining: str | None
    reset: str | None


class Contract(Document):
    """The document and what is read from it. Compiled parts are made on first use and kept."""

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
        return read_operations(self, self.base_path)

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

    def body_members(self, operation_id: str) -> Mapping[str, Mapping[str, Any]]:
        """The schemas of the members of an operation's JSON body; none when the document has no such operation."""
        for operation in self.operations:
            if operation.id == operation_id and operation.body is not None:
                content = self.at(operation.body.pointer).get("content") or {}
                schemas = [media.get("schema", {}) for name, media in content.items() if is_json(name)]
                members = self.keywords(schemas[0]).get("properties", {}) if schemas else {}
                return {name: self.keywords(schema) for name, schema in members.items()}
        return {}

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


def load(source: Path | str | None = None) -> Contract:
    """Return the contract at `source`, or the vendored one. Raises ContractError, which says what is wrong.

    `source` is a path, a URL, or `-` for the standard input. It is JSON or YAML, OpenAPI 3.1 or 3.0, and may refer to
    other files. Only such a document is checked against the OpenAPI schema here: the vendored one is pinned, and
    checked by a test.
    """
    document = parse(read(default_path() if source is None else source))
    if source is not None:
        document = to_3_1(bundle(document, source))
        metaschema.check(document)
    try:
        contract = Contract(document)
        if source is not None:
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
