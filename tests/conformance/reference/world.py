"""The tenants, keys and leads of the reference server. They are derived from names, so every run has the same."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

ALL_SCOPES = frozenset(
    {"read", "leads:write", "appointments:write", "offerings:write", "conversations:write", "crm:write"}
)
SOFT_FAILURES = ("no_crm_configured", "auth_failed", "rate_limited", "validation_error")


@dataclass(frozen=True)
class Key:
    """An API key. `trouble` is the soft failure of its tenant's CRM for every write."""

    token: str
    tenant: str
    scopes: frozenset[str]
    revoked: bool = False
    trouble: str | None = None


@dataclass(frozen=True)
class Lead:
    """A lead and its conversation."""

    id: str
    tenant: str
    conversation_id: str


@dataclass(frozen=True)
class World:
    """Keys by token, leads by id, and the target profile with them."""

    keys: dict[str, Key]
    leads: dict[str, Lead]
    profile: dict[str, Any]


def token(name: str) -> str:
    """Return a key of the form in the contract."""
    return "vapk_live_" + hashlib.sha256(name.encode()).hexdigest()[:48]


def identifier(name: str) -> str:
    """Return a UUID that depends on the name alone."""
    return str(uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4))


def make_world(full: int = 40, burst: int = 4) -> World:
    """Make two tenants with leads (`own`, `foreign`), one for each soft failure, and `full` + `burst` keys."""
    keys: list[Key] = []
    own = [Lead(identifier(f"own {n}"), "acme", identifier(f"own conversation {n}")) for n in range(12)]
    foreign = [Lead(identifier(f"foreign {n}"), "globex", identifier(f"foreign conversation {n}")) for n in range(3)]

    def issue(
        name: str,
        scopes: frozenset[str] = ALL_SCOPES,
        *,
        tenant: str = "acme",
        revoked: bool = False,
        trouble: str | None = None,
    ) -> str:
        keys.append(Key(token(name), tenant, scopes, revoked, trouble))
        return keys[-1].token

    profile: dict[str, Any] = {
        "keys": {
            "full": [issue(f"full {n}") for n in range(full)],
            "burst": [issue(f"burst {n}") for n in range(burst)],
            "read_only": issue("read only", frozenset({"read"})),
            "leads_only": issue("leads only", frozenset({"read", "leads:write"})),
            "crm_only": issue("crm only", frozenset({"read", "crm:write"})),
            "revoked": issue("revoked", revoked=True),
        },
        "leads": {"own": [lead.id for lead in own], "foreign": [lead.id for lead in foreign]},
        "soft_failures": {error: issue(error, tenant=error, trouble=error) for error in SOFT_FAILURES},
    }
    profile["keys"]["other_tenant"] = issue("other tenant", tenant="globex")
    return World({key.token: key for key in keys}, {lead.id: lead for lead in own + foreign}, profile)
