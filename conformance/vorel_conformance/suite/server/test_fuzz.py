"""Generated requests: valid ones are accepted, invalid ones are rejected, and none causes a server error."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

from vorel_conformance.http import strict_json
from vorel_conformance.session.judging import GENERATED
from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import covers, fuzzing

DEEP = (60, 90, 500, 5_000, 20_000)
# Values of a member. The server may accept or reject them, but with a declared status.
AWKWARD = {
    "a lone surrogate": b'"\\ud83d"',
    "a reversed surrogate pair": b'"\\ude00\\ud83d"',
    "NUL": b'"a\\u0000b"',
    "a number beyond every range": b"1e400",
    "a number of 5000 digits": b"9" * 5000,
    "a duplicate member": b'{"a": 1, "a": 2}',
    "noncharacters": '"\ufffe\uffff\U0010ffff"'.encode(),
    "the last characters of the planes": '"\ud7ff\ue000\ufffd\U0001fffd\U000e0001"'.encode(),
    "a very long name": b'{"' + b"n" * 30_000 + b'": 1}',
    "a byte order mark": b'"\xef\xbb\xbf"',
}


@covers("fuzz.no-server-error", requests=2 * len(DEEP) + len(AWKWARD))
def test_awkward_values(probe: Probe) -> None:
    """Only the checks of every response apply: the server may accept or reject these, but must not fail."""
    template = strict_json.dumps(probe.record_body(fields={"value": "HERE"}))
    values = (
        {f"lists nested {n} deep": b"[" * n + b"]" * n for n in DEEP}
        | {f"objects nested {n} deep": b'{"a":' * n + b"1" + b"}" * n for n in DEEP}
        | AWKWARD
    )
    for name, value in values.items():
        probe.send(probe.request(probe.crm, template.replace(b'"HERE"', value)), f"fields with {name}")


@covers("fuzz.no-server-error", requests=lambda size: len(AWKWARD) * bool(size.own))
def test_awkward_texts(probe: Probe) -> None:
    if probe.target.own:
        template = strict_json.dumps(probe.handoff_body(reason="HERE"))
        for name, value in AWKWARD.items():
            probe.send(probe.request(probe.handoff, template.replace(b'"HERE"', value)), f"reason is {name}")


@covers("fuzz.no-server-error", requests=lambda size: 5 + 6 * bool(size.own) + ("read_only" in size.singles))
def test_awkward_requests(probe: Probe) -> None:
    """Only the checks of every response apply: these requests are unusual as a whole, or invalid in two ways."""
    for operation in probe.operations:
        if operation.takes_lead and not probe.target.own:
            continue
        valid = probe.valid(operation)
        body = valid.body or b""
        probe.send(replace(valid, body=b"\xef\xbb\xbf" + body), "a byte order mark before the body")
        probe.send(replace(valid, body=body.decode().encode("utf-16")), "a body in UTF-16")
        probe.send(replace(valid, path=f"{valid.path}?trace=1&page[]=%00&q=%F0%9F%98%80"), "unknown query parameters")
        probe.send(probe.request(operation, body, content_type=None), "a body without a Content-Type")
        forwarded = probe.request(operation, body, headers=[("X-Forwarded-For", "127.0.0.1, ::1")])
        probe.send(forwarded, "the header X-Forwarded-For")
        if operation.takes_lead:
            request = probe.request(operation, {"reason": 7}, lead=probe.unknown_lead())
            probe.send(request, "an invalid body for an unknown lead")
    if "read_only" in probe.target.single:
        probe.send(probe.request(probe.crm, b"{", key="read_only"), "broken JSON with the key read_only")


WRONG: tuple[Any, ...] = (7, None, [])  # for any member


@covers("fuzz.invalid-refused", requests=lambda size: 3 * len(WRONG) + len(WRONG) * bool(size.own), writes=False)
def test_two_errors(probe: Probe) -> None:
    """Two wrong members at once, in all pairs: generated bodies rarely have them."""
    for operation in probe.operations:
        if operation.takes_lead and not probe.target.own:
            continue
        body = probe.handoff_body() if operation.takes_lead else probe.record_body()
        for one, other in itertools.combinations(operation.body["properties"], 2):
            for wrong in WRONG:
                request = probe.request(operation, {**body, one: wrong, other: wrong})
                probe.expect("fuzz.invalid-refused", f"{one} and {other} are {json.dumps(wrong)}", request, {400})


@covers("fuzz.valid-accepted", "fuzz.no-server-error", requests=lambda size: size.fuzz)
def test_valid_crm_writes(probe: Probe) -> None:
    _generated(probe, "crm", valid=True)


@covers("fuzz.invalid-refused", "fuzz.no-server-error", requests=lambda size: size.fuzz, writes=False)
def test_invalid_crm_writes(probe: Probe) -> None:
    _generated(probe, "crm", valid=False)


@covers("fuzz.valid-accepted", "fuzz.no-server-error", requests=lambda size: size.fuzz * bool(size.own))
def test_valid_handoffs(probe: Probe) -> None:
    if probe.target.own:
        _generated(probe, "handoff", valid=True)


@covers("fuzz.invalid-refused", "fuzz.no-server-error", requests=lambda size: size.fuzz * bool(size.own), writes=False)
def test_invalid_handoffs(probe: Probe) -> None:
    if probe.target.own:
        _generated(probe, "handoff", valid=False)


def _generated(probe: Probe, kind: str, *, valid: bool) -> None:
    operation = probe.crm if kind == "crm" else probe.handoff
    clause = "fuzz.valid-accepted" if valid else "fuzz.invalid-refused"
    count = probe.session.fuzz_count
    bodies = fuzzing.bodies(operation.id, valid, probe.session.seed, count)
    requests = [probe.request(operation, fuzzing.marked(body, probe.session.seed)) for body in bodies]
    label = f"{GENERATED} {'valid' if valid else 'invalid'} body"
    status = 200 if valid else 400
    probe.each(lambda request: probe.expect(clause, label, request, {status}), requests)
    fuzzing.shrink_violations(probe, clause, operation.id, valid=valid, label=label, status=status)
