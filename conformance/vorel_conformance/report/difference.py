"""What changed from one report to another of the same kind, clause by clause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vorel_conformance.report.model import Report, shown_status

#: `broken` is the regression: worse than before. `unfixed`: as bad as before. `asked`: judged now and not before.
#: `unasked`: judged before and not now. In this order they are shown.
Kind = Literal["broken", "unasked", "unfixed", "asked", "repaired"]
KINDS: Mapping[Kind, str] = {
    "broken": "Broken since",
    "unasked": "No longer judged",
    "unfixed": "Broken as before",
    "asked": "Judged for the first time",
    "repaired": "Repaired",
}

_HARM = {"passed": 0, "accepted": 1, "warning": 1, "failed": 2}


@dataclass(frozen=True)
class Change:
    """One clause whose status is worth a line. A status is None in the report that does not have the clause."""

    kind: Kind
    clause: Mapping[str, Any]
    before: str | None
    now: str | None


def changes(old: Report, new: Report) -> list[Change]:
    """Return the changes, the worst kind first. Raises ValueError if the reports cannot be compared."""
    kinds = [report.get("kind", "server") for report in (old, new)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"one report is of a {kinds[0]}, the other of a {kinds[1]}; give two of the same kind")
    order = list(KINDS)
    return sorted(_changes(old, new), key=lambda change: order.index(change.kind))


def regressions(found: list[Change], *, strict: bool) -> list[Change]:
    """Return what fails a gate: clauses that failed only now; with `strict` also warnings, and what is not judged."""
    fails = ("failed", "warning") if strict else ("failed",)
    return [
        change
        for change in found
        if (change.kind == "broken" and change.now in fails) or (strict and change.kind == "unasked")
    ]


def _changes(old: Report, new: Report) -> Iterator[Change]:
    before = {clause["id"]: clause for clause in old["clauses"]}
    now = {clause["id"]: clause for clause in new["clauses"]}
    for name in [*now, *(each for each in before if each not in now)]:
        statuses = [_status(each[name]) if name in each else None for each in (before, now)]
        kind = _kind(*statuses)
        if kind is not None:
            yield Change(kind, now.get(name) or before[name], *statuses)


def _status(clause: Mapping[str, Any]) -> str:
    """Return the status of a clause, whatever level counted towards the verdict of its run (--level)."""
    status = shown_status(clause)
    return "warning" if status == "failed" and clause["level"] != "MUST" else status


def _kind(before: str | None, now: str | None) -> Kind | None:
    one, other = _HARM.get(before or ""), _HARM.get(now or "")
    if one is None:
        return None if other is None else "asked"
    if other is None:
        # An operation that a server does not offer any more is no clause that was forgotten.
        return None if now == "not_applicable" else "unasked"
    if other > one:
        return "broken"
    if other < one:
        return "repaired"
    return "unfixed" if one else None
