"""Make one document of several files: what `$ref` names in another file becomes a part of this one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vorel_mock.contract.document_file import ContractError, escape, parse
from vorel_mock.contract.source import is_url, read

#: The member of the document under which the other files are kept, each by its path.
_FILES = "x-files"
_MAX_FILES = 1000
_REMEDY = "bundle the document into one file first, for example with `npx @redocly/cli bundle`"


def bundle(document: dict[str, Any], source: Path | str) -> dict[str, Any]:
    """Return `document`, which was read from `source`, with every file that it refers to inside. Changes it.

    Raises ContractError if one cannot be read. Nothing is fetched over a network for a reference.
    """
    if not any(_outside(node["$ref"]) for node in _references(document)):
        return document
    if not isinstance(source, Path) or is_url(source):
        raise ContractError(f"refers to other files, which are looked for beside a file only; {_REMEDY}")
    base = source.resolve()
    # Each file, by its path, with the name under which the document keeps it; the first is the document itself.
    names: dict[Path, str] = {base: ""}
    contents: dict[str, Any] = {}
    waiting: list[tuple[Path, Any]] = [(base, document)]
    while waiting:
        place, content = waiting.pop()
        for node in list(_references(content)):
            file, _, fragment = node["$ref"].partition("#")
            path = _path(place, file, node["$ref"]) if file else place
            if path not in names:
                if len(names) > _MAX_FILES:
                    raise ContractError(f"refers to more than {_MAX_FILES} files")
                names[path] = name = _name(path, base)
                contents[name] = _content(path, name)
                waiting.append((path, contents[name]))
            inside = f"#/{_FILES}/{escape(names[path])}" if names[path] else "#"
            node["$ref"] = (inside + fragment) if fragment.startswith("/") or not fragment else f"#{fragment}"
    return {**document, _FILES: contents}


def _references(node: Any) -> Iterator[dict[str, Any]]:
    """Yield each object with a `$ref`."""
    if isinstance(node, list):
        for value in node:
            yield from _references(value)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node
        for value in node.values():
            yield from _references(value)


def _outside(reference: str) -> bool:
    return not reference.startswith("#")


def _path(place: Path, file: str, reference: str) -> Path:
    if urlsplit(file).scheme or file.startswith("//"):
        raise ContractError(f"$ref {reference!r} is a URL, and references are not fetched; {_REMEDY}")
    return (place.parent / unquote(file)).resolve()


def _name(path: Path, base: Path) -> str:
    try:
        return path.relative_to(base.parent).as_posix()
    except ValueError:
        return path.as_posix()


def _content(path: Path, name: str) -> Any:
    try:
        return parse(read(path))
    except ContractError as error:
        raise ContractError(f"refers to {name}: {error}") from None
