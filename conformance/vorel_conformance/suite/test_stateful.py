"""Walks: handoffs, re-posts, writes and replays in an order that nobody chose, over a few leads and keys.

What must hold at each step is the same as anywhere, and the memory holds it against all the steps before. A replay's
external_id is compared with that of its first time.
"""

from __future__ import annotations

from hypothesis import strategies as st

from vorel_conformance import fuzz
from vorel_conformance.exchange import Request
from vorel_conformance.session import Probe
from vorel_conformance.suite import covers
from vorel_conformance.suite.test_crm import external_id

STEPS = 60
KINDS = ("hand off", "hand off briefly", "post again", "write", "replay")


@covers("handoff.repost", "handoff.fresh-id", "handoff.same-conversation", "crm.replay", requests=STEPS)
def test_walk(probe: Probe) -> None:
    steps = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), min_size=STEPS, max_size=STEPS)
    handoffs: list[Request] = []
    writes: list[tuple[Request, str | None]] = []
    for kind, which in fuzz.example(steps, probe.session.seed):
        if kind.startswith("hand off") and probe.target.own:
            lead = probe.target.own[which % len(probe.target.own)]
            body = probe.note() if kind == "hand off" else probe.note(summary="")
            handoffs.append(probe.request(probe.handoff, body, lead=lead))
            probe.send(handoffs[-1])
        elif kind == "post again" and handoffs:
            probe.expect("handoff.repost", "a handoff once more", handoffs[which % len(handoffs)], {200})
        elif kind == "replay" and writes:
            request, first = writes[which % len(writes)]
            again = probe.send(request)
            if first and external_id(again):
                ok = external_id(again) == first
                probe.check("crm.replay", ok, "a replay has another external_id", again, expected=first)
        else:
            request = probe.valid(probe.crm)
            writes.append((request, external_id(probe.send(request))))
