"""The JSON report of a session, and its entries for clauses, violations, requests and responses."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from vorel_conformance import __version__
from vorel_conformance.http import urls
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.placeholders import PLACEHOLDER, holds_placeholder, is_made_up, resolve
from vorel_conformance.http.redact import KEY_VARIABLE, redactor
from vorel_conformance.report.curl import changed_key, curl_line, made_up_key
from vorel_conformance.report.model import verdict
from vorel_conformance.session.results import ClauseResult
from vorel_conformance.session.session import Session, Violation
from vorel_conformance.spec import contract
from vorel_conformance.spec.clauses import CONTRACT

SHOWN = 4096  # bytes of a response that a report shows


def report_of(session: Session, started: datetime, duration_s: float) -> dict[str, Any]:
    """Return the JSON report of a session, without any secret. Adds a reason to inconclusive clauses without one."""
    document = contract.load()
    results = list(session.results.values())
    for result in results:
        if result.status == "inconclusive" and not result.gaps:
            result.gaps.append("the run saw no evidence of the kind that this clause needs")
    found: dict[str, Any] = {
        "tool": {"name": "vorel-conformance", "version": __version__},
        "contract": {"version": document.version, "sha256": document.sha256},
        "target": session.target.base_url,
        "seed": session.seed,
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": round(duration_s, 1),
        "requests": len(session.client.exchanges),
        "verdict": "",
        "clauses": [clause_entry(session, each) for each in results],
        "writes": session.writes,
        "retried": session.client.retried,
        "cases": [case_entry(each) for each in session.client.exchanges],
    }
    if session.client.trust.insecure:
        found["unverified"] = True
    if session.client.outages:
        found["outages_s"] = [round(seconds, 1) for seconds in session.client.outages]
    if session.stopped:
        found["stopped"] = session.stopped
    found["verdict"] = verdict(found)
    return redactor(session.target.secrets)(found)


def clause_entry(session: Session, result: ClauseResult[Violation]) -> dict[str, Any]:
    """Return the report's entry for a clause."""
    clause = result.clause
    # A clause about several members quotes the one that is violated.
    places = result.violations[0].places if result.violations else ()
    entry = result_entry(result, [violation_entry(each, session) for each in result.violations], places)
    pointer, quote = entry["pointer"], entry["quote"]
    for found, violation in zip(entry["violations"], result.violations, strict=True):
        if clause.source(violation.places) != (pointer, quote):
            found["pointer"], found["quote"] = clause.source(violation.places)
    return entry


def result_entry(
    result: ClauseResult[Any], violations: list[dict[str, Any]], places: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the report's entry for the result of a clause, of a server or of an integration."""
    clause = result.clause
    pointer, quote = clause.source(places)
    entry: dict[str, Any] = {
        "id": clause.id,
        "title": clause.title,
        "level": clause.level,
        "pointer": pointer,
        "quote": quote,
        "status": result.status,
        "checks": result.checks,
        "duration_s": round(result.duration_s, 3),
        "violations": violations,
    }
    if clause.document != CONTRACT:
        entry["document"] = clause.document
    reason = "; ".join(result.errors) or result.not_applicable
    if result.status == "inconclusive":
        reason = "; ".join(result.gaps[:5])
    if reason:
        entry["reason"] = reason
    if result.broken > len(violations):
        entry["violations_total"] = result.broken
    return entry


def violation_entry(violation: Violation, session: Session) -> dict[str, Any]:
    """Return the report's entry for a violation. Its request has no secrets and can be replayed with a profile."""
    check = violation.check
    entry: dict[str, Any] = {
        "message": check.message,
        "expected": check.expected,
        "got": check.got,
        "test": violation.test,
    }
    if violation.expectation:
        entry["case"] = {
            "label": violation.expectation.label,
            "clause": violation.expectation.clause,
            "statuses": sorted(violation.expectation.statuses),
            "field": violation.expectation.field,
        }
    if violation.flaky:
        entry["flaky"] = {"failed": violation.flaky[0], "of": violation.flaky[1]}
    if violation.exchange:
        exchange = violation.exchange
        entry["exchange"] = exchange.number
        entry["request"] = request_entry(exchange.request, session.target.base_url)
        entry["response"] = response_entry(exchange)
        if exchange.failure:
            entry["failure"] = exchange.failure
        options = session.client.trust.curl_options
        request = exchange.request
        if check.clause == "envelope.content-encoding":  # the transport asks for it in each request, and curl in none
            request = replace(request, headers=(*request.headers, ("Accept-Encoding", "identity")))
        entry["curl"] = curl_of(request, session.target.base_url, session.seed, options)
    else:
        entry["request"] = entry["response"] = None
        entry["curl"] = ""
    return entry


def request_entry(request: Request, base_url: str) -> dict[str, Any]:
    """Return a request as JSON. A body that is not UTF-8 is in base64."""
    return {
        "method": request.method,
        "url": urls.join(base_url, request.path),
        "path": request.path,
        "headers": [list(pair) for pair in request.headers],
        "key": request.key,
        **_body("body", request.body),
    }


def case_entry(exchange: Exchange) -> dict[str, Any]:
    """Return the short entry for a request of the run: without secrets, with the status (0: no response)."""
    request = exchange.request
    return {
        "exchange": exchange.number,
        "method": request.method,
        "path": request.path,
        "headers": [list(pair) for pair in request.headers if pair[0] not in ("User-Agent", "Accept")],
        **_body("body", request.body),
        "status": exchange.status,
    }


def response_entry(exchange: Exchange) -> dict[str, Any] | None:
    """Return a response as JSON, its body shortened for the reader. None without a response."""
    if not exchange.responded:
        return None
    return {
        "status": exchange.status,
        "headers": [list(pair) for pair in exchange.headers],
        "body": exchange.body[:SHOWN].decode("utf-8", "replace"),
        "truncated": exchange.truncated or len(exchange.body) > SHOWN,
        "elapsed_s": round(exchange.elapsed, 3),
    }


def request_from(entry: dict[str, Any]) -> Request:
    """Return the request of a report's entry. Raises KeyError or ValueError if the entry is damaged."""
    body = entry.get("body")
    if entry.get("body_base64") is not None:
        raw: bytes | None = base64.b64decode(entry["body_base64"], validate=True)
    else:
        raw = body.encode("utf-8") if isinstance(body, str) else None
    headers = tuple((str(name), str(value)) for name, value in entry["headers"])
    return Request(str(entry["method"]), str(entry["path"]), headers, raw, entry.get("key"))


def curl_of(request: Request, base_url: str, seed: int, options: Iterable[str] = ()) -> str:
    """Return a curl line for bash that reproduces the request, including deliberate changes of the key.

    `seed`: of the run, which has made up keys. `options`: further arguments of curl.
    """

    def in_bash(text: str) -> str:
        """Replace placeholders by the shell variable, which the reader sets to the key that the request names."""
        return PLACEHOLDER.sub(expression, text)

    def expression(found: re.Match[str]) -> str:
        name, change, number = found.groups()
        if is_made_up(name):
            return made_up_key(resolve(found[0], None, seed))
        return changed_key(change, int(number)) if change else KEY_VARIABLE

    headers = [(name, in_bash(value)) for name, value in request.headers]
    body = request.body or b""
    if holds_placeholder(body):
        body = in_bash(body.decode("utf-8")).encode("utf-8")
    return curl_line(request.method, in_bash(urls.join(base_url, request.path)), headers, body, options=options)


def _body(name: str, body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {name: None}
    try:
        return {name: body.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(body).decode("ascii")}
