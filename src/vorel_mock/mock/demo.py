"""The demo tenants, as documents and tests name them, and bodies that succeed. The tenants are `fixtures/demo.toml`."""

from collections.abc import Mapping
from typing import Any

#: Bodies that succeed, for the operations with a handler.
BODIES: Mapping[str, Any] = {
    "handoffLead": {"reason": "no-response-7d"},
    "createCrmRecord": {"object": "contact", "fields": {"last_name": "Lee"}, "idempotency_key": "first"},
}

#: Full keys of the first demo tenant.
FULL_KEYS = 40


def token(tenant: int, role: int, number: int) -> str:
    """Return the key of a demo tenant. Looks like a demo and nothing else: `vapk_live_000100010001c0ffee…`.

    The roles are full, burst, read_only, leads_only, crm_only, revoked, in this order from 1.
    """
    return f"vapk_live_{tenant:04x}{role:04x}{number:04x}{'c0ffee' * 6}"


def lead_id(tenant: int, number: int) -> str:
    """Return the id of a demo lead."""
    return f"{tenant:08x}-1ead-4000-8000-{number:012x}"
