"""Check a stub before it is taken: that the response can be sent, and that the contract allows it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from vorel_mock.api import strict_json
from vorel_mock.api.faults.catalogue import CATALOGUE, check_armed
from vorel_mock.api.faults.deviations import document_error
from vorel_mock.api.steps.validation import scalar
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import ContractError, escape
from vorel_mock.contract.operation import Operation, is_json, lead_parameter, media_type
from vorel_mock.model.stubs import EMPTY, Stub, StubResponse
from vorel_mock.model.unknown_name import not_among

#: Headers by which the mock frames and marks each response.
_OURS = ("connection", "content-length", "date", "keep-alive", "trailer", "transfer-encoding", "upgrade")
_REQUEST_ID = "x-mock-request-id"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"(?:[!-~\u00a1-\u00ff](?:[ \t!-~\u00a1-\u00ff]{0,4094}[!-~\u00a1-\u00ff])?)?")
#: Violations of a schema that one message lists.
_MOST = 5


def check_stub(contract: Contract, stub: Stub) -> None:
    """Raises ValueError, which names the member at fault and what the contract says, if a stub cannot be taken."""
    by_id = {operation.id: operation for operation in contract.operations}
    wanted = stub.request.operation
    if wanted is not None and wanted not in by_id:
        raise ValueError(not_among("request.operation", wanted, by_id))
    if wanted is not None and not by_id[wanted].security:
        raise ValueError(f"request.operation: {wanted} asks for no key, so no request to it is a tenant's")
    if stub.response is None:
        _check_fault(stub)
        return
    _check_sendable(stub.response)
    if stub.unlawful:
        return
    of_lead = stub.request.lead is not None
    meant = [
        operation
        for operation in by_id.values()
        if wanted in (None, operation.id)
        and operation.security
        and (not of_lead or lead_parameter(operation.path) is not None)
    ]
    for operation in meant:
        if (problem := _problem(contract, operation, stub.response)) is not None:
            remedy = "name an operation that does, " if len(meant) > 1 else ""
            raise ValueError(f'{problem}; {remedy}or add "unlawful": true')


def _check_fault(stub: Stub) -> None:
    if stub.fault not in CATALOGUE:
        raise ValueError(not_among("response.fault", stub.fault, CATALOGUE))
    try:
        check_armed(stub)
    except ValueError as error:
        raise ValueError(f"{'request' if str(error).startswith('operation') else 'response'}.{error}") from None


def _check_sendable(response: StubResponse) -> None:
    """Reject what would break the framing of HTTP, however unlawful the response may be."""
    seen = set()
    for name, value in response.headers.items():
        lower, place = name.lower(), f"response.headers.{name}"
        if not _NAME.fullmatch(name):
            raise ValueError(f"response.headers: the name {name[:100]!r} is no name of a header")
        if lower in _OURS or lower == _REQUEST_ID:
            raise ValueError(f"{place}: is the mock's own; leave it out")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{place}: must be at most 4,096 visible characters of Latin-1, without line breaks")
        if lower in seen:
            raise ValueError(f"{place}: is given twice")
        seen.add(lower)
    if response.status in EMPTY and response.body:
        raise ValueError(f"response.body: must be absent, because a {response.status} has none (RFC 9110)")


def _problem(contract: Contract, operation: Operation, response: StubResponse) -> str | None:
    """Return why the contract does not allow a response of an operation; None if it does."""
    name = operation.declared_as(response.status)
    if name is None:
        return (
            f"response.status: the contract declares no {response.status} for {operation.id}; "
            f"it declares {', '.join(operation.responses)}"
        )
    pointer, declared = contract.follow(f"{operation.pointer}/responses/{name}")
    problems = [*_of_headers(contract, operation, response, declared, pointer)]
    problems += _of_body(contract, operation, response, declared.get("content") or {}, pointer)
    return "; ".join(problems[:_MOST]) or None


def _of_headers(
    contract: Contract, operation: Operation, response: StubResponse, declared: Mapping[str, Any], pointer: str
) -> Iterator[str]:
    given = {name.lower(): value for name, value in response.headers.items()}
    # OpenAPI cannot say that a 429 must name the seconds to wait unless it says so of the header; the prose does.
    limit = contract.rate_limit_headers(operation).retry_after if response.status == 429 else None
    for name, header in (declared.get("headers") or {}).items():
        where, header = contract.follow(f"{pointer}/headers/{escape(name)}")
        value = given.get(name.lower())
        if value is None:
            if header.get("required") or name == limit:
                said = declared.get("description") or "the header is required"
                yield f"response.headers.{name}: is required with a {response.status} ({said})"
            continue
        try:
            validator = contract.validator(f"{where}/schema") if "schema" in header else None
        except ContractError:  # a schema that cannot be compiled demands nothing that could be checked
            continue
        converted = scalar(value, contract.types_of(header.get("schema", {})))
        if validator is not None and not validator.is_valid(converted):
            said = "; ".join(violation.message for violation in validator.violations(converted))
            yield f"response.headers.{name}: {said}"


def _of_body(
    contract: Contract, operation: Operation, response: StubResponse, content: Mapping[str, Any], pointer: str
) -> Iterator[str]:
    of = f"a {response.status} of {operation.id}"
    if not content:
        if response.body:
            yield f"response.body: the contract declares none for {of}"
        return
    given = {name.lower(): value for name, value in response.headers.items()}.get("content-type", "application/json")
    if response.body is None and response.status >= 400:
        made = document_error(contract, response.status, operation)
        given = dict(made.headers)[b"content-type"].decode() if made.headers else given
        response = replace(response, body=made.body)
    if not response.body:
        yield f"response.body: is required; the contract declares {' or '.join(content)} for {of}"
        return
    declared = next((name for name in content if fnmatchcase(media_type(given), media_type(name))), None)
    if declared is None:
        yield f"response.headers.Content-Type: must be {' or '.join(content)}, as the contract declares for {of}"
    elif is_json(given):
        yield from _of_json(contract, operation, response, f"{pointer}/content/{escape(declared)}", content[declared])


def _of_json(
    contract: Contract, operation: Operation, response: StubResponse, pointer: str, media: Mapping[str, Any]
) -> Iterator[str]:
    assert response.body is not None
    try:
        value = strict_json.parse(response.body)
    except ValueError as error:
        yield f"response.body: {error}"
        return
    try:
        validator = contract.validator(f"{pointer}/schema") if "schema" in media else None
    except ContractError:
        return
    if validator is not None and not validator.is_valid(value):
        for violation in validator.violations(value):
            yield f"response.body{f'.{violation.field}' if violation.field else ''}: {violation.message}"
        return
    wanted = contract.error_codes.get(response.status)
    told = value.get("error") if isinstance(value, dict) and str(response.status) in operation.responses else None
    code = told.get("code") if isinstance(told, dict) else None
    # The document pairs codes and statuses by the names of its error responses.
    if wanted is not None and isinstance(code, str) and code in contract.error_codes.values() and code != wanted:
        yield f"response.body.error.code: must be {wanted}, which the contract pairs with {response.status}"
