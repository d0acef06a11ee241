"""Schema validation by two validators. If they disagree, the fault is the kit's, not the server's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS31Validator

from vorel_conformance.spec import contract

if TYPE_CHECKING:
    from vorel_conformance.http.exchange import Exchange


_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SOME_UUID = b"00000000-0000-4000-8000-000000000000"
_LONG_NUMBER = re.compile(rb"[0-9]{6,}")
_LONGEST = 4096  # bytes of a value that a cache keeps


class DisagreementError(Exception):
    """The validators disagree: a fault of the kit or of one of them."""


@dataclass(frozen=True)
class Problem:
    """One violation of a schema. `where` is a JSON pointer into the value."""

    where: str
    keyword: str
    message: str


def problems(pointer: str, value: Any, text: bytes | None = None) -> list[Problem]:
    """Return the violations of the schema at `pointer`, an empty list for a valid value.

    `text`: the JSON that `value` was read from, if there is one; it need not be written again.
    Raises DisagreementError if the validators disagree.
    """
    found = [
        Problem(
            "".join(f"/{part}" for part in error.instance_path),
            next((str(part) for part in reversed(error.schema_path) if isinstance(part, str)), ""),
            error.message if len(error.message) < 300 else error.message[:300] + "...",
        )
        for error in contract.validator(pointer).iter_errors(value)
    ]
    second = _second(pointer)(value, text)
    # The second validator checks `format: uuid`, but not `format: uri`.
    unsure = _about_formats(found) or _hides_format(found)
    if second == any(each.keyword != "format" for each in found) and not unsure:
        raise DisagreementError(f"jsonschema-rs and openapi-schema-validator disagree about a value of {pointer}")
    return found


def is_valid(pointer: str, value: Any) -> bool:
    """Return True if `value` is valid by the schema at `pointer`. Raises DisagreementError like `problems`."""
    return not problems(pointer, value)


def compare_validators(exchange: Exchange) -> None:
    """Validate a whole response with openapi-core as well. Raises DisagreementError if only one validator accepts it.

    Skips undeclared statuses and bodies that are not strict JSON: openapi-core accepts NaN, duplicate keys and `1_000`.
    """
    operation = exchange.operation
    if not operation or exchange.status not in operation.statuses or not exchange.is_json or exchange.parsed.error:
        return
    accepted = _accepts(operation.method.lower(), operation.url("id"), exchange.status, _normalized(exchange.body))
    name = (
        ("LeadHandoffResponse" if operation.takes_lead else "CrmCreateRecordResponse")
        if exchange.status == 200
        else ("ErrorEnvelope")
    )
    found = problems(f"/components/schemas/{name}", exchange.parsed.value, exchange.body)
    if accepted == bool(found) and not _about_formats(found) and not _hides_format(found):
        raise DisagreementError(
            f"jsonschema-rs and openapi-core disagree about the response to request {exchange.number}"
        )


@lru_cache(maxsize=1)  # several checks of one response ask for it
def _normalized(body: bytes) -> bytes:
    """Return the body with every UUID and every long number replaced by a fixed one.

    A schema does not distinguish them, and most responses of a run then share one entry of the cache.
    """
    return _LONG_NUMBER.sub(lambda found: b"1" * len(found[0]), _UUID.sub(_SOME_UUID, body))


@lru_cache(maxsize=512)  # openapi-core takes longer than all other checks of a response
def _accepts(method: str, path: str, status: int, body: bytes) -> bool:
    request = MockRequest("http://localhost:3000", method, path)
    try:
        _core().validate_response(request, MockResponse(body, status, content_type=contract.MEDIA_TYPE))
    except OpenAPIError:
        return False
    return True


def _about_formats(found: list[Problem]) -> bool:
    return bool(found) and all(each.keyword == "format" for each in found)


def _hides_format(found: list[Problem]) -> bool:
    """Return True for a failed oneOf: an invalid record_url fails both branches, and the error does not say why."""
    return [each.keyword for each in found] == ["oneOf"]


@cache
def _second(pointer: str) -> Callable[[Any, bytes | None], bool]:
    """Return the second validator. It takes many times as long as the first, so it sees values of one form once."""
    schema = {**contract.load().at(pointer), "components": contract.load().document["components"]}
    validator = OAS31Validator(schema, format_checker=OAS31Validator.FORMAT_CHECKER)

    @lru_cache(maxsize=512)
    def accepts_text(text: bytes) -> bool:
        return bool(validator.is_valid(json.loads(text)))

    def accepts(value: Any, text: bytes | None) -> bool:
        if text is None:
            try:
                text = json.dumps(value).encode()
            except RecursionError:
                text = b""
        if 0 < len(text) <= _LONGEST:
            return accepts_text(_normalized(text))
        return bool(validator.is_valid(value))

    return accepts


@cache
def _core() -> OpenAPI:
    return OpenAPI.from_dict(contract.load().document)
