"""The CRM write: its body, its response, and replays."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.target import LINES
from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import When, covers
from vorel_conformance.suite.values import (
    COMBINED,
    PLAIN,
    SUSPICIOUS,
    WIDE,
    WRONG_FOR_OBJECT,
    WRONG_FOR_STRING,
    blanks_around,
    of_length,
)


def nested(depth: int) -> Any:
    """Return objects and lists nested `depth` deep."""
    value: Any = "bottom"
    for n in range(depth):
        value = {"level": value} if n % 2 else [value]
    return value


FREE_FIELDS: dict[str, dict[str, Any]] = {
    "empty": {},
    "one canonical name": {"email": "ada@example.com"},
    "unknown names": {
        "x_unheard_of": "1",
        "CamelCase": "2",
        "with blank": "3",
        "": "4",
        "dotted.name": "5",
        "$ref": "#",
    },
    "every type of value": {
        "s": "x",
        "i": 7,
        "f": 1.5,
        "t": True,
        "n": None,
        "l": [1, "a", None],
        "o": {"a": {"b": []}},
    },
    "nested 30 deep": {"deep": nested(30)},
    "300 names": {f"field_{n}": n for n in range(300)},
    "1000 names": {f"f{n}": "" for n in range(1000)},
    "3000 names": {f"f{n}": n for n in range(3000)},
    "a long value": {"note": "x" * 100_000},
    "names that stores reserve": {"id": "7", "_id": "7", "type": "x", "created_at": "never", "version": -1},
    "values that do not fit their names": {"email": "none", "phone": "none", "website": "none", "amount": "none"},
    "international names and values": {
        "\u540d\u524d": "\u6f22\u5b57",
        "\u0438\u043c\u044f": "\u0410\u0434\u0430",
        "\U0001f600": "\U0001f680",
    },
    "right to left and combining": {
        "name": "\u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0639\u0631\u0628\u064a\u0629 e\u0301\u0302"
    },
    "large and small numbers": {
        "big": 2**63,
        "bigger": 10**30,
        "negative": -(2**63) - 1,
        "small": 1e-300,
        "large": 1e300,
    },
    "control characters": {"name": "a\tb\nc\u0001\u007f"},
    "names of the envelope": {"object": "lead", "fields": {}, "idempotency_key": "", "ok": False, "error": "x"},
    "texts that gateways mistake for attacks": SUSPICIOUS,
    "zeros": {"a": 0, "b": -0.0, "c": 0.0, "d": "0", "e": "", "f": False},
    "names of prototypes": {"constructor": "x", "__proto__": {"admin": True}, "toString": "x"},
}


WRITES_BETWEEN = 100  # a write and its late replay
AT_ONCE, ROUNDS = 4, 3  # replays at the same time


@covers("crm.ok", "crm.success", requests=2)
def test_a_write(probe: Probe) -> None:
    """The checks of every response do the work. A tenant whose CRM always fails has no success to show."""
    for _ in range(2):
        exchange = probe.send(probe.valid(probe.crm))
        if exchange.status == 200 and _soft(exchange):
            _no_success(probe, "crm.success")


@covers("crm.record-url", requests=1)
def test_record_url(probe: Probe) -> None:
    exchange = probe.send(probe.valid(probe.crm))
    value = exchange.parsed.value
    if exchange.status == 200 and isinstance(value, dict) and "record_url" not in value:
        probe.session.does_not_apply("crm.record-url", "no response has a record_url, and it is optional")


@covers("crm.objects", requests=5)
def test_each_object(probe: Probe) -> None:
    for kind in _kinds(probe):
        probe.expect("crm.objects", f"object {kind}", probe.request(probe.crm, probe.record_body(object=kind)), {200})


@covers("crm.object-enum", requests=16, writes=False)
def test_other_objects(probe: Probe) -> None:
    first = _kinds(probe)[0]
    others = (
        "",
        "company",
        "ticket",
        "task",
        "null",
        f"{first} ",
        f" {first}",
        f"{first}s",
        f"{first}\n",
        f"{first}\0",
        f"{first}\0x",
        f"{first},lead",
        "0",
        "*",
        *_capitals(first),
    )
    for kind in others:
        request = probe.request(probe.crm, probe.record_body(object=kind))
        probe.expect("crm.object-enum", f"object {kind!r}", request, {400}, field="object")


def _capitals(kind: str) -> tuple[str, str]:
    return kind.capitalize(), kind.upper()


@covers("crm.required", requests=5, writes=False)
def test_required_members(probe: Probe) -> None:
    for member in probe.crm.body["required"]:
        body = probe.record_body()
        del body[member]
        probe.expect("crm.required", f"no {member}", probe.request(probe.crm, body), {400}, field=member)
    probe.expect("crm.required", "no member", probe.request(probe.crm, {}), {400})
    probe.expect("crm.required", "members of another name", probe.request(probe.crm, {"Object": "contact"}), {400})


@covers("crm.body-required", requests=2 + len(WRONG_FOR_OBJECT), writes=False)
def test_body_is_required(probe: Probe) -> None:
    probe.expect("crm.body-required", "no body", probe.request(probe.crm), {400})
    headers = [("Content-Type", "application/json")]
    probe.expect("crm.body-required", "no body, but a Content-Type", probe.request(probe.crm, headers=headers), {400})
    for name, value in WRONG_FOR_OBJECT.items():
        body = b"null" if value is None else value
        probe.expect("crm.body-required", f"the body is {name}", probe.request(probe.crm, body), {400})


@covers("crm.key-length", requests=10)
def test_length_of_idempotency_key(probe: Probe) -> None:
    schema = probe.crm.body["properties"]["idempotency_key"]
    shortest, longest = schema["minLength"], schema["maxLength"]
    for length in (
        shortest - 1,
        shortest,
        shortest + 1,
        longest - 1,
        longest,
        longest + 1,
        longest + 2,
        2 * longest + 1,
    ):
        # The shortest keys have no room for a marker. They are random, so that two runs do not share a record.
        mark = probe.marker() if length > 2 else chr(0x4E00 + probe.rng.randrange(20_000)) * length
        request = probe.request(probe.crm, probe.record_body(idempotency_key=of_length(mark, length)))
        status = 200 if shortest <= length <= longest else 400
        probe.expect("crm.key-length", f"{length} characters", request, {status}, field="idempotency_key")
    for name, text in blanks_around(longest).items():
        request = probe.request(probe.crm, probe.record_body(idempotency_key=text))
        probe.expect("crm.key-length", name, request, {400}, field="idempotency_key")


@covers("crm.characters", requests=2 * len(WIDE) + 2 * len(PLAIN) + len(SUSPICIOUS) + 7)
def test_characters_of_idempotency_key(probe: Probe) -> None:
    longest = probe.crm.body["properties"]["idempotency_key"]["maxLength"]
    for name, character in WIDE.items():
        for length, status in ((longest, 200), (longest + 1, 400)):
            # The first character is random, so that two runs do not share a record. The rest is measured.
            key = chr(0x4E00 + probe.rng.randrange(20_000)) + character * (length - 1)
            request = probe.request(probe.crm, probe.record_body(idempotency_key=key))
            probe.expect("crm.characters", f"{length} {name} characters", request, {status}, field="idempotency_key")
    for count, status in ((longest // 2 - 1, 200), (longest // 2, 400)):
        key = f"{probe.rng.randrange(16):x}" + COMBINED * count
        key += "x" * (longest - 1 - 2 * count) if status == 200 else ""
        label = f"{len(key)} characters, each second one combining"
        request = probe.request(probe.crm, probe.record_body(idempotency_key=key))
        probe.expect("crm.characters", label, request, {status}, field="idempotency_key")
    for name, text in PLAIN.items():
        for count, status in ((longest // len(text) - 1, 200), (longest // len(text) + 1, 400)):
            key = chr(0x4E00 + probe.rng.randrange(20_000)) + text * count
            label = f"{len(key)} characters, {name}"
            request = probe.request(probe.crm, probe.record_body(idempotency_key=key))
            probe.expect("crm.characters", label, request, {status}, field="idempotency_key")
    for name, key in {
        **{name: f"{text} {probe.marker()}"[:longest] for name, text in SUSPICIOUS.items()},
        "a zero": "0",
        "the word null": "null",
        "the word false": "false",
        "blanks": " " * probe.rng.randint(2, 200),
        "control characters": 'a\nb\tc\u0001\u007f\\"',
    }.items():
        request = probe.request(probe.crm, probe.record_body(idempotency_key=key))
        probe.expect("crm.characters", f"an idempotency_key of {name}", request, {200})


@covers(
    "crm.types", "envelope.names-field", requests=2 * len(WRONG_FOR_STRING) + len(WRONG_FOR_OBJECT) + 1, writes=False
)
def test_types_of_record(probe: Probe) -> None:
    for member, schema in probe.crm.body["properties"].items():
        wrong = WRONG_FOR_OBJECT if schema["type"] == "object" else WRONG_FOR_STRING
        for name, value in wrong.items():
            request = probe.request(probe.crm, probe.record_body(**{member: value}))
            probe.expect("crm.types", f"{member} is {name}", request, {400}, field=member)
    listed = probe.request(probe.crm, probe.record_body(object=_kinds(probe)[:1]))
    probe.expect("crm.types", "object is a list with one valid value", listed, {400}, field="object")


@covers("crm.fields-free", requests=len(FREE_FIELDS))
def test_fields_are_free(probe: Probe) -> None:
    for label, fields in FREE_FIELDS.items():
        probe.expect(
            "crm.fields-free", f"fields: {label}", probe.request(probe.crm, probe.record_body(fields=fields)), {200}
        )


@covers(
    "crm.soft-failure",
    "crm.soft-failure-status",
    "crm.soft-failure-name",
    "crm.error-token",
    requests=lambda size: 2 * size.soft_failures,
)
def test_soft_failures(probe: Probe) -> None:
    for error in probe.target.soft_failures:
        for _ in range(2):
            request = probe.valid(probe.crm, key=f"soft.{error}")
            exchange = probe.expect("crm.soft-failure-status", f"the key for {error}", request, {200})
            if exchange.status == 429:
                # Limited again after waiting, on a key with few requests: this is the CRM's limit, not the API's.
                message = f"the key for {error}: HTTP 429 after every wait"
                probe.check("crm.soft-failure-status", False, message, exchange, expected="HTTP 200", got="HTTP 429")
            if exchange.status != 200 or exchange.parsed.error:
                continue
            value = exchange.parsed.value
            got = value.get("error") if isinstance(value, dict) else None
            ok = isinstance(value, dict) and value.get("ok") is False and got == error
            message = f"the key for {error} leads to {got!r}"
            probe.check("crm.soft-failure-name", ok, message, exchange, expected=repr(error), got=repr(got))
    # A tenant without a CRM also shows soft failures, but not which name belongs to which cause.
    if not probe.has("soft_failures", "crm.soft-failure-name"):
        for clause in ("crm.soft-failure", "crm.soft-failure-status", "crm.error-token"):
            probe.session.gap_if_unseen(clause, f"add to the target profile: {LINES['soft_failures']}")


@covers("crm.branches-apart", requests=lambda size: 1 + min(1, size.soft_failures))
def test_one_branch(probe: Probe) -> None:
    """Send one success and, if the profile has a key for it, one soft failure for the checks of every response."""
    probe.send(probe.valid(probe.crm))
    for error in list(probe.target.soft_failures)[:1]:
        probe.send(probe.valid(probe.crm, key=f"soft.{error}"))


@covers("crm.replay", "fuzz.valid-accepted", requests=6)
def test_replay(probe: Probe) -> None:
    for n in range(2):
        body = probe.record_body(fields={"first_name": f"Replay {n}"})
        # One API key for all: the contract does not say whether the keys of a tenant share their idempotency keys.
        request = probe.request(probe.crm, body)
        ids = [external_id(probe.send(request)) for _ in range(2)]
        # Whatever idempotency_key means, the request is still valid and must lead to a 200.
        last = probe.expect("fuzz.valid-accepted", "a repeated write", request, {200})
        _compare(probe, "crm.replay", [*ids, external_id(last)], last, same=True)


@covers("crm.distinct", requests=3)
def test_another_key(probe: Probe) -> None:
    key = probe.next_full_key()
    sent = [
        probe.send(probe.request(probe.crm, probe.record_body(fields={"first_name": "Twin"}), key=key))
        for _ in range(3)
    ]
    _compare(probe, "crm.distinct", [external_id(each) for each in sent], sent[-1], same=False)


@covers("crm.distinct", requests=6)
def test_a_near_key(probe: Probe) -> None:
    """Keys that differ in one letter, in the letter case or in a blank are different keys."""
    key = probe.next_full_key()
    first = of_length(probe.marker(), 150)
    near = [first[:-1] + "y", first[:110] + "y" + first[111:], first.upper(), f"{first} ", f" {first}"]
    sent = [
        probe.send(
            probe.request(probe.crm, probe.record_body(fields={"first_name": "Near"}, idempotency_key=each), key=key)
        )
        for each in (first, *near)
    ]
    _compare(probe, "crm.distinct", [external_id(each) for each in sent], sent[-1], same=False)


@covers("crm.replay-late", requests=1, pair="late")
def test_a_write_to_replay_late(probe: Probe) -> None:
    request = probe.valid(probe.crm)
    probe.session.kept["late"] = (request, external_id(probe.send(request)), len(probe.session.writes))


@covers("crm.replay-late", requests=1, when=When.LATE, pair="late")
def test_replay_late(probe: Probe) -> None:
    """Replay the write after all other writes of the run, or after as many more as it takes."""
    if "late" not in probe.session.kept:
        return
    request, first, before = probe.session.kept["late"]
    while len(probe.session.writes) - before < WRITES_BETWEEN and first:
        if external_id(probe.send(probe.valid(probe.crm))) is None:
            break
    last = probe.send(request)
    _compare(probe, "crm.replay-late", [first, external_id(last)], last, same=True)


@covers("crm.replay-at-once", requests=AT_ONCE * ROUNDS)
def test_replay_at_once(probe: Probe) -> None:
    for _ in range(ROUNDS):
        request = probe.valid(probe.crm)
        together = threading.Barrier(AT_ONCE)

        def send(_: int, request: Request = request, together: threading.Barrier = together) -> Exchange:
            together.wait()
            return probe.send_at_once(request)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(send, range(AT_ONCE)))
        _compare(probe, "crm.replay-at-once", [external_id(each) for each in found], found[-1], same=True)


def _compare(probe: Probe, clause: str, ids: list[str | None], last: Exchange, *, same: bool) -> None:
    found = [each for each in ids if each is not None]
    if len(found) < 2:
        probe.session.does_not_apply(clause, "not two of these writes were a success with an external_id")
        return
    ok = len(set(found)) == 1 if same else len(set(found)) == len(found)
    expected = "one external_id" if same else "one external_id for each key"
    what = "the same write" if same else "a write with another idempotency_key"
    got = ", ".join(found)
    probe.check(clause, ok, f"{what}, sent {len(found)} times: external_ids {got}", last, expected=expected, got=got)


def _no_success(probe: Probe, clause: str) -> None:
    probe.session.does_not_apply(clause, "every write of this tenant was a soft failure")


def _soft(exchange: Exchange) -> bool:
    value = exchange.parsed.value
    return isinstance(value, dict) and value.get("ok") is False


def external_id(exchange: Exchange) -> str | None:
    """Return the external_id of a success, or None for any other response."""
    value = exchange.parsed.value
    if exchange.status != 200 or not isinstance(value, dict) or value.get("ok") is not True:
        return None
    found = value.get("external_id")
    return None if found is None else str(found)


def _kinds(probe: Probe) -> list[str]:
    found: list[str] = probe.crm.body["properties"]["object"]["enum"]
    return found
