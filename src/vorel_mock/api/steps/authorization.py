"""Step: may the key do this? 403 when it lacks a scope that the operation's own `security` asks for."""

from vorel_mock.api.messages import Exchange, Refusal
from vorel_mock.contract.contract import Operation


def require(exchange: Exchange, operation: Operation) -> None:
    """Refuse a key that satisfies none of the operation's alternatives (#/components/responses/Forbidden)."""
    key = exchange.key
    assert key is not None
    for requirement in operation.security:
        if requirement.scopes <= key.scopes:
            return
    requirement = operation.security[0]
    missing = ", ".join(sorted(requirement.scopes - key.scopes))
    has = ", ".join(sorted(key.scopes)) or "none"
    raise Refusal(
        403,
        f"The API key is valid but lacks the required scope: {missing}.",
        reason=f"{operation.id} asks for {missing}; the key {key.id} has the scopes: {has}",
        pointer=requirement.pointer,
    )
