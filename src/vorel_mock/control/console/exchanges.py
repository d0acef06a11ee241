"""Requests for the pages: filtered, explained, quoted, as curl."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Response

from vorel_mock.api.messages import Exchange
from vorel_mock.contract.document_file import ContractError
from vorel_mock.control.handlers.streaming import listed
from vorel_mock.mock.journal.explain import explain
from vorel_mock.mock.journal.har import entry, har
from vorel_mock.mock.mock import Mock

Json = dict[str, Any]

#: Characters of a quote, and of a body, on a page. The JSON operation has all.
_QUOTE = 600
_BODY = 20_000
#: Headers that curl sets by itself.
_OF_CURL = ("host", "content-length", "accept-encoding", "connection", "accept", "user-agent")

#: What to do about a response that a step has rejected.
_HINTS = {
    "routing": "The contract has no such path or method. The docs list the operations.",
    "authentication": "Send `Authorization: Bearer` and a key of a tenant; the overview has one for each.",
    "faults": "A fault decided this response. Disarm it on the page Faults, or leave out the Prefer header.",
    "rate_limit": "Wait for the end of the minute, or advance the clock by 60s.",
    "scope": "Use a key with the scope that the rule names, or change the scopes of this key on the tenant's page.",
    "validation": "Change the field that the message names.",
    "operation": "The tenant has no such lead. Its leads are on the tenant's page.",
}
_STUB_HINT = "A stub decided this response. Remove it on the page Faults."


@dataclass(frozen=True)
class Wanted:
    """The filters of the list of requests; an empty text is no filter."""

    tenant: str = ""
    operation: str = ""
    status: str = ""
    """A class: 2, 4, 5; or `none` for no response."""
    fault: str = ""
    text: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "Wanted":
        """Return the filters of a URL."""
        return cls(**{name: arguments.get(name, "")[:200] for name in cls.__dataclass_fields__})

    def takes(self, exchange: Exchange) -> bool:
        """Return True if a request passes all filters."""
        status = "none" if exchange.status is None else str(exchange.status)[0]
        return (
            self.operation in ("", exchange.operation.id if exchange.operation else "")
            and self.status in ("", status)
            and self.fault in ("", exchange.fault)
            and (not self.text or self._is_in(exchange))
        )

    def _is_in(self, exchange: Exchange) -> bool:
        text = self.text.encode()
        answered = b"" if exchange.response is None else exchange.response.body
        return text in exchange.request.target or text in exchange.request.body or text in answered


def chosen(mock: Mock, wanted: Wanted) -> list[Exchange]:
    """Return the exchanges that pass the filters, oldest first."""
    with mock.lock:
        kept = mock.journal.exchanges(wanted.tenant.lower() or None)
    return [exchange for exchange in kept if wanted.takes(exchange)]


def found(mock: Mock, wanted: Wanted, most: int) -> tuple[list[Json], int]:
    """Return the newest exchanges that pass the filters, newest first, and how many do."""
    passed = chosen(mock, wanted)
    return [explain(exchange, mock.secrets) for exchange in reversed(passed[-most:])], len(passed)


def as_har(mock: Mock, wanted: Wanted, most: int) -> Json | Response:
    """Return the newest exchanges that pass the filters as HAR."""
    return listed(chosen(mock, wanted)[-most:], lambda exchange: entry(explain(exchange, mock.secrets)), har)


def told(mock: Mock, exchange: Exchange) -> Json:
    """Return an exchange with the sentence of the contract that decided it, its bodies laid out and cut."""
    shown = explain(exchange, mock.secrets)
    shown["quote"] = _quote(mock, shown["explanation"]["pointer"])
    for side in ("request", "response"):
        shown[side]["text"], shown[side]["cut"] = _laid_out(shown[side]["body"])
    return shown


def curl(shown: Json, url: str) -> str:
    """Return a request as a curl line. The key is a shell variable: a page does not show it."""
    sent = shown["request"]
    query = f"?{sent['query']}" if sent["query"] else ""
    words = ["curl", "-sS", "-X", sent["method"], shlex.quote(f"{url}{sent['path']}{query}")]
    for name, value in sent["headers"]:
        if name == "authorization":
            words += ["-H", '"Authorization: Bearer $VOREL_API_KEY"']
        elif name not in _OF_CURL:
            words += ["-H", shlex.quote(f"{name}: {value}")]
    if sent["body"]:
        words += ["--data-raw", shlex.quote(sent["body"][:_BODY])]
    return " ".join(words)


def hint(shown: Json) -> str | None:
    """Return what to do, if the response is not a success."""
    status = shown["response"]["status"]
    if status is not None and status < 400:
        return None
    if shown["fault"]:
        return _HINTS["faults"]
    return _STUB_HINT if shown["stub"] else _HINTS.get(shown["explanation"]["decided_by"])


def _quote(mock: Mock, pointer: str) -> str | None:
    """Return the sentence at a pointer of the contract; None if nothing there can be read as one."""
    try:
        node = mock.contract.resolve(mock.contract.at(pointer)) if pointer else None
    except ContractError:
        return None
    if isinstance(node, dict):
        node = node.get("description") or node.get("summary") or node
    if node is None or (isinstance(node, str) and " " in node):
        return node and node[:_QUOTE]
    # A keyword, such as `"maxLength": 200`.
    return f'"{pointer.rpartition("/")[2]}": {msgspec.json.encode(node).decode()}'[:_QUOTE]


def _laid_out(body: str) -> tuple[str, int]:
    """Return a body for a reader, JSON indented, and how many characters are left out."""
    try:
        text = msgspec.json.format(body.encode(), indent=2).decode() if body else ""
    except (msgspec.DecodeError, UnicodeError):
        text = body
    return text[:_BODY], max(0, len(text) - _BODY)
