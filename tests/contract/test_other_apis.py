"""Documents of other APIs: errors as they declare them, alternatives named, paths that are almost right. M42."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vorel_mock.testing import InProcessMock

Json = dict[str, Any]

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
CAT = {"type": "object", "required": ["kind", "lives"], "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}}  # fmt: skip  # noqa: E501 - a row
DOG = {"type": "object", "required": ["kind", "breed"], "properties": {"kind": {"const": "dog"}, "breed": {"type": "string"}}}  # fmt: skip  # noqa: E501 - a row


ITEM = {
    "type": "object",
    "required": ["message", "code"],
    "properties": {"message": {"type": "string"}, "code": {"type": "integer"}},
}


def document(error: Json, pet: Json, **schemas: Json) -> Json:
    """Return a document with one operation, `default` errors of its own, and a body."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pets", "version": "1"},
        "servers": [{"url": "https://pets.example/v2"}],
        "security": [{"key": []}],
        "paths": {
            "/pets": {
                "post": {
                    "operationId": "addPet",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": pet}}},
                    "responses": {"204": {"description": "Added."}, "default": {"description": "No.", **error}},
                }
            },
            "/shops/": {
                "get": {"operationId": "shops", "security": [], "responses": {"204": {"description": "None."}}}
            },
        },
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}, "schemas": schemas},
    }


def mock(folder: Path, content: Json) -> InProcessMock:
    file = folder / "openapi.json"
    file.write_text(json.dumps(content), "utf-8")
    return InProcessMock(contract=file)


def post(folder: Path, content: Json, body: Any, **headers: str) -> Any:
    with mock(folder, content) as running:
        key = running.control.target()["keys"]["full"][0]
        return running.client().post("/v2/pets", json=body, headers={"Authorization": f"Bearer {key}", **headers})


def of(schema: Json, media_type: str = "application/json", **more: Any) -> Json:
    return {"content": {media_type: {"schema": schema, **more}}}


# Errors of the document's own.


def test_an_error_is_the_one_that_the_document_declares(tmp_path: Path) -> None:
    response = post(tmp_path, document(of(PROBLEM, "application/problem+json"), {"type": "string"}), 5)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.pop("type") is not None
    assert problem == {"title": "Bad Request", "status": 400, "detail": 'body: is not of type "string"'}


def test_an_error_of_a_step_and_of_no_operation_too(tmp_path: Path) -> None:
    with mock(tmp_path, document(of(PROBLEM, "application/problem+json"), {})) as running:
        client = running.client()
        assert client.post("/v2/pets", json=1).json()["status"] == 401
        assert client.get("/v2/pets").json()["status"] == 405
        assert client.get("/nowhere").json()["status"] == 404


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {
                "type": "object",
                "required": ["errors"],
                "properties": {"errors": {"type": "array", "minItems": 1, "items": ITEM}},
            },
            {"errors": [{"message": 'body: is not of type "string"', "code": 400}]},
        ),
        (
            {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": False,
                "properties": {"code": {"enum": ["INVALID"]}, "message": {"type": "string", "maxLength": 9}},
            },
            {"code": "INVALID", "message": "string"},
        ),
        ({"type": "string"}, "string"),
    ],
)
def test_message_status_and_code_go_where_the_schema_admits_them(tmp_path: Path, error: Json, expected: Any) -> None:
    assert post(tmp_path, document(of(error), {"type": "string"}), 5).json() == expected


@pytest.mark.parametrize(
    "error",
    [
        {},
        of({}),
        of({"type": "object"}),
        {"content": {"text/html": {}}},
        {"content": {"application/json": {}}},
        of({"type": "object", "properties": {"error": {"type": "object"}}}),
    ],
)
def test_where_the_document_leaves_it_open_the_envelope_stays(tmp_path: Path, error: Json) -> None:
    response = post(tmp_path, document(error, {"type": "string"}), 5)
    assert response.json() == {"error": {"code": "bad_request", "message": 'body: is not of type "string"'}}


def test_an_example_of_an_error_is_used(tmp_path: Path) -> None:
    example = {"fault": "F-1", "message": "as shown"}
    response = post(tmp_path, document(of({"type": "object"}, example=example), {"type": "string"}), 5)
    assert response.json() == {"fault": "F-1", "message": 'body: is not of type "string"'}


# Examples: Accept, and Prefer: example=.

CATS: Json = {
    "application/json": {
        "schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        "examples": {"tom": {"value": {"name": "Tom"}}, "kitty": {"$ref": "#/components/examples/kitty"}},
    },
    "application/hal+json": {"example": {"name": "Hal"}},
    "text/csv": {"schema": {"type": "string"}, "examples": {"none": {"value": "name"}, "two": {"value": "name\na\nb"}}},
    "application/xml": {"schema": {"type": "object"}},
}


