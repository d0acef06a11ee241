"""The target profile: the server under test, its keys and its leads."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vorel_conformance.http import strict_json, urls
from vorel_conformance.http.transport import READ_CAP, USUAL, NoAnswerError, Transport, Trust, advice
from vorel_conformance.spec import contract
from vorel_conformance.spec.unknown_name import unknown_name

# The contract gives these numbers in prose only, so a profile can replace them.
LIMIT = 200
WINDOW_S = 60.0
SINGLE_KEYS = ("read_only", "leads_only", "crm_only", "revoked", "other_tenant")
PROFILE_PATH = "/_mock/target"
PRODUCTION = "app.vorel.ai"
SHORTEST_PART = 12
DIFFERENT = 6  # characters; 12 random hexadecimal digits have fewer once in 300 times
# The optional parts of a profile, each with the line that adds it.
LINES = {
    "burst": '[keys] burst = ["<a key with both write scopes that nothing else uses>"]',
    "read_only": '[keys] read_only = "<a key without either write scope>"',
    "leads_only": '[keys] leads_only = "<a key whose only write scope is the handoff\'s>"',
    "crm_only": '[keys] crm_only = "<a key whose only write scope is the CRM\'s>"',
    "revoked": '[keys] revoked = "<a key that was revoked>"',
    "other_tenant": '[keys] other_tenant = "<a key of another tenant with the CRM\'s write scope>"',
    "own": '[leads] own = ["<the id of a lead of your tenant>"]',
    "foreign": '[leads] foreign = ["<the id of a lead of another tenant>"]',
    "soft_failures": '[soft_failures] no_crm_configured = "<a key of a tenant without a CRM>"',
}


def is_telling(part: str) -> bool:
    """Return True if a part of a key is in no text by chance: long enough, and not 000000000001 or a word."""
    return len(part) >= SHORTEST_PART and len(set(part)) >= DIFFERENT


class TargetError(Exception):
    """The target cannot be tested: it is unreachable, or its profile, keys or leads are invalid.

    The message says what to do.
    """


class ForbiddenError(TargetError):
    """Testing this target is not allowed."""


#: The contract says 200 in 60 s; a profile may say something else, within what a run can ask for.
MOST_REQUESTS = 1_000_000
LONGEST_WINDOW_S = 3600.0
_ERROR = re.compile("[a-z][a-z0-9_]{0,63}")
_MOST_PROBLEMS = 5
_LEAD = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Target:
    """A server under test, with the keys and leads that the kit may use. Its repr shows no key."""

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
    def places(self) -> list[tuple[str, str]]:
        """Every key of the profile, after the name of its member."""
        return [
            *((f"keys.full[{n}]", key) for n, key in enumerate(self.full)),
            *((f"keys.burst[{n}]", key) for n, key in enumerate(self.burst)),
            *((f"keys.{name}", key) for name, key in self.single.items()),
            *((f"soft_failures.{name}", key) for name, key in self.soft_failures.items()),
        ]

    @property
    def secrets(self) -> list[str]:
        """Every key of the profile. No report may show any of them."""
        return [key for _, key in self.places]

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """The keys that are in no text by chance. Each response is searched for all of them."""
        return tuple(key for key in self.secrets if is_telling(key))

    @property
    def plain(self) -> list[str]:
        """The members with a key that is too plain to be looked for in responses: a right server may say the same."""
        return [place for place, key in self.places if not is_telling(key.rpartition("_")[2])]

    @property
    def host(self) -> str:
        """The host name of the base URL."""
        return (urlsplit(self.base_url).hostname or "").rstrip(".")

    @property
    def is_loopback(self) -> bool:
        """True if the target is this machine."""
        return urls.is_loopback(self.base_url)

    def permit(self, *, owned: bool) -> None:
        """Raises ForbiddenError if the kit may not write to this target. `owned`: the user says that they may."""
        if self.host == PRODUCTION and not self.agreed:
            raise ForbiddenError(
                f"{PRODUCTION} is production: its owner has to agree first, with agreed = true in the profile."
            )
        if not self.is_loopback and not owned:
            raise ForbiddenError(
                f"{self.host} is not this machine, and the run writes data there. If you may, add --i-own-this-target."
            )

    @property
    def lacks(self) -> list[str]:
        """The names of the optional parts that the profile lacks, as in LINES."""
        there = {"burst": self.burst, "own": self.own, "foreign": self.foreign, "soft_failures": self.soft_failures}
        return [name for name in LINES if not there.get(name, name in self.single)]

    def key(self, name: str) -> str | None:
        """Return the key with a name such as `full.0`, `read_only` or `soft.auth_failed`, or None if it is missing."""
        kind, _, which = name.partition(".")
        if kind == "soft":
            return self.soft_failures.get(which)
        pool = {"full": self.full, "burst": self.burst}.get(kind)
        if pool is None:
            return self.single.get(kind)
        # The name may come from a report: it need not be a number, or a short one.
        index = int(which) if which.isdecimal() and len(which) < 6 else len(pool)
        return pool[index] if index < len(pool) else None


def from_profile(profile: Mapping[str, Any], base_url: str, source: str = "the target profile") -> Target:
    """Make a target from a profile. Its members are those of the file that `init` writes.

    Raises TargetError if a member is invalid.
    """

    def table(name: str) -> Mapping[str, Any]:
        value = profile.get(name, {})
        if not isinstance(value, Mapping):
            raise TargetError(f"{source}: [{name}]: must be a table")
        return value

    def strings(place: Mapping[str, Any], table_name: str, name: str) -> tuple[str, ...]:
        value = place.get(name, [])
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
            raise TargetError(f"{source}: {table_name}.{name}: must be a list of strings")
        return tuple(value)

    def singles(place: Mapping[str, Any], table_name: str, names: Any) -> dict[str, str]:
        found = {name: place[name] for name in names if place.get(name) is not None}
        for name, value in found.items():
            if not isinstance(value, str) or not value:
                raise TargetError(f"{source}: {table_name}.{name}: must be a string that is not empty")
        return found

    def number(place: Mapping[str, Any], name: str, default: float, most: float) -> float:
        value = place.get(name, default)
        # Written so that NaN is rejected as well.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise TargetError(f"{source}: rate_limit.{name}: must be a number above 0 and at most {most:g}")
        return value

    keys, leads, limits, soft = table("keys"), table("leads"), table("rate_limit"), table("soft_failures")
    problems: list[str] = []
    for place, name, known in (
        (keys, "keys", {"full", "burst", *SINGLE_KEYS}),
        (leads, "leads", {"own", "foreign"}),
        (limits, "rate_limit", {"requests", "window_s"}),
    ):
        # A misspelled name would make its clauses inconclusive without a visible reason.
        problems += [unknown_name("field", each, sorted(known), f"{name}.") for each in sorted(set(place) - known)]
    problems += [
        f"soft_failures: {name[:100]!r} is not an error of the CRM, which is a word like no_crm_configured"
        for name in sorted(soft)
        if not _ERROR.fullmatch(name)
    ]
    if problems:
        raise TargetError(f"{source}: {'; '.join(problems[:_MOST_PROBLEMS])}")
    full = strings(keys, "keys", "full")
    if not full:
        raise TargetError(f"{source}: keys.full: is empty; add at least one key with both write scopes")
    target = Target(
        base_url=base_url.rstrip("/"),
        full=full,
        burst=strings(keys, "keys", "burst"),
        single=singles(keys, "keys", SINGLE_KEYS),
        own=strings(leads, "leads", "own"),
        foreign=strings(leads, "leads", "foreign"),
        soft_failures=singles(soft, "soft_failures", list(soft)),
        limit=int(number(limits, "requests", LIMIT, MOST_REQUESTS)),
        window_s=float(number(limits, "window_s", WINDOW_S, LONGEST_WINDOW_S)),
        agreed=profile.get("agreed") is True,
    )
    for member, key in target.places:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise TargetError(f"{source}: {member}: an invalid character; allowed: printable ASCII without blanks")
    if doubled := _doubled(target):
        raise TargetError(f"{source}: {doubled}")
    if contradiction := _contradiction(target):
        raise TargetError(f"{source}: {contradiction}")
    return target


def _doubled(target: Target) -> str:
    """Return which two members have the same key although the kit counts their requests apart, or an empty string."""
    seen: dict[str, str] = {}
    for place, key in target.places:
        other = seen.setdefault(key, place)
        if other == place:
            continue
        if place.startswith("keys.full"):
            return f"{other} and {place}: the same key twice; remove one"
        if "keys.burst" in (place[:10], other[:10]):
            return f"{other} and {place}: the same key; a burst needs a key that nothing else uses"
        if other.startswith("soft_failures"):
            return f"{other} and {place}: the same key, and a CRM fails in one way only"
    return ""


def _contradiction(target: Target) -> str:
    """Return which two members of a profile cannot both be right, or an empty string: no server could keep to them."""
    for name, key in target.single.items():
        if key in target.full:
            return f"keys.{name} and keys.full: have the same key, and they mean different ones"
        other = next((each for each, value in target.single.items() if each != name and value == key), None)
        if other is not None:
            return f"keys.{name} and keys.{other}: have the same key, and they mean different ones"
    for lead in target.own:
        if lead.lower() in map(str.lower, target.foreign):
            return f"leads.own and leads.foreign: have the same lead {lead[:40]!r}, which is either yours or another's"
    for place, leads in (("own", target.own), ("foreign", target.foreign)):
        for lead in leads:
            if not _LEAD.fullmatch(lead):
                return f"leads.{place}: {lead[:40]!r} is not an id of a lead, which is a UUID (8-4-4-4-12 hex digits)"
    return ""


def check_url(url: str) -> str:
    """Return a base URL in its normal form. Raises TargetError if it is not a base URL."""
    try:
        return urls.base(url)
    except urls.AddressError as error:
        raise TargetError(str(error)) from error


def from_file(path: Path, base_url: str | None = None) -> Target:
    """Read a profile from a file. `base_url` overrides the one in the file.

    Raises TargetError if the file cannot be read or is invalid.
    """
    profile = read_profile(path)
    url = base_url or profile.get("base_url")
    if not isinstance(url, str):
        raise TargetError(f"{path}: base_url: missing; add it, or pass the URL on the command line")
    return from_profile(profile, check_url(url), str(path))


def read_profile(path: Path) -> dict[str, Any]:
    """Read a profile in TOML or, with the suffix .json, in JSON. Raises TargetError if the file is not one."""
    is_json = path.suffix == ".json"
    try:
        with path.open("rb") as file:
            raw = file.read(READ_CAP + 1)
    except OSError as error:
        raise TargetError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(raw) > READ_CAP:
        raise TargetError(f"{path}: longer than {READ_CAP} bytes, which no profile is")
    if is_json:
        parsed = strict_json.parse(raw)
        problem, profile = parsed.error, parsed.value
    else:
        problem, profile = _toml(raw)
    if problem:
        raise TargetError(f"{path}: not a {'JSON' if is_json else 'TOML'} file: {problem}")
    if not isinstance(profile, dict):
        raise TargetError(f"{path}: must be an object with keys and leads")
    return profile


def _toml(raw: bytes) -> tuple[str, Any]:
    """Return the reason why a file is not TOML, which is empty if it is, and its value."""
    try:
        return "", tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}", None
    except (ValueError, RecursionError) as error:
        return str(error)[:300] if isinstance(error, ValueError) else "nested too deeply", None


def fetch(base_url: str, trust: Trust = USUAL, timeout: float = 10.0) -> Target:
    """Get the profile of a mock from `/_mock/target`. Raises TargetError if the server has none."""
    base_url = check_url(base_url)
    where = urls.join(base_url, PROFILE_PATH)
    transport = Transport(base_url, timeout=timeout, connect_timeout=5.0, trust=trust)
    try:
        answer = transport.ask("GET", PROFILE_PATH, [("Accept", contract.MEDIA_TYPE)])
    except NoAnswerError as error:
        raise TargetError(f"{base_url} does not respond: {error}.{advice(str(error))}") from error
    finally:
        transport.close()
    profile = strict_json.parse(answer.body)
    if answer.status != 200 or answer.truncated or not isinstance(profile.value, dict):
        raise TargetError(
            f"{where} has no target profile (HTTP {answer.status}). "
            "Create a profile with `vorel-conformance init` and pass it with --target FILE."
        )
    return from_profile(profile.value, base_url, where)


def load(url: str, path: Path | None, *, owned: bool, trust: Trust = USUAL) -> Target:
    """Return the target at `url`, with the profile in a file, or the server's own one.

    Raises TargetError if its profile is invalid, ForbiddenError if it may not be tested.
    """
    base_url = check_url(url)
    if path is None:
        Target(base_url, ()).permit(owned=owned)  # before the first request
        return fetch(base_url, trust)
    found = from_file(path, base_url)
    found.permit(owned=owned)
    return found


TEMPLATE = """\
# What vorel-conformance may use on the server under test. This file contains keys: keep it out of version control.
# Clauses that need a missing entry are inconclusive. The report names the line to add.
base_url = "http://127.0.0.1:3000"

