"""The contract document: pinned, valid, and the source of what the mock does. A bad one is one clear line."""

import copy
import hashlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from vorel_mock.contract import contract
from vorel_mock.contract import document_file as document
from vorel_mock.contract.document_file import ContractError
from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

VENDORED = json.loads(contract.default_path().read_text("utf-8"))
#: Of the vendored file; it is never edited.
SHA256 = "f97fc48bf96c630fb781af455625c0ba63f7a3c5625895cc25f368bf2dcc89f7"
HANDOFF = "/api/v1/leads/{id}/handoff"
CREATE = "/api/v1/crm/create-record"

Json = dict[str, Any]


def _changed(change: Callable[[Json], object]) -> Json:
    """The vendored document after `change`."""
    document: Json = copy.deepcopy(VENDORED)
    change(document)
    return document


def _body_schema_with(**keywords: object) -> Callable[[Json], object]:
    """Changes the schema of a member of a body."""
    return lambda d: d["components"]["schemas"]["LeadHandoffBody"]["properties"]["reason"].update(keywords)


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
    assert _refused(tmp_path, content) == "nests too deep, or a YAML alias is inside its own anchor"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("file:///etc/passwd", "$ref 'file:///etc/passwd' is a URL, and references are not fetched"),
        ("other.yaml#/x", "refers to other.yaml: no such file"),
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
        ("relative", "/relative"),
        ("/it%20is", "/it is"),
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


def _answering(name: str, *parameters: str) -> Json:
    """A path item whose GET answers its own name, for a key that may read."""
    text = {"type": "string", "maxLength": 3}
    return {
        "get": {
            "operationId": name,
            "security": [{"BearerAuth": ["read"]}],
            "parameters": [{"name": p, "in": "path", "required": True, "schema": text} for p in parameters],
            "responses": {"200": {"description": name, "content": {"application/json": {"schema": {"const": name}}}}},
        }
    }


def test_a_concrete_path_goes_before_a_template_wherever_it_stands(tmp_path: Path) -> None:
    paths = {
        "/{a}/{b}": _answering("two", "a", "b"),
        "/leads/{a}": _answering("one", "a"),
        "/leads/{a}.csv": _answering("rows", "a"),
        "/leads/{a}/notes": _answering("notes", "a"),
        "/leads/export": _answering("export"),
        "/leads/export/{b}": _answering("part", "b"),
    }
    paths["/leads/{a}"]["delete"] = {**paths["/leads/{a}"]["get"], "operationId": "delete"}
    with _client(tmp_path, _changed(lambda d: d["paths"].update(paths))) as client:
        asked = ("/leads/export", "/leads/7", "/leads/7.csv", "/x/7", "/leads/7/notes", "/leads/export/7")
        answers = [client.get(path).json() for path in asked]
        # Of a method that the concrete path has not, the templated one is asked.
        assert client.delete("/leads/export").json()["error"]["message"].startswith("a: ")
        assert client.put("/leads/export").headers["Allow"] == "DELETE, GET, HEAD"
    assert answers == ["export", "one", "rows", "two", "notes", "part"]


def test_two_names_for_one_path_are_refused(tmp_path: Path) -> None:
    paths = {"/leads/{a}": _answering("one", "a"), "/leads/{b}": _answering("other", "b")}
    message = _refused(tmp_path, _changed(lambda d: d["paths"].update(paths)))
    assert message == "/leads/{a} and /leads/{b} are the same path, and both have get"


def _with_responses(**responses: Json) -> Json:
    """The vendored document, with operations `GET /<name>` that have these responses."""
    paths = {
        f"/{name}": {"get": {"operationId": name, "security": [], "responses": told}}
        for name, told in responses.items()
    }
    return _changed(lambda d: d["paths"].update(paths))


def _content(media: Json, media_type: str = "application/json") -> Json:
    return {"description": "d", "content": {media_type: media}}


