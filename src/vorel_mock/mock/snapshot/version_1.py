"""Snapshots of version 1, which have no member `version`: brought to the present shape.

Times were seconds since the epoch, durations numbers of seconds; conversations were a list of their own. Whatever has
another type than it had is left as it is, for the reader to reject.
"""

from collections.abc import Callable
from typing import Any

from vorel_mock.mock.snapshot.messages import SnapshotError
from vorel_mock.mock.snapshot.rows import VERSION, time
from vorel_mock.model.clock import LATEST, write_duration
from vorel_mock.model.rate_window import WINDOW

Json = dict[str, Any]


def upgrade(content: Json) -> Json:
    """Return the members of a snapshot that are not lists of rows, which are left alone."""
    made = {**content, "version": VERSION}
    for name in ("conversations", "events"):
        made.pop(name, None)
    _change(made, _duration, "webhook_timeout")
    _change(made, _window, "window")
    _change(made, lambda clock: _changed(clock, _time, "now"), "clock")
    return made


class Rows:
    """Brings rows to the present shape. `conversations` are those of the snapshot."""

    def __init__(self, conversations: Any) -> None:
        self._statuses: Json = {
            row["id"]: row.get("status", "active")
            for row in (conversations if isinstance(conversations, list) else ())
            if isinstance(row, dict) and isinstance(row.get("id"), str)
        }

    def upgrade(self, name: str, row: Any, place: str) -> Any:
        """Return the row at `place`, of the list `name`. Raises SnapshotError if a lead has no conversation."""
        if not isinstance(row, dict):
            return row
        row = _changed(row, _time, "at", "requested_at", "created_at", "due_at")
        match name:
            case "keys":
                _change(row, _window, "window")
            case "leads" if isinstance(conversation := row.get("conversation_id"), str):
                if conversation not in self._statuses:
                    raise SnapshotError(f"{place}.conversation_id: no such conversation in the snapshot")
                row["conversation_status"] = self._statuses[conversation]
            case "crm_records":
                row.pop("fingerprint", None)
            case "deliveries":
                row.pop("forgotten", None)
                _change(row, _each(_attempt), "attempts")
            case "faults":
                _change(row, _duration, "delay")
                _change(row, _each(lambda met: _changed(met, _time, "at")), "consumed")
        return row


def _attempt(attempt: Any) -> Any:
    return _changed(_changed(attempt, _time, "at"), _duration, "duration")


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda rows: [change(row) for row in rows] if isinstance(rows, list) else rows


def _changed(node: Any, change: Callable[[Any], Any], *names: str) -> Any:
    """Return a copy of an object in which members are changed."""
    if not isinstance(node, dict):
        return node
    made = dict(node)
    _change(made, change, *names)
    return made


def _change(node: Json, change: Callable[[Any], Any], *names: str) -> None:
    for name in names:
        if name in node:
            node[name] = change(node[name])


def _time(value: Any) -> Any:
    return time(value) if _is_number(value) and 0 <= value < LATEST else value


def _duration(value: Any) -> Any:
    return write_duration(value) if _is_number(value) and 0 <= value <= 30 * 86400 else value


def _window(window: Any) -> Any:
    if not isinstance(window, dict):
        return window
    made = {name: value for name, value in window.items() if name != "number"}
    number = window.get("number", -1)
    made["start"] = None if number == -1 else _time(number * WINDOW) if _is_number(number) else number
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
