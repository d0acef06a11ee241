"""Leads and the conversations they are attached to."""

from dataclasses import dataclass

from vorel_mock.model.types import Uuid


@dataclass(slots=True)
class Conversation:
    """A conversation with a customer. Its statuses: the contract's, and `active` from the public docs."""

    id: Uuid
    status: str = "active"


@dataclass(slots=True)
class Lead:
    """A qualified lead, attached to a conversation."""

    id: Uuid
    conversation_id: Uuid
    name: str = ""
