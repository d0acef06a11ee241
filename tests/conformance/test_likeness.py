"""The difference between the responses to two kinds of lead: what tells them apart, and what does not. (K31)"""

from __future__ import annotations

import hashlib
import json
import uuid
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vorel_conformance.checks.likeness import difference
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.spec import contract

Headers = Callable[[str, int], dict[str, str]]
Message = Callable[[str, int], str]
FOREIGN = [str(uuid.UUID(int=n << 120 | 4 << 76)) for n in (1, 2, 3)]
UNKNOWN = [str(uuid.UUID(int=n << 120 | 4 << 76)) for n in (7, 8, 9)]


def answers(leads: list[str], message: Message, headers: Headers, first: int) -> list[Exchange]:
    found = []
    for number, lead in zip(range(first, 99, 2), leads * 3, strict=False):  # in turns
        body = json.dumps({"error": {"code": "not_found", "message": message(lead, number)}}).encode()
        operation = contract.load().handoff
        fields = tuple({"Content-Type": "application/json", **headers(lead, number)}.items())
        found.append(Exchange(number, Request("POST", operation.url(lead)), "", operation, 404, fields, body))
    return found


def told_apart(
    *,
    foreign: Message | None = None,
    message: Message = lambda lead, n: "There is no such lead.",
    foreign_headers: Headers | None = None,
    headers: Headers = lambda lead, n: {},
    foreign_leads: list[str] = FOREIGN,
    unknown_leads: list[str] = UNKNOWN,
) -> str:
    theirs = answers(foreign_leads, foreign or message, foreign_headers or headers, 0)
    ours = answers(unknown_leads, message, headers, 1)
    return difference(theirs, ours)[0]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


LEADS = st.lists(st.uuids(version=4).map(str), min_size=6, max_size=6, unique=True)


@given(LEADS, st.sampled_from(["sha1", "md5", "sha256", "blake2s"]))
@settings(max_examples=60)
def test_a_hash_of_the_id_or_of_a_body_with_it_tells_nothing(leads: list[str], name: str) -> None:
    assert not told_apart(
        message=lambda lead, n: f"Lead {lead.upper()} ({lead.replace('-', '')}), {lead[:8]}: not found",
        headers=lambda lead, n: {
            "ETag": f'"{hashlib.new(name, lead.encode()).hexdigest()}"',
            "X-Cache-Key": str(zlib.crc32(lead.encode())),
            "Content-Length": str(len(f"{zlib.crc32(lead.encode())}")),
        },
        foreign_leads=leads[:3],
        unknown_leads=leads[3:],
    )


@given(LEADS, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_values_at_random_tell_nothing(leads: list[str], chance: object) -> None:
    assert not told_apart(
        headers=lambda lead, n: {"X-Request-Id": digest(f"{leads} {n}"), "Date": f"now {n}", "X-Took-Ms": f"{n:04}"},
        foreign_leads=leads[:3],
        unknown_leads=leads[3:],
    )


@pytest.mark.parametrize(
    ("foreign", "message", "words"),
    [
        (lambda lead, n: "Not yours.", lambda lead, n: "Not found.", "the body/error/message"),
        (lambda lead, n: f"Lead {lead}: yours?", lambda lead, n: f"Lead {lead}: no.", "the body/error/message"),
        (
            lambda lead, n: f"Lead {lead[:8]} is not visible",
            lambda lead, n: f"Lead {lead[:8]} does not exist",
            "the words of the body/error/message",
        ),
        (
            lambda lead, n: f"scope=tenant;ref={digest(lead)}",
            lambda lead, n: f"scope=none;ref={digest(lead)}",
            "the words of the body/error/message",
        ),
        (
            lambda lead, n: f"Lead {lead[:8]} belongs to another tenant",
            lambda lead, n: f"Lead {lead[:8]} not found",
            "the words of the body/error/message",
        ),
        (lambda lead, n: f"a-{digest(str(n))}", lambda lead, n: digest(str(n)), "the length of the body/error/message"),
        (
            lambda lead, n: f"db{digest(str(n))}",
            lambda lead, n: f"no{digest(str(n))}",
            "the beginning of the body/error/message",
        ),
    ],
    ids=["text", "text with the id", "part of the id", "hash", "more words", "length", "beginning"],
)
def test_a_difference_beside_the_id_is_seen(foreign: Message, message: Message, words: str) -> None:
    assert told_apart(foreign=foreign, message=message) == words


def test_a_header_of_one_kind_is_seen() -> None:
    assert told_apart(foreign_headers=lambda lead, n: {"ETag": digest(lead)}) == (
        "the header etag, which the responses to unknown leads do not have"
    )
    assert (
        told_apart(headers=lambda lead, n: {"ETag": digest(lead)}, foreign_headers=lambda lead, n: {})
        == "the header etag, which is missing"
    )


def test_one_foreign_lead_is_enough() -> None:
    assert told_apart(foreign=lambda lead, n: "Not yours.", foreign_leads=FOREIGN[:1])
    assert not told_apart(
        message=lambda lead, n: f"{lead[:13]}",
        headers=lambda lead, n: {"ETag": digest(lead)},
        foreign_leads=FOREIGN[:1],
    )
