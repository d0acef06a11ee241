"""What is wrong with a server, before which clauses are violated: violations that have one cause, put together.

One mistake violates several clauses, and leaves others without evidence. Violations are taken for one cause if they are
of the same clause, if they deviate in the same way (same operation, same status instead of the same one, because of the
same member), or if the same responses show them. A clause that many mistakes can violate (`broad`) says nothing of
which one it was: its violations are looked at one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vorel_conformance.http import strict_json
from vorel_conformance.report.consequences import Situations, owners, situations_of
from vorel_conformance.report.model import BREACHES, Report, key_hint, shown_status
from vorel_conformance.session.judging import GENERATED, LATE
from vorel_conformance.spec import clauses, contract
from vorel_conformance.spec.contract import Operation

#: Two groups of violations are one if at least this part of the responses that show either shows both.
_SHARED = 0.5
_LEVELS = {"MUST": 0, "SHOULD": 1, "advisory": 2}
_ENVELOPE = '{"error": {"code": "bad_request", "message": "..."}}'
_NUMBER = re.compile(r"-[0-9]+$")
_SEE = re.compile(r"see ([a-z0-9-]+\.[a-z0-9-]+)")

Violation = Mapping[str, Any]


@dataclass(frozen=True)
class _Breach:
    """A violation with its clause."""

    clause: Mapping[str, Any]
    violation: Violation

    @property
    def exchange(self) -> object:
        return self.violation.get("exchange")


def causes(report: Report) -> list[dict[str, Any]]:
    """Return the causes of the violations of a report, the most harmful first, as the report has them."""
    made = [cause for cause, _ in _made(report)]
    for clause in report["clauses"]:
        if clause["status"] == "inconclusive" and (hider := _hider(clause, made)):
            hider["hides"].append(clause["id"])
    return made


def violations(report: Report) -> dict[str, list[tuple[str, int]]]:
    """Return the violations of each cause by its id: the clause, and the place among its violations."""
    return {
        cause["id"]: [
            (each.clause["id"], index)
            for each in group
            for index, violation in enumerate(each.clause["violations"])
            if violation is each.violation
        ]
        for cause, group in _made(report)
    }


def clause_of(cause: str) -> str:
    """Return the clause that says most of a cause with this id."""
    return _NUMBER.sub("", cause)


def _made(report: Report) -> list[tuple[dict[str, Any], list[_Breach]]]:
    situations = situations_of(report)
    groups = sorted(_groups(report, situations), key=_harm)
    made = [(_cause(group, situations), group) for group in groups]
    seen: Counter[str] = Counter()
    for cause, _ in made:
        seen[cause["id"]] += 1
        if seen[cause["id"]] > 1:
            cause["id"] += f"-{seen[cause['id']]}"
    return made


def _groups(report: Report, situations: Situations) -> list[list[_Breach]]:
    breaches = [
        _Breach(clause, violation)
        for clause in report["clauses"]
        if shown_status(clause) in BREACHES
        for violation in clause["violations"]
        if not violation.get("accepted")
    ]
    return _sharing(_joined(breaches, situations))


def _signs(breach: _Breach, violated: Situations) -> Iterator[object]:
    """Yield what a violation has in common with others of the same cause."""
    clause = clauses.load_all().get(breach.clause["id"])
    if "situation" in breach.violation:
        for owner in owners(breach.clause["id"], breach.violation["situation"], violated):
            yield "clause", owner
        return
    if clause is None or not clause.broad or _is_late(breach.clause):
        yield "clause", breach.clause["id"]
    for other in clause.follows if clause else ():
        yield "clause", other
    deviations = _deviations(breach.violation)
    yield from deviations
    if not deviations and clause is not None and clause.broad:
        yield "clause", breach.clause["id"], breach.violation["message"]


def _is_late(clause: Mapping[str, Any]) -> bool:
    """Return True if a clause was kept at first, and violated late in the run: that is one mistake."""
    return all(LATE in str(violation["message"]) for violation in clause["violations"])


def _deviations(violation: Violation) -> list[tuple[object, ...]]:
    """Return how the status deviates from what was expected, once for each member that it may be about.

    An empty list: it does not deviate, or nothing is known of it.
    """
    request, response, case = violation.get("request"), violation.get("response"), violation.get("case")
    if not request or not response:
        return []
    status = response["status"]
    operation = contract.load().operation(request["method"], str(request["path"]).partition("?")[0])
    if operation is None:
        return []
    # A crash, a status that is nowhere declared, or a rejection that is not about the body: mostly one place in the
    # server, whatever the operation.
    if status >= 500:
        return [("crash",)]
    if status not in operation.statuses:
        return [("undeclared", status)]
    if not case or status in case["statuses"]:
        return []
    if status in (401, 403, 429):
        return [("rejected", status)]
    wanted = tuple(case["statuses"])
    return [("status", operation.id, wanted, status, each) for each in _members(operation, request, response)]


def _members(operation: Operation, request: Mapping[str, Any], response: Mapping[str, Any]) -> list[str]:
    """Return the members of the body that a deviation is about: the invalid ones, or the one that the answer names."""
    members = operation.body["properties"]
    if sent := request.get("body"):
        body = strict_json.parse(sent.encode("utf-8", "replace"))
        if invalid := ["body"] if body.error else _invalid(operation, body.value):
            return invalid
    answered = strict_json.parse(response["body"].encode("utf-8", "replace")).value
    error = answered.get("error") if isinstance(answered, dict) else None
    message = error.get("message") if isinstance(error, dict) else ""
    named = [name for name in members if re.search(rf"\b{re.escape(name)}\b", str(message))]
    return named[:1] or [""]


def _invalid(operation: Operation, body: Any) -> list[str]:
    """Return the members that make a body invalid, `body` if it is the whole, or nothing if it is valid."""
    errors = list(contract.validator_of(dict(operation.body)).iter_errors(body))
    if not errors:
        return []
    if not isinstance(body, dict):
        return ["body"]
    found = [str(error.instance_path[0]) for error in errors if error.instance_path]
    found += [name for name in operation.body.get("required", ()) if name not in body]
    return list(dict.fromkeys(found)) or ["body"]


def _joined(breaches: Iterable[_Breach], violated: Situations) -> list[list[_Breach]]:
    """Return the breaches in groups: in one are those that have a sign in common, also by way of others."""
    groups: list[list[_Breach]] = []
    owner: dict[object, list[_Breach]] = {}
    for breach in breaches:
        signs = list(_signs(breach, violated))
        found = list({id(owner[sign]): owner[sign] for sign in signs if sign in owner}.values())
        group = found[0] if found else []
        if not found:
            groups.append(group)
        group.append(breach)
        for other in found[1:]:
            group += other
            groups.remove(other)
            owner = {sign: group if kept is other else kept for sign, kept in owner.items()}
        owner |= dict.fromkeys(signs, group)
    return groups


def _sharing(groups: list[list[_Breach]]) -> list[list[_Breach]]:
    """Join groups that mostly the same responses show."""
    made: list[list[_Breach]] = []
    for group in groups:
        numbers = _exchanges(group)
        for other in made:
            theirs = _exchanges(other)
            if numbers and len(numbers & theirs) >= _SHARED * len(numbers | theirs):
                other += group
                break
        else:
            made.append(list(group))
    return made


def _exchanges(group: Iterable[_Breach]) -> set[object]:
    return {breach.exchange for breach in group if breach.exchange is not None}


def _harm(group: list[_Breach]) -> tuple[int, int]:
    return min(_LEVELS[breach.clause["level"]] for breach in group), -len(group)


def _cause(group: list[_Breach], situations: Situations) -> dict[str, Any]:
    violated = {breach.clause["id"] for breach in group}
    main = min(group, key=lambda breach: (_is_consequence(breach, violated, situations), *_weight(breach)))
    ids = dict.fromkeys([main.clause["id"], *(breach.clause["id"] for breach in group)])
    like_main = [each for each in group if each.clause is main.clause]
    shown = min(like_main, key=lambda each: (_is_consequence(each, violated, situations), *_size(each))).violation
    found = {
        "id": main.clause["id"],
        "title": _title(shown),
        "level": min((breach.clause["level"] for breach in group), key=lambda level: _LEVELS[level]),
        "clauses": list(ids),
        "hides": [],
        "fix": _fix(main.clause, shown),
        "pointer": shown.get("pointer", main.clause["pointer"]),
        "quote": shown.get("quote", main.clause["quote"]),
        "request": shown.get("request"),
        "expected": shown["expected"],
        "got": shown["got"],
        "curl": shown.get("curl", ""),
        "violation": main.clause["violations"].index(shown),
    }
    if "document" in main.clause:
        found["document"] = main.clause["document"]
    if "situation" in shown:
        found["situation"] = shown["situation"]
    return found


def _is_consequence(breach: _Breach, violated: set[str], situations: Situations) -> bool:
    """Return True if another violated clause brings this one with it: that one says more of the cause."""
    id_ = breach.clause["id"]
    if "situation" in breach.violation:
        return owners(id_, breach.violation["situation"], situations) != {id_}
    clause = clauses.load_all().get(id_)
    return clause is not None and bool(violated & set(clause.follows))


def _weight(breach: _Breach) -> tuple[bool, int, bool, bool, bool, int]:
    """Sort what says most of a cause first: clauses that are about one thing, MUST before SHOULD, short requests."""
    clause = clauses.load_all().get(breach.clause["id"])
    return bool(clause and clause.broad), _LEVELS[breach.clause["level"]], *_size(breach)


def _size(breach: _Breach) -> tuple[bool, bool, bool, int]:
    """Sort requests that a reader can repeat first, then those whose label says what they are, then those that need no
    long run before them, then short ones.
    """
    message = str(breach.violation["message"])
    curl = breach.violation.get("curl", "")
    repeatable = curl and ("VOREL_API_KEY" not in curl or key_hint(breach.violation))
    return not repeatable, GENERATED in message, LATE in message, len(curl)


def _operation(violation: Violation) -> Operation | None:
    """Return the operation of the request that shows a violation."""
    request = violation.get("request")
    return contract.load().operation(request["method"], str(request["path"]).partition("?")[0]) if request else None


def _title(violation: Violation) -> str:
    request, operation = violation.get("request"), _operation(violation)
    where = operation.id if operation else f"{request['method']} {request['path']}" if request else ""
    message = str(violation["message"])
    if "situation" in violation:
        return f"{message} ({violation['situation']})"
    return message if not where or where in message else f"{where}: {message}"


def _fix(clause: Mapping[str, Any], violation: Violation) -> str:
    """Return what to change, in a sentence or two."""
    known = clauses.load_all().get(clause["id"])
    case, response = violation.get("case"), violation.get("response")
    if case and response and response["status"] not in case["statuses"]:
        wanted = " or ".join(map(str, case["statuses"]))
        if case["statuses"][0] >= 400 > response["status"]:
            return f"Reject this request with HTTP {wanted}."
        if 200 in case["statuses"]:
            return f"Accept this request with HTTP {wanted}: it is valid."
        return f"Answer this request with HTTP {wanted}, not {response['status']}.{_envelope(clause)}"
    operation = _operation(violation)
    if response and operation and response["status"] not in operation.statuses:
        declared = f"Answer this request with a status that the contract declares, not {response['status']}."
        return declared + _envelope(clause)
    if clause["id"] == "envelope.names-field":
        return f"Name the field: answer with {violation['expected']}."
    if known is None:
        return ""
    return f"{'Do' if 'situation' in violation else 'Answer'} it like this: {known.passing}"


def _envelope(clause: Mapping[str, Any]) -> str:
    return f" Use the envelope: {_ENVELOPE}" if clause["id"].startswith("envelope.") else ""


def _hider(clause: Mapping[str, Any], made: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the cause that leaves a clause without evidence; None if there is none, or the profile is incomplete."""
    reason = str(clause.get("reason", ""))
    if not made or "profile" in reason:
        return None
    named = set(_SEE.findall(reason))
    group = clause["id"].partition(".")[0]
    for fits in (
        lambda cause: named & set(cause["clauses"]),
        lambda cause: any(each.startswith(f"{group}.") for each in cause["clauses"]),
        lambda cause: cause["level"] == "MUST",
    ):
        found = next(filter(fits, made), None)
        if found:
            return found
    return made[0]
