"""An integration as it is often written: `python_stack.py NAME`, one HTTP library as its page shows it.

Each function returns one that posts: it takes the path and a function that makes the body, and returns the response as
a dictionary. Who calls the function again for another attempt makes another key.
"""

import asyncio
import io
import json
import os
import sys
import uuid

BASE, KEY = os.environ["VOREL_BASE_URL"], os.environ["VOREL_API_KEY"]
HEADERS = {"Authorization": f"Bearer {KEY}"}
STATUSES = [429, 500, 502, 503, 504]


def read(response):
    response.raise_for_status()
    return response.json()


def with_requests(**retry):
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    if retry:
        session.mount("http://", HTTPAdapter(max_retries=Retry(3, backoff_factor=0.5, **retry)))
    return lambda path, body: read(session.post(BASE + path, json=body(), headers=HEADERS, timeout=5))


def with_urllib3():
    import urllib3

    pool = urllib3.PoolManager(headers=HEADERS, timeout=5)

    def post(path, body):
        response = pool.request("POST", BASE + path, json=body())
        if response.status >= 300:
            raise OSError(f"status {response.status}")
        return response.json()

    return post


def with_httpx(transport=None):
    import httpx

    client = httpx.Client(base_url=BASE, headers=HEADERS, timeout=5, transport=transport)
    return lambda path, body: read(client.post(path, json=body()))


def with_httpx_transport():
    import httpx

    return with_httpx(httpx.HTTPTransport(retries=3))


def with_httpx_retries(**options):
    from httpx_retries import Retry, RetryTransport

    return with_httpx(RetryTransport(retry=Retry(total=3, backoff_factor=0.5, **options)))


def with_aiohttp(*, retry=False):
    import aiohttp

    loop = asyncio.Runner()

    async def opened():
        session = aiohttp.ClientSession(BASE, headers=HEADERS, timeout=aiohttp.ClientTimeout(5))
        if not retry:
            return session
        from aiohttp_retry import ExponentialRetry, RetryClient

        return RetryClient(session, retry_options=ExponentialRetry(attempts=3))

    client = loop.run(opened())

    async def post(path, body):
        async with client.post(path, json=body()) as response:
            response.raise_for_status()
            return await response.json()

    return lambda path, body: loop.run(post(path, body))


def with_pycurl():
    import pycurl

    handle = pycurl.Curl()

    def post(path, body):
        answer = io.BytesIO()
        handle.setopt(handle.URL, BASE + path)
        handle.setopt(handle.HTTPHEADER, [f"Authorization: Bearer {KEY}", "Content-Type: application/json"])
        handle.setopt(handle.POSTFIELDS, json.dumps(body()))
        handle.setopt(handle.WRITEDATA, answer)
        handle.setopt(handle.FAILONERROR, True)
        handle.setopt(handle.TIMEOUT, 5)
        handle.perform()
        return json.loads(answer.getvalue())

    return post


def again(decorate):
    """Put a decorator that calls again around requests."""
    return decorate(with_requests())


def with_tenacity():
    from tenacity import retry, stop_after_attempt

    return again(retry(stop=stop_after_attempt(3), reraise=True))


def with_stamina():
    import requests
    import stamina

    return again(stamina.retry(on=requests.RequestException, attempts=3))


def with_backoff():
    import backoff
    import requests

    return again(backoff.on_exception(backoff.expo, requests.RequestException, max_tries=3))


def with_retryhttp():
    from retryhttp import retry

    return again(retry)


def with_chromium():
    from playwright.sync_api import sync_playwright

    browser = sync_playwright().start().chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    page = browser.new_page()
    page.route(f"{BASE}/", lambda route: route.fulfill(body="<title>a page of the same origin</title>"))
    page.goto(f"{BASE}/")
    script = """async ([path, headers, body]) => {
        const signal = AbortSignal.timeout(5000);
        headers["Content-Type"] = "application/json";
        const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
        if (!response.ok) throw new Error(String(response.status));
        return response.json();
    }"""
    return lambda path, body: page.evaluate(script, [path, HEADERS, body()])


STACKS = {
    "requests": with_requests,
    "requests-retry": lambda: with_requests(status_forcelist=STATUSES),
    "requests-retry-post": lambda: with_requests(status_forcelist=STATUSES, allowed_methods=None),
    "urllib3": with_urllib3,
    "httpx": with_httpx,
    "httpx-transport": with_httpx_transport,
    "httpx-retries": with_httpx_retries,
    "httpx-retries-post": lambda: with_httpx_retries(allowed_methods=["POST"]),
    "aiohttp": with_aiohttp,
    "aiohttp-retry": lambda: with_aiohttp(retry=True),
    "pycurl": with_pycurl,
    "tenacity": with_tenacity,
    "stamina": with_stamina,
    "backoff": with_backoff,
    "retryhttp": with_retryhttp,
    "chromium": with_chromium,
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
            answer = post(path, lambda task=task: body_of(task))
            ids = {name: answer[name] for name in ("handoff_id", "external_id") if name in answer}
            outcome = {"outcome": "done", **ids}
        except Exception as error:
            outcome = {"outcome": "failed", "error": str(error)[:200]}
        print(json.dumps({"id": task["id"], **outcome}), flush=True)
    os._exit(0)  # Sessions and browsers that are left open have nothing to say.


main()
