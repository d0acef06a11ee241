"""Accepted failures: violations that do not fail a run until a date, each with a reason and an owner."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from vorel_conformance.report import causes, model
from vorel_conformance.spec.unknown_name import unknown_name

LARGEST = 1 << 20  # bytes
_MEMBERS = ("clause", "cause", "reason", "owner", "expires")
_NAMES = ("clause", "cause")  # what an entry accepts: one of them


class AcceptedError(Exception):
    """The file of accepted failures is invalid. The message names entry, field and allowed values."""


@dataclass(frozen=True)
class Accepted:
    """One accepted failure: every violation of a clause, or those of a cause. It is valid up to and including the day
    `expires`.
    """

    clause: str
    reason: str
    owner: str
    expires: date
    cause: str = ""

    @property
    def name(self) -> str:
        """The id of the clause or the cause."""
        return self.clause or self.cause


def load(path: Path) -> tuple[Accepted, ...]:
    """Read a file of accepted failures. Raises AcceptedError with all problems of the file."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise AcceptedError(f"{path}: longer than {LARGEST >> 20} MiB, which no file of accepted failures is")
        document = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise AcceptedError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise AcceptedError(f"{path}: not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AcceptedError(f"{path}: not a TOML file: {error}") from error
    for unknown in sorted(document.keys() - {"accepted"}):
        problem = unknown_name("field", unknown, ["accepted"])
        raise AcceptedError(f"{path}: {problem}; every entry must begin with [[accepted]]")
    entries = document.get("accepted", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AcceptedError(f"{path}: accepted: every entry must begin with [[accepted]], in double brackets")
    problems = []
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries, 1):
        kind = "cause" if "cause" in entry else "clause"
        accepts = entry.get(kind)
        found = _problems(entry)
        if isinstance(accepts, str) and (kind, accepts) in seen:
            found.append(f"{kind}: duplicate of an earlier entry; keep one")
        seen.add((kind, str(accepts)))
        name = f"entry {number} ({accepts})" if isinstance(accepts, str) else f"entry {number}"
        problems += [f"{path}: {name}: {problem}" for problem in found]
    if problems:
        raise AcceptedError("\n".join(problems))
    return tuple(Accepted(**{"clause": "", **entry}) for entry in entries)


def _problems(entry: Mapping[str, Any]) -> list[str]:
    found = [unknown_name("field", name, _MEMBERS) for name in entry if name not in _MEMBERS]
    if all(name in entry for name in _NAMES):
        found.append("clause, cause: give one of them")
    for name in _MEMBERS:
        value = entry.get(name)
        if value is None and name in _NAMES:
            if name == "clause" and "cause" not in entry:
                found.append("clause: missing; give clause, or cause")
        elif value is None:
            found.append(f"{name}: missing")
        elif name == "expires":
            if type(value) is not date:  # isinstance would accept a datetime too
                found.append("expires: must be a date without quotes and without a time, for example 2027-01-31")
        elif not isinstance(value, str) or not value.strip():
            found.append(f"{name}: must be a string that is not empty")
    return found


def apply(report: Mapping[str, Any], accepted: Sequence[Accepted], today: date) -> dict[str, Any]:
    """Return the report with its accepted failures marked, and with the new verdict.

    An entry is a problem if it has expired, if its clause passes, or if this run has no failure of its clause, or no
    such cause. Problems fail the run, so that no entry stays longer than it is needed.
    """
    by_cause = causes.violations(report) if any(entry.cause for entry in accepted) else {}
    statuses = {clause["id"]: clause["status"] for clause in report["clauses"]}
    entries, problems = [], []
    in_use: dict[str, dict[str, str]] = {}
    marks: dict[tuple[str, int], dict[str, str]] = {}  # of violations: the clause, and the place
    for entry in accepted:
        state, problem = _judge(entry, statuses, by_cause, today)
        entries.append({**_as_json(entry), "clause" if entry.clause else "cause": entry.name, "state": state})
        if problem:
            problems.append(problem)
        if state == "in_use" and entry.clause:
            in_use[entry.clause] = _as_json(entry)
        elif state == "in_use":
            marks |= dict.fromkeys(by_cause.get(entry.cause, ()), _as_json(entry))
    clauses = [
        {**clause, "accepted": in_use[clause["id"]]}
        if clause["id"] in in_use and clause["status"] in model.BREACHES
        else _marked(clause, marks)
        for clause in report["clauses"]
    ]
    marked = {**report, "clauses": clauses, "accepted": {"entries": entries, "problems": problems}}
    return {**marked, "verdict": model.verdict(marked)}


def _marked(clause: Mapping[str, Any], marks: Mapping[tuple[str, int], dict[str, str]]) -> Mapping[str, Any]:
    """Return a clause with its accepted violations marked. If all of them are accepted, so is the clause."""
    found = [
        {**violation, "accepted": mark} if (mark := marks.get((clause["id"], index))) else violation
        for index, violation in enumerate(clause["violations"])
    ]
    if found == clause["violations"]:
        return clause
    whole = {**clause, "violations": found}
    # Violations that the report does not list are like those that it lists.
    return {**whole, "accepted": found[0]["accepted"]} if all("accepted" in each for each in found) else whole


def _judge(
    entry: Accepted, statuses: Mapping[str, str], by_cause: Mapping[str, object], today: date
) -> tuple[str, str]:
    """Return the state of an entry and its problem, which is empty for an entry in use."""
    status = statuses.get(entry.clause or causes.clause_of(entry.cause))
    if today > entry.expires:
        return (
            "expired",
            f"{entry.name}: expired on {entry.expires} ({entry.owner}); fix the server or renew the entry",
        )
    what = "clause" if entry.clause else "cause"
    if status == "passed":
        return "passing", f"{entry.name}: the clause passes; remove the entry"
    if status is None:
        return "unused", f"{entry.name}: not a {what} of this run; correct the id or remove the entry"
    if status in ("inconclusive", "not_applicable"):
        why = f"is {status.replace('_', ' ')}, so there is no failure to accept"
        return "unused", f"{entry.name}: {why}; complete the target profile or remove the entry"
    if entry.cause and status in model.BREACHES and entry.cause not in by_cause:
        known = ", ".join(sorted(by_cause))
        return "unused", f"{entry.name}: not a cause of this run, which has {known}; correct the id or remove the entry"
    # A fault of the kit is no verdict on the server: the entry may stay.
    return "in_use", ""


def _as_json(entry: Accepted) -> dict[str, str]:
    return {"reason": entry.reason, "owner": entry.owner, "expires": entry.expires.isoformat()}
