"""The envelope of errors.

Most of it is checked on every exchange (`checks.response`). The tests here send the requests that it needs besides.
"""

from __future__ import annotations

from vorel_conformance.http.exchange import Request
from vorel_conformance.session.probe import Probe
from vorel_conformance.session.served import not_served, outcome
from vorel_conformance.suite import covers

# All are the same media type: its name is case-insensitive, and JSON is UTF-8 without the charset too.
SPELLINGS = ("application/json; charset=utf-8", 'application/json;charset="UTF-8"', "Application/JSON")
MISTAKEN_MEDIA_TYPES = ("text/plain", "application/x-www-form-urlencoded", "application/xml")


@covers("envelope.wrong-media-type", requests=6)
def test_wrong_media_type(probe: Probe) -> None:
    for operation in probe.operations:
        for media_type in MISTAKEN_MEDIA_TYPES:
            # `checks.response` judges the status. Whether the server reads the body is its own choice.
            probe.send(probe.valid(operation, content_type=media_type), f"Content-Type: {media_type}")


@covers("fuzz.valid-accepted", requests=lambda size: len(SPELLINGS) * (1 + bool(size.own)))
def test_spellings_of_the_media_type(probe: Probe) -> None:
    for operation in probe.operations:
        if operation.takes_lead and not probe.target.own:
            continue
        for media_type in SPELLINGS:
            request = probe.valid(operation, content_type=media_type)
            probe.expect("fuzz.valid-accepted", f"Content-Type: {media_type}", request, {200})


@covers("envelope.other-methods", requests=5, writes=False)
def test_other_methods(probe: Probe) -> None:
    for operation in probe.operations:
        valid = probe.valid(operation)
        for method in ("GET", "PUT"):
            body = None if method == "GET" else valid.body
            _nothing_here(probe, Request(method, valid.path, valid.headers, body, valid.key))
    valid = probe.valid(probe.crm)
    _nothing_here(probe, Request(valid.method, "/api/v1/vorel-conformance", valid.headers, valid.body, valid.key))


def _nothing_here(probe: Probe, request: Request) -> None:
    exchange = probe.send(request)
    if not exchange.responded or exchange.status in (429, 401) or exchange.status >= 500 or exchange.unknown_coding:
        probe.session.gap("envelope.other-methods", f"{request.method}: {exchange.undecoded or outcome(exchange)}")
        return
    where = f"{request.method} {request.path.partition('?')[0]}"
    value = exchange.parsed.value
    error = value.get("error") if isinstance(value, dict) else None
    enveloped = isinstance(error, dict) and isinstance(error.get("code"), str) and isinstance(error.get("message"), str)
    ok = exchange.status in (404, 405) and enveloped
    got = f"HTTP {exchange.status}, {'an' if enveloped else 'no'} envelope"
    probe.check(
        "envelope.other-methods", ok, f"{where}: {got}", exchange, expected="404 or 405 in the envelope", got=got
    )


@covers("handoff.served", "crm.served", requests=lambda size: 2 + (not size.own))
def test_each_operation_is_served(probe: Probe) -> None:
    for operation, clause in ((probe.handoff, "handoff.served"), (probe.crm, "crm.served")):
        dead = not_served(probe, operation)
        got = outcome(dead) if dead else ""
        message = f"{operation.id}: every request leads to {got}, even one without a key"
        probe.check(clause, dead is None, message, dead, expected="the responses of the operation", got=got)


@covers(
    "envelope.json-media-type",
    "envelope.strict-json",
    "envelope.content-encoding",
    "envelope.shape",
    "envelope.code",
    "envelope.code-matches-status",
    "envelope.message-readable",
    "envelope.message-safe",
    "envelope.declared-status",
    requests=lambda size: 9 + 2 * ("read_only" in size.singles),
)
def test_one_of_each(probe: Probe) -> None:
    """Cause every declared status except 429, so that the checks of every response have evidence."""
    for operation in probe.operations:
        probe.send(probe.valid(operation))
        probe.send(probe.request(operation, []))
        probe.send(probe.valid(operation, key=""))
        probe.send(probe.valid(operation, key="random.0"))
        if operation.takes_lead:
            probe.send(probe.valid(operation, lead=probe.unknown_lead()))
        if "read_only" in probe.target.single:
            probe.send(probe.valid(operation, key="read_only"))
