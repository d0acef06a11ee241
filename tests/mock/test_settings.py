"""Settings: what cannot be is refused at once, by its name, whoever gives it."""

from pathlib import Path
from typing import Any

import pytest

from vorel_mock.mock.settings import Settings
from vorel_mock.testing import Control, InProcessMock, MockServer

ORIGIN = "write scheme://host or scheme://host:port in lower case, or \\*"

WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "port too high": ({"port": 70000}, ValueError, "port: must be from 0 to 65535, not 70000"),
    "port as a text": ({"port": "3000"}, TypeError, "port: must be a whole number, not str '3000'"),
    "port true": ({"port": True}, TypeError, "port: must be a whole number, not bool True"),
    "no host": ({"host": None}, TypeError, "host: must be a text, not NoneType None"),
    "limit as a text": ({"rate_limit": "5"}, TypeError, "rate_limit: must be a whole number, not str '5'"),
    "limit negative": ({"rate_limit": -1}, ValueError, "rate_limit: must be from 0 to 1000000000, not -1"),
    "limit that no snapshot takes": ({"tenant_rate_limit": 10**10}, ValueError, "tenant_rate_limit: must be from 0 "),
    "seed as a text": ({"seed": "1"}, TypeError, "seed: must be a whole number"),
    "seed that no snapshot takes": ({"seed": 2**63}, ValueError, "seed: must be from -9223372036854775808 "),
    "clock": ({"clock": "now"}, ValueError, "clock: 'now' is not an RFC 3339 timestamp"),
    "clock as a number": ({"clock": 0}, TypeError, "clock: must be a text, not int 0"),
    "contract": ({"contract": 5}, TypeError, "contract: must be a path, a URL or -, not int 5"),
    "headers": ({"rate_limit_headers": 429}, ValueError, "rate_limit_headers: must be 429 or always, as a text"),
    "logs": ({"json_logs": "no"}, TypeError, "json_logs: must be True or False, not str 'no'"),
    "hosts as a text": (
        {"webhook_hosts": "a.test"},
        TypeError,
        "webhook_hosts: must be a list of texts, not str 'a.test'; write \\['a.test'\\]",
    ),
    "hosts of numbers": ({"webhook_hosts": (1,)}, TypeError, "webhook_hosts: must be a list of texts"),
    "no host name": ({"webhook_hosts": ("a/b",)}, ValueError, "webhook_hosts: 'a/b' is not a host or host:port"),
    "origins as a text": ({"cors_origins": "http://a.test"}, TypeError, "cors_origins: must be a list of texts"),
    "origin without scheme": ({"cors_origins": ["a.test"]}, ValueError, f"cors_origins: 'a.test' is .*; {ORIGIN}"),
    "origin with a path": ({"cors_origins": ["http://a.test/"]}, ValueError, ORIGIN),
    "origin in capitals": ({"cors_origins": ["http://A.test"]}, ValueError, ORIGIN),
    "origin with an odd port": ({"cors_origins": ["http://a.test:0"]}, ValueError, "a port that does not exist"),
    "origin with the usual port": (
        {"cors_origins": ["https://a.test:443"]},
        ValueError,
        "is sent by browsers without its port; write https://a.test",
    ),
    "tenants negative": ({"max_tenants": -1}, ValueError, "max_tenants: must be from 0 to "),
    "ttl of tenants": ({"tenant_ttl": "1"}, ValueError, "tenant_ttl: '1' is not a duration such as 61s"),
    "ttl of tenants as a number": ({"tenant_ttl": 60}, TypeError, "tenant_ttl: must be a text, not int 60"),
    "loopback as a text": ({"no_loopback_webhooks": "no"}, TypeError, "no_loopback_webhooks: must be True or False"),
    "token empty": ({"control_token": ""}, ValueError, "control_token: is empty"),
    "token blank": ({"control_token": "  "}, ValueError, "control_token: is empty"),
    "token of two words": ({"control_token": "a b"}, ValueError, "control_token: has characters that no token may"),
    "token beyond ASCII": ({"control_token": "geheim\u00e9"}, ValueError, "control_token: has characters"),
    "token as bytes": ({"control_token": b"secret"}, TypeError, "control_token: must be a text, not bytes$"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_setting_that_cannot_be_is_named(case: str) -> None:
    settings, kind, words = WRONG[case]
    for make in (Settings, MockServer, InProcessMock):
        with pytest.raises(kind, match=f"^.*{words}"):
            make(**settings)


def test_what_means_the_same_is_taken(tmp_path: Path) -> None:
    lists: Any = ["http://a.test:8080", "*", "http://[::1]:3000", "vscode-webview://x"]
    path: Any = "openapi.json"
    settings = Settings(contract=path, cors_origins=lists, webhook_hosts=("a.test:80",), control_token="aZ09-._~+/==")
    assert settings.contract == Path("openapi.json")
    assert settings.cors_origins == tuple(lists)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_a_client_refuses_a_token_that_cannot_be_sent(token: str) -> None:
    with pytest.raises(ValueError, match=r"^token: "):
        Control("http://127.0.0.1:1", token)
