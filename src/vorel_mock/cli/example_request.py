"""Find a request that succeeds with the served document: the curl line that `serve` prints at start."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from vorel_mock.api.example_response import media_value
from vorel_mock.api.messages import ApiError, Exchange, Request, first_values
from vorel_mock.api.steps.validation import validate
from vorel_mock.contract.operation import Operation, Parameter, is_json
from vorel_mock.contract.routes import decode_path
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.model.tenant import Tenant

#: Requests that are tried in a dry run before giving up.
_TRIED = 20


@dataclass(slots=True)
class _Sample:
    """A request in the parts of a curl line."""

    method: str
    path: str
    """Percent-encoded."""
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def request(self) -> Request:
        """Return the request as the server would receive it."""
        query = urlencode(self.query)
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers]
        target = f"{self.path}?{query}" if query else self.path
        path, fields = decode_path(self.path), first_values(headers)
        return Request(self.method, target.encode(), path, query.encode(), headers, fields, self.body)


def curl(mock: Mock, url: str) -> str | None:
    """Return a curl line that works when it is pasted, or None if a dry run of each candidate fails."""
    for sample in islice(_valid(mock), _TRIED):
        request = sample.request()
        response = mock.dry_run(request).response
        if response is not None and 200 <= response.status < 300:
            return _line(sample, url + request.target.decode())
    return None


def _line(request: _Sample, url: str) -> str:
    words = ["curl", "-sS"]
    if request.method != ("POST" if request.body else "GET"):  # curl picks that method by itself
        words += ["-X", request.method] if request.method != "HEAD" else ["-I"]
    words.append(shlex.quote(url))
    for name, value in request.headers:
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if request.body:
        words += ["-d", shlex.quote(request.body.decode())]
    return " ".join(words)


def _valid(mock: Mock) -> Iterator[_Sample]:
    """Yield requests that the document allows, those of operations with a handler first."""
    names = list(demo.BODIES)
    operations = sorted(
        mock.contract.operations, key=lambda o: names.index(o.id) if o.id in names else len(names) + (o.method != "get")
    )
    for operation in operations:
        for sample, values in _of(mock, operation):
            try:
                validate(Exchange("sample", 0.0, sample.request(), path_values=values), operation)
            except ApiError:
                continue
            yield sample


def _of(mock: Mock, operation: Operation) -> Iterator[tuple[_Sample, dict[str, str]]]:
    """Yield requests for `operation`, one for each body, with their path values."""
    tenant = _usable(mock, operation)
    if tenant is None:
        return
    path, values = _quoted(operation.path), dict[str, str]()
    request = _Sample(operation.method.upper(), "")
    if operation.security:
        request.headers.append(("Authorization", f"Bearer {_key(tenant, operation)}"))
    for parameter in operation.parameters:
        texts = _texts(mock, parameter)
        names = [parameter.name] * len(texts)
        if len(texts) > 1 and parameter.kind in ("object", "deep"):  # names and values alternate
            names = [f"{parameter.name}[{text}]" if parameter.kind == "deep" else text for text in texts[::2]]
            texts = texts[1::2]
        if parameter.location == "path":
            text = next(iter(tenant.leads)) if operation.id == "handoffLead" else ",".join(texts)
            values[parameter.name] = text
            path = path.replace(_quoted(f"{{{parameter.name}}}"), quote(text, safe=""))
        elif parameter.required:
            if parameter.location == "query":
                request.query += zip(names, texts, strict=True)
            else:
                given = f"{parameter.name}={','.join(texts)}" if parameter.location == "cookie" else ",".join(texts)
                request.headers.append(("Cookie" if parameter.location == "cookie" else parameter.name, given))
    request.path = path
    for body, media_type in _bodies(mock, operation):
        more = [("Content-Type", media_type)] if body else []
        yield _Sample(request.method, request.path, request.query, [*request.headers, *more], body), values


def _usable(mock: Mock, operation: Operation) -> Tenant | None:
    """Return a tenant of the fixtures with what a request for `operation` needs, if there is one."""
    return next(
        (
            tenant
            for tenant in mock.fixtures
            if (tenant.leads or operation.id != "handoffLead") and (_key(tenant, operation) or not operation.security)
        ),
        None,
    )


def _key(tenant: Tenant, operation: Operation) -> str | None:
    """Return a key of the tenant that may call `operation`, if there is one."""
    able = (
        key.token
        for key in tenant.keys.values()
        if not key.revoked and any(key.scopes >= demand.scopes for demand in operation.security)
    )
    return next(able, None)


def _quoted(template: str) -> str:
    return quote(template, safe="/:@!$&'()*+,;=~{}")


def _bodies(mock: Mock, operation: Operation) -> Iterator[tuple[bytes, str]]:
    if operation.body is not None:
        content = mock.contract.at(operation.body.pointer).get("content") or {}
        media_type = next(filter(is_json, content), "application/json")
        if operation.id in demo.BODIES:
            yield json.dumps(demo.BODIES[operation.id]).encode(), media_type
        if media_type in content:
            yield msgspec.json.encode(media_value(mock.contract, content[media_type])), media_type
    yield b"", ""


def _texts(mock: Mock, parameter: Parameter) -> list[str]:
    """Return a value of a parameter as text; several texts for an exploded list or object."""
    value = media_value(mock.contract, parameter.declared)
    if parameter.kind == "json":
        return [msgspec.json.encode(value).decode()]
    if isinstance(value, dict) and parameter.separator is not None and parameter.pairs:
        return [parameter.separator.join(f"{name}={_text(member)}" for name, member in value.items())]
    parts = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        parts = [part for pair in value.items() for part in pair]
    texts = [_text(part) for part in parts]
    return texts if parameter.separator is None else [parameter.separator.join(texts)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
