"""401 for whatever is not a key of a tenant, without telling which; and a key counts in one header only."""

import httpx
import pytest

from vorel_mock.mock import demo
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

PATH = f"/api/v1/leads/{demo.lead_id(1, 1)}/handoff"
KEY = demo.token(1, 1, 1)
REVOKED = demo.token(1, 6, 1)
PREFIX = KEY[:22]  # what the look-up goes by
UNKNOWN = "vapk_live_" + "0123456789ab" * 4


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock(Settings(seed=1, clock="frozen", rate_limit=0, tenant_rate_limit=0))


@pytest.fixture(scope="module")
def app(mock: Mock) -> App:
    return App(mock)


REFUSED = {
    "nothing": "",
    "space": " ",
    "scheme alone": "Bearer",
    "scheme and space": "Bearer ",
    "scheme and spaces": "Bearer    ",
    "no scheme": KEY,
    "no space": f"Bearer{KEY}",
    "tab": f"Bearer\t{KEY}",
    "colon": f"Bearer: {KEY}",
    "comma": f"Bearer, {KEY}",
    "quoted": f'Bearer "{KEY}"',
    "angle brackets": f"Bearer <{KEY}>",
    "scheme twice": f"Bearer Bearer {KEY}",
    "two keys": f"Bearer {KEY} {KEY}",
    "two keys with comma": f"Bearer {KEY},{KEY}",
    "parameter": f"Bearer token={KEY}",
    "Basic": f"Basic {KEY}",
    "Basic with a pair": httpx.BasicAuth("user", KEY)._auth_header,
    "Token": f"Token {KEY}",
    "Digest": f"Digest {KEY}",
    "ApiKey": f"ApiKey {KEY}",
    "one digit less": f"Bearer {KEY[:-1]}",
    "one digit more": f"Bearer {KEY}0",
    "60 characters": f"Bearer {KEY}00",
    "no hex": f"Bearer {KEY[:-1]}g",
    "upper-case hex": f"Bearer vapk_live_{KEY[10:].upper()}",
    "upper case": f"Bearer {KEY.upper()}",
    "upper-case brand": f"Bearer VAPK{KEY[4:]}",
    "no environment": f"Bearer vapk_{KEY[10:]}",
    "empty environment": f"Bearer vapk__{KEY[10:]}",
    "environment with a digit": f"Bearer vapk_live1_{KEY[10:]}",
    "other brand": f"Bearer sk{KEY[4:]}",
    "dashes": f"Bearer {KEY.replace('_', '-')}",
    "line break at the end": f"Bearer {KEY}\\n",
    "no-break space at the end": f"Bearer {KEY}\xa0",
    "zero byte of percent": f"Bearer {KEY}%00",
    "latin": f"Bearer {KEY[:-1]}é",
    "superscript digit": f"Bearer {KEY[:-1]}\xb2",
    "very long": f"Bearer {KEY * 1000}",
    "prefix alone": f"Bearer {PREFIX}",
    "placeholder": "Bearer $VOREL_API_KEY",
    "null": "Bearer null",
    "unknown": f"Bearer {UNKNOWN}",
    "unknown of another environment": f"Bearer vapk_test_{KEY[10:]}",
    "equal prefix, zero tail": f"Bearer {PREFIX}{'0' * 36}",
    "equal prefix, last digit off": f"Bearer {KEY[:-1]}{'0' if KEY[-1] != '0' else '1'}",
    "other prefix, equal tail": f"Bearer vapk_live_{'0' * 12}{KEY[22:]}",
    "revoked": f"Bearer {REVOKED}",
}


