"""Documents from anywhere: files that refer to files, pipes, the standard input, URLs, OpenAPI 3.0. M35 and M43."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from vorel_mock.contract import contract, source
from vorel_mock.contract.document_file import ContractError
from vorel_mock.mock.settings import Settings
from vorel_mock.testing import InProcessMock

Json = dict[str, Any]
VENDORED = contract.default_path()
PETS: Json = {
    "openapi": "3.1.0",
    "info": {"title": "Pets", "version": "1"},
    "security": [{"key": []}],
    "paths": {
        "/pets/{id}": {
            "get": {
                "operationId": "getPet",
                "security": [],
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "A pet.", "content": {"application/json": {"schema": {}}}}},
            }
        }
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
}


def pet(schema: Json, **more: Any) -> Json:
    """Return a document whose one response has that schema."""
    document: Json = json.loads(json.dumps(PETS))
    response = document["paths"]["/pets/{id}"]["get"]["responses"]["200"]
    response["content"]["application/json"]["schema"] = schema
    return {**document, **more}


def served(where: Path | str) -> Any:
    """Return the example response of a document with `getPet`."""
    with InProcessMock(contract=where) as mock:
        response = mock.client().get("/pets/1")
    assert response.status_code == 200, response.text
    return response.json()


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Write the files, as YAML or JSON by their names, and return the path of the first."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content, sort_keys=False)
        path.write_text(content if isinstance(content, str) else text, "utf-8")
    return folder / next(iter(files))


@pytest.fixture
def site() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """Serve what a function writes, on a port; the URL."""
    servers: list[ThreadingHTTPServer] = []

    def serve(respond: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                respond(self)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/openapi.yaml"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


# References to other files.


def test_files_refer_to_files(tmp_path: Path) -> None:
    """A part, a whole file, a file's own parts, one beside it, and one back into the first."""
    document = pet({"$ref": "schemas/pet.yaml#/Pet"})
    document["components"]["schemas"] = {"Name": {"const": "Rex"}}
    document["paths"]["/owners"] = {"$ref": "paths/owners.json"}
    path = write(
        tmp_path,
        {
            "openapi.yaml": document,
            "schemas/pet.yaml": {
                "Pet": {
                    "type": "object",
                    "required": ["a", "b", "c"],
                    "properties": {
                        "a": {"$ref": "#/Local"},
                        "b": {"$ref": "size.json"},
                        "c": {"$ref": "../openapi.yaml#/components/schemas/Name"},
                    },
                },
                "Local": {"const": 1},
            },
            "schemas/size.json": {"const": "big"},
            "paths/owners.json": {"get": {"security": [], "responses": {"204": {"description": "None."}}}},
        },
    )
    assert served(path) == {"a": 1, "b": "big", "c": "Rex"}
    assert [operation.path for operation in contract.load(path).operations] == ["/pets/{id}", "/owners"]


def test_files_may_refer_to_each_other(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "openapi.yaml": pet({"$ref": "a.yaml"}),
            "a.yaml": {"type": "object", "properties": {"b": {"$ref": "b.yaml"}}, "required": ["b"]},
            "b.yaml": {"type": "object", "properties": {"a": {"$ref": "a.yaml"}}},
        },
    )
    assert "b" in served(path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"openapi.yaml": pet({"$ref": "none.yaml#/x"})}, "refers to none.yaml: no such file"),
        ({"openapi.yaml": pet({"$ref": "a.yaml"}), "a.yaml": "[b"}, "refers to a.yaml: is not YAML: "),
        ({"openapi.yaml": pet({"$ref": "a.yaml#/x"}), "a.yaml": {}}, "the document has nothing at #/x-files/a.yaml/x"),
        ({"openapi.yaml": pet({"$ref": "."})}, "cannot be read: Is a directory"),
        ({"openapi.yaml": pet({"$ref": "http://example.com/x.yaml"})}, "bundle the document into one file first"),
    ],
)
def test_a_file_that_cannot_be_had_is_named(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError) as refusal:
        contract.load(write(tmp_path, files))
    assert said in str(refusal.value)


# The standard input, and pipes.


def command(*arguments: str, stdin: Any = subprocess.DEVNULL) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "vorel_mock", "serve", "--port", "0", *arguments]
    return subprocess.run(line, stdin=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_the_standard_input(tmp_path: Path) -> None:
    """`-`: what is wrong with the document shows that it was read, and the message names the source."""
    path = write(tmp_path, {"openapi.json": {**PETS, "paths": {}}})
    with path.open("rb") as file:
        done = command("--contract", "-", stdin=file)
    assert done.returncode == 2
    assert "-: the document declares no operation" in " ".join(done.stderr.split())
    assert "-: is not an OpenAPI document" in " ".join(command("--contract", "-").stderr.split())


def test_a_pipe_is_read_and_never_waited_for_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(VENDORED.read_bytes()), daemon=True)
    writer.start()
    assert contract.load(pipe).operations
    writer.join()
    monkeypatch.setattr(source, "SILENCE", 0.2)
    held = os.open(pipe, os.O_RDWR)  # a writer that never writes
    began = time.monotonic()
    with pytest.raises(ContractError, match="did not arrive"):
        contract.load(pipe)
    os.close(held)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom"])
