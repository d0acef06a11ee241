"""The settings of a mock and their defaults."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, get_args

from vorel_mock.contract.source import STDIN, is_url
from vorel_mock.model.clock import Clock, parse_duration, parse_iso
from vorel_mock.model.lease import LONGEST_TTL, SHORTEST_TTL
from vorel_mock.model.tenant import MAX_LIMIT
from vorel_mock.webhooks.target_policy import TargetPolicy

#: The responses that have X-RateLimit-* headers: 429s only, or all.
RateLimitHeaders = Literal["429", "always"]
#: The lines of the access log: all; of requests that failed or met a fault; of 5xx and of no response at all.
LogLevel = Literal["info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
#: The time of `--clock frozen`: the same for every run, so that two runs give the same responses.
FROZEN_AT = "2026-01-01T00:00:00Z"


DEFAULT_RATE_LIMIT = 200
DEFAULT_TENANT_RATE_LIMIT = 5000

#: RFC 6750, 2.1: the token behind `Bearer` in a header.
_SHORTEST_TOKEN = 8
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: As a browser sends it: in lower case, no path.
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_USUAL = ("http:", "80"), ("https:", "443")


class SettingError(ValueError):
    """An invalid setting. The text begins with its name, which is `setting`, and says what is allowed."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a tenant that has none of its own, in requests per minute; 0 switches a limit off."""

    rate_limit: int
    tenant_rate_limit: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a mock. Limits are requests per minute; 0 switches a limit off.

    Raises SettingError (a ValueError) or TypeError if one is invalid; the text names it.
    """

    host: str = "localhost"
    """A name or an address of this machine. `localhost` is 127.0.0.1 and ::1, on one port."""
    port: int = 3000
    seed: int | None = None
    clock: str | None = None
    """None: that of the fixtures, or `real`."""
    contract: Path | str | None = None
    """The document to serve: a path, a URL, or `-` for the standard input. None: the vendored one."""
    fixtures: Path | str | None = None
    """A file with the tenants that the mock begins with: TOML, YAML or JSON. None: the demo tenants."""
    state: Path | str | None = None
    """The place of the tenants beyond the end of the mock: a file, or redis://HOST:PORT. None: memory alone."""
    rate_limit: int | None = None
    """Of each key. None: that of the fixtures, or 200."""
    tenant_rate_limit: int | None = None
    """Of all keys of a tenant together. None: that of the fixtures, or 5000."""
    rate_limit_headers: RateLimitHeaders = "429"
    json_logs: bool = False
    log_level: LogLevel = "info"
    quiet: bool = False
    """Print errors only, and at start what nobody else knows: a port that was picked, a token that was made."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts beyond loopback that webhooks may go to: `host` or `host:port`."""
    no_loopback_webhooks: bool = False
    """Webhooks may not go to this machine either, unless `webhook_hosts` names it: the tenants are other people's."""
    max_tenants: int | None = None
    """Tenants that there may be besides those of the fixtures. None: as many as are made."""
    tenant_ttl: str | None = None
    """The ttl of a tenant that is made without one, and the longest that one may have: `24h`. None: 30 days at most."""
    control_token: str | None = None
    """The token that /_mock requires. None: no token on loopback, a random one otherwise."""
    trust_network: bool = False
    """Everybody who can reach the mock may use /_mock, without a token: for a network of one's own."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API: `scheme://host[:port]`, or `*` for any."""

    def __post_init__(self) -> None:
        """Check every setting now: an invalid one would cause a problem an hour later."""
        _of_type("host", self.host, str, "a text")
        _whole("port", self.port, 0, 65535)
        if self.seed is not None:
            _whole("seed", self.seed, -(2**63), 2**63 - 1)  # what a snapshot takes
        if self.clock is not None:
            _of_type("clock", self.clock, str, "a text")
            _check("clock", make_clock, self.clock)
        if isinstance(self.contract, str):
            if self.contract != STDIN and not is_url(self.contract):
                object.__setattr__(self, "contract", Path(self.contract))
        elif self.contract is not None:
            _of_type("contract", self.contract, Path, "a path, a URL or -")
        if isinstance(self.fixtures, str):
            object.__setattr__(self, "fixtures", Path(self.fixtures))
        elif self.fixtures is not None:
            _of_type("fixtures", self.fixtures, Path, "a path")
        if isinstance(self.state, str) and not is_redis(self.state):
            object.__setattr__(self, "state", Path(self.state))
        elif self.state is not None and not isinstance(self.state, str):
            _of_type("state", self.state, Path, "a path or a URL of Redis")
        for name in ("rate_limit", "tenant_rate_limit"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 0, MAX_LIMIT)
        if self.rate_limit_headers not in get_args(RateLimitHeaders):
            raise SettingError(
                "rate_limit_headers", f"must be 429 or always, as a text, not {self.rate_limit_headers!r}"
            )
        _of_type("json_logs", self.json_logs, bool, "True or False")
        _of_type("quiet", self.quiet, bool, "True or False")
        if self.log_level not in LOG_LEVELS:
            raise SettingError("log_level", f"must be {', '.join(LOG_LEVELS)}, not {self.log_level!r}")
        for name in ("webhook_hosts", "cors_origins"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        _of_type("no_loopback_webhooks", self.no_loopback_webhooks, bool, "True or False")
        if self.max_tenants is not None:
            _whole("max_tenants", self.max_tenants, 0, MAX_LIMIT)
        if self.tenant_ttl is not None:
            _of_type("tenant_ttl", self.tenant_ttl, str, "a text")
            _check("tenant_ttl", make_ttl, self.tenant_ttl)
        _check("webhook_hosts", TargetPolicy, self.webhook_hosts)
        for origin in self.cors_origins:
            _check("cors_origins", _check_origin, origin)
        _of_type("trust_network", self.trust_network, bool, "True or False")
        if self.trust_network and self.control_token is not None:
            raise SettingError("trust_network", "there is a control token, too; use one of them")
        if self.control_token is not None:
            _of_type("control_token", self.control_token, str, "a text")
            _check("control_token", check_token, self.control_token)


def check_token(token: str) -> None:
    """Raises ValueError if a client could not send `token`, or if it could be guessed."""
    if not _TOKEN.fullmatch(token):  # which is not shown: it may be the secret with a typing error
        problem = "has characters that no token may have" if token.strip() else "is empty"
        raise ValueError(f"{problem}; use letters, digits and -._~+/ (RFC 6750)")
    if 0 < len(token) < _SHORTEST_TOKEN:
        raise ValueError(f"is too short to be a secret; use at least {_SHORTEST_TOKEN} characters")


def _check_origin(origin: str) -> None:
    parts = _ORIGIN.fullmatch(origin)
    if parts is None:
        raise ValueError(f"{origin!r} is not an origin; write scheme://host or scheme://host:port in lower case, or *")
    port = parts[1]
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"{origin!r} has a port that does not exist; use one from 1 to 65535")
    if any(origin.startswith(scheme) and port == usual for scheme, usual in _USUAL):
        raise ValueError(f"{origin!r} is sent by browsers without its port; write {origin.removesuffix(f':{port}')}")