def test_an_answer_by_example_is_the_response_that_is_declared(tmp_path: Path) -> None:
    text = {"schema": {"type": "string"}}
    document = _with_responses(
        moved={
            "302": {
                "description": "d",
                "headers": {
                    "Location": {"required": True, "schema": {"type": "string", "format": "uri"}},
                    "X-Ids": {
                        "required": True,
                        "schema": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
                    },
                    "X-Other": {"schema": {"type": "string"}},
                },
            }
        },
        gone={"204": _content(text)},
        some={"2XX": _content(text)},
        anything={"200": _content(text, "*/*")},
        words={"200": _content({"schema": {}}, "text/*")},
    )
    with _client(tmp_path, document) as client:
        moved, gone = client.get("/moved"), client.get("/gone")
        assert (moved.status_code, moved.headers["Location"], moved.headers["X-Ids"]) == (
            302,
            "https://example.com/",
            "0,0",
        )
        assert "X-Other" not in moved.headers
        assert (gone.status_code, gone.content) == (204, b"")
        assert (client.get("/some").status_code, client.get("/some").json()) == (200, "string")
        assert client.get("/anything").headers["Content-Type"] == "application/json"
        assert (client.get("/words").headers["Content-Type"], client.get("/words").text) == ("text/plain", "")


def test_an_answer_that_breaks_its_schema_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    impossible = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string", "minLength": 3, "maxLength": 2}},
    }
    good = {"200": _content({"schema": {"type": "integer"}, "example": 5})}
    bad = {"200": _content({"schema": {"type": "integer"}, "example": "five"})}
    document = _with_responses(good=good, bad=bad, impossible={"200": _content({"schema": impossible})})
    with _client(tmp_path, document) as client:
        assert client.get("/bad").json() == "five"
    advice = "Add a valid `example` to the document"
    assert [record.getMessage() for record in caplog.records] == [
        f'bad: its response breaks its own schema (it is not of type "integer"). {advice}',
        f"impossible: its response breaks its own schema (a is shorter than 3 characters). {advice}",
    ]


def test_many_answers_that_break_their_schemas_are_few_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {"200": _content({"schema": {"type": "integer"}, "example": "five"})}
    with _client(tmp_path, _with_responses(**{f"bad{n}": bad for n in range(40)})):
        assert [r.getMessage()[:7] for r in caplog.records] == [*(f"bad{n}: i" for n in range(5)), "35 more"]


NUMBERS = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
RANGE = {
    "type": "object",
    "required": ["from"],
    "additionalProperties": False,
    "properties": {"from": {"type": "integer"}, "on": {"type": "boolean"}, "ids": NUMBERS},
}


@pytest.mark.parametrize(
    ("parameter", "query", "field"),
    [
        ({"style": "pipeDelimited", "explode": False, "schema": NUMBERS}, "q=1|2%7C3", None),
        ({"style": "pipeDelimited", "schema": NUMBERS}, "q=1|x", "q.1"),
        ({"style": "pipeDelimited", "explode": True, "schema": NUMBERS}, "q=1&q=x", "q.1"),
        ({"style": "spaceDelimited", "schema": NUMBERS}, "q=1%202+3", None),
        ({"style": "spaceDelimited", "schema": NUMBERS}, "q=1%202+3+4", "q"),
        ({"style": "deepObject", "schema": RANGE}, "q[from]=5&q[on]=true&q[ids]=1&q[ids]=2&other[from]=x", None),
        ({"style": "deepObject", "schema": RANGE}, "q%5Bfrom%5D=x", "q.from"),
        ({"style": "deepObject", "schema": RANGE}, "q[on]=true", "q.from"),
        ({"style": "deepObject", "schema": RANGE}, "q[from]=5&q[more]=1", "q"),
        ({"style": "deepObject", "schema": RANGE, "required": True}, "from=5", "q"),
        ({"schema": RANGE}, "from=5&on=false&other=1", None),
        ({"schema": RANGE}, "from=5&on=maybe", "q.on"),
        ({"schema": RANGE}, "", None),
        ({"explode": False, "schema": RANGE}, "q=from,5,on,true", None),
        ({"explode": False, "schema": RANGE}, "q=from,x", "q.from"),
        ({"content": {"application/json": {"schema": RANGE}}}, "q=%7B%22from%22:5%7D", None),
        ({"content": {"application/json": {"schema": RANGE}}}, "q=%7B%22from%22:%225%22%7D", "q.from"),
        ({"content": {"application/json": {"schema": RANGE}}}, "q=%7B", "q"),
        ({"content": {"text/plain": {"schema": {"type": "string", "maxLength": 2}}}}, "q=123", "q"),
        ({"schema": {"enum": [1, 2]}}, "q=2", None),
        ({"schema": {"enum": [1, 2]}}, "q=3", "q"),
    ],
)
def test_a_query_parameter_is_read_in_its_style(tmp_path: Path, parameter: Json, query: str, field: str | None) -> None:
    path = _answering("search")
    path["get"]["parameters"] = [{"name": "q", "in": "query", **parameter}]
    with _client(tmp_path, _changed(lambda d: d["paths"].update({"/search": path}))) as client:
        answer = client.get(f"/search?{query}")
    assert answer.status_code == (200 if field is None else 400)
    if field is not None:
        assert answer.json()["error"]["message"].partition(": ")[0] == field


