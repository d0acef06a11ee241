"""Step: find the key of a request. 401 for a missing, malformed, unknown or revoked key, without telling which."""

from vorel_mock.api.messages import ApiError, Exchange
from vorel_mock.contract.contract import Contract
from vorel_mock.model.store import Store


def authenticate(exchange: Exchange, contract: Contract, store: Store) -> None:
    """Set tenant, key and time of the exchange. Raises ApiError 401 (#/components/responses/Unauthorized)."""
    credentials = [value for name, value in exchange.request.headers if name == b"authorization"]
    if not credentials:
        raise _unauthorized(contract, "there is no Authorization header")
    if len(credentials) > 1:
        raise _unauthorized(contract, "there is more than one Authorization header")
    scheme, _, token = credentials[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized(contract, "the scheme of the Authorization header is not Bearer")
    token = token.strip(" ")
    if not contract.token_pattern.fullmatch(token):
        raise _unauthorized(contract, "the key does not have the format of a key")
    found = store.by_token(token)
    if found is None:
        raise _unauthorized(contract, "no tenant has this key")
    tenant, key = found
    if key.revoked:
        raise _unauthorized(contract, f"the key {key.id} of tenant {tenant.id} is revoked")
    exchange.tenant, exchange.key = tenant, key
    exchange.at = tenant.clock.now()


def _unauthorized(contract: Contract, reason: str) -> ApiError:
    description = contract.error_responses[401][1] if 401 in contract.error_responses else "Unauthorized."
    return ApiError(401, description, reason=reason, headers=[(b"www-authenticate", b"Bearer")])
