"""Tokens for the owners of tenants: each opens the control plane of one tenant.

They exist if the mock requires a token. Nothing is stored: a token is derived from the tenant's id and the control
token. So it is the same in each process with that control token, survives a restart, and is another one with another
control token.
"""

import hmac
import re
from functools import cached_property
from hashlib import scrypt, sha256
from uuid import UUID

#: The shape of a key of the API, so that whatever redacts keys redacts these, too. They are longer than a key.
_SHAPE = "vapk_control_"
_PROOF = 48
_TOKEN = re.compile(rf"{_SHAPE}([0-9a-f]{{32}})([0-9a-f]{{{_PROOF}}})")
#: Who has a tenant token could try control tokens with it. Each try costs 16 MiB and some 40 ms.
_COST = {"n": 2**14, "r": 8, "p": 1}


class TenantTokens:
    """Makes and recognizes the tenant tokens of a mock with this control token."""

    def __init__(self, control_token: str) -> None:
        self._control_token = control_token

    @cached_property
    def _key(self) -> bytes:
        return scrypt(self._control_token.encode(), salt=b"vorel-mock tenant tokens", **_COST)

    def of(self, tenant_id: str) -> str:
        """Return the token of a tenant."""
        return f"{_SHAPE}{UUID(tenant_id).hex}{self._digest(f'token/{tenant_id}')[:_PROOF]}"

    def tenant_id(self, token: str) -> str | None:
        """Return the id of the tenant that a token belongs to, None if it is no tenant token. It may be deleted."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        tenant_id = str(UUID(parts[1]))
        return tenant_id if hmac.compare_digest(self.of(tenant_id), token) else None

    def seed(self, seed: int, stream: str) -> int:
        """Return a seed for one stream of ids that follows `seed`, and that nobody knows who knows `seed`.

        With it, an owner cannot reckon the keys of other tenants from the seed of the mock, which has 32 bits.
        """
        return int(self._digest(f"seed/{seed}/{stream}")[:16], 16) >> 1  # a snapshot takes 63 bits

    def _digest(self, message: str) -> str:
        return hmac.new(self._key, message.encode(), sha256).hexdigest()
