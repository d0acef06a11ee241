"""Step: count the request, and reject it with 429 if its key or its tenant is over the limit.

Every authenticated request counts in both windows, whatever its response. Windows are fixed and aligned to the epoch.
"""

from math import ceil

from vorel_mock.api.messages import ApiError, Exchange, Headers, Quota
from vorel_mock.contract.contract import Contract, RateLimitHeaders
from vorel_mock.model.rate_window import reset_at


def check(exchange: Exchange, contract: Contract) -> None:
    """Count the request. Raises ApiError 429 over a limit, the key's first (#/components/responses/RateLimited)."""
    tenant, key, now = exchange.tenant, exchange.key, exchange.at
    assert tenant is not None
    assert key is not None
    quota = exchange.quota = Quota(
        key.window.add(now), tenant.rate_limit, tenant.window.add(now), tenant.tenant_rate_limit, reset_at(now)
    )
    if 0 < quota.key_limit < quota.key_count:
        owner, count, limit = "API key", quota.key_count, quota.key_limit
    elif 0 < quota.tenant_limit < quota.tenant_count:
        owner, count, limit = "tenant", quota.tenant_count, quota.tenant_limit
    else:
        return
    reason = f"request {count} of a window in which the {owner} has {limit}"
    raise limited(contract.rate_limit_headers(exchange.operation), limit, owner, quota.reset_at, now, reason)


def limited(
    names: RateLimitHeaders,
    limit: int,
    owner: str,
    reset: int,
    now: float,
    reason: str,
    *,
    wait: float | None = None,
) -> ApiError:
    """Return the 429 of a window with `limit` that ends at `reset` (seconds since the epoch).

    `wait`: seconds that Retry-After tells, instead of those until `reset`.
    """
    # Whole seconds, at least one: a client that waits exactly that long finds the next window open.
    told = max(1, ceil(reset - now if wait is None else wait))
    message = f"{limit} requests a minute per {owner} exceeded. Try again in {told} s."
    return ApiError(429, message, reason=reason, headers=_headers(names, limit, 0, reset, told))


def headers(quota: Quota, names: RateLimitHeaders) -> Headers:
    """Return the headers about the window that is closest to its limit; none if no limit is on."""
    windows = [
        (max(0, limit - count), limit)
        for count, limit in ((quota.key_count, quota.key_limit), (quota.tenant_count, quota.tenant_limit))
        if limit
    ]
    if not windows:
        return []
    remaining, limit = min(windows)
    return _headers(names, limit, remaining, quota.reset_at, None)


def _headers(names: RateLimitHeaders, limit: int, remaining: int, reset: int, wait: int | None) -> Headers:
    values = (
        (names.retry_after, wait),
        (names.limit, limit),
        (names.remaining, remaining),
        (names.reset, reset),
    )
    return [(name.encode(), b"%d" % value) for name, value in values if name is not None and value is not None]
