"""The journal: list, find, count, wait, clear, export; and what would happen to a request."""

from collections.abc import Callable
from typing import Any

import msgspec

from vorel_mock.api.messages import Exchange, Request, cut
from vorel_mock.contract.routes import decode_path
from vorel_mock.control.handlers.support import Operations, find_tenant, refuse, wait
from vorel_mock.mock.journal.har import har
from vorel_mock.mock.journal.journal import explain
from vorel_mock.mock.mock import Mock
from vorel_mock.model.clock import parse_iso

Json = dict[str, Any]

_DEFAULT_LIMIT = 1000


def get_request(mock: Mock, request_id: str) -> Json:
    """How an answer came about."""
    with mock.lock:
        exchange = mock.journal.get(request_id)
        if exchange is None:
            refuse(404, "No request with this id is kept.")
        return explain(exchange)


def list_requests(mock: Mock, **filters: Any) -> Json:
    """The journal of the whole mock."""
    return _listed(mock, None, filters)


def list_tenant_requests(mock: Mock, tenant_id: str, **filters: Any) -> Json:
    """The journal of one tenant."""
    return _listed(mock, tenant_id, filters)


def export_har(mock: Mock, **filters: Any) -> Json:
    """The journal of the whole mock as HAR."""
    return har(_listed(mock, None, filters)["data"])


def export_tenant_har(mock: Mock, tenant_id: str, **filters: Any) -> Json:
    """The journal of one tenant as HAR."""
    return har(_listed(mock, tenant_id, filters)["data"])


def clear_tenant_requests(mock: Mock, tenant_id: str) -> tuple[None, int]:
    """Forget the journal of one tenant."""
    with mock.lock:
        mock.journal.forget(find_tenant(mock, tenant_id).id)
    return None, 204


def wait_for_requests(mock: Mock, tenant_id: str, body: Json) -> Json:
    """Wait until `count` requests that match have been answered; 408 when that takes longer than `timeout`."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
    matches = _matcher(body)
    count = body.get("count", 1)

    def found() -> list[Exchange]:
        return [exchange for exchange in mock.journal.exchanges(tenant.id) if matches(exchange)]

    def enough(seconds: float) -> list[Exchange] | None:
        with mock.journal.changed:
            return found() if mock.journal.changed.wait_for(lambda: len(found()) >= count, seconds) else None

    met, timeout = wait(mock, tenant, body, enough)
    if met is None:
        refuse(408, f"{len(found())} of {count} requests that match were answered within {timeout:g} s")
    with mock.lock:
        return {"data": [explain(exchange) for exchange in met], "total": len(met)}


def explain_request(mock: Mock, body: Json) -> Json:
    """What would happen to a request, without an effect."""
    path, _, query = body["path"].partition("?")
    if not path.startswith("/"):
        refuse(400, "path: must begin with /")
    if not (path.isascii() and query.isascii()):
        refuse(400, "path: must be ASCII; write other characters percent-encoded")
    content = body.get("body")
    raw = b"" if "body" not in body else content.encode() if isinstance(content, str) else msgspec.json.encode(content)
    headers = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in body.get("headers", {}).items()
    ]
    request = Request(
        body.get("method", "POST").upper(), body["path"].encode(), decode_path(path), query.encode(), headers, *cut(raw)
    )
    with mock.lock:
        return explain(mock.dry_run(request))


def _listed(mock: Mock, tenant_id: str | None, filters: Json) -> Json:
    matches = _matcher(filters)
    limit = filters.get("limit", _DEFAULT_LIMIT)
    with mock.lock:
        of_tenant = None if tenant_id is None else find_tenant(mock, tenant_id).id
        found = [exchange for exchange in mock.journal.exchanges(of_tenant) if matches(exchange)]
    return {"data": [explain(exchange) for exchange in found[-limit:]], "total": len(found)}


def _matcher(filters: Json) -> Callable[[Exchange], bool]:
    """Whether an exchange is one of those that are asked for; 400 when the question makes no sense."""
    moments: Json = {}
    for name in ("since", "until"):
        if name in filters:
            try:
                moments[name] = parse_iso(filters[name])
            except ValueError as error:
                refuse(400, f"{name}: {error}")
    contains = filters.get("contains", "").encode()

    def matches(exchange: Exchange) -> bool:
        operation = exchange.operation.id if exchange.operation is not None else None
        key_id = exchange.key.id if exchange.key is not None else None
        return (
            filters.get("operation") in (None, operation)
            and filters.get("status") in (None, exchange.status)
            and filters.get("key_id") in (None, key_id)
            and moments.get("since", exchange.at) <= exchange.at <= moments.get("until", exchange.at)
            and contains in exchange.request.body
        )

    return matches


OPERATIONS: Operations = {
    "getRequest": get_request,
    "listRequests": list_requests,
    "listTenantRequests": list_tenant_requests,
    "exportHar": export_har,
    "exportTenantHar": export_tenant_har,
    "clearTenantRequests": clear_tenant_requests,
    "waitForRequests": wait_for_requests,
    "explain": explain_request,
}
