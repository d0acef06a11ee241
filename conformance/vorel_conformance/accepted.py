"""Accepted failures: breaches that somebody answers for, each with an end. A gate stays closed for everything else."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from vorel_conformance.report import model

_MEMBERS = ("clause", "reason", "owner", "expires")


class AcceptedError(Exception):
    """The file of accepted failures is wrong. Says which entry, which member, and what to write instead."""


@dataclass(frozen=True)
class Accepted:
    """One accepted failure. It counts up to and including the day `expires`."""

    clause: str
    reason: str
    owner: str
    expires: date


def load(path: Path) -> tuple[Accepted, ...]:
    """Read a file of accepted failures; AcceptedError names all that is wrong with it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AcceptedError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise AcceptedError(f"{path}: not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise AcceptedError(f"{path}: not a TOML file: {error}") from error
    if unknown := sorted(document.keys() - {"accepted"}):
        raise AcceptedError(f"{path}: {', '.join(unknown)}: not known here; each entry begins with [[accepted]]")
    entries = document.get("accepted", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AcceptedError(f"{path}: accepted: each entry begins with [[accepted]], in two pairs of brackets")
    problems = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        clause = entry.get("clause")
        found = _problems(entry)
        if isinstance(clause, str) and clause in seen:
            found.append("clause: an entry above has it already; keep one")
        seen.add(str(clause))
        name = f"entry {number} ({clause})" if isinstance(clause, str) else f"entry {number}"
        problems += [f"{path}: {name}: {problem}" for problem in found]
    if problems:
        raise AcceptedError("\n".join(problems))
    return tuple(Accepted(**entry) for entry in entries)


def _problems(entry: Mapping[str, Any]) -> list[str]:
    found = [f"{name}: not known here; an entry has {', '.join(_MEMBERS)}" for name in entry if name not in _MEMBERS]
    for name in _MEMBERS:
        value = entry.get(name)
        if value is None:
            found.append(f"{name}: missing")
        elif name == "expires":
            if type(value) is not date:  # a date with a time is a date, too, to isinstance
                found.append("expires: has to be a date without quotes and time, such as 2027-01-31")
        elif not isinstance(value, str) or not value.strip():
            found.append(f"{name}: has to be text that is not empty")
    return found


def apply(report: Mapping[str, Any], accepted: Sequence[Accepted], today: date) -> dict[str, Any]:
    """Mark the accepted breaches in a report and give the new report, with its verdict.

    An entry that is expired, names no breach of this run, or whose clause passes meanwhile is a problem, and problems
    fail the run: the file must not outlive its reasons.
    """
    statuses = {clause["id"]: clause["status"] for clause in report["clauses"]}
    entries, problems = [], []
    in_use = {}
    for entry in accepted:
        state, problem = _judge(entry, statuses.get(entry.clause), today)
        entries.append({**_as_json(entry), "clause": entry.clause, "state": state})
        if problem:
            problems.append(problem)
        if state == "in_use":
            in_use[entry.clause] = _as_json(entry)
    clauses = [
        {**clause, "accepted": in_use[clause["id"]]}
        if clause["id"] in in_use and clause["status"] in model.BREACHES
        else clause
        for clause in report["clauses"]
    ]
    marked = {**report, "clauses": clauses, "accepted": {"entries": entries, "problems": problems}}
    return {**marked, "verdict": model.verdict(marked)}


def _judge(entry: Accepted, status: str | None, today: date) -> tuple[str, str]:
    """The state of an entry, and what is wrong with it (nothing when it is in use)."""
    if today > entry.expires:
        return (
            "expired",
            f"{entry.clause}: expired on {entry.expires} ({entry.owner}); mend the server or accept anew",
        )
    if status == "passed":
        return "passing", f"{entry.clause}: passes meanwhile; take the entry out"
    if status is None:
        return "unused", f"{entry.clause}: this run has no such clause; correct the id or take the entry out"
    if status in ("inconclusive", "not_applicable"):
        why = f"ended {status.replace('_', ' ')}, so there is no failure to accept"
        return "unused", f"{entry.clause}: {why}; complete the target profile or take the entry out"
    # An error of the kit says nothing about the server: the entry may stay.
    return "in_use", ""


def _as_json(entry: Accepted) -> dict[str, str]:
    return {"reason": entry.reason, "owner": entry.owner, "expires": entry.expires.isoformat()}
