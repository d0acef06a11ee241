"""The request parser alone: what it makes of bytes, however they arrive."""

from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.api.messages import MAX_BODY, Request
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
