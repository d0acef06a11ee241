"""Report files, and what `replay` takes from one. Somebody else may have written it: nothing in it is trusted.

Only requests that the kit itself could have sent are taken from it. A report cannot choose where a key goes: not the
server, not another resource of the server, not another header than those in which the kit tries a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vorel_conformance import report
from vorel_conformance.http import strict_json, urls
from vorel_conformance.http.exchange import Request
from vorel_conformance.http.placeholders import PLACEHOLDER, holds_placeholder
from vorel_conformance.http.redact import KEY_VARIABLE
from vorel_conformance.report.entries import request_from
from vorel_conformance.session.judging import Expectation
from vorel_conformance.spec import clauses, contract
from vorel_conformance.spec.contract import validator_of
from vorel_conformance.suite.server.test_auth import HEADERS, MEMBERS, QUERIES

LARGEST = 64 << 20  # bytes
MOST_VALUES = 2_000_000
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
# A path that the kit makes up has a segment with its name, so that it is never the path of a real resource.
_MADE_UP = re.compile(r"/([^/]+/)*vorel-conformance[^/]*(/[^/]*)*")
_DOT_SEGMENT = re.compile(r"(?i)/(\.|%2e){1,2}(/|$)")
_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
# They decide which server reads a request, and where it ends.
_FRAMING = {"host", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive"}
_WITH_KEYS = {"authorization", *(name.lower() for name in HEADERS)}


class ReportError(Exception):
    """The report cannot be replayed. The message says why, and what to do."""


@dataclass(frozen=True)
class Item:
    """One violation of a report, to be asked for again: by its request, or by its test."""

    clause: str
    message: str
    test: str
    request: Request | None
    expectation: Expectation | None


@dataclass(frozen=True)
class ReportFile:
    """What a replay needs of a report. `target` is a base URL in its normal form."""

    target: str
    seed: int
    items: tuple[Item, ...]


def load(path: Path) -> ReportFile:
    """Read a JSON report. Raises ReportError if the file is not one, or contains a request that the kit never sends."""
    found = read(path)
    try:
        target = urls.base(found["target"])
    except urls.AddressError as error:
        raise ReportError(f"{path}: target: {error}") from error
    items = []
    for entry in found["clauses"]:
        for number, violation in enumerate(entry["violations"]):
            place = f"{path}: {entry['id']}: violations[{number}]"
            if entry["id"] not in clauses.load():
                raise ReportError(f"{path}: {entry['id']}: not a clause of this release")
            items.append(_item(entry["id"], violation, place))
    return ReportFile(target, found["seed"], tuple(items))


def read(path: Path) -> dict[str, Any]:
    """Return a JSON report, which has the form that the schema describes. Raises ReportError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(raw) > LARGEST:
        raise ReportError(f"{path}: longer than {LARGEST >> 20} MiB, which no report of a run is")
    parsed = strict_json.parse(raw, most_values=MOST_VALUES)
    if parsed.error:
        raise ReportError(f"{path}: not JSON: {parsed.error.removeprefix('not JSON: ')}")
    found = parsed.value
    problem = next(validator_of(report.schema()).iter_errors(found), None)
    if problem:
        place = "/".join(map(str, problem.instance_path)) or "the document"
        raise ReportError(f"{path}: not a report of vorel-conformance: {place}: {problem.message[:200]}")
    result: dict[str, Any] = found
    return result


def _item(clause: str, violation: Mapping[str, Any], place: str) -> Item:
    request = expectation = None
    if violation["request"]:
        try:
            request = request_from(violation["request"])
        except (KeyError, ValueError, TypeError) as error:
            raise ReportError(f"{place}: a damaged request: {error}") from error
        if problem := _problem(request):
            raise ReportError(f"{place}: the kit never sends such a request: {problem}. Nothing was sent.")
        if _is_redacted(request):
            request = None  # its test can be run again
        elif case := violation.get("case"):
            expectation = Expectation(case["clause"], case["label"], frozenset(case["statuses"]), case["field"])
    return Item(clause, violation["message"], violation.get("test", ""), request, expectation)


def _problem(request: Request) -> str:
    """Return why the kit could not have sent a request, or an empty string."""
    path, _, query = request.path.partition("?")
    if request.method not in METHODS:
        return f"the method {request.method[:40]!r}; allowed: {', '.join(METHODS)}"
    if not path.startswith("/") or _DOT_SEGMENT.search(path) or not _is_known(path):
        return f"the path {request.path[:200]!r}; allowed: the operations of the contract"
    # Keys go into the query as `?api_key=${full.0}`, and nowhere else in the path.
    name, _, value = query.partition("=")
    if PLACEHOLDER.search(path) or (PLACEHOLDER.search(query) and not (name in QUERIES and _is_key(value))):
        return f"a key in the path {request.path[:200]!r}"
    for name, value in request.headers:
        if not _NAME.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            return f"the header {name[:100]!r}: an invalid character"
        if name.lower() in _FRAMING or (name.lower() == "connection" and value.lower() != "close"):
            return f"the header {name}"
        if PLACEHOLDER.search(value) and name.lower() not in _WITH_KEYS:
            return f"a key in the header {name}"
    if request.body and holds_placeholder(request.body):
        body = strict_json.parse(request.body).value
        if not isinstance(body, dict):
            return "a key in a body that is not a JSON object"
        for member, value in body.items():
            text = strict_json.dumps({member: value}).decode("utf-8", "replace")
            if PLACEHOLDER.search(text) and not (member in MEMBERS and _is_key(value)):
                return f"a key in the member {member[:100]!r} of the body"
    return ""


def _is_redacted(request: Request) -> bool:
    """True if the report shows a request without a secret that was in it."""
    texts = (request.path, *(value for _, value in request.headers), (request.body or b"").decode("utf-8", "replace"))
    return any(KEY_VARIABLE in text for text in texts)


def _is_known(path: str) -> bool:
    operations = contract.load().operations.values()
    return any(each.pattern.fullmatch(path) for each in operations) or _MADE_UP.fullmatch(path) is not None


def _is_key(value: object) -> bool:
    return isinstance(value, str) and PLACEHOLDER.fullmatch(value) is not None
