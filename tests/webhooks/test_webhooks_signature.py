"""What is sent, and how it is signed."""

import base64
import hmac
import json
import shutil
import subprocess
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.model.handoffs import HANDOFF_REQUESTED, Event
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing import InProcessMock
from vorel_mock.webhooks.payload import payload
from vorel_mock.webhooks.signature import HEADER, sign, verify

NODE = shutil.which("node")


@pytest.mark.parametrize(
    ("key", "data", "signature"),
    [  # RFC 4231, test case 2; and the one that everybody quotes
        ("Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "key",
            b"The quick brown fox jumps over the lazy dog",
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
        ),
    ],
)
def test_signs_as_others_do(key: str, data: bytes, signature: str) -> None:
    assert sign(key, data) == signature
    assert verify(key, data, signature)


@given(st.text(), st.binary(), st.binary(min_size=1))
def test_a_signature_belongs_to_its_bytes_and_its_secret(secret: str, body: bytes, more: bytes) -> None:
    signature = sign(secret, body)
    assert verify(secret, body, signature)
    assert not verify(secret, body + more, signature)
    assert not verify(secret + "x", body, signature)


@given(st.text())
def test_whatever_the_header_holds_verifying_answers(header: str) -> None:
    assert not verify("secret", b"{}", header)


def test_upper_case_and_a_prefix_are_not_the_signature() -> None:
    signature = sign("secret", b"{}")
    assert not verify("secret", b"{}", signature.upper())
    assert not verify("secret", b"{}", f"sha256={signature}")
    assert HEADER == "X-Webhook-Signature"


def test_the_envelope() -> None:
    data = {"handoff_id": "h", "summary": "ü \N{PILE OF POO}", "requested_at": "2026-01-01T00:00:00.250Z"}
    event = Event("e1", HANDOFF_REQUESTED, 1767225600.0, data)
    assert json.loads(payload(event, "t1")) == {
        "id": "e1",
        "event": "conversation.handoff_requested",
        "created_at": "2026-01-01T00:00:00.000Z",
        "tenant_id": "t1",
        "data": {"handoff_id": "h", "summary": "ü \N{PILE OF POO}", "requested_at": "2026-01-01T00:00:00.250Z"},
    }


def test_the_event_of_the_handoff_is_one_of_the_twelve() -> None:
    assert HANDOFF_REQUESTED in EVENTS
    assert len(set(EVENTS)) == 12


# The spelling


def bodies(number: int) -> list[bytes]:
    """What a receiver gets for handoffs with all kinds of texts, and for the test event."""
    texts = ("", "plain", "ü \N{PILE OF POO}", 'a "quoted" \\ </p> & \t\u2028', "7", "/")
    mock = InProcessMock(seed=1, rate_limit=0, clock="frozen")
    with mock, mock.new_tenant() as tenant, tenant.webhooks.receive():
        with mock.client(tenant) as api:
            for each in range(number):
                reason, summary = texts[each % len(texts)], texts[each // len(texts) % len(texts)]
                body = {"reason": reason, "summary": summary}
                assert api.post(f"/api/v1/leads/{tenant.lead}/handoff", json=body).status_code == 200
        tenant.webhooks.wait(HANDOFF_REQUESTED, after=number - 1)
        deliveries = tenant.webhooks.deliveries()
        return [delivery["attempts"][0]["request"]["body"].encode() for delivery in deliveries]


def test_no_serialiser_writes_the_bytes_that_were_signed() -> None:  # M45
    sent = bodies(40)
    for body in sent:
        value = json.loads(body)
        written = {msgspec.json.encode(value), msgspec.json.format(msgspec.json.encode(value), indent=2)}
        for ascii_only in (True, False):
            for ordered in (True, False):
                for indent in (None, 0, 1, 2, 4, "\t"):
                    for separators in (None, (",", ":"), (", ", ": ")):
                        text = json.dumps(
                            value, ensure_ascii=ascii_only, sort_keys=ordered, indent=indent, separators=separators
                        )
                        written |= {text.encode(), text.encode() + b"\n", text.replace("/", "\\/").encode()}
        assert body not in written
    assert len({tuple(json.loads(body)) for body in sent}) > 10
    assert bodies(40) == sent


@pytest.mark.skipif(NODE is None, reason="needs Node")
def test_json_stringify_does_not_write_them_either() -> None:  # M45
    script = """
        const bodies = JSON.parse(require("fs").readFileSync(0));
        const same = (body) => [0, 1, 2, 4, "\\t"].some((space) =>
            JSON.stringify(JSON.parse(body), null, space) === body);
        console.log(bodies.length, bodies.filter(same).length);
    """
    texts = [body.decode() for body in bodies(20)]
    run = subprocess.run([str(NODE), "-e", script], input=json.dumps(texts), capture_output=True, text=True, check=True)
    assert run.stdout == "21 0\n"


def test_it_is_not_a_standard_webhooks_signature() -> None:  # M56
    """As Svix and standardwebhooks verify: other headers, the secret decoded as base64, id and time signed as well."""
    with InProcessMock(seed=1) as mock, mock.new_tenant() as tenant, tenant.webhooks.receive() as inbox:
        delivery = tenant.webhooks.wait("webhook.test")
        secret = inbox.subscription.secret
    request = delivery["attempts"][0]["request"]
    headers = {name.lower(): value for name, value in request["headers"]}
    assert not [name for name in headers if name.startswith(("webhook-", "svix-"))]
    body = request["body"].encode()
    assert headers[HEADER.lower()] == hmac.new(secret.encode(), body, sha256).hexdigest()
    decoded = base64.b64decode(secret.removeprefix("whsec_"))
    assert headers[HEADER.lower()] != hmac.new(decoded, body, sha256).hexdigest()
