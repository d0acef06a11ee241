"""The handle of a test: it builds requests, sends them, and records what the test expects of the responses."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from vorel_conformance import __version__
from vorel_conformance.checks.response import Check
from vorel_conformance.http import strict_json
from vorel_conformance.http.exchange import Exchange, Request
from vorel_conformance.http.target import LINES
from vorel_conformance.session.judging import Expectation, Judgement
from vorel_conformance.session.session import Session
from vorel_conformance.spec import contract

_LONGEST_ID = 200  # characters of a written record's id in the report
NO_KEY = ""  # for `Probe.request`: send no Authorization header

T = TypeVar("T")


AT_ONCE = 8  # requests that `Probe.together` sends at the same time


@dataclass(frozen=True)
class Wanted:
    """A request, and what `Probe.expect` expects of it."""

    clause: str
    label: str
    request: Request
    statuses: frozenset[int]


class NotServedError(Exception):
    """The target does not serve the operation of a request: `handoff.served` and `crm.served` report it."""


class Probe:
    """The handle of one test on the run. Safe to use from several threads."""

    def __init__(self, session: Session, name: str, part: str = "") -> None:
        self.session = session
        self.target = session.target
        self.name = name
        self._label = f"{name.removeprefix('test_')[:40]} {part}".rstrip()
        self.contract = contract.load()
        self.handoff = self.contract.handoff
        self.crm = self.contract.crm
        # Seeded for each test: it sends the same requests alone, or in any order of tests.
        self.rng = random.Random(f"{session.seed} {name} {part}")  # noqa: S311 - test data, no secret
        self._turn = self.rng.randrange(1 << 16)
        self._marks = 0
        self._lock = threading.Lock()

    @property
    def operations(self) -> list[contract.Operation]:
        """The operations that the target serves."""
        return [each for each in self.contract.operations.values() if self.serves(each)]

    # --- requests ----------------------------------------------------------------------------------------------------

    def part(self, name: str) -> Probe:
        """Return a handle for a part of this test. The part sends the same requests whenever it runs."""
        return Probe(self.session, self.name, name)

    def next_full_key(self) -> str:
        """Return the name of the next key with both scopes."""
        with self._lock:
            self._turn += 1
            return f"full.{self._turn % len(self.target.full)}"

    def lead(self) -> str:
        """Return the id of the next lead of our own, or an unknown id if the profile has no leads."""
        if not self.target.own:
            return self.unknown_lead()
        with self._lock:
            self._turn += 1
            return self.target.own[self._turn % len(self.target.own)]

    def marker(self) -> str:
        """Return a text that is unique in this run and names the kit, the seed and the test."""
        with self._lock:
            self._marks += 1
            return f"vorel-conformance {self.session.seed:08x} {self._label} {self._marks}"

    def unknown_lead(self) -> str:
        """Return a random UUID, which belongs to no lead."""
        n = self.rng.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62
        h = f"{n:032x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def record_body(self, **changes: Any) -> dict[str, Any]:
        """Return a valid body of a CRM write with a marker. `changes` replace members."""
        kinds = self.contract.at("/components/schemas/CrmCreateRecordBody/properties/object/enum")
        return {
            "object": kinds[0],
            "fields": {"first_name": "Conformance"},
            "idempotency_key": self.marker(),
            **changes,
        }

    def handoff_body(self, **changes: Any) -> dict[str, Any]:
        """Return a valid body of a handoff with a marker. `changes` replace members."""
        return {"reason": "vorel-conformance", "summary": self.marker(), **changes}

    def request(
        self,
        operation: contract.Operation,
        body: Any = None,
        *,
        key: str | None = None,
        lead: str | None = None,
        content_type: str | None = contract.MEDIA_TYPE,
        accept: str | None = contract.MEDIA_TYPE,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Request:
        """Build a request of an operation.

        `body`: bytes are sent as they are, None sends no body, anything else is sent as JSON.
        `key`: the name of a key. None takes the next full key, NO_KEY sends no Authorization header.
        """
        name = self.next_full_key() if key is None else key
        raw = body if isinstance(body, bytes) or body is None else strict_json.dumps(body)
        path = operation.url(lead if lead is not None else self.lead()) if operation.takes_lead else operation.url()
        given = list(headers)
        given.append(("User-Agent", f"vorel-conformance/{__version__} (seed {self.session.seed})"))
        if accept is not None:
            given.append(("Accept", accept))
        if name:
            given.append(("Authorization", f"Bearer ${{{name}}}"))
        if raw is not None and content_type is not None:
            given.append(("Content-Type", content_type))
        return Request(operation.method, path, tuple(given), raw, name or None)

    def valid(self, operation: contract.Operation, **more: Any) -> Request:
        """Build a valid request of an operation. `more` as for `request`."""
        return self.request(operation, self.handoff_body() if operation.takes_lead else self.record_body(), **more)

    # --- sending -----------------------------------------------------------------------------------------------------

    def send(self, request: Request, label: str = "") -> Exchange:
        """Send a request and record every check of the response. `label` describes it in the message of a violation.

        After a 429 it retries up to twice: with another full key if the request has one, otherwise after the wait that
        the response asks for. It does not retry a key that was limited again after waiting.
        Raises SpentError if the budget is used up, GoneError if the target stopped responding, NotServedError if it
        does not serve the operation.
        """
        return self._send(request, None, label)[0]

    def send_at_once(self, request: Request) -> Exchange:
        """Send without pacing and without a retry after a 429. Only for the bursts."""
        return self._once(request, None, unpaced=True)[0]

    def _send(self, request: Request, expectation: Expectation | None, label: str) -> tuple[Exchange, Judgement]:
        for tries in range(3):
            exchange, judgement = self._once(request, expectation, label)
            if exchange.status != 429 or not request.key or request.key in self.session.exhausted_keys:
                break
            if tries and not request.key.startswith("full."):
                self.session.exhausted_keys.add(request.key)  # limited again after the wait that it asked for
                break
            self.session.client.pacer.hold_back(request.key, exchange.wait_s or 1.0)
            request = self._with_another_key(request)
        return exchange, judgement

    def _once(
        self, request: Request, expectation: Expectation | None, label: str = "", *, unpaced: bool = False
    ) -> tuple[Exchange, Judgement]:
        operation = self.contract.operation(request.method, request.path.partition("?")[0])
        if operation and not self.serves(operation):
            raise NotServedError(self.session.not_served[operation.id])
        exchange = self.session.client.send(request, unpaced=unpaced)
        return exchange, self.take(exchange, expectation, label)

    def take(self, exchange: Exchange, expectation: Expectation | None = None, label: str = "") -> Judgement:
        """Record every check of a response, and what its request has written."""
        judgement = self.session.judge(exchange, self.name, expectation)
        checks = [_told(each, exchange, label) for each in judgement.checks]
        self.session.record(checks, exchange, self.name, expectation)
        self._note_write(exchange)
        return judgement

    def _with_another_key(self, request: Request) -> Request:
        """Return the same request with the full key that is ready first. Only requests with a full key change."""
        if not request.key or not request.key.startswith("full."):
            return request
        pacer = self.session.client.pacer
        names = [f"full.{n}" for n in range(len(self.target.full))]
        return with_key(request, min(names, key=pacer.ready_in))

    def _note_write(self, exchange: Exchange) -> None:
        """Add a record that the request has created to the list in the report."""
        value = exchange.parsed.value if exchange.status == 200 else None
        if not exchange.operation or not isinstance(value, dict):
            return
        written = value.get("handoff_id") if exchange.operation.takes_lead else value.get("external_id")
        if written is not None:
            id_ = str(written)[:_LONGEST_ID]
            self.session.writes.append(f"{exchange.operation.id} {id_} {marker_of(exchange)}".rstrip())

    # --- verdicts ----------------------------------------------------------------------------------------------------

    def expect(
        self, clause: str, label: str, request: Request, statuses: Iterable[int], *, field: str | None = None
    ) -> Exchange:
        """Send a request that must lead to one of `statuses`. `field` is the one invalid member of its body.

        Records a gap if the response is no evidence.
        """
        expectation = Expectation(clause, label, frozenset(statuses), field)
        exchange, judgement = self._send(request, expectation, label)
        if judgement.no_evidence:
            self.session.gap(clause, f"{label}: {judgement.no_evidence}")
        return exchange

    def together(self, wanted: Sequence[Wanted]) -> None:
        """Send requests side by side, without pacing, and expect of each what `expect` would.

        What leads to a 429 is sent again, paced and alone: it was too much for its key.
        """

        def one(each: Wanted) -> None:
            expectation = Expectation(each.clause, each.label, each.statuses)
            exchange, judgement = self._once(each.request, expectation, each.label, unpaced=True)
            if exchange.status == 429:
                self.expect(each.clause, each.label, each.request, each.statuses)
            elif judgement.no_evidence:
                self.session.gap(each.clause, f"{each.label}: {judgement.no_evidence}")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(one, wanted):
                pass

    def check(
        self,
        clause: str,
        ok: bool,
        message: str = "",
        exchange: Exchange | None = None,
        *,
        expected: str = "",
        got: str = "",
        place: str = "",
    ) -> None:
        """Record a check that the test itself has made. The arguments are the members of `Check`."""
        self.session.record([Check(clause, ok, message, expected, got, place)], exchange, self.name)

    def has(self, fixture: str, *clauses: str) -> bool:
        """Return True if the profile has an optional part. Otherwise record a gap, with the line to add."""
        if fixture not in self.target.lacks:
            return True
        for clause in clauses:
            self.session.gap(clause, f"add to the target profile: {LINES[fixture]}")
        return False

    def serves(self, operation: contract.Operation, *clauses: str) -> bool:
        """Return True if the target serves an operation. Otherwise the clauses need evidence from elsewhere."""
        reason = self.session.not_served.get(operation.id)
        for clause in clauses if reason else ():
            self.session.gap_unless_seen(clause, str(reason))
        return reason is None

    def each(self, function: Callable[[T], Any], items: Iterable[T]) -> None:
        """Call `function` for every item: in order, or from several threads if the target is slow."""
        if self.session.workers == 1:
            for item in items:
                function(item)
            return
        with ThreadPoolExecutor(self.session.workers) as pool:
            for _ in pool.map(function, items):
                pass


def _told(check: Check, exchange: Exchange, label: str) -> Check:
    """Return the check; if it reports a server error, with a message that says what was sent."""
    if check.ok or check.clause != "fuzz.no-server-error":
        return check
    name = exchange.operation.id if exchange.operation else f"{exchange.request.method} {exchange.request.path}"
    sent = [name] * (name not in label) + [label] * bool(label)
    return replace(check, message=": ".join([*sent, check.message]))


def with_key(request: Request, name: str) -> Request:
    """Return the same request with another key."""
    return replace(with_header(request, "Authorization", f"Bearer ${{{name}}}"), key=name)


def with_header(request: Request, name: str, value: str) -> Request:
    """Return the same request with another value of a header that it has."""
    return replace(request, headers=tuple((k, value if k == name else v) for k, v in request.headers))


def marker_of(exchange: Exchange) -> str:
    """Return the marker of a written record: its idempotency_key, or the summary of its handoff."""
    sent = strict_json.parse(exchange.request.body or b"{}").value
    if not isinstance(sent, dict):
        return ""
    marker = sent.get("idempotency_key", sent.get("summary", ""))
    return marker if isinstance(marker, str) else ""
