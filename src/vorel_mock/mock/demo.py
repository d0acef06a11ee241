"""The demo tenants, with fixed keys and ids: one for each situation that a client must handle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import ContractError
from vorel_mock.mock.provisioning import key_roles, profile
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.store.memory import MemoryStore
from vorel_mock.model.clock import Clock
from vorel_mock.model.crm import ErrorName
from vorel_mock.model.ids import Ids
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.tenant import CrmConnection, Tenant
from vorel_mock.model.tenant_state import copy_of

#: The roles of keys, in the order in which their tokens are numbered.
ROLES = ("full", "burst", "read_only", "leads_only", "crm_only", "revoked")
#: Bodies that succeed, for the operations with a handler.
BODIES: Mapping[str, Any] = {
    "handoffLead": {"reason": "no-response-7d"},
    "createCrmRecord": {"object": "contact", "fields": {"last_name": "Lee"}, "idempotency_key": "first"},
}
FULL_KEYS = 40
BURST_KEYS = 4
LEADS = 5


@dataclass(frozen=True, slots=True)
class DemoTenant:
    """One demo tenant: what makes it different."""

    number: int
    slug: str
    story: str
    crm: CrmConnection | None
    notified_channel: str = "email"


DEMO_TENANTS = (
    DemoTenant(1, "hubspot", "HubSpot, Slack set up", CrmConnection("hubspot", "44512345"), "slack"),
    DemoTenant(2, "salesforce", "Salesforce", CrmConnection("salesforce", "vorel-demo")),
    DemoTenant(3, "zoho", "Zoho", CrmConnection("zoho", "org7000123")),
    DemoTenant(4, "no-crm", "no CRM configured", None),
    DemoTenant(5, "crm-auth-failed", "a CRM that refuses its credentials", CrmConnection("hubspot", "44512346")),
    DemoTenant(6, "crm-rate-limited", "a CRM that is rate limited", CrmConnection("hubspot", "44512347")),
)
_FAILURES = {"crm-auth-failed": ErrorName.AUTH_FAILED, "crm-rate-limited": ErrorName.RATE_LIMITED}


def token(tenant: int, role: int, number: int) -> str:
    """The fixed key of a demo tenant. Looks like a demo and nothing else: `vapk_live_000100010001c0ffee…`."""
    return f"vapk_live_{tenant:04x}{role:04x}{number:04x}{'c0ffee' * 6}"


def lead_id(tenant: int, number: int) -> str:
    """The fixed id of a demo lead."""
    return f"{tenant:08x}-1ead-4000-8000-{number:012x}"


def build(store: MemoryStore, clock: Clock, seed: int, contract: Contract, settings: Settings) -> None:
    """Add the demo tenants to `store`. Raises ContractError if the document's keys have another format."""
    if not contract.token_pattern.fullmatch(token(1, 1, 1)):
        raise ContractError(
            f"its bearerFormat {contract.bearer_format!r} is a shape that the mock's keys (vapk_live_ and 48 hex "
            "digits) do not have, so that each would be rejected. Use vapk_<env>_<48-hex>, or leave it out"
        )
    for demo in DEMO_TENANTS:
        tenant = _tenant(demo, clock, seed, contract, settings)
        store.add(tenant)
        tenant.initial = copy_of(tenant)


def _tenant(demo: DemoTenant, clock: Clock, seed: int, contract: Contract, settings: Settings) -> Tenant:
    number = demo.number
    tenant_id = _tenant_id(number)
    tenant = Tenant(
        id=tenant_id,
        name=f"demo-{demo.slug}",
        clock=Clock(clock),
        ids=Ids(seed, tenant_id),
        notified_channel=demo.notified_channel,
        rate_limit=settings.rate_limit,
        tenant_rate_limit=settings.tenant_rate_limit,
    )
    if demo.crm is not None:
        failure = _FAILURES.get(demo.slug)
        tenant.crm = CrmConnection(demo.crm.vendor, demo.crm.account, failure=failure)
    full, burst = (FULL_KEYS, BURST_KEYS) if number == 1 else (1, 0)
    for role, scopes, revoked in key_roles(contract, full, burst):
        kind, _, count = role.rpartition("_") if role[-1].isdigit() else (role, "", "1")
        key = ApiKey(role, token(number, ROLES.index(kind) + 1, int(count)), scopes, revoked)
        tenant.keys[key.id] = key
    for n in range(1, LEADS + 1):
        conversation = Conversation(f"{number:08x}-c0de-4000-8000-{n:012x}")
        tenant.conversations[conversation.id] = conversation
        lead = Lead(lead_id(number, n), conversation.id, f"Demo lead {n}")
        tenant.leads[lead.id] = lead
    return tenant


def target(store: MemoryStore, base_url: str) -> dict[str, Any]:
    """Return the target profile of the demo tenants: all that a conformance run needs to know."""
    first, *others = tenants(store)
    foreign = [lead for tenant in others for lead in tenant.leads]
    found = profile(first, foreign, base_url)
    if other := next((key for tenant in others if not _soft_failure(tenant) and (key := _key(tenant))), None):
        found["keys"]["other_tenant"] = other
    return {
        **found,
        "soft_failures": {
            failure: key for tenant in others if (failure := _soft_failure(tenant)) and (key := _key(tenant))
        },
        "tenants": [
            {
                "id": tenant.id,
                "name": tenant.name,
                "story": demo.story,
                "key": _key(tenant),
                "lead": next(iter(tenant.leads), None),
            }
            for tenant, demo in zip([first, *others], DEMO_TENANTS, strict=True)
        ],
    }


def tenants(store: MemoryStore) -> list[Tenant]:
    """The demo tenants."""
    found = (store.tenant(_tenant_id(demo.number)) for demo in DEMO_TENANTS)
    return [tenant for tenant in found if tenant is not None]


def _tenant_id(number: int) -> str:
    return f"{number:08x}-7e4a-4000-8000-000000000000"


def _key(tenant: Tenant) -> str | None:
    return next((key.token for key in tenant.keys.values()), None)  # a restored snapshot may have none


def _soft_failure(tenant: Tenant) -> str | None:
    return ErrorName.NO_CRM_CONFIGURED if tenant.crm is None else tenant.crm.failure
