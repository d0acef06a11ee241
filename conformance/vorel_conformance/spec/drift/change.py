"""One change between two documents, whom it breaks, and where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]
Direction = Literal["request", "response"]
Effect = Literal["widens", "narrows", "unknown", "none"]


class DriftError(Exception):
    """A document cannot be compared. The message says why."""


@dataclass(frozen=True)
class Change:
    """One change. `pointer` is into the new document, or into the old one for what is gone."""

    where: str
    """Operation and place in it, for a reader."""
    what: str
    pointer: str
    direction: Direction
    effect: Effect

    @property
    def breaks_clients(self) -> bool:
        """True if a client that was right may not be right any more."""
        return self.effect == "unknown" or self.effect == ("narrows" if self.direction == "request" else "widens")

    @property
    def breaks_servers(self) -> bool:
        """True if a server that was right may not be right any more."""
        return self.effect == "unknown" or self.effect == ("widens" if self.direction == "request" else "narrows")


@dataclass(frozen=True)
class Place:
    """A place in both documents."""

    where: str
    pointer: str
    direction: Direction = "request"

    def below(self, *tokens: str, shown: str = "") -> Place:
        """Return a place in this one; `shown` is what a reader sees of the way."""
        return Place(
            f"{self.where}{shown}", self.pointer + "".join(f"/{escaped(each)}" for each in tokens), self.direction
        )

    def says(self, what: str, effect: Effect) -> Change:
        """Return a change at this place."""
        return Change(self.where, what, self.pointer, self.direction, effect)


def required(old: Json, new: Json, place: Place) -> Iterator[Change]:
    """Yield the change of a `required`, if there is one."""
    before, now = bool(old.get("required")), bool(new.get("required"))
    if before != now:
        yield place.says("is required" if now else "is optional", "narrows" if now else "widens")


def resolved(value: Any, document: Json) -> Any:
    """Return what a reference stands for. Raises DriftError for one that leads elsewhere, or nowhere."""
    for _ in range(20):
        if not isinstance(value, dict) or "$ref" not in value:
            return value
        reference = value["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise DriftError(f"$ref {shown(reference)} leads out of the document; bundle it into one file first")
        value = found(document, reference.removeprefix("#"))
    raise DriftError("has a $ref that leads to itself")


def found(document: Json, pointer: str) -> Any:
    """Return the value at a JSON pointer. Raises DriftError if there is none."""
    value: Any = document
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(token)] if isinstance(value, list) else value[token]
        except (IndexError, ValueError, TypeError, KeyError):
            raise DriftError(f"has nothing at {pointer}") from None
    return value


def escaped(token: str) -> str:
    """Return a token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def shown(value: Any) -> str:
    """Return a value as short JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
