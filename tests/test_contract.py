"""The contract document: pinned, valid, and the source of what the mock does. A bad one is one clear line."""

import copy
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from vorel_mock import contract, demo
from vorel_mock.app import App
from vorel_mock.contract import ContractError
from vorel_mock.mock import Mock
from vorel_mock.settings import Settings
from vorel_mock.testing.transport import MockTransport

VENDORED = json.loads(contract.default_path().read_text("utf-8"))
HANDOFF = "/api/v1/leads/{id}/handoff"
CREATE = "/api/v1/crm/create-record"

Json = dict[str, Any]


def _changed(change: Callable[[Json], object]) -> Json:
    """The vendored document after `change`."""
    document: Json = copy.deepcopy(VENDORED)
    change(document)
    return document


def _refused(tmp_path: Path, content: str | bytes | Json) -> str:
    """What is said of a document that cannot be served."""
    file = tmp_path / "document"
    text = json.dumps(content) if isinstance(content, dict) else content
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ContractError) as refusal:
        Mock(Settings(seed=1, contract=file))
    message = str(refusal.value)
    assert message
    assert "\n" not in message
    assert len(message) < 700
    return message


@pytest.mark.parametrize(
    "content",
    ["a: &a\n  b: *a\n", '{"a":' * 900 + "1" + "}" * 900, '{"a":' * 90_000 + "1" + "}" * 90_000, "[" * 5000],
    ids=["endless", "deep", "deeper", "YAML"],
)
def test_a_document_without_a_floor_is_refused(tmp_path: Path, content: str) -> None:
    assert _refused(tmp_path, content) == "nests too deep, or a YAML alias stands within its own anchor"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("file:///etc/passwd", "$ref 'file:///etc/passwd' cannot be resolved within the document"),
        ("other.yaml#/x", "$ref 'other.yaml#/x' cannot be resolved within the document"),
        ("#/components/schemas/Nope", "the document has nothing at #/components/schemas/Nope"),
        ("#/components/schemas/LeadHandoffBody", "$ref '#/components/schemas/LeadHandoffBody' cannot be resolved"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(tmp_path: Path, reference: str, said: str) -> None:
    document = _changed(lambda d: d["components"]["schemas"].update(LeadHandoffBody={"$ref": reference}))
    assert _refused(tmp_path, document).startswith(said)


def test_no_reference_is_fetched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/schema.json"
        _refused(tmp_path, _changed(lambda d: d["components"]["schemas"].update(LeadHandoffBody={"$ref": url})))
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize(
    ("server", "base_path"),
    [
        ("https://app.example.test", ""),
        ("https://app.example.test/base/", "/base"),
        ("/relative", "/relative"),
        ("https://app.example.test/{base}/v2", "/tenant/v2"),
    ],
)
def test_paths_lie_below_the_first_server(tmp_path: Path, server: str, base_path: str) -> None:
    file = tmp_path / "document"
    servers = [{"url": server, "variables": {"base": {"default": "tenant"}}}, {"url": "https://other.example.test/x"}]
    file.write_text(json.dumps(_changed(lambda d: d.update(servers=servers))))
    assert {o.path.removesuffix(HANDOFF).removesuffix(CREATE) for o in contract.load(file).operations} == {base_path}


def test_a_server_that_is_no_url_is_refused(tmp_path: Path) -> None:
    message = _refused(tmp_path, _changed(lambda d: d.update(servers=[{"url": "http://[x"}])))
    assert message == "the URL of its first server cannot be read: 'http://[x'"


def _client(tmp_path: Path, document: Json, **settings: Any) -> httpx.Client:
    """A client, with a key that may do everything, of a mock that serves `document`."""
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document))
    mock = Mock(Settings(seed=1, clock="frozen", contract=file, **settings))
    headers = {"Authorization": f"Bearer {demo.token(1, 1, 1)}"}
    return httpx.Client(transport=MockTransport(App(mock)), base_url="http://127.0.0.1:3000", headers=headers)


def _handoff(client: httpx.Client, **request: Any) -> httpx.Response:
    return client.post(HANDOFF.replace("{id}", demo.lead_id(1, 1)), **request)


def test_a_path_item_may_be_a_reference(tmp_path: Path) -> None:
    def change(document: Json) -> None:
        document["components"]["pathItems"] = {"Handoff": document["paths"][HANDOFF]}
        document["paths"][HANDOFF] = {"$ref": "#/components/pathItems/Handoff"}

    with _client(tmp_path, _changed(change)) as client:
        assert _handoff(client).status_code == 200
        assert _handoff(client, json={"reason": 1}).json()["error"]["message"].startswith("reason: ")


@pytest.mark.parametrize("told", ["JWT", "opaque", None])
def test_a_key_of_no_known_shape_is_looked_up_as_it_is(tmp_path: Path, told: str | None) -> None:
    def change(document: Json) -> None:
        scheme = document["components"]["securitySchemes"]["BearerAuth"]
        scheme.pop("bearerFormat") if told is None else scheme.update(bearerFormat=told)

    with _client(tmp_path, _changed(change)) as client:
        assert _handoff(client).status_code == 200
        assert _handoff(client, headers={"Authorization": "Bearer JWT"}).status_code == 401
