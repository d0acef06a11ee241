"""Accepted failures: violations that do not fail a run until a date, each with a reason and an owner."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from vorel_conformance.report import model
from vorel_conformance.spec.unknown_name import unknown_name

_MEMBERS = ("clause", "reason", "owner", "expires")


class AcceptedError(Exception):
    """The file of accepted failures is invalid. The message names entry, field and allowed values."""


@dataclass(frozen=True)
class Accepted:
    """One accepted failure. It is valid up to and including the day `expires`."""

    clause: str
    reason: str
    owner: str
    expires: date


def load(path: Path) -> tuple[Accepted, ...]:
    """Read a file of accepted failures. Raises AcceptedError with all problems of the file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AcceptedError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise AcceptedError(f"{path}: not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise AcceptedError(f"{path}: not a TOML file: {error}") from error
    for unknown in sorted(document.keys() - {"accepted"}):
        problem = unknown_name("field", unknown, ["accepted"])
        raise AcceptedError(f"{path}: {problem}; every entry must begin with [[accepted]]")
    entries = document.get("accepted", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AcceptedError(f"{path}: accepted: every entry must begin with [[accepted]], in double brackets")
    problems = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        clause = entry.get("clause")
        found = _problems(entry)
        if isinstance(clause, str) and clause in seen:
            found.append("clause: duplicate of an earlier entry; keep one")
        seen.add(str(clause))
        name = f"entry {number} ({clause})" if isinstance(clause, str) else f"entry {number}"
        problems += [f"{path}: {name}: {problem}" for problem in found]
    if problems:
        raise AcceptedError("\n".join(problems))
    return tuple(Accepted(**entry) for entry in entries)


def _problems(entry: Mapping[str, Any]) -> list[str]:
    found = [unknown_name("field", name, _MEMBERS) for name in entry if name not in _MEMBERS]
    for name in _MEMBERS:
        value = entry.get(name)
        if value is None:
            found.append(f"{name}: missing")
        elif name == "expires":
            if type(value) is not date:  # isinstance would accept a datetime too
                found.append("expires: must be a date without quotes and without a time, for example 2027-01-31")
        elif not isinstance(value, str) or not value.strip():
            found.append(f"{name}: must be a string that is not empty")
    return found


def apply(report: Mapping[str, Any], accepted: Sequence[Accepted], today: date) -> dict[str, Any]:
    """Return the report with its accepted failures marked, and with the new verdict.

    An entry is a problem if it has expired, if its clause passes, or if this run has no failure of its clause. Problems
    fail the run, so that no entry stays longer than it is needed.
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
    """Return the state of an entry and its problem, which is empty for an entry in use."""
    if today > entry.expires:
        return (
            "expired",
            f"{entry.clause}: expired on {entry.expires} ({entry.owner}); fix the server or renew the entry",
        )
    if status == "passed":
        return "passing", f"{entry.clause}: the clause passes; remove the entry"
    if status is None:
        return "unused", f"{entry.clause}: not a clause of this run; correct the id or remove the entry"
    if status in ("inconclusive", "not_applicable"):
        why = f"is {status.replace('_', ' ')}, so there is no failure to accept"
        return "unused", f"{entry.clause}: {why}; complete the target profile or remove the entry"
    # A fault of the kit is no verdict on the server: the entry may stay.
    return "in_use", ""


def _as_json(entry: Accepted) -> dict[str, str]:
    return {"reason": entry.reason, "owner": entry.owner, "expires": entry.expires.isoformat()}
