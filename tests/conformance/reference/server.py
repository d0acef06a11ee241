"""The reference server: one small conformant implementation of the contract.

`road()` shows the steps of a request in order. Everything that a server may choose, or may get wrong, is a hook: a
function from the visit to a result. A lenient server or a fault replaces hooks. Its functions get the function that
they replace, and the visit.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from email.utils import formatdate
from functools import partial
from typing import Any

import uvicorn

from .contract import HANDOFF, OPERATIONS, Operation, body_error
from .world import Key, Lead, World, make_world

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "bad_request",
    429: "rate_limited",
    500: "internal_error",
}
ABSENT = object()  # no body at all: not the same as `null`


class RefusedError(Exception):
    """Ends the steps with an error in the envelope."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Request:
    """A request, with header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    connection: str = ""  # the same for requests that came on one
    beside: tuple[Request, ...] = ()  # what was in progress when this one was answered; on a slow server only


@dataclass(frozen=True)
class Answer:
    """A response before it is encoded."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_error(self) -> bool:
        return self.status >= 400


@dataclass(frozen=True)
class Reply:
    """An encoded response. It may have two headers of one name."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Tally:
    """The number of a request in its window (from 1), and the end of the window in epoch seconds."""

    count: int
    ends: float


@dataclass
class Visit:
    """One request in progress. Every step adds its result."""

    server: Server
    request: Request
    number: int
    now: float
    operation: Operation | None = None
    lead_id: str = ""
    key: Key | None = None
    tally: Tally | None = None
    value: Any = ABSENT
    lead: Lead | None = None
    refusal: RefusedError | None = None
    answer: Answer = field(default_factory=lambda: Answer(500, None))

    @property
    def name(self) -> str:
        """The operationId, empty before routing."""
        return self.operation.name if self.operation else ""

    @property
    def caller(self) -> Key:
        """The key, for steps after authentication."""
        assert self.key is not None, "a step that needs the key ran before authentication"
        return self.key

    @property
    def notes(self) -> dict[Any, Any]:
        """Storage in which a variant keeps data between requests."""
        return self.server.notes

    def once_more(self, what: str) -> int:
        """Count the calls with `what` on this server, from 1."""
        self.notes[what] = int(self.notes.get(what, 0)) + 1
        return int(self.notes[what])


# --- the steps --------------------------------------------------------------------------------------------------------


def road(v: Visit) -> Answer:
    """Run all steps for a request."""
    hooks = v.server.hooks
    route(v)
    for step in hooks.steps(v):
        STEPS[step](v)
    result = hooks.handoff(v) if v.name == HANDOFF else hooks.crm(v)
    return Answer(200, result)


def route(v: Visit) -> None:
    matching = [(o, m) for o in OPERATIONS if (m := o.path.fullmatch(v.request.path))]
    if not matching:
        raise RefusedError(404, "There is nothing at this path.")
    v.operation, found = matching[0]
    if v.operation.method != v.request.method:
        raise RefusedError(405, f"Send {v.operation.method}.", {"Allow": v.operation.method})
    v.lead_id = found.groupdict().get("id", "")


def authenticate(v: Visit) -> None:
    hooks = v.server.hooks
    key = hooks.find_key(v)
    if key is None or (key.revoked and not hooks.revoked_works(v)):
        raise RefusedError(401, "The API key is missing, malformed, unknown or revoked.")
    v.key = key


def limit(v: Visit) -> None:
    hooks = v.server.hooks
    v.tally = hooks.tally(v)
    if v.tally.count > hooks.limit(v):
        raise RefusedError(429, "Too many requests for this API key.", hooks.limit_headers(v))


def scope(v: Visit) -> None:
    if not v.server.hooks.allowed(v):
        raise RefusedError(403, "The API key lacks the scope that this endpoint requires.")


def check_path(v: Visit) -> None:
    if v.name == HANDOFF and not v.server.hooks.well_formed_id(v):
        raise RefusedError(400, "id: not a UUID")


def check_body(v: Visit) -> None:
    hooks = v.server.hooks
    assert v.operation is not None
    if not hooks.has_body(v):
        if hooks.body_required(v):
            raise RefusedError(400, "body: required")
        return
    if not hooks.media_type_fits(v):
        raise RefusedError(400, "Content-Type: must be application/json")
    v.value = hooks.parse(v)
    if message := hooks.body_error(v):
        raise RefusedError(400, message)


def look_up(v: Visit) -> None:
    if v.name == HANDOFF:
        v.lead = v.server.hooks.find_lead(v)
        if v.lead is None:
            raise RefusedError(404, v.server.hooks.not_found_message(v))


STEPS: dict[str, Callable[[Visit], None]] = {
    "authenticate": authenticate,
    "limit": limit,
    "scope": scope,
    "path": check_path,
    "body": check_body,
    "lookup": look_up,
}

# --- the hooks of the conformant server -------------------------------------------------------------------------------


def bearer(v: Visit) -> str | None:
    scheme, _, token = v.request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


def find_key(v: Visit) -> Key | None:
    token = v.server.hooks.token(v)
    return v.server.world.keys.get(token) if token else None


def tally(v: Visit) -> Tally:
    """Count in a fixed window, which begins with the first request after the end of the previous one."""
    bucket = v.server.hooks.bucket(v)
    last = v.server.windows.get(bucket)
    now = Tally(1, v.now + v.server.window) if last is None or v.now >= last.ends else Tally(last.count + 1, last.ends)
    v.server.windows[bucket] = now
    return now


def limit_headers(v: Visit) -> dict[str, str]:
    assert v.tally is not None
    return {
        "Retry-After": str(max(1, math.ceil(v.tally.ends - v.now))),
        "X-RateLimit-Limit": str(v.server.limit),
        "X-RateLimit-Remaining": str(max(0, v.server.hooks.limit(v) - v.tally.count)),
        "X-RateLimit-Reset": str(math.ceil(v.tally.ends)),
    }


def allowed(v: Visit) -> bool:
    assert v.operation is not None
    return v.operation.scopes <= v.caller.scopes


def well_formed_id(v: Visit) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", v.lead_id) is not None


def media_type_fits(v: Visit) -> bool:
    given = v.request.headers.get("content-type")
    return given is None or given.partition(";")[0].strip().lower() == "application/json"


def parse(v: Visit) -> Any:
    """Parse strict JSON: UTF-8, no NaN, no lone surrogate, depth bounded by the parser."""

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        value = json.loads(v.request.body.decode("utf-8"), parse_constant=no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "body: not JSON in UTF-8, or nested too deeply") from error
    return value


def walk(value: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value and every name in a JSON value with its depth, which starts at 1."""
    todo = [(1, value)]
    while todo:
        depth, value = todo.pop()
        yield depth, value
        if isinstance(value, dict):
            todo += [(depth + 1, each) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            todo += [(depth + 1, each) for each in value]


def find_body_error(v: Visit) -> str | None:
    assert v.operation is not None
    return body_error(v.operation, v.value)


def find_lead(v: Visit) -> Lead | None:
    lead = v.server.world.leads.get(v.lead_id.lower())
    return lead if lead and lead.tenant == v.caller.tenant else None


def handoff(v: Visit) -> dict[str, Any]:
    assert v.lead is not None
    return {
        "handoff_id": v.server.hooks.new_id(v),
        "lead_id": v.lead.id,
        "conversation_id": v.lead.conversation_id,
        "conversation_status": "awaiting_human",
        "notified_channel": "email",
    }


def crm(v: Visit) -> dict[str, Any]:
    """Create one record for an idempotency key of a tenant. The same key with other content is a soft failure."""
    if error := v.server.hooks.crm_trouble(v):
        return {"ok": False, "error": error, "detail": "The CRM did not take the record."}
    content = (v.value["object"], json.dumps(v.value["fields"], sort_keys=True))
    known = v.server.records.get((v.caller.tenant, v.value["idempotency_key"]))
    if known is None:
        external_id = str(7_000_000 + len(v.server.records))
        answer = {"ok": True, "external_id": external_id, "record_url": f"https://crm.example/records/{external_id}"}
        v.server.records[v.caller.tenant, v.value["idempotency_key"]] = content, answer
        return dict(answer)
    if known[0] != content:
        return {"ok": False, "error": "validation_error", "detail": "idempotency_key: used for another record"}
    return dict(known[1])


def refuse(v: Visit) -> Answer:
    assert v.refusal is not None
    error = {"code": CODES[v.refusal.status], "message": v.refusal.message}
    return Answer(v.refusal.status, {"error": error}, v.refusal.headers)


def encode(v: Visit) -> Reply:
    headers = {"Content-Type": "application/json"} | dict(v.answer.headers)
    return Reply(v.answer.status, tuple(headers.items()), json.dumps(v.answer.body).encode())


@dataclass(frozen=True)
class Hooks:
    """All hooks, with the functions of the conformant server."""

    steps: Callable[[Visit], tuple[str, ...]] = lambda _: tuple(STEPS)
    token: Callable[[Visit], str | None] = bearer
    find_key: Callable[[Visit], Key | None] = find_key
    revoked_works: Callable[[Visit], bool] = lambda _: False
    bucket: Callable[[Visit], str] = lambda v: v.caller.token
    tally: Callable[[Visit], Tally] = tally
    limit: Callable[[Visit], int] = lambda v: v.server.limit
    limit_headers: Callable[[Visit], dict[str, str]] = limit_headers
    allowed: Callable[[Visit], bool] = allowed
    well_formed_id: Callable[[Visit], bool] = well_formed_id
    has_body: Callable[[Visit], bool] = lambda v: bool(v.request.body)
    body_required: Callable[[Visit], bool] = lambda v: v.operation is not None and v.operation.body_required
    media_type_fits: Callable[[Visit], bool] = media_type_fits
    parse: Callable[[Visit], Any] = parse
    body_error: Callable[[Visit], str | None] = find_body_error
    find_lead: Callable[[Visit], Lead | None] = find_lead
    not_found_message: Callable[[Visit], str] = lambda _: "There is no such lead."
    new_id: Callable[[Visit], str] = lambda _: str(uuid.uuid4())
    handoff: Callable[[Visit], dict[str, Any]] = handoff
    crm_trouble: Callable[[Visit], str | None] = lambda v: v.caller.trouble
    crm: Callable[[Visit], dict[str, Any]] = crm
    refuse: Callable[[Visit], Answer] = refuse
    answer: Callable[[Visit], Answer] = lambda v: v.answer
    encode: Callable[[Visit], Reply] = encode


Change = Callable[[Callable[[Visit], Any], Visit], Any]


@dataclass(frozen=True)
class Variant:
    """A server that differs from the conformant one. `changes` maps a hook to (replaced function, visit) -> result."""

    id: str
    sentence: str
    changes: Mapping[str, Change] = field(default_factory=dict)
    date: bool = True  # whether answers carry Date
    wire: bool = False  # True if only a real connection shows what is different
    slow: float = 0.0  # seconds of every request, in which others may come

    def __post_init__(self) -> None:
        unknown = set(self.changes) - {f.name for f in fields(Hooks)}
        assert not unknown, f"{self.id}: no such hook: {sorted(unknown)}"

    def apply(self, hooks: Hooks) -> Hooks:
        """Return the hooks with the changes of this variant."""
        return replace(hooks, **{name: partial(change, getattr(hooks, name)) for name, change in self.changes.items()})


# --- the server -------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """An ASGI application with its state: windows of the rate limit, CRM records, data of variants, crashes."""

    world: World
    hooks: Hooks
    limit: int
    window: float
    date: bool = True
    clock: Callable[[], float] = time.time
    windows: dict[str, Tally] = field(default_factory=dict)
    records: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = field(default_factory=dict)
    notes: dict[Any, Any] = field(default_factory=dict)
    requests: int = 0
    slow: float = 0.0
    in_progress: list[Request] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def respond(self, request: Request) -> Reply:
        """Respond to one request. Keeps a crash of this code for the test: it is not a fault of the catalogue."""
        self.requests += 1
        v = Visit(self, request, self.requests, self.clock())
        try:
            try:
                v.answer = road(v)
            except RefusedError as refusal:
                v.refusal = refusal
                v.answer = self.hooks.refuse(v)
            v.answer = self.hooks.answer(v)
            return self.hooks.encode(v)
        except Exception:
            self.crashes.append(f"{request.method} {request.path}\n{traceback.format_exc()}")
            return Reply(500, (), b"the reference server crashed")

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        connection = str(scope.get("client"))
        request = Request(scope["method"], scope["path"], query, headers, body, connection)
        if self.slow:
            self.in_progress.append(request)
            await asyncio.sleep(self.slow)
            self.in_progress.remove(request)
            request = replace(request, beside=tuple(self.in_progress))
        reply = self.respond(request)
        named = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        if self.date:
            # uvicorn's Date may be seconds old on a busy machine.
            named.append((b"Date", formatdate(self.clock(), usegmt=True).encode()))
        if not any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in named):
            named.append((b"Content-Length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": named})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})


