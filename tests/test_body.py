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


@pytest.mark.parametrize("innermost", ["", "1"])
@pytest.mark.parametrize(("levels", "status"), [(127, 200), (128, 200), (129, 400), (100_000, 400)])
def test_a_body_nests_128_levels_at_most(api: httpx.Client, levels: int, status: int, innermost: str) -> None:
    lists = levels - 2  # the body itself and `fields` are the outermost two
    answer = api.post(CREATE, content=_contact("[" * lists + innermost + "]" * lists))
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["message"] == "body: nests deeper than 128 levels"


def test_brackets_in_a_string_are_no_nesting(api: httpx.Client) -> None:
    assert api.post(CREATE, content=_contact('"' + "[{" * 1000 + '"')).json()["ok"] is True
