"""The body of a webhook. That it carries `id`, `event` and `data` is documented; the rest is in docs/webhooks.md.

Each body is spelled as no usual serialiser spells JSON: order, white space and escapes are drawn from the event's id.
A consumer that verifies the signature over JSON that it parsed and wrote again fails at the first event, and not
later, when the sender happens to write other bytes than it does.
"""

import json
from collections.abc import Mapping
from typing import Any

from vorel_mock.model.clock import iso
from vorel_mock.model.handoffs import Event
from vorel_mock.model.ids import Ids

#: White space between two tokens.
_SPACES = ("", "", " ", "  ", "\n")


def payload(event: Event, tenant_id: str) -> bytes:
    """Return the JSON that is sent, and signed, for `event`. Times are RFC 3339 in UTC."""
    envelope = {
        "id": event.id,
        "event": event.event,
        "created_at": iso(event.created_at),
        "tenant_id": tenant_id,
        "data": event.data,
    }
    return _object(envelope, Ids(0, event.id)).encode()


def _object(members: Mapping[str, Any], draw: Ids) -> str:
    """Return the members in some order, one text with an escape that no serialiser needs, and uneven white space."""
    order = sorted(members, key=lambda _: draw.chance())
    escaped = next((name for name in order if isinstance(members[name], str) and _plain(members[name])), None)
    pairs = []
    for name in order:
        value = members[name]
        if isinstance(value, Mapping):
            written = _object(value, draw)
        elif name == escaped:
            written = _with_escape(value, draw)
        else:
            written = json.dumps(value, ensure_ascii=draw.chance() < 0.5)
        pairs.append(f"{_space(draw)}{json.dumps(name)}{_space(draw)}:{_space(draw)}{written}{_space(draw)}")
    return "{" + ",".join(pairs) + "}"


def _space(draw: Ids) -> str:
    return _SPACES[int(draw.chance() * len(_SPACES))]


def _plain(text: str) -> list[int]:
    """Return the positions of ASCII letters and digits."""
    return [position for position, letter in enumerate(text) if letter.isascii() and letter.isalnum()]


def _with_escape(text: str, draw: Ids) -> str:
    """Return `text` in JSON, with a letter or a digit as `\\uXXXX`."""
    positions = _plain(text)
    position = positions[int(draw.chance() * len(positions))]
    before, after = (json.dumps(part, ensure_ascii=False)[1:-1] for part in (text[:position], text[position + 1 :]))
    return f'"{before}\\u{ord(text[position]):04x}{after}"'
