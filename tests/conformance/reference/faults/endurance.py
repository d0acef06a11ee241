"""Faults of rules that hold for the first request and not for the thousandth, for random ids and not for near ones, for
one key and not for the next, in one window and not in the next, alone and not under load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as change
from typing import Any

from ..contract import CRM, HANDOFF
from ..server import Change, RefusedError, Tally, Visit
from ..world import Lead
from .access import all_keys, foreign, foreign_found, made_up_lead, well_formed_unknown
from .helpers import FUZZ_INVALID, Fault, fault, no_header, revoked

#: Requests after which a server forgets a rule: more than a run of the proof sends before it looks again.
LATE = 1_260
BUSY = 25  # requests of one key, after which a server forgets a rule; the limit of the proof is 20


def late(v: Visit) -> bool:
    return v.number > LATE


def busy(v: Visit) -> bool:
    """Count the requests of the key. Returns True if there were many."""
    return v.once_more(f"requests of {v.caller.token}") > BUSY


def nearly(same: Callable[[str, str], bool]) -> Change:
    """For `find_lead`: find an own lead by a part of its id."""

    def find(was: Any, v: Visit) -> Any:
        own = (lead for lead in v.server.world.leads.values() if lead.tenant == v.caller.tenant)
        near: Lead | None = next((lead for lead in own if same(lead.id, v.lead_id.lower())), None)
        return was(v) or (None if foreign(v) else near)

    return find


def but(place: int) -> Callable[[str, str], bool]:
    """Compare two ids, but for one position."""
    return lambda one, other: one[:place] + one[place + 1 :] == other[:place] + other[place + 1 :]


def number_of(v: Visit, kind: str) -> int:
    """Return the place of the visit's key among the keys of a kind, or -1."""
    keys: list[str] = v.server.world.profile["keys"][kind]
    token = v.server.hooks.token(v)
    return keys.index(token) if token in keys else -1


def prefix_but_for_the_first(was: Any, v: Visit) -> Any:
    token = v.server.hooks.token(v) or ""
    keys = [each for each in v.server.world.keys.values() if number_of(v, "full") != 0]
    first = v.server.world.profile["keys"]["full"][0]
    return was(v) or next(
        (k for k in keys if len(token) == 58 and k.token != first and k.token[:22] == token[:22]), None
    )


def gap_above(every: int, is_so: Callable[[Visit], bool] = lambda v: True) -> Change:
    """For `tally`: serve some of the requests over the limit."""

    def tally(was: Any, v: Visit) -> Tally:
        found: Tally = was(v)
        over = found.count - v.server.limit
        return change(found, count=1) if over > 0 and over % every == 0 and is_so(v) else found

    return tally


def in_the_later_part(v: Visit) -> bool:
    ends = v.server.windows[v.server.hooks.bucket(v)].ends
    return ends - v.now < v.server.window / 2


def evicting(most: int) -> Change:
    """For `tally`: keep the counts of a few keys only."""

    def tally(was: Any, v: Visit) -> Tally:
        found: Tally = was(v)
        kept = v.server.windows
        bucket = v.server.hooks.bucket(v)
        kept[bucket] = kept.pop(bucket)  # the latest last
        while len(kept) > most:
            del kept[next(iter(kept))]
        return found

    return tally


def first_window_only(was: Any, v: Visit) -> Tally:
    known = v.server.windows.get(v.server.hooks.bucket(v))
    again = known is not None and (v.now >= known.ends or v.notes.get(("again", v.caller.token)))
    if again:
        v.notes["again", v.caller.token] = True
    found: Tally = was(v)
    return change(found, count=1) if again else found


def repeated(v: Visit) -> bool:
    """Return True for a request with the body of an earlier one on the same key."""
    known = ("sent", v.caller.token, v.name, v.request.body)
    seen = known in v.notes
    v.notes[known] = True
    return seen and bool(v.request.body)


