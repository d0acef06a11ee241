"""The two documents that the control plane serves: what a generator and a person in Swagger UI make of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT4
from tests import checked_client as checked

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings

Json = dict[str, Any]
TOKEN = "the-control-token"
#: Models that a generated client may have: schemas of objects, and those within them.
MOST_MODELS = 140


def served(settings: Settings) -> Json:
    with checked.client(Mock(settings)) as http:
        document: Json = http.get("/_mock/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    OpenAPIV30SpecValidator(document).validate()
    return document


@pytest.fixture(scope="module")
def document() -> Json:
    return served(Settings(seed=1))


def nodes(node: Any) -> Iterator[Json]:
    """Every object in a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def operations(document: Json) -> Iterator[Json]:
    for item in document["paths"].values():
        yield from item.values()


def test_a_schema_is_written_once_and_referred_to(document: Json) -> None:  # M49
    references = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    components = {f"#/components/{kind}/{name}" for kind, parts in document["components"].items() for name in parts}
    assert references == components
    models = [node for node in nodes(document) if node.get("type") == "object" and "properties" in node]
    assert 40 < len(models) <= MOST_MODELS
    assert document["servers"] == [{"url": "/_mock", "description": "this mock"}]


def test_a_generator_drops_nothing_and_makes_few_models(document: Json) -> None:  # M49
    config = pytest.importorskip("openapi_python_client.config", reason="needs openapi-python-client: make install")
    settings = config.Config.from_sources(config.ConfigFile(), config.MetaType.NONE, Path("x"), "utf-8", False, None)
    parser = pytest.importorskip("openapi_python_client.parser")
    data = parser.GeneratorData.from_dict(document, config=settings)
    assert data.errors == []
    assert [problem for tag in data.endpoint_collections_by_tag.values() for problem in tag.parse_errors] == []
    assert len(list(data.models)) <= MOST_MODELS


def test_the_control_token_has_a_place_if_there_is_one(document: Json) -> None:  # M50
    assert "security" not in document
    assert "securitySchemes" not in document["components"]
    with_token = served(Settings(seed=1, control_token=TOKEN))
    (name,) = with_token["security"][0]
    scheme = with_token["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert TOKEN not in json.dumps(with_token)


def test_each_response_is_described_in_words(document: Json) -> None:  # M50
    parts = document["components"]["responses"]
    for operation in operations(document):
        told = []
        for response in operation["responses"].values():
            name = response.get("$ref", "").rpartition("/")[2]
            told.append((parts[name] if name else response)["description"])
        assert all(len(description.split()) >= 3 for description in told), operation["operationId"]
        assert len(set(told)) == len(told), operation["operationId"]


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ("#/components/parameters/Since/schema", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z"),
        ("#/components/parameters/Until/schema", "9998-12-31T00:00:00Z", "9999-01-01T00:00:00Z"),
        ("#/components/schemas/NewTenant/properties/webhook_timeout", "1ms", "0ms"),
        ("#/components/schemas/TenantChange/properties/webhook_timeout", "1h0.5s", "0.00s0m"),
        ("#/components/schemas/NewFault/properties/location", "http://[::1]:80", "http://a.test/path"),
        ("#/components/schemas/CrmMappings", {"lead": {"email": "e"}}, {"leads": {}}),
        ("#/components/schemas/SnapshotKey/properties/token", f"vapk_live_{'0' * 48}", "vapk_live_0"),
        (
            "#/components/schemas/SnapshotHandoff/properties/requested_at",
            "2026-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
        ),
        ("#/components/schemas/Snapshot", None, {}),
    ],
)
def test_a_schema_says_what_is_checked(document: Json, schema: str, valid: Any, invalid: Any) -> None:  # M52
    registry: Registry[Any] = Registry().with_resource("urn:served", DRAFT4.create_resource(document))
    validator = OAS30Validator({"$ref": f"urn:served{schema}"}, registry=registry)
    assert valid is None or validator.is_valid(valid)
    assert not validator.is_valid(invalid)


def test_each_body_is_filled_in_with_one_that_works(document: Json) -> None:  # M50
    with checked.client(Mock(Settings(seed=1))) as http:
        made = http.post("/_mock/tenants", json={}).json()
        tenant = f"/_mock/tenants/{made['id']}"
        webhook = http.post(
            f"{tenant}/webhooks", json={"target_url": "http://127.0.0.1:9/", "events": ["lead.created"]}
        )
        delivery = http.get(f"{tenant}/deliveries").json()["data"][0]["id"]
        ids = {"tenant_id": made["id"], "webhook_id": webhook.json()["id"], "delivery_id": delivery}
        ids |= {"key_id": "full_1", "lead_id": made["leads"]["own"][0]}
        snapshot = http.get(f"{tenant}/snapshot").json()
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if "requestBody" in operation:
                    schema = operation["requestBody"]["content"]["application/json"]["schema"]
                    schema = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
                    body = dict(schema.get("example", snapshot))
                    if "lead_id" in body:  # that of a demo tenant, which a person who tries it out has
                        body["lead_id"] = ids["lead_id"]
                    waits = operation["operationId"].startswith("waitFor")
                    if waits:
                        body["timeout"] = "1ms"
                    answer = http.request(method, "/_mock" + path.format(**ids), json=body)
                    in_vain = waits and answer.status_code == 408
                    assert answer.is_success or in_vain, f"{operation['operationId']}: {answer.text}"


def test_what_the_page_fills_in_for_the_api_works() -> None:  # M57
    with checked.client(Mock(Settings(seed=1))) as http:
        document = http.get("/_mock/contract.json").json()
        for path, item in document["paths"].items():
            (operation,) = item.values()
            values = {parameter["name"]: parameter["example"] for parameter in operation.get("parameters", ())}
            body = operation["requestBody"]["content"]["application/json"]["example"]
            headers = {"Authorization": f"Bearer {demo.token(1, 1, 1)}"}
            answer = http.post(path.format(**values), json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.json().get("ok", True) is True
