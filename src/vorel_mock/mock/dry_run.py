"""A copy of a tenant on which a request can be tried without an effect, in a time that no history makes longer."""

from copy import copy

from vorel_mock.model.clock import Clock
from vorel_mock.model.keys import ApiKey
from vorel_mock.model.leads import Conversation
from vorel_mock.model.tenant import Tenant


def copy_for_dry_run(tenant: Tenant, key: ApiKey) -> Tenant:
    """Return a tenant with one key that answers a request as `tenant` would answer it now.

    What a request changes is copied; everything else is shared. Of the histories it has what a response may depend on.
    """
    twin = Tenant(
        tenant.id,
        tenant.name,
        Clock(at=tenant.clock.now()),
        tenant.ids.copy(),
        tenant.notified_channel,
        tenant.crm,
        tenant.rate_limit,
        tenant.tenant_rate_limit,
    )
    own_key = copy(key)
    own_key.window = copy(key.window)
    twin.keys = {own_key.id: own_key}
    twin.window = copy(tenant.window)
    twin.leads = tenant.leads
    twin.conversations = _Conversations(tenant.conversations)
    twin.handoffs = tenant.handoffs.copy()
    twin.idempotency.update(tenant.idempotency)
    twin.webhooks = tenant.webhooks
    twin.faults = [armed.copy() for armed in tenant.faults]
    twin.stubs = [stub.copy() for stub in tenant.stubs]
    return twin


class _Conversations(dict[str, Conversation]):
    """The conversations of a tenant; those that are replaced are replaced here alone."""

    def __init__(self, originals: dict[str, Conversation]) -> None:
        super().__init__()
        self._originals = originals

    def __missing__(self, conversation_id: str) -> Conversation:
        return self._originals[conversation_id]
