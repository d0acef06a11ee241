"""The operations of two documents, compared."""

from __future__ import annotations

from collections.abc import Iterator

from vorel_conformance.spec.drift.change import Change, DriftError, Effect, Json, Place, escaped, required, resolved
from vorel_conformance.spec.drift.schemas import Schemas

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def changes(old: Json, new: Json) -> list[Change]:
    """Return the changes of operations between two OpenAPI documents. Raises DriftError if one cannot be compared."""
    try:
        return list(dict.fromkeys(_Comparison(old, new).changes()))
    except RecursionError:
        raise DriftError("nests too deep to be compared") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise DriftError(f"is not a valid OpenAPI document: {error}") from None


class _Comparison:
    """The comparison of two documents. A method takes a value of the old one, one of the new one, and their place."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old = old
        self._new = new
        self._schemas = Schemas(old, new)

    def changes(self) -> Iterator[Change]:
        before, now = operations(self._old), operations(self._new)
        for key in [*before, *(each for each in now if each not in before)]:
            method, path = key
            place = Place(f"{method.upper()} {path}", f"/paths/{escaped(path)}/{method}")
            if key not in now:
                yield place.says("the operation is gone", "narrows")
            elif key not in before:
                yield place.says("the operation is new", "widens")
            else:
                yield from self._operation(before[key], now[key], place)

    def _operation(self, old: Json, new: Json, place: Place) -> Iterator[Change]:
        yield from self._security(old, new, place.below("security", shown=", security"))
        yield from self._parameters(old, new, place)
        yield from self._body(
            old.get("requestBody"), new.get("requestBody"), place.below("requestBody", shown=", body")
        )
        yield from self._responses(old.get("responses", {}), new.get("responses", {}), place.below("responses"))

    def _security(self, old: Json, new: Json, place: Place) -> Iterator[Change]:
        before, now = (_security(each, document) for each, document in ((old, self._old), (new, self._new)))
        if before == now:
            return
        # An old way in still works if a new one asks for no more; and the other way round.
        kept = all(any(way <= former for way in now) for former in before)
        known = all(any(former <= way for former in before) for way in now)
        effect: Effect = "widens" if kept and not known else "narrows" if known and not kept else "unknown"
        yield place.says(f"asks for {_ways(now)}, asked for {_ways(before)}", effect)

    def _parameters(self, old: Json, new: Json, place: Place) -> Iterator[Change]:
        before, now = _parameters(old, self._old), _parameters(new, self._new)
        for key in [*before, *(each for each in now if each not in before)]:
            there = place.below("parameters", shown=f", {key[0]} parameter {key[1]}")
            if key not in now:
                yield there.says("is gone", "unknown" if before[key].get("required") else "narrows")
            elif key not in before:
                needed = now[key].get("required")
                yield there.says("is new and required" if needed else "is new", "narrows" if needed else "widens")
            else:
                yield from required(before[key], now[key], there)
                yield from self._schemas.compared(before[key].get("schema", {}), now[key].get("schema", {}), there)

    def _body(self, old: Json | None, new: Json | None, place: Place) -> Iterator[Change]:
        if old is None or new is None:
            if new is not None:
                needed = resolved(new, self._new).get("required")
                yield place.says("is new and required" if needed else "is new", "narrows" if needed else "widens")
            elif old is not None:
                yield place.says("is gone", "narrows")
            return
        before, now = resolved(old, self._old), resolved(new, self._new)
        yield from required(before, now, place)
        yield from self._content(before.get("content", {}), now.get("content", {}), place)

    def _responses(self, old: Json, new: Json, place: Place) -> Iterator[Change]:
        for status in [*old, *(each for each in new if each not in old)]:
            there = Place(f"{place.where}, response {status}", f"{place.pointer}/{escaped(status)}", "response")
            error = status[:1] in "45d"  # clients know errors by their class
            if status not in new:
                yield there.says("is gone", "narrows")
            elif status not in old:
                yield there.says("is new", "none" if error else "widens")
            else:
                before = resolved(old[status], self._old)
                now = resolved(new[status], self._new)
                yield from self._headers(before.get("headers", {}), now.get("headers", {}), there)
                yield from self._content(before.get("content", {}), now.get("content", {}), there)

    def _headers(self, old: Json, new: Json, place: Place) -> Iterator[Change]:
        before, now = ({name.lower(): each for name, each in headers.items()} for headers in (old, new))
        for name in [*before, *(each for each in now if each not in before)]:
            there = place.below("headers", name, shown=f", header {name}")
            one = resolved(before.get(name, {}), self._old)
            other = resolved(now.get(name, {}), self._new)
            if name not in now:
                yield there.says("is gone", "widens" if one.get("required") else "none")
            elif name not in before:
                yield there.says("is new", "narrows" if other.get("required") else "none")
            else:
                yield from required(one, other, there)
                yield from self._schemas.compared(one.get("schema", {}), other.get("schema", {}), there)

    def _content(self, old: Json, new: Json, place: Place) -> Iterator[Change]:
        for kind in [*old, *(each for each in new if each not in old)]:
            there = place.below("content", kind)
            if kind not in new:
                yield there.says(f"{kind} is gone", "narrows")
            elif kind not in old:
                yield there.says(f"{kind} is new", "widens")
            else:
                yield from self._schemas.compared(
                    old[kind].get("schema", {}), new[kind].get("schema", {}), there.below("schema")
                )


def operations(document: Json) -> dict[tuple[str, str], Json]:
    """Return the operations by method and path, with the parameters of their path."""
    found: dict[tuple[str, str], Json] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                shared = [*item.get("parameters", ()), *operation.get("parameters", ())]
                found[method, path] = {**operation, "parameters": shared}
    return found


def _security(operation: Json, document: Json) -> list[frozenset[str]]:
    """Return the alternative ways in, each the schemes and scopes that it asks for; an empty one is no key at all."""
    ways = operation.get("security", document.get("security", []))
    asked = [
        frozenset(f"{name} {scope}".strip() for name, scopes in way.items() for scope in (scopes or ("",)))
        for way in ways
    ]
    return asked or [frozenset()]


def _ways(ways: list[frozenset[str]]) -> str:
    return " or ".join(", ".join(sorted(way)) or "nothing" for way in ways)


def _parameters(operation: Json, document: Json) -> dict[tuple[str, str], Json]:
    parameters = [resolved(each, document) for each in operation["parameters"]]
    return {(each["in"], each["name"]): each for each in parameters}
