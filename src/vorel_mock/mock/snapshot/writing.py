"""Writing a snapshot: the state of a tenant as JSON, in pieces."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from vorel_mock.mock.snapshot import rows
from vorel_mock.model.clock import write_duration
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.tenant_state import copy_of

#: Rows that are put into JSON at once.
_ROWS = 100


def dump(tenant: Tenant) -> bytes:
    """Return the snapshot of a tenant that nobody else may be changing."""
    return b"".join(pieces(copy_of(tenant)))


def pieces(state: Tenant) -> Iterator[bytes]:
    """Yield the snapshot of a state (`tenant_state`) in pieces, none of which takes long to make."""
    outline = rows.Snapshot(
        version=rows.VERSION,
        name=state.name,
        notified_channel=state.notified_channel,
        crm=None if state.crm is None else rows.SnapshotCrm.of(state.crm),
        rate_limit=state.rate_limit,
        tenant_rate_limit=state.tenant_rate_limit,
        webhook_timeout=write_duration(state.webhook_timeout),
        clock=rows.SnapshotClock(rows.time(state.clock.now()), state.clock.held),
        ids=rows.SnapshotIds.of(state.ids),
        window=rows.SnapshotWindow.of(state.window),
        **{name: [] for name in rows.ROWS},
    )
    for number, name in enumerate(rows.Snapshot.__struct_fields__):
        yield b"%c%s:" % (b"," if number else b"{", msgspec.json.encode(name))
        if name in rows.ROWS:
            yield from _list(_members(state, name), rows.ROWS[name])
        else:
            yield msgspec.json.encode(getattr(outline, name))
    yield b"}"


def _members(state: Tenant, name: str) -> Iterable[Any]:
    """Return the rows of the model that are the member `name` of a snapshot."""
    if name == "leads":
        return ((lead, state.conversations[lead.conversation_id]) for lead in state.leads.values())
    members: Any = getattr(state, name)
    return members.values() if isinstance(members, dict) else members


def _list(members: Iterable[Any], row: Any) -> Iterator[bytes]:
    """Yield a list of rows in pieces."""
    left, separator = iter(members), b"["
    while some := list(islice(left, _ROWS)):
        yield separator + msgspec.json.encode([row.of(member) for member in some])[1:-1]
        separator = b","
    yield b"]" if separator == b"," else b"[]"
