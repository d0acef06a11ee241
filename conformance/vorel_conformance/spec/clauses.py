"""The catalogues of clauses, for servers and for integrations: server.toml and client.toml."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vorel_conformance.spec.unknown_name import unknown_name

SERVER, CLIENT = "server", "client"
CATALOGUES = {kind: Path(__file__).with_name(f"{kind}.toml") for kind in (SERVER, CLIENT)}
CONTRACT = "openapi.json"
LEVELS = ("MUST", "SHOULD", "advisory")


@dataclass(frozen=True)
class Clause:
    """One requirement for a server or an integration, and the sentence that it comes from."""

    id: str
    level: str
    title: str
    pointer: str
    quote: str
    why: str
    how: str
    passing: str
    failing: str
    document: str = CONTRACT
    """What is quoted. In any other document than the contract there is no pointer."""
    does: str = ""
    """What an integration must do for this clause to apply: handoff, crm or webhooks. Empty: handoff or crm."""
    server_error: bool = False
    """True if a server error violates the clause, because a crash is the failure that it looks for."""
    broad: bool = False
    """True if many different mistakes violate the clause, so that a violation alone does not tell which it was."""
    follows: tuple[str, ...] = ()
    """Clauses whose violation brings a violation of this one with it."""
    same_as: tuple[str, ...] = ()
    """Clauses that the same mistake of an integration violates in other situations."""
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Pointer and quote for a violation by a certain member, header or operation, if the clause has several."""

    def source(self, names: Iterable[str] = ()) -> tuple[str, str]:
        """Return pointer and quote for the first of `names` that has its own, otherwise those of the clause."""
        place = next((self.places[name] for name in names if name in self.places), None)
        return (place["pointer"], place["quote"]) if place else (self.pointer, self.quote)

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.id.split(".", 1)[0]


@cache
def load(kind: str = SERVER) -> dict[str, Clause]:
    """Return all clauses for servers or for integrations by id, in the order of the file."""
    entries = tomllib.loads(CATALOGUES[kind].read_text(encoding="utf-8"))["clause"]
    return {
        entry["id"]: Clause(**entry | {name: tuple(entry.get(name, ())) for name in ("follows", "same_as")})
        for entry in entries
    }


def load_all() -> dict[str, Clause]:
    """Return the clauses of both catalogues. No id is in both."""
    return {id_: each for kind in CATALOGUES for id_, each in load(kind).items()}


def select(wanted: tuple[str, ...], kind: str = SERVER) -> dict[str, Clause]:
    """Return the clauses named by id or group, all for an empty tuple. Raises ValueError for an unknown one."""
    clauses = load(kind)
    groups = dict.fromkeys(each.group for each in clauses.values())
    for name in wanted:
        if name not in clauses and name not in groups:
            problem = unknown_name("clause or group", name, [*groups, *clauses])
            raise ValueError(f"{problem} (`vorel-conformance clauses` lists them all)")
    return {id_: each for id_, each in clauses.items() if not wanted or id_ in wanted or each.group in wanted}


def quoted(quote: str, value: Any) -> bool:
    """Return True if `value` contains the quote: a string as it is, anything else as JSON without white space."""
    if isinstance(value, str):
        return quote in value
    return "".join(quote.split()) in "".join(json.dumps(value, ensure_ascii=False).split())
