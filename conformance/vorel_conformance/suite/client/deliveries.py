"""The situations of a webhook receiver: what is delivered to it, and what it has to answer. Data.

The kit signs and delivers by itself, as the vendor's pages say: X-Webhook-Signature is the HMAC-SHA256 of the raw body
in lower-case hex, keyed with the subscription's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

SIGNATURE = "X-Webhook-Signature"
HANDOFF_REQUESTED = "conversation.handoff_requested"
TEST_EVENT = "webhook.test"
_LETTERS = "Ünïcode 漢字 кириллица עברית 🙂 \U00020000 e\u0301"


@dataclass(frozen=True)
class Delivery:
    """One delivery. `clauses` are those that its answer is evidence for."""

    what: str
    event: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    clauses: tuple[str, ...]
    lawful: bool = True  # False: it must be rejected with 4xx
    broken_off: bool = False  # half of the body is sent, then the connection is closed
    acted_upon: bool = True  # it has an effect, if it is lawful


@dataclass(frozen=True)
class DeliverySituation:
    """Deliveries that are made one after another, or at the same moment."""

    name: str
    about: str
    deliveries: tuple[Delivery, ...]
    clauses: tuple[str, ...]
    at_once: bool = False


class _Maker:
    """Makes events and signatures from a seed."""

    def __init__(self, seed: int, secret: str) -> None:
        self._rng = random.Random(f"{seed} webhooks")  # noqa: S311 - test data, no secret
        self._secret = secret

    def uuid(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def envelope(self, event: str = HANDOFF_REQUESTED, **data: Any) -> dict[str, Any]:
        return {
            "id": self.uuid(),
            "event": event,
            "created_at": "2026-11-27T10:00:00.000Z",
            "tenant_id": self.uuid(),
            "data": {
                "handoff_id": self.uuid(),
                "lead_id": self.uuid(),
                "conversation_id": self.uuid(),
                "reason": "no-response-7d",
                "summary": "Asked for a call back.",
                "notified_channel": "slack",
                "requested_at": "2026-11-27T10:00:00.000Z",
                **data,
            },
        }

    def signature(self, body: bytes, secret: str | None = None) -> str:
        key = (self._secret if secret is None else secret).encode()
        return hmac.new(key, body, hashlib.sha256).hexdigest()

    def delivery(
        self,
        what: str,
        *clauses: str,
        envelope: dict[str, Any] | None = None,
        body: bytes | None = None,
        sign: Callable[[bytes], str | None] | None = None,
        name: str = SIGNATURE,
        **more: Any,
    ) -> Delivery:
        made = self.envelope() if envelope is None else envelope
        content = _compact(made) if body is None else body
        signature = self.signature(content) if sign is None else sign(content)
        headers = [("Content-Type", "application/json"), ("User-Agent", "vorel-conformance")]
        if signature is not None:
            headers.append((name, signature))
        return Delivery(what, made["id"], content, tuple(headers), clauses, **more)


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _wrong_digit(signature: str, place: int) -> str:
    digit = "0123456789abcdef"[(int(signature[place], 16) + 1) % 16]
    return signature[:place] + digit + signature[place + 1 :]


def load(seed: int, secret: str) -> list[DeliverySituation]:
    """Return the situations, in the order in which reports show them. The same seed makes the same deliveries."""
    return list(_situations(_Maker(seed, secret)))


def _situations(make: _Maker) -> Iterator[DeliverySituation]:
    yield DeliverySituation(
        "webhook-plain",
        "A lead is handed off, and the event is delivered with its signature.",
        (make.delivery("a right delivery", "webhook.accepts", "webhook.effect"),),
        ("webhook.accepts", "webhook.effect"),
    )
    yield DeliverySituation(
        "webhook-spellings",
        "The JSON of deliveries is spelled in several ways; one signature is that of another spelling.",
        tuple(_spellings(make)),
        ("webhook.raw-bytes", "webhook.characters"),
    )
    yield DeliverySituation(
        "webhook-forged",
        "Signatures are wrong, absent or empty.",
        tuple(_forged(make)),
        ("webhook.forged", "webhook.unsigned", "webhook.no-effect"),
    )
    first = make.delivery("a right delivery")
    yield DeliverySituation(
        "webhook-twice",
        "An event is delivered again after it was taken.",
        (first, Delivery("the same event again", first.event, first.body, first.headers, ("webhook.duplicate",))),
        ("webhook.duplicate", "webhook.once"),
    )
    twin = make.delivery("one of four equal deliveries", "webhook.duplicate")
    yield DeliverySituation(
        "webhook-twice-at-once",
        "An event is delivered four times at the same moment.",
        (twin,) * 4,
        ("webhook.duplicate", "webhook.once-at-once"),
        at_once=True,
    )
    yield DeliverySituation(
        "webhook-kinds",
        "The test event, an event of an unknown kind, and one with members that are not documented.",
        tuple(_kinds(make)),
        ("webhook.test-event", "webhook.unknown-event", "webhook.unlisted-members"),
    )
    yield DeliverySituation(
        "webhook-headers",
        "The name of the signature's header comes in lower case and in upper case.",
        tuple(
            make.delivery(f"the header {name}", "webhook.header-case", name=name)
            for name in (SIGNATURE.lower(), SIGNATURE.upper())
        ),
        ("webhook.header-case",),
    )
    yield DeliverySituation(
        "webhook-batch",
        "Eight events are delivered at the same moment.",
        tuple(make.delivery("one of eight deliveries", "webhook.at-once") for _ in range(8)),
        ("webhook.at-once",),
        at_once=True,
    )
    whole = make.delivery("the same event, whole", "webhook.retried")
    half = Delivery("half a delivery", whole.event, whole.body, whole.headers, (), broken_off=True, acted_upon=False)
    yield DeliverySituation(
        "webhook-broken-off",
        "A delivery breaks off in the middle of its body; then the event is delivered again.",
        (half, whole),
        ("webhook.retried",),
    )


def _spellings(make: _Maker) -> Iterator[Delivery]:
    clause = "webhook.raw-bytes"
    spellings: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
        ("blanks and line breaks", lambda value: json.dumps(value, indent=2)),
        ("members in another order", lambda value: json.dumps(dict(reversed(value.items())))),
        ("slashes as escapes", lambda value: json.dumps(value).replace("/", "\\/")),
        ("a number as 1.0e1", lambda value: json.dumps(value)[:-1] + ', "attempt" : 1.0e1 }'),
    )
    for what, spell in spellings:
        envelope = make.envelope(summary="See https://example.com/a/b")
        yield make.delivery(f"JSON with {what}", clause, envelope=envelope, body=spell(envelope).encode())
    envelope = make.envelope(summary=_LETTERS)
    yield make.delivery("letters of all planes", "webhook.characters", envelope=envelope)
    envelope = make.envelope(summary=_LETTERS)
    escaped = json.dumps(envelope).encode()
    yield make.delivery("letters as escapes", "webhook.characters", clause, envelope=envelope, body=escaped)
    envelope = make.envelope()
    yield make.delivery(
        "JSON with blanks, and the signature of the same JSON without them",
        clause,
        envelope=envelope,
        body=json.dumps(envelope, indent=1).encode(),
        sign=lambda _: make.signature(_compact(envelope)),
        lawful=False,
    )


def _forged(make: _Maker) -> Iterator[Delivery]:
    def without(_: bytes) -> None:
        return None

    def forged(what: str, sign: Callable[[bytes], str | None], *clauses: str) -> Delivery:
        return make.delivery(what, *(clauses or ("webhook.forged",)), sign=sign, lawful=False)

    def wrong_at(place: int) -> Callable[[bytes], str]:
        return lambda body: _wrong_digit(make.signature(body), place)

    for place, name in ((0, "first"), (31, "middle"), (63, "last")):
        yield forged(f"a wrong {name} digit", wrong_at(place))
    yield forged("a signature that is cut", lambda body: make.signature(body)[:32])
    yield forged("a signature with one digit more", lambda body: make.signature(body) + "0")
    yield forged("the signature of another secret", lambda body: make.signature(body, "another secret"))
    yield forged("the signature of an empty secret", lambda body: make.signature(body, ""))
    yield forged("the signature of an empty body", lambda _: make.signature(b""))
    yield forged("the signature of another event", lambda _: make.signature(_compact(make.envelope())))
    yield forged("no signature", without, "webhook.unsigned")
    yield forged("an empty signature", lambda _: "", "webhook.unsigned")


def _kinds(make: _Maker) -> Iterator[Delivery]:
    test = {**make.envelope(TEST_EVENT), "data": {}}
    yield make.delivery("the test event", "webhook.test-event", envelope=test, acted_upon=False)
    unknown = {**make.envelope("invoice.paid"), "data": {"invoice_id": make.uuid(), "amount": 12.5}}
    yield make.delivery("an unknown event", "webhook.unknown-event", envelope=unknown, acted_upon=False)
    more = {**make.envelope(priority="high", tags=[1, None]), "api_version": "2027-01-01", "_links": {}}
    yield make.delivery("further members", "webhook.unlisted-members", envelope=more)
