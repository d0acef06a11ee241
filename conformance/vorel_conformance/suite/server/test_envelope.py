"""The envelope of errors.

Most of it is checked on every exchange (`checks.response`). The tests here send the requests that it needs besides.
"""

from __future__ import annotations

from dataclasses import replace

from vorel_conformance.checks import response
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.session.probe import NO_KEY, Probe, with_header
from vorel_conformance.session.served import not_served, outcome
from vorel_conformance.spec.contract import Operation
from vorel_conformance.suite import covers

# All are the same media type: its name is case-insensitive, and JSON is UTF-8 without the charset too.
SPELLINGS = (
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "application/json ; charset=utf-8",  # RFC 9110, 5.6.6: white space may stand on both sides of the semicolon
    "Application/JSON",
)
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


@covers("envelope.other-methods", requests=7, writes=False)
def test_other_methods(probe: Probe) -> None:
    for operation in probe.operations:
        valid = probe.valid(operation)
        for method in ("GET", "PUT"):
            body = None if method == "GET" else valid.body
            _nothing_here(probe, Request(method, valid.path, valid.headers, body, valid.key))
        # A path that only begins like the operation's.
        _nothing_here(probe, Request(valid.method, f"{valid.path}x", valid.headers, valid.body, valid.key))
    valid = probe.valid(probe.crm)
    _nothing_here(probe, Request(valid.method, "/api/v1/vorel-conformance", valid.headers, valid.body, valid.key))


# What a browser sends. Many frameworks respond to it with a page, above all if there is an error.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@covers("envelope.accept", requests=14)
def test_accept_of_a_browser(probe: Probe) -> None:
    for operation in probe.operations:
        # Two requests of each kind: the second one must be no replay of the first.
        pairs = [
            (probe.valid(operation), probe.valid(operation)),
            (probe.valid(operation, key=NO_KEY), probe.valid(operation, key=NO_KEY)),
            (probe.request(operation, []), probe.request(operation, [])),
        ]
        if operation.takes_lead:
            lead = probe.unknown_lead()
            pairs.append((probe.valid(operation, lead=lead), probe.valid(operation, lead=lead)))
        for one, other in pairs:
            usual, found = probe.send(one), probe.send(with_header(other, "Accept", BROWSER))
            # What is wrong for any Accept has clauses of its own.
            if not response.is_declared_json(usual) or not found.responded or found.status in (429, *range(500, 600)):
                probe.session.gap_unless_seen("envelope.accept", f"{operation.id}: {outcome(found)}")
                continue
            media_type = found.header("Content-Type") or "no Content-Type"
            message = f"{operation.id} with the Accept of a browser: HTTP {found.status}, {media_type}"
            got = response.text(found.body)
            ok = response.is_declared_json(found)
            probe.check("envelope.accept", ok, message, found, expected="a JSON document", got=got)


@covers("envelope.json-media-type", "envelope.strict-json", "envelope.shape", requests=8)
def test_accept_of_a_client_that_takes_anything(probe: Probe) -> None:
    """`checks.response` judges the responses like any others: curl sends */*, and some clients no Accept."""
    for operation in probe.operations:
        for accept in ("*/*", None):
            probe.send(probe.valid(operation, accept=accept))
            probe.send(probe.valid(operation, accept=accept, key=NO_KEY))


GETS = 2


@covers("envelope.safe-get", requests=lambda size: GETS * (1 + bool(size.own)), writes=False)
def test_get_performs_nothing(probe: Probe) -> None:
    for operation in probe.operations:
        if operation.takes_lead and not probe.has("own", "envelope.safe-get"):
            continue
        lead = probe.lead()
        found = []
        for _ in range(GETS):
            valid = probe.valid(operation, lead=lead)
            # Without a body where the operation needs none, like a browser.
            found.append(probe.send(replace(valid, method="GET", body=valid.body if operation.body_required else None)))
        if any(not each.responded or each.status in (401, 429) or each.status >= 500 for each in found):
            probe.session.gap("envelope.safe-get", f"GET {operation.path}: {outcome(found[-1])}")
            continue
        ids = [_performed(operation, each) for each in found]
        # A GET that reads an earlier handoff has the same id each time, or one that a POST has made.
        made = all(ids) and len(set(ids)) == len(ids) and not probe.session.cross_exchange.knows(ids)
        message = f"GET {operation.path} performs {operation.id}: {' and '.join(map(str, ids))}"
        got = f"HTTP {found[-1].status}, another id each time"
        probe.check(
            "envelope.safe-get", not made, message, found[-1], expected="404 or 405", got=got, place=operation.id
        )


def _performed(operation: Operation, exchange: Exchange) -> str | None:
    """Return the id that a response to GET has if the operation was performed, or None."""
    value = exchange.parsed.value
    if not 200 <= exchange.status < 300 or not isinstance(value, dict):
        return None
    found = value.get("handoff_id") if operation.takes_lead else value.get("ok") is True and value.get("external_id")
    return found if isinstance(found, str) and found else None


def _nothing_here(probe: Probe, request: Request) -> None:
    exchange = probe.send(request)
    if not exchange.responded or exchange.status in (429, 401) or exchange.status >= 500 or exchange.unknown_coding:
        probe.session.gap("envelope.other-methods", f"{request.method}: {exchange.undecoded or outcome(exchange)}")
        return
    where = f"{request.method} {request.path.partition('?')[0]}"
    expected, got, problem = "404 or 405 with the envelope", outcome(exchange), ""
    if exchange.status not in (404, 405):
        problem = got
    elif broken := next((each for each in response.outside(exchange, probe.target) if not each.ok), None):
        problem = broken.message if broken.message.startswith(got) else f"{got}: {broken.message}"
        expected, got = broken.expected, broken.got
    probe.check("envelope.other-methods", not problem, f"{where}: {problem}", exchange, expected=expected, got=got)


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
