"""What can be set, and to what when nothing is said."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from vorel_mock.clock import Clock, parse_iso

#: Where `--clock frozen` stands still: one moment for every run, so that two runs show the same.
FROZEN_AT = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a mock. Limits are requests a minute; 0 switches a limit off."""

    host: str = "127.0.0.1"
    port: int = 3000
    seed: int | None = None
    clock: str = "real"
    contract: Path | None = None
    rate_limit: int = 200
    tenant_rate_limit: int = 5000
    rate_limit_headers: Literal["429", "always"] = "429"
    json_logs: bool = False
    webhook_hosts: tuple[str, ...] = ()
    """Hosts (`host` or `host:port`) that webhooks may go to, beyond loopback."""
    control_token: str | None = None
    """What /_mock asks for; None asks for nothing on loopback, and makes one beyond it."""
    cors_origins: tuple[str, ...] = ()
    """Origins from which a page may call the API."""


def make_clock(setting: str) -> Clock:
    """A clock as `--clock` says: `real`, `frozen`, or standing at an RFC 3339 moment. ValueError when it is none."""
    if setting == "real":
        return Clock()
    return Clock(at=parse_iso(FROZEN_AT if setting == "frozen" else setting))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
