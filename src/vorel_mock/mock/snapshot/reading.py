"""Reading a snapshot: JSON as the state of a tenant (`tenant_state`).

What the API refuses is refused here as well, by the name of the member at fault; what it lets a tenant have is taken.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from vorel_mock.api.faults.catalogue import CATALOGUE, check_armed
from vorel_mock.api.faults.stub_check import check_stub
from vorel_mock.contract.contract import Contract
from vorel_mock.mock import provisioning
from vorel_mock.mock.snapshot import rows, version_1
from vorel_mock.mock.snapshot.messages import SnapshotError, converted
from vorel_mock.mock.snapshot.splitting import Rows
from vorel_mock.model import crm_records, handoffs
from vorel_mock.model.armed_faults import LONGEST_DELAY, LONGEST_RETRY_AFTER, ArmedFault
from vorel_mock.model.clock import Clock, parse_duration, write_duration
from vorel_mock.model.crm import VENDORS
from vorel_mock.model.crm_records import CrmRecord
from vorel_mock.model.handoffs import AuditRow, Handoff
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.stubs import Stub
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.unknown_name import not_among
from vorel_mock.model.webhooks import EVENTS, LONGEST_TIMEOUT, SHORTEST_TIMEOUT, TEST_EVENT, Delivery, Webhook

Json = dict[str, Any]

#: Rows that are read at once, so that no other thread has to wait for long.
_ROWS = 100
#: The id of a key, which is part of the path of the request that revokes it.
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Reader:
    """Reads snapshots for a mock that serves `contract`. `check_target` rejects the URL of a webhook by ValueError."""

    def __init__(self, contract: Contract, check_target: Callable[[str], None]) -> None:
        self.contract = contract
        self.check_target = check_target
        self.scopes = provisioning.every_scope(contract)
        self.operations = [operation.id for operation in contract.operations]
        self._bodies = {operation.id: operation.body for operation in contract.operations}

    def read(self, content: Any, report: Callable[[str], object] | None = None) -> Tenant:
        """Return the state that a snapshot describes. Raises SnapshotError.

        With `report`, the problem of a row is reported, and the row left out; what is wrong elsewhere is still raised.
        Takes time if the snapshot is large: call it without the mock's lock.
        """
        if not isinstance(content, dict):
            raise SnapshotError("snapshot: must be an object")
        lists = {name: content[name] for name in rows.ROWS if isinstance(content.get(name), list | Rows)}
        outline, old = {**content, **dict.fromkeys(lists, ())}, None
        if _version(content) == 1:
            outline = version_1.upgrade(outline)
            old = version_1.Rows(content.get("conversations"))
        reading = _Reading(self, converted(outline, rows.Snapshot, "snapshot"), report or _reject)
        for name, members in lists.items():
            reading.read_rows(name, members, old)
        return reading.state

    def check_body(self, operation: str, body: Json) -> None:
        """Raises ValueError if the document does not allow the members of `body` in a request of an operation."""
        declared = self._bodies.get(operation)
        validator = None if declared is None else declared.json_validator
        if validator is not None and not validator.is_valid(body):
            for violation in validator.violations(body):
                if violation.field.partition(".")[0] in body:  # what else the document demands is not kept
                    raise ValueError(f"{violation.field}: {violation.message}")


class _Reading:
    """One snapshot that is being read."""

    def __init__(self, reader: Reader, outline: rows.Snapshot, report: Callable[[str], object]) -> None:
        self._reader = reader
        self._report = report
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self.state = self._begun(outline)
        self._add: dict[str, Callable[[Any], None]] = {
            "keys": self._add_key,
            "leads": self._add_lead,
            "webhooks": self._add_webhook,
            "faults": self._add_fault,
            "stubs": self._add_stub,
            "handoffs": self._add_handoff,
            "audit_log": self._add_audit_row,
            "crm_records": self._add_record,
            "deliveries": self._add_delivery,
        }

    def read_rows(self, name: str, members: list[Any] | Rows, old: version_1.Rows | None) -> None:
        """Read a list of rows; `old` brings those of version 1 to the present shape."""
        place, count = f"snapshot.{name}", 0
        for some in _batches(members, place):
            if old is not None:
                some = [old.upgrade(name, row, f"{place}[{number}]") for number, row in enumerate(some, count)]
            for row in converted(some, rows.LISTS[name], place, count):
                try:
                    self._add[name](row.made())
                except ValueError as error:
                    self._report(f"{place}[{count}].{error}")
                count += 1
                if count > rows.MOST.get(name, count):
                    raise SnapshotError(f"{place}: is too long; at most {rows.MOST[name]} are allowed")

    def _begun(self, outline: rows.Snapshot) -> Tenant:
        """Return the state without its rows."""
        channels = self._reader.contract.notified_channels  # none, where the document leaves them open
        if channels and outline.notified_channel not in channels:
            raise SnapshotError(f"snapshot.notified_channel: must be one of {', '.join(channels)}")
        try:
            # A clock that is not frozen stands still here as well: it follows one that does.
            clock = Clock(at=rows.seconds(outline.clock.now, "clock.now"))
            state = Tenant(
                "",
                outline.name,
                clock if outline.clock.frozen else Clock(clock),
                outline.ids.made(),
                outline.notified_channel,
                provisioning.connection(None if outline.crm is None else msgspec.to_builtins(outline.crm)),
                outline.rate_limit,
                outline.tenant_rate_limit,
                window=outline.window.made(),
            )
            state.webhook_timeout = _duration(
                "webhook_timeout", outline.webhook_timeout, SHORTEST_TIMEOUT, LONGEST_TIMEOUT
            )
        except ValueError as error:
            raise SnapshotError(f"snapshot.{error}") from None
        return state

    # Each takes a row, or raises ValueError that names the member at fault.

    def _add_key(self, key: ApiKey) -> None:
        self._check_new("id of a key", "id", key.id)
        if not _KEY_ID.fullmatch(key.id):
            raise ValueError("id: must be 1 to 64 letters, digits, _ and -")
        if not self._reader.contract.token_pattern.fullmatch(key.token):
            shape = self._reader.contract.bearer_format
            raise ValueError(f"token: has not the shape of a key{f', {shape}' if shape else ''}")
        _check_among("scopes", key.scopes, self._reader.scopes)
        self._check_new("token", "token", key.token)
        self.state.keys[key.id] = key

    def _add_lead(self, pair: tuple[Lead, Conversation]) -> None:
        lead, conversation = pair
        self._check_new("id of a lead", "id", lead.id)
        self._check_new("conversation", "conversation_id", conversation.id)
        self.state.leads[lead.id] = lead
        self.state.conversations[conversation.id] = conversation

    def _add_webhook(self, webhook: Webhook) -> None:
        self._check_new("id of a webhook", "id", webhook.id)
        _check_among("events", webhook.events, EVENTS)
        self._reader.check_target(webhook.target_url)
        self.state.webhooks[webhook.id] = webhook

    def _add_fault(self, armed: ArmedFault) -> None:
        self._check_new("id of a fault", "id", armed.id)
        if armed.fault not in CATALOGUE:
            raise ValueError("fault: no such fault; GET /_mock/faults lists them")
        if armed.operation is not None:
            _check_among("operation", [armed.operation], self._reader.operations)
        if armed.delay is not None and armed.delay > LONGEST_DELAY:
            raise ValueError(f"delay: must be at most {write_duration(LONGEST_DELAY)}")
        if armed.retry_after is not None and armed.retry_after > LONGEST_RETRY_AFTER:
            raise ValueError(f"retry_after: must be at most {write_duration(LONGEST_RETRY_AFTER)}")
        check_armed(armed)
        self.state.faults.append(armed)

    def _add_stub(self, stub: Stub) -> None:
        self._check_new("id of a stub", "id", stub.id)
        keys = self._seen["id of a key"]  # with those that were rejected
        if stub.request.key is not None and stub.request.key not in keys:
            raise ValueError(not_among("request.key", stub.request.key, sorted(keys)))
        check_stub(self._reader.contract, stub)
        self.state.stubs.append(stub)

    def _add_handoff(self, row: Handoff) -> None:
        self._check_texts(row)
        self.state.handoffs.append(row, handoffs.row_size(row))

    def _add_audit_row(self, row: AuditRow) -> None:
        self._check_texts(row)
        self.state.audit_log.append(row, handoffs.row_size(row))

    def _add_record(self, record: CrmRecord) -> None:
        self._check_new("record", "idempotency_key", record.idempotency_key)
        _check_among("vendor", [record.vendor], VENDORS)
        body = {"object": record.object, "fields": record.fields, "idempotency_key": record.idempotency_key}
        self._reader.check_body("createCrmRecord", body)
        self.state.idempotency[record.idempotency_key] = record
        self.state.crm_records.append(record, crm_records.size(record))

    def _add_delivery(self, delivery: Delivery) -> None:
        self._check_new("id of a delivery", "id", delivery.id)
        _check_among("event", [delivery.event], (*EVENTS, TEST_EVENT))
        if not _is_object(delivery.body):
            raise ValueError("body: must be a JSON object in base64")
        self.state.deliveries.append(delivery, delivery.size())

    def _check_texts(self, row: Handoff | AuditRow) -> None:
        given = {"reason": (row.reason, handoffs.DEFAULT_REASON), "summary": (row.summary, handoffs.DEFAULT_SUMMARY)}
        texts = {name: text for name, (text, default) in given.items() if text != default}
        self._reader.check_body("handoffLead", texts)

    def _check_new(self, what: str, member: str, value: str) -> None:
        seen = self._seen[what]
        if value in seen:
            raise ValueError(f"{member}: is that of an earlier row as well")
        seen.add(value)


def _reject(problem: str) -> None:
    raise SnapshotError(problem)


def _version(content: Json) -> int:
    version = content.get("version", 1)
    if version is not True and version in (1, rows.VERSION) and isinstance(version, int):
        return version
    if isinstance(version, int) and version > rows.VERSION:
        raise SnapshotError(
            f"snapshot.version: {str(version)[:20]} is newer than this mock, which reads 1 and {rows.VERSION}; "
            f"update vorel-mock, or export the tenant again with this one"
        )
    raise SnapshotError(f"snapshot.version: must be {rows.VERSION}; a snapshot of version 1 has none")


def _batches(members: list[Any] | Rows, place: str) -> Iterator[list[Any]]:
    if isinstance(members, Rows):
        try:
            yield from members.batches()
        except ValueError as error:
            raise SnapshotError(f"{place}: {error}") from None
        return
    for start in range(0, len(members), _ROWS):
        yield members[start : start + _ROWS]


def _duration(name: str, text: str, least: float, most: float) -> float:
    try:
        return parse_duration(text, least=least, most=most)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_among(name: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    if not set(values).issubset(allowed):
        raise ValueError(f"{name}: must be of {', '.join(sorted(allowed))}")


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