def repeated_free(was: Any, v: Visit) -> Tally:
    if not repeated(v):
        found: Tally = was(v)
        return found
    last = v.server.windows.get(v.server.hooks.bucket(v))
    return Tally(1, last.ends if last else v.now + v.server.window)


def counted_once(was: Any, v: Visit) -> Tally:
    """Count requests that are in progress at the same time as one."""
    last = v.server.windows.get(v.server.hooks.bucket(v))
    mine = [
        each for each in v.request.beside if each.headers.get("authorization") == v.request.headers.get("authorization")
    ]
    if mine and last and v.now < last.ends:
        return last
    found: Tally = was(v)
    return found


def neighbours_key(was: Any, v: Visit) -> Any:
    """Take the key of a request that is in progress at the same time: one variable for both."""
    own = was(v)
    others = [v.server.world.keys.get(each.headers.get("authorization", "")[7:]) for each in v.request.beside]
    return next((key for key in others if key and not key.revoked and own is not None), own)


def neighbours_check(was: Any, v: Visit) -> bool:
    """Check the scope of another request that is in progress at the same time."""
    return bool(was(v)) or any(
        (key := v.server.world.keys.get(each.headers.get("authorization", "")[7:])) is not None
        and v.operation is not None
        and v.operation.scopes <= key.scopes
        for each in v.request.beside
    )


def unchecked_late(was: Any, v: Visit) -> str | None:
    """Accept every body that is an object, late in a run."""
    message: str | None = was(v)
    if message is None or not late(v) or not isinstance(v.value, dict):
        return message
    v.value = {"object": "contact", "fields": {}, "idempotency_key": f"late {v.number}"} if v.name == CRM else {}
    return None


def refusing_late(was: Any, v: Visit) -> str | None:
    message: str | None = was(v)
    if message is None and late(v) and v.name == HANDOFF and len(v.request.body) > 500:
        raise RefusedError(400, "summary: too long")
    return message


def shortened(was: Any, v: Visit, shorten: Callable[[str], str]) -> Any:
    v.value = {**v.value, "idempotency_key": shorten(v.value["idempotency_key"])}
    return was(v)


