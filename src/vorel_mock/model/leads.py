"""Leads and the conversations they are attached to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with a customer. Its statuses: the contract's, and `active` from the public docs."""

    id: str
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Lead:
    """A qualified lead, attached to a conversation."""

    id: str
    conversation_id: str
    name: str = ""
