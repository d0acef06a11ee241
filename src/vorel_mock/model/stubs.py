"""Stubs: the response that a developer wishes for one kind of request, or a fault for it. No I/O.

A stub is an armed fault with a request pattern. Its JSON object is the same below `/_mock`, in snapshots and in
fixtures; `Stub.of` reads it, and `as_json` writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vorel_mock.model.armed_faults import LONGEST_DELAY, LONGEST_RETRY_AFTER, ArmedFault
from vorel_mock.model.clock import parse_duration, write_duration
from vorel_mock.model.request_pattern import RequestPattern

#: Stubs that one tenant may have; those that are spent make room.
MAX_STUBS = 200
#: Bytes of the response of a stub, as JSON, and headers that it may have.
MAX_RESPONSE = 64 * 1024
MAX_HEADERS = 50
#: Statuses of responses that have no content (RFC 9110).
EMPTY = (204, 205, 304)


@dataclass(frozen=True, slots=True)
class StubResponse:
    """A response as it was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None = None
    """None: the body of the document, if it is an error."""
    is_text: bool = False
    """The body was given as a text, not as a JSON value."""


@dataclass(slots=True)
class Stub(ArmedFault):
    """An armed fault for the requests that match a pattern: a fault of the catalogue, or a response of its own."""

    request: RequestPattern = field(default_factory=RequestPattern)
    response: StubResponse | None = None
    """None: the fault `fault`."""
    unlawful: bool = False
    """The response need not be one that the contract allows."""

    @classmethod
    def of(cls, stub_id: str, wanted: Mapping[str, Any]) -> "Stub":
        """Return the stub that a JSON object describes. Raises ValueError, which names the member at fault.

        Whether the contract allows the response is not looked at here (`vorel_mock.api.faults.stub_check`).
        """
        members, response = dict(wanted.get("request") or {}), dict(wanted["response"])
        nth = members.pop("nth", None)
        request = RequestPattern.of(members, "request")
        if len(msgspec.json.encode(response)) > MAX_RESPONSE:
            raise ValueError(f"response: must be at most {MAX_RESPONSE >> 10} KiB")
        times = wanted.get("times")
        is_fault = "fault" in response
        if is_fault is ("status" in response):
            raise ValueError("response: must have exactly one of status, fault")
        for name in ("headers", "body") if is_fault else ("retry_after", "location"):
            if name in response:
                raise ValueError(f"response.{name}: goes with {'status' if is_fault else 'fault'} only")
        return cls(
            stub_id,
            response.get("fault", ""),
            operation=request.operation,
            next=1 if times is None and nth is not None else times,
            after=0 if nth is None else nth - 1,
            delay=_duration(response, "delay", LONGEST_DELAY),
            retry_after=_duration(response, "retry_after", LONGEST_RETRY_AFTER),
            location=response.get("location"),
            request=request,
            response=None if is_fault else _response(response),
            unlawful=wanted.get("unlawful", False),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object that describes the stub."""
        own: dict[str, Any] = {"fault": self.fault}
        if self.response is not None:
            own = {"status": self.response.status}
            if self.response.headers:
                own["headers"] = dict(self.response.headers)
            if (body := self.response.body) is not None:
                own["body"] = body.decode() if self.response.is_text else msgspec.json.decode(body)
        for name in ("delay", "retry_after"):
            if (seconds := getattr(self, name)) is not None:
                own[name] = write_duration(seconds)
        if self.location is not None:
            own["location"] = self.location
        nth = {"nth": self.after + 1} if self.after else {}
        return {
            "request": {**self.request.as_json(), **nth},
            "response": own,
            "times": self.next,
            "unlawful": self.unlawful,
        }


def _response(given: Mapping[str, Any]) -> StubResponse:
    headers = given.get("headers", {})
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"response.headers: must have at most {MAX_HEADERS} members")
    body = given.get("body")
    if "body" not in given:
        return StubResponse(given["status"], dict(headers))
    is_text = isinstance(body, str)
    content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return StubResponse(given["status"], dict(headers), content, is_text)


def _duration(given: Mapping[str, Any], name: str, most: float) -> float | None:
    if name not in given:
        return None
    try:
        return parse_duration(given[name], most=most)
    except ValueError as error:
        raise ValueError(f"response.{name}: {error}") from None
