"""A larger document of the same API: what it says is followed, and what has no handler answers from its schema."""

from pathlib import Path

import httpx
import pytest

from vorel_mock import demo
from vorel_mock.settings import Settings

LARGER = Path(__file__).parent / "data" / "larger.yaml"
LEAD = demo.lead_id(1, 1)


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
