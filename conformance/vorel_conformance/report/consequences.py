"""Which violations of an integration follow from others: report/causes.py asks, and tells those with their cause.

An integration breaks several clauses in one situation because of one mistake: after an answer that it does not
understand it has no outcome. The catalogue says what may follow from what (`follows`). A violation follows from another
clause only in a situation in which that one is violated too. A report lists some violations of a clause only, but all
situations (`situations`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vorel_conformance.report.model import BREACHES, Report, shown_status
from vorel_conformance.spec import clauses

#: What shows in this many times as many situations is no consequence of what shows in few: it is the cause of that.
_WIDER = 2
#: The groups of clauses that are violated when an answer is not understood.
_UNDERSTANDING = ("answers", "limit")

Situations = Mapping[str, frozenset[str]]


def situations_of(report: Report) -> Situations:
    """Return the situations in which each clause is violated, by its id. Empty for a report on a server."""
    return {
        clause["id"]: frozenset(clause.get("situations") or _listed(clause))
        for clause in report["clauses"]
        if shown_status(clause) in BREACHES
    }


def _listed(clause: Mapping[str, Any]) -> Iterator[str]:
    return (violation["situation"] for violation in clause["violations"] if "situation" in violation)


def owners(clause: str, situation: str, violated: Situations) -> set[str]:
    """Return the clauses whose cause a violation in this situation has; its own clause if it follows from no other."""
    found: set[str] = set()
    asked, waiting = {clause}, [clause]
    while waiting:
        one = waiting.pop()
        here = _causes_in(one, situation, violated)
        if not here:
            found.update(_causes_anywhere(one, violated) or [one])
        waiting += [other for other in here if other not in asked]
        asked.update(here)
    return found or {clause}


def _causes_in(clause: str, situation: str, violated: Situations) -> list[str]:
    """Return the clauses from which a violation in this situation follows, because they are violated there too."""
    return [other for other in _direct(clause, violated) if situation in violated[other]]


def _causes_anywhere(clause: str, violated: Situations) -> list[str]:
    """Return the clauses whose violations, wherever they show, have the same cause as all violations of this one.

    Those that the catalogue names (`same_as`); and, if this one is about an answer that was not understood, those that
    show where it does, and by themselves in many more situations. An integration that crashes after every error crashes
    after an error in HTML, too: not the HTML is the cause.
    """
    known = clauses.load_all().get(clause)
    if known is None:
        return []
    found = [other for other in known.same_as if other in violated]
    if known.group not in _UNDERSTANDING:
        return found
    for other, places in violated.items():
        if clause in _direct(other, violated) and places >= violated[clause]:
            alone = [each for each in places if not _causes_in(other, each, violated)]
            if len(alone) > _WIDER * len(violated[clause]):
                found.append(other)
    return found


def _direct(clause: str, violated: Situations) -> list[str]:
    """Return the violated clauses from which a violation of this one may follow."""
    known = clauses.load_all().get(clause)
    return [other for other in known.follows if other in violated] if known else []
