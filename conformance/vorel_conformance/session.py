"""One run: what was sent, what each clause has got to show for it, and the tests' handle on both.

A clause passes on evidence: checks of the kind it needs. What could not be asked leaves a gap, and a clause with a
gap and without a breach is inconclusive.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from vorel_conformance import __version__, clauses, contract, oracles, strict, validators
from vorel_conformance.clauses import Clause
from vorel_conformance.exchange import Client, Exchange, Request
from vorel_conformance.oracles import Check
from vorel_conformance.target import LINES, Target

KEPT = 20  # violations of one clause that are kept with their exchanges; the others are counted
NO_KEY = ""  # for `Probe.request`: send no Authorization header at all

T = TypeVar("T")


@dataclass(frozen=True)
class Expectation:
    """What a directed case expects: one of `statuses`, and for a 400 the name of the bad member, if it has one."""

    clause: str
    label: str
    statuses: frozenset[int]
    field: str | None = None


@dataclass(frozen=True)
class Violation:
    """A breach: the check that failed, the exchange that showed it, and where it came from."""

    check: Check
    exchange: Exchange | None
    test: str
    expectation: Expectation | None = None
    flaky: tuple[int, int] | None = None  # failed k of n


@dataclass
class Record:
    """What one clause has got."""

    clause: Clause
    checks: int = 0
    broken: int = 0
    violations: list[Violation] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    not_applicable: str = ""

    @property
    def status(self) -> str:
        """The verdict: `error` before `failed` or `warning`, before `inconclusive`, before `passed`."""
        if self.errors:
            return "error"
        if self.broken:
            return "failed" if self.clause.level == "MUST" else "warning"
        if self.not_applicable and not self.checks:
            return "not_applicable"
        return "passed" if self.checks and not self.gaps else "inconclusive"


class Session:
    """A run under way. May be used from several threads."""

    def __init__(
        self,
        target: Target,
        client: Client,
        *,
        selected: dict[str, Clause] | None = None,
        workers: int = 1,
        on_event: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.target = target
        self.client = client
        self.seed = client.seed
        self.workers = workers
        self.records = {id_: Record(each) for id_, each in (selected or clauses.load()).items()}
        self.memory = oracles.Memory()
        self.writes: list[str] = []  # operation, id, marker
        self.on_event = on_event
        self.hopeless: set[str] = set()  # keys without a stand-in that are refused whenever they are used
        self.shared: dict[str, Any] = {}  # what the parts of the limiter's test hand on to each other
        self._lock = threading.RLock()

    def probe(self, name: str) -> Probe:
        """The handle for one test."""
        return Probe(self, name)

    def wants(self, *ids: str) -> bool:
        """Whether any of these clauses was selected."""
        return any(id_ in self.records for id_ in ids)

    def judge(self, exchange: Exchange, test: str, expectation: Expectation | None = None) -> list[Check]:
        """All the checks of an exchange: the oracles', the memory's, the expectation's. Records nothing."""
        try:
            validators.judge_answer(exchange)
            checks = [check for oracle in oracles.ORACLES for check in oracle(exchange, self.target)]
        except validators.DisagreementError as error:
            self.kit_error(test, expectation, error)
            return []
        with self._lock:
            checks += self.memory.ask(exchange)
        if expectation:
            checks += _expected(exchange, expectation)
        return checks

    def record(
        self, checks: Iterable[Check], exchange: Exchange | None, test: str, expectation: Expectation | None = None
    ) -> None:
        """Book checks under their clauses."""
        with self._lock:
            for check in checks:
                record = self.records.get(check.clause)
                if record is None:
                    continue
                before = record.status
                record.checks += 1
                if not check.ok:
                    record.broken += 1
                    if len(record.violations) < KEPT:
                        record.violations.append(Violation(check, exchange, test, expectation))
                if record.status != before:
                    self._tell(record)

    def gap(self, clause: str, reason: str) -> None:
        """Note that something of a clause could not be asked, and why."""
        with self._lock:
            record = self.records.get(clause)
            if record and reason not in record.gaps:
                record.gaps.append(reason)
                self._tell(record)

    def does_not_apply(self, clause: str, reason: str) -> None:
        """Note that a clause cannot be asked of this target, and need not be."""
        with self._lock:
            record = self.records.get(clause)
            if record and not record.checks:
                record.not_applicable = reason
                self._tell(record)

    def gap_if_unseen(self, clause: str, reason: str) -> None:
        """Note a gap unless the clause has evidence already."""
        record = self.records.get(clause)
        if record and not record.checks:
            self.gap(clause, reason)

    def kit_error(self, test: str, expectation: Expectation | None, error: Exception) -> None:
        """Note that the kit itself failed."""
        with self._lock:
            named = [expectation.clause] if expectation else []
            for id_ in [*named, *self.shared.get("clauses of " + test, ())][:1] or list(self.records)[:1]:
                if id_ in self.records:
                    self.records[id_].errors.append(f"{type(error).__name__} in {test}: {error}")

    def _tell(self, record: Record) -> None:
        self.on_event({"event": "clause", "id": record.clause.id, "status": record.status, "checks": record.checks})


