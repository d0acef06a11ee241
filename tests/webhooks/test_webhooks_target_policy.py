"""Where webhooks may go."""

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.webhooks.target_policy import TargetError, TargetPolicy

LOOPBACK = [
    "http://localhost/",
    "http://localhost:8080/hook?x=1",
    "https://LOCALHOST:8443",
    "HTTP://127.0.0.1:1/",
    "http://127.255.255.254/",
    "http://[::1]:9000/a",
    "http://[0:0:0:0:0:0:0:1]/",
]

REFUSED = {
    "http://example.com/": "not on this machine",
    "http://10.0.0.1/": "not on this machine",
    "http://169.254.169.254/latest/meta-data": "not on this machine",
    "http://0.0.0.0:3000/": "not on this machine",
    "http://[::]/": "not on this machine",
    "http://[fe80::1]/": "not on this machine",
    "http://localhost.example.com/": "not on this machine",
    "http://localhost./": "not a host name",
    "http://127.0.0.1.nip.io/": "not on this machine",
    # other spellings of 127.0.0.1, and of what is not
    "http://2130706433/": "not an IPv4 address",
    "http://0x7f000001/": "not an IPv4 address",
    "http://0x7f.0.0.1/": "not an IPv4 address",
    "http://0177.0.0.1/": "",
    "http://127.1/": "not an IPv4 address",
    "http://127.0.0.1./": "not an IPv4 address",
    "http://127.0.0.256/": "",
    "http://[::ffff:127.0.0.1]/": "has an IPv4 address or a zone in it",
    "http://[::ffff:10.0.0.1]/": "has an IPv4 address or a zone in it",
    "http://[::ffff:7f00:1]/": "has an IPv4 address or a zone in it",
    "http://[::1%25eth0]/": "",
    "http://[64:ff9b::7f00:1]/": "not on this machine",
    "http://[::127.0.0.1]/": "not on this machine",
    # what hides where it goes
    "http://user:hunter2@localhost/": "user name",
    "http://@localhost/": "user name",
    "http://localhost@example.com/": "user name",
    "http://localhost\\@example.com/": "user name",
    "http://localhost/#fragment": "fragment",
    "http://localhost:0/": "port 0",
    "http://localhost:65536/": "",
    "http://localhost:abc/": "",
    "http://ⓛocalhost/": "ASCII",
    "http://\uff11\uff12\uff17.0.0.1/": "ASCII",
    "http://localhost/ü": "ASCII",
    "http://localhost/a b": "ASCII",
    "http://localhost/a\r\nX: y": "ASCII",
    "http://localhost/" + "a" * 2048: "2048",
    # what is no target at all
    "": "http://",
    "localhost:3000": "http://",
    "//localhost/": "http://",
    "ftp://localhost/": "http://",
    "file:///etc/passwd": "http://",
    "javascript:alert(1)": "http://",
    "http:localhost": "http://",
    "http:///path": "must have a host",
    "http://": "must have a host",
    "http://%6cocalhost/": "",
    "http://-/": "not a host name",
}


@pytest.mark.parametrize("url", LOOPBACK)
def test_this_machine_is_allowed(url: str) -> None:
    TargetPolicy().check(url)


@pytest.mark.parametrize(("url", "reason"), REFUSED.items())
def test_everything_else_is_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(TargetError) as refusal:
        TargetPolicy().check(url)
    assert str(refusal.value).startswith("target_url: ")
    assert reason in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@given(st.text() | st.text().map(lambda rest: "http://" + rest) | st.from_regex(r"\Ahttps?://[0-9a-fx.:\[\]%@]+\Z"))
def test_whatever_is_asked_only_this_machine_is_reached(url: str) -> None:
    try:
        TargetPolicy().check(url)
    except TargetError:
        return
    for address in asyncio.run(TargetPolicy().addresses(url)):
        assert address == "::1" or address.startswith("127.")


def test_the_operator_allows_hosts_and_ports() -> None:
    targets = TargetPolicy(["hooks.internal", "other:8443", "10.1.2.3", "[fd00::1]:80", "plain:80"])
    for url in (
        "http://hooks.internal/",
        "https://HOOKS.internal:4433/",
        "https://other:8443/",
        "http://10.1.2.3:99/",
        "http://[fd00::1]/",
        "http://[FD00:0::1]:80/",
        "http://plain/",
    ):
        targets.check(url)
    for url in (
        "http://sub.hooks.internal/",
        "https://other/",
        "http://other:8444/",
        "http://[fd00::1]:81/",
        "http://plain:81/",
        "http://10.1.2.4/",
    ):
        with pytest.raises(TargetError, match="not on this machine"):
            targets.check(url)


@pytest.mark.parametrize(
    "entry", ["http://host", "host/path", "host?x", "host:", "host:0", "host:x", "", "*", "a@b", "::1", "127.1"]
)
def test_an_entry_that_is_no_host_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host or host:port") as error:
        TargetPolicy([entry])
    assert repr(entry) in str(error.value)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have names resolve to each of `answers` in turn; the names that were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_localhost_is_asked_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["203.0.113.1"])
    assert asyncio.run(TargetPolicy().addresses("http://localhost:1/")) == ["127.0.0.1", "::1"]
    assert asked == []


def test_an_allowed_name_is_resolved_once_and_never_leads_to_the_metadata_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolving(monkeypatch, ["10.0.0.7", "169.254.169.254"])
    assert asyncio.run(TargetPolicy(["hooks.internal"]).addresses("http://hooks.internal/")) == ["10.0.0.7"]
    assert asked == ["hooks.internal"]
    for address in (
        *("169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "fe80::1", "224.0.0.1"),
        # M36: other clouds' services, and other forms of these addresses.
        *("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "2002:a9fe:a9fe::1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8", "::ffff:168.63.129.16", "2001::5601:5601"),
    ):
        resolving(monkeypatch, [address])
        with pytest.raises(TargetError, match=r"leads to .*, where webhooks may not go"):
            asyncio.run(TargetPolicy(["hooks.internal"]).addresses("http://hooks.internal/"))


def test_a_name_that_does_not_resolve_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(TargetError, match=r"hooks\.internal cannot be resolved"):
        asyncio.run(TargetPolicy(["hooks.internal"]).addresses("http://hooks.internal/"))


def test_a_name_in_other_letters_is_allowed_as_the_error_spells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """M36."""
    with pytest.raises(TargetError, match="names as xn--"):
        TargetPolicy().check("https://b\u00fccher.example/hook")
    with pytest.raises(TargetError, match=r"--webhook-host xn--bcher-kva\.example"):
        TargetPolicy().check("https://xn--bcher-kva.example/hook")
    TargetPolicy(["xn--bcher-kva.example"]).check("https://xn--bcher-kva.example/hook")


def test_an_address_behind_nat64_that_is_no_one_s_service_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = TargetPolicy(["hooks.example.com"])
    assert policy._usable("64:ff9b::808:808", 443)
    assert policy._usable("2001:db8::1", 443) is policy._usable("2001:db8::2", 443)
