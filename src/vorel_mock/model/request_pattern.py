"""Which requests are meant: by operation, lead, key, headers, and members of the body. No I/O.

What a stub answers and what a test looks for in the journal is told in this one way. `seen_request` in
`vorel_mock.api.messages` makes the other side of the comparison, of a request that was read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

#: Headers, and members of the body, that a pattern may have; and bytes of all that it demands, as JSON.
MAX_MEMBERS = 50
MAX_BYTES = 16 * 1024
#: Headers that carry the key, which a pattern names by its id instead.
_SECRET = ("authorization", "proxy-authorization")
#: A JSON pointer (RFC 6901) that leads somewhere within the body.
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ABSENT = object()


@dataclass(frozen=True)
class SeenRequest:
    """A request as patterns look at it."""

    operation: str | None
    lead: str | None
    """The id of the lead in its path, in lower case."""
    key: str | None
    """The id of its key."""
    headers: Sequence[tuple[bytes, bytes]]
    """With names in lower case."""
    body: bytes

    @cached_property
    def value(self) -> Any:
        """The body as JSON; a mark that equals nothing if it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _ABSENT


@dataclass(frozen=True, slots=True)
class Difference:
    """One demand of a pattern that a request does not meet. Its texts may hold secrets: redact them, then cut them."""

    place: str
    """`operation`, `lead`, `key`, `headers.NAME`, or a place in the body such as `body.fields.email`."""
    wanted: str
    found: str
    """Both as JSON, or `absent`."""

    def __str__(self) -> str:
        return f"{self.place}: wanted {self.wanted}, found {self.found}"


@dataclass(frozen=True, slots=True)
class RequestPattern:
    """The demands on a request. What is left out may be anything."""

    operation: str | None = None
    lead: str | None = None
    key: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Name to the exact value; None: the request has no such header."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Name of a member, or JSON pointer, to its value. An object is met by one that has its members at least, a list
    by one of the same length; None: the member is null or absent."""

    @classmethod
    def of(cls, wanted: Mapping[str, Any], place: str = "") -> "RequestPattern":
        """Return the pattern of a JSON object with members of these names, which is at `place` in the input.

        Raises ValueError, which names the wrong member.
        """
        within = f"{place}." if place else ""
        for name in ("headers", "body"):
            if len(wanted.get(name, ())) > MAX_MEMBERS:
                raise ValueError(f"{within}{name}: must have at most {MAX_MEMBERS} members")
        if len(msgspec.json.encode(wanted)) > MAX_BYTES:
            raise ValueError(f"{place or 'body'}: must be at most {MAX_BYTES >> 10} KiB")
        lead = wanted.get("lead")
        if lead is not None and not _UUID.fullmatch(lead):
            raise ValueError(f"{within}lead: must be a UUID (8-4-4-4-12 hex digits)")
        for name in wanted.get("headers", ()):
            if name.lower() in _SECRET:
                raise ValueError(f"{within}headers.{name}: carries the key; name the key by its id, in the member key")
        for name in wanted.get("body", ()):
            if name.startswith("/") and not _POINTER.fullmatch(name):
                raise ValueError(f"{within}body.{name}: is no JSON pointer (RFC 6901); write ~0 for ~ and ~1 for /")
        return cls(
            operation=wanted.get("operation"),
            lead=None if lead is None else lead.lower(),
            key=wanted.get("key"),
            headers=dict(wanted.get("headers", {})),
            body=dict(wanted.get("body", {})),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object that `of` makes this pattern of: the members that demand something."""
        members = {name: getattr(self, name) for name in ("operation", "lead", "key", "headers", "body")}
        return {name: value for name, value in members.items() if value is not None and value != {}}

    def matches(self, seen: SeenRequest) -> bool:
        """Return True if a request meets all demands."""
        return next(self._differences(seen), None) is None

    def differences(self, seen: SeenRequest) -> list[Difference]:
        """Return each demand that a request does not meet."""
        return list(self._differences(seen))

    def _differences(self, seen: SeenRequest) -> Iterator[Difference]:
        """Yield them, the cheap ones first: whoever wants to know only whether there is one takes the first."""
        for name in ("operation", "lead", "key"):
            wanted, found = getattr(self, name), getattr(seen, name)
            if wanted is not None and wanted != found:
                yield _difference(name, wanted, _ABSENT if found is None else found)
        for header, value in self.headers.items():
            lower = header.lower().encode("latin-1", "replace")
            values = [each.decode("latin-1") for name, each in seen.headers if name == lower]
            if value not in values if value is not None else values:
                yield _difference(f"headers.{header}", value, ", ".join(values) if values else _ABSENT)
        for name, wanted in self.body.items():
            steps = [name]
            if name.startswith("/"):
                steps = [step.replace("~1", "/").replace("~0", "~") for step in name[1:].split("/")]
            found = seen.value
            for step in steps:
                found = _member(found, step)
            yield from _compared(wanted, found, ".".join(["body", *steps]))


def _member(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step, _ABSENT)
    if isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,8}", step) and int(step) < len(value):
        return value[int(step)]
    return _ABSENT


def _compared(wanted: Any, found: Any, place: str) -> Iterator[Difference]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            yield from _compared(value, found.get(name, _ABSENT), f"{place}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _compared(one, other, f"{place}.{number}")
    elif wanted is None:
        if found is not None and found is not _ABSENT:
            yield _difference(place, wanted, found)
    elif isinstance(wanted, bool) is not isinstance(found, bool) or wanted != found:  # to Python, true is 1
        yield _difference(place, wanted, found)


def _difference(place: str, wanted: Any, found: Any) -> Difference:
    return Difference(place, "absent" if wanted is None else _text(wanted), _text(found))


def _text(value: Any) -> str:
    return "absent" if value is _ABSENT else msgspec.json.encode(value).decode()