def test_objects_in_a_path_and_a_header(tmp_path: Path) -> None:
    path = _answering("search", "p")
    path["get"]["parameters"] = [
        {"name": "p", "in": "path", "required": True, "schema": RANGE},
        {"name": "X-Range", "in": "header", "explode": True, "schema": RANGE},
        # What the document says elsewhere is not a matter of parameters.
        {"name": "authorization", "in": "header", "schema": {"type": "integer"}},
    ]
    with _client(tmp_path, _changed(lambda d: d["paths"].update({"/search/{p}": path}))) as client:
        assert client.get("/search/from,5,on,true", headers={"X-Range": "from=5,on=true"}).status_code == 200
        message = client.get("/search/from,x").json()["error"]["message"]
        assert message.startswith("p.from: ")
        message = client.get("/search/from,5", headers={"X-Range": "from=x"}).json()["error"]["message"]
        assert message.startswith("X-Range.from: ")


@pytest.mark.parametrize(
    ("declared", "content_type", "status"),
    [
        ("image/*", "image/png", 200),
        ("image/*", "text/plain", 400),
        ("*/*", "text/plain", 200),
        ("application/*", "application/json", 400),
        ("*/*", None, 400),
    ],
)
def test_a_range_of_media_types_is_one(tmp_path: Path, declared: str, content_type: str | None, status: int) -> None:
    path = {"post": _answering("upload")["get"]}
    path["post"]["requestBody"] = {"content": {declared: {"schema": {"type": "integer"}}}}
    headers = {} if content_type is None else {"Content-Type": content_type}
    with _client(tmp_path, _changed(lambda d: d["paths"].update({"/upload": path}))) as client:
        assert client.post("/upload", content=b'"text"', headers=headers).status_code == status


@pytest.mark.parametrize("style", ["label", "matrix"])
def test_a_style_that_the_mock_does_not_know_is_refused(tmp_path: Path, style: str) -> None:
    path = _answering("search", "p")
    path["get"]["parameters"][0]["style"] = style
    message = _refused(tmp_path, _changed(lambda d: d["paths"].update({"/search/{p}": path})))
    where = "#/paths/~1search~1{p}/get/parameters/0"
    assert message == f"{where}: the mock does not know the style '{style}' of a parameter"


# The vendored document.


def test_the_vendored_document_is_the_published_one() -> None:
    assert hashlib.sha256(contract.default_path().read_bytes()).hexdigest() == SHA256


def test_the_vendored_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(VENDORED).iter_errors()) == []


def test_what_is_read_from_the_vendored_document() -> None:
    vendored = contract.load()
    assert [(o.id, o.method, o.path, set(o.security[0].scopes)) for o in vendored.operations] == [
        ("handoffLead", "post", HANDOFF, {"leads:write"}),
        ("createCrmRecord", "post", CREATE, {"crm:write"}),
    ]
    codes = VENDORED["components"]["schemas"]["ErrorEnvelope"]["properties"]["error"]["properties"]["code"]["enum"]
    assert set(vendored.error_codes.values()) <= set(codes)
    assert {status: vendored.error_codes[status] for status in (400, 401, 403, 404, 409, 429, 500)} == {
        400: "bad_request",
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        409: "conflict",
        429: "rate_limited",
        500: "internal_error",
    }
    names = vendored.rate_limit_headers(None)
    assert [names.retry_after, names.limit, names.remaining, names.reset] == list(
        VENDORED["components"]["responses"]["RateLimited"]["headers"]
    )
    for token, is_one in {
        demo.token(1, 1, 1): True,
        "vapk_test_" + "0" * 48: True,
        "vapk_live_" + "0" * 50: False,  # the 60 characters of the prose
        "vapk_live_" + "0" * 47: False,
    }.items():
        assert (vendored.token_pattern.fullmatch(token) is not None) is is_one


