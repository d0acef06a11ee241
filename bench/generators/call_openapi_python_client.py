import json
import os
from uuid import UUID

from client import AuthenticatedClient
from client.api.crm import create_crm_record
from client.api.leads import handoff_lead
from client.models import CrmCreateRecordBody, LeadHandoffBody

api = AuthenticatedClient(base_url=os.environ["VOREL_BASE_URL"], token=os.environ["VOREL_API_KEY"])


def create(name: str):
    body = {"object": "contact", "fields": {"last_name": name}, "idempotency_key": name}
    return create_crm_record.sync(client=api, body=CrmCreateRecordBody.from_dict(body))


def hand_off(lead: UUID):
    return handoff_lead.sync(lead, client=api, body=LeadHandoffBody(reason="no-response-7d"))


result = {
    "handoff": hand_off(UUID(os.environ["LEAD"])).conversation_status,
    "unknown": hand_off(UUID("00000000-0000-4000-8000-000000000004")).error.code,
    "made": create("Lee").ok,
    "failed": create("auth_failed@crm-error.test").error,
}
print(json.dumps(result))
