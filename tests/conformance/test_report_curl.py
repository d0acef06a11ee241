"""A curl line, pasted into bash, sends exactly the request."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vorel_conformance.http.placeholders import resolve
from vorel_conformance.http.target import Target
from vorel_conformance.report.curl import changed_key, curl_line

KEY = "vapk_live_" + "0123456789ab" * 4

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


class Echo:
    """A server that keeps the last request: method, path, header pairs, body."""

    def __init__(self) -> None:
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                echo.last = (self.command, self.path, self.headers.items(), body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.last: tuple[str, str, list[tuple[str, str]], bytes] | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo = Echo()
    thread = threading.Thread(target=echo.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield echo
    echo.server.shutdown()
    thread.join()
    echo.server.server_close()


def paste(line: str, echo: Echo) -> tuple[str, str, dict[str, str], bytes]:
    echo.last = None
    done = subprocess.run(
        ["bash"],
        input=line.encode() + b"\n",
        env={"PATH": os.environ["PATH"], "VOREL_API_KEY": KEY, "LC_ALL": "C", "NO_PROXY": "*"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, (line, done.stderr)
    assert echo.last is not None
    method, path, headers, body = echo.last
    return method, path, {name.lower(): value for name, value in headers}, body


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
@example(body=bytes(range(256)))
@example(body=bytes(range(1, 256)))
@example(body=b'it\'s "$HOME" `id` $(id) !! \\ \n%s%d %% \\x41')
@example(body=b"-n @file \x00 -e")
@example(body=b"$VOREL_API_KEYs and ${VOREL_API_KEY}"[15:])
@example(body="\U0001f600 \u202e \ud7ff é".encode())
@example(body=b"")
def test_any_body(echo: Echo, body: bytes) -> None:
    line = curl_line("POST", f"{echo.url}/x", [("Content-Type", "application/json")], body)
    assert line.isprintable()  # one line, no control characters
    method, path, headers, received = paste(line, echo)
    assert (method, path, received) == ("POST", "/x", body)
    assert headers["content-type"] == "application/json"


def test_a_body_above_what_an_argument_holds(echo: Echo) -> None:
    body = b'{"reason": "' + "é\n%".encode() * 60_000 + b'"}'
    assert paste(curl_line("POST", f"{echo.url}/x", [], body), echo)[3] == body


def test_headers(echo: Echo) -> None:
    sent = [
        ("Authorization", f"Bearer {KEY}"),
        ("X-Odd", "a'b\"c$d`e!f\\g"),
        ("X-Empty", ""),
        ("X-Both", f"{KEY}'\"{KEY}_tail"),
        ("Content-Length", "999"),
        ("Host", "elsewhere"),
    ]
    line = curl_line("POST", f"{echo.url}/x", sent, b"{}")
    assert KEY not in line
    _, _, headers, body = paste(line, echo)
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-odd"] == "a'b\"c$d`e!f\\g"
    assert headers["x-empty"] == ""
    assert headers["x-both"] == f"{KEY}'\"{KEY}_tail"
    assert "content-type" not in headers  # none was sent, so curl must not add one
    assert body == b"{}"


@pytest.mark.parametrize("path", ["/a/../b", "/a[1]{2,3}", "/a?x=1&y=%27;z='", "/caf%C3%A9", "/."])
@pytest.mark.parametrize("method", ["GET", "POST", "PURGE", "HEAD"])
def test_url_and_method(echo: Echo, method: str, path: str) -> None:
    assert paste(curl_line(method, echo.url + path, [], b""), echo)[:2] == (method, path)


def test_empty_post_says_so(echo: Echo) -> None:
    assert paste(curl_line("POST", f"{echo.url}/x", [], b""), echo)[2]["content-length"] == "0"


@pytest.mark.parametrize(
    "body", [f'{{"k": "{KEY}"}}'.encode(), f"\0{KEY}\xff".encode("latin-1"), f"{KEY}\n{KEY}9".encode()]
)
def test_key_in_a_body_is_the_variable(echo: Echo, body: bytes) -> None:
    line = curl_line("POST", f"{echo.url}/x?k={KEY}", [], body, secrets=[KEY])
    assert KEY not in line
    _, path, _, received = paste(line, echo)
    assert path == f"/x?k={KEY}"
    # A digit after the key counts as a part of the key.
    assert received == body.replace(f"{KEY}9".encode(), KEY.encode())


@pytest.mark.parametrize(
    ("change", "n"),
    [
        ("cut", 22),
        ("cut", 57),
        ("from", 10),
        ("add", 1),
        ("flip", 57),
        ("flip", 10),
        ("flip", 20),
        ("basic", 0),
        ("basic", 1),
    ],
)
@pytest.mark.parametrize("tail", [b"", b"'\x00"])
def test_a_key_changed_on_purpose(echo: Echo, change: str, n: int, tail: bytes) -> None:
    """The line sends the same request as the kit."""
    expansion = changed_key(change, n)
    line = curl_line("POST", f"{echo.url}/x", [("Authorization", f"Bearer {expansion}")], expansion.encode() + tail)
    _, _, headers, body = paste(line, echo)
    found = headers["authorization"].removeprefix("Bearer ")
    assert body == found.encode() + tail
    assert found == resolve(f"${{full.0|{change}.{n}}}", Target(echo.url, full=(KEY,)), seed=1) != KEY


def test_no_other_expansion(echo: Echo) -> None:
    with pytest.raises(ValueError, match="unknown change of a key: eat"):
        changed_key("eat", 1)
    body = b"$(touch x) ${HOME} ${VOREL_API_KEY:0:$(id)} $(tr 0-9a-fA-F 8000000000000000000000 <<<${HOME})"
    assert paste(curl_line("POST", f"{echo.url}/x", [], body), echo)[3] == body


def test_the_line_as_people_see_it() -> None:
    line = curl_line(
        "POST",
        "http://127.0.0.1:3000/api/v1/crm/create-record",
        [("Authorization", f"Bearer {KEY}"), ("Content-Type", "application/json")],
        b'{"object": "contact"}',
    )
    assert line == (
        "curl -sS -i -X POST -H \"Authorization: Bearer $VOREL_API_KEY\" -H 'Content-Type: application/json' "
        '--data-raw \'{"object": "contact"}\' http://127.0.0.1:3000/api/v1/crm/create-record'
    )
