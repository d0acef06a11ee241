"""A correct webhook receiver, with the standard library alone. `receiver.py MUTANT` makes one mistake."""

import hashlib
import hmac
import json
import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MUTANT = sys.argv[1] if len(sys.argv) > 1 else ""
SECRET = os.environ["VOREL_WEBHOOK_SECRET"].encode()
lock = threading.Lock()
acted_upon = []
seen = set()

# The mutants, each with the clause that must see it.
MUTANTS = {
    "answers_302": "webhook.accepts",
    "does_nothing": "webhook.effect",
    "verifies_nothing": "webhook.forged",
    "compares_a_prefix": "webhook.forged",
    "any_length": "webhook.forged",
    "empty_secret_too": "webhook.forged",
    "unsigned_is_fine": "webhook.unsigned",
    "crashes_without_header": "webhook.unsigned",
    "acts_before_it_verifies": "webhook.no-effect",
    "verifies_json": "webhook.raw-bytes",
    "verifies_both": "webhook.raw-bytes",
    "conflict": "webhook.duplicate",
    "no_memory": "webhook.once",
    "looks_then_notes": "webhook.once-at-once",
    "rejects_unknown": "webhook.unknown-event",
    "strict_envelope": "webhook.unlisted-members",
    "needs_handoff": "webhook.test-event",
    "exact_header": "webhook.header-case",
    "latin_1": "webhook.characters",
    "one_at_a_time": "webhook.at-once",
    "notes_first": "webhook.retried",
    "fails_once": "webhook.retried",
}


def is_right(body, signature):
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if MUTANT == "verifies_nothing":
        return True
    if MUTANT == "compares_a_prefix":
        return hmac.compare_digest(expected[:32], signature[:32])
    if MUTANT == "any_length":
        return bool(signature) and expected.startswith(signature[:64])
    if MUTANT == "empty_secret_too":
        return signature in (expected, hmac.new(b"", body, hashlib.sha256).hexdigest())
    if MUTANT in ("verifies_json", "verifies_both"):
        spelled = json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode()
        again = hmac.new(SECRET, spelled, hashlib.sha256).hexdigest()
        return signature == again or (MUTANT == "verifies_both" and signature == expected)
    if MUTANT == "latin_1":
        expected = hmac.new(SECRET, body.decode("ascii", "ignore").encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


def act(event):
    if MUTANT != "does_nothing":
        acted_upon.append(event["id"])


def handle(event):
    if event["event"] != "conversation.handoff_requested":
        if MUTANT == "rejects_unknown" and event["event"] != "webhook.test":
            return 400
        if MUTANT == "needs_handoff":
            event["data"]["handoff_id"]
        return 200
    if MUTANT == "strict_envelope" and set(event) - {"id", "event", "created_at", "tenant_id", "data", "attempt"}:
        return 422
    if MUTANT == "looks_then_notes":
        if event["id"] in seen:
            return 200
        time.sleep(0.05)
        seen.add(event["id"])
        act(event)
        return 200
    with lock:
        if event["id"] in seen and MUTANT != "no_memory":
            return 409 if MUTANT == "conflict" else 200
        seen.add(event["id"])
        if MUTANT == "fails_once" and len(seen) == 1:
            return 500
        act(event)
    return 200


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, {"events": list(acted_upon)})

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if MUTANT == "notes_first" and b'"id":"' in body:
            seen.add(body.partition(b'"id":"')[2][:36].decode())
        if len(body) < length:
            self.close_connection = True
            return
        name = "X-Webhook-Signature"
        signature = self.headers.get(name)
        if MUTANT == "exact_header" and name not in list(self.headers):
            signature = None
        if signature is None and MUTANT == "crashes_without_header":
            self.answer(500, {})
            return
        if MUTANT == "acts_before_it_verifies":
            act(json.loads(body))
        if not (MUTANT == "unsigned_is_fine" and not signature) and not is_right(body, signature or ""):
            self.answer(401, {})
            return
        if MUTANT == "one_at_a_time":
            if not lock.acquire(blocking=False):
                self.answer(503, {})
                return
            time.sleep(0.05)
            lock.release()
        try:
            status = handle(json.loads(body))
        except Exception:
            status = 500
        if MUTANT == "answers_302":
            status = 302
        self.answer(status, {})

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    if os.environ.get("CERTIFICATE"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["CERTIFICATE"])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