# Needed for app.vorel.ai: its owner has agreed to the test.
# agreed = true

[keys]
# Keys with both write scopes. One is enough; with twenty or more a run takes little more than a minute.
full = ["vapk_live_..."]
# Keys with both write scopes that nothing else uses, one to four. The kit exceeds the rate limit of each.
# burst = ["vapk_live_..."]
# A key without either write scope.
# read_only = "vapk_live_..."
# A key whose only write scope is the handoff's, and one whose only write scope is the CRM's.
# leads_only = "vapk_live_..."
# crm_only = "vapk_live_..."
# A key that was revoked.
# revoked = "vapk_live_..."
# A key of another tenant with the CRM's write scope and a CRM of its own.
# other_tenant = "vapk_live_..."

[leads]
# Ids of leads that the keys above can see. The kit hands each of them off many times.
own = ["00000000-0000-4000-8000-000000000000"]
# Ids of existing leads of another tenant.
# foreign = ["00000000-0000-4000-8000-000000000001"]

# Keys of tenants whose CRM fails in a known way, by the error that the API returns. Each needs the CRM's write scope.
# [soft_failures]
# no_crm_configured = "vapk_live_..."

# Only for a server whose limit differs from the contract's.
# [rate_limit]
# requests = 200
# window_s = 60
"""
