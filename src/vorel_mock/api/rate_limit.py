"""Step: has the key, or the tenant, had its share of this minute?

Every authenticated request counts in both buckets, whatever its answer. Windows are fixed and aligned to the epoch.
"""

from math import ceil

from vorel_mock.api.exchange import Exchange, Headers, Quota, Refusal
from vorel_mock.contract import Contract
from vorel_mock.model.quota import reset_at
from vorel_mock.settings import Settings


def count(exchange: Exchange, settings: Settings) -> None:
    """Count the request in the buckets of its key and its tenant."""
    tenant, key = exchange.tenant, exchange.key
    assert tenant is not None
    assert key is not None
    now = tenant.clock.now()
    exchange.quota = Quota(
        key.window.add(now),
        settings.rate_limit,
        tenant.window.add(now),
        settings.tenant_rate_limit,
        reset_at(now),
    )


def check(exchange: Exchange, contract: Contract) -> None:
    """Refuse a request over the limit of its key, then of its tenant (#/components/responses/RateLimited)."""
    quota, tenant = exchange.quota, exchange.tenant
    assert quota is not None
    assert tenant is not None
    for count, limit, owner in (
        (quota.key_count, quota.key_limit, "API key"),
        (quota.tenant_count, quota.tenant_limit, "tenant"),
    ):
        if limit and count > limit:
            # Whole seconds, at least one: a client that waits as long as told finds the next window open.
            wait = max(1, ceil(quota.reset_at - tenant.clock.now()))
            raise Refusal(
                429,
                f"{limit} requests a minute per {owner} exceeded. Try again in {wait} s.",
                reason=f"request {count} of a window in which the {owner} has {limit}",
                headers=_headers(contract, limit, 0, quota.reset_at, wait),
            )


def headers(quota: Quota, contract: Contract) -> Headers:
    """The headers that tell of the bucket that is nearest to its limit; none where no limit is on."""
    buckets = [
        (max(0, limit - count), limit)
        for count, limit in ((quota.key_count, quota.key_limit), (quota.tenant_count, quota.tenant_limit))
        if limit
    ]
    if not buckets:
        return []
    remaining, limit = min(buckets)
    return _headers(contract, limit, remaining, quota.reset_at, None)


def _headers(contract: Contract, limit: int, remaining: int, reset: int, wait: int | None) -> Headers:
    names = contract.rate_limit_headers
    values = (
        (names.retry_after, wait),
        (names.limit, limit),
        (names.remaining, remaining),
        (names.reset, reset),
    )
    return [(name.encode(), b"%d" % value) for name, value in values if name is not None and value is not None]
