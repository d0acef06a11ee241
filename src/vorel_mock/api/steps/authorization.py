"""Step: check the scopes of the key. 403 if it lacks one that the operation's own `security` requires."""

from vorel_mock.api.messages import ApiError, Exchange
from vorel_mock.contract.operation import Operation


def authorize(exchange: Exchange, operation: Operation) -> None:
    """Raises ApiError 403 if the key meets no alternative of `security` (#/components/responses/Forbidden)."""
    key = exchange.key
    assert key is not None
    for requirement in operation.security:
        if requirement.scopes <= key.scopes:
            return
    requirement = operation.security[0]
    missing = ", ".join(sorted(requirement.scopes - key.scopes))
    has = ", ".join(sorted(key.scopes)) or "none"
    raise ApiError(
        403,
        f"The API key is valid but lacks the required scope: {missing}.",
        reason=f"{operation.id} requires {missing}; the key {key.id} has the scopes: {has}",
        pointer=requirement.pointer,
    )
