"""With one seed, a frozen clock and the same requests, two runs answer the same bytes."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from vorel_mock.mock import demo, snapshot
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App

#: Status, headers as they came, body.
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def _requests() -> Iterator[tuple[str, str, str, str]]:
    """Method, path, token, body: each operation, each tenant, each kind of refusal, and the control plane."""
    for tenant in range(1, 7):
        token = demo.token(tenant, 1, 1)
        for lead in (1, 2, 1):
            yield "POST", f"/api/v1/leads/{demo.lead_id(tenant, lead)}/handoff", token, '{"reason": "r"}'
        for object_ in ("contact", "lead", "deal", "case"):
            fields = '{"name": "n", "last_name": "l", "company": "c", "stage": "s", "subject": "s", "status": "1"}'
            record = f'{{"object": "{object_}", "fields": {fields}, "idempotency_key": "{object_}"}}'
            yield "POST", "/api/v1/crm/create-record", token, record
            yield "POST", "/api/v1/crm/create-record", token, record
    full = demo.token(1, 1, 1)
    yield "POST", "/api/v1/leads/none/handoff", full, ""
    yield "POST", "/api/v1/crm/create-record", full, "{"
    yield "POST", "/api/v1/crm/create-record", demo.token(1, 3, 1), ""
    yield "POST", "/api/v1/crm/create-record", "none", ""
    yield "GET", "/api/v1/crm/create-record", full, ""
    yield "GET", "/", full, ""
    for _ in range(22):  # over the limit
        yield "POST", f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff", demo.token(1, 2, 1), ""
    for path in ("health", "reserved-values", "contract.json", "openapi.json", "requests/none"):
        yield "GET", f"/_mock/{path}", full, ""


def _run(url: str) -> list[Answer]:
    with httpx.Client(base_url=url, trust_env=False) as client:
        answers = [
            client.request(method, path, headers={"Authorization": f"Bearer {token}"}, content=body)
            for method, path, token, body in _requests()
        ]
    return [(answer.status_code, answer.headers.raw, answer.content) for answer in answers]


def _app(seed: int, clock: str = "2026-11-23T06:51:00.250Z") -> App:
    return App(Mock(Settings(seed=seed, clock=clock, rate_limit=20)))


def test_two_servers_answer_the_same_bytes(serve: Callable[[App], str]) -> None:
    first, second = _run(serve(_app(7))), _run(serve(_app(7)))
    assert first == second
    assert {status for status, _, _ in first} == {200, 400, 401, 403, 404, 405, 429}
    dates = {value for _, headers, _ in first for name, value in headers if name.lower() == b"date"}
    assert dates == {b"Mon, 23 Nov 2026 06:51:00 GMT"}


#: The ids that an operation draws.
_DRAWN = re.compile(rb'"(handoff_id|external_id|record_url)":"[^"]*"')


def _told(answers: list[Answer]) -> list[Answer]:
    """The answers without the ids in them, and without their length, which is that of the ids."""
    return [
        (status, [h for h in headers if h[0].lower() != b"content-length"], _DRAWN.sub(rb"\1", body))
        for status, headers, body in answers
    ]


@pytest.mark.parametrize("body", [{}, {"all": True}])
def test_a_reset_begins_anew_and_repeats_no_id(serve: Callable[[App], str], body: Any) -> None:  # M16
    def run_twice(url: str) -> tuple[list[Answer], list[Answer]]:
        first = _run(url)
        assert httpx.post(f"{url}/_mock/reset", json=body, trust_env=False).status_code == 204
        return first, _run(url)

    one, other = run_twice(serve(_app(7))), run_twice(serve(_app(7)))
    assert one == other  # the same seed and the same sequence: the same ids
    first, again = one
    assert _told(first) == _told(again)
    drawn = [{found[0] for _, _, body in run for found in _DRAWN.finditer(body)} for run in one]
    assert len(drawn[0]) > 20
    assert not drawn[0] & drawn[1]


def test_another_seed_gives_other_ids(serve: Callable[[App], str]) -> None:
    first, second = _run(serve(_app(7))), _run(serve(_app(8)))
    assert [status for status, _, _ in first] == [status for status, _, _ in second]
    made = [
        (one, other)
        for (status, _, one), (_, _, other) in zip(first, second, strict=True)
        if status == 200 and one.startswith((b'{"handoff_id"', b'{"ok":true'))
    ]
    assert len(made) > 20
    assert [one for one, other in made if one == other] == []


def test_one_tenant_s_ids_do_not_depend_on_what_another_does(serve: Callable[[App], str]) -> None:
    def handoff(url: str, tenant: int) -> bytes:
        path, token = f"{url}/api/v1/leads/{demo.lead_id(tenant, 1)}/handoff", demo.token(tenant, 1, 1)
        return httpx.post(path, headers={"Authorization": f"Bearer {token}"}, trust_env=False).content

    alone, beside = serve(_app(7)), serve(_app(7))
    handoff(beside, 2)
    assert handoff(alone, 1) == handoff(beside, 1)


def test_a_snapshot_does_not_depend_on_the_order_of_a_set() -> None:
    # Which order a set has is another in each process.
    for tenant in Mock(Settings(seed=7)).store.tenants():
        for key in json.loads(snapshot.dump(tenant))["keys"]:
            assert key["scopes"] == sorted(key["scopes"])