@pytest.fixture(scope="module")
def cats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    content = document({}, {})
    response = {"description": "Cats.", "content": CATS}
    content["paths"] = {
        "/cats": {"get": {"operationId": "cats", "responses": {"200": response}}},
        "/open": {"get": {"operationId": "open", "security": [], "responses": {"200": response}}},
        "/none": {"get": {"operationId": "none", "security": [], "responses": {"204": {"description": "None."}}}},
    }
    content["components"]["examples"] = {"kitty": {"value": {"name": "Kitty"}}}
    with mock(tmp_path_factory.mktemp("cats"), content) as running:
        key = running.control.target()["keys"]["full"][0]
        client = running.client()
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("text/*", "text/csv"),
        ("application/hal+json", "application/hal+json"),
        ("application/json;q=0.1, application/hal+json", "application/hal+json"),
        ("*/*;q=0.5, application/json;q=0", "application/hal+json"),
        ("text/csv;q=0, */*", "application/json"),
        ("text/csv;q=x, application/json;q=0.9", "text/csv"),
        ("application/xml", "application/json"),  # made from a schema, and we write no XML
        ("image/png", "application/json"),
        (",;=q", "application/json"),
    ],
)
def test_an_example_comes_in_the_media_type_that_the_client_prefers(
    cats: Any, accept: str | None, media_type: str
) -> None:
    for path in ("/v2/cats", "/v2/open"):
        response = cats.get(path, headers={} if accept is None else {"Accept": accept})
        assert (response.status_code, response.headers["Content-Type"]) == (200, media_type)
    expected = {"application/json": '{"name":"Tom"}', "application/hal+json": '{"name":"Hal"}', "text/csv": "name"}
    assert response.text == expected[media_type]


@pytest.mark.parametrize(
    ("prefer", "accept", "body"),
    [
        ("example=kitty", "*/*", '{"name":"Kitty"}'),
        ('respond-async, example="kitty"', "*/*", '{"name":"Kitty"}'),
        ("example=two", "text/csv", "name\na\nb"),
        ("example=two", "application/json", "name\na\nb"),  # only there it has this name
    ],
)
def test_an_example_is_chosen_by_its_name(cats: Any, prefer: str, accept: str, body: str) -> None:
    for path in ("/v2/cats", "/v2/open"):
        response = cats.get(path, headers={"Prefer": prefer, "Accept": accept})
        assert (response.status_code, response.text) == (200, body)
        assert response.headers["Preference-Applied"] == prefer.rpartition(" ")[2].replace('"', "")


@pytest.mark.parametrize(
    ("path", "prefer", "message"),
    [
        ("cats", "example=kity", 'Prefer: unknown example "kity"; did you mean "kitty"?'),
        ("open", "example=xyz", 'Prefer: unknown example "xyz"; allowed: tom, kitty, none, two'),
        ("none", "example=tom", 'Prefer: unknown example "tom"; none is allowed here'),
        ("cats", "exampel=tom", 'Prefer: unknown preference "exampel"; did you mean "example"?'),
        ("cats", "example=tom, code=200", "Prefer: asks for example=tom and code=200; ask for one of them"),
    ],
)
def test_an_example_that_does_not_exist_is_named(cats: Any, path: str, prefer: str, message: str) -> None:
    response = cats.get(f"/v2/{path}", headers={"Prefer": prefer})
    assert (response.status_code, response.json()["error"]["message"]) == (400, message)


# Alternatives.

BY_NAME = {"propertyName": "kind"}
NO_CONST = {"Cat": {**CAT, "properties": {"lives": {"type": "integer"}}}, "Dog": {**DOG, "properties": {}}}
REFERENCES = [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]


@pytest.mark.parametrize(
    ("pet", "body", "said"),
    [
        ({"oneOf": [CAT, DOG]}, {"kind": "cat"}, "lives: is required"),
        ({"oneOf": [CAT, DOG]}, {"kind": "cat", "lives": "x"}, 'lives: is not of type "integer"'),
        ({"anyOf": [{"type": "integer"}, DOG]}, {"kind": "dog"}, "breed: is required"),
        ({"oneOf": [CAT]}, {"kind": "cat"}, "lives: is required"),
        ({"oneOf": [CAT, {"oneOf": [DOG]}]}, {"kind": "cat"}, "lives: is required"),
        ({"oneOf": REFERENCES, "discriminator": BY_NAME}, {"kind": "Dog"}, "breed: is required"),
        (
            {"oneOf": REFERENCES, "discriminator": {**BY_NAME, "mapping": {"d": "#/components/schemas/Dog"}}},
            {"kind": "d"},
            "breed: is required",
        ),
        (
            {"type": "object", "properties": {"pet": {"oneOf": [CAT, DOG]}}},
            {"pet": {"kind": "dog"}},
            "pet.breed: is",
        ),
        (
            {"oneOf": [CAT, DOG]},
            {"kind": "cow"},
            'body: fits none of its 2 alternatives: lives is required and kind "cat" was expected; or breed is',
        ),
        ({"oneOf": [{"type": "integer"}, {"minimum": 1}]}, 5, "body: is valid under more than one of the schemas"),
    ],
)
def test_the_alternative_that_is_meant_is_named(tmp_path: Path, pet: Json, body: Any, said: str) -> None:
    message = post(tmp_path, document({}, pet, **NO_CONST), body).json()["error"]["message"]
    assert message.startswith(said) or said in message, message
    assert "cow" not in message


# Paths.


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/pets", "It has one below /v2, the path of the document's first server."),
        ("/pets/", "It has one below /v2, the path of the document's first server."),
        ("/v2/pets/", "It has one without the slash at the end."),
        ("/v2/shops", "It has one with a slash at the end."),
        ("/v2/nowhere", "The API has no operation at this path."),
        ("/", "begin at /_mock/."),
    ],
)
def test_a_path_that_is_almost_right_is_told_what_lacks(tmp_path: Path, path: str, said: str) -> None:
    with mock(tmp_path, document({}, {})) as running:
        response = running.client().get(path)
    assert response.status_code == 404
    assert response.json()["error"]["message"].endswith(said)
