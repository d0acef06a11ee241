"""A violation as the report shows it: what was expected, what came, and a line that sends the request again."""

from __future__ import annotations

import base64
from typing import Any

from vorel_conformance.exchange import Exchange, Request
from vorel_conformance.report.curl import changed_key, curl_line
from vorel_conformance.report.redact import PLACEHOLDER
from vorel_conformance.session import Session, Violation
from vorel_conformance.templates import TEMPLATE, holds_template

SHOWN = 4096  # bytes of an answer that a report shows


def violation_entry(violation: Violation, session: Session) -> dict[str, Any]:
    """The report's entry for a violation; its request has no secrets, so that it can be replayed with a profile."""
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
        entry["curl"] = curl_of(exchange.request, session.target.base_url)
    else:
        entry["request"] = entry["response"] = None
        entry["curl"] = ""
    return entry


def request_entry(request: Request, base_url: str) -> dict[str, Any]:
    """A request in JSON. Bodies that are not UTF-8 stand in base64."""
    return {
        "method": request.method,
        "url": base_url + request.path,
        "path": request.path,
        "headers": [list(pair) for pair in request.headers],
        "key": request.key,
        **_body("body", request.body),
    }


def case_entry(exchange: Exchange) -> dict[str, Any]:
    """Any request of the run, in short: what was sent, without secrets, and the status that came (0: no answer)."""
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
    """An answer in JSON, its body cut for the reader; None when there was none."""
    if not exchange.answered:
        return None
    return {
        "status": exchange.status,
        "headers": [list(pair) for pair in exchange.headers],
        "body": exchange.body[:SHOWN].decode("utf-8", "replace"),
        "truncated": exchange.truncated or len(exchange.body) > SHOWN,
        "elapsed_s": round(exchange.elapsed, 3),
    }


def request_from(entry: dict[str, Any]) -> Request:
    """The request of a report's entry. KeyError or ValueError when the entry is not one of ours."""
    body = entry.get("body")
    if entry.get("body_base64") is not None:
        raw: bytes | None = base64.b64decode(entry["body_base64"], validate=True)
    else:
        raw = body.encode("utf-8") if isinstance(body, str) else None
    headers = tuple((str(name), str(value)) for name, value in entry["headers"])
    return Request(str(entry["method"]), str(entry["path"]), headers, raw, entry.get("key"))


def curl_of(request: Request, base_url: str) -> str:
    """A line for bash. A key that was changed on purpose is written so that it reproduces."""
    headers = [(name, _placeholder(value)) for name, value in request.headers]
    body = request.body or b""
    if holds_template(body):
        body = _placeholder(body.decode("utf-8")).encode("utf-8")
    return curl_line(request.method, base_url + _placeholder(request.path), headers, body)


def _placeholder(text: str) -> str:
    """Templates of keys as the variable of the shell; the reader sets it to the key named in the request."""
    return TEMPLATE.sub(lambda found: changed_key(found[2], int(found[3])) if found[2] else PLACEHOLDER, text)


def _body(name: str, body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {name: None}
    try:
        return {name: body.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(body).decode("ascii")}
