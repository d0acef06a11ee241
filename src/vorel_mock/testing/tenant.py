"""A tenant, for tests. It uses the control plane. No repr shows a key."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from vorel_mock.testing.clock import Clock
from vorel_mock.testing.connection import (
    SNAPSHOT_TIMEOUT,
    Connection,
    ControlError,
    Json,
    Rows,
    Secret,
    names,
    rows,
    without_none,
)
from vorel_mock.testing.faults import Faults
from vorel_mock.testing.receiver import Receiver
from vorel_mock.testing.requests import Requests
from vorel_mock.testing.webhooks import Webhooks


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of a tenant by role, as in a target profile; None if it has no such key. The repr shows none."""

    full: tuple[str, ...]
    """Keys with every scope."""
    burst: tuple[str, ...]
    """Unused keys with every scope, to exhaust a limit."""
    read_only: str | None
    leads_only: str | None
    crm_only: str | None
    revoked: str | None

    def __repr__(self) -> str:
        return f"Keys({len(self.full)} full, {len(self.burst)} burst)"


@dataclass(frozen=True, slots=True)
class Leads:
    """Ids of leads: of the tenant, and of another one."""

    own: tuple[str, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key that was made for a test. `token` is the key itself; the repr does not show it."""

    id: str
    scopes: tuple[str, ...]
    token: str = field(repr=False)


#: Whose tokens the keys of a snapshot have: those of the snapshot, or new ones.
Tokens = Literal["kept", "fresh"]


class Tenant:
    """A tenant: keys, leads, limits, faults, webhooks, journal and clock that no other test sees.

    `with` deletes it at the end.
    """

    def __init__(self, connection: Connection, profile: Json, created_at: datetime) -> None:
        self.id: str = profile["id"]
        self.created_at = created_at
        """The time of its creation on the mock's clock, in whole seconds."""
        self._connection = connection
        self._path = ("tenants", self.id)
        self._receivers: set[Receiver] = set()
        self._read(profile)
        self.clock = Clock(connection, *self._path)
        self.faults = Faults(connection, *self._path)
        self.requests = Requests(connection, lambda: self.headers, *self._path)
        self.webhooks = Webhooks(connection, self._receivers, *self._path)

    def _read(self, profile: Json) -> None:
        self.base_url: str = profile["base_url"]
        keys = profile["keys"]
        single = {name: _secret(keys.get(name)) for name in ("read_only", "leads_only", "crm_only", "revoked")}
        full, burst = (tuple(map(Secret, keys.get(name, ()))) for name in ("full", "burst"))
        self.keys = Keys(full=full, burst=burst, **single)
        self.leads = Leads(tuple(profile["leads"]["own"]), tuple(profile["leads"].get("foreign", ())))

    def __enter__(self) -> "Tenant":
        return self

    def __exit__(self, *exception: object) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"Tenant({self.id!r}, {self.base_url!r})"

    @property
    def key(self) -> str:
        """The first key with every scope. Raises LookupError if the tenant was created without one."""
        return _first(self.keys.full, "key with every scope; create it with keys={'full': 1}")

    @property
    def lead(self) -> str:
        """The id of its first lead. Raises LookupError if the tenant was created without one."""
        return _first(self.leads.own, "lead; create it with leads=1, or add one with add_lead()")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request with `key`: Authorization. Empty if there is no such key."""
        return {"Authorization": Secret(f"Bearer {self.keys.full[0]}")} if self.keys.full else {}

    def mint_key(self, scopes: Iterable[str], *, id: str | None = None) -> MintedKey:
        """Create a key with these scopes."""
        made = self._ask("POST", "keys", json={"scopes": names("scopes", scopes), **without_none(id=id)})
        return MintedKey(made["id"], tuple(made["scopes"]), Secret(made["token"]))

    def revoke_key(self, key: MintedKey | str) -> None:
        """Revoke a key, given as MintedKey or by its id, such as `full_1`, `burst_1` or `leads_only`."""
        self._ask("DELETE", "keys", key if isinstance(key, str) else key.id)

    def add_lead(
        self, name: str | None = None, *, id: str | None = None, conversation_status: str | None = None
    ) -> Json:
        """Add a lead with a conversation. Returns it: `id`, `conversation_id`, … Its id joins `leads.own`."""
        wanted = without_none(name=name, id=id, conversation_status=conversation_status)
        made = dict(self._ask("POST", "leads", json=wanted))
        self.leads = Leads((*self.leads.own, made["id"]), self.leads.foreign)
        return made

    def lead_states(self) -> Rows:
        """Return its leads, each with the status of its conversation."""
        return rows(self._ask("GET", "leads"))

    def handoffs(self) -> Rows:
        """Return the handoffs, oldest first."""
        return rows(self._ask("GET", "handoffs"))

    def audit_log(self) -> Rows:
        """Return the audit log, oldest first."""
        return rows(self._ask("GET", "audit-log"))

    def crm_records(self) -> Rows:
        """Return the records in its CRM, with canonical and with vendor names."""
        return rows(self._ask("GET", "crm-records"))

    def settings(self) -> Json:
        """Return its settings, which `patch` changes, and its clock."""
        return dict(self._ask("GET"))

    def patch(self, **settings: Any) -> Json:
        """Change settings (`rate_limit=2`, `crm={"failure": "auth_failed"}`, …). Returns all of them.

        Objects merge, and None removes: a setting has its default again (JSON Merge Patch, RFC 7396).
        """
        return dict(self._ask("PATCH", json=settings))

    def snapshot(self) -> Json:
        """Return the tenant as JSON, keys and clock included: for `restore`, or `new_tenant(snapshot=…)`."""
        return dict(self._ask("GET", "snapshot", timeout=SNAPSHOT_TIMEOUT))

    def restore(self, snapshot: Json, *, keys: Tokens = "kept") -> None:
        """Restore a snapshot: its keys, leads and clock included.

        `keys="fresh"` gives its keys new tokens: for the snapshot of a tenant that still has its own. Receivers whose
        subscriptions are not in it are closed.
        """
        params = {} if keys == "kept" else {"keys": keys}
        self._ask("PUT", "snapshot", json=snapshot, params=params, timeout=SNAPSHOT_TIMEOUT)
        self._read(self._ask("GET", "target"))
        subscribed = {webhook["id"] for webhook in rows(self._ask("GET", "webhooks"))}
        self._close_receivers(but=subscribed)

    def reset(self) -> None:
        """Restore the initial state; the clock stays. Receivers are closed, because their subscriptions are gone."""
        self._close_receivers()
        self._ask("POST", "reset")
        self._read(self._ask("GET", "target"))

    def delete(self) -> None:
        """Delete the tenant and close its receivers. It is no error if it was deleted already."""
        self._close_receivers()
        try:
            self._ask("DELETE")
        except ControlError as error:
            if error.status != 404:
                raise

    def _close_receivers(self, *, but: Collection[str] = ()) -> None:
        """Close the receivers, except those with one of these subscriptions."""
        for receiver in list(self._receivers):
            if receiver.subscription.id not in but:
                receiver.close()

    def _ask(self, method: str, *path: str, **options: Any) -> Any:
        return self._connection.ask(method, *self._path, *path, **options)


def _secret(token: str | None) -> str | None:
    return None if token is None else Secret(token)


def _first(values: tuple[str, ...], what: str) -> str:
    if not values:
        raise LookupError(f"this tenant has no {what}")
    return values[0]
