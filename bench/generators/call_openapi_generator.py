import json
import os

import openapi_client as api

configuration = api.Configuration(host=os.environ["VOREL_BASE_URL"], access_token=os.environ["VOREL_API_KEY"])
client = api.ApiClient(configuration)
crm, leads = api.CRMApi(client), api.LeadsApi(client)


def create(name: str):
    body = api.CrmCreateRecordBody(object="contact", fields={"last_name": name}, idempotency_key=name)
    return crm.create_crm_record(body).actual_instance


def hand_off(lead: str):
    return leads.handoff_lead(lead, api.LeadHandoffBody(reason="no-response-7d"))


try:
    unknown = hand_off("00000000-0000-4000-8000-000000000004")
except api.exceptions.NotFoundException as error:
    unknown = json.loads(error.body)["error"]["code"]
result = {
    "handoff": hand_off(os.environ["LEAD"]).conversation_status,
    "unknown": unknown,
    "made": create("Lee").ok,
    "failed": create("auth_failed@crm-error.test").error,
}
print(json.dumps(result))
