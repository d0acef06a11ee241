"""What hangs on a tenant, as a test wants to hold it: its clock, faults, journal and webhooks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from vorel_mock.model.webhooks import EVENTS
from vorel_mock.testing.connection import (
    Connection,
    ControlError,
    Duration,
    Json,
    Rows,
    Secret,
    duration,
    names,
    rows,
    without_none,
)
from vorel_mock.testing.receiver import Receiver

#: Seconds beyond a wait of the mock's own, so that its answer, not ours, tells what was waited for in vain.
_SLACK = 10.0
#: Seconds that moving a clock may take: the webhook attempts that become due are made, and receivers may be slow.
_SETTLING = 120.0


class Filters(TypedDict, total=False):
    """What requests of the journal are looked for by; `since` and `until` are moments of the tenant's clock.

    None is the same as leaving it out.
    """

    operation: str | None
    status: int | None
    key_id: str | None
    since: str | datetime | None
    until: str | datetime | None
    contains: str | None
    limit: int | None


class Clock:
    """A clock of the mock: a tenant's, or that of all. Forward only."""

    def __init__(self, connection: Connection, *path: str) -> None:
        self._connection = connection
        self._path = (*path, "clock")

    @property
    def now(self) -> datetime:
        """What it shows, in UTC."""
        return _moment(self._connection.ask("GET", *self._path))

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return bool(self._connection.ask("GET", *self._path)["frozen"])

    def advance(self, by: Duration) -> datetime:
        """Move it forward by `61s`, `2h`, or so many seconds; what it shows then.

        The webhook attempts that are due by then have been made when this returns. ControlError `not_settled` when
        receivers are too slow for that; the clock has been moved all the same.
        """
        return self._change(advance=duration("advance", by))

    def set(self, to: str | datetime) -> datetime:
        """Move it forward to a moment (RFC 3339, or with a time zone), as `advance` does; what it shows then."""
        if not isinstance(to, (str, datetime)):
            raise TypeError(f"set: must be a datetime with a time zone, or RFC 3339 as a text, not {to!r}")
        return self._change(set=_text(to))

    def freeze(self) -> datetime:
        """Let it stand still; what it shows."""
        return self._change(freeze=True)

    def resume(self) -> datetime:
        """Let it run on; what it shows."""
        return self._change(resume=True)

    def _change(self, **change: Any) -> datetime:
        changed = self._connection.ask("POST", *self._path, json=change, timeout=_SETTLING)
        if changed.get("settled") is False:
            message = (
                f"the clock shows {changed['now']}, but webhook attempts that are due by then have not been made: a "
                "receiver is too slow. Let it answer sooner, or make the tenant's webhook_timeout shorter"
            )
            raise ControlError(200, "not_settled", message)
        return _moment(changed)


class Faults:
    """What goes wrong for a tenant, by name. `Control.faults()` is the catalogue."""

    def __init__(self, connection: Connection, *path: str) -> None:
        self._connection = connection
        self._path = (*path, "faults")

    def arm(
        self,
        fault: str,
        *,
        next: int | None = None,
        every: int | None = None,
        after: int | None = None,
        chance: float | None = None,
        operation: str | None = None,
        delay: Duration | None = None,
    ) -> Json:
        """Arm a fault of the catalogue; what was armed, with its `id`.

        The `next` so many requests meet it (1; without an end when `every` or `chance` is given), each so manyth
        (`every`), so many pass first (`after`), each with a probability from 0 to 1 (`chance`, drawn from the seed);
        those of one operationId only (`operation`). `delay` is for the faults that have one.
        """
        wanted = without_none(next=next, every=every, after=after, chance=chance, operation=operation)
        if delay is not None:
            wanted["delay"] = duration("delay", delay)
        return dict(self._connection.ask("POST", *self._path, json={"fault": fault, **wanted}))

    def armed(self) -> Rows:
        """What was armed, spent ones included, each with the requests that consumed it."""
        return rows(self._connection.ask("GET", *self._path))

    def disarm(self, armed: Json | str) -> None:
        """Disarm one: what `arm` returned, or its id."""
        self._connection.ask("DELETE", *self._path, _id(armed))

    def clear(self) -> None:
        """Disarm all."""
        self._connection.ask("DELETE", *self._path)


