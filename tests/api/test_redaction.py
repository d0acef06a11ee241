"""A key never appears again: not in the journal, not in a log line, not in an answer, however it was written."""

import base64
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from vorel_mock.api.messages import Exchange, Request
from vorel_mock.control.handlers import journal as handlers
from vorel_mock.mock import demo
from vorel_mock.mock.journal.access_log import MAX_SHOWN, json_line, text_line
from vorel_mock.mock.journal.explain import explain
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.model.redaction import redact
from vorel_mock.server.app import App

#: A key of another tenant than the client's, so that it is nowhere expected.
KEY = demo.token(2, 1, 1)
HANDOFF = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
CREATE = "/api/v1/crm/create-record"


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))


@pytest.fixture(scope="module")
def app(mock: Mock) -> App:
    return App(mock)


def _percent(text: str) -> str:
    return "".join(f"%{ord(c):02X}" for c in text)


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" for c in text)


WRITTEN = {
    "plain": KEY,
    "upper case": KEY.upper(),
    "percent": _percent(KEY),
    "percent twice": _percent(_percent(KEY)),
    "partly percent": KEY.replace("_", "%5f"),
    "escaped": _escaped(KEY),
}
PLACES: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "path": lambda c, k: c.post(f"/api/v1/leads/{k}/handoff"),
    "undeclared path": lambda c, k: c.post(f"/{k}"),
    "query": lambda c, k: c.post(f"{HANDOFF}?key={k}&b=100%25"),
    "header": lambda c, k: c.post(HANDOFF, headers={"X-Api-Key": k, "Cookie": f"key={k}"}),
    "Authorization": lambda c, k: c.post(HANDOFF, headers={"Authorization": f"Bearer {k}x"}),
    "Authorization alone": lambda c, k: c.post(HANDOFF, headers={"Authorization": k}),
    "Basic": lambda c, k: c.post(HANDOFF, auth=("user", k)),
    "body": lambda c, k: c.post(HANDOFF, content=f'{{"reason": "{k}"}}'),
    "name in a body": lambda c, k: c.post(CREATE, content=f'{{"object": "{k}", "fields": {{"{k}": []}}, "{k}": 1}}'),
    "soft failure": lambda c, k: c.post(
        CREATE, content=f'{{"object": "contact", "idempotency_key": "k", "fields": {{"{k}": 1, "email": "{k}"}}}}'
    ),
    "broken body": lambda c, k: c.post(HANDOFF, content=f'{{"{k}": '),
}


def _shows(text: str) -> bool:
    """Whether a reader of `text` can tell the key, in one of the ways in which it was written."""
    basic = base64.b64encode(f"user:{KEY}".encode()).decode()
    forms = [*WRITTEN.values(), basic, KEY[-24:], KEY[-24:].upper()]
    return any(form in text or json.dumps(form)[1:-1] in text for form in forms)


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("place", PLACES)
def test_a_key_never_appears_again(api: httpx.Client, mock: Mock, place: str, written: str) -> None:
    answer = PLACES[place](api, WRITTEN[written])
    number = answer.headers["X-Mock-Request-Id"]
    exchange = mock.journal.get(number)
    assert exchange is not None
    told = api.get(f"/_mock/requests/{number}")
    assert told.status_code == 200
    shown = [
        answer.text,
        told.text,
        text_line(exchange),
        json_line(exchange),
        repr(exchange.key),
        repr(exchange.tenant),
    ]
    assert [text for text in shown if _shows(text)] == []
    assert api.headers["Authorization"].split()[1] not in told.text


def test_a_credential_of_no_known_shape_is_redacted_by_value(http: httpx.Client) -> None:
    secret = "hunter2-is-long-enough"
    answer = http.post(
        f"{HANDOFF}?token={secret}", headers={"Authorization": f"Bearer {secret}"}, json={"reason": f"I am {secret}!"}
    )
    told = http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}")
    assert told.json()["request"]["body"] == '{"reason":"I am [redacted]!"}'
    assert secret not in told.text


@pytest.mark.parametrize("text", ["", "100%", "%zz%41", "a\\u0041b", "vapk_live_", "vapk_live_<48 hex>", "%76apk"])
def test_what_holds_no_key_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_escapes_without_end_are_not_followed_to_it() -> None:
    endless = f"%{'25' * 100_000}41"
    assert redact(endless) == endless


MISTAKES = ["undefined", "null", "None", "[object Object]", "your-api-key", "${VOREL_API_KEY}", "{{ $json.key }}", "x"]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_has_not_the_shape_of_a_key_stays_visible(http: httpx.Client, mistake: str) -> None:
    """M17: the commonest mistakes were made invisible, in the path too."""
    answer = http.post("/api/v1/leads/undefined/handoff", headers={"Authorization": f"Bearer {mistake}"})
    told = http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}").json()["request"]
    assert told["path"] == "/api/v1/leads/undefined/handoff"
    assert ["authorization", f"Bearer {mistake}"] in told["headers"]


def test_a_key_in_other_headers_and_without_its_prefix(api: httpx.Client, mock: Mock) -> None:
    """M32: base64 of a proxy's credentials, and the digits of the client's own key."""
    own = api.headers["Authorization"].split()[1]
    digits = own.rpartition("_")[2]
    basic = base64.b64encode(f"user:{own}".encode()).decode()
    answer = api.post(
        f"/api/v1/leads/{digits}/handoff",
        headers={"Proxy-Authorization": f"Basic {basic}", "X-Digits": digits},
        json={"a": digits},
    )
    number = answer.headers["X-Mock-Request-Id"]
    exchange = mock.journal.get(number)
    assert exchange is not None
    told = api.get(f"/_mock/requests/{number}").text + text_line(exchange) + json_line(exchange)
    assert basic not in told
    assert digits not in told


