"""Making tenants, and taking them back to where they began."""

from collections.abc import Callable, Mapping
from typing import Any

from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import ContractError
from vorel_mock.mock.settings import Limits
from vorel_mock.mock.store.memory import MemoryStore
from vorel_mock.model.clock import Clock
from vorel_mock.model.crm import VENDORS, ErrorName
from vorel_mock.model.ids import Ids, undrawn
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.tenant import CrmConnection, Tenant
from vorel_mock.model.tenant_state import copy_of

#: Scopes that no operation of the vendored document asks for: its security text and the vendor's pages name them.
OTHER_SCOPES = frozenset({"read", "appointments:write", "offerings:write", "conversations:write"})

#: Fields of an object that a tenant's own mapping may have, and characters of each name in it.
MAX_MAPPED = 1_000
MAX_FIELD_NAME = 200
#: The defaults of a tenant.
DEFAULTS: Mapping[str, Any] = {
    "notified_channel": "email",
    "crm": {"vendor": "hubspot"},
    "keys": {"full": 2, "burst": 1},
    "leads": 3,
    "webhook_timeout": 10.0,
}


def check_token_shape(contract: Contract) -> None:
    """Raises ContractError if the document's keys have another shape than those that the mock makes."""
    if not contract.token_pattern.fullmatch(f"vapk_live_{'0' * 48}"):
        raise ContractError(
            f"its bearerFormat {contract.bearer_format!r} is a shape that the mock's keys (vapk_live_ and 48 hex "
            "digits) do not have, so that each would be rejected. Use vapk_<env>_<48-hex>, or leave it out"
        )


def every_scope(contract: Contract) -> frozenset[str]:
    """All the scopes there are."""
    return OTHER_SCOPES | contract.scopes


def key_roles(contract: Contract, full: int, burst: int) -> list[tuple[str, frozenset[str], bool]]:
    """The keys that a tenant is given: role, scopes, whether revoked. The roles are those of the target profile."""
    every = every_scope(contract)
    return [
        *((f"full_{n}", every, False) for n in range(1, full + 1)),
        *((f"burst_{n}", every, False) for n in range(1, burst + 1)),
        ("read_only", frozenset({"read"}), False),
        ("leads_only", contract.scopes_of("handoffLead"), False),
        ("crm_only", contract.scopes_of("createCrmRecord"), False),
        ("revoked", every, True),
    ]


def connection(wanted: Mapping[str, Any] | None) -> CrmConnection | None:
    """Return the CRM connection that a request describes. Raises ValueError, which names the member at fault."""
    if wanted is None:
        return None
    vendor = wanted.get("vendor")
    if vendor is None:
        raise ValueError(f"crm.vendor: is required; it is one of {', '.join(VENDORS)}")
    if vendor not in VENDORS:
        raise ValueError(f"crm.vendor: {vendor!r} is not one of {', '.join(VENDORS)}")
    failure = wanted.get("failure")
    if failure is not None and failure not in list(ErrorName):  # before 3.12, `in` takes members only
        raise ValueError(f"crm.failure: {failure!r} is not one of {', '.join(ErrorName)}")
    objects = VENDORS[vendor].objects
    for name, mapping in wanted.get("mappings", {}).items():
        if name not in objects:
            raise ValueError(f"crm.mappings.{name}: {vendor} takes {', '.join(objects)}, and nothing else")
        if len(mapping) > MAX_MAPPED:
            raise ValueError(f"crm.mappings.{name}: must have at most {MAX_MAPPED} fields")
        if any(len(text) > MAX_FIELD_NAME for pair in mapping.items() for text in pair):
            raise ValueError(f"crm.mappings.{name}: names of fields must have at most {MAX_FIELD_NAME} characters")
    return CrmConnection(
        vendor,
        wanted.get("account", VENDORS[vendor].account),
        {name: dict(mapping) for name, mapping in wanted.get("mappings", {}).items()},
        None if failure is None else ErrorName(failure),
    )


