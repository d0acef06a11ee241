"""A larger document of the same API: what it says is followed, and what has no handler answers from its schema."""

from pathlib import Path

import httpx
import pytest

from vorel_mock import demo
from vorel_mock.settings import Settings

LARGER = Path(__file__).parent / "data" / "larger.yaml"
LEAD = demo.lead_id(1, 1)
#: A demo key that may do this and nothing else, by this document.
KEYS = {"read": demo.token(1, 3, 1), "conversations:write": demo.token(1, 4, 1), "crm:write": demo.token(1, 5, 1)}


@pytest.fixture
def settings() -> Settings:
    return Settings(seed=1, clock="frozen", contract=LARGER)


def _message(answer: httpx.Response) -> str:
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
    return str(answer.json()["error"]["message"])


def test_an_error_response_without_a_name_has_the_code_of_its_status(api: httpx.Client) -> None:
    answer = api.post(f"/base/api/v1/leads/{demo.lead_id(2, 1)}/handoff")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "text", ["1_0", "+5", "%205", "5%20", "%D9%A3", "--5", "nan", "inf", "1e400", "", "0x5", "9" * 5000]
)
def test_a_number_in_a_query_is_written_as_json_has_it(api: httpx.Client, text: str) -> None:
    for name in ("limit", "min_score"):
        assert _message(api.get(f"/base/api/v1/leads?{name}={text}")).startswith(f"{name}: ")


@pytest.mark.parametrize(("text", "status"), [("5", 200), ("-5", 200), ("x", 400), ("5.5", 400)])
def test_a_composed_schema_admits_its_types_in_a_query(api: httpx.Client, text: str, status: int) -> None:
    assert api.get(f"/base/api/v1/leads?cursor={text}").status_code == status


@pytest.mark.parametrize(
    ("query", "field"), [("status=new&status=x", "status.1"), ("ids=1,x", "ids.1"), ("ids=1,2,3,4", "ids")]
)
def test_an_item_of_a_list_in_a_query_is_named_with_the_parameter(api: httpx.Client, query: str, field: str) -> None:
    assert _message(api.get(f"/base/api/v1/leads?{query}")).startswith(f"{field}: ")


PHOTO = "/base/api/v1/leads/7/photo"


def test_a_body_that_is_not_json_is_taken_as_the_document_says(api: httpx.Client) -> None:
    png = {"Content-Type": "image/png"}
    assert api.put(PHOTO, content=b"\x89PNG", headers=png).status_code == 204
    assert _message(api.put(PHOTO, headers=png)) == "body: is required"


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {"Content-Type": "image/jpeg"}])
def test_a_body_of_another_media_type_than_the_document_says_is_a_400(
    api: httpx.Client, headers: dict[str, str]
) -> None:
    assert _message(api.put(PHOTO, content=b"{}", headers=headers)) == "Content-Type: must be image/png"


def test_a_json_media_type_with_a_parameter_is_json(api: httpx.Client) -> None:
    answer = api.get(f"/base/api/v1/leads/{LEAD}")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json()["channel"] in ("slack", "email")


def test_an_answer_without_content_has_no_length(api: httpx.Client) -> None:
    answer = api.delete(f"/base/api/v1/leads/{LEAD}?verbose=true")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer.headers  # RFC 9110, 8.6


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/base/api/v1/leads", "GET, HEAD, POST"),
        ("POST", f"/base/api/v1/leads/{LEAD}", "DELETE, GET, HEAD, PATCH"),
        ("HEAD", f"/base/api/v1/leads/{LEAD}/handoff", "POST"),
        ("GET", "/base/api/v1/leads/7/photo", "PUT"),
        ("OPTIONS", "/base/status", "GET, HEAD"),
    ],
)
def test_another_method_is_told_all_that_are_allowed(api: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)


def test_head_is_get_without_its_content(api: httpx.Client) -> None:
    head, get = api.head("/base/status"), api.get("/base/status")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.content))


def _explained(client: httpx.Client, answer: httpx.Response) -> dict[str, str]:
    """What each step that was passed or that decided says of itself."""
    told = client.get(f"http://127.0.0.1:3000/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()
    return {step["step"]: step.get("detail", "") for step in told["explanation"]["steps"]}


def test_the_alternative_that_let_a_key_in_is_told(http: httpx.Client) -> None:
    answer = http.post(
        "/base/api/v1/leads",
        json={"name": "Ann", "channel": "slack"},
        headers={"Authorization": f"Bearer {KEYS['crm:write']}"},
    )
    assert answer.status_code == 201
    assert _explained(http, answer)["scope"] == "the key has crm:write"
