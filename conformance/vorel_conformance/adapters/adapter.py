#!/usr/bin/env python3
"""Adapter between `vorel-conformance client` and your integration. Try it: vorel-conformance client -- ./adapter.py

It reads tasks on stdin and prints one line of JSON for each. Replace the bodies of `handoff` and `create_record` by
calls of your own code, so that your code is what is certified. As it stands it does the work itself.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request


def handoff(task):
    """Hand a lead off. Return the answer of the API; raise Failed with its error."""
    body = {name: task[name] for name in ("reason", "summary") if name in task}
    # A lost answer is not tried again: the lead may have been handed off.
    return post(f"/api/v1/leads/{task['lead_id']}/handoff", body, again_if_lost=False)


def create_record(task):
    """Create a record in the CRM. The same task has the same key in every attempt, also after a restart."""
    body = {"object": task["object"], "fields": task["fields"], "idempotency_key": task["id"]}
    answer = post("/api/v1/crm/create-record", body, again_if_lost=True)
    if not answer.get("ok"):
        raise Failed(answer.get("error"))
    return answer


class Failed(Exception):
    """The API did not do it, or we cannot know."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it would take the key to another host."""

    def redirect_request(self, *args):
        return None


opener = urllib.request.build_opener(NoRedirect)


def post(path, body, again_if_lost):
    """POST, and try again what may pass: after Retry-After, or after growing pauses."""
    for pause in (0.5, 1, 2, None):
        wait = pause
        try:
            return send(path, body)
        except urllib.error.HTTPError as error:
            code = code_of(error)
            if error.code == 429:
                wait = int(error.headers.get("Retry-After", "1"))
            elif error.code != 503 and not (again_if_lost and error.code >= 500):
                raise Failed(code) from None
        except (OSError, ValueError) as error:
            code = type(error).__name__
            if not again_if_lost:
                raise Failed(code) from None
        if pause is None:
            raise Failed(code)
        time.sleep(wait)


def send(path, body):
    request = urllib.request.Request(
        os.environ["VOREL_BASE_URL"] + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['VOREL_API_KEY']}", "Content-Type": "application/json"},
        method="POST",
    )
    with opener.open(request, timeout=10) as response:
        return json.loads(response.read())


def code_of(error):
    try:
        return json.loads(error.read())["error"]["code"]
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.code)


def main():
    for task in json.load(sys.stdin)["tasks"]:
        outcome = {"id": task["id"], "outcome": "done"}
        try:
            answer = handoff(task) if task["do"] == "handoff" else create_record(task)
            outcome |= {name: answer[name] for name in ("handoff_id", "external_id") if name in answer}
        except Failed as error:
            outcome |= {"outcome": "failed", "error": str(error)}
        print(json.dumps(outcome), flush=True)


main()
