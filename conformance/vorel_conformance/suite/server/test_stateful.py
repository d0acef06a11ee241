"""Random walks: handoffs, repeated handoffs, writes and replays in random order, over a few leads and keys.

Every step gets the checks of every response, and `checks.cross_exchange` compares it with all earlier steps. The
external_id of a replay is compared with that of the first write.
"""

from __future__ import annotations

from vorel_conformance.http.exchange import Request
from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import covers
from vorel_conformance.suite.server.test_crm import external_id

STEPS = 60
KINDS = ("hand off", "hand off briefly", "post again", "write", "replay")


@covers("handoff.repost", "handoff.fresh-id", "handoff.same-conversation", "crm.replay", requests=STEPS)
def test_walk(probe: Probe) -> None:
    handoffs: list[Request] = []
    writes: list[tuple[Request, str | None]] = []
    hands_off, writes_crm = (probe.serves(each) for each in (probe.handoff, probe.crm))
    for _ in range(STEPS):
        kind, which = probe.rng.choice(KINDS), probe.rng.randrange(10)
        if kind.startswith("hand off") and hands_off and probe.target.own:
            lead = probe.target.own[which % len(probe.target.own)]
            body = probe.handoff_body() if kind == "hand off" else probe.handoff_body(summary="")
            handoffs.append(probe.request(probe.handoff, body, lead=lead))
            probe.send(handoffs[-1])
        elif kind == "post again" and handoffs:
            probe.expect("handoff.repost", "a repeated handoff", handoffs[which % len(handoffs)], {200})
        elif kind == "replay" and writes:
            request, first = writes[which % len(writes)]
            again = probe.send(request)
            if first and external_id(again):
                got = str(external_id(again))
                probe.check(
                    "crm.replay", got == first, "a replay has another external_id", again, expected=first, got=got
                )
        elif writes_crm:
            request = probe.valid(probe.crm)
            writes.append((request, external_id(probe.send(request))))