# What another document says is what the mock does.


def test_the_scopes_are_the_document_s(tmp_path: Path) -> None:
    document = _changed(lambda d: d["paths"][HANDOFF]["post"].update(security=[{"BearerAuth": ["crm:write", "x:y"]}]))
    with _client(tmp_path, document) as client:
        assert _handoff(client).status_code == 200
        crm_only = {"Authorization": f"Bearer {demo.token(1, 5, 1)}"}
        refused = _handoff(client, headers=crm_only)
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].endswith("scope: x:y.")


def test_the_messages_are_the_document_s(tmp_path: Path) -> None:
    change = {"description": "Nobody knows you."}
    with _client(tmp_path, _changed(lambda d: d["components"]["responses"]["Unauthorized"].update(change))) as client:
        assert _handoff(client, headers={"Authorization": ""}).json()["error"]["message"] == "Nobody knows you."


def test_the_names_of_the_limit_s_headers_are_the_document_s(tmp_path: Path) -> None:
    def change(document: Json) -> None:
        headers = document["components"]["responses"]["RateLimited"]["headers"]
        headers["RateLimit-Remaining"] = headers.pop("X-RateLimit-Remaining")
        del headers["X-RateLimit-Limit"]

    with _client(tmp_path, _changed(change), rate_limit=1) as client:
        _handoff(client)
        refused = _handoff(client)
    assert refused.status_code == 429
    told = {name for name in refused.headers if "limit" in name or name == "retry-after"}
    assert told == {"retry-after", "ratelimit-remaining", "x-ratelimit-reset"}