def create(
    wanted: Mapping[str, Any],
    *,
    store: MemoryStore,
    contract: Contract,
    limits: Limits,
    clock: Clock,
    ids: Ids,
    stream: Callable[[str], Ids],
) -> Tenant:
    """Create a tenant with keys and leads, and add it to `store`. Raises ValueError, which names the problem.

    Its ids come from a stream of their own, so that they depend on nothing but the seed and the tenant's id, or on the
    seed that is asked for. `stream` returns the mock's stream of a name.
    """
    connection(wanted.get("crm", DEFAULTS["crm"]))  # before an id is drawn
    tenant_id = undrawn(ids.uuid, store.tenant)
    own = stream(tenant_id) if wanted.get("seed") is None else Ids(wanted["seed"], "tenant")
    tenant = Tenant(tenant_id, "", Clock(clock), own, DEFAULTS["notified_channel"])
    configure(tenant, wanted, limits)
    counts = {**DEFAULTS["keys"], **wanted.get("keys", {})}
    for role, scopes, revoked in key_roles(contract, counts["full"], counts["burst"]):
        # The token is drawn from the tenant's id, not from a seed that another tenant may share: tokens are unique.
        mint(tenant, role, scopes, stream(f"{tenant_id}/{role}"), store, revoked=revoked)
    for n in range(1, wanted.get("leads", DEFAULTS["leads"]) + 1):
        add_lead(tenant, f"Lead {n}")
    store.add(tenant)
    tenant.initial = copy_of(tenant)
    return tenant


def configure(tenant: Tenant, wanted: Mapping[str, Any], limits: Limits) -> None:
    """Give `tenant` the settings that `wanted` has, and the defaults of the others.

    Raises ValueError, which names the member at fault, and changes nothing.
    """
    tenant.crm = connection(wanted.get("crm", DEFAULTS["crm"]))
    tenant.name = wanted.get("name", f"tenant-{tenant.id[:8]}")
    tenant.notified_channel = wanted.get("notified_channel", DEFAULTS["notified_channel"])
    tenant.rate_limit = wanted.get("rate_limit", limits.rate_limit)
    tenant.tenant_rate_limit = wanted.get("tenant_rate_limit", limits.tenant_rate_limit)
    tenant.webhook_timeout = wanted.get("webhook_timeout", DEFAULTS["webhook_timeout"])


def mint(
    tenant: Tenant,
    key_id: str,
    scopes: frozenset[str],
    ids: Ids,
    store: MemoryStore,
    *,
    revoked: bool = False,
    token: str | None = None,
) -> ApiKey:
    """Return a new key of `tenant` with `token`, or one that is not in `store`. The caller adds it to the index."""
    key = ApiKey(key_id, token or key_token(ids, store), scopes, revoked)
    tenant.keys[key.id] = key
    return key


def renew_tokens(state: Tenant, name: str, stream: Callable[[str], Ids], store: MemoryStore) -> None:
    """Give the keys of a state tokens that are not in `store`. They follow the mock's streams with this name."""
    for key in state.keys.values():
        key.token = key_token(stream(f"{name}/{key.id}"), store)


def key_token(ids: Ids, store: MemoryStore) -> str:
    """Return a token for a key, which is not in `store`."""
    return undrawn(lambda: f"vapk_live_{ids.hex(48)}", store.by_token)


def add_lead(tenant: Tenant, name: str, lead_id: str | None = None, status: str = "active") -> Lead:
    """A new lead of `tenant`, in a conversation of its own."""
    conversation = Conversation(undrawn(tenant.ids.uuid, tenant.conversations.get), status)
    tenant.conversations[conversation.id] = conversation
    lead = Lead(lead_id or undrawn(tenant.ids.uuid, tenant.leads.get), conversation.id, name)
    tenant.leads[lead.id] = lead
    return lead
