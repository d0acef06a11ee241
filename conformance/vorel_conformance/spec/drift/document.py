"""An OpenAPI document from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from vorel_conformance.spec.drift.change import DriftError
from vorel_conformance.spec.drift.operations import METHODS

#: Bytes of a document that are read.
MOST = 32 << 20


def read(path: Path) -> dict[str, Any]:
    """Return the document in a file, JSON or YAML by its name. Raises DriftError if it is not OpenAPI 3."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST + 1)
    except OSError as error:
        raise DriftError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(raw) > MOST:
        raise DriftError(f"longer than {MOST >> 20} MiB")
    document = _parsed(raw, as_yaml=path.suffix in (".yaml", ".yml"))
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise DriftError("not an OpenAPI document: it has no object `paths`")
    for name, item in document["paths"].items():
        if not isinstance(item, dict) or not all(isinstance(item.get(method, {}), dict) for method in METHODS):
            raise DriftError(f"not a valid OpenAPI document: paths: {name[:100]}: not an object with operations")
    version = str(document.get("openapi", document.get("swagger", "none")))
    if not version.startswith("3."):
        raise DriftError(f"OpenAPI {version[:20]}; the kit compares documents of OpenAPI 3")
    return document


def _parsed(raw: bytes, *, as_yaml: bool) -> Any:
    try:
        text = raw.decode("utf-8-sig")
        return yaml.load(text, _Loader) if as_yaml else json.loads(text)  # noqa: S506 - a safe loader
    except UnicodeDecodeError:
        raise DriftError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise DriftError(f"not JSON: line {error.lineno}: {error.msg.lower()}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise DriftError(f"not YAML: {line}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise DriftError("cannot be parsed") from None


class _Loader(yaml.SafeLoader):
    """YAML with the values that JSON has: a date stays a text, and so does the name 200."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping with names that are texts."""
        return {str(name): value for name, value in super().construct_mapping(node, deep).items()}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
