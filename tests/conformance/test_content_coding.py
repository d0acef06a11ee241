"""Responses that are compressed although no coding was asked for: named once, then judged inside, bounded. (K18)"""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.proof_runner import report_on
from tests.conformance.reference import Fault
from tests.conformance.reference.faults.envelope import coded

from vorel_conformance.http.content_coding import decode

MOST = 1 << 16


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    " GZIP ": gzip.compress,
    "gzip, identity": gzip.compress,
    "deflate, gzip": lambda body: gzip.compress(zlib.compress(body)),
}


@pytest.mark.parametrize("header", CODERS)
@given(st.binary(min_size=1, max_size=300))
def test_what_was_coded_is_decoded(header: str, body: bytes) -> None:
    found = decode(CODERS[header](body), header, MOST)
    assert (found.body, found.problem, found.truncated) == (body, "", False)


@given(st.binary(min_size=1, max_size=300))
def test_deflate_without_a_header_is_decoded(body: bytes) -> None:
    assert decode(raw_deflate(body), "deflate", MOST).body == body


def test_gzip_in_two_members_is_decoded() -> None:
    assert decode(gzip.compress(b"{") + gzip.compress(b"}"), "gzip", MOST).body == b"{}"


@pytest.mark.parametrize("header", [None, "", "identity", " Identity , "])
def test_without_a_coding_nothing_changes(header: str | None) -> None:
    assert decode(b"{}", header, MOST).body == b"{}"


@pytest.mark.parametrize(
    "body",
    [b'{"ok": true}', gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"x"],
    ids=["plain", "cut", "followed"],  # the bytes contain the time, and every worker must find the same names
)
def test_damaged_data_is_a_problem_of_the_server(body: bytes) -> None:
    found = decode(body, "gzip", MOST)
    assert "not encoded like that" in found.problem
    assert not found.unknown


@pytest.mark.parametrize("header", ["br", "zstd", "gzip, br", "gzip, gzip, gzip, gzip"])
def test_a_coding_that_the_kit_does_not_know_is_no_fault_of_the_server(header: str) -> None:
    assert decode(b"\x1b\x00", header, MOST).unknown


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "gzip, deflate", "br", ",", "\xff"]))
def test_nothing_makes_it_raise(body: bytes, header: str) -> None:
    assert len(decode(body, header, MOST).body) <= MOST


def test_a_bomb_stays_small() -> None:
    bomb = gzip.compress(gzip.compress(b"0" * (64 << 20)))
    tracemalloc.start()
    found = decode(bomb, "gzip, gzip", MOST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.truncated
    assert len(found.body) == MOST
    assert peak < 8 * MOST


def clause(report: dict[str, Any], id_: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in report["clauses"] if each["id"] == id_)
    return found


SOME = ("envelope", "crm", "handoff.answer")


def test_a_compressed_response_is_named_once_and_judged_inside() -> None:
    faulty = Fault(
        "gzip_with_a_fault",
        "Every response is compressed, and notified_channel is sms.",
        {
            "encode": lambda was, v: coded("gzip", gzip.compress, was(v)),
            "handoff": lambda was, v: {**was(v), "notified_channel": "sms"},
        },
    )
    report = report_on(fault=faulty, clauses=(*SOME, "handoff.notified-channel"))
    found = clause(report, "envelope.content-encoding")
    assert [each["message"] for each in found["violations"]] == [
        "Content-Encoding: gzip, although the request accepts identity only"
    ]
    assert clause(report, "handoff.notified-channel")["status"] == "failed"
    unclear = {each["id"] for each in report["clauses"] if each["status"] not in ("passed", "not_applicable")}
    assert unclear == {"envelope.content-encoding", "handoff.notified-channel"}


def test_an_unknown_coding_leaves_bodies_unjudged() -> None:
    faulty = Fault("br", "Brotli.", {"encode": lambda was, v: coded("br", lambda body: b"\x0b" + body[::-1], was(v))})
    report = report_on(fault=faulty, clauses=SOME)
    assert {each["id"] for each in report["clauses"] if each["status"] in ("failed", "warning", "error")} == {
        "envelope.content-encoding"
    }
    assert clause(report, "envelope.strict-json")["status"] == "inconclusive"
    assert clause(report, "handoff.answer")["status"] == "inconclusive"
