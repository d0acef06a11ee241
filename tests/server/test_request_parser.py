"""The request parser alone: what it makes of bytes, however they arrive."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.api.messages import MAX_BODY, Request
from vorel_mock.server import request_parser
from vorel_mock.server.request_parser import RequestParser


def parsed(*pieces: bytes) -> list[Request]:
    """Return the requests in `pieces`, which are fed one by one to one parser."""
    requests: list[Request] = []
    parser = RequestParser(lambda request, _: requests.append(request), lambda *_: MAX_BODY)
    for piece in pieces:
        if parser.phase != "ended":
            parser.feed(piece)
    return requests


def message(path: str = "/a", body: bytes = b"", *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", *more, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


# A few values only, so that heads repeat and differ by turns.
MESSAGES = st.builds(
    message,
    st.sampled_from(["/a", "/b"]),
    st.sampled_from([b"", b"x", b"y", b"\r\n\r\n", b"POST /a HTTP/1.1\r\n\r\n"]),
    st.sampled_from(["X: 1", "X: 2", "Connection: keep-alive"]),
) | st.sampled_from(
    [
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]
)


@given(st.lists(st.lists(MESSAGES, min_size=1, max_size=2), max_size=6), st.integers(0, 200))
def test_a_request_does_not_depend_on_those_before_it(reads: list[list[bytes]], cut: int) -> None:
    """Whatever a connection remembers of a request, and wherever reads end, each is parsed as if it were the first."""
    expected = [request for read in reads for one in read for request in parsed(one)]
    assert parsed(*(b"".join(read) for read in reads)) == expected
    whole = b"".join(one for read in reads for one in read)
    assert parsed(whole[:cut], whole[cut:]) == expected


def test_a_repeated_head_with_a_body_in_two_pieces() -> None:
    whole = message("/a", b"{}")
    assert parsed(whole, whole[:-1], whole[-1:], whole) == parsed(whole) * 3


def test_a_connection_that_is_to_close_is_not_answered_again() -> None:
    whole = message("/a", b"{}", "Connection: close")
    assert parsed(whole, whole) == parsed(whole)
    old = whole.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert parsed(old, old) == parsed(old)


def _descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_large_body_is_in_a_file_and_the_file_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_parser, "MAX_IN_MEMORY", 100)
    requests: list[Request] = []

    def parser() -> RequestParser:
        return RequestParser(lambda request, _: requests.append(request), lambda *_: 2 * MAX_BODY)

    body, descriptors = bytes(range(256)) * 5_000, _descriptors()
    head = message(body=body)[: -len(body)]
    for pieces in ([head + body], [head, *(body[at : at + 999] for at in range(0, len(body), 999))]):
        whole = parser()
        for piece in pieces:
            whole.feed(piece)
        request = requests.pop()
        assert request.large is not None
        assert (request.large[:], request.body, request.unreadable) == (body, b"", None)
    del request, whole
    broken = parser()
    broken.feed(head + body[:-1])
    broken.close()
    late = parser()
    late.feed(head + body[:-1])
    late.fail("", "did not arrive")
    assert (requests[0].large, requests[0].unreadable) == (None, "did not arrive")
    assert _descriptors() == descriptors


def test_a_body_that_the_disk_does_not_take_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(request_parser, "MAX_IN_MEMORY", 100)
    monkeypatch.setattr(request_parser, "TemporaryFile", full)
    requests: list[Request] = []
    parser = RequestParser(lambda request, _: requests.append(request), lambda *_: 2 * MAX_BODY)
    parser.feed(message(body=b"x" * (MAX_BODY + 1)))
    assert requests[0].unreadable == "could not be kept in a temporary file: No space left on device"
    assert parser.phase == "ended"
