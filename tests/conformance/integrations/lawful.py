"""The reference integration in other lawful ways: `lawful.py NAME`. None of them may be failed."""

import json
import random
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import reference as r

VARIANTS = {}


def variant(change):
    VARIANTS[change.__name__] = change
    return change


@variant
def no_retry():
    """Never tries again; after a 429 the wait holds for the next task. Another connection for each request."""
    r.ATTEMPTS = 1
    old = r.Client.exchange

    def exchange(self, method, path, data):
        try:
            return old(self, method, path, data)
        finally:
            if self.connection:
                self.connection.close()
            self.connection = None

    r.Client.exchange = exchange


@variant
def uuid_keys_ascii_chatty():
    """Random keys for each task, JSON in ASCII, other header names, longer waits, much on stdout and stderr."""
    keys = {}
    r.key_of = lambda task: keys.setdefault(task["id"], str(uuid.uuid4()))
    r.encode = lambda body: json.dumps(body, indent=2).encode()
    r.wait_of = lambda headers: int(headers.get("Retry-After", "1")) + 0.7
    r.headers_of = lambda data: {
        "authorization": f"bearer {r.KEY}",
        "content-type": "application/json; charset=UTF-8",
        "user-agent": "nurture/1.0",
        "x-task-count": "1",
    }
    tell = r.tell

    def chatty(task, outcome):
        print("working on", task["id"], json.dumps({"id": task["id"], "note": "no outcome"}))
        print(json.dumps(["a", "list"]))
        print(f"key {r.KEY[:14]}…{r.KEY[-4:]}", file=sys.stderr)
        tell(task, outcome)

    r.tell = chatty


@variant
def side_by_side():
    """Four threads with a connection each, and one gate for all; the tasks in another order."""
    gate = threading.Lock()
    not_before = 0.0
    clients = threading.local()

    def post(old):
        def new(self, path, body):
            nonlocal not_before
            with gate:
                self.not_before = not_before
            status, answer = old(self, path, body)
            with gate:
                not_before = max(not_before, self.not_before)
            return status, answer

        return new

    r.Client.post = post(r.Client.post)
    lock = threading.Lock()

    def one(task):
        if not hasattr(clients, "mine"):
            clients.mine = r.Client()
        outcome = r.handoff(clients.mine, task) if task["do"] == "handoff" else r.create(clients.mine, task)
        with lock:
            r.tell(task, outcome)

    def work(client, tasks):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, random.sample(tasks, len(tasks))))

    r.work = work


@variant
def jitter_and_patience():
    """Random pauses, more attempts, also after 502; a handoff without members has no body."""
    r.ATTEMPTS = 7
    r.pause = lambda attempt: time.sleep(random.uniform(0.05, 0.1 * 2**attempt))
    r.may_repeat_handoff = lambda status: status in (429, 502, 503)
    old = r.encode
    r.encode = lambda body: old(body) if body else None
    r.headers_of = lambda data: {
        "Authorization": f"Bearer {r.KEY}",
        **({"Content-Type": "application/json"} if data else {}),
    }


@variant
def remembers():
    """Keeps what is done in a file, and does not do it again after a restart; refuses what is too long."""
    import hashlib
    import os
    import pathlib
    import tempfile

    folder = (
        pathlib.Path(tempfile.gettempdir()) / f"lawful-{os.getppid()}-{hashlib.sha256(r.KEY.encode()).hexdigest()[:12]}"
    )
    folder.mkdir(exist_ok=True)
    create, handoff = r.create, r.handoff

    def kept(work):
        def new(client, task):
            file = folder / task["id"]
            if file.exists():
                return json.loads(file.read_text())
            if len(task.get("reason", "")) > 200 or len(task.get("summary", "")) > 1000:
                return {"outcome": "failed", "error": "too long"}
            outcome = work(client, task)
            if outcome["outcome"] == "done":
                file.write_text(json.dumps(outcome))
            return outcome

        return new

    r.create, r.handoff = kept(create), kept(handoff)


if __name__ == "__main__":
    VARIANTS[sys.argv[1]]()
    r.main()
