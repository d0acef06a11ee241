"""The body of a request: what is read as JSON, and what is a 400 that says why."""

import httpx
import pytest

CREATE = "/api/v1/crm/create-record"


def _contact(value: str) -> bytes:
    """A record with `value`, as it is written, in one of its fields."""
    return b'{"object":"contact","idempotency_key":"k","fields":{"email":"a@example.com","x":%s}}' % value.encode()


@pytest.mark.parametrize("digits", [4_301, 100_000])
def test_an_integer_too_long_to_be_read_is_a_400(api: httpx.Client, digits: int) -> None:
    answer = api.post(CREATE, content=_contact("9" * digits))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("body: ")
