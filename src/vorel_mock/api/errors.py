"""The ErrorEnvelope, the one shape of every error (#/components/schemas/ErrorEnvelope)."""

import msgspec

from vorel_mock.api.messages import ApiError, Response
from vorel_mock.contract.contract import Contract
from vorel_mock.model.redaction import redact

JSON = (b"content-type", b"application/json")


def error_body(contract: Contract, status: int, message: str, code: str | None = None) -> bytes:
    """Return the envelope as JSON. Without `code` it is the one that the document pairs with `status`."""
    if code is None:
        code = contract.error_codes.get(status, "bad_request" if status < 500 else "internal_error")
    return msgspec.json.encode({"error": {"code": code, "message": redact(message)}})


def error_response(contract: Contract, error: ApiError) -> Response:
    """Return the response that tells the client about `error`."""
    return Response(error.status, error_body(contract, error.status, error.message), [JSON, *error.headers])
