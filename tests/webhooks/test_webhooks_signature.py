"""What is sent, and how it is signed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.model.handoffs import HANDOFF_REQUESTED, Event
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.webhooks.payload import payload
from vorel_mock.webhooks.signature import HEADER, sign, verify


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
    data = {"handoff_id": "h", "summary": "ü \N{PILE OF POO}", "requested_at": 1767225600.25}
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
