"""The hosts that webhooks may go to: hosts that the operator allowed, and loopback unless the operator closed it.

A mock that posts to any URL would be a way into its network. So the sender connects to the address that was checked: a
name is resolved here, once per attempt, never by the HTTP client.
"""

import asyncio
import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

MAX_URL = 2048
_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 6761 defines its meaning. A name server is not asked, because it could return another address.
_LOCALHOST = ("127.0.0.1", "::1")

#: Metadata services of clouds: they give credentials to whoever asks. 169.254.169.254 and its like are link-local.
_METADATA = ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
_NAT64 = IPv6Network("64:ff9b::/96")

_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
# Numeric names that some resolvers read as addresses: 2130706433, 0x7f.1, 127.1, 0177.0.0.1.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_ENTRY = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@]+)(?::([0-9]+))?")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


class TargetError(ValueError):
    """A URL that webhooks may not go to. The text says why, and what to do."""


class TargetPolicy:
    """The allowed targets: each `host` or `host:port` of `allowed`, and with `loopback` this machine.

    Raises ValueError if an entry of `allowed` is neither.
    """

    def __init__(self, allowed: Iterable[str] = (), *, loopback: bool = True) -> None:
        self._allowed = frozenset(_entry(entry) for entry in allowed)
        self._loopback = loopback

    def check(self, url: str) -> None:
        """Raises TargetError if `url` may not be a target. Asks no name server."""
        host, port = _parse(url)
        if self._allows(host, port):
            return
        address = _address(host)
        is_here = host == "localhost" or (address is not None and address.is_loopback)
        shown = f"[{host}]" if ":" in host else host
        if is_here and not self._loopback:
            raise TargetError(
                f"target_url: {shown} is the machine of the mock, where webhooks do not go, unless the mock's operator "
                f"allows it: --webhook-host {shown}:{port}"
            )
        if not is_here:
            raise TargetError(
                f"target_url: {shown} is not on this machine, and webhooks go no further unless the mock's operator "
                f"allows the host; use localhost, 127.0.0.1 or [::1], or start the mock with --webhook-host {shown}"
            )

    async def addresses(self, url: str) -> list[str]:
        """Return the addresses of `url` in the order to try them. Raises TargetError if none is allowed."""
        self.check(url)
        host, port = _parse(url)
        if host == "localhost":
            return list(_LOCALHOST)
        if _address(host) is not None:
            return [host]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise TargetError(f"the name {host} cannot be resolved") from None
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        usable = [address for address in addresses if self._usable(address, port)]
        if not usable:
            raise TargetError(f"the name {host} leads to {', '.join(addresses)}, where webhooks may not go")
        return usable

    def _allows(self, host: str, port: int) -> bool:
        return (host, None) in self._allowed or (host, port) in self._allowed

    def _usable(self, text: str, port: int) -> bool:
        """Return True for addresses that an allowed name may have: not, for example, a cloud's metadata service."""
        address = ip_address(text)
        inner = _inside(address)
        odd = any(
            each.is_link_local or each.is_multicast or each.is_unspecified or each.is_reserved or str(each) in _METADATA
            for each in (address, inner)
            # The prefix of NAT64 is reserved itself; what counts is the address that it leads to.
            if each is not address or inner is address or address not in _NAT64
        )
        closed = not self._loopback and (address.is_loopback or inner.is_loopback)
        return not (odd or closed) or self._allows(str(inner), port) or self._allows(str(address), port)


def _inside(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address leads to (mapped, 6to4, Teredo, NAT64), or the address itself."""
    if not isinstance(address, IPv6Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    _, client = address.teredo or (None, None)
    return address.ipv4_mapped or address.sixtofour or client or address


def _parse(url: str) -> tuple[str, int]:
    """Return host (lower case, no brackets) and port. Raises TargetError if a webhook cannot be sent to the URL."""
    if len(url) > MAX_URL:
        raise TargetError(f"target_url: must have at most {MAX_URL} characters, not {len(url)}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise TargetError("target_url: must be printable ASCII; write other characters percent-encoded, names as xn--")
    authority = _AUTHORITY.match(url)
    if authority is None:
        raise TargetError("target_url: must begin with http:// or https://")
    if "@" in authority[1] or "\\" in url:
        raise TargetError("target_url: must have no user name, password or backslash")
    if "#" in url:
        raise TargetError("target_url: must have no fragment (#...): it would never be sent")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise TargetError(f"target_url: is not a URL: {error}") from None
    # As it was written: httpx shows a name in the letters that xn-- stands for.
    return _checked_host(parsed.raw_host.decode("ascii").strip("[]")), _checked_port(parsed)


def _checked_port(parsed: httpx.URL) -> int:
    if parsed.port is None:
        return _DEFAULT_PORTS[parsed.scheme]
    if not 1 <= parsed.port <= 65535:
        raise TargetError(f"target_url: port {parsed.port} does not exist; use one from 1 to 65535")
    return parsed.port


def _checked_host(host: str) -> str:
    if not host:
        raise TargetError("target_url: must have a host")
    address = _address(host)
    if address is None:
        if _NUMERIC.fullmatch(host):
            raise TargetError(f"target_url: {host} is not an IPv4 address; write four decimal numbers: 127.0.0.1")
        if not _NAME.fullmatch(host):
            raise TargetError(f"target_url: {host} is not a host name")
        return host
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address.scope_id is not None):
        raise TargetError(f"target_url: [{host}] has an IPv4 address or a zone in it; write the IPv4 address, no zone")
    return str(address)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _entry(text: str) -> tuple[str, int | None]:
    """Return host and port of an entry of the allow-list; port None allows every port."""
    parts = _ENTRY.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r} is not a host or host:port")
    try:
        host, _ = _parse(f"http://{text}")
    except TargetError as error:
        raise ValueError(f"{text!r} is not a host or host:port: {str(error).removeprefix('target_url: ')}") from None
    return host, None if parts[1] is None else int(parts[1])
