"""Request bodies: JSON and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from vorel_conformance.http import strict_json
from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import covers

# Changes that make the bytes of a valid body invalid JSON.
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "truncated JSON": lambda body: body[:-1],
    "JSON cut in the middle": lambda body: body[: len(body) // 2],
    "JSON with a trailing comma": lambda body: body[:-1] + b",}",
    "JSON in single quotes": lambda body: body.replace(b'"', b"'"),
    "two JSON values": lambda body: body + b" " + body,
    "JSON with garbage at the end": lambda body: body + b"]",
    "JSON with a comment": lambda body: b"/* x */ " + body,
    "JSON without quotes around names": lambda body: b"{reason: 1, object: 2}",
    "plain text": lambda body: b"please call back",
    "a form": lambda body: b"reason=x&object=contact",
    "markup": lambda body: b"<reason>x</reason>",
    "blanks": lambda body: b"   ",
    "bytes at random": lambda body: bytes(range(256)),
}


# Values of a field, and texts, that only some parsers accept.
NEARLY = {"NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "bytes beyond UTF-8": b'"\xff\xfe"'}
NOT_UTF8 = {"a UTF-8 sequence cut short": b'"\xc3("', "a surrogate in UTF-8": b'"\xed\xa0\x80"'}


@covers("body.json", requests=lambda size: len(BROKEN) * (1 + bool(size.own)), writes=False)
def test_broken_json(probe: Probe) -> None:
    for operation in probe.operations:
        if operation.takes_lead and not probe.target.own:
            continue
        for label, change in BROKEN.items():
            valid = strict_json.dumps(probe.handoff_body() if operation.takes_lead else probe.record_body())
            # The contract does not say whether blanks are a missing body or a broken one.
            statuses = {400, 200} if label == "blanks" and not operation.body_required else {400}
            probe.expect("body.json", f"{operation.id}: {label}", probe.request(operation, change(valid)), statuses)


@covers("body.strict", requests=lambda size: 4 + 2 * bool(size.own), writes=False)
def test_nearly_json(probe: Probe) -> None:
    for name, text in NEARLY.items() if probe.serves(probe.crm, "body.strict") else ():
        body = strict_json.dumps(probe.record_body(fields={"value": "HERE"})).replace(b'"HERE"', text)
        probe.expect("body.strict", f"fields contain {name}", probe.request(probe.crm, body), {400})
    if probe.target.own and probe.serves(probe.handoff, "body.strict"):
        for name, raw in NOT_UTF8.items():
            body = strict_json.dumps(probe.handoff_body(reason="HERE")).replace(b'"HERE"', raw)
            probe.expect("body.strict", f"reason has {name}", probe.request(probe.handoff, body), {400})


@covers("body.unknown-members", requests=lambda size: 2 + 2 * bool(size.own))
def test_unknown_members(probe: Probe) -> None:
    for name, value in (("x_source", "n8n"), ("metadata", {"a": [1]})):
        if probe.serves(probe.crm, "body.unknown-members"):
            record = probe.request(probe.crm, probe.record_body(**{name: value}))
            probe.expect("body.unknown-members", f"{name} in a CRM write", record, {200})
        if probe.target.own and probe.serves(probe.handoff, "body.unknown-members"):
            note = probe.request(probe.handoff, probe.handoff_body(**{name: value}))
            probe.expect("body.unknown-members", f"{name} in a handoff", note, {200})
