"""A document to navigate in: values by JSON pointer, references followed, schemas compiled."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from vorel_mock.contract.document_file import ContractError, first_line
from vorel_mock.contract.schemas import URI, Validator, absolute, uri

#: A schema may be composed of itself.
_MAX_COMPOSITION = 8
_NAMES = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
_NOT_COMPILED = (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError)


class Document:
    """A document, its references resolved on demand. Every failure is a ContractError."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._registry = jsonschema_rs.Registry([(URI, document)], draft=jsonschema_rs.Draft202012)

    def resolve(self, node: Any) -> Any:
        """`node`, or what it refers to when it is a reference within the document."""
        seen = 0
        while isinstance(node, dict) and "$ref" in node:
            reference = node["$ref"]
            if not isinstance(reference, str) or not reference.startswith("#/") or (seen := seen + 1) > 50:
                raise ContractError(f"$ref {reference!r} cannot be resolved within the document")
            node = self.at(reference)
        return node

    def keywords(self, schema: Any) -> Mapping[str, Any]:
        """Return the keywords of a schema, references resolved; none if it is `true` or `false`."""
        schema = self.resolve(schema)
        return schema if isinstance(schema, dict) else {}

    def follow(self, pointer: str) -> tuple[str, dict[str, Any]]:
        """Follow the references at `pointer`; return the final pointer and the value there."""
        node = self.at(pointer)
        self.resolve(node)  # ends, or says that it does not
        while isinstance(node, dict) and "$ref" in node:
            pointer = node["$ref"]
            node = self.at(pointer)
        if not isinstance(node, dict):
            raise ContractError(f"what is referred to as {pointer} is no object")
        return pointer, node

    def at(self, pointer: str) -> Any:
        """Return the value at a JSON pointer of the document. Raises ContractError if there is none."""
        node: Any = self.document
        for step in pointer.removeprefix("#").split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(name)] if isinstance(node, list) else node[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ContractError(f"the document has nothing at {pointer}") from None
        return node

    def validator(self, pointer: str) -> Validator:
        """The schema at `pointer`, compiled."""
        try:
            return Validator(self._registry, pointer, self.at)
        except _NOT_COMPILED as error:
            raise ContractError(f"the schema at {pointer} cannot be compiled: {first_line(error)}") from None

    def invalid(self, values: Mapping[str, tuple[str, Any]]) -> frozenset[str]:
        """The names of those `values` (each with the pointer of its schema) that break their schemas."""
        schema = {"properties": {name: {"$ref": uri(pointer)} for name, (pointer, _) in values.items()}}
        try:
            compiled = jsonschema_rs.Draft202012Validator(schema, registry=self._registry, validate_formats=True)
        except _NOT_COMPILED:
            for pointer, _ in values.values():
                self.validator(pointer)  # the one at fault says so
            raise
        errors = compiled.iter_errors({name: value for name, (_, value) in values.items()})
        return frozenset(str(error.instance_path[0]) for error in errors)

    def checker(self, schema: Any) -> Callable[[Any], bool]:
        """Return a check of values against `schema`, which need not be in the document, but may refer to it."""
        try:
            return jsonschema_rs.Draft202012Validator(
                absolute(schema), registry=self._registry, validate_formats=True
            ).is_valid
        except _NOT_COMPILED as error:
            raise ContractError(f"a schema cannot be compiled: {first_line(error)}") from None

    def members_of(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """The members that a schema names, by itself or through composition."""
        schema = self.resolve(schema)
        if not isinstance(schema, dict) or depth > _MAX_COMPOSITION:
            return {}
        members = dict(schema.get("properties", {}))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                members = {**self.members_of(part, depth + 1), **members}
        return members

    def types_of(self, schema: Any, depth: int = 0) -> frozenset[str]:
        """The types that a schema names, by itself or through composition."""
        schema = self.resolve(schema)
        if not isinstance(schema, dict) or depth > _MAX_COMPOSITION:
            return frozenset()
        declared = schema.get("type", ())
        names = {declared} if isinstance(declared, str) else set(declared)
        if not names:
            values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
            names = {_NAMES[type(value)] for value in values if type(value) in _NAMES}
        for keyword in ("allOf", "anyOf", "oneOf"):
            names.update(*(self.types_of(part, depth + 1) for part in schema.get(keyword, ())))
        return frozenset(names)
