"""The pages of the console, one function each. They read what the JSON handlers give, and write through those only."""

from collections import Counter
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Any

import msgspec
from flask import Blueprint, Response, render_template, request

import vorel_mock
from vorel_mock.api.faults.catalogue import CATALOGUE
from vorel_mock.api.messages import Exchange
from vorel_mock.control.console import exchanges
from vorel_mock.control.document import PREFIX
from vorel_mock.control.handlers import faults, leads, stubs, tenant_data, tenants, webhooks
from vorel_mock.control.handlers import mock as whole
from vorel_mock.control.handlers.streaming import indented, streamed
from vorel_mock.control.handlers.support import find_tenant
from vorel_mock.mock import provisioning
from vorel_mock.mock.mock import Mock
from vorel_mock.model.crm import VENDORS, ErrorName
from vorel_mock.model.rate_window import WINDOW
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.unpatched.clocks import sleep
from vorel_mock.webhooks import signature

Json = dict[str, Any]

#: Rows of a list on a page: the newest. The JSON operations have them all.
ROWS = 50
#: Requests of a selection that is downloaded.
MOST = 10_000
#: Browsers that may listen for changes at the same time, and seconds that one may until it asks anew.
LISTENERS = 16
LISTENING = 20.0
_LOOK = 0.25
#: Faults that the card of a tenant names.
FAULTS = 3
#: Characters of a value of a stub.
TEXT = 200

#: No script or style but our own files, and no frame around a page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def blueprint(mock: Mock) -> Blueprint:
    """Return the pages of a mock."""
    console = Blueprint(
        "console",
        __name__,
        url_prefix=PREFIX,
        template_folder="templates",
        static_folder="static",
        static_url_path="/console/static",
    )
    listeners = BoundedSemaphore(LISTENERS)

    def page(name: str, about: Tenant | None = None, **values: Any) -> Response:
        """Return a page; its list of tenants has the newest, and the one that the page is `about`."""
        with mock.lock:
            chosen = about.id if about else request.args.get("tenant", "").lower()
            values["tenants"] = [
                {"id": each.id, "name": each.name}
                for place, each in enumerate(reversed(list(mock.store.tenants())))
                if place < ROWS or each.id == chosen
            ][::-1]
            clock = whole.health(mock)["clock"]
        text = render_template(
            f"console/{name}.html",
            page=name,
            version=vorel_mock.__version__,
            clock=clock,
            changes=mock.changes,
            rows=ROWS,
            **values,
        )
        return Response(text, headers={"Content-Security-Policy": POLICY})

    @console.get("/")
    def overview() -> Response:
        text = request.args.get("text", "")[:200]
        with mock.lock:
            found = [each for each in mock.store.tenants() if text.lower() in f"{each.name}\n{each.id}".lower()]
            shown = [_card(mock, each) for each in found[-ROWS:]]
        url, fixtures = request.host_url.rstrip("/"), mock.settings.fixtures is not None
        return page(
            "overview",
            health=whole.health(mock),
            cards=shown,
            total=len(found),
            text=text,
            base_url=url,
            fixtures=fixtures,
        )

    @console.get("/console/requests")
    def requests() -> Response:
        wanted = exchanges.Wanted.of(request.args)
        found, total = exchanges.found(mock, wanted, ROWS)
        operations = [operation.id for operation in mock.contract.operations]
        query = request.query_string.decode("latin-1")
        return page(
            "requests",
            found=found,
            total=total,
            wanted=wanted,
            operations=operations,
            faults=list(CATALOGUE),
            query=query,
        )

    @console.get("/console/requests.har")
    def selection() -> Response:
        made = exchanges.as_har(mock, exchanges.Wanted.of(request.args), MOST)
        response = made if isinstance(made, Response) else streamed([indented(made)])
        response.headers["Content-Disposition"] = "attachment; filename=requests.har"
        return response

    @console.get("/console/requests/<request_id>")
    def one_request(request_id: str) -> Response:
        with mock.lock:
            exchange = mock.journal.get(request_id)
        return _missing("request") if exchange is None else page("request", **_told(mock, exchange))

    @console.get("/console/tenants/<tenant_id>")
    def tenant(tenant_id: str) -> Response:
        with mock.lock:
            found = find_tenant(mock, tenant_id)
            keys = [_quota(found, each) for each in list(found.keys.values())[-ROWS:]]
            shown = tenants.get_tenant(mock, found.id)
        lists: Json = {
            "leads": leads.list_leads(mock, found.id, limit=ROWS),
            "handoffs": tenant_data.list_handoffs(mock, found.id, limit=ROWS),
            "audit-log": tenant_data.list_audit_log(mock, found.id, limit=ROWS),
            "records": tenant_data.list_crm_records(mock, found.id, limit=ROWS),
        }
        return page(
            "tenant",
            tenant=shown,
            keys=keys,
            scopes=sorted(provisioning.every_scope(mock.contract)),
            vendors=list(VENDORS),
            failures=[str(name) for name in ErrorName],
            leads=_data(lists["leads"]),
            handoffs=_data(lists["handoffs"])[::-1],
            audit_log=_data(lists["audit-log"])[::-1],
            records=_data(lists["records"])[::-1],
            totals={name: each["total"] for name, each in lists.items()} | {"keys": len(found.keys)},
            quota=_used(found, found.window, found.tenant_rate_limit),
        )

    @console.get("/console/webhooks")
    def hooks() -> Response:
        found = _chosen(mock)
        if found is None:
            return page("webhooks", tenant=None, subscriptions=[], deliveries=[], events=EVENTS)
        return page(
            "webhooks",
            about=found,
            tenant=found,
            events=EVENTS,
            subscriptions=webhooks.list_webhooks(mock, found.id)["data"],
            deliveries=_signed(mock, found, _data(webhooks.list_deliveries(mock, found.id, limit=ROWS))[::-1]),
        )

    @console.get("/console/faults")
    def armed() -> Response:
        found = _chosen(mock)
        armed_now = [] if found is None else faults.list_faults(mock, found.id)["data"]
        stubs_now = [] if found is None else stubs.copies(mock, found.id)
        return page(
            "faults",
            about=found,
            tenant=found,
            operations=[operation.id for operation in mock.contract.operations],
            catalogue=faults.fault_catalogue(mock)["data"],
            armed=armed_now[-ROWS:],
            armed_count=len(armed_now),
            stubs=[_stub_row(stubs.shown(each)) for each in stubs_now[-ROWS:]],
            stub_count=len(stubs_now),
        )

    @console.get("/console/changes")
    def changes() -> Response:
        if not listeners.acquire(blocking=False):
            return Response("too many pages listen for changes\n", 429, {"Retry-After": "5"})
        since = request.headers.get("Last-Event-ID") or request.args.get("since", "")
        events = Response(_changes(mock, since), content_type="text/event-stream")
        events.call_on_close(listeners.release)
        return events

    @console.errorhandler(404)
    def nothing(_: Exception) -> Response:
        return _missing("page")

    def _missing(what: str) -> Response:
        made = page("missing", what=what)
        made.status_code = 404
        return made

    return console


