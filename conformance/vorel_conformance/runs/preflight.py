"""Preflight: checks before the run that the target responds, every key authenticates and every lead is visible.

With an invalid key or lead, a run would see only 401s and 404s, and could not tell a good server from a bad one.
"""

from __future__ import annotations

import math
import statistics

from vorel_conformance.http.client import ATTEMPTS, Client
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.target import TargetError
from vorel_conformance.http.transport import READ_CAP, advice
from vorel_conformance.session.probe import Probe
from vorel_conformance.session.served import not_served, outcome
from vorel_conformance.session.session import Session

TRIES = 3
# Up to this response time one connection is enough. A slower target gets more, in proportion.
KEEPS_UP_S = 0.03
MAX_WORKERS = 32


def preflight(session: Session, workers: int | None = None) -> None:
    """Check the target profile, and set the number of workers of the session.

    `workers`: the number of requests at a time. None: chosen by the response time of the target.
    Raises TargetError with the first invalid key or lead, and what to do.
    """
    probe = Probe(session, "preflight")
    first = _first_response(session.client, _handoff(probe, "full.0"))
    _look_for_operations(probe, first)
    session.workers = workers or max(1, min(MAX_WORKERS, math.ceil(first.elapsed / KEEPS_UP_S)))
    own, single = session.target.own, session.target.single
    handoff, crm = (probe.serves(each) for each in (probe.handoff, probe.crm))

    def request(key: str, *, prefers_crm: bool, lead: str | None = None) -> Request:
        if crm and (prefers_crm or not handoff):
            return probe.valid(probe.crm, key=key)
        return _handoff(probe, key, lead)

    keys = [
        (
            f"full.{n}",
            request(f"full.{n}", prefers_crm=False, lead=own[n % len(own)] if own else None),
            f"keys.full[{n}]",
        )
        for n in range(len(session.target.full))
    ]
    if "leads_only" in single:
        keys.append(("leads_only", request("leads_only", prefers_crm=False), "keys.leads_only"))
    if "crm_only" in single:
        keys.append(("crm_only", request("crm_only", prefers_crm=True), "keys.crm_only"))
    if "other_tenant" in single:
        keys.append(("other_tenant", request("other_tenant", prefers_crm=True), "keys.other_tenant"))
    for error in session.target.soft_failures:
        key = f"soft.{error}"
        keys.append((key, request(key, prefers_crm=True), f"soft_failures.{error}"))
    probe.each(lambda each: _check_key(probe, *each), keys)
    if handoff:
        probe.each(lambda each: _check_lead(probe, *each), list(enumerate(own)))
    if workers is None:
        typical = statistics.median(each.elapsed for each in session.client.exchanges)
        session.workers = max(1, min(MAX_WORKERS, math.ceil(typical / KEEPS_UP_S)))


def _handoff(probe: Probe, key: str, lead: str | None = None) -> Request:
    """Build a valid handoff with this key, on a lead of the profile, or on an unknown one if it has none."""
    own = probe.target.own
    return probe.valid(probe.handoff, key=key, lead=lead or (own[0] if own else probe.unknown_lead()))


def _look_for_operations(probe: Probe, first: Exchange) -> None:
    """Note the operations that the target does not serve. Raises TargetError if it serves none."""
    for operation in probe.contract.operations.values():
        dead = not_served(probe, operation, first if operation.takes_lead else None)
        if dead is not None:
            clause = "handoff.served" if operation.takes_lead else "crm.served"
            probe.session.not_served[operation.id] = f"{operation.id} is not served, see {clause}"
            last = dead
    if not probe.operations:
        raise TargetError(
            f"{probe.target.base_url} serves none of the operations of this API: "
            f"{last.request.method} {last.request.path} leads to {outcome(last)}. Is it this API?"
        )


def _check_key(probe: Probe, key: str, request: Request, place: str) -> None:
    for _ in range(TRIES):
        exchange = probe.send(request)
        if exchange.status not in (0, 401, 403):
            return
    if exchange.status == 401:
        raise TargetError(
            f"{place} does not authenticate (401{_said(exchange)}). Correct or remove it in the target profile."
        )
    # A scoped key that is rejected here may be the server's fault: scope.sufficient checks it.
    if exchange.status == 403 and key.startswith("full."):
        raise TargetError(f"{place} lacks a scope (403{_said(exchange)}). A full key needs both write scopes.")
    if not exchange.responded:
        raise TargetError(f"{probe.target.base_url} does not respond: {exchange.failure}")


def _check_lead(probe: Probe, n: int, lead: str) -> None:
    for _ in range(TRIES):
        exchange = probe.send(probe.valid(probe.handoff, lead=lead))
        if exchange.status != 404:
            return
    raise TargetError(
        f"leads.own[{n}] ({lead}) is not visible to keys.full (404{_said(exchange)}). "
        "Correct or remove it in the target profile."
    )


def _first_response(client: Client, request: Request) -> Exchange:
    """Send the first request. Raises TargetError if there is no response, or if it cannot be one of this API."""
    for _ in range(ATTEMPTS):
        exchange = client.send(request)
        problem = _not_this_api(exchange, client.target.base_url)
        if not problem:
            return exchange
    raise TargetError(problem)


def _not_this_api(exchange: Exchange, base_url: str) -> str:
    """Return why a response cannot be one of this API, or an empty string."""
    if not exchange.responded:
        return f"{base_url} does not respond to the first request: {exchange.failure}.{advice(exchange.failure)}"
    if 300 <= exchange.status < 400:
        where = exchange.header("Location") or "an unknown place"
        return f"{base_url} redirects the first request to {where}. Use the URL of the API itself."
    if exchange.truncated:
        return f"{base_url} responds to the first request with more than {READ_CAP} bytes. Is it this API?"
    if exchange.body.lstrip().startswith(b"<") and not exchange.is_json:
        return f"{base_url} responds to the first request with a web page (HTTP {exchange.status}). Is it this API?"
    return ""


def _said(exchange: Exchange) -> str:
    """Return the error message of a response, in quotes after a comma, or an empty string."""
    value = exchange.parsed.value
    message = value.get("error", {}) if isinstance(value, dict) else {}
    text = str(message.get("message", "")) if isinstance(message, dict) else ""
    return f", {text[:120]!r}" if text else ""
