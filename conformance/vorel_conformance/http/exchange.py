"""A request without secrets, and the exchange that it leads to.

A request names its keys by placeholders such as `${full.0}` (see `placeholders`). A recorded request can therefore be
shown to anyone, and sent again by whoever has the target profile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property

from vorel_conformance.http import strict_json
from vorel_conformance.http.target import SINGLE_KEYS
from vorel_conformance.http.transport import READ_CAP
from vorel_conformance.spec import contract

KEPT = 16 << 10  # bytes of a body that are kept once it has been judged; reports show less


@dataclass(frozen=True)
class Request:
    """A request without secrets. `path` includes the query. `key` names the credential, for pacing and for reports."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    key: str | None = None


@dataclass(frozen=True)
class Exchange:
    """A request and its response. Without a response, `status` is 0 and `failure` gives the reason."""

    number: int
    request: Request
    url: str
    operation: contract.Operation | None
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""  # without its content coding
    truncated: bool = False
    undecoded: str = ""  # why the body still has its content coding
    unknown_coding: bool = False  # the reason is a coding that the kit does not know
    failure: str = ""
    connected: bool = True  # False if there was not even a connection
    started: float = 0.0  # epoch seconds
    elapsed: float = 0.0  # seconds
    credential: str = field(default="", repr=False)  # the secret that was sent; a check searches the response for it

    @property
    def cut(self) -> Exchange:
        """The exchange with what reports need of its body, to keep as evidence."""
        if len(self.body) <= KEPT:
            return self
        return replace(self, body=self.body[:KEPT], truncated=True)

    @property
    def record(self) -> Exchange:
        """The exchange without its body, and of the headers only its date: a run keeps thousands."""
        date = tuple((name, value[:100]) for name, value in self.headers if name.lower() == "date")[:1]
        return replace(self, body=b"", headers=date)

    @property
    def responded(self) -> bool:
        """True if a complete response arrived."""
        return self.status != 0

    def header(self, name: str) -> str | None:
        """Return the first value of a response header, or None if it is missing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @cached_property
    def parsed(self) -> strict_json.Parsed:
        """The body, parsed as strict JSON."""
        if self.undecoded:
            return strict_json.Parsed(error=self.undecoded)
        if self.truncated:
            return strict_json.Parsed(error=f"the body is longer than {READ_CAP} bytes")
        return strict_json.parse(self.body)

    @property
    def is_json(self) -> bool:
        """True if the media type is JSON, with or without parameters."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower() == contract.MEDIA_TYPE

    @property
    def asks_for_json(self) -> bool:
        """True if the request accepts JSON or anything, and names no other media type."""
        accepted = ",".join(value for name, value in self.request.headers if name.lower() == "accept")
        ranges = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
        return ranges <= {"", "*/*", "application/*", contract.MEDIA_TYPE}

    @property
    def valid_key(self) -> bool:
        """True if the request carried a valid key in the form that the contract defines."""
        name = self.request.key or ""
        issued = name != "revoked" and name.partition(".")[0] in ("full", "burst", "soft", *SINGLE_KEYS)
        return issued and ("Authorization", f"Bearer ${{{name}}}") in self.request.headers

    @property
    def at(self) -> float:
        """The time of the response in epoch seconds: from the server's Date header, otherwise from our clock."""
        try:
            return parsedate_to_datetime(self.header("Date") or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return self.started + self.elapsed

    @property
    def wait_s(self) -> float | None:
        """Retry-After in seconds, or None if it is missing or not an integer."""
        value = self.header("Retry-After") or ""
        return float(value) if re.fullmatch("[0-9]{1,18}", value) else None
