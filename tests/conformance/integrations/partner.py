"""An integration as somebody wrote it who knew docs/integration.md alone: the usual mistakes, all at once."""

import json
import logging
import os
import sys
import time
import uuid

import requests

logging.basicConfig(level=logging.INFO)
config = {"base_url": os.environ["VOREL_BASE_URL"], "api_key": os.environ["VOREL_API_KEY"]}
logging.info("starting with %s", config)
session = requests.Session()
session.headers["Authorization"] = "Bearer " + config["api_key"]


def call(path, make_body):
    for attempt in range(3):
        try:
            response = session.post(config["base_url"] + path, json=make_body())
            response.raise_for_status()
            return response.json()
        except requests.RequestException as error:
            logging.warning("attempt %s: %s", attempt, error)
            time.sleep(0.4)
    raise RuntimeError("gave up")


for task in json.load(sys.stdin)["tasks"]:
    if task["do"] == "handoff":
        answer = call(
            f"/api/v1/leads/{task['lead_id']}/handoff",
            lambda task=task: {"reason": task.get("reason"), "summary": task.get("summary") or ""},
        )
        print(json.dumps({"id": task["id"], "outcome": "done", "handoff_id": answer["handoff_id"]}))
    else:
        answer = call(
            "/api/v1/crm/create-record",
            lambda task=task: {
                "object": task["object"],
                "fields": task["fields"],
                "idempotency_key": str(uuid.uuid4()),
            },
        )
        print(json.dumps({"id": task["id"], "outcome": "done", "external_id": answer["external_id"]}))
