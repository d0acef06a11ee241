"""Two JSON Schemas, compared keyword by keyword."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vorel_conformance.spec.drift.change import Change, Direction, Effect, Json, Place, resolved, shown

#: Keywords of a schema that say nothing about which values are valid.
_ANNOTATIONS = {
    *("title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"),
    *("externalDocs", "discriminator", "xml", "$comment", "$ref"),
}
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_COMPARED = {*_UPPER, *_LOWER, "type", "nullable", "enum", "const", "pattern", "format", "required", "properties"} | {
    *("additionalProperties", "items", "oneOf", "anyOf", "allOf")
}
_DEEPEST = 60


class Schemas:
    """Compares schemas of two documents, which may refer to others there."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old = old
        self._new = new
        self._compared: set[tuple[str, str, Direction, str]] = set()

    def compared(self, old: Any, new: Any, place: Place, depth: int = 0) -> Iterator[Change]:
        """Yield the changes from the schema `old` to `new`."""
        if isinstance(new, dict) and "$ref" in new:
            key = (
                str(old.get("$ref")) if isinstance(old, dict) else "",
                str(new["$ref"]),
                place.direction,
                place.where,
            )
            if key[0] and key in self._compared:
                return
            self._compared.add(key)
            place = Place(place.where, str(new["$ref"]).removeprefix("#"), place.direction)
        before, now = _normal(resolved(old, self._old)), _normal(resolved(new, self._new))
        if before == now and not _refers(before):
            return
        if depth > _DEEPEST:
            yield place.says("nests too deep to be compared", "unknown")
            return
        yield from _types(before, now, place)
        yield from _values(before, now, place)
        yield from _bounds(before, now, place)
        yield from _texts(before, now, place)
        yield from _required_members(before, now, place)
        yield from self._members(before, now, place, depth)
        one, other = before.get("items", True), now.get("items", True)
        if one != other or _refers(one):
            yield from self.compared(one, other, place.below("items", shown="/items"), depth + 1)
        yield from self._branches(before, now, place, depth)
        for name in sorted((before.keys() | now.keys()) - _COMPARED - _ANNOTATIONS):
            if not name.startswith("x-") and before.get(name) != now.get(name):
                yield place.says(f"{name} {_changed(before.get(name), now.get(name))}", "unknown")

    def _members(self, old: Json, new: Json, place: Place, depth: int) -> Iterator[Change]:
        before, now = old.get("properties", {}), new.get("properties", {})
        rest_before, rest_now = (each.get("additionalProperties", True) for each in (old, new))
        for name in [*before, *(each for each in now if each not in before)]:
            there = place.below("properties", name, shown=f"/{name}")
            if name in before and name in now:
                yield from self.compared(before[name], now[name], there, depth + 1)
            elif name in now:
                # A member that was anything, or was not allowed.
                yield there.says("is new", "widens" if rest_before is False else "none")
            else:
                yield there.says("is gone", "narrows" if rest_now is False else "none")
        if rest_before != rest_now or _refers(rest_before):
            yield from self.compared(
                rest_before, rest_now, place.below("additionalProperties", shown="/(any other member)"), depth + 1
            )

    def _branches(self, old: Json, new: Json, place: Place, depth: int) -> Iterator[Change]:
        for name in ("oneOf", "anyOf", "allOf"):
            before, now = old.get(name), new.get(name)
            there = place.below(name)
            if before is None or now is None:
                if before is not now:
                    yield there.says(f"{name} {_changed(before, now)}", "narrows" if before is None else "widens")
            elif len(before) != len(now):
                yield there.says(f"{name} has {len(now)} branches, had {len(before)}", _of_branches(name, before, now))
            else:
                for index, (one, other) in enumerate(zip(before, now, strict=True)):
                    for change in self.compared(one, other, there.below(str(index)), depth + 1):
                        # Wider branches of a oneOf may overlap more, and what two of them accept is invalid.
                        unsure = name == "oneOf" and change.effect != "none"
                        yield replace(change, effect="unknown") if unsure else change