class Requests:
    """The journal of a tenant: the requests that came with one of its keys, and how each answer came about."""

    def __init__(self, connection: Connection, headers: Mapping[str, str], *path: str) -> None:
        self._connection = connection
        self._headers = headers
        self._path = path

    def list(self, **filters: Unpack[Filters]) -> Rows:
        """The exchanges that match, oldest first: `request`, `response`, `explanation`, …; redacted."""
        return rows(self._find("requests", filters))

    def count(self, **filters: Unpack[Filters]) -> int:
        """How many match."""
        return int(self._find("requests", {**filters, "limit": 1})["total"])

    def wait(
        self,
        count: int = 1,
        timeout: float = 10.0,
        *,
        operation: str | None = None,
        status: int | None = None,
        key_id: str | None = None,
        contains: str | None = None,
    ) -> Rows:
        """The exchanges that match, as soon as there are `count`. ControlError 408 after `timeout` seconds, 60 at most.

        For a program under test that runs beside the test.
        """
        wanted = without_none(operation=operation, status=status, key_id=key_id, contains=contains)
        wanted |= {"count": count, "timeout": duration("timeout", timeout)}
        path = (*self._path, "requests", "wait")
        return rows(self._connection.ask("POST", *path, json=wanted, timeout=timeout + _SLACK))

    def har(self, **filters: Unpack[Filters]) -> Json:
        """The exchanges that match as HAR 1.2."""
        return dict(self._find("requests.har", filters))

    def clear(self) -> None:
        """Forget them."""
        self._connection.ask("DELETE", *self._path, "requests")

    def explain(
        self, path: str, *, method: str = "POST", headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Json:
        """What would happen to a request, without an effect: an exchange as in `list`.

        `headers` are the tenant's unless given; `body` a JSON value, or a text that is sent as it is.
        """
        wanted = {"path": path, "method": method, "headers": dict(self._headers if headers is None else headers)}
        return dict(self._connection.ask("POST", "explain", json=wanted | without_none(body=body)))

    def _find(self, what: str, filters: Filters) -> Any:
        params = {
            name: _text(value) if isinstance(value, datetime) else value
            for name, value in without_none(**filters).items()
        }
        return self._connection.ask("GET", *self._path, what, params=params)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook subscription. `secret` signs what it sends; it is not in the repr."""

    id: str
    target_url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)


class Webhooks:
    """The webhooks of a tenant: who receives them, and what became of each delivery."""

    def __init__(self, connection: Connection, receivers: set[Receiver], *path: str) -> None:
        self._connection = connection
        self._receivers = receivers
        self._path = path

    def receive(self, events: Iterable[str] = EVENTS) -> Receiver:
        """A receiver that listens on loopback and is subscribed already: `with tenant.webhooks.receive() as inbox`.

        It needs a mock that can reach this machine.
        """
        receiver = Receiver(self, tuple(names("events", events)), self._receivers.discard)
        self._receivers.add(receiver)
        return receiver

    def subscribe(self, target_url: str, events: Iterable[str] = EVENTS) -> Subscription:
        """Have events sent to `target_url`, a test event first."""
        made = self._connection.ask(
            "POST", *self._path, "webhooks", json={"target_url": target_url, "events": names("events", events)}
        )
        return Subscription(made["id"], made["target_url"], tuple(made["events"]), Secret(made["secret"]))

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._connection.ask("DELETE", *self._path, "webhooks", subscription.id)

    def hold(self, subscription: Subscription) -> None:
        """Hold back what is published, until `release`."""
        self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json={"held": True})

    def release(self, subscription: Subscription) -> None:
        """Let go what was held back."""
        self._connection.ask("PATCH", *self._path, "webhooks", subscription.id, json={"held": False})

    def deliveries(self) -> Rows:
        """The deliveries, oldest first: `event`, `state` (pending, delivered, failed, dead), `attempts`, …"""
        return rows(self._connection.ask("GET", *self._path, "deliveries"))

    def wait(
        self,
        event: str | None = None,
        *,
        state: str = "delivered",
        timeout: float = 10.0,
        after: int = 0,
        subscription: Subscription | None = None,
    ) -> Json:
        """The first delivery in `state` that matches, behind `after` that match too, as soon as there is one.

        ControlError 408 after `timeout` seconds, 60 at most.
        """
        wanted = without_none(event=event, state=state, webhook_id=subscription.id if subscription else None)
        wanted |= {"after": after, "timeout": duration("timeout", timeout)}
        path = (*self._path, "deliveries", "wait")
        return dict(self._connection.ask("POST", *path, json=wanted, timeout=timeout + _SLACK))

    def redeliver(self, delivery: Json | str, *, tampered: bool = False) -> Json:
        """Send a delivery (or that of an id) once more; `tampered`: with a signature that does not match."""
        path = (*self._path, "deliveries", _id(delivery), "redeliver")
        return dict(self._connection.ask("POST", *path, json={"tampered": tampered}))


def _moment(clock: Json) -> datetime:
    return datetime.fromisoformat(clock["now"]).astimezone(UTC)


def _text(moment: str | datetime) -> str:
    return moment if isinstance(moment, str) else moment.isoformat()


def _id(thing: Json | str) -> str:
    return thing if isinstance(thing, str) else str(thing["id"])