def test_each_operation_has_the_limit_s_headers_of_its_own_429(tmp_path: Path) -> None:
    def header(*names: str) -> Json:
        return {"429": {"description": "d", "headers": {name: {"schema": {"type": "integer"}} for name in names}}}

    paths = {f"/{name}": _answering(name) for name in ("own", "bare", "silent")}
    paths["/own"]["get"]["responses"] |= header("Retry-After", "RateLimit-Reset")
    paths["/bare"]["get"]["responses"] |= header()
    document = _changed(lambda d: d["paths"].update(paths))
    with _client(tmp_path, document, rate_limit=1) as client:
        _handoff(client)
        answers = {name: client.get(f"/{name}") for name in ("own", "bare", "silent")}
    told = {name: {h for h in answer.headers if "limit" in h or h == "retry-after"} for name, answer in answers.items()}
    assert {answer.status_code for answer in answers.values()} == {429}
    assert told["own"] == {"retry-after", "ratelimit-reset"}
    assert told["bare"] == set()
    assert told["silent"] == {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


@pytest.mark.parametrize("body", [[1], 5, {"reason": 5, "summary": ["x"]}])
def test_a_handoff_of_anything_is_a_handoff_where_the_document_takes_it(tmp_path: Path, body: Any) -> None:
    with _client(tmp_path, _changed(lambda d: d["components"]["schemas"].update(LeadHandoffBody=True))) as client:
        assert _handoff(client, json=body).status_code == 200


def _with_keys_like(shape: str) -> Json:
    return _changed(lambda d: d["components"]["securitySchemes"]["BearerAuth"].update(bearerFormat=shape))


@pytest.mark.parametrize("shape", ["vapk_live_<48-hex>", "vapk_live_<48 hex chars>"])
def test_the_shape_of_a_key_is_the_document_s(tmp_path: Path, shape: str) -> None:
    with _client(tmp_path, _with_keys_like(shape)) as client:
        assert _handoff(client).status_code == 200
        answer = _handoff(client, headers={"Authorization": "Bearer vapk_test_" + "0" * 48})
        told = client.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()
    assert answer.status_code == 401
    assert told["explanation"]["rule"] == "the key does not have the format of a key"


@pytest.mark.parametrize(
    "shape", ["k_<8-hex>", "vapk_<env>_<50-hex>", "<uuid>", "vapk_<env>_<secret>", "vapk_<ENV>_<48-hex>"]
)
def test_a_shape_that_no_key_of_the_mock_has_is_refused(tmp_path: Path, shape: str) -> None:
    assert _refused(tmp_path, _with_keys_like(shape)).startswith(
        f"its bearerFormat '{shape}' is a shape that the mock's"
    )


def test_the_error_codes_are_the_document_s(tmp_path: Path) -> None:
    def change(document: Json) -> None:
        responses, schemas = document["components"]["responses"], document["components"]["schemas"]
        responses["InvalidThing"] = responses.pop("BadRequest")
        schemas["ErrorEnvelope"]["properties"]["error"]["properties"]["code"]["enum"].append("invalid_thing")
        for path in (HANDOFF, CREATE):
            document["paths"][path]["post"]["responses"]["400"] = {"$ref": "#/components/responses/InvalidThing"}

    with _client(tmp_path, _changed(change)) as client:
        assert _handoff(client, content=b"{").json()["error"]["code"] == "invalid_thing"
        assert _handoff(client, headers={"Authorization": ""}).json()["error"]["code"] == "unauthorized"


def test_lengths_enums_and_required_members_are_the_document_s(tmp_path: Path) -> None:
    def change(document: Json) -> None:
        schemas = document["components"]["schemas"]
        schemas["LeadHandoffBody"]["properties"]["reason"]["maxLength"] = 3
        schemas["LeadHandoffBody"]["required"] = ["summary"]
        schemas["LeadHandoffResponse"]["properties"]["conversation_status"]["enum"] = ["with_human"]
        schemas["CrmCreateRecordBody"]["properties"]["object"]["enum"] = ["contact"]

    with _client(tmp_path, _changed(change)) as client:
        assert _handoff(client, json={"summary": ""}).json()["conversation_status"] == "with_human"
        wrong = _handoff(client, json={"reason": "1234"}).json()["error"]["message"]
        deal = client.post(CREATE, json={"object": "deal", "fields": {}, "idempotency_key": "k"})
    assert "reason: is longer than 3 characters" in wrong
    assert "summary: is required" in wrong
    assert deal.json()["error"]["message"].startswith('object: must be one of "contact"')


def test_a_document_in_yaml_is_the_same_document(tmp_path: Path) -> None:
    file = tmp_path / "document.yaml"
    file.write_text(yaml.safe_dump(VENDORED, allow_unicode=True))
    assert contract.load(file).document == VENDORED
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(VENDORED).encode())
    assert contract.load(file).document == VENDORED


YAML = """
words: [no, on, yes, y, off, 1:20, 1_000, 2026-01-01, 2026-01-01T00:00:00Z, =, 0b1, "true", v1.0]
booleans: [true, True, FALSE]
nothing: [null, ~, ]
empty:
integers: [010, 0o17, 0x1F, -5, +5]
floats: [1e3, 1., .5, -1.5E-2]
keys: {200: a, true: b, no: c, 1.0: d, 2026-01-01: e}
base: &base {a: 1, b: 2}
merged: {<<: *base, b: 3}
"""


def test_yaml_is_read_as_its_version_1_2_has_it(tmp_path: Path) -> None:
    file = tmp_path / "document.yaml"
    file.write_text(YAML)
    read = document.parse(file.read_bytes())
    times = ["2026-01-01", "2026-01-01T00:00:00Z"]
    assert read == {
        "words": ["no", "on", "yes", "y", "off", "1:20", "1_000", *times, "=", "0b1", "true", "v1.0"],
        "booleans": [True, True, False],
        "nothing": [None, None],
        "empty": None,
        "integers": [10, 15, 31, -5, 5],
        "floats": [1000.0, 1.0, 0.5, -0.015],
        "keys": {"200": "a", "true": "b", "no": "c", "1.0": "d", "2026-01-01": "e"},
        "base": {"a": 1, "b": 2},
        "merged": {"a": 1, "b": 3},
    }
    assert [type(value) for value in read["integers"]] == [int] * 5


