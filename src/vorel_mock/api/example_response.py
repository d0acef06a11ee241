"""Make the deterministic response of an operation without a handler, from its example or its schema.

The router does so at start. A response that breaks its own schema comes with a warning.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from vorel_mock.api import negotiation
from vorel_mock.api.messages import Headers, Response
from vorel_mock.contract import sampler as instance
from vorel_mock.contract.contract import Contract
from vorel_mock.contract.document_file import escape
from vorel_mock.contract.operation import Operation, is_json
from vorel_mock.model.unknown_name import unknown_name

#: Statuses that have no content (RFC 9110, 15.3.5 and 15.4.5).
_EMPTY = (204, 205, 304)
#: The media type of a response that declares a range of them.
_CONCRETE = {"*/*": "application/json", "application/*": "application/json", "text/*": "text/plain"}


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a response in one media type."""

    media_type: str
    body: bytes
    named: Mapping[str, bytes]
    """The examples that have a name in the document."""


@dataclass(frozen=True, slots=True)
class Example:
    """The response of an operation, and its problem if it breaks its schema."""

    status: int
    headers: Headers
    contents: tuple[Content, ...] = ()
    """In the media types that the document declares: JSON first."""
    problem: str | None = None

    def response(self, accept: str | None = None, name: str | None = None) -> Response:
        """Return the response in the media type that the client prefers: the example with that name, if it is given.

        Raises ValueError if the document has no such example.
        """
        if not self.contents:
            if name is not None:
                raise ValueError(unknown_name("example", name, ()))
            return Response(self.status, b"", list(self.headers))
        order = negotiation.preferred(accept, [content.media_type for content in self.contents])
        if name is None:
            content = self.contents[order[0]]
            body = content.body
        else:
            order += [number for number in range(len(self.contents)) if number not in order]
            found = next((number for number in order if name in self.contents[number].named), None)
            if found is None:
                names = dict.fromkeys(each for content in self.contents for each in content.named)
                raise ValueError(unknown_name("example", name, names))
            content = self.contents[found]
            body = content.named[name]
        return Response(self.status, body, [(b"content-type", content.media_type.encode()), *self.headers])


@dataclass(frozen=True, slots=True)
class _Media:
    """A media type of a response in the document, and the value that was made of it."""

    name: str
    media: Mapping[str, Any]
    value: Any
    schema: str | None
    """The pointer of its schema. None if it has no schema, or is not JSON."""


@lru_cache(maxsize=4)
def examples(contract: Contract, handled: frozenset[str]) -> Mapping[str, Example]:
    """Return the response of each operation that is not `handled`. They are made once, at start."""
    operations = [operation for operation in contract.operations if operation.id not in handled]
    medias = {o.id: _medias(contract, o) for o in operations}
    # All of them at once, because to compile a schema is to compile all that it refers to.
    checked = {
        f"{name} {m.name}": (m.schema, m.value) for name, some in medias.items() for m in some if m.schema is not None
    }
    invalid = contract.invalid(checked)
    return {o.id: _example(contract, o, medias[o.id], invalid) for o in operations}


def _medias(contract: Contract, operation: Operation) -> list[_Media]:
    """Return the media types of the response, JSON first, with values that are not yet validated."""
    status = _status(operation)
    if status is None or _number(status) in _EMPTY:
        return []
    pointer, response = contract.follow(f"{operation.pointer}/responses/{status}")
    found: list[_Media] = []
    for name, media in sorted(
        (response.get("content") or {}).items(), key=lambda item: not is_json(_concrete(item[0]))
    ):
        has_schema = is_json(_concrete(name)) and "schema" in media
        schema = f"{pointer}/content/{escape(name)}/schema" if has_schema else None
        value = media_value(contract, media, lambda _: True)
        if not found or is_json(_concrete(name)) or isinstance(value, str):  # what else is text, we cannot write
            found.append(_Media(_concrete(name), media, value, schema))
    return found


def _example(contract: Contract, operation: Operation, medias: list[_Media], invalid: Collection[str]) -> Example:
    """Return the complete response. What is `invalid`, by operation and media type, is made anew."""
    status = _status(operation)
    if status is None:
        return Example(200, [], (), "the document declares no response for it. Its response is an empty 200")
    contents, problem = [], None
    for media in medias:
        value = media.value
        if media.schema is not None and f"{operation.id} {media.name}" in invalid:
            validator = contract.validator(media.schema)
            value = media_value(contract, media.media, validator.is_valid)
            wrong = next((f"{v.field or 'it'} {v.message}" for v in validator.violations(value)), None)
            if wrong is not None and problem is None:
                problem = f"its response breaks its own schema ({wrong}). Add a valid `example` to the document"
        named = {name: _encoded(media.name, value) for name, value in _named(contract, media.media)}
        contents.append(Content(media.name, _encoded(media.name, value), named))
    return Example(_number(status), _headers(contract, operation.responses[status]), tuple(contents), problem)


def _encoded(media_type: str, value: Any) -> bytes:
    """Return a value as a body: text that is not JSON as it is."""
    if is_json(media_type) or not (value is None or isinstance(value, str)):
        return msgspec.json.encode(value)
    return (value or "").encode()


def _named(contract: Contract, media: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the examples of a media type that have a name and a value."""
    for name, entry in (media.get("examples") or {}).items():
        entry = contract.resolve(entry)
        if "value" in entry:
            yield name, entry["value"]


def _number(status: str) -> int:
    """Return the status code of a declared status: `200`, `2XX` or `default`."""
    return int(status.upper().replace("X", "0")) if status[0].isdigit() else 200


def _status(operation: Operation) -> str | None:
    """Return the lowest declared 2xx status; without one `default`, without that the lowest of all."""
    declared = sorted(operation.responses)
    successes = [status for status in declared if status.startswith("2")]
    return next(iter(successes or [status for status in declared if status == "default"] or declared), None)


def _concrete(media_type: str) -> str:
    return _CONCRETE.get(media_type, media_type.replace("*", "octet-stream"))


def _headers(contract: Contract, response: Mapping[str, Any]) -> Headers:
    """Return the required headers of the response, except Content-Type."""
    made: Headers = []
    for name, header in (response.get("headers") or {}).items():
        header = contract.resolve(header)
        if header.get("required") is True and name.lower() != "content-type":
            text = _header_text(media_value(contract, header))
            made.append((name.lower().encode(), text.encode("latin-1", "replace")))
    return made


def _header_text(value: Any) -> str:
    """Return a value as text of a header, in style `simple`."""
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    parts = value if isinstance(value, list) else [value]
    texts = (part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in parts)
    return " ".join(",".join(texts).split())  # a header is one line


def media_value(contract: Contract, media: Mapping[str, Any], is_valid: Any = None) -> Any:
    """Return a value of a media type, a parameter or a header: its example, or one made from its schema."""
    if "example" in media:
        return media["example"]
    for _, value in _named(contract, media):
        return value
    if "schema" in media:
        return instance.value(contract, media["schema"], is_valid)
    return media_value(contract, next(iter(media["content"].values()))) if media.get("content") else None
