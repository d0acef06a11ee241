"""The entries of a tenant's log: all that may change it, each with its time and what chance gave it.

Applied in their order to the same state, entries give the same state and the same responses in every process.
"""

import json
from typing import Any

import msgspec

from vorel_mock.api.messages import Headers, Request, first_values
from vorel_mock.mock.snapshot.rows import SnapshotDelivery

#: The version of entries and checkpoints. A process refuses a log with another one.
FORMAT = 1


class RequestEntry(msgspec.Struct, frozen=True, array_like=True, tag="request"):
    """A request to the API, as it arrived."""

    method: str
    target: bytes
    path: str
    query: bytes
    headers: Headers
    body: bytes
    unreadable: str | None
    malformed: str | None
    is_http_1_0: bool

    @classmethod
    def of(cls, request: Request) -> "RequestEntry":
        """Return the entry of a request."""
        return cls(
            request.method,
            request.target,
            request.path,
            request.query,
            request.headers,
            request.body,
            request.unreadable,
            request.malformed,
            request.is_http_1_0,
        )

    def request(self) -> Request:
        """Return the request."""
        return Request(
            self.method,
            self.target,
            self.path,
            self.query,
            self.headers,
            first_values(self.headers),
            self.body,
            self.unreadable,
            self.malformed,
            self.is_http_1_0,
        )


class CommandEntry(msgspec.Struct, frozen=True, array_like=True, tag="command"):
    """A request to the control plane that changes one tenant: the operationId, and the arguments of its handler."""

    name: str
    json: str
    """The arguments, as the standard library writes them: numbers in them may be of any size."""

    @classmethod
    def of(cls, name: str, arguments: dict[str, Any]) -> "CommandEntry":
        """Return the entry of a command."""
        return cls(name, json.dumps(arguments))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments."""
        return dict(json.loads(self.json))


class AttemptEntry(msgspec.Struct, frozen=True, array_like=True, tag="attempt"):
    """What an attempt to deliver has made of a delivery."""

    delivery: SnapshotDelivery


Content = RequestEntry | CommandEntry | AttemptEntry


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One entry. `at` is the time of the mock's clock, in seconds since the epoch."""

    at: float
    content: Content


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """A tenant at one version of its log."""

    at: float
    """The latest time of an entry."""
    offset: float
    frozen_at: float | None
    """Its clock, exactly: a snapshot writes microseconds."""
    ttl: float | None
    snapshot: bytes
    """All that it is, as GET …/snapshot writes it."""
    initial: bytes | None
    """What a reset goes back to."""
    format: int = FORMAT


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode
decode_checkpoint = msgspec.msgpack.Decoder(Checkpoint).decode