# Bad documents.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "its top level is not an object"),
        ("[]", "its top level is not an object"),
        ("null", "its top level is not an object"),
        ("just text", "its top level is not an object"),
        ("{", "begins as JSON, and is not valid: Expecting property name enclosed in double quotes: line 1 column 2"),
        ('{"openapi": "3.1.0",}', "begins as JSON, and is not valid: "),
        ('{"a": {"b": 1, "b": 2}}', "begins as JSON, and is not valid: the member 'b' is a duplicate"),
        ('{"a": NaN}', "begins as JSON, and is not valid: NaN is no number"),
        ('{"a": 1e999}', "holds a number beyond what a double can be"),
        ("a: [b", "is not YAML: did not find expected ',' or ']' at line "),
        ("a:\n  b: 1\n  b: 2", "is not YAML: the key 'b' is a duplicate at line 3, column 3"),
        ("a: !!python/object:os.system x", "is not YAML: JSON has nothing for tag:yaml.org,2002:python/object:os.sys"),
        ("a: !!binary eA==", "is not YAML: JSON has nothing for tag:yaml.org,2002:binary at line 1, column 4"),
        ("a: !!timestamp 2026-01-01", "is not YAML: JSON has nothing for tag:yaml.org,2002:timestamp"),
        ("a: .inf", "is not YAML: JSON has no such number at line 1, column 4"),
        ("? [a]\n: b", "is not YAML: a key must be text at line 1, column 3"),
        ("a: 1\n---\na: 2", "is not YAML: but found another document at line 2, column 1"),
        ("\x00", "is not YAML: "),
        (b"\xff\xfe{}", "is not UTF-8 text: byte 0"),
        ("{}", "it has no `openapi` member"),
        ("openapi: 3.1", "its `openapi` member says 3.1"),
        ("openapi: 3.0.3", "is not a valid OpenAPI 3.1 document"),
        ("openapi: 3.2.0", "its `openapi` member says '3.2.0'"),
        ('swagger: "2.0"', "is Swagger 2.0"),
        ("openapi: 3.1.0", "is not a valid OpenAPI 3.1 document"),
        ("openapi: 3.1.0\ninfo: {title: t, version: v}", "is not a valid OpenAPI 3.1 document"),
        ("openapi: 3.1.0\ninfo: {title: t, version: v}\npaths: []", "is not a valid OpenAPI 3.1 document"),
        ("openapi: 3.1.0\ninfo: {title: t, version: v}\npaths: {}", "declares no operation"),
        ("openapi: 3.1.0\ninfo: {title: t, version: v}\npaths: {/x: {get: }}", "is not a valid OpenAPI 3.1 document"),
    ],
)
def test_a_bad_document_is_one_clear_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in _refused(tmp_path, content)


