"""The response of the control plane, ASGI messages, as bytes on a connection."""

from starlette.types import Message

from vorel_mock.api.messages import Headers
from vorel_mock.server.transmission import head


class ControlResponse:
    """Turns the messages into bytes. `complete` says whether the last one has come."""

    def __init__(self, method: str, *, keep_alive: bool) -> None:
        self.complete = False
        self._is_head = method == "HEAD"
        self._keep_alive = keep_alive
        self._head: tuple[int, Headers] | None = None
        self._chunked = False

    def bytes(self, message: Message) -> bytes:
        """Return what is written for a message. The head waits for the first piece of the body."""
        if message["type"] == "http.response.start":
            status, headers = message["status"], [*message.get("headers", ())]
            # Without a length, the end is told by the chunks, or by closing the connection.
            has_length = any(name == b"content-length" for name, _ in headers)
            self._chunked = self._keep_alive and not has_length and status not in (204, 304)
            if self._chunked:
                headers.append((b"transfer-encoding", b"chunked"))
            self._head = status, headers
            return b""
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        self.complete = not more
        if self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        if self._is_head:
            body = b""
        if self._head is not None:
            body, self._head = head(*self._head, keep_alive=self._keep_alive) + body, None
        return body