def test_a_secret_by_value_in_any_spelling(http: httpx.Client) -> None:
    """M31: a control token, or a key of another shape, in a URL."""
    secret = "hunter2-is-long-enough"
    for spelt in (secret, _percent(secret), f"%68{secret[1:]}", _percent(_percent(secret))):
        answer = http.post(f"{HANDOFF}?a=100%25&b={spelt}", headers={"Authorization": f"Bearer {secret}"})
        told = http.get(f"/_mock/requests/{answer.headers['X-Mock-Request-Id']}")
        assert told.json()["request"]["query"].endswith("&b=[redacted]")


def test_a_key_in_what_the_tenant_keeps_is_not_listed(api: httpx.Client, mock: Mock) -> None:
    """M32: in audit log, handoffs, CRM records and deliveries."""
    tenant = f"/_mock/tenants/{next(iter(mock.store.tenants())).id}"
    webhook = {"target_url": f"http://127.0.0.1:1/{KEY}?token={KEY}", "events": ["conversation.handoff_requested"]}
    api.post(f"{tenant}/webhooks", json=webhook).raise_for_status()
    api.post(HANDOFF, json={"reason": KEY, "summary": _percent(KEY)}).raise_for_status()
    fields = {"email": "ann@example.com", "note": KEY, KEY: 1}
    api.post(CREATE, json={"object": "contact", "fields": fields, "idempotency_key": "m32"}).raise_for_status()
    api.post(f"{tenant}/clock", json={"advance": "1h"}).raise_for_status()  # all attempts to deliver are made
    for what in ("handoffs", "audit-log", "crm-records", "deliveries"):
        told = api.get(f"{tenant}/{what}").text
        assert "[redacted]" in told
        assert not _shows(told)


# M25: what a client sends decides no cost, neither of its line in the log nor of a look at it.

WORDS = b" ".join(b"word%04d" % number for number in range(3_500))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "words": (WORDS, HANDOFF),
    "Bearer and words": (b"Bearer " + WORDS, HANDOFF),
    "a long path": (b"Bearer none", f"/{'p' * 60_000}"),
    "a path of escapes": (b"Bearer none", f"/{'%2525' * 12_000}"),
    "a path of keys": (b"Bearer none", f"/{'vapk_live_0123456789ab' * 2_700}"),
}


def _line_seconds(mock: Mock, authorization: bytes, path: str) -> tuple[float, str]:
    """Processor time of a line in the log, and the line."""
    headers = [(b"authorization", authorization)]
    mock.answer(Request("POST", path.encode(), path, b"", headers, dict(headers), b"{}"))
    (exchange,) = mock.journal.latest(1)
    started = time.thread_time()
    line = json_line(exchange) + text_line(exchange)
    return time.thread_time() - started, line


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_line_of_a_hostile_request_costs_no_more_than_some_others(mock: Mock, kind: str) -> None:
    """M25: 44 ms for a header of 30 KiB. A path is cut off in the log; the journal has all of it."""
    usual = min(_line_seconds(mock, b"Bearer none", HANDOFF)[0] for _ in range(5))
    hostile, line = min(_line_seconds(mock, *HOSTILE[kind]) for _ in range(5))
    assert hostile < 40 * usual
    assert len(line) < 5_000


def test_a_key_where_a_long_path_is_cut_off_is_redacted(http: httpx.Client, mock: Mock) -> None:
    for length in range(MAX_SHOWN - 70, MAX_SHOWN + 10, 7):
        for secret in (KEY, _percent(KEY), "hunter2-is-long-enough"):
            answer = http.post(f"/{'p' * length}{secret}/{'q' * 2_000}", headers={"Authorization": f"Bearer {secret}"})
            exchange = mock.journal.get(answer.headers["X-Mock-Request-Id"])
            assert exchange is not None
            for line in (text_line(exchange), json_line(exchange)):
                assert not _shows(line)
                assert "hunter2" not in line


def _is_free(mock: Mock) -> bool:
    """Whether this thread gets the mock's lock."""
    if not mock.lock.acquire(timeout=5):
        return False
    mock.lock.release()
    return True


LOOKS = ["requests/{id}", "requests?limit=1", "requests.har?limit=1", "requests?contains=a&limit=1"]


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_at_a_large_body_is_short_and_keeps_nobody_waiting(
    api: httpx.Client, mock: Mock, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """M25: 4.3 s with the lock held, for a body of 1 MB and a header of words."""
    body = json.dumps({"reason": "a", "x": "b" * 1_000_000})
    number = api.post(HANDOFF, content=body, headers={"Authorization": WORDS.decode()}).headers["X-Mock-Request-Id"]
    took: list[float] = []

    def explained(exchange: Exchange, also: Iterable[str] = ()) -> Any:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(_is_free, mock).result()
        started = time.thread_time()
        told = explain(exchange, also)
        took.append(time.thread_time() - started)
        return told

    monkeypatch.setattr(handlers, "explain", explained)
    answer = api.get(f"/_mock/{look.format(id=number)}")
    assert answer.status_code == 200
    assert "b" * 1_000_000 in answer.text
    assert min(took) < 1
