"""The target profile: which server, which keys, which leads."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

# Stated in prose only, so they are settings, with the contract's numbers as their defaults.
LIMIT = 200
WINDOW_S = 60.0
SINGLE_KEYS = ("read_only", "leads_only", "crm_only", "revoked")
PRODUCTION = "app.vorel.ai"
# What a profile may leave out, and the line that adds it.
LINES = {
    "burst": '[keys] burst = ["<a key with both write scopes that nothing else uses>"]',
    "read_only": '[keys] read_only = "<a key without either write scope>"',
    "leads_only": '[keys] leads_only = "<a key whose only write scope is the handoff\'s>"',
    "crm_only": '[keys] crm_only = "<a key whose only write scope is the CRM\'s>"',
    "revoked": '[keys] revoked = "<a key that was revoked>"',
    "own": '[leads] own = ["<the id of a lead of your tenant>"]',
    "foreign": '[leads] foreign = ["<the id of a lead of another tenant>"]',
    "soft_failures": '[soft_failures] no_crm_configured = "<a key of a tenant without a CRM>"',
}


class TargetError(Exception):
    """The target cannot be tested: it is not reachable, its profile is wrong, or its keys or leads are.

    Says what to do.
    """


class ForbiddenError(TargetError):
    """The target may not be tested."""


@dataclass(frozen=True)
class Target:
    """A server under test and what the kit may use there. Keys never appear in its repr."""

    base_url: str
    full: tuple[str, ...] = field(repr=False)
    burst: tuple[str, ...] = field(default=(), repr=False)
    single: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    soft_failures: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit: int = LIMIT
    window_s: float = WINDOW_S
    agreed: bool = False

    @property
    def secrets(self) -> list[str]:
        """Every key of the profile: what no report may show."""
        return [*self.full, *self.burst, *self.single.values(), *self.soft_failures.values()]

    @property
    def host(self) -> str:
        """The host name of the base URL."""
        return (urlsplit(self.base_url).hostname or "").rstrip(".")

    @property
    def is_loopback(self) -> bool:
        """Whether the target is this machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def permit(self, *, owned: bool) -> None:
        """Raise ForbiddenError unless this target may be written to: `owned` is the word of whoever runs the kit."""
        if self.host == PRODUCTION and not self.agreed:
            raise ForbiddenError(f"{PRODUCTION} is production: only tested with a profile that says agreed = true.")
        if not self.is_loopback and not owned:
            raise ForbiddenError(
                f"{self.host} is not this machine, and the run writes there. Add --i-own-this-target if you may."
            )

    @property
    def lacks(self) -> list[str]:
        """The names of LINES that the profile leaves out."""
        there = {"burst": self.burst, "own": self.own, "foreign": self.foreign, "soft_failures": self.soft_failures}
        return [name for name in LINES if not there.get(name, name in self.single)]

    def key(self, name: str) -> str | None:
        """The secret behind a name such as `full.0`, `read_only` or `soft.auth_failed`.

        None when the profile lacks it.
        """
        kind, _, which = name.partition(".")
        if kind == "soft":
            return self.soft_failures.get(which)
        pool = {"full": self.full, "burst": self.burst}.get(kind)
        if pool is None:
            return self.single.get(kind)
        return pool[int(which)] if int(which) < len(pool) else None


