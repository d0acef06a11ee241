"""The schemas of a document, compiled: JSON Schema 2020-12, formats asserted."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import jsonschema_rs

#: The name under which compiled schemas know the document.
URI = "urn:vorel:contract"
#: Alternatives, and demands of one, that a message lists.
_SHOWN = 3

Error = jsonschema_rs.ValidationError


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a value breaks its schema."""

    field: str
    """The member at fault, as a dotted path within the value; empty for the value itself."""
    message: str
    """The demand of the schema. Never quotes the value, which may hold a secret."""
    pointer: str
    """The keyword of the document that is broken."""


class Validator:
    """One schema of the document, compiled, JSON Schema 2020-12, formats asserted."""

    __slots__ = ("_at", "_compiled", "is_valid")

    def __init__(self, registry: jsonschema_rs.Registry, pointer: str, at: Callable[[str], Any]) -> None:
        """Compile the schema at `pointer`. `at` returns what the document has at a pointer."""
        self._at = at
        self._compiled = jsonschema_rs.Draft202012Validator(
            {"$ref": uri(pointer)}, registry=registry, validate_formats=True, mask="value"
        )
        self.is_valid = self._compiled.is_valid

    def violations(self, value: object) -> Iterator[Violation]:
        """Yield every way in which `value` breaks the schema."""
        for error in self._compiled.iter_errors(value):
            yield from self._violations(error)

    def _violations(self, error: Error) -> Iterator[Violation]:
        """Yield what is wrong. For a value that fits no alternative, that is what the alternative it means demands."""
        details = error.kind.as_dict()
        path = [str(step) for step in error.instance_path]
        location = unquote((error.absolute_keyword_location or "").removeprefix(URI))
        branches: list[list[Error]] = details.get("context", [])
        if not all(branches):  # more than one alternative fits
            branches = []
        meant = self._meant(error, branches, location)
        if meant is not None:
            for inner in meant:
                yield from self._violations(inner)
            return
        if "property" in details:  # `required`: the path ends at the object, the fault is its member
            path.append(str(details["property"]))
        if branches:
            demands = [_demands(branch, self._violations) for branch in branches[:_SHOWN]]
            message = f"fits none of its {len(branches)} alternatives: {'; or '.join(demands)}"
        elif "options" in details:
            message = "must be one of " + ", ".join(json.dumps(option) for option in details["options"])
        elif "property" in details:
            message = "is required"
        else:
            message = re.sub(r"^value (is )?", lambda m: "is " if m[1] else "", error.message)
        yield Violation(".".join(path), message, location)

    def _meant(self, error: Error, branches: list[list[Error]], location: str) -> list[Error] | None:
        """Return the errors of the alternative that a value means, if that is clear.

        It is the one that the `discriminator` names, or else the only one whose constants and enums the value has.
        """
        if len(branches) == 1:
            return branches[0]
        named = self._named(location, error.instance) if branches and location else None
        if named is not None and named < len(branches):
            return branches[named]
        depth = len(error.instance_path)
        fitting = [branch for branch in branches if not any(_tells_apart(inner, depth) for inner in branch)]
        return fitting[0] if len(fitting) == 1 else None

    def _named(self, location: str, value: object) -> int | None:
        """Return the number of the alternative that the discriminator beside `location` (of a `oneOf`) names."""
        parent, _, _ = location.rpartition("/")
        schema = self._at(parent)
        discriminator = schema.get("discriminator") if isinstance(schema, dict) else None
        if not isinstance(discriminator, dict) or not isinstance(value, dict):
            return None
        name = value.get(discriminator.get("propertyName"))
        wanted = (discriminator.get("mapping") or {}).get(name, name)
        alternatives = self._at(location)
        references = [part.get("$ref", "") if isinstance(part, dict) else "" for part in alternatives]
        found = [n for n, reference in enumerate(references) if wanted in (reference, reference.rpartition("/")[2])]
        return found[0] if found else None


def _tells_apart(error: Error, depth: int) -> bool:
    """Return True if an error says that another alternative is meant: the wrong type, constant or enum.

    `depth` is that of the value that has alternatives.
    """
    below = len(error.instance_path) - depth
    branches = error.kind.as_dict().get("context")
    if branches and below == 0:
        return all(any(_tells_apart(inner, depth) for inner in branch) for branch in branches)
    return (error.kind.name == "type" and below == 0) or (error.kind.name in ("const", "enum") and below <= 1)


def _demands(branch: list[Error], violations: Callable[[Error], Iterator[Violation]]) -> str:
    """Return in a few words what an alternative demands."""
    found = [v for error in branch[:_SHOWN] for v in violations(error)]
    return " and ".join(f"{v.field} {v.message}".strip() for v in found[:_SHOWN])


def uri(pointer: str) -> str:
    """A pointer into the document as a URI: its fragment cannot hold braces and quotes as they are."""
    return URI + quote(unquote(pointer), safe="#/~!$&'()*+,;=:@-._")


def absolute(node: Any) -> Any:
    """A schema whose references lead into the document from anywhere."""
    if isinstance(node, dict):
        return {
            key: uri(value) if key == "$ref" and isinstance(value, str) and value[:1] == "#" else absolute(value)
            for key, value in node.items()
        }
    return [absolute(item) for item in node] if isinstance(node, list) else node
