"""Step: find the key of a request. 401 for a missing, malformed, unknown or revoked key, without telling which."""

from vorel_mock.api.messages import ApiError, Exchange
from vorel_mock.contract.contract import Contract
from vorel_mock.model.store import Store


def authenticate(exchange: Exchange, contract: Contract, store: Store) -> None:
    """Set tenant, key and time of the exchange. Raises ApiError 401 (#/components/responses/Unauthorized)."""
    credentials = exchange.request.fields.get(b"authorization")
    if credentials is None:
        raise _unauthorized(contract, "there is no Authorization header")
    if len(exchange.request.fields) < len(exchange.request.headers) and _is_repeated(exchange):
        raise _unauthorized(contract, "there is more than one Authorization header")
    token = bearer_token(credentials)
    if token is None:
        raise _unauthorized(contract, "the scheme of the Authorization header is not Bearer")
    found = store.by_token(token)
    if found is None:
        is_key = contract.token_pattern.fullmatch(token)
        raise _unauthorized(
            contract, "no tenant has this key" if is_key else "the key does not have the format of a key"
        )
    tenant, key = found
    if tenant.lease is not None and not tenant.lease.renew():  # it is about to be deleted
        raise _unauthorized(contract, "no tenant has this key")
    if key.revoked:
        raise _unauthorized(contract, f"the key {key.id} of tenant {tenant.id} is revoked")
    exchange.tenant, exchange.key = tenant, key
    exchange.at = tenant.clock.now()


def bearer_token(credentials: bytes) -> str | None:
    """Return the token of an Authorization header; None if its scheme is not Bearer (RFC 6750, 2.1)."""
    scheme, _, token = credentials.decode("latin-1").partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else None


def _is_repeated(exchange: Exchange) -> bool:
    return sum(name == b"authorization" for name, _ in exchange.request.headers) > 1


def _unauthorized(contract: Contract, reason: str) -> ApiError:
    description = contract.error_responses[401][1] if 401 in contract.error_responses else "Unauthorized."
    return ApiError(401, description, reason=reason, headers=[(b"www-authenticate", b"Bearer")])