_POST = "#/paths/~1api~1v1~1leads~1{id}~1handoff/post"
_REASON = "#/components/schemas/LeadHandoffBody/properties/reason"
BAD_CHANGES: dict[str, tuple[Callable[[Json], object], str]] = {
    "no info": (lambda d: d.pop("info"), '"info" is a required property at #'),
    "no paths but null": (lambda d: d.update(paths=None), 'null is not of type "object" at #/paths'),
    "a path without a slash": (lambda d: d["paths"].update({"x": d["paths"].pop(HANDOFF)}), "'x' was unexpected"),
    "an undeclared path parameter": (
        lambda d: d["paths"][HANDOFF]["post"].pop("parameters"),
        f"{_POST}: no parameter declares {{id}} of its path",
    ),
    "a parameter that the path has not": (
        lambda d: d["paths"].update({"/x": d["paths"].pop(HANDOFF)}),
        "#/paths/~1x/post: its path has no {id}",
    ),
    "a parameter twice": (
        lambda d: d["paths"][HANDOFF]["post"]["parameters"].append({**d["paths"][HANDOFF]["post"]["parameters"][0]}),
        f"{_POST}: a parameter is a duplicate",
    ),
    "a parameter that is none": (
        lambda d: d["paths"][HANDOFF]["post"]["parameters"].append({"$ref": "#/info"}),
        "what is referred to as #/info is no parameter",
    ),
    "a body that is none": (
        lambda d: d["paths"][CREATE]["post"].update(requestBody={"$ref": "#/info/title"}),
        "what is referred to as #/info/title is no object",
    ),
    "an operationId twice": (lambda d: d["paths"][CREATE]["post"].update(operationId="handoffLead"), "handoffLead"),
    "a type that is none": (_body_schema_with(type="strin"), f"at {_REASON}/type"),
    "a length in quotes": (_body_schema_with(maxLength="200"), f'is not of type "integer" at {_REASON}/maxLength'),
    "a pattern that is none": (_body_schema_with(pattern="("), f"schema at {_POST}/requestBody/content"),
    "a dialect of its own": (lambda d: d.update(jsonSchemaDialect="https://example.test/x"), "its jsonSchemaDialect"),
    "a variable of nobody's": (lambda d: d.update(servers=[{"url": "/{x}"}]), "has a variable that is not declared"),
    "no answer to a handoff": (lambda d: d["paths"][HANDOFF]["post"]["responses"].pop("200"), "handoffLead"),
    "any answer to a handoff": (
        lambda d: d["components"]["schemas"]["LeadHandoffResponse"]["properties"].update(conversation_status=True),
        "handoffLead: its 200 response has no enum for conversation_status",
    ),
    "any record": (
        lambda d: d["components"]["schemas"].update(CrmCreateRecordBody=True),
        "createCrmRecord: the mock needs a body in which object, fields, idempotency_key is required",
    ),
    "no status of the conversation": (
        lambda d: d["components"]["schemas"]["LeadHandoffResponse"]["properties"].pop("conversation_status"),
        "handoffLead: its 200 response has no enum for conversation_status",
    ),
}


@pytest.mark.parametrize("what", BAD_CHANGES)
def test_a_bad_part_is_named(tmp_path: Path, what: str) -> None:
    change, said = BAD_CHANGES[what]
    assert said in _refused(tmp_path, _changed(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["components"]["schemas"]["LeadHandoffBody"].update(required=["reason"], allOf=[True]),
        _body_schema_with(default=5),
        _body_schema_with(pattern=r"^[\p{L} -]*$"),
        lambda d: d.update(jsonSchemaDialect="https://spec.openapis.org/oas/3.1/dialect/base"),
    ],
    ids=["a member that no part describes", "a default of another type", "a pattern of ECMA's", "OpenAPI's dialect"],
)
def test_what_is_odd_and_valid_is_served(tmp_path: Path, change: Callable[[Json], object]) -> None:
    with _client(tmp_path, _changed(change)) as client:
        assert _handoff(client, json={"reason": "no-response"}).status_code in (200, 400)


def test_a_document_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "cannot be read: Is a directory"), (tmp_path / "none", "no such file")):
        with pytest.raises(ContractError, match=f"^{said}$"):
            contract.load(path)


def _without_member(document: Json) -> None:
    document["components"]["schemas"]["CrmCreateRecordBody"]["required"].remove("fields")


def _with_optional_body(document: Json) -> None:
    document["paths"][CREATE]["post"]["requestBody"]["required"] = False


def _with_another_parameter(document: Json) -> None:
    item = document["paths"].pop(HANDOFF)
    item["post"]["parameters"][0]["name"] = "lead"
    document["paths"][HANDOFF.replace("{id}", "{lead}")] = item


def _with_any_fields(document: Json) -> None:
    document["components"]["schemas"]["CrmCreateRecordBody"]["properties"]["fields"] = True


def _without_security(document: Json) -> None:
    document["paths"][HANDOFF]["post"]["security"] = []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_member, "createCrmRecord: the mock needs a body in which fields is required"),
        (_with_optional_body, "createCrmRecord: the mock needs a body in which object, fields, idempotency_key"),
        (_with_another_parameter, "handoffLead: the mock needs the path parameter 'id'"),
        (_with_any_fields, "createCrmRecord: the mock needs a body in which fields is of type object"),
        (_without_security, "handoffLead: the mock needs a key to know the tenant"),
    ],
)
def test_a_document_that_the_handlers_do_not_fit_is_refused_at_start(
    tmp_path: Path, change: Callable[[Json], object], words: str
) -> None:
    assert words in _refused(tmp_path, json.dumps(_changed(change)))
