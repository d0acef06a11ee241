"""Faults of the rate limit."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable
from dataclasses import replace as change
from typing import Any

from ..contract import CRM, HANDOFF
from ..server import Change, Reply, Tally, Visit
from .helpers import (
    HANDOFF_SERVED,
    Fault,
    ends,
    fault,
    free,
    other_status,
)


def by_window(length: Callable[[Visit], float]) -> Change:
    """For `tally`: count in a fixed window of another length."""

    def tally(was: Any, v: Visit) -> Tally:
        bucket = v.server.hooks.bucket(v)
        last = v.server.windows.get(bucket)
        fresh = last is None or v.now >= last.ends
        now = Tally(1, v.now + length(v)) if fresh or last is None else Tally(last.count + 1, last.ends)
        v.server.windows[bucket] = now
        return now

    return tally


def penalty(was: Any, v: Visit) -> Tally:
    """Reject a key for three windows after one rejected request, whatever Retry-After says."""
    tally: Tally = was(v)
    if tally.count > v.server.limit:
        v.notes["banned", v.caller.token] = v.now + 3 * v.server.window
    if v.now < v.notes.get(("banned", v.caller.token), 0):
        return Tally(max(tally.count, v.server.limit + 1), tally.ends)
    return tally


def limit_header(name: str, value: Callable[[Visit, str], str | None]) -> Change:
    """For `limit_headers`: another value, or no header."""

    def headers(was: Any, v: Visit) -> dict[str, str]:
        result: dict[str, str] = was(v)
        new = value(v, result.pop(name))
        return result if new is None else {**result, name: new}

    return headers


def twice(name: str, reply: Reply) -> Reply:
    return change(reply, headers=(*reply.headers, *(pair for pair in reply.headers if pair[0] == name)))


def block_all(was: Any, v: Visit) -> Tally:
    tally: Tally = was(v)
    if tally.count > v.server.limit:
        v.notes["blocked until"] = max(v.notes.get("blocked until", 0.0), tally.ends)
    until = v.notes.get("blocked until", 0.0)
    return Tally(v.server.limit + 1, until) if v.now < until and v.caller.tenant == "acme" else tally


LIMIT_FAULTS: tuple[Fault, ...] = (
    fault(
        "limit_one_early",
        "The last request of the limit is rejected.",
        "limit.not-before",
        also="limit.every-operation",
        limit=lambda was, v: was(v) - 1,
    ),
    fault(
        "limit_half",
        "Half of the limit is allowed.",
        "limit.not-before",
        also="limit.every-operation",
        limit=lambda was, v: was(v) // 2,
    ),
    fault(
        "limit_one_late",
        "One request more than the limit is allowed.",
        "limit.enforced",
        also="limit.every-operation",
        limit=lambda was, v: was(v) + 1,
    ),
    fault("no_limit", "There is no limit.", "limit.enforced", also="limit.every-operation", limit=lambda was, v: 10**9),
    fault(
        "one_refusal_only",
        "One request is rejected, then the key is accepted again.",
        "limit.enforced",
        also="limit.every-operation limit.remaining-zero",
        tally=lambda was, v: tally if (tally := was(v)).count == v.server.limit + 1 else Tally(1, tally.ends),
    ),
    fault(
        "limit_per_operation",
        "Every operation has a limit of its own.",
        "limit.every-operation",
        bucket=lambda was, v: f"{was(v)} {v.name}",
    ),
    fault(
        "crm_not_limited", "CRM writes do not count.", "limit.every-operation", also="limit.enforced", tally=free(CRM)
    ),
    fault(
        "handoff_not_limited",
        "Handoffs do not count.",
        "limit.enforced",
        also="limit.every-operation",
        tally=free(HANDOFF),
    ),
    fault(
        "one_limit_for_tenant",
        "All keys of a tenant share the limit.",
        "limit.per-key",
        also="limit.not-before limit.every-operation limit.recovers limit.window",
        bucket=lambda was, v: v.caller.tenant,
    ),
    fault(
        "refused_key_takes_all",
        "While one key is rejected, all keys of the tenant are rejected.",
        "limit.per-key",
        also="limit.not-before limit.every-operation limit.recovers limit.enforced limit.window",
        tally=lambda was, v: block_all(was, v),
    ),
    fault(
        "no_retry_after",
        "A 429 has no Retry-After.",
        "limit.retry-after",
        also="limit.reset limit.window limit.recovers",
        limit_headers=limit_header("Retry-After", lambda v, h: None),
    ),
    fault(
        "retry_after_ms",
        "Retry-After is in milliseconds.",
        "limit.retry-after",
        also="limit.reset limit.window limit.recovers",
        limit_headers=limit_header("Retry-After", lambda v, h: str(round((ends(v) - v.now) * 1000))),
    ),
    fault(
        "retry_after_zero",
        "Retry-After is 0.",
        "limit.retry-after",
        also="limit.reset limit.recovers limit.window",
        limit_headers=limit_header("Retry-After", lambda v, h: "0"),
    ),
    fault(
        "no_retry_after_crm",
        "A 429 of the CRM operation has no Retry-After.",
        "limit.retry-after",
        also="limit.reset limit.window limit.recovers",
        limit_headers=limit_header("Retry-After", lambda v, h: h if v.name == HANDOFF else None),
    ),
    fault(
        "retry_after_constant",
        "Retry-After is always the length of the window.",
        "limit.reset",
        also="limit.retry-after",
        window=10.0,
        limit_headers=limit_header("Retry-After", lambda v, h: str(round(v.server.window))),
    ),
    fault(
        "reset_runs_away",
        "Every 429 names a window that starts at that moment.",
        "limit.reset",
        also="limit.window limit.retry-after",
        window=10.0,
        limit_headers=lambda was, v: {
            **was(v),
            "Retry-After": str(round(v.server.window)),
            "X-RateLimit-Reset": str(round(v.now + v.server.window)),
        },
    ),
    fault(
        "retry_after_rounded_down",
        "Retry-After is rounded down.",
        "limit.recovers",
        window=10.0,
        limit_headers=limit_header("Retry-After", lambda v, h: str(max(1, math.floor(ends(v) - v.now)))),
    ),
    fault(
        "retry_after_rounded",
        "Retry-After is rounded to the nearest second.",
        "limit.recovers",
        window=10.0,
        limit_headers=limit_header("Retry-After", lambda v, h: str(max(1, round(ends(v) - v.now)))),
    ),
    fault(
        "retry_after_negative",
        "Retry-After is negative.",
        "limit.headers-integer",
        also="limit.retry-after limit.reset limit.recovers limit.window",
        limit_headers=limit_header("Retry-After", lambda v, h: f"-{h}"),
    ),
    fault(
        "retry_after_date",
        "Retry-After is a date.",
        "limit.headers-integer",
        also="limit.retry-after limit.reset limit.recovers limit.window",
        limit_headers=limit_header("Retry-After", lambda v, h: email.utils.formatdate(ends(v), usegmt=True)),
    ),
    fault(
        "retry_after_float",
        "Retry-After is a fraction.",
        "limit.headers-integer",
        also="limit.retry-after limit.reset limit.recovers limit.window",
        limit_headers=limit_header("Retry-After", lambda v, h: f"{ends(v) - v.now:.3f}"),
    ),
    fault(
        "retry_after_unit",
        "Retry-After has a unit.",
        "limit.headers-integer",
        also="limit.retry-after limit.reset limit.recovers limit.window",
        limit_headers=limit_header("Retry-After", lambda v, h: f"{h}s"),
    ),
    fault(
        "retry_after_is_reset",
        "Retry-After is the epoch second of the reset.",
        "limit.retry-after",
        also="limit.reset limit.recovers limit.window",
        limit_headers=limit_header("Retry-After", lambda v, h: str(round(ends(v)))),
    ),
    fault(
        "no_limit_header",
        "A 429 has no X-RateLimit-Limit.",
        "limit.headers-present",
        limit_headers=limit_header("X-RateLimit-Limit", lambda v, h: None),
    ),
    fault(
        "no_remaining_header",
        "A 429 has no X-RateLimit-Remaining.",
        "limit.headers-present",
        limit_headers=limit_header("X-RateLimit-Remaining", lambda v, h: None),
    ),
    fault(
        "no_reset_header",
        "A 429 has no X-RateLimit-Reset.",
        "limit.headers-present",
        also="limit.window",
        limit_headers=limit_header("X-RateLimit-Reset", lambda v, h: None),
    ),
    fault(
        "reset_hyphenless",
        "X-RateLimit-Reset is called X-Rate-Limit-Reset.",
        "limit.headers-present",
        also="limit.window",
        limit_headers=lambda was, v: {n.replace("RateLimit-Reset", "Rate-Limit-Reset"): h for n, h in was(v).items()},
    ),
    fault(
        "limit_float",
        "X-RateLimit-Limit is a fraction.",
        "limit.headers-integer",
        also="limit.limit-value",
        limit_headers=limit_header("X-RateLimit-Limit", lambda v, h: f"{h}.0"),
    ),
    fault(
        "limit_with_window",
        "X-RateLimit-Limit also contains the window.",
        "limit.headers-integer",
        also="limit.limit-value",
        limit_headers=limit_header("X-RateLimit-Limit", lambda v, h: f"{h};w=60"),
    ),
    fault(
        "limit_other",
        "X-RateLimit-Limit is another number.",
        "limit.limit-value",
        limit_headers=limit_header("X-RateLimit-Limit", lambda v, h: str(int(h) // 2)),
    ),
    fault(
        "remaining_one",
        "X-RateLimit-Remaining is 1.",
        "limit.remaining-zero",
        limit_headers=limit_header("X-RateLimit-Remaining", lambda v, h: "1"),
    ),
    fault(
        "remaining_negative",
        "X-RateLimit-Remaining is negative.",
        "limit.headers-integer",
        also="limit.remaining-zero",
        limit_headers=limit_header(
            "X-RateLimit-Remaining", lambda v, h: str(v.server.limit - v.tally.count) if v.tally else h
        ),
    ),
    fault(
        "reset_ms",
        "X-RateLimit-Reset is in milliseconds.",
        "limit.reset",
        also="limit.window",
        limit_headers=limit_header("X-RateLimit-Reset", lambda v, h: str(round(ends(v) * 1000))),
    ),
    fault(
        "reset_relative",
        "X-RateLimit-Reset is seconds from now.",
        "limit.reset",
        also="limit.window",
        limit_headers=limit_header("X-RateLimit-Reset", lambda v, h: str(round(ends(v) - v.now))),
    ),
    fault(
        "reset_local_time",
        "X-RateLimit-Reset is an hour ahead.",
        "limit.reset",
        also="limit.window",
        limit_headers=limit_header("X-RateLimit-Reset", lambda v, h: str(int(h) + 3600)),
    ),
    fault(
        "reset_iso",
        "X-RateLimit-Reset is a date.",
        "limit.headers-integer",
        also="limit.reset limit.window",
        limit_headers=limit_header("X-RateLimit-Reset", lambda v, h: "2026-11-23T12:00:00Z"),
    ),
    fault(
        "window_double",
        "The window is twice as long.",
        "limit.window",
        also="limit.reset limit.retry-after limit.recovers",
        window=6.0,
        tally=by_window(lambda v: v.server.window * 2),
    ),
    fault(
        "window_half",
        "The window is half as long.",
        "limit.window",
        also="limit.enforced",
        window=10.0,
        tally=by_window(lambda v: v.server.window / 2),
    ),
    fault(
        "window_never_ends",
        "The window never resets.",
        "limit.recovers",
        also=f"{HANDOFF_SERVED} limit.retry-after limit.reset",
        tally=lambda was, v: Tally(v.once_more(f"all of {v.server.hooks.bucket(v)}"), was(v).ends),
    ),
    fault(
        "waiting_is_not_enough",
        "A rejected key is still rejected after Retry-After.",
        "limit.recovers",
        also="limit.window limit.not-before limit.every-operation limit.per-key",
        tally=penalty,
    ),
    fault(
        "limit_503",
        "A key over its limit gets 503.",
        "limit.enforced",
        also="fuzz.no-server-error envelope.declared-status limit.every-operation",
        refuse=other_status(429, 503),
    ),
    fault(
        "limit_403",
        "A key over its limit gets 403.",
        "limit.enforced",
        also="limit.every-operation limit.per-key limit.recovers limit.not-before limit.window",
        refuse=other_status(429, 403),
    ),
    fault(
        "limit_per_connection",
        "Every connection has a limit of its own.",
        "limit.enforced",
        also="limit.every-operation limit.per-key limit.recovers",
        wire=True,
        bucket=lambda was, v: f"{was(v)} {v.request.connection}",
    ),
    fault(
        "window_shorter_than_told",
        "The window ends after half the time that a 429 names.",
        "limit.retry-after",
        also="limit.enforced limit.window limit.reset",
        window=14.0,
        tally=by_window(lambda v: v.server.window / 2),
        limit_headers=lambda was, v: {
            **was(v),
            "Retry-After": str(math.ceil(ends(v) + v.server.window / 2 - v.now)),
            "X-RateLimit-Reset": str(math.ceil(ends(v) + v.server.window / 2)),
        },
    ),
    fault(
        "limit_header_twice",
        "X-RateLimit-Limit occurs twice.",
        "limit.headers-integer",
        also="limit.limit-value",
        encode=lambda was, v: twice("X-RateLimit-Limit", was(v)),
    ),
)
