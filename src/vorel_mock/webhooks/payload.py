"""The body of a webhook. That it carries `id`, `event` and `data` is documented; the rest is in docs/webhooks.md."""

from typing import Any

import msgspec

from vorel_mock.model.clock import iso
from vorel_mock.model.handoffs import Event


def payload(event: Event, tenant_id: str) -> bytes:
    """The JSON that is sent, and signed, for `event`. Times are RFC 3339 in UTC."""
    return msgspec.json.encode(
        {
            "id": event.id,
            "event": event.event,
            "created_at": iso(event.created_at),
            "tenant_id": tenant_id,
            "data": {name: _value(name, value) for name, value in event.data.items()},
        }
    )


def _value(name: str, value: Any) -> Any:
    """The model keeps moments as seconds; outside they are timestamps."""
    return iso(value) if name.endswith("_at") and isinstance(value, (int, float)) else value