@dataclass(frozen=True)
class Running:
    """A running server."""

    base_url: str
    profile: dict[str, Any]
    server: Server


def make(
    reading: Variant | None = None,
    fault: Variant | None = None,
    *,
    limit: int = 200,
    window: float = 60.0,
    full_keys: int = 40,
    burst_keys: int = 4,
    clock: Callable[[], float] = time.time,
) -> Server:
    """Make the application: a lenient server, one with a fault, or both.

    The limit is `limit` requests of each key in `window` seconds. `clock`: the epoch seconds that it lives in.
    """
    hooks = Hooks()
    for variant in (reading, fault):
        if variant:
            hooks = variant.apply(hooks)
    date = all(variant.date for variant in (reading, fault) if variant)
    slow = max((variant.slow for variant in (reading, fault) if variant), default=0.0)
    return Server(make_world(full_keys, burst_keys), hooks, limit, window, date, clock, slow=slow)


@contextmanager
def serve(reading: Variant | None = None, fault: Variant | None = None, **options: Any) -> Iterator[Running]:
    """Serve the contract on a free port of 127.0.0.1. Arguments as for `make`.

    Yields the base URL, and the target profile.
    """
    server = make(reading, fault, **options)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    config = uvicorn.Config(
        server,
        lifespan="off",
        ws="none",
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=60,
    )
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not web.started:
            assert thread.is_alive(), "the reference server did not start"
            time.sleep(0.005)
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Running(base_url, {"base_url": base_url, **server.world.profile}, server)
    finally:
        web.should_exit = True
        thread.join(10)
        listener.close()