ENDURANCE_FAULTS: tuple[Fault, ...] = (
    # Not for the thousandth request.
    fault(
        "scope_forgotten_when_busy",  # K3
        "The scope of a key is not checked after 25 requests with it.",
        "scope.handoff scope.crm scope.no-crossover",
        also="tenancy.indistinguishable",
        allowed=lambda was, v: busy(v) or was(v),
    ),
    fault(
        "scope_forgotten_late",
        "No scope is checked late in a run.",
        "scope.handoff scope.crm scope.no-crossover",
        allowed=lambda was, v: late(v) or was(v),
    ),
    fault(
        "scope_needed_late",
        "Late in a run the handoff needs `crm:write` too.",
        "scope.sufficient",
        allowed=lambda was, v: was(v) and (not late(v) or "crm:write" in v.caller.scopes),
    ),
    fault(
        "missing_key_works_late",
        "Late in a run a request without a key is accepted.",
        "auth.missing",
        find_key=lambda was, v: all_keys(v) if no_header(v) and late(v) else was(v),
    ),
    fault(
        "unknown_key_works_late",
        "Late in a run any key of the right form is accepted.",
        "auth.unknown auth.whole-key",
        find_key=lambda was, v: all_keys(v) if well_formed_unknown(v) and late(v) else was(v),
    ),
    fault(
        "revoked_works_late",
        "Late in a run a revoked key works.",
        "auth.revoked",
        revoked_works=lambda was, v: late(v),
    ),
    fault(
        "revoked_works_when_busy",
        "A revoked key works after it was rejected eight times.",
        "auth.revoked",
        revoked_works=lambda was, v: revoked(v) and v.once_more("revoked") > 8,
    ),
    fault(
        "foreign_lead_late",
        "Late in a run another tenant's lead is handed off.",
        "tenancy.foreign-lead",
        find_lead=lambda was, v: foreign_found(was, v) if late(v) else was(v),
    ),
    fault(
        "unknown_lead_late",
        "Late in a run an unknown lead is handed off.",
        "tenancy.unknown-lead",
        find_lead=lambda was, v: made_up_lead(was, v) if late(v) else was(v),
    ),
    fault(
        "bodies_unchecked_late",
        "Late in a run every object is a valid body.",
        FUZZ_INVALID,
        body_error=unchecked_late,
    ),
    fault(
        "long_bodies_refused_late",
        "Late in a run a body of more than 500 bytes is rejected for the handoff.",
        "fuzz.valid-accepted",
        body_error=refusing_late,
    ),
    # Not for near ids.
    fault(
        "lead_by_prefix",  # K2
        "Only the first eight digits of a lead's id are compared.",
        "tenancy.unknown-lead",
        also="handoff.lead-id",
        find_lead=nearly(lambda one, other: one[:8] == other[:8]),
    ),
    fault(
        "lead_by_tail",
        "Only the last group of a lead's id is compared.",
        "tenancy.unknown-lead",
        also="handoff.lead-id",
        find_lead=nearly(lambda one, other: one[24:] == other[24:]),
    ),
    fault(
        "lead_digit_ignored",
        "The 21st digit of a lead's id is not compared.",
        "tenancy.unknown-lead",
        also="handoff.lead-id",
        find_lead=nearly(but(25)),
    ),
    fault(
        "lead_version_ignored",
        "The version of a lead's id is not compared.",
        "tenancy.unknown-lead",
        also="handoff.lead-id",
        find_lead=nearly(but(14)),
    ),
    fault(
        "lead_variant_ignored",
        "The variant of a lead's id is not compared.",
        "tenancy.unknown-lead",
        also="handoff.lead-id",
        find_lead=nearly(but(19)),
    ),
    fault(
        "idempotency_key_cut",
        "Only the first hundred characters of an idempotency_key are compared.",
        "crm.distinct",
        crm=lambda was, v: shortened(was, v, lambda key: key[:100]),
    ),
    fault(
        "idempotency_key_one_case",
        "The letter case of an idempotency_key is not compared.",
        "crm.distinct",
        crm=lambda was, v: shortened(was, v, str.casefold),
    ),
    fault(
        "idempotency_key_trimmed",
        "Blanks around an idempotency_key are not compared.",
        "crm.distinct",
        crm=lambda was, v: shortened(was, v, str.strip),
    ),
    # Not for the next key.
    fault(
        "other_keys_by_prefix",
        "Only the first key is compared whole, the others by their first 22 characters.",
        "auth.whole-key",
        find_key=prefix_but_for_the_first,
    ),
    fault(
        "one_key_sees_all",
        "One key hands off the leads of all tenants.",
        "tenancy.foreign-lead",
        find_lead=lambda was, v: foreign_found(was, v) if number_of(v, "full") == 7 else was(v),
    ),
    fault(
        "scoped_key_sees_all",
        "A key with the scope of the handoff alone hands off the leads of all tenants.",
        "tenancy.foreign-lead",
        find_lead=lambda was, v: foreign_found(was, v) if "crm:write" not in v.caller.scopes else was(v),
    ),
    fault(
        "second_key_without_limit",
        "The second key that is limited has no limit.",
        "limit.every-operation",  # the burst of the other operation
        limit=lambda was, v: 10**9 if number_of(v, "burst") == 1 else was(v),
    ),
    fault(
        "last_key_without_limit",
        "The last key has no limit.",
        "limit.enforced",
        also="limit.every-operation",
        limit=lambda was, v: 10**9 if number_of(v, "burst") == 3 else was(v),
    ),
    # Not in the next window.
    fault(
        "limit_of_the_first_window",
        "A key is limited in its first window only.",
        "limit.enforced",
        also="limit.every-operation",
        tally=first_window_only,
    ),
    # Not above the edge, or not for every request.
    fault(
        "limit_now_and_then",  # K1
        "Every fifth request over the limit is served.",
        "limit.enforced",
        also="limit.every-operation",
        tally=gap_above(5),
    ),
    fault(
        "limit_now_and_then_later",
        "In the second half of a window every third request over the limit is served.",
        "limit.enforced",
        window=14.0,
        tally=gap_above(3, in_the_later_part),
    ),
    fault(
        "limit_per_forwarded_address",
        "Every address in X-Forwarded-For has a limit of its own.",
        "limit.enforced",
        also="limit.every-operation",
        bucket=lambda was, v: f"{was(v)} {v.request.headers.get('x-forwarded-for', '')}",
    ),
    fault(
        "limit_not_for_repeats",
        "A request with the body of an earlier one does not count.",
        "limit.enforced",
        also="limit.every-operation",
        tally=repeated_free,
    ),
    fault(
        "limit_of_eight_keys",
        "Only the counts of the eight latest keys are kept.",
        "limit.enforced",
        also="limit.every-operation",
        tally=evicting(8),
    ),
    # Not under load.
    fault(
        "limit_counts_together",
        "Requests at the same time count as one.",
        "limit.enforced",
        also="limit.every-operation",
        wire=True,
        slow=0.004,
        tally=counted_once,
    ),
    fault(
        "key_of_the_neighbour",
        "A request gets the key of another one that is in progress at the same time.",
        "scope.sufficient",
        also="*",
        wire=True,
        slow=0.004,
        find_key=neighbours_key,
    ),
    fault(
        "scope_of_the_neighbour",
        "A request has the scopes of another one that is in progress at the same time.",
        "scope.handoff scope.crm",
        also="scope.no-crossover",
        wire=True,
        slow=0.004,
        allowed=neighbours_check,
    ),
)