class Probe:
    """A test's handle: it makes requests, sends them, and says what it expects of the answers."""

    def __init__(self, session: Session, name: str, part: str = "") -> None:
        self.session = session
        self.target = session.target
        self.name = name
        self._label = f"{name.removeprefix('test_')[:40]} {part}".rstrip()
        self.contract = contract.load()
        self.handoff = self.contract.handoff
        self.crm = self.contract.crm
        # By the test, not by the run: tests may come in any order, or alone, and send the same.
        self.rng = random.Random(f"{session.seed} {name} {part}")  # noqa: S311 - test data, no secret
        self._turn = self.rng.randrange(1 << 16)
        self._marks = 0
        self._lock = threading.Lock()

    # --- requests ----------------------------------------------------------------------------------------------------

    def part(self, name: str) -> Probe:
        """A handle of the same test for a part of it that comes at any time, and sends the same whenever that is."""
        return Probe(self.session, self.name, name)

    def full(self) -> str:
        """The name of a key with both scopes; another one each time."""
        with self._lock:
            self._turn += 1
            return f"full.{self._turn % len(self.target.full)}"

    def lead(self) -> str:
        """A lead of our own, another one each time; one that nobody has, where the profile names none."""
        if not self.target.own:
            return self.unknown_lead()
        with self._lock:
            self._turn += 1
            return self.target.own[self._turn % len(self.target.own)]

    def marker(self) -> str:
        """A text that is new in this run, and tells who wrote it."""
        with self._lock:
            self._marks += 1
            return f"vorel-conformance {self.session.seed:08x} {self._label} {self._marks}"

    def unknown_lead(self) -> str:
        """An id that no lead has."""
        n = self.rng.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62
        h = f"{n:032x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def record(self, **changes: Any) -> dict[str, Any]:
        """A valid body of a CRM write, marked; `changes` replace members."""
        kinds = self.contract.at("/components/schemas/CrmCreateRecordBody/properties/object/enum")
        return {
            "object": kinds[0],
            "fields": {"first_name": "Conformance"},
            "idempotency_key": self.marker(),
            **changes,
        }

    def note(self, **changes: Any) -> dict[str, Any]:
        """A valid body of a handoff, marked; `changes` replace members."""
        return {"reason": "vorel-conformance", "summary": self.marker(), **changes}

    def request(
        self,
        operation: contract.Operation,
        body: Any = None,
        *,
        key: str | None = None,
        lead: str | None = None,
        content_type: str | None = contract.MEDIA_TYPE,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Request:
        """A request of an operation. `body`: bytes as they are, None for none, anything else as JSON. `key`: the name
        of a key, NO_KEY for no Authorization header, None for the next of the pool.
        """
        name = self.full() if key is None else key
        raw = body if isinstance(body, bytes) or body is None else strict_dumps(body)
        path = operation.url(lead if lead is not None else self.lead()) if operation.takes_lead else operation.url()
        given = list(headers)
        given.append(("User-Agent", f"vorel-conformance/{__version__} (seed {self.session.seed})"))
        given.append(("Accept", contract.MEDIA_TYPE))
        if name:
            given.append(("Authorization", f"Bearer ${{{name}}}"))
        if raw is not None and content_type is not None:
            given.append(("Content-Type", content_type))
        return Request(operation.method, path, tuple(given), raw, name or None)

    def valid(self, operation: contract.Operation, **more: Any) -> Request:
        """A valid request of an operation; `more` as for `request`."""
        return self.request(operation, self.note() if operation.takes_lead else self.record(), **more)

    # --- sending -----------------------------------------------------------------------------------------------------

    def send(self, request: Request, expectation: Expectation | None = None) -> Exchange:
        """Send and book what the oracles and the expectation say. A 429 is waited out, with another key where one can
        stand in; but not again with a key that is refused whenever it is used.

        SpentError when the budget is spent.
        """
        for tries in range(3):
            exchange = self._send(request, expectation)
            if exchange.status != 429 or not request.key or request.key in self.session.hopeless:
                break
            if tries and not request.key.startswith("full."):
                self.session.hopeless.add(request.key)  # it has waited as it was told
                break
            self.session.client.pacer.park(request.key, exchange.wait_s or 1.0)
            request = self._with_another_key(request)
        return exchange

    def send_at_once(self, request: Request) -> Exchange:
        """Send without pacing and take a 429 for an answer: for the burst alone."""
        return self._send(request, None, unpaced=True)

    def _send(self, request: Request, expectation: Expectation | None, *, unpaced: bool = False) -> Exchange:
        exchange = self.session.client.send(request, unpaced=unpaced)
        self.session.record(self.session.judge(exchange, self.name, expectation), exchange, self.name, expectation)
        self._book_write(exchange)
        return exchange

    def _with_another_key(self, request: Request) -> Request:
        """The same request on the key of the pool that is ready soonest, if it was on one of the pool."""
        if not request.key or not request.key.startswith("full."):
            return request
        pacer = self.session.client.pacer
        names = [f"full.{n}" for n in range(len(self.target.full))]
        best = min(names, key=pacer.ready_in)
        return with_key(request, best)

    def _book_write(self, exchange: Exchange) -> None:
        value = exchange.parsed.value if exchange.status == 200 else None
        if not exchange.operation or not isinstance(value, dict):
            return
        written = value.get("handoff_id") if exchange.operation.takes_lead else value.get("external_id")
        if written is not None:
            self.session.writes.append(f"{exchange.operation.id} {written} {marker_of(exchange)}".rstrip())

    # --- verdicts ----------------------------------------------------------------------------------------------------

    def expect(
        self, clause: str, label: str, request: Request, statuses: Iterable[int], *, field: str | None = None
    ) -> Exchange:
        """Send a request that must be answered with one of `statuses`. `field` is the one bad member of its body."""
        expectation = Expectation(clause, label, frozenset(statuses), field)
        exchange = self.send(request, expectation)
        reason = no_evidence(exchange, expectation)
        if reason:
            self.session.gap(clause, f"{label}: {reason}")
        return exchange

    def check(
        self,
        clause: str,
        ok: bool,
        message: str = "",
        exchange: Exchange | None = None,
        *,
        expected: str = "",
        got: str = "",
    ) -> None:
        """Book a check that a test made by itself."""
        self.session.record([Check(clause, ok, message, expected, got)], exchange, self.name)

    def has(self, fixture: str, *clauses: str) -> bool:
        """Whether the profile has what some clauses need; where not, they have a gap, with the line to add."""
        if fixture not in self.target.lacks:
            return True
        for clause in clauses:
            self.session.gap(clause, f"add to the target profile: {LINES[fixture]}")
        return False

    def each(self, function: Callable[[T], Any], items: Iterable[T]) -> None:
        """Call `function` for all items: in their order, or from several threads where the target is slow."""
        if self.session.workers == 1:
            for item in items:
                function(item)
            return
        with ThreadPoolExecutor(self.session.workers) as pool:
            for _ in pool.map(function, items):
                pass


def no_evidence(exchange: Exchange, expectation: Expectation) -> str:
    """Why an answer says nothing about an expectation; empty when it does. Another clause has the blame."""
    if not exchange.answered:
        return f"no answer ({exchange.failure})"
    if exchange.status >= 500:
        return f"HTTP {exchange.status}, see fuzz.no-server-error"
    if exchange.status in expectation.statuses:
        return ""
    if exchange.status == 429:
        return "refused with 429"
    if exchange.status == 401 and exchange.valid_key:
        return "401 with a valid key, see auth.accepts-valid"
    return ""


def _expected(exchange: Exchange, expectation: Expectation) -> list[Check]:
    if no_evidence(exchange, expectation):
        return []
    got, wanted = exchange.status, expectation.statuses
    ok = got in wanted
    if not ok and exchange.operation:
        # Refused, though with a status that is not declared: envelope.declared-status has the blame.
        ok = 200 not in wanted and 400 <= got < 500 and got not in exchange.operation.statuses
    checks = [
        Check(
            expectation.clause,
            ok,
            f"{expectation.label}: HTTP {got}",
            "HTTP " + " or ".join(map(str, sorted(wanted))),
            f"HTTP {got} {oracles.text(exchange.body)}",
        )
    ]
    value = exchange.parsed.value
    if expectation.field and got == 400 and isinstance(value, dict) and isinstance(value.get("error"), dict):
        message = str(value["error"].get("message"))
        named = expectation.field.lower() in message.lower()
        checks.append(
            Check(
                "envelope.names-field",
                named,
                f"{expectation.field} is not named",
                expectation.field,
                repr(message[:200]),
            )
        )
    return checks


def with_key(request: Request, name: str) -> Request:
    """The same request with another key."""
    headers = tuple((k, f"Bearer ${{{name}}}" if k == "Authorization" else v) for k, v in request.headers)
    return replace(request, headers=headers, key=name)


def strict_dumps(value: Any) -> bytes:
    """JSON as it is sent: UTF-8, not escaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")


def marker_of(exchange: Exchange) -> str:
    """What tells a written record as the kit's: its idempotency_key, or the summary of its handoff."""
    sent = strict.parse(exchange.request.body or b"{}").value
    if not isinstance(sent, dict):
        return ""
    marker = sent.get("idempotency_key", sent.get("summary", ""))
    return marker if isinstance(marker, str) else ""
