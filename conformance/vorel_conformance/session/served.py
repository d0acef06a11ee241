"""Whether an operation is served at all. If not, that is the one cause: no other clause judges the operation.

The preflight calls it, and the test of the clauses `handoff.served` and `crm.served`.
"""

from __future__ import annotations

from vorel_conformance.http.exchange import Exchange
from vorel_conformance.session.probe import NO_KEY, Probe
from vorel_conformance.spec.contract import Operation

TRIES = 2  # more valid requests, if the first one and one without a key show nothing


def not_served(probe: Probe, operation: Operation, first: Exchange | None = None) -> Exchange | None:
    """Return a response that shows that an operation is not served, or None if it is served.

    It is not served if valid requests and one without a key all lead to 404, 405, a server error or no response.
    `first`: the response to a valid request, if there is one already.
    Records the checks of a response only if the operation is served.
    """
    keys = [f"full.{n % len(probe.target.full)}" for n in range(TRIES + 1)]
    dead = None
    # Without a key, a lead that the profile's keys cannot see is no reason for a 404.
    for key in (keys[0], NO_KEY, *keys[1:]):
        exchange = first or probe.session.client.send(probe.valid(operation, key=key))
        first = None
        if not _is_dead(exchange):
            probe.take(exchange)
            return None
        dead = dead or exchange
    return dead


def outcome(exchange: Exchange) -> str:
    """Return the status of a response, or why there is none, for a message."""
    return f"HTTP {exchange.status}" if exchange.responded else f"no response ({exchange.failure})"


def _is_dead(exchange: Exchange) -> bool:
    return exchange.status in (404, 405) or exchange.status >= 500 or not exchange.responded
