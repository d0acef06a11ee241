"""A value that a schema admits: small, readable, the same every time.

JSON Schema can ask for anything, so this is no solver: it makes what the keywords ask for, one by one, and looks at the
result only when that was not enough. What comes out may still be wrong; `contract.Validator` knows.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import count, islice
from math import ceil, floor, lcm
from typing import Any

import jsonschema_rs
from rstr import Rstr

from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import ContractError

Schema = dict[str, Any]
#: Levels to which schemas are followed, and to which optional parts and items of lists are made.
_MAX_DEPTH = 12
_FULL_DEPTH = 3
#: Values made for one response, those that were tried included: it bounds the time of a start.
_MAX_MADE = 4000
_MAX_LOOKS = 300
#: Different values of one schema that are looked at.
_MAX_TRIED = 12
#: How often something recurs in a text made by a pattern.
_MAX_REPEATED = 300
#: How long a text, a list or an object is made at most.
_MAX_SIZE = 10_000
_SIZES = {f"{bound}{what}" for bound in ("min", "max") for what in ("Length", "Items", "Properties", "Contains")}
#: What no value satisfies.
_NEVER: Schema = {"not": {}}

_FORMATS: dict[str, tuple[str, ...]] = {
    "uuid": ("00000000-0000-4000-8000-000000000000",),
    "date": ("2026-01-01",),
    "date-time": ("2026-01-01T00:00:00Z",),
    "time": ("00:00:00Z",),
    "duration": ("PT1M",),
    "email": ("ann@example.com", "a@b.c"),
    "idn-email": ("ann@example.com", "a@b.c"),
    "hostname": ("example.com", "a"),
    "idn-hostname": ("example.com", "a"),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1", "::1"),
    "uri": ("https://example.com/", "u:x"),
    "iri": ("https://example.com/", "u:x"),
    "uri-reference": ("/",),
    "iri-reference": ("/",),
    "uri-template": ("/{id}", "/"),
    "json-pointer": ("/a", ""),
    "relative-json-pointer": ("0",),
    "regex": ("a",),
    "byte": ("c3RyaW5n", "YQ=="),
}
#: How a text of a format is made longer: the place at which more of a character goes.
_LONGER: dict[str, tuple[str, str]] = {
    "date-time": (r"(?=Z)", "0"),
    "time": (r"(?=Z)", "0"),
    "email": (r"^", "a"),
    "idn-email": (r"^", "a"),
    **dict.fromkeys(
        ("uri", "iri", "uri-reference", "iri-reference", "uri-template", "json-pointer", "regex"), ("$", "x")
    ),
}
_TYPES_BY_KEYWORD = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def value(contract: Contract, schema: Any, is_valid: Callable[[Any], bool] | None = None) -> Any:
    """Return a value of `schema` that `is_valid` accepts (default: the schema), or the best one that was found."""
    is_valid = is_valid or contract.checker(schema)
    first: list[Any] = []
    # First with all optional parts; then the same, each part validated; then with the required parts only.
    for careful, full in ((False, True), (True, True), (True, False)):
        made = _Maker(contract, careful=careful, full=full).make(schema)
        if is_valid(made):
            return made
        first.append(made)
    return first[0]


class _Maker:
    """Makes values. `careful` validates each and tries others; `full` adds optional parts."""

    def __init__(self, contract: Contract, *, careful: bool, full: bool) -> None:
        self._contract = contract
        self._careful = careful
        self._full = full
        self._made = 0
        self._looks = 0

    def make(self, schema: Any, depth: int = 0) -> Any:
        """Return the first valid value of `schema`, or the first of all if none is valid."""
        flat = self._flat(schema)
        values = self._values(flat, depth)
        first = next(values, None)
        if not self._careful or depth > _MAX_DEPTH or self._looks > _MAX_LOOKS:
            return first
        self._looks += 1
        try:
            is_valid = self._contract.checker(flat)
        except ContractError:  # parts that contradict each other; the complete value is validated later
            return first
        tried = 0
        made: Any = first
        while not is_valid(made):
            tried += 1
            try:
                made = next(values)
            except StopIteration:
                return first
            if tried > _MAX_TRIED:
                return first
        return made

    def _values(self, flat: Schema, depth: int) -> Iterator[Any]:
        """Values of a schema without references, the likeliest first."""
        self._made += 1
        if depth > _MAX_DEPTH or self._made > _MAX_MADE:
            return
        for keyword in ("const", "example", "default"):
            if keyword in flat:
                yield flat[keyword]
        for keyword in ("examples", "enum"):
            if isinstance(flat.get(keyword), list):
                yield from flat[keyword]
        if "const" in flat or "enum" in flat:
            return
        choice = next((part for part in flat.get("allOf", ()) if _alternatives(part)), None)
        if choice is not None:
            rest = {**flat, "allOf": [part for part in flat["allOf"] if part is not choice]}
            # Something says more than nothing does; but what recurs has to end.
            end = depth > _FULL_DEPTH
            parts = map(self._flat, _alternatives(choice))
            for alternative in sorted(parts, key=lambda part: (part.get("type") == "null") != end):
                merged = self._merged(rest, alternative)
                if merged.get("not") != {}:
                    yield from self._values(merged, depth + 1)
            return
        for kind in _types(flat):
            yield from self._of_type(flat, kind, depth)

    def _of_type(self, flat: Schema, kind: str, depth: int) -> Iterator[Any]:
        match kind:
            case "object":
                yield from self._objects(flat, depth)
            case "array":
                yield self._array(flat, depth)
            case "string":
                yield from _texts(flat)
            case "integer" | "number":
                yield from _numbers(flat, kind)
            case "boolean":
                yield from (True, False)
            case _:
                yield None

    def _objects(self, flat: Schema, depth: int) -> Iterator[Schema]:
        properties: Schema = flat.get("properties", {})
        required = list(flat.get("required", ()))
        made: Schema = {}
        optional = [name for name in properties if name not in required]
        names = iter([*(name for name in properties if name in required), *required, *optional])
        most = flat.get("maxProperties", float("inf"))
        least = flat.get("minProperties", 0)
        for name in names:
            if name in made:
                continue
            member = self._member(flat, name)
            if name not in required:
                wanted = (self._full and depth < _FULL_DEPTH) or len(made) < least
                if not wanted or len(made) >= most or member.get("not") == {} or member.get("writeOnly") is True:
                    continue
            made[name] = self.make(member, depth + 1)
            if name not in required and self._careful and not self._is_one(member, made[name]):
                del made[name]  # better not at all
            else:
                required += [n for n in flat.get("dependentRequired", {}).get(name, ()) if n not in required]
        for name in required:  # those that others asked for
            if name not in made:
                made[name] = self.make(self._member(flat, name), depth + 1)
        for name in islice(self._names(flat), 50):
            if len(made) >= least:
                break
            if name not in made and name not in properties:
                made[name] = self.make(self._member(flat, name), depth + 1)
        yield made

    def _is_one(self, schema: Schema, made: Any) -> bool:
        try:
            return self._contract.checker(schema)(made)
        except ContractError:
            return True

    def _names(self, flat: Schema) -> Iterator[str]:
        """Names of members that no `properties` has."""
        for pattern in flat.get("patternProperties", {}):
            yield from (name for n in range(8) if (name := _by_pattern(pattern, n)) is not None)
        if "propertyNames" in flat:
            yield from _texts(self._flat(flat["propertyNames"]))
        yield from map("property{}".format, count(1))

    def _member(self, flat: Schema, name: str) -> Schema:
        """The schema of a member of an object, references resolved."""
        parts = [flat["properties"][name]] if name in flat.get("properties", {}) else []
        parts += [schema for pattern, schema in flat.get("patternProperties", {}).items() if _matches(pattern, name)]
        if not parts:
            more = flat.get("additionalProperties", flat.get("unevaluatedProperties", True))
            parts = [more if more != {} and more is not True else {"type": "string"}]
        return reduce(self._merged, map(self._flat, parts))

    def _array(self, flat: Schema, depth: int) -> list[Any]:
        prefix: list[Any] = flat.get("prefixItems", [])
        items = flat.get("items", flat.get("unevaluatedItems", True))
        contains = [self._flat(flat["contains"])] * flat.get("minContains", 1) if "contains" in flat else []
        contains += [self._flat(part["contains"]) for part in flat.get("allOf", ()) if "contains" in part]
        wanted = [flat.get("minItems", 0), len(contains) and len(contains) + len(prefix)]
        if depth <= _FULL_DEPTH and self._full:
            wanted += [len(prefix), 1]
        length = max(wanted)
        length = min(length, flat.get("maxItems", length), len(prefix) if items is False else length)
        made: list[Any] = []
        for index in range(length):
            schema = self._flat(prefix[index] if index < len(prefix) else items)
            if schema.get("not") == {}:
                break
            if index >= length - len(contains):
                schema = self._merged(schema, contains[index - length])
            if flat.get("uniqueItems"):
                fresh = [
                    v for v, _ in zip(self._values(schema, depth + 1), range(length + 1), strict=False) if v not in made
                ]
                if not fresh:
                    break
                made.append(fresh[0])
            else:
                made.append(self.make(schema, depth + 1))
        return made

    def _flat(self, schema: Any, followed: tuple[str, ...] = ()) -> Schema:
        """The schema with its references and its `allOf` written into it; what remains in `allOf` is to be chosen."""
        if schema is False:
            return _NEVER
        if not isinstance(schema, dict):
            return {}
        flat: Schema = {
            k: v for k, v in schema.items() if k not in ("$ref", "allOf", "oneOf", "anyOf", "if", "then", "else")
        }
        for keyword in _SIZES & flat.keys():
            flat[keyword] = min(int(flat[keyword]), _MAX_SIZE)  # JSON Schema has 3.0 be a whole number
        for keyword in ("oneOf", "anyOf"):
            if schema.get(keyword):
                flat.setdefault("allOf", []).append({keyword: schema[keyword]})
        if "if" in schema:
            flat.setdefault("allOf", []).append({key: schema[key] for key in ("if", "then", "else") if key in schema})
        parts = list(schema.get("allOf", ()))
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            try:
                parts.insert(0, self._contract.at(reference))
            except ContractError:  # for example an anchor, which is not supported here
                parts.insert(0, True)
            followed = (*followed, reference)
        return reduce(self._merged, [*(self._flat(part, followed) for part in parts), flat]) if parts else flat

    def _merged(self, one: Schema, other: Schema) -> Schema:
        """Return one schema for two that both apply. For the same keyword `other` wins."""
        merged = {**one, **other}
        for keyword in one.keys() & other.keys():
            if one[keyword] != other[keyword]:
                merged |= _both(keyword, one[keyword], other[keyword])
        # Keywords that cannot be merged are kept in allOf.
        beside = [{k: one[k]} for k in ("pattern", "format", "contains") if k in one and one[k] != merged[k]]
        if beside or "allOf" in one or "allOf" in other:
            merged["allOf"] = [*one.get("allOf", ()), *other.get("allOf", ()), *beside]
        for closed, opened in ((one, other), (other, one)):
            if (
                isinstance(closed.get("additionalProperties"), (bool, dict))
                and closed["additionalProperties"] is not True
            ):
                merged["properties"] = dict(merged.get("properties", {}))
                for name in opened.get("properties", {}).keys() - closed.get("properties", {}).keys():
                    if not any(_matches(pattern, name) for pattern in closed.get("patternProperties", {})):
                        schema = {"allOf": [opened["properties"][name], closed["additionalProperties"]]}
                        merged["properties"][name] = schema if closed["additionalProperties"] else False
        return merged


def _both(keyword: str, one: Any, other: Any) -> Schema:
    """Return the value of a keyword that satisfies both; the other one's value if they cannot be combined."""
    match keyword:
        case "type":
            ours, theirs = ([kind] if isinstance(kind, str) else kind for kind in (one, other))
            kinds = [kind for kind in ours if kind in theirs or (kind == "integer" and "number" in theirs)]
            kinds += [kind for kind in theirs if kind == "integer" and "number" in ours and kind not in kinds]
            return {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else _NEVER
        case "enum":
            return {"enum": [member for member in one if member in other]}
        case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "minContains":
            return {keyword: max(one, other)}
        case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" | "maxContains":
            return {keyword: min(one, other)}
        case "multipleOf":
            return {keyword: _plain(_common(_exact(one), _exact(other)))}
        case "required":
            return {keyword: [*one, *(name for name in other if name not in one)]}
        case "properties" | "patternProperties":
            both = {name: {"allOf": [one[name], other[name]]} for name in one if name in other}
            return {keyword: {**one, **other, **both}}
        case "dependentRequired" | "$defs":
            return {keyword: {**one, **other}}
        case "prefixItems":
            shared = [{"allOf": list(pair)} for pair in zip(one, other, strict=False)]
            return {keyword: [*shared, *max(one, other, key=len)[len(shared) :]]}
        case "items" | "additionalProperties" | "propertyNames" | "unevaluatedProperties" | "unevaluatedItems":
            return {keyword: False if False in (one, other) else {"allOf": [one, other]}}
        case "uniqueItems":
            return {keyword: True}
        case "not":
            return {keyword: {"anyOf": [one, other]}}
        case _:
            return {}


def _alternatives(part: Schema) -> list[Any]:
    """The schemas of which one must hold."""
    if "if" in part:
        return [{"allOf": [part["if"], part.get("then", True)]}, part.get("else", True)]
    return list(part.get("oneOf") or part.get("anyOf") or ())


def _types(flat: Schema) -> list[str]:
    """The types that a value may have, null last."""
    declared = flat.get("type")
    if declared is None:
        kinds = [kind for kind, keywords in _TYPES_BY_KEYWORD.items() if any(name in flat for name in keywords)]
        return [*kinds, "null", "string", "integer", "boolean", "object", "array"] if flat.get("not") != {} else []
    kinds = [declared] if isinstance(declared, str) else list(declared)
    return sorted(kinds, key=lambda kind: kind == "null")


def _texts(flat: Schema) -> Iterator[str]:
    """Texts of a schema: of its format, by its pattern, of its lengths."""
    least, most = flat.get("minLength", 0), flat.get("maxLength", float("inf"))
    patterns = [part["pattern"] for part in (flat, *flat.get("allOf", ())) if "pattern" in part]
    name = flat.get("format", "")
    known = [text for text in _FORMATS.get(name, ()) if len(text) <= most]
    if known and len(known[0]) < least and name in _LONGER:
        place, character = _LONGER[name]
        more = character * (least - len(known[0]))
        if name in ("date-time", "time"):
            more = "." + (more[1:] or "0")
        known.insert(0, re.sub(place, lambda _: more, known[0], count=1))
    fixed = [text for text in known if all(_matches(pattern, text) for pattern in patterns)]
    yield from fixed
    for pattern in patterns:
        # Repeated more and more often, until it is long enough; or with more behind it, if the pattern has no end.
        for more_often in range(min(least, _MAX_REPEATED) + 2):
            text = _by_pattern(pattern, more_often)
            if text is None or len(text) > most:
                break
            for whole in {text: None, text.ljust(least, "x"): None}:
                if len(whole) >= least and all(_matches(other, whole) for other in patterns):
                    yield whole
    if patterns:
        yield "string"  # nothing better is known
    else:
        plain = "string".ljust(least, "x")
        for number in ("", *map(str, range(1, 10))):
            kept = plain if most == float("inf") else plain[: max(0, int(most) - len(number))]
            yield kept + number


class _Least:
    """In the place of chance: the shortest and plainest text, or one in which everything recurs `more` often."""

    def __init__(self, more: int) -> None:
        self._more = more
        self._made = 0

    def randint(self, least: int, most: int) -> int:
        """Return the number of repetitions. Raises ValueError if they become very many: they may be nested."""
        number = min(most, least + self._more)
        self._made += number
        if self._made > _MAX_SIZE:
            raise ValueError("the text becomes too long")
        return number

    def shuffle(self, characters: list[str]) -> None:
        """They stay as they are."""

    def choice(self, population: Any) -> Any:
        """One of them: the plainest character, or the first alternative."""
        characters = [c for c in population if isinstance(c, str)]
        return (
            min(characters, key=lambda c: (not c.islower(), not c.isalnum(), c.isspace(), c))
            if characters
            else population[0]
        )


def _by_pattern(pattern: str, more: int) -> str | None:
    try:
        text: str = Rstr(_Least(more)).xeger(pattern)  # type: ignore[arg-type]
    except Exception:  # what Python's expressions do not have, or the library does not know: it says so in many ways
        return None
    return text


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> Callable[[Any], bool]:
    # Not Python's `re`: that can take for ever to find that a text does not match (`^(a+)+$`). This one gives up.
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern}).is_valid
    except (ValueError, jsonschema_rs.ValidationError):
        return lambda _: False


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern)(text)


