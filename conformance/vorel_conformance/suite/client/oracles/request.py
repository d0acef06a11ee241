"""Oracles for single requests: form, and whether what the task says arrives unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vorel_conformance.checks.response import Check
from vorel_conformance.http.attempt import Attempt
from vorel_conformance.spec import contract
from vorel_conformance.suite.client.observation import Observation
from vorel_conformance.suite.client.oracles.common import body_of, is_over_limit, longest, name_of, same, shown
from vorel_conformance.suite.client.tasks import HANDOFF, Task

_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z]+)(?P<blanks> +)(?P<token>\S+)")


def form(observation: Observation) -> Iterator[Check]:
    """Method, path, credentials, media type, JSON and schema of each request."""
    for attempt in observation.attempts:
        if attempt.problem:
            yield Check("request.http", False, "what came is no HTTP request", "a request", attempt.problem)
            continue
        yield Check("request.http", True, "")
        yield from _target(attempt)
        yield from _credentials(attempt, observation.key)
        if attempt.sent is not None:
            yield from _body(observation, attempt)


def _target(attempt: Attempt) -> Iterator[Check]:
    operations = contract.load().operations.values()
    here = [each for each in operations if each.pattern.fullmatch(attempt.path)]
    got = f"{attempt.method} {attempt.path}"
    yield Check(
        "request.declared",
        bool(here),
        f"{got}: the contract declares no such path",
        " or ".join(each.path for each in operations),
        got,
    )
    if here:
        ok = attempt.method in [each.method for each in here]
        yield Check("request.method", ok, f"{got}: not the method of the operation", here[0].method, attempt.method)


def _credentials(attempt: Attempt, key: str) -> Iterator[Check]:
    values = [value for name, value in attempt.headers if name.lower() == "authorization"]
    expected = "Authorization: Bearer and the key, with one space, once"
    if len(values) != 1:
        problem = "there is no Authorization header" if not values else f"there are {len(values)} Authorization headers"
    else:
        found = _CREDENTIALS.fullmatch(values[0])
        problem = (
            "the value is not a scheme and a token"
            if not found
            else f"the scheme is {found['scheme']}"
            if found["scheme"].lower() != "bearer"
            else f"there are {len(found['blanks'])} spaces after Bearer"
            if len(found["blanks"]) > 1
            else "the token is not the key that was given"
            if key and found["token"] != key
            else ""
        )
    yield Check("request.bearer", not problem, f"Authorization: {problem}", expected, problem)


def _body(observation: Observation, attempt: Attempt) -> Iterator[Check]:
    operation = attempt.operation
    if operation is None:
        return
    if not attempt.body:
        if operation.body_required:
            yield Check("request.schema", False, "the request has no body", "a body", "none")
        return
    media_type = (attempt.header("Content-Type") or "").partition(";")[0].strip().lower()
    yield Check(
        "request.media-type",
        media_type == contract.MEDIA_TYPE,
        f"Content-Type is {media_type or 'absent'}",
        contract.MEDIA_TYPE,
        media_type or "no Content-Type",
    )
    error = attempt.parsed.error
    yield Check("request.strict-json", not error, f"the body is not strict JSON: {error}", "strict JSON", error)
    if error:
        return
    task = next((each for each in observation.tasks if attempt in observation.of(each)), None)
    if task and is_over_limit(task):
        return  # it cannot be valid, and is judged by request.over-limit
    found = next(iter(contract.validator(_schema(operation)).iter_errors(attempt.parsed.value)), None)
    where = "/".join(map(str, found.instance_path)) if found else ""
    message = f"{where or 'the body'}: {found.message}" if found else ""
    yield Check(
        "request.schema", found is None, f"not valid by the schema: {message}", "a valid body", message, place=where
    )


def _schema(operation: contract.Operation) -> str:
    """Return the pointer to the schema of an operation's body."""
    schemas = contract.load().document["components"]["schemas"]
    return f"/components/schemas/{next(name for name, each in schemas.items() if each is operation.body)}"


def content(observation: Observation) -> Iterator[Check]:
    """Lead, texts, object and fields: what the task says, in each attempt."""
    if not observation.told:
        return  # what was to be done is not known
    leads = {task.lead_id for task in observation.tasks_of(HANDOFF)}
    for attempt in observation.attempts:
        if attempt.lead:
            expected = "the id of a task, as given"
            yield Check(
                "request.lead", attempt.lead in leads, f"the lead {attempt.lead} is of no task", expected, attempt.lead
            )
    for task in observation.tasks:
        attempts = [each for each in observation.of(task) if each.sent is not None and not each.parsed.error]
        if task.do == HANDOFF:
            # A handoff without body has no text at all.
            attempts += [each for each in observation.of(task) if each.sent is not None and not each.body]
            for member in ("reason", "summary"):
                yield from _text(observation, task, member, attempts)
        else:
            for attempt in attempts:
                yield from _record(task, attempt)


def _text(observation: Observation, task: Task, member: str, attempts: list[Attempt]) -> Iterator[Check]:
    wanted = getattr(task, member)
    limit = longest(member)
    if wanted is None:
        for attempt in attempts:
            sent = shown(body_of(attempt).get(member))
            yield Check(
                "request.left-out",
                member not in body_of(attempt),
                f"{name_of(task)}: {member} is {sent}, but the task has none",
                f"no {member}: the API writes its default into the audit log",
                f"{member} is {sent}",
                place=member,
            )
        return
    clause = (
        "request.over-limit"
        if len(wanted) > limit
        else "request.at-limit"
        if len(wanted) == limit
        else f"request.{member}"
    )
    for attempt in attempts:
        got: Any = body_of(attempt).get(member)
        cut = isinstance(got, str) and len(got) < len(wanted) and len(wanted) >= limit
        yield Check(
            clause,
            same(got, wanted),
            f"{name_of(task)}: {member} {'is cut to ' + str(len(str(got))) + ' characters' if cut else 'is changed'}",
            shown(wanted),
            shown(got) if member in body_of(attempt) else f"no {member}",
            place=member,
        )
    if not attempts and clause in ("request.over-limit", "request.at-limit"):
        outcome = observation.outcome(task)
        refused = outcome is not None and not outcome.done
        if clause == "request.over-limit":
            # Not sent: that it is not reported done is judged by answers.honest.
            if refused:
                yield Check(clause, True, "")
        elif refused:
            yield Check(
                clause,
                False,
                f"{name_of(task)}: was not sent, although {member} is not too long",
                f"a {member} of {limit} characters is sent",
                "refused before sending",
                place=member,
            )


def _record(task: Task, attempt: Attempt) -> Iterator[Check]:
    body = body_of(attempt)
    yield Check(
        "request.object",
        same(body.get("object"), task.object),
        f"{name_of(task)}: object is {shown(body.get('object'))}",
        shown(task.object),
        shown(body.get("object")),
    )
    fields = body.get("fields")
    if not isinstance(fields, dict):
        return  # request.schema
    for name, wanted in (task.fields or {}).items():
        yield Check(
            "request.fields",
            name in fields and same(fields[name], wanted),
            f"{name_of(task)}: the field {shown(name)} {'is changed' if name in fields else 'is missing'}",
            f"{shown(name)}: {shown(wanted)}",
            f"{shown(name)}: {shown(fields[name])}" if name in fields else "no such field",
        )


ORACLES = (form, content)