def from_profile(profile: Mapping[str, Any], base_url: str, source: str = "the target profile") -> Target:
    """Make a target of a profile (the members are those of the file that `init` writes).

    TargetError names what is wrong.
    """

    def table(name: str) -> Mapping[str, Any]:
        value = profile.get(name, {})
        if not isinstance(value, Mapping):
            raise TargetError(f"{source}: [{name}] has to be a table")
        return value

    def strings(place: Mapping[str, Any], table_name: str, name: str) -> tuple[str, ...]:
        value = place.get(name, [])
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
            raise TargetError(f"{source}: {table_name}.{name} has to be a list of strings")
        return tuple(value)

    def singles(place: Mapping[str, Any], table_name: str, names: Any) -> dict[str, str]:
        found = {name: place[name] for name in names if place.get(name) is not None}
        for name, value in found.items():
            if not isinstance(value, str) or not value:
                raise TargetError(f"{source}: {table_name}.{name} has to be a string")
        return found

    def number(place: Mapping[str, Any], name: str, default: float) -> float:
        value = place.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise TargetError(f"{source}: rate_limit.{name} has to be a number above 0")
        return value

    keys, leads, limits, soft = table("keys"), table("leads"), table("rate_limit"), table("soft_failures")
    for place, name, known in (
        (keys, "keys", {"full", "burst", *SINGLE_KEYS}),
        (leads, "leads", {"own", "foreign"}),
        (limits, "rate_limit", {"requests", "window_s"}),
    ):
        # A mistyped name would make its clauses inconclusive, and nobody would see why.
        if unknown := sorted(set(place) - known):
            raise TargetError(
                f"{source}: [{name}] does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}"
            )
    full = strings(keys, "keys", "full")
    if not full:
        raise TargetError(f"{source}: keys.full is empty; add at least one key with both write scopes")
    target = Target(
        base_url=base_url.rstrip("/"),
        full=full,
        burst=strings(keys, "keys", "burst"),
        single=singles(keys, "keys", SINGLE_KEYS),
        own=strings(leads, "leads", "own"),
        foreign=strings(leads, "leads", "foreign"),
        soft_failures=singles(soft, "soft_failures", list(soft)),
        limit=int(number(limits, "requests", LIMIT)),
        window_s=float(number(limits, "window_s", WINDOW_S)),
        agreed=profile.get("agreed") is True,
    )
    if any(not secret.isascii() or not secret.isprintable() or " " in secret for secret in target.secrets):
        raise TargetError(f"{source}: a key has characters that no key has (blanks, line breaks, or beyond ASCII)")
    doubles = [name for name in target.burst if target.secrets.count(name) > 1]
    if doubles:
        raise TargetError(f"{source}: a key of keys.burst stands elsewhere as well; the burst needs keys of its own")
    return target


def check_url(base_url: str) -> str:
    """The base URL without a slash at its end; TargetError when it is none."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TargetError(
            f"{base_url!r} is no base URL; it looks like http://127.0.0.1:3000 or https://api.example.com"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise TargetError("the base URL carries a user, a query or a fragment; give scheme, host, port and path alone")
    return base_url.rstrip("/")


def from_file(path: Path, base_url: str | None) -> Target:
    """Read a profile, TOML or JSON by its suffix.

    `base_url`, when given, wins over the file's. TargetError says what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        profile = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    except ValueError as error:
        raise TargetError(f"{path}: not a {'JSON' if path.suffix == '.json' else 'TOML'} file: {error}") from error
    if not isinstance(profile, dict):
        raise TargetError(f"{path}: a profile is an object with keys and leads")
    url = base_url or profile.get("base_url")
    if not isinstance(url, str):
        raise TargetError(f"{path}: no base_url in there, and none was given")
    return from_profile(profile, check_url(url), str(path))


def fetch(base_url: str) -> Target:
    """Ask a mock for its own profile, at `/_mock/target`; TargetError when it does not answer with one."""
    address = f"{check_url(base_url)}/_mock/target"
    advice = "Write a profile with `vorel-conformance init` and pass it with --target FILE."
    try:
        answer = httpx.get(address, timeout=10.0, trust_env=False, headers={"Accept": "application/json"})
        profile = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TargetError(f"{base_url} does not answer: {error or type(error).__name__}") from error
    except (ValueError, RecursionError):
        profile = None
    if not isinstance(profile, dict):
        raise TargetError(f"{address} has no target profile (HTTP {answer.status_code}). {advice}")
    return from_profile(profile, check_url(base_url), address)


TEMPLATE = """\
# What vorel-conformance may use on the server that it tests. Keep this file out of version control: it holds keys.
# Whatever you leave out makes its clauses inconclusive, and the report names the line to add.
base_url = "http://127.0.0.1:3000"

# app.vorel.ai is refused unless whoever runs it has agreed to the test.
# agreed = true

[keys]
# Keys with both write scopes. One is enough; with twenty or more a run takes little more than a minute.
full = ["vapk_live_..."]
# Keys with both write scopes that nothing else uses: each is sent over its limit. One to four of them.
# burst = ["vapk_live_..."]
# A key without either write scope.
# read_only = "vapk_live_..."
# A key whose only write scope is the handoff's, and one whose only write scope is the CRM's.
# leads_only = "vapk_live_..."
# crm_only = "vapk_live_..."
# A key that was revoked.
# revoked = "vapk_live_..."

[leads]
# Ids of leads that the keys above can see. They will be handed off, many times.
own = ["00000000-0000-4000-8000-000000000000"]
# Ids of leads that exist, but belong to another tenant.
# foreign = ["00000000-0000-4000-8000-000000000001"]

# Keys of tenants whose CRM fails in a known way, by the error that the API answers. Each needs the CRM's write scope.
# [soft_failures]
# no_crm_configured = "vapk_live_..."

# Only for a server with another limit than the contract's.
# [rate_limit]
# requests = 200
# window_s = 60
"""