def _numbers(flat: Schema, kind: str) -> Iterator[Any]:
    """Zero, or what lies next to a bound, or half-way between two; then others."""
    step = _exact(flat["multipleOf"]) if flat.get("multipleOf") else Fraction(1)
    if kind == "integer":
        step = _common(step, Fraction(1))
    low = [_exact(flat[name]) for name in ("minimum", "exclusiveMinimum") if name in flat]
    high = [_exact(flat[name]) for name in ("maximum", "exclusiveMaximum") if name in flat]
    candidates = [Fraction(0)]
    candidates += [step * (ceil(max(low) / step) + up) for up in (0, 1)] if low else []
    candidates += [step * (floor(min(high) / step) - down) for down in (0, 1)] if high else []
    if kind == "number" and "multipleOf" not in flat:
        candidates += [max(low)] if low else []
        candidates += [(max(low) + min(high)) / 2] if low and high else []
    start = candidates[1] if len(candidates) > 1 else Fraction(0)
    candidates += [start + step * n * (1 if low or not high else -1) for n in range(1, _MAX_TRIED)]
    for number in dict.fromkeys(candidates):
        if flat.get("minimum", number) <= number <= flat.get("maximum", number) and flat.get(
            "exclusiveMinimum", number - 1
        ) < number < flat.get("exclusiveMaximum", number + 1):
            yield _plain(number)


def _exact(number: float) -> Fraction:
    """A number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)


def _common(one: Fraction, other: Fraction) -> Fraction:
    """The least number that is a multiple of both."""
    denominator = lcm(one.denominator, other.denominator)
    return Fraction(lcm(int(one * denominator), int(other * denominator)), denominator)
