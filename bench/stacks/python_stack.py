"""An integration as it is often written: `python_stack.py NAME`, one HTTP library as its page shows it."""

import json
import os
import sys
import uuid

BASE, KEY = os.environ["VOREL_BASE_URL"], os.environ["VOREL_API_KEY"]
HEADERS = {"Authorization": f"Bearer {KEY}"}


def with_requests():
    import requests

    session = requests.Session()
    return lambda path, body: session.post(BASE + path, json=body(), headers=HEADERS, timeout=5)


def with_urllib3_retry():
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    statuses = [429, 500, 502, 503, 504]
    session.mount("http://", HTTPAdapter(max_retries=Retry(3, status_forcelist=statuses, backoff_factor=0.5)))
    return lambda path, body: session.post(BASE + path, json=body(), headers=HEADERS, timeout=5)


def with_urllib3_retry_of_post():
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    statuses = [429, 500, 502, 503, 504]
    retry = Retry(3, status_forcelist=statuses, backoff_factor=0.5, allowed_methods=None)
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return lambda path, body: session.post(BASE + path, json=body(), headers=HEADERS, timeout=5)


def with_httpx():
    import httpx

    client = httpx.Client(base_url=BASE, headers=HEADERS, timeout=5)
    return lambda path, body: client.post(path, json=body())


def with_tenacity():
    import requests
    from tenacity import retry, stop_after_attempt

    session = requests.Session()

    @retry(stop=stop_after_attempt(3), reraise=True)
    def post(path, body):
        response = session.post(BASE + path, json=body(), headers=HEADERS, timeout=5)
        response.raise_for_status()
        return response

    return post


STACKS = {
    "requests": with_requests,
    "requests-retry": with_urllib3_retry,
    "requests-retry-post": with_urllib3_retry_of_post,
    "httpx": with_httpx,
    "tenacity": with_tenacity,
}


def body_of(task):
    """The body, made anew for each attempt of a helper that calls it again: a key that is made here differs."""
    if task["do"] == "handoff":
        return {name: task[name] for name in ("reason", "summary") if name in task}
    return {"object": task["object"], "fields": task["fields"], "idempotency_key": str(uuid.uuid4())}


def main():
    post = STACKS[sys.argv[1]]()
    for task in json.load(sys.stdin)["tasks"]:
        path = f"/api/v1/leads/{task['lead_id']}/handoff" if task["do"] == "handoff" else "/api/v1/crm/create-record"
        try:
            response = post(path, lambda task=task: body_of(task))
            response.raise_for_status()
            answer = response.json()
            ids = {name: answer[name] for name in ("handoff_id", "external_id") if name in answer}
            outcome = {"outcome": "done", **ids}
        except Exception as error:
            outcome = {"outcome": "failed", "error": str(error)[:200]}
        print(json.dumps({"id": task["id"], **outcome}), flush=True)


main()
