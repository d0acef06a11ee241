"""JSON of strangers: strict, and bounded in depth, in values and in time. K13."""

import time

import pytest

from vorel_conformance.checks import response
from vorel_conformance.http import strict_json


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[" * 400 + b"]" * 400, "nested deeper than 100 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 100 levels"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than 100 levels"),
        (b"[" + b"0," * 500_000 + b"0]", "more than 20000 values"),
        (b'{"a": 1, "a": 2}', "duplicate member 'a' in one object"),
    ],
    ids=["deep", "deeper", "deep objects", "wide", "duplicate"],
)
def test_what_no_response_needs_is_an_error_and_no_crash(body: bytes, error: str) -> None:
    assert strict_json.parse(body).error == error


def test_one_member_twice_among_many_is_found_at_once() -> None:
    body = b"{" + b",".join(b'"m%d":1' % number for number in range(95_000)) + b',"m94999":2}'
    began = time.process_time()
    assert strict_json.parse(body).error == "duplicate member 'm94999' in one object"
    assert time.process_time() - began < 5  # it took minutes


@pytest.mark.parametrize("body", [b"[" * 100 + b"]" * 100, b"[" + b"0," * 19_000 + b"0]"])
def test_what_is_within_the_bounds_is_read(body: bytes) -> None:
    assert strict_json.parse(body).error == ""


@pytest.mark.parametrize(
    "piece", ["\n", "SELECT ", "UPDATE ", "  at a.b (", "at x (/", 'File "', "java.lang.", " ", "in a", "System.a."]
)
def test_the_search_for_internals_ends(piece: str) -> None:
    """20,000 line feeds took 1.5 s, and four times as long for twice as many."""
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    response._INTERNALS.search(text, 0, response.SEARCHED)
    assert time.process_time() - began < 5
