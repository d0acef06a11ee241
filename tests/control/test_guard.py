"""The door of the control plane: who may come in, and from where."""

import base64
import contextlib
import io
from collections.abc import Iterator

import click
import httpx
import pytest

from vorel_mock.cli.serve import _greet, _greet_briefly, serve
from vorel_mock.mock.journal.access_log import AccessLog
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import SettingError, Settings
from vorel_mock.server.app import App
from vorel_mock.testing.transport import MockTransport

BASE = "http://127.0.0.1:3000"
EVIL = "http://evil.example"


@contextlib.contextmanager
def serving(settings: Settings, base_url: str = BASE) -> Iterator[httpx.Client]:
    with httpx.Client(transport=MockTransport(App(Mock(settings))), base_url=base_url) as client:
        yield client


@pytest.fixture(scope="module")
def plain() -> Iterator[httpx.Client]:
    """A mock on loopback."""
    with serving(Settings(seed=1, clock="frozen")) as client:
        yield client


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[httpx.Client]:
    """A mock that listens everywhere, and asks for a token."""
    with serving(Settings(seed=1, clock="frozen", host="0.0.0.0", control_token="open-sesame"), EVIL) as client:
        yield client


def refused(answer: httpx.Response, status: int, begins: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"].startswith(begins)
    assert answer.json()["error"]["code"] == {400: "bad_request", 401: "unauthorized", 403: "forbidden"}[status]
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "date" in answer.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8:3000", "localhost", "LOCALHOST:1", "localhost.", "[::1]:3000"]
)
def test_this_machine_is_let_in_by_all_its_names(plain: httpx.Client, host: str) -> None:
    assert plain.get("/_mock/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:3000",
        "192.168.0.1",
        "0.0.0.0",
        "",
        "[",
        "a@b:c",
        "evil.example@localhost",
        "localhost/evil.example",
        "localhost?evil.example",
        "localhost#evil.example",
        "localhost:3000:80",
        "localhost:x",
        "127.0.0.1, evil.example",
        "[::1",
        "::1",
        "[localhost]",
        "localhost..",
    ],
)
@pytest.mark.parametrize("path", ["/_mock/health", "/_mock/docs/", "/_mock/nothing"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(plain: httpx.Client, host: str, path: str) -> None:
    refused(plain.get(path, headers={"Host": host}), 403, "Host: ")


@pytest.mark.parametrize("name", ["Host", "Origin", "Sec-Fetch-Site", "Authorization", "Content-Type"])
def test_a_header_that_decides_stands_once(plain: httpx.Client, name: str) -> None:
    same = {"Host": "127.0.0.1:3000", "Origin": BASE, "Content-Type": "application/json"}.get(name, "none")
    answer = plain.post("/_mock/reset", headers=[(name, same), (name, same)])
    refused(answer, 400, f"{name}: is there 2 times; send it once")


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:3001", "http://127.0.0.1", "http://[", "", "x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_page_of_another_origin_is_refused(plain: httpx.Client, origin: str, method: str) -> None:
    refused(plain.request(method, "/_mock/tenants", headers={"Origin": origin}), 403, "Origin: ")


def test_the_mock_s_own_page_is_let_in(plain: httpx.Client) -> None:
    headers = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert plain.post("/_mock/tenants", headers=headers).status_code == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_a_write_from_another_site_is_refused(plain: httpx.Client, site: str) -> None:
    refused(plain.post("/_mock/reset", headers={"Sec-Fetch-Site": site}), 403, "Sec-Fetch-Site: ")


def test_a_link_to_the_documentation_may_be_followed(plain: httpx.Client) -> None:
    for path in ("/_mock/docs/", "/_mock/docs/swagger-ui.css", "/_mock/contract.json", "/_mock/openapi.json"):
        navigation = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert plain.get(path, headers=navigation).status_code == 200


@pytest.mark.parametrize(
    "media_type",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""],
)
@pytest.mark.parametrize("content", [b"", b"{}", b"all=true"])
def test_a_form_is_refused_even_when_it_is_empty(plain: httpx.Client, media_type: str, content: bytes) -> None:
    headers = {"Content-Type": media_type}
    refused(plain.post("/_mock/reset", content=content, headers=headers), 400, "Content-Type: must be application/json")


def test_a_body_of_no_type_is_refused(plain: httpx.Client) -> None:
    refused(plain.post("/_mock/reset", content=b"{}"), 400, "Content-Type: ")


def test_a_preflight_is_refused(plain: httpx.Client) -> None:
    headers = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    refused(plain.options("/_mock/reset", headers=headers), 403, "Origin: ")


def test_the_api_is_not_guarded(plain: httpx.Client, lead: str, key: str) -> None:
    """M34: containers and proxies call it by other names."""
    headers = {"Host": "evil.example", "Origin": EVIL, "Authorization": f"Bearer {key}"}
    answer = plain.post(f"/api/v1/leads/{lead}/handoff", headers=headers)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


# -- beyond loopback


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "credentials",
    ["Bearer open-sesame", "bearer   open-sesame ", basic("anybody:open-sesame"), basic(":open-sesame")],
)
def test_the_token_opens(open_to_all: httpx.Client, credentials: str) -> None:
    headers = {"Authorization": credentials}
    for path in ("/_mock/health", "/_mock/docs/", "/_mock/tenants"):
        assert open_to_all.get(path, headers=headers).status_code == 200
    assert open_to_all.post("/_mock/tenants", headers=headers).status_code == 201


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer open",
        "Bearer open-sesame!",
        "open-sesame",
        "Digest open-sesame",
        basic("open-sesame"),
        basic("open-sesame:"),
        basic("a:b:open-sesame"),
        "Basic ###",
        "Basic /w==",
        "Bearer " + "x" * 50_000,
        "Bearer \u00e9",
    ],
)
@pytest.mark.parametrize("path", ["/_mock/health", "/_mock/docs/", "/_mock/tenants", "/_mock/nothing"])
def test_nothing_else_does(open_to_all: httpx.Client, credentials: str | None, path: str) -> None:
    headers = {} if credentials is None else {b"Authorization": credentials.encode("latin-1")}
    answer = open_to_all.get(path, headers=headers)
    refused(answer, 401, "Authorization: ")
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert "sesame" not in answer.text


