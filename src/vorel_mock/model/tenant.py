"""A tenant and everything that belongs to it: keys, leads, conversations, CRM, rate limits, clock, ids."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vorel_mock.model.armed_faults import ArmedFault
from vorel_mock.model.clock import Clock
from vorel_mock.model.crm import ErrorName
from vorel_mock.model.crm_records import CrmRecord
from vorel_mock.model.handoffs import AuditRow, Handoff
from vorel_mock.model.held_responses import HeldResponses
from vorel_mock.model.history import History
from vorel_mock.model.ids import Ids
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation, Lead
from vorel_mock.model.lease import Lease
from vorel_mock.model.rate_window import Window
from vorel_mock.model.stubs import Stub
from vorel_mock.model.webhooks import MAX_DELIVERIES, Delivery, Webhook

#: Requests a minute that a limit may allow.
MAX_LIMIT = 1_000_000_000
#: Keys and leads that a tenant may have.
MAX_KEYS = 10_000
MAX_LEADS = 10_000


@dataclass(slots=True)
class CrmConnection:
    """The CRM that a tenant has set up."""

    vendor: str
    """A name of `vorel_mock.model.crm.VENDORS`."""
    account: str
    """The tenant's account in the vendor's system; part of every record URL."""
    mappings: dict[str, dict[str, str]] = field(default_factory=dict)
    """The tenant's own `tenant_crm_field_mappings`: object to canonical name to the vendor's; wins over the default."""
    failure: ErrorName | None = None
    """The error of every write, for example `auth_failed`: rejected credentials do not heal by themselves."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Tenant:
    """One tenant and everything that it owns."""

    id: str
    name: str
    clock: Clock
    ids: Ids
    notified_channel: str
    crm: CrmConnection | None = None
    rate_limit: int = 200
    """Requests a minute for each key; 0 = off."""
    tenant_rate_limit: int = 5000
    """Requests a minute for all keys together; 0 = off."""
    keys: dict[str, ApiKey] = field(default_factory=dict)
    leads: dict[str, Lead] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    handoffs: History[Handoff] = field(default_factory=History)
    audit_log: History[AuditRow] = field(default_factory=History)
    crm_records: History[CrmRecord] = field(init=False)
    idempotency: dict[str, CrmRecord] = field(default_factory=dict)
    """The record that each idempotency_key made, as long as the record is kept. It belongs to `crm_records`."""
    window: Window = field(default_factory=Window)
    """The quota over all keys of the tenant."""
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    deliveries: History[Delivery] = field(default_factory=lambda: History(MAX_DELIVERIES, on_forget=Delivery.forget))
    webhook_timeout: float = 10.0
    """Seconds of real time that a receiver has for its whole answer."""

    faults: list[ArmedFault] = field(default_factory=list)
    """The armed faults, in the order in which they were armed."""
    stubs: list[Stub] = field(default_factory=list)
    """The stubs, in the order in which they were added."""
    held: HeldResponses = field(default_factory=HeldResponses, repr=False)
    """The responses that faults and stubs hold back."""
    lease: Lease | None = None
    """The time that it lives without a request; None is for ever. Neither a state nor a snapshot has it."""
    initial: "Tenant | None" = field(default=None, repr=False)
    """The state of the tenant as it was made (`tenant_state`); what a reset goes back to."""

    def __post_init__(self) -> None:
        """Have the records forgotten with their idempotency keys."""
        self.crm_records = History(on_forget=forget_key(self.idempotency))


def forget_key(known: dict[str, CrmRecord]) -> Callable[[CrmRecord], object]:
    """Return the function that forgets the idempotency key of a record.

    Of the dictionary and not of the tenant: a tenant that refers to itself is not freed when it is removed.
    """
    return lambda record: known.pop(record.idempotency_key, None)