def _check(name: str, function: Callable[[Any], object], value: Any) -> None:
    """Raises SettingError if `function` rejects `value`."""
    try:
        function(value)
    except ValueError as error:
        raise SettingError(name, str(error)) from None


def _of_type(name: str, value: object, wanted: type, words: str) -> None:
    if not isinstance(value, wanted):
        raise TypeError(f"{name}: must be {words}, not {_shown(name, value)}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):  # Python takes True for a number
        raise TypeError(f"{name}: must be a whole number, not {_shown(name, value)}")
    if not least <= value <= most:
        raise SettingError(name, f"must be from {least} to {most}, not {value}")


def _texts(name: str, value: object) -> tuple[str, ...]:
    """Return a list of texts as a tuple. Reject a single text, which would become a tuple of its letters."""
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return tuple(sorted(value) if isinstance(value, (set, frozenset)) else value)
    hint = f"; write [{value!r}]" if isinstance(value, str) else ""
    raise TypeError(f"{name}: must be a list of texts, not {_shown(name, value)}{hint}")


def _shown(name: str, value: object) -> str:
    return type(value).__name__ if name == "control_token" else f"{type(value).__name__} {value!r}"


def is_redis(place: str) -> bool:
    """Return True if `state` names a Redis database, and not a file."""
    return place.startswith(("redis://", "rediss://", "unix://"))


def make_clock(setting: str) -> Clock:
    """Return the clock of a setting: `real`, `frozen`, or frozen at an RFC 3339 time. Raises ValueError otherwise."""
    if setting == "real":
        return Clock()
    return Clock(at=parse_iso(FROZEN_AT if setting == "frozen" else setting))


def make_ttl(setting: str) -> float:
    """Return the seconds of a setting such as `24h`. Raises ValueError if no tenant can have that ttl."""
    return parse_duration(setting, least=SHORTEST_TTL, most=LONGEST_TTL)


def is_loopback(host: str) -> bool:
    """Return True if a host name or address belongs to this machine."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
