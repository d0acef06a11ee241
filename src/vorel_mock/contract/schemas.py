"""The schemas of a document, compiled: JSON Schema 2020-12, formats asserted."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import jsonschema_rs

#: The name under which compiled schemas know the document.
URI = "urn:vorel:contract"


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

    __slots__ = ("_compiled", "is_valid")

    def __init__(self, registry: jsonschema_rs.Registry, pointer: str) -> None:
        self._compiled = jsonschema_rs.Draft202012Validator(
            {"$ref": uri(pointer)}, registry=registry, validate_formats=True, mask="value"
        )
        self.is_valid = self._compiled.is_valid

    def violations(self, value: object) -> Iterator[Violation]:
        """Every way in which `value` breaks the schema."""
        for error in self._compiled.iter_errors(value):
            path = [str(step) for step in error.instance_path]
            details = error.kind.as_dict()
            if "property" in details:  # `required`: the path ends at the object, the fault is its member
                path.append(str(details["property"]))
            if "options" in details:
                message = "must be one of " + ", ".join(json.dumps(option) for option in details["options"])
            elif "property" in details:
                message = "is required"
            else:
                message = re.sub(r"^value (is )?", lambda m: "is " if m[1] else "", error.message)
            location = (error.absolute_keyword_location or "").removeprefix(URI)
            yield Violation(".".join(path), message, unquote(location))


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
