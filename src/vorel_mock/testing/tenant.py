"""A tenant, for tests. It uses the control plane. No repr shows a key."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from vorel_mock.testing.clock import AsyncClock, Clock
from vorel_mock.testing.connection import (
    SNAPSHOT_TIMEOUT,
    Connection,
    ControlError,
    Duration,
    Json,
    Secret,
    duration,
    id_of,
    moment_text,
    names,
    query,
    rows,
    without_none,
)
from vorel_mock.testing.faults import AsyncFaults, Faults
from vorel_mock.testing.receiver import ReceiverOperations
from vorel_mock.testing.requests import AsyncRequests, Requests
from vorel_mock.testing.rows import AuditRow, CrmRecord, Handoff, Key, Lead, R, TenantSettings, read_rows
from vorel_mock.testing.sides import AwaitingManager, BlockingManager, operation
from vorel_mock.testing.stubs import AsyncStubs, Stubs
from vorel_mock.testing.webhooks import AsyncWebhooks, Webhooks

if TYPE_CHECKING:
    import httpx


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


class TenantState:
    """What is known here of a tenant, for both kinds of access to it."""

    base_url: str
    keys: Keys
    leads: Leads
    control_token: str | None

    def __init__(self, profile: Json, created_at: datetime) -> None:
        self.id = str(profile["id"])
        self.created_at = created_at
        self.receivers: set[ReceiverOperations] = set()
        self.read(profile)

    def read(self, profile: Json) -> None:
        """Take over a target profile."""
        self.base_url = profile["base_url"]
        self.control_token = _secret(profile.get("control_token"))
        keys = profile["keys"]
        single = {name: _secret(keys.get(name)) for name in ("read_only", "leads_only", "crm_only", "revoked")}
        full, burst = (tuple(map(Secret, keys.get(name, ()))) for name in ("full", "burst"))
        self.keys = Keys(full=full, burst=burst, **single)
        self.leads = Leads(tuple(profile["leads"]["own"]), tuple(profile["leads"].get("foreign", ())))


async def found(connection: Connection, tenant_id: str) -> TenantState:
    """Look for a tenant that there is. Raises ControlError if there is none with this id."""
    response = await connection.exchange("GET", "tenants", tenant_id, "target")
    return TenantState(response.json(), parsedate_to_datetime(response.headers["date"]))


async def created(connection: Connection, settings: Json) -> TenantState:
    """Create a tenant. Raises ControlError if a setting is invalid."""
    response = await connection.exchange("POST", "tenants", json=settings, within=SNAPSHOT_TIMEOUT)
    return TenantState(response.json(), parsedate_to_datetime(response.headers["date"]))


class TenantOperations:
    """What both kinds of tenant do."""

    def __init__(self, connection: Connection, state: TenantState) -> None:
        self._connection = connection
        self._state = state
        self._path = ("tenants", state.id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.base_url!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return self._state.id

    @property
    def created_at(self) -> datetime:
        """The time of its creation on the mock's clock, in whole seconds; of `Control.tenant`, if that found it."""
        return self._state.created_at

    @property
    def base_url(self) -> str:
        """The URL of the API."""
        return self._state.base_url

    @property
    def control_token(self) -> str | None:
        """The token that opens the control plane of this tenant alone; None if the mock requires no token."""
        return self._state.control_token

    @property
    def keys(self) -> Keys:
        """Its keys by role."""
        return self._state.keys

    @property
    def leads(self) -> Leads:
        """Its leads, and those of another tenant."""
        return self._state.leads

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

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for a program under test: VOREL_BASE_URL, VOREL_API_KEY, VOREL_LEAD_ID.

        `subprocess.run(…, env={**os.environ, **tenant.env})`. A tenant without such a key, or without leads, has no
        such variable. Raises RuntimeError if the mock is in this process, where another one cannot reach it.
        """
        if self._connection.app is not None:
            raise RuntimeError("a mock in process has no port that a program could use: use MockServer, or the fixture")
        known = {"VOREL_BASE_URL": self.base_url}
        if self.keys.full:
            known["VOREL_API_KEY"] = self.keys.full[0]
        if self.leads.own:
            known["VOREL_LEAD_ID"] = self.leads.own[0]
        return known

    def client(self, **options: Any) -> "httpx.Client":
        """Return an httpx.Client with `base_url` and `headers`; `options` are those of httpx.Client. Close it."""
        from vorel_mock.testing import api_client  # httpx, which takes a while to import

        return api_client.client(self._connection.app, self.base_url, self.headers, options)

    def async_client(self, **options: Any) -> "httpx.AsyncClient":
        """Return an httpx.AsyncClient, as `client` does."""
        from vorel_mock.testing import api_client

        return api_client.async_client(self._connection.app, self.base_url, self.headers, options)

    @operation
    async def mint_key(self, scopes: Iterable[str], *, id: str | None = None, token: str | None = None) -> MintedKey:
        """Create a key with these scopes. `token` is the key itself, `vapk_live_…`; a random one if None."""
        wanted = {"scopes": names("scopes", scopes), **without_none(id=id, token=token)}
        made = await self._ask("POST", "keys", json=wanted)
        return MintedKey(made["id"], tuple(made["scopes"]), Secret(made["token"]))

    @operation
    async def revoke_key(self, key: MintedKey | str) -> None:
        """Revoke a key, given as MintedKey or by its id, such as `full_1`, `burst_1` or `leads_only`."""
        await self._ask("DELETE", "keys", _key_id(key))

    @operation
    async def set_key(
        self, key: MintedKey | str, *, scopes: Iterable[str] | None = None, revoked: bool | None = None
    ) -> Key:
        """Change a key, given as in `revoke_key`: its scopes, or `revoked=False`, which restores it. Returns it.

        None leaves as it is.
        """
        wanted = without_none(scopes=None if scopes is None else names("scopes", scopes), revoked=revoked)
        return Key(await self._ask("PATCH", "keys", _key_id(key), json=wanted))

    @operation
    async def key_states(self, *, revoked: bool | None = None, limit: int | None = None) -> list[Key]:
        """Return its keys that match, without their tokens: `id`, `prefix`, `scopes`, `revoked`."""
        return await self._rows(Key, "keys", revoked=revoked, limit=limit)

    @operation
    async def add_lead(
        self, name: str | None = None, *, id: str | None = None, conversation_status: str | None = None
    ) -> Lead:
        """Add a lead with a conversation. Returns it: `id`, `conversation_id`, … Its id joins `leads.own`."""
        wanted = without_none(name=name, id=id, conversation_status=conversation_status)
        made = Lead(await self._ask("POST", "leads", json=wanted))
        self._state.leads = Leads((*self.leads.own, made.id), self.leads.foreign)
        return made

    @operation
    async def set_lead(
        self, lead: Json | str, *, name: str | None = None, conversation_status: str | None = None
    ) -> Lead:
        """Change a lead, given as it is or by its id. Returns it. None leaves as it is.

        Publishes `lead.updated` if anything changes, and `conversation.closed` if the status becomes `closed`.
        """
        wanted = without_none(name=name, conversation_status=conversation_status)
        return Lead(await self._ask("PATCH", "leads", id_of(lead), json=wanted))

    @operation
    async def delete_lead(self, lead: Json | str) -> None:
        """Delete a lead and its conversation; its handoffs stay. Its id leaves `leads.own`."""
        await self._ask("DELETE", "leads", id_of(lead))
        own = tuple(known for known in self.leads.own if known != id_of(lead).lower())
        self._state.leads = Leads(own, self.leads.foreign)

    @operation
    async def lead_states(self, *, conversation_status: str | None = None, limit: int | None = None) -> list[Lead]:
        """Return its leads that match, each with the status of its conversation; the newest `limit` of them."""
        return await self._rows(Lead, "leads", conversation_status=conversation_status, limit=limit)

    @operation
    async def seed_handoff(
        self,
        lead: Json | str,
        *,
        reason: str | None = None,
        summary: str | None = None,
        requested_at: str | datetime | None = None,
    ) -> Handoff:
        """Write a handoff of a lead, and its audit row, without a request to the API. Returns it.

        It is published as usual, unless `requested_at` says that it was requested before, on the tenant's clock.
        """
        wanted = without_none(lead_id=id_of(lead), reason=reason, summary=summary, requested_at=_text(requested_at))
        return Handoff(await self._ask("POST", "handoffs", json=wanted))

    @operation
    async def handoffs(
        self,
        *,
        lead: Json | str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> list[Handoff]:
        """Return the handoffs that match, in the order in which they were written; the newest `limit` of them."""
        return await self._rows(Handoff, "handoffs", lead_id=_id(lead), since=since, until=until, limit=limit)

    @operation
    async def audit_log(
        self,
        *,
        lead: Json | str | None = None,
        key_id: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> list[AuditRow]:
        """Return the rows of the audit log that match, in the order in which they were written."""
        wanted = {"lead_id": _id(lead), "key_id": key_id, "since": since, "until": until, "limit": limit}
        return await self._rows(AuditRow, "audit-log", **wanted)

    @operation
    async def seed_record(
        self,
        object: str,
        fields: Json,
        idempotency_key: str,
        *,
        at: str | datetime | None = None,
        vendor: str | None = None,
        external_id: str | None = None,
        record_url: str | None = None,
    ) -> CrmRecord:
        """Write a record to the CRM without a request to the API, which then replays it. Returns it.

        With `vendor`, `external_id` or `record_url` it is written as if the CRM had taken it before: also if the tenant
        has no CRM, or one that fails. Raises ControlError 409 if the CRM would not take it.
        """
        content = {"object": object, "fields": fields, "idempotency_key": idempotency_key}
        known = without_none(at=_text(at), vendor=vendor, external_id=external_id, record_url=record_url)
        return CrmRecord(await self._ask("POST", "crm-records", json=content | known))

    @operation
    async def crm_records(
        self,
        *,
        object: str | None = None,
        idempotency_key: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        limit: int | None = None,
    ) -> list[CrmRecord]:
        """Return the records in its CRM that match, with canonical and with vendor names."""
        wanted = {"object": object, "idempotency_key": idempotency_key, "since": since, "until": until, "limit": limit}
        return await self._rows(CrmRecord, "crm-records", **wanted)

    @operation
    async def settings(self) -> TenantSettings:
        """Return its settings, which `patch` changes, and its clock."""
        return TenantSettings(await self._ask("GET"))

    @operation
    async def patch(self, /, **settings: Any) -> TenantSettings:
        """Change settings (`rate_limit=2`, `crm={"failure": "auth_failed"}`, …). Returns all of them.

        Objects merge, and None removes: a setting has its default again (JSON Merge Patch, RFC 7396).
        """
        return TenantSettings(await self._ask("PATCH", json=settings))

    @operation
    async def snapshot(self) -> Json:
        """Return the tenant as JSON, keys and clock included: for `restore`, or `new_tenant(snapshot=…)`."""
        return dict(await self._ask("GET", "snapshot", within=SNAPSHOT_TIMEOUT))

    @operation
    async def restore(self, snapshot: Json, *, keys: Tokens = "kept") -> None:
        """Restore a snapshot: its keys, leads and clock included.

        `keys="fresh"` gives its keys new tokens: for the snapshot of a tenant that still has its own. Receivers whose
        subscriptions are not in it are closed.
        """
        params = {} if keys == "kept" else {"keys": keys}
        await self._ask("PUT", "snapshot", json=snapshot, params=params, within=SNAPSHOT_TIMEOUT)
        self._state.read(await self._ask("GET", "target"))
        subscribed = {webhook["id"] for webhook in rows(await self._ask("GET", "webhooks"))}
        await self._close_receivers(but=subscribed)

    @operation
    async def reset(self) -> None:
        """Restore the initial state; the clock stays. Receivers are closed, because their subscriptions are gone."""
        await self._close_receivers()
        await self._ask("POST", "reset")
        self._state.read(await self._ask("GET", "target"))

    @operation
    async def delete(self) -> None:
        """Delete the tenant and close its receivers. It is no error if it was deleted already."""
        await self._leave()

    @operation
    async def leave_behind(self, ttl: Duration = "1h") -> None:
        """Close its receivers, and have the mock delete the tenant after `ttl` without a request: to look at it."""
        await self._close_receivers()
        await self._ask("PATCH", json={"ttl": duration("ttl", ttl)})

    async def _fork(self, ttl: Duration | None) -> TenantState:
        wanted = {"fork": self.id} if ttl is None else {"fork": self.id, "ttl": duration("ttl", ttl)}
        return await created(self._connection, wanted)

    async def _leave(self) -> None:
        await self._close_receivers()
        try:
            await self._ask("DELETE")
        except ControlError as error:
            if error.status != 404:
                raise

    async def _close_receivers(self, *, but: Collection[str] = ()) -> None:
        """Close the receivers, except those with one of these subscriptions."""
        for receiver in list(self._state.receivers):
            if receiver.subscription.id not in but:
                await receiver.leave()

    async def _rows(self, kind: type[R], what: str, **filters: Any) -> list[R]:
        return read_rows(kind, await self._ask("GET", what, params=query(**filters)))

    async def _ask(self, method: str, *path: str, **options: Any) -> Any:
        return await self._connection.ask(method, *self._path, *path, **options)


class Tenant(TenantOperations, BlockingManager):
    """A tenant: keys, leads, limits, faults, stubs, webhooks, journal and clock that no other test sees.

    `with` deletes it at the end.
    """

    def __init__(self, connection: Connection, state: TenantState) -> None:
        super().__init__(connection, state)
        self.clock = Clock(connection, *self._path)
        self.faults = Faults(connection, *self._path)
        self.requests = Requests(connection, lambda: self.headers, *self._path)
        self.stubs = Stubs(connection, *self._path)
        self.webhooks = Webhooks(connection, state.receivers, *self._path)

    @operation
    async def fork(self, *, ttl: Duration | None = None) -> "Tenant":
        """Create a tenant that is what this one is now, under keys of its own: `with tenant.fork() as fork`.

        It has the same subscriptions: its events go to the receivers of this tenant. `ttl` as in `new_tenant`.
        """
        return Tenant(self._connection, await self._fork(ttl))

    @property
    def asynchronous(self) -> "AsyncTenant":
        """The same tenant for a running event loop."""
        return AsyncTenant(self._connection, self._state)


class AsyncTenant(TenantOperations, AwaitingManager):
    """A `Tenant` whose operations are awaited. `async with` deletes it at the end."""

    def __init__(self, connection: Connection, state: TenantState) -> None:
        super().__init__(connection, state)
        self.clock = AsyncClock(connection, *self._path)
        self.faults = AsyncFaults(connection, *self._path)
        self.requests = AsyncRequests(connection, lambda: self.headers, *self._path)
        self.stubs = AsyncStubs(connection, *self._path)
        self.webhooks = AsyncWebhooks(connection, state.receivers, *self._path)

    @operation
    async def fork(self, *, ttl: Duration | None = None) -> "AsyncTenant":
        """Create a tenant that is what this one is now, as `Tenant.fork` does."""
        return AsyncTenant(self._connection, await self._fork(ttl))


def _key_id(key: MintedKey | str) -> str:
    return key if isinstance(key, str) else key.id


def _id(thing: Json | str | None) -> str | None:
    return None if thing is None else id_of(thing)


def _text(moment: str | datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)


def _secret(token: str | None) -> str | None:
    return None if token is None else Secret(token)


def _first(values: tuple[str, ...], what: str) -> str:
    if not values:
        raise LookupError(f"this tenant has no {what}")
    return values[0]
