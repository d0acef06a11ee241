"""A lawful integration with httpx: all tasks at once, one gate for the limit, keys that are the ids of tasks."""

import asyncio
import json
import os
import sys
import time

import httpx

gate = 0.0


async def send(client, path, body, again_if_lost):
    """POST until it is answered for good. Return the response, or None and what was met."""
    global gate
    error = ""
    for attempt in range(5):
        await asyncio.sleep(max(0, gate - time.monotonic()))
        try:
            response = await client.post(path, json=body)
        except httpx.HTTPError as lost:
            error = str(lost) or type(lost).__name__
            if not again_if_lost and not isinstance(lost, httpx.ConnectError):
                return None, error
        else:
            if response.status_code == 429:
                gate = max(gate, time.monotonic() + int(response.headers["retry-after"]))
                continue
            if response.status_code != 503 and not (again_if_lost and response.status_code >= 500):
                return response, ""
            error = str(response.status_code)
        await asyncio.sleep(0.2 * 2**attempt)
    return None, error


async def work(client, task):
    if task["do"] == "handoff":
        body = {name: task[name] for name in ("reason", "summary") if name in task}
        response, error = await send(client, f"/api/v1/leads/{task['lead_id']}/handoff", body, False)
    else:
        body = {"object": task["object"], "fields": task["fields"], "idempotency_key": task["id"]}
        response, error = await send(client, "/api/v1/crm/create-record", body, True)
    try:
        answer = response.json() if response else {}
    except ValueError:
        answer = {}
    if response is not None and response.status_code == 200 and answer.get("ok", True):
        ids = {name: answer[name] for name in ("handoff_id", "external_id") if name in answer}
        return {"id": task["id"], "outcome": "done", **ids}
    if response is not None:
        error = answer.get("error", str(response.status_code))
        error = error["code"] if isinstance(error, dict) else error
    return {"id": task["id"], "outcome": "failed", "error": error}


async def tell(client, task):
    print(json.dumps(await work(client, task)), flush=True)


async def main():
    headers = {"Authorization": f"Bearer {os.environ['VOREL_API_KEY']}"}
    async with httpx.AsyncClient(base_url=os.environ["VOREL_BASE_URL"], headers=headers, timeout=5) as client:
        await asyncio.gather(*(tell(client, task) for task in json.load(sys.stdin)["tasks"]))


asyncio.run(main())
