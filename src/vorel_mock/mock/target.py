"""Target profiles: the keys and leads of tenants, as vorel-conformance reads them."""

from typing import Any

from vorel_mock.mock import provisioning
from vorel_mock.mock.mock import Mock
from vorel_mock.model.crm import ErrorName
from vorel_mock.model.tenant import Tenant

Json = dict[str, Any]

#: Roles of which a tenant has one key, whose id is the role.
_SINGLE = ("read_only", "leads_only", "crm_only", "revoked")


def of_mock(mock: Mock, base_url: str) -> Json:
    """Return the target profile of the fixtures: all that a conformance run has to know. Called with the lock held."""
    first, *others = mock.fixtures
    found = of_tenant(mock, first, base_url)
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
                "story": mock.story(tenant),
                "key": _key(tenant),
                "lead": next(iter(tenant.leads), None),
            }
            for tenant in mock.fixtures
        ],
    }


def of_tenant(mock: Mock, tenant: Tenant, base_url: str) -> Json:
    """Return the target profile of one tenant. What it does not have is left out. Called with the lock held."""
    token = {key.id: key.token for key in tenant.keys.values()}

    def pool(role: str) -> list[str]:
        return [value for name, value in token.items() if name.startswith(f"{role}_")]

    single = {role: token[role] for role in _SINGLE if role in token}
    foreign = [lead for other in mock.fixtures if other is not tenant for lead in other.leads]
    return {
        "base_url": base_url,
        "keys": {"full": pool("full") or _able(mock, tenant), "burst": pool("burst"), **single},
        "leads": {"own": list(tenant.leads), "foreign": foreign},
    }


def _able(mock: Mock, tenant: Tenant) -> list[str]:
    """Return the keys that may do everything, of a tenant whose keys are not called by their roles."""
    every = provisioning.every_scope(mock.contract)
    return [
        key.token
        for key in tenant.keys.values()
        if key.scopes >= every and not key.revoked and key.id not in _SINGLE and not key.id.startswith("burst_")
    ]


def _key(tenant: Tenant) -> str | None:
    return next((key.token for key in tenant.keys.values() if not key.revoked), None)


def _soft_failure(tenant: Tenant) -> str | None:
    return ErrorName.NO_CRM_CONFIGURED if tenant.crm is None else tenant.crm.failure