def test_a_source_without_end_is_bounded(path: str) -> None:
    with pytest.raises(ContractError, match="is longer than 32 MiB"):
        contract.load(Path(path))


# URLs.


def test_a_url(site: Callable[[Callable[[BaseHTTPRequestHandler], None]], str]) -> None:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(yaml.safe_dump(pet({"const": "Rex"})).encode())

    url = site(respond)
    assert served(url) == "Rex"
    assert Settings(contract=url).contract == url


def test_a_url_that_gives_no_document(site: Callable[[Callable[[BaseHTTPRequestHandler], None]], str]) -> None:
    def missing(request: BaseHTTPRequestHandler) -> None:
        request.send_error(404)

    def refers(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(json.dumps(pet({"$ref": "pet.yaml"})).encode())

    for respond, said in ((missing, "responded with 404"), (refers, "refers to other files")):
        with pytest.raises(ContractError, match=said):
            contract.load(site(respond))
    for url in ("http://127.0.0.1:1/x", "http://[x", "https://"):
        with pytest.raises(ContractError, match="cannot be fetched"):
            contract.load(url)


@pytest.mark.parametrize("dripping", [False, True], ids=["silent", "dripping"])
def test_a_url_that_never_ends(
    site: Callable[[Callable[[BaseHTTPRequestHandler], None]], str], monkeypatch: pytest.MonkeyPatch, *, dripping: bool
) -> None:
    monkeypatch.setattr(source, "SILENCE", 0.3)
    monkeypatch.setattr(source, "PATIENCE", 0.5)
    ended = threading.Event()

    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not ended.wait(0.05):
            request.wfile.write(b" " if dripping else b"")
            request.wfile.flush()

    url = site(respond)
    with pytest.raises(ContractError, match="did not arrive"):
        contract.load(url)
    ended.set()


# OpenAPI 3.0 and Swagger 2.0.


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string", "nullable": False}, ["a"], [None]),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, [2], [1]),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": False}, [1], [0]),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, [0], [1]),
        ({"type": "object", "properties": {"nullable": {"type": "integer"}}}, [{"nullable": 1}], [{"nullable": "x"}]),
        (
            {"type": "object", "properties": {"default": {"type": "string", "nullable": True}}},
            [{"default": None}],
            [{"default": 1}],
        ),
        ({"enum": [{"nullable": True, "type": "string"}]}, [{"nullable": True, "type": "string"}], [{}]),
    ],
)
def test_a_schema_of_3_0_means_the_same(tmp_path: Path, schema: Json, valid: list[Any], invalid: list[Any]) -> None:
    path = write(tmp_path, {"openapi.yaml": pet(schema, openapi="3.0.3")})
    loaded = contract.load(path)
    pointer = "#/paths/~1pets~1{id}/get/responses/200/content/application~1json/schema"
    check = loaded.validator(pointer).is_valid
    assert [check(value) for value in [*valid, *invalid]] == [True] * len(valid) + [False] * len(invalid)


def test_the_contract_as_3_0_is_the_same_contract(tmp_path: Path) -> None:
    document = json.loads(VENDORED.read_text("utf-8"))
    path = write(tmp_path, {"openapi.json": {**document, "openapi": "3.0.3"}})
    assert contract.load(path).document == {**document, "openapi": "3.1.0"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"swagger": "2.0", "info": {}, "paths": {}},
            "is Swagger 2.0, and the mock reads OpenAPI 3.1 and 3.0",
        ),
        ({**PETS, "openapi": "2.9"}, "is not an OpenAPI 3.1 or 3.0 document: its `openapi` member says '2.9'"),
        ({**PETS, "openapi": "3.0.3", "info": {}}, "is not a valid OpenAPI 3.1 document"),
    ],
)
def test_another_version_is_told_the_remedy(tmp_path: Path, document: Json, said: str) -> None:
    with pytest.raises(ContractError) as refusal:
        contract.load(write(tmp_path, {"openapi.json": document}))
    assert said in str(refusal.value)


# Documents that take long. M35.


def test_one_member_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    members = ",".join(f'"m{number}":1' for number in range(95_000))
    began = time.process_time()
    with pytest.raises(ContractError, match="the member 'm94999' is a duplicate"):
        contract.load(write(tmp_path, {"openapi.json": f'{{{members},"m94999":2}}'}))
    assert time.process_time() - began < 5  # it took minutes


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}, {"pattern": "^[a-z]+$"}]},
        {"pattern": "^(a+)+$", "allOf": [{"pattern": "^a{40}b$"}]},
        {"pattern": "^(a*)*b?(?=c)c(a*)*$", "minLength": 30},
        {"pattern": "^(((a{90}){90}){90}){90}$"},
    ],
)
def test_a_pattern_that_backtracks_does_not_hold_the_start(tmp_path: Path, schema: Json) -> None:
    path = write(tmp_path, {"openapi.json": pet({"type": "string", **schema})})
    began = time.process_time()
    try:
        served(path)
    except ContractError as error:
        assert "cannot be compiled" in str(error)  # noqa: PT017 - either is right, to wait is not
    assert time.process_time() - began < 20