#: Rules that hold here and not there: the kinds, with the servers of the whole catalogue that show them.
KINDS: Mapping[str, tuple[str, ...]] = {
    "for the first request and not for the thousandth": (
        "wrong_after_150",
        "no_id_after_150",
        "keys_forgotten",
        "scope_forgotten_when_busy",
        "revoked_works_when_busy",
        "scope_forgotten_late",
        "scope_needed_late",
        "missing_key_works_late",
        "unknown_key_works_late",
        "revoked_works_late",
        "foreign_lead_late",
        "unknown_lead_late",
        "bodies_unchecked_late",
        "long_bodies_refused_late",
    ),
    "most of the time": ("valid_key_401", "flaky_channel", "flaky_ok", "handoff_id_shared", "limit_now_and_then"),
    "for random values and not for near ones": (
        "one_digit_ignored",
        "last_digit_ignored",
        "lead_by_prefix",
        "lead_by_tail",
        "lead_digit_ignored",
        "lead_version_ignored",
        "lead_variant_ignored",
        "idempotency_key_cut",
        "idempotency_key_one_case",
        "idempotency_key_trimmed",
    ),
    "for one key and not for the next": (
        "other_keys_by_prefix",
        "one_key_sees_all",
        "scoped_key_sees_all",
        "second_key_without_limit",
        "last_key_without_limit",
    ),
    "in one window and not across two": (
        "limit_of_the_first_window",
        "window_half",
        "window_never_ends",
        "waiting_is_not_enough",
    ),
    "at the edge of the limit and not above it": (
        "one_refusal_only",
        "limit_now_and_then",
        "limit_now_and_then_later",
        "limit_per_connection",
        "limit_per_forwarded_address",
        "limit_not_for_repeats",
    ),
    "alone and not under load": (
        "two_at_once",
        "limit_of_eight_keys",
        "limit_counts_together",
        "key_of_the_neighbour",
        "scope_of_the_neighbour",
    ),
}