def test_a_page_of_another_origin_is_refused_with_the_token_too(open_to_all: httpx.Client) -> None:
    headers = {"Authorization": "Bearer open-sesame", "Origin": "http://other.example"}
    refused(open_to_all.get("/_mock/tenants", headers=headers), 403, "Origin: ")


def test_the_api_asks_for_no_token(open_to_all: httpx.Client, lead: str, key: str) -> None:
    answer = open_to_all.post(f"/api/v1/leads/{lead}/handoff", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", ""])
def test_a_mock_that_is_reachable_from_elsewhere_is_never_without_a_token(host: str) -> None:
    settings = Settings(seed=1, clock="frozen", host=host)
    one, two = Mock(settings).control_token, Mock(settings).control_token
    assert one is not None
    assert two is not None
    assert len(one) >= 32
    assert one != two  # the seed is told to whoever asks


def test_a_token_on_loopback_is_asked_for() -> None:
    with serving(Settings(seed=1, clock="frozen", control_token="test-token")) as client:
        refused(client.get("/_mock/health"), 401, "Authorization: is required; this mock has a control token; send it")
        wrong = client.get("/_mock/health", headers={"Authorization": "Bearer text-token"})
        refused(wrong, 401, "Authorization: is not the control token of this mock; send it as Bearer")
        assert client.get("/_mock/health", headers={"Authorization": "Bearer test-token"}).status_code == 200


def test_the_generated_token_is_printed_once_and_told_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    mock = Mock(Settings(seed=1, clock="frozen", host="0.0.0.0"))
    token = mock.control_token
    assert token is not None
    said = io.StringIO()
    log = AccessLog(off=True)
    monkeypatch.setattr(log, "say", lambda text, **members: print(text, file=said))
    monkeypatch.setattr(log, "show_secret", lambda token: print(token, file=said))
    _greet(click.Context(serve), log, mock, BASE)
    assert said.getvalue().count(token) == 1
    with httpx.Client(transport=MockTransport(App(mock)), base_url=BASE) as client:
        headers = {"Authorization": f"Bearer {token}"}
        client.post("/api/v1/crm/create-record", headers=headers)  # sent to the wrong door
        for path in ("/_mock/health", "/_mock/target", "/_mock/tenants", "/_mock/requests", "/_mock/requests.har"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200
            assert token not in answer.text


def test_a_token_that_was_given_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """M31: not in the greeting, and not where somebody sends it in a URL."""
    token, encoded = "open/sesame-1", "%6fpen%2Fsesame%2d1"
    mock = Mock(Settings(seed=1, clock="frozen", control_token=token))
    said = io.StringIO()
    log = mock.log
    monkeypatch.setattr(log, "_put", lambda line: print(line, file=said))
    monkeypatch.setattr(log, "_running", True)
    _greet(click.Context(serve), log, mock, BASE)
    assert "needs the control token" in said.getvalue()
    with httpx.Client(transport=MockTransport(App(mock)), base_url=BASE) as client:
        client.post(f"/{token}?token={token}", headers={"X-Token": token}, content=f'"{token}"')
        client.post(f"/{encoded}?token={encoded}")
        headers = {"Authorization": f"Bearer {token}"}
        client.post("/api/v1/crm/create-record", headers=headers, json={"x": token})
        for path in ("/_mock/requests", "/_mock/requests.har", "/_mock/requests/req_00000001"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200
            assert token not in answer.text
            assert encoded not in answer.text
            assert "[redacted]" in answer.text
    assert said.getvalue().count("POST /[redacted] 404") == 2
    assert token not in said.getvalue()


@pytest.mark.parametrize("token", ["x", "1234567"])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    """M31."""
    with pytest.raises(ValueError, match="control_token: is too short to be a secret; use at least 8 characters"):
        Settings(control_token=token)


# -- pages of origins that were allowed


@pytest.fixture(scope="module")
def shared_across() -> Iterator[httpx.Client]:
    with serving(Settings(seed=1, clock="frozen", cors_origins=("http://app.example",))) as client:
        yield client


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def test_an_allowed_origin_may_call_the_api(shared_across: httpx.Client, lead: str, key: str) -> None:
    path, origin = f"/api/v1/leads/{lead}/handoff", {"Origin": "http://app.example"}
    preflight = shared_across.options(path, headers={**origin, **PREFLIGHT})
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "http://app.example"
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    answer = shared_across.post(path, headers={**origin, "Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "http://app.example"


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://app.example.evil", "https://app.example", "http://app.example:1"]
)
def test_another_origin_may_not(shared_across: httpx.Client, lead: str, key: str, origin: str) -> None:
    path = f"/api/v1/leads/{lead}/handoff"
    preflight = shared_across.options(path, headers={"Origin": origin, **PREFLIGHT})
    answer = shared_across.post(path, headers={"Origin": origin, "Authorization": f"Bearer {key}"})
    refused(preflight, 400, f"Origin: pages of {origin} may not")
    for one in (preflight, answer):
        assert "Access-Control-Allow-Origin" not in one.headers


def test_an_allowed_origin_may_not_call_the_control_plane(shared_across: httpx.Client) -> None:
    origin = {"Origin": "http://app.example"}
    refused(shared_across.options("/_mock/reset", headers={**origin, **PREFLIGHT}), 403, "Origin: ")
    refused(shared_across.post("/_mock/reset", headers=origin), 403, "Origin: ")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "websocket", None])
@pytest.mark.parametrize("path", ["/_mock/requests.har?limit=10000", "/_mock/docs/", "/_mock/health"])
def test_another_site_embeds_and_fetches_nothing(plain: httpx.Client, site: str, mode: str | None, path: str) -> None:
    """M33: an image of a page elsewhere made the mock write a HAR of its whole journal."""
    headers = {"Sec-Fetch-Site": site, **({} if mode is None else {"Sec-Fetch-Mode": mode})}
    refused(plain.get(path, headers=headers), 403, "Sec-Fetch-Site: ")


@pytest.mark.parametrize("frame", ["iframe", "frame", "embed", "object"])
def test_another_site_frames_nothing(plain: httpx.Client, frame: str) -> None:
    """M33: a browser that does not show a frame has still asked for what is in it."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": frame}
    refused(plain.get("/_mock/requests.har?limit=10000", headers=headers), 403, "Sec-Fetch-Site: ")


@pytest.mark.parametrize(
    "path", ["/_mock/health", "/_mock/docs/", "/_mock/target", "/_mock/none", "/_mock/requests.har"]
)
def test_nothing_is_framed_sniffed_or_kept(plain: httpx.Client, path: str) -> None:
    """M33."""
    headers = plain.get(path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "no-store" in headers["Cache-Control"] or path == "/_mock/docs/"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/_mock/healt", "Nothing is at this path; did you mean /_mock/health? /_mock/docs/ lists what there is."),
        ("/_mock/tenant", "did you mean /_mock/tenants?"),
        ("/_mock/xyzzy", "Nothing is at this path. /_mock/docs/ lists what there is."),
        ("/_mock/docs/none.css", "/_mock/docs/ lists what there is."),
    ],
)
def test_a_path_at_which_nothing_is_says_where_to_go(plain: httpx.Client, path: str, said: str) -> None:
    """M40."""
    answer = plain.get(path, headers={"Accept": "text/html"})
    assert said in answer.json()["error"]["message"]
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/_mock", "/"])
def test_the_root_of_the_control_plane_leads_to_its_pages(plain: httpx.Client, path: str) -> None:
    """M40."""
    answer = plain.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (307, "/_mock/")
    assert plain.get(path, headers={"Accept": "text/html"}, follow_redirects=True).status_code == 200


@pytest.fixture(scope="module")
def trusting() -> Iterator[httpx.Client]:
    """A mock that listens everywhere, and asks for nothing."""
    with serving(Settings(seed=1, clock="frozen", host="0.0.0.0", trust_network=True), "http://mock:3000") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        "mock:3000",
        "192.168.0.7:3000",
        "[fd00::7]:3000",
        "127.0.0.1",
        "localhost",
        "mock.local",
        "host.docker.internal:1",
    ],
)
def test_a_trusted_network_needs_no_token(trusting: httpx.Client, host: str) -> None:
    assert trusting.get("/_mock/target", headers={"Host": host}).json()["keys"]["full"]
    assert trusting.post("/_mock/tenants", headers={"Host": host}, json={}).status_code == 201


@pytest.mark.parametrize(
    "host", ["evil.example", "1.2.3.4.evil.example", "mock.internal.example", "", "2130706433", "a b"]
)
def test_a_name_of_the_internet_is_refused_on_a_trusted_network_too(trusting: httpx.Client, host: str) -> None:
    refused(trusting.get("/_mock/target", headers={"Host": host}), 403, "Host: use an address, a name without a dot")


def test_a_page_of_another_origin_is_refused_on_a_trusted_network_too(trusting: httpx.Client) -> None:
    refused(trusting.get("/_mock/target", headers={"Origin": EVIL}), 403, "Origin")
    refused(trusting.post("/_mock/reset", headers={"Sec-Fetch-Site": "cross-site"}), 403, "Sec-Fetch-Site")


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_trusted_network_is_told_at_the_start(quiet: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with serve.make_context("vorel-mock", ["--trust-network", "--port", "0", *quiet]) as ctx:
        mock = Mock(Settings(**ctx.params))
        said = []
        log = AccessLog(off=True)
        monkeypatch.setattr(log, "say", lambda text, **members: said.append(text))
        (_greet_briefly(log, mock, BASE) if quiet else _greet(ctx, log, mock, BASE))
    assert any(f"Warning: TRUSTED NETWORK: whoever reaches {BASE} may read every key" in text for text in said)


def test_a_token_on_a_trusted_network_is_refused() -> None:
    with pytest.raises(SettingError, match="trust_network: there is a control token, too; use one of them"):
        Settings(trust_network=True, control_token="open-sesame")
    with pytest.raises(TypeError, match="trust_network: must be True or False"):
        Settings(trust_network="yes")  # type: ignore[arg-type]  # as a test may do
