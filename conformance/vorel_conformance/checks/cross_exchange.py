"""Checks that compare an exchange with the earlier ones of the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from vorel_conformance.checks.response import Check, as_uuid, lead_of
from vorel_conformance.http import content_coding
from vorel_conformance.http.exchange import Exchange


@dataclass
class CrossExchangeChecks:
    """The ids that the responses of a run have contained, and the checks that compare them. Not thread-safe."""

    handoffs: dict[UUID, int] = field(default_factory=dict)  # handoff_id -> number of the first exchange with it
    conversations: dict[UUID, UUID] = field(default_factory=dict)  # lead -> conversation_id
    codings: set[str] = field(default_factory=set)  # content codings that were reported

    def knows(self, ids: Iterable[object]) -> bool:
        """Return True if a handoff of the run has one of these ids."""
        return any(as_uuid(each) in self.handoffs for each in ids)

    def compare(self, exchange: Exchange) -> Iterator[Check]:
        """Check an exchange against the earlier ones, and remember it."""
        yield from self._coding(exchange)
        yield from self._ids(exchange)

    def _coding(self, exchange: Exchange) -> Iterator[Check]:
        """Check `envelope.content-encoding`. Reports a coding once: a proxy that compresses does so every time."""
        if not exchange.operation or not exchange.responded or not exchange.body:
            return
        found = ", ".join(content_coding.names(exchange.header("Content-Encoding")))[:100]
        if not found:
            yield Check("envelope.content-encoding", True)
        elif found not in self.codings and (not exchange.undecoded or exchange.unknown_coding):
            self.codings.add(found)
            message = f"Content-Encoding: {found}, although the request accepts identity only"
            yield Check("envelope.content-encoding", False, message, "no Content-Encoding", found)

    def _ids(self, exchange: Exchange) -> Iterator[Check]:
        """Check `handoff.fresh-id` and `handoff.same-conversation`."""
        if not exchange.operation or not exchange.operation.takes_lead or exchange.status != 200:
            return
        value = exchange.parsed.value
        if not isinstance(value, dict):
            return
        handoff_id, lead_id, conversation = (
            as_uuid(value.get(m)) for m in ("handoff_id", "lead_id", "conversation_id")
        )
        if handoff_id:
            first = self.handoffs.setdefault(handoff_id, exchange.number)
            yield Check(
                "handoff.fresh-id",
                first == exchange.number,
                f"the handoff_id of request {first} again",
                "a fresh handoff_id",
                str(handoff_id),
            )
        # Keyed by the lead of the request: the lead_id of the response has a clause of its own.
        asked = as_uuid(lead_of(exchange))
        if asked and conversation and lead_id:
            known = self.conversations.setdefault(asked, conversation)
            yield Check(
                "handoff.same-conversation",
                known == conversation,
                f"the conversation_id of lead {asked} has changed",
                str(known),
                str(conversation),
            )
