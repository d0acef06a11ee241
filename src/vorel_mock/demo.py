"""The demo world: fixed keys and ids, one tenant for each situation that a client must meet."""

from dataclasses import dataclass
from typing import Any

from vorel_mock.clock import Clock
from vorel_mock.contract import Contract
from vorel_mock.crm import ErrorName
from vorel_mock.ids import Ids
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.tenant import CrmConnection, Tenant
from vorel_mock.store.memory import MemoryStore

#: Scopes that no operation of the vendored document asks for: its security text and the vendor's pages name them.
OTHER_SCOPES = frozenset({"read", "appointments:write", "offerings:write", "conversations:write"})

FULL_KEYS = 40
BURST_KEYS = 4
LEADS = 5


@dataclass(frozen=True, slots=True)
class Situation:
    """One demo tenant: what makes it different."""

    number: int
    slug: str
    story: str
    crm: CrmConnection | None
    notified_channel: str = "email"


SITUATIONS = (
    Situation(1, "hubspot", "HubSpot, Slack set up", CrmConnection("hubspot", "44512345"), "slack"),
    Situation(2, "salesforce", "Salesforce", CrmConnection("salesforce", "vorel-demo")),
    Situation(3, "zoho", "Zoho", CrmConnection("zoho", "org7000123")),
    Situation(4, "no-crm", "no CRM configured", None),
    Situation(5, "crm-auth-failed", "a CRM that refuses its credentials", CrmConnection("hubspot", "44512346")),
    Situation(6, "crm-rate-limited", "a CRM that is rate limited", CrmConnection("hubspot", "44512347")),
)
_FAILURES = {"crm-auth-failed": ErrorName.AUTH_FAILED, "crm-rate-limited": ErrorName.RATE_LIMITED}


def token(tenant: int, role: int, number: int) -> str:
    """The fixed key of a demo tenant. Looks like a demo and nothing else: `vapk_live_000100010001c0ffee…`."""
    return f"vapk_live_{tenant:04x}{role:04x}{number:04x}{'c0ffee' * 6}"


def lead_id(tenant: int, number: int) -> str:
    """The fixed id of a demo lead."""
    return f"{tenant:08x}-1ead-4000-8000-{number:012x}"


def build(store: MemoryStore, clock: Clock, seed: int, contract: Contract) -> None:
    """Fill `store` with the demo tenants."""
    for situation in SITUATIONS:
        store.add(_tenant(situation, clock, seed, contract))


def _tenant(situation: Situation, clock: Clock, seed: int, contract: Contract) -> Tenant:
    number = situation.number
    tenant_id = f"{number:08x}-7e4a-4000-8000-000000000000"
    tenant = Tenant(
        id=tenant_id,
        name=f"demo-{situation.slug}",
        clock=Clock(clock.now),
        ids=Ids(seed, tenant_id),
        notified_channel=situation.notified_channel,
    )
    if situation.crm is not None:
        failure = _FAILURES.get(situation.slug)
        tenant.crm = CrmConnection(situation.crm.vendor, situation.crm.account, failure=failure)
    for key in _keys(situation, contract):
        tenant.keys[key.id] = key
    for n in range(1, LEADS + 1):
        conversation = Conversation(f"{number:08x}-c0de-4000-8000-{n:012x}")
        tenant.conversations[conversation.id] = conversation
        lead = Lead(lead_id(number, n), conversation.id, f"Demo lead {n}")
        tenant.leads[lead.id] = lead
    return tenant


def _keys(situation: Situation, contract: Contract) -> list[ApiKey]:
    tenant, slug = situation.number, situation.slug
    every = OTHER_SCOPES | contract.scopes
    if tenant != 1:
        return [ApiKey(f"{slug}_full_1", token(tenant, 1, 1), every)]
    full = [ApiKey(f"{slug}_full_{n}", token(tenant, 1, n), every) for n in range(1, FULL_KEYS + 1)]
    burst = [ApiKey(f"{slug}_burst_{n}", token(tenant, 2, n), every) for n in range(1, BURST_KEYS + 1)]
    return [
        *full,
        *burst,
        ApiKey(f"{slug}_read_only", token(tenant, 3, 1), frozenset({"read"})),
        ApiKey(f"{slug}_leads_only", token(tenant, 4, 1), contract.scopes_of("handoffLead")),
        ApiKey(f"{slug}_crm_only", token(tenant, 5, 1), contract.scopes_of("createCrmRecord")),
        ApiKey(f"{slug}_revoked", token(tenant, 6, 1), every, revoked=True),
    ]


def target(store: MemoryStore, base_url: str) -> dict[str, Any]:
    """The target profile of the demo world: what a conformance run, or a curious client, needs to know."""
    first, *others = (tenant for tenant in store.tenants() if tenant.name.startswith("demo-"))
    keys = {key.id.removeprefix("hubspot_"): key.token for key in first.keys.values()}
    return {
        "base_url": base_url,
        "keys": {
            "full": [value for name, value in keys.items() if name.startswith("full_")],
            "burst": [value for name, value in keys.items() if name.startswith("burst_")],
            **{name: keys[name] for name in ("read_only", "leads_only", "crm_only", "revoked")},
        },
        "leads": {"own": list(first.leads), "foreign": [lead for tenant in others for lead in tenant.leads]},
        "soft_failures": {failure: _key(tenant) for tenant in others if (failure := _soft_failure(tenant))},
        "tenants": [
            {
                "id": tenant.id,
                "name": tenant.name,
                "story": situation.story,
                "key": _key(tenant),
                "lead": next(iter(tenant.leads)),
            }
            for tenant, situation in zip([first, *others], SITUATIONS, strict=False)
        ],
    }


def _key(tenant: Tenant) -> str:
    return next(iter(tenant.keys.values())).token


def _soft_failure(tenant: Tenant) -> str | None:
    return ErrorName.NO_CRM_CONFIGURED if tenant.crm is None else tenant.crm.failure