def _normal(schema: Any) -> Json:
    """Return a schema as 3.1 writes it: true as an object, `nullable` as a type, exclusive bounds as numbers."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    made = dict(schema)
    if made.pop("nullable", False) and "type" in made:
        made["type"] = [*_as_list(made["type"]), "null"]
    for exclusive, bound in (("exclusiveMaximum", "maximum"), ("exclusiveMinimum", "minimum")):
        if made.get(exclusive) is True and bound in made:
            made[exclusive] = made.pop(bound)
        elif isinstance(made.get(exclusive), bool):
            del made[exclusive]
    if "const" in made:
        made.setdefault("enum", [made.pop("const")])
    return made


def _types(old: Json, new: Json, place: Place) -> Iterator[Change]:
    before, now = (_type_set(each.get("type")) for each in (old, new))
    if before != now:
        yield place.says(f"type {_changed(old.get('type'), new.get('type'))}", _of_sets(before, now))


def _type_set(types: Any) -> frozenset[str]:
    every = {"null", "boolean", "object", "array", "number", "integer", "string"}
    found = every if types is None else set(_as_list(types))
    return frozenset(found | {"integer"} if "number" in found else found)


def _values(old: Json, new: Json, place: Place) -> Iterator[Change]:
    before, now = (
        None if "enum" not in each else {json.dumps(value, sort_keys=True) for value in each["enum"]}
        for each in (old, new)
    )
    if before == now:
        return
    if before is None or now is None:
        yield place.says(
            f"enum {_changed(old.get('enum'), new.get('enum'))}", "narrows" if before is None else "widens"
        )
        return
    gone, added = (", ".join(sorted(each)) for each in (before - now, now - before))
    what = " and ".join(part for part in (gone and f"lost {gone}", added and f"got {added}") if part)
    yield place.says(f"enum {what}", _of_sets(before, now))


def _bounds(old: Json, new: Json, place: Place) -> Iterator[Change]:
    for name in (*_UPPER, *_LOWER):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        # In JSON, true equals no number.
        numbers = all(each is None or isinstance(each, (int, float)) for each in (before, now))
        higher = numbers and before is not None and now is not None and now > before
        narrower = before is None or (now is not None and higher is (name in _LOWER))
        effect: Effect = "unknown" if not numbers else "narrows" if narrower else "widens"
        yield place.says(f"{name} {_changed(before, now)}", effect)


def _texts(old: Json, new: Json, place: Place) -> Iterator[Change]:
    for name in ("pattern", "format"):
        before, now = old.get(name), new.get(name)
        if before != now:
            effect: Effect = "narrows" if before is None else "widens" if now is None else "unknown"
            yield place.says(f"{name} {_changed(before, now)}", effect)


def _required_members(old: Json, new: Json, place: Place) -> Iterator[Change]:
    before, now = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(now - before):
        yield place.below("properties", name, shown=f"/{name}").says("is required", "narrows")
    for name in sorted(before - now):
        yield place.below("properties", name, shown=f"/{name}").says("is optional", "widens")


def _of_branches(name: str, old: list[Any], new: list[Any]) -> Effect:
    gone, added = any(each not in new for each in old), any(each not in old for each in new)
    if name == "oneOf" or (gone and added):
        return "unknown"
    return "narrows" if gone is (name == "anyOf") else "widens"


def _of_sets(old: frozenset[str] | set[str], new: frozenset[str] | set[str]) -> Effect:
    return "widens" if old < new else "narrows" if new < old else "unknown"


def _changed(old: Any, new: Any) -> str:
    if old is None:
        return f"is new: {shown(new)}"
    return f"is gone, was {shown(old)}" if new is None else f"is {shown(new)}, was {shown(old)}"


def _refers(value: Any) -> bool:
    """Return True if a reference is in `value`: then equal texts may mean different things in two documents."""
    if isinstance(value, dict):
        return "$ref" in value or any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
