"""Step: has the key, or the tenant, had its share of this minute?

Every authenticated request counts in both buckets, whatever its answer. Windows are fixed and aligned to the epoch.
"""

from math import ceil

from vorel_mock.api.messages import Exchange, Headers, Quota, Refusal
from vorel_mock.contract.contract import Contract, RateLimitHeaders
from vorel_mock.model.rate_window import reset_at


def count(exchange: Exchange) -> None:
    """Count the request in the buckets of its key and its tenant."""
    tenant, key = exchange.tenant, exchange.key
    assert tenant is not None
    assert key is not None
    now = tenant.clock.now()
    exchange.quota = Quota(
        key.window.add(now),
        tenant.rate_limit,
        tenant.window.add(now),
        tenant.tenant_rate_limit,
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
            reason = f"request {count} of a window in which the {owner} has {limit}"
            names = contract.rate_limit_headers(exchange.operation)
            raise refusal(names, limit, owner, quota.reset_at, tenant.clock.now(), reason)


def refusal(names: RateLimitHeaders, limit: int, owner: str, reset: int, now: float, reason: str) -> Refusal:
    """The 429 of a bucket with `limit` that opens again at `reset`."""
    # Whole seconds, at least one: a client that waits as long as told finds the next window open.
    wait = max(1, ceil(reset - now))
    message = f"{limit} requests a minute per {owner} exceeded. Try again in {wait} s."
    return Refusal(429, message, reason=reason, headers=_headers(names, limit, 0, reset, wait))


def headers(quota: Quota, names: RateLimitHeaders) -> Headers:
    """The headers that tell of the bucket that is nearest to its limit; none where no limit is on."""
    buckets = [
        (max(0, limit - count), limit)
        for count, limit in ((quota.key_count, quota.key_limit), (quota.tenant_count, quota.tenant_limit))
        if limit
    ]
    if not buckets:
        return []
    remaining, limit = min(buckets)
    return _headers(names, limit, remaining, quota.reset_at, None)


def _headers(names: RateLimitHeaders, limit: int, remaining: int, reset: int, wait: int | None) -> Headers:
    values = (
        (names.retry_after, wait),
        (names.limit, limit),
        (names.remaining, remaining),
        (names.reset, reset),
    )
    return [(name.encode(), b"%d" % value) for name, value in values if name is not None and value is not None]
