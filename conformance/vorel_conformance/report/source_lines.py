"""The line of the contract for a JSON pointer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import yaml

from vorel_conformance.spec import contract


@cache
def contract_lines() -> Mapping[str, int]:
    """Return the line (from 1) of every JSON pointer of the contract."""
    return pointer_lines(contract.find().read_text(encoding="utf-8"))


def pointer_lines(text: str) -> dict[str, int]:
    """Return the line (from 1) of every JSON pointer of a JSON document: of the member's name, or of the array's item.

    The YAML parser reads it, because it keeps positions. The indentation must be blanks, not tabs.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found: dict[str, int] = {}

    def walk(node: yaml.Node, pointer: str, line: int) -> None:
        found[pointer] = line + 1
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                token = str(name.value).replace("~", "~0").replace("/", "~1")
                walk(value, f"{pointer}/{token}", name.start_mark.line)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, f"{pointer}/{index}", value.start_mark.line)

    if root is not None:
        walk(root, "", root.start_mark.line)
    return found


def line_of(pointer: str) -> int:
    """Return the line of a pointer into the contract. For an unknown pointer, return the line of the nearest parent."""
    lines = contract_lines()
    while pointer not in lines and pointer:
        pointer = pointer.rpartition("/")[0]
    return lines.get(pointer, 1)
