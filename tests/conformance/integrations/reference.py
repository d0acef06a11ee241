"""A correct integration: what docs/integration.md asks for, with the standard library alone.

MUTATION in the environment names one thing that it does wrong: tests/conformance/test_client_proof.py has the table.
"""

import hashlib
import http.client
import json
import os
import sys
import time
import urllib.parse

MUTATION = os.environ.get("MUTATION", "")
BASE = urllib.parse.urlsplit(os.environ["VOREL_BASE_URL"])
KEY = os.environ["VOREL_API_KEY"]
TIMEOUT_S = 4
ATTEMPTS = 4


class LostError(Exception):
    """The answer was lost: whether the work was done is not known."""


class Client:
    """One connection that is kept, and the end of a wait that holds for all requests."""

    def __init__(self):
        self.connection = None
        self.not_before = 0.0

    def post(self, path, body):
        time.sleep(max(0.0, self.not_before - time.monotonic()))
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        data = json.dumps(body, ensure_ascii=False).encode("utf-8")
        if self.connection is None:
            self.connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=TIMEOUT_S)
        try:
            self.connection.request("POST", path, data, headers)
            response = self.connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            raise LostError(type(error).__name__) from error
        if response.status == 429:
            self.not_before = time.monotonic() + int(response.headers.get("Retry-After", "1"))
        try:
            value = json.loads(answer)
        except ValueError:
            value = {}
        return response.status, value if isinstance(value, dict) else {}


def error_of(status, answer):
    error = answer.get("error")
    if isinstance(error, dict):
        error = error.get("code")
    return error or str(status)


def handoff(client, task):
    body = {name: task[name] for name in ("reason", "summary") if name in task}
    for attempt in range(ATTEMPTS):
        try:
            status, answer = client.post(f"/api/v1/leads/{task['lead_id']}/handoff", body)
        except LostError as error:
            return {"outcome": "failed", "error": str(error)}  # another request could hand the lead off twice
        if status == 200:
            return {"outcome": "done", "handoff_id": answer["handoff_id"]}
        if status not in (429, 503):
            break
        if status == 503:
            time.sleep(0.2 * 2**attempt)
    return {"outcome": "failed", "error": error_of(status, answer)}


def create(client, task):
    key = hashlib.sha256(task["id"].encode()).hexdigest()
    body = {"object": task["object"], "fields": task["fields"], "idempotency_key": key}
    error = ""
    for attempt in range(ATTEMPTS):
        try:
            status, answer = client.post("/api/v1/crm/create-record", body)
        except LostError as lost:
            error = str(lost)
            time.sleep(0.2 * 2**attempt)
            continue
        error = error_of(status, answer)
        if status == 200 and answer.get("ok"):
            return {"outcome": "done", "external_id": answer["external_id"]}
        if status == 200 and error != "rate_limited":
            break
        if status < 500 and status not in (200, 429):
            break
        if status != 429:
            time.sleep(0.2 * 2**attempt)
    return {"outcome": "failed", "error": error}


def main():
    client = Client()
    for task in json.load(sys.stdin)["tasks"]:
        outcome = handoff(client, task) if task["do"] == "handoff" else create(client, task)
        print(json.dumps({"id": task["id"], **outcome}), flush=True)


if __name__ == "__main__":
    main()
