"""A lawful integration with requests and urllib3, set up well: 429 and 503 only, nothing after a lost answer."""

import json
import os
import sys

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

BASE = os.environ["VOREL_BASE_URL"]
session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['VOREL_API_KEY']}"
retry = Retry(
    total=4,
    connect=3,
    read=0,
    status_forcelist=[429, 503],
    allowed_methods=None,  # POST too
    backoff_factor=0.3,
    raise_on_status=False,
    respect_retry_after_header=True,
)
session.mount("http://", HTTPAdapter(max_retries=retry))


def send(task):
    if task["do"] == "handoff":
        path = f"/api/v1/leads/{task['lead_id']}/handoff"
        body = {name: task[name] for name in ("reason", "summary") if name in task}
    else:
        path = "/api/v1/crm/create-record"
        body = {"object": task["object"], "fields": task["fields"], "idempotency_key": task["id"]}
    return session.post(BASE + path, json=body, timeout=5, allow_redirects=False)


def work(task):
    try:
        response = send(task)
    except requests.RequestException as error:
        return {"outcome": "failed", "error": type(error).__name__}
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if response.status_code == 200 and answer.get("ok", True):
        return {"outcome": "done", **{name: answer[name] for name in ("handoff_id", "external_id") if name in answer}}
    error = answer.get("error", str(response.status_code))
    return {"outcome": "failed", "error": error["code"] if isinstance(error, dict) else error}


for task in json.load(sys.stdin)["tasks"]:
    print(json.dumps({"id": task["id"], **work(task)}), flush=True)
