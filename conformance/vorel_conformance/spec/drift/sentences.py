"""The clauses of the kit beside another document: which lose their sentence, and which operations have no clause."""

from __future__ import annotations

from dataclasses import dataclass

from vorel_conformance.spec import clauses
from vorel_conformance.spec.drift.change import DriftError, Json, escaped, found
from vorel_conformance.spec.drift.operations import operations


@dataclass(frozen=True)
class Lost:
    """A clause whose sentence is not where it was."""

    clause: str
    pointer: str
    quote: str
    why: str


def lost(document: Json) -> list[Lost]:
    """Return the sentences that clauses quote and that are not in `document`, for servers and for integrations."""
    gone = []
    for clause in clauses.load_all().values():
        if clause.document != clauses.CONTRACT:
            continue
        for pointer, quote in sorted({clause.source([name]) for name in ("", *clause.places)}):
            try:
                if clauses.quoted(quote, found(document, pointer)):
                    continue
                why = "reads differently"
            except DriftError:
                why = "is gone"
            gone.append(Lost(clause.id, pointer, quote, why))
    return gone


def unclaimed(document: Json) -> list[str]:
    """Return the operations, such as `GET /api/v1/leads`, to which no clause points."""
    pointers = {
        place[0]
        for clause in clauses.load_all().values()
        for place in map(clause.source, ([name] for name in ("", *clause.places)))
    }
    return [
        f"{method.upper()} {path}"
        for method, path in operations(document)
        if not any(pointer.startswith(f"/paths/{escaped(path)}/{method}") for pointer in pointers)
    ]
