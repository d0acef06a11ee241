"""Before anything is judged: does the target answer, does each key authenticate, is each lead visible?

A run with a wrong key or an unknown lead would see 401s and 404s alone, and could not tell a good server from a bad
one.
"""

from __future__ import annotations

import math
import statistics

from vorel_conformance.exchange import Exchange, Request, must_answer
from vorel_conformance.session import Probe, Session
from vorel_conformance.target import TargetError

TRIES = 3
# One connection does as long as the target answers in this time; a slower one gets as many as make up for it.
KEEPS_UP_S = 0.03
MOST_WORKERS = 32


def preflight(session: Session, workers: int | None = None) -> None:
    """Show that the profile is right. TargetError names the first key or lead that is not, and what to do about it.

    `workers`: how many requests at once; None for as many as the target's pace asks for.
    """
    probe = session.probe("preflight")
    first = must_answer(session.client, _knock(probe, "full.0"), "the first request")
    session.workers = workers or max(1, min(MOST_WORKERS, math.ceil(first.elapsed / KEEPS_UP_S)))
    own, single = session.target.own, session.target.single
    keys = [
        (f"full.{n}", _knock(probe, f"full.{n}", own[n % len(own)] if own else None), f"keys.full[{n}]")
        for n in range(len(session.target.full))
    ]
    if "leads_only" in single:
        keys.append(("leads_only", _knock(probe, "leads_only"), "keys.leads_only"))
    if "crm_only" in single:
        keys.append(("crm_only", probe.valid(probe.crm, key="crm_only"), "keys.crm_only"))
    for error in session.target.soft_failures:
        key = f"soft.{error}"
        keys.append((key, probe.valid(probe.crm, key=key), f"soft_failures.{error}"))
    probe.each(lambda each: _check_key(probe, *each), keys)
    probe.each(lambda each: _check_lead(probe, *each), list(enumerate(own)))
    if workers is None:
        typical = statistics.median(each.elapsed for each in session.client.exchanges)
        session.workers = max(1, min(MOST_WORKERS, math.ceil(typical / KEEPS_UP_S)))


def _knock(probe: Probe, key: str, lead: str | None = None) -> Request:
    """A valid handoff with this key: on a lead of ours, or, where the profile names none, on one that nobody has."""
    own = probe.target.own
    return probe.valid(probe.handoff, key=key, lead=lead or (own[0] if own else probe.unknown_lead()))


def _check_key(probe: Probe, key: str, request: Request, place: str) -> None:
    for _ in range(TRIES):
        exchange = probe.send(request)
        if exchange.status not in (0, 401, 403):
            return
    if exchange.status == 401:
        raise TargetError(
            f"{place} does not authenticate (401{_said(exchange)}). Correct it in the target profile, or take it out."
        )
    # A scoped key that is refused here may be the server's fault; scope.sufficient asks.
    if exchange.status == 403 and key.startswith("full."):
        raise TargetError(f"{place} lacks a scope (403{_said(exchange)}). A full key has both write scopes.")
    if not exchange.answered:
        raise TargetError(f"{probe.target.base_url} does not answer: {exchange.failure}")


def _check_lead(probe: Probe, n: int, lead: str) -> None:
    for _ in range(TRIES):
        exchange = probe.send(probe.valid(probe.handoff, lead=lead))
        if exchange.status != 404:
            return
    raise TargetError(
        f"leads.own[{n}] ({lead}) is not visible to keys.full (404{_said(exchange)}). "
        "Correct it in the target profile, or take it out."
    )


def _said(exchange: Exchange) -> str:
    value = exchange.parsed.value
    message = value.get("error", {}) if isinstance(value, dict) else {}
    text = str(message.get("message", "")) if isinstance(message, dict) else ""
    return f", {text[:120]!r}" if text else ""