def _without(headers: httpx.Headers, *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


@pytest.fixture(scope="module")
def missing(app: App) -> httpx.Response:
    """The answer to no Authorization header at all."""
    with httpx.Client(transport=MockTransport(app), base_url="http://127.0.0.1:3000") as client:
        return client.post(PATH)


def test_a_missing_key_is_a_401(missing: httpx.Response, mock: Mock) -> None:
    assert missing.status_code == 401
    assert missing.json()["error"]["code"] == "unauthorized"
    assert missing.json()["error"]["message"] == mock.contract.at("#/components/responses/Unauthorized/description")
    assert missing.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("shape", REFUSED)
def test_every_other_credential_answers_as_a_missing_one(
    http: httpx.Client, missing: httpx.Response, shape: str
) -> None:
    answer = http.post(PATH, headers=[(b"Authorization", REFUSED[shape].encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.content == missing.content
    assert _without(answer.headers, "x-mock-request-id") == _without(missing.headers, "x-mock-request-id")


@pytest.mark.parametrize(
    "place",
    [
        {"params": {"api_key": KEY, "access_token": KEY, "Authorization": f"Bearer {KEY}"}},
        {"headers": {"X-Api-Key": KEY}},
        {"headers": {"Api-Key": KEY, "Proxy-Authorization": f"Bearer {KEY}"}},
        {"headers": {"Cookie": f"Authorization=Bearer {KEY}; api_key={KEY}; BearerAuth={KEY}"}},
        {"json": {"Authorization": f"Bearer {KEY}", "api_key": KEY}},
        {"auth": ("user", KEY)},
        {"auth": (KEY, "")},
    ],
    ids=["query", "X-Api-Key", "other headers", "cookie", "body", "Basic password", "Basic user"],
)
def test_a_key_elsewhere_is_no_key(http: httpx.Client, missing: httpx.Response, place: dict[str, object]) -> None:
    answer = http.post(PATH, **place)  # type: ignore[arg-type]  # a table of keyword arguments
    assert (answer.status_code, answer.content) == (401, missing.content)


@pytest.mark.parametrize("second", [KEY, UNKNOWN])
def test_two_authorization_headers_are_none(http: httpx.Client, second: str) -> None:
    headers = [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {second}")]
    assert http.post(PATH, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "value",
    [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER {KEY}", f"bEaReR {KEY}", f"Bearer   {KEY}", f"Bearer {KEY} "],
    ids=["Bearer", "lower case", "upper case", "mixed case", "spaces", "trailing space"],
)
def test_the_word_bearer_in_any_case(http: httpx.Client, value: str) -> None:
    assert http.post(PATH, headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize("name", ["authorization", "AUTHORIZATION", "aUTHORIZATION"])
def test_the_name_of_the_header_in_any_case(http: httpx.Client, name: str) -> None:
    assert http.post(PATH, headers={name: f"Bearer {KEY}"}).status_code == 200


def test_the_journal_tells_what_the_answer_does_not(http: httpx.Client, mock: Mock) -> None:
    reasons = {}
    for shape in ("Basic", "no hex", "unknown", "revoked"):
        answer = http.post(PATH, headers={"Authorization": REFUSED[shape]})
        exchange = mock.journal.get(answer.headers["X-Mock-Request-Id"])
        assert exchange is not None
        reasons[shape] = exchange.reason
    assert len(set(reasons.values())) == len(reasons)
    assert "revoked" in reasons["revoked"]


def test_every_key_of_the_demo_world_but_the_revoked_one_authenticates(http: httpx.Client) -> None:
    keys = http.get("/_mock/target").json()["keys"]
    statuses = {
        token: http.post(PATH, headers={"Authorization": f"Bearer {token}"}).status_code
        for tokens in keys.values()
        for token in ([tokens] if isinstance(tokens, str) else tokens)
    }
    assert statuses.pop(keys["revoked"]) == 401
    assert statuses.pop(keys["read_only"]) == statuses.pop(keys["crm_only"]) == 403
    assert statuses.pop(keys["other_tenant"]) == 404  # the lead is not its own
    assert set(statuses.values()) == {200}
    assert len(statuses) == 40 + 4 + 1
