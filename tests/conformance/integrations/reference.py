"""A correct integration: what docs/integration.md asks for, with the standard library alone."""

import hashlib
import http.client
import json
import os
import sys
import time
import urllib.parse

BASE = urllib.parse.urlsplit(os.environ["VOREL_BASE_URL"])
KEY = os.environ["VOREL_API_KEY"]
TIMEOUT_S = 4
ATTEMPTS = 4


class LostError(Exception):
    """The answer was lost: whether the work was done is not known."""


def pause(attempt):
    """Wait before the next attempt: 0.2 s, 0.4 s, 0.8 s."""
    time.sleep(0.2 * 2**attempt)


def headers_of(data):
    return {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def encode(body):
    return json.dumps(body, ensure_ascii=False).encode("utf-8")


def wait_of(headers):
    """Seconds that a 429 asks to wait."""
    return int(headers.get("Retry-After", "1"))


class Client:
    """One connection that is kept, and the end of a wait that holds for all requests."""

    def __init__(self):
        self.connection = None
        self.not_before = 0.0

    def post(self, path, body):
        time.sleep(max(0.0, self.not_before - time.monotonic()))
        status, headers, answer = self.exchange("POST", path, encode(body))
        if status == 429:
            self.not_before = time.monotonic() + wait_of(headers)
        try:
            value = json.loads(answer)
        except ValueError:
            value = {}
        return status, value if isinstance(value, dict) else {}

    def exchange(self, method, path, data):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=TIMEOUT_S)
        try:
            self.connection.request(method, path, data, headers_of(data))
            response = self.connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            raise LostError(type(error).__name__) from error


def error_of(status, answer):
    error = answer.get("error")
    if isinstance(error, dict):
        error = error.get("code")
    return error or str(status)


def handoff_path(task):
    return f"/api/v1/leads/{task['lead_id']}/handoff"


def handoff_body(task):
    return {name: task[name] for name in ("reason", "summary") if name in task}


def may_repeat_handoff(status):
    """Only what was surely not done: another request would hand the lead off twice."""
    return status in (429, 503)


def handoff(client, task):
    for attempt in range(ATTEMPTS):
        try:
            status, answer = client.post(handoff_path(task), handoff_body(task))
        except LostError as error:
            return {"outcome": "failed", "error": str(error)}
        if status == 200:
            return {"outcome": "done", "handoff_id": answer["handoff_id"]}
        if not may_repeat_handoff(status):
            break
        if status != 429:
            pause(attempt)
    return {"outcome": "failed", "error": error_of(status, answer)}


def key_of(task):
    return hashlib.sha256(task["id"].encode()).hexdigest()


def create_body(task, attempt):
    return {"object": task["object"], "fields": task["fields"], "idempotency_key": key_of(task)}


def may_repeat_create(status, error):
    """Whatever may pass: the key makes another request safe."""
    return status == 429 or status >= 500 or (status == 200 and error == "rate_limited")


def create(client, task):
    error = ""
    for attempt in range(ATTEMPTS):
        try:
            status, answer = client.post("/api/v1/crm/create-record", create_body(task, attempt))
        except LostError as lost:
            error = str(lost)
            pause(attempt)
            continue
        error = error_of(status, answer)
        if status == 200 and answer.get("ok"):
            return {"outcome": "done", "external_id": answer["external_id"]}
        if not may_repeat_create(status, error):
            break
        if status != 429:
            pause(attempt)
    return {"outcome": "failed", "error": error}


def tell(task, outcome):
    print(json.dumps({"id": task["id"], **outcome}), flush=True)


def work(client, tasks):
    for task in tasks:
        tell(task, handoff(client, task) if task["do"] == "handoff" else create(client, task))


def main():
    work(Client(), json.load(sys.stdin)["tasks"])


if __name__ == "__main__":
    main()
