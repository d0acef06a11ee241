"""A client of the control plane whose every answer is checked against the control plane's own document."""

import re
from functools import cache
from typing import Any

import httpx
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

from vorel_mock.contract import contract
from vorel_mock.control import document as document_module
from vorel_mock.control.document import PREFIX
from vorel_mock.mock.mock import Mock
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

_URI = "urn:control"


def client(mock: Mock) -> httpx.Client:
    """Such a client, in process."""
    hooks = {"response": [check]}
    return httpx.Client(transport=MockTransport(App(mock)), base_url="http://127.0.0.1:3000", event_hooks=hooks)


@cache
def document() -> dict[str, Any]:
    """The document of the control plane."""
    return document_module.load(contract.load())


def check(response: httpx.Response) -> None:
    """Whether an answer of a declared operation is one that the document declares."""
    path = response.request.url.path
    if not path.startswith(PREFIX + "/"):
        return
    assert response.status_code < 500, response.read()
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert "date" in response.headers
    found = _operation(response.request.method.lower(), path.removeprefix(PREFIX))
    if found is None:
        return
    pointer, operation = found
    status = str(response.status_code)
    assert status in operation["responses"], f"{operation['operationId']} declares no {status}: {response.read()!r}"
    pointer = f"{pointer}/responses/{status}"
    declared = operation["responses"][status]
    if "$ref" in declared:
        pointer = declared["$ref"].removeprefix("#")
        declared = _at(pointer)
    response.read()
    if "content" not in declared:
        assert response.content == b""
        assert "content-type" not in response.headers
        return
    assert response.headers["content-type"].split(";")[0] == "application/json"
    errors = list(_validator(f"{pointer}/content/application~1json/schema").iter_errors(response.json()))
    assert not errors, f"{operation['operationId']} {status}: {errors[0].json_path}: {errors[0].message}"


def _operation(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    for template, item in sorted(document()["paths"].items(), key=lambda entry: entry[0].count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return (f"/paths/{template.replace('/', '~1')}/{method}", item[method]) if method in item else None
    return None


def _at(pointer: str) -> Any:
    node: Any = document()
    for step in pointer.split("/")[1:]:
        node = node[step.replace("~1", "/")]
    return node


@cache
def _validator(pointer: str) -> Any:
    registry: Registry[Any] = Registry().with_resource(_URI, DRAFT4.create_resource(document()))
    reference = f"{_URI}#{pointer}".replace("{", "%7B").replace("}", "%7D")
    return OAS30Validator({"$ref": reference}, registry=registry, format_checker=oas30_format_checker)