def _changes(mock: Mock, since: str) -> Iterator[str]:
    """Yield one event once something has changed since the number that the page knows; then the browser asks anew."""
    yield "retry: 300\n\n"
    for _ in range(round(LISTENING / _LOOK)):
        if mock.stopped or str(mock.changes) != since:
            break
        sleep(_LOOK)
    yield f"event: changed\nid: {mock.changes}\ndata: {mock.changes}\n\n"


def _data(made: Any) -> list[Json]:
    """Return the rows of a list, which has few enough for a page."""
    rows: list[Json] = made["data"]
    return rows


def _signed(mock: Mock, tenant: Tenant, deliveries: list[Json]) -> list[Json]:
    """Add to each delivery whether the signature that was sent is the one that its secret gives; None: nobody knows."""
    with mock.lock:
        secrets = {webhook.id: webhook.secret for webhook in tenant.webhooks.values()}
    return [{**each, "genuine": _is_genuine(each, secrets.get(each["webhook_id"]))} for each in deliveries]


def _is_genuine(delivery: Json, secret: str | None) -> bool | None:
    if secret is None or not delivery["attempts"]:
        return None
    sent = delivery["attempts"][-1]["request"]
    header = next((value for name, value in sent["headers"] if name.lower() == signature.HEADER.lower()), None)
    return None if header is None else signature.verify(secret, sent["body"].encode(), header)


def _chosen(mock: Mock) -> Tenant | None:
    """Return the tenant that the page is about: the one in the URL, or the first."""
    with mock.lock:
        wanted = request.args.get("tenant")
        return find_tenant(mock, wanted) if wanted else next(iter(mock.store.tenants()), None)


def _card(mock: Mock, tenant: Tenant) -> Json:
    url = request.host_url.rstrip("/")
    key = next((each.token for each in tenant.keys.values() if not each.revoked), None)
    lead = next(iter(tenant.leads), None)
    operation = next((each for each in mock.contract.operations if each.id == "handoffLead"), None)
    curl = None
    if key and lead and operation:
        path = operation.path.replace("{id}", lead)
        curl = f"curl -sS -X POST {url}{path} -H 'Authorization: Bearer {key}'"
    armed = Counter(each.fault for each in tenant.faults if not each.spent).most_common()
    return {
        "id": tenant.id,
        "name": tenant.name,
        "crm": None if tenant.crm is None else tenant.crm.vendor,
        "key": key,
        "lead": lead,
        "curl": curl,
        "faults": armed[:FAULTS],
        "more_faults": len(armed[FAULTS:]),
        "stubs": sum(not each.spent for each in tenant.stubs),
        "requests": mock.journal.count(tenant.id),
    }


def _stub_row(stub: Json) -> Json:
    """Return a stub with the texts that the page shows."""
    response = stub["response"]
    return {
        **stub,
        "meant": [(name, _text(value)) for name, value in stub["request"].items()],
        "body": _text(response["body"]) if "body" in response else None,
        "headers": [f"{name}: {value}"[:TEXT] for name, value in response.get("headers", {}).items()],
    }


def _text(value: Any) -> str:
    """Return the beginning of a value for a reader: a text as it is, and anything else as JSON."""
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:TEXT]


def _quota(tenant: Tenant, key: Any) -> Json:
    return {
        "id": key.id,
        "token": key.token,
        "scopes": sorted(key.scopes),
        "revoked": key.revoked,
        **_used(tenant, key.window, tenant.rate_limit),
    }


def _used(tenant: Tenant, window: Any, limit: int) -> Json:
    """Return what is used of a rate limit in the minute that runs now."""
    current = window.number == int(tenant.clock.now() // WINDOW)
    return {"used": window.count if current else 0, "limit": limit}


def _told(mock: Mock, exchange: Exchange) -> Json:
    told = exchanges.told(mock, exchange)
    return {"exchange": told, "curl": exchanges.curl(told, request.host_url.rstrip("/")), "hint": exchanges.hint(told)}
