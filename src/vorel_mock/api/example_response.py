"""Make the deterministic response of an operation without a handler, from its example or its schema.

The router does so at start. A response that breaks its own schema comes with a warning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from vorel_mock.api.messages import Headers, Response
from vorel_mock.contract import sampler as instance
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import escape
from vorel_mock.contract.operation import Operation, is_json

#: Statuses that have no content (RFC 9110, 15.3.5 and 15.4.5).
_EMPTY = (204, 205, 304)
#: The media type of a response that declares a range of them.
_CONCRETE = {"*/*": "application/json", "application/*": "application/json", "text/*": "text/plain"}


@dataclass(frozen=True, slots=True)
class Example:
    """The response of an operation, and its problem if it breaks its schema."""

    response: Response
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of a response, and its place in the document."""

    media_type: str
    media: Mapping[str, Any]
    value: Any
    schema: str | None
    """The pointer of its schema. None if it has no schema, or is not JSON."""


@lru_cache(maxsize=4)
def examples(contract: Contract, handled: frozenset[str]) -> Mapping[str, Example]:
    """Return the response of each operation that is not `handled`. They are made once, at start."""
    operations = [operation for operation in contract.operations if operation.id not in handled]
    contents = {o.id: content for o in operations if (content := _content(contract, o)) is not None}
    # All of them at once, because to compile a schema is to compile all that it refers to.
    checked = {name: (c.schema, c.value) for name, c in contents.items() if c.schema is not None}
    invalid = contract.invalid(checked)
    return {o.id: _example(contract, o, contents.get(o.id), again=o.id in invalid) for o in operations}


def _content(contract: Contract, operation: Operation) -> _Content | None:
    """Return the content of the response, not yet validated; None if it has no content."""
    status = _status(operation)
    if status is None or _number(status) in _EMPTY:
        return None
    pointer, response = contract.follow(f"{operation.pointer}/responses/{status}")
    content = response.get("content") or {}
    if not content:
        return None
    name = next((name for name in content if is_json(_concrete(name))), next(iter(content)))
    has_schema = is_json(_concrete(name)) and "schema" in content[name]
    schema = f"{pointer}/content/{escape(name)}/schema" if has_schema else None
    return _Content(_concrete(name), content[name], media_value(contract, content[name], lambda _: True), schema)


def _example(contract: Contract, operation: Operation, content: _Content | None, *, again: bool) -> Example:
    """Return the complete response. `again`: its content is invalid, make a new one."""
    status = _status(operation)
    if status is None:
        return Example(Response(200, b""), "the document declares no response for it. Its response is an empty 200")
    headers = _headers(contract, operation.responses[status])
    if content is None:
        return Example(Response(_number(status), b"", headers))
    value, problem = content.value, None
    if again and content.schema is not None:
        validator = contract.validator(content.schema)
        value = media_value(contract, content.media, validator.is_valid)
        problem = next((f"{v.field or 'it'} {v.message}" for v in validator.violations(value)), None)
    if problem is not None:
        problem = f"its response breaks its own schema ({problem}). Add a valid `example` to the document"
    body = msgspec.json.encode(value)
    if not is_json(content.media_type):
        body = value.encode() if isinstance(value, str) else b"" if value is None else body
    return Example(Response(_number(status), body, [(b"content-type", content.media_type.encode()), *headers]), problem)


def _number(status: str) -> int:
    """Return the status code of a declared status: `200`, `2XX` or `default`."""
    return int(status.upper().replace("X", "0")) if status[0].isdigit() else 200


def _status(operation: Operation) -> str | None:
    """Return the lowest declared 2xx status; without one `default`, without that the lowest of all."""
    declared = sorted(operation.responses)
    successes = [status for status in declared if status.startswith("2")]
    return next(iter(successes or [status for status in declared if status == "default"] or declared), None)


def _concrete(media_type: str) -> str:
    return _CONCRETE.get(media_type, media_type.replace("*", "octet-stream"))


def _headers(contract: Contract, response: Mapping[str, Any]) -> Headers:
    """Return the required headers of the response, except Content-Type."""
    made: Headers = []
    for name, header in (response.get("headers") or {}).items():
        header = contract.resolve(header)
        if header.get("required") is True and name.lower() != "content-type":
            text = _header_text(media_value(contract, header))
            made.append((name.lower().encode(), text.encode("latin-1", "replace")))
    return made


def _header_text(value: Any) -> str:
    """Return a value as text of a header, in style `simple`."""
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    parts = value if isinstance(value, list) else [value]
    texts = (part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in parts)
    return " ".join(",".join(texts).split())  # a header is one line


def media_value(contract: Contract, media: Mapping[str, Any], is_valid: Any = None) -> Any:
    """Return a value of a media type, a parameter or a header: its example, or one made from its schema."""
    if "example" in media:
        return media["example"]
    for entry in (media.get("examples") or {}).values():
        entry = contract.resolve(entry)
        if "value" in entry:
            return entry["value"]
    if "schema" in media:
        return instance.value(contract, media["schema"], is_valid)
    return media_value(contract, next(iter(media["content"].values()))) if media.get("content") else None
