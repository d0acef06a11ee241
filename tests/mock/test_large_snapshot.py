"""Large snapshots: what any tenant exports can be imported, and is read in batches."""

import http.client
import json
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from tests.serving import serving

from vorel_mock.control import guard
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.mock.snapshot import dump, splitting
from vorel_mock.model.handoffs import AuditRow, Handoff, row_size
from vorel_mock.model.history import MAX_BYTES
from vorel_mock.model.tenant import Tenant
from vorel_mock.server import request_parser
from vorel_mock.server.app import App

TEXT = "\u20ac" * 1200


def fill(tenant: Tenant) -> None:
    """Handoffs with texts as long as they may be."""
    lead = next(iter(tenant.leads.values()))
    for _ in range(1_500):
        handoff = Handoff(
            tenant.ids.uuid(), lead.id, lead.conversation_id, TEXT[:200], TEXT[200:], "email", tenant.clock.now()
        )
        tenant.handoffs.append(handoff, row_size(handoff))
        audited = AuditRow(
            tenant.ids.uuid(),
            handoff.requested_at,
            "lead.handoff",
            handoff.id,
            lead.id,
            lead.conversation_id,
            handoff.reason,
            handoff.summary,
            "key",
        )
        tenant.audit_log.append(audited, row_size(audited))


def test_what_a_full_tenant_exports_is_imported() -> None:  # M8
    """70 MiB went out, and 64 MiB were the most that came in. Fewer rows show it here, beside the bound for all."""
    # JSON takes six bytes for a control character, which takes one in memory. Of the four histories with 32 MiB each,
    # CRM records are written with their fields twice. Everything else takes less than one.
    assert guard.MAX_SNAPSHOT >= 6 * 5 * MAX_BYTES + MAX_BYTES
    mock = Mock(Settings(seed=1, clock="frozen"))
    tenant, other = list(mock.store.tenants())[:2]
    fill(tenant)
    with serving(App(mock)) as (url, _):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        connection.request("GET", f"/_mock/tenants/{tenant.id}/snapshot")
        content = connection.getresponse().read()
        assert len(content) > 2 * request_parser.MAX_IN_MEMORY
        path = f"/_mock/tenants/{other.id}/snapshot?keys=fresh"
        connection.request("PUT", path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (204, b"")
        connection.close()
    assert list(other.handoffs) == list(tenant.handoffs)
    assert list(other.audit_log) == list(tenant.audit_log)


def read(text: bytes) -> Any:
    """Return the value of a text that was split."""
    content = splitting.split(text)
    snapshot = content.get("snapshot")
    for found in (content, snapshot if isinstance(snapshot, dict) else {}):
        for name, value in found.items():
            if isinstance(value, splitting.Rows):
                found[name] = list(chain.from_iterable(value.batches()))
    return content


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.sampled_from('a"\\[]{},:\n\u20ac\x00'), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["handoffs", "audit_log", "name", "clock"]), st.lists(VALUES, max_size=6) | VALUES, max_size=3
)
CONTENTS = MEMBERS | st.fixed_dictionaries({"snapshot": MEMBERS, "keys": st.just("fresh")})


@settings(deadline=None)
@given(content=CONTENTS, indent=st.sampled_from([None, 1]), ascii_only=st.booleans(), rows=st.integers(1, 3))
def test_what_is_split_is_what_was_written(content: Any, indent: int | None, ascii_only: bool, rows: int) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "_BATCH_ROWS", rows)
        assert read(b" " + text + b"\n") == content


@settings(deadline=None)
@given(
    content=CONTENTS,
    at=st.integers(0, 60),
    gone=st.integers(0, 2),
    added=st.sampled_from([b"", b",", b"]", b"}", b"{", b'"', b"\\", b":", b"1", b" ", b"\xff", b"\x00"]),
)
def test_what_is_no_json_is_not_read_as_json(content: Any, at: int, gone: int, added: bytes) -> None:
    text = json.dumps(content).encode()
    text = text[:at] + added + text[at + gone :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "_BATCH_ROWS", 1)
        try:
            found = read(text)
        except ValueError:
            return
    assert found == json.loads(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"handoffs": [{"id": 5}]}', "snapshot.handoffs[0].id: must be a string"),
        (b'{"handoffs": [{} {}]}', "snapshot.handoffs: is not valid JSON"),
        (b'{"handoffs": [{},]}', "snapshot.handoffs: is not valid JSON"),
        (b'{"handoffs": [{}', "body: is not valid JSON at byte 16, or behind it"),
        (b'{"handoffs": [{}]} x', "body: is not valid JSON at byte 18, or behind it"),
        (b"[]", "body: must be an object"),
    ],
)
def test_a_large_text_that_is_no_snapshot_is_rejected(text: bytes, words: str) -> None:
    mock = Mock(Settings(seed=1, clock="frozen"))
    tenant = next(mock.store.tenants())
    good = json.loads(dump(tenant))
    del good["handoffs"]
    body = text if b"handoffs" not in text else json.dumps(good).encode()[:-1] + b", " + text[1:]
    if "at byte" in words:
        body = text
    body += b" " * (1024 * 1024 + 1)
    with serving(App(mock)) as (url, _):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        path = f"/_mock/tenants/{tenant.id}/snapshot"
        connection.request("PUT", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        message = json.loads(response.read())["error"]["message"]
        connection.close()
    assert response.status == 400
    assert message.startswith(words)
