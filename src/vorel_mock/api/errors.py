"""The body of an error: the ErrorEnvelope (#/components/schemas/ErrorEnvelope), or what another document declares."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec

from vorel_mock.api.example_response import media_value
from vorel_mock.api.messages import ApiError, Response
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import ContractError, escape
from vorel_mock.contract.operation import Operation, is_json
from vorel_mock.model.redaction import redact

JSON = (b"content-type", b"application/json")
#: Members of a document's own errors that receive the message; the status; and the code.
_MESSAGES = ("message", "detail", "error_description", "description", "reason")
_STATUSES = ("status", "statusCode", "status_code", "code")
_CODES = ("code", "error_code", "errorCode", "error")


@dataclass(frozen=True, slots=True)
class _Declared:
    """An error response in which the envelope is not valid: its media type, an example, and a check of values."""

    media_type: bytes
    example: Any
    is_valid: Callable[[Any], bool]


def error_body(contract: Contract, status: int, message: str, code: str | None = None) -> bytes:
    """Return the envelope as JSON. Without `code` it is the one that the document pairs with `status`."""
    return msgspec.json.encode({"error": {"code": code or _code(contract, status), "message": redact(message)}})


def error_response(contract: Contract, error: ApiError, operation: Operation | None = None) -> Response:
    """Return the response that tells the client about `error`: the envelope, unless the document declares another."""
    declared = _declared(contract, operation.id if operation is not None else None, error.status)
    if declared is None:
        return Response(error.status, error_body(contract, error.status, error.message), [JSON, *error.headers])
    value = _filled(declared, error, _code(contract, error.status))
    headers = [(b"content-type", declared.media_type), *error.headers]
    return Response(error.status, msgspec.json.encode(value), headers)


def _code(contract: Contract, status: int) -> str:
    return contract.error_codes.get(status, "bad_request" if status < 500 else "internal_error")


@lru_cache(maxsize=256)
def _declared(contract: Contract, operation_id: str | None, status: int) -> _Declared | None:
    """Return what the document declares for an error of an operation, or of any if there is none.

    None if it declares nothing in JSON, or if the envelope is valid there.
    """
    operations = [each for each in contract.operations if operation_id in (None, each.id)]
    pointers = (
        f"{each.pointer}/responses/{name}"
        for name in (str(status), f"{status // 100}XX", "default")
        for each in operations
        if name in each.responses and not (name == "default" and _is_success(each))
    )
    pointer, response = contract.follow(next(pointers, "#"))
    content = response.get("content") or {}
    name = next((name for name in content if is_json(name)), None)
    if name is None or "schema" not in content[name]:
        return None
    try:
        is_valid = contract.validator(f"{pointer}/content/{escape(name)}/schema").is_valid
    except ContractError:  # a schema that cannot be compiled
        return None
    envelope = {"error": {"code": _code(contract, status), "message": ""}}
    if is_valid(envelope) and "example" not in content[name]:
        return None if name == "application/json" else _Declared(name.encode(), envelope, is_valid)
    return _Declared(name.encode(), media_value(contract, content[name], is_valid), is_valid)


def _is_success(operation: Operation) -> bool:
    """Return True if `default` stands for success as well, because no 2xx is declared."""
    return not any(status.startswith("2") for status in operation.responses)


def _filled(declared: _Declared, error: ApiError, code: str) -> Any:
    """Return the example with message, status and code of this error, as far as its schema admits them."""
    value = declared.example
    told: list[tuple[tuple[str, ...], type, Any]] = [
        (_MESSAGES, str, redact(error.message)),
        (("title",), str, HTTPStatus(error.status).phrase),
        (_CODES, str, code),
        (_STATUSES, int, error.status),
    ]
    for names, kind, what in told:
        changed = deepcopy(value)
        for holder, name in _members(changed, names, kind):
            holder[name] = what
        if declared.is_valid(changed):
            value = changed
    return value


def _members(value: Any, names: tuple[str, ...], kind: type) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each member with one of those names and a value of that type, at any depth."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield from [(value, name) for name in names if type(value.get(name)) is kind]
    for child in children:
        yield from _members(child, names, kind)
