"""The journal: list, find, count, wait, clear, export; and what would happen to a request."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import msgspec
from flask import Response

from vorel_mock.api.core import REQUEST_ID
from vorel_mock.api.messages import Exchange, Request, cut, first_values, seen_request
from vorel_mock.contract.routes import decode_path
from vorel_mock.control.handlers.streaming import listed
from vorel_mock.control.handlers.support import GONE, Operations, find_tenant, moment, reject, timeout, waiting_slot
from vorel_mock.mock.journal.explain import explain, secrets
from vorel_mock.mock.journal.har import entry, har
from vorel_mock.mock.journal.mark import came_since, request_id
from vorel_mock.mock.mock import Mock
from vorel_mock.model.redaction import redact
from vorel_mock.model.request_pattern import RequestPattern
from vorel_mock.model.wait import Wait

Json = dict[str, Any]

_DEFAULT_LIMIT = 1000
#: Requests that a wait in vain names, and characters of the path of each.
_NAMED = 3
_PATH = 100
#: Members of a wait that are those of a pattern.
_OF_PATTERN = ("lead", "headers", "body")


def get_request(mock: Mock, request_id: str) -> Json:
    """Return how the response to a request came about."""
    with mock.lock:
        exchange = mock.journal.get(request_id)
    return reject(404, "No request with this id is kept.") if exchange is None else explain(exchange, mock.secrets)


def send_again(mock: Mock, request_id: str) -> Json:
    """Answer a request of the journal once more, as if it had come again."""
    with mock.lock:
        exchange = mock.journal.get(request_id)
    if exchange is None:
        reject(404, "No request with this id is kept.")
    response = mock.answer(exchange.request)
    with mock.lock:
        again = mock.journal.get(dict(response.headers)[REQUEST_ID].decode())
    if again is None:
        reject(404, "The request was answered, and is forgotten already.")
    return explain(again, mock.secrets)


def list_requests(mock: Mock, **filters: Any) -> Json | Response:
    """Return the journal of the whole mock."""
    return _listed(mock, None, filters)


def list_tenant_requests(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the journal of one tenant."""
    return _listed(mock, tenant_id, filters)


def export_har(mock: Mock, **filters: Any) -> Json | Response:
    """Return the journal of the whole mock as HAR."""
    return _har(mock, None, filters)


def export_tenant_har(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the journal of one tenant as HAR."""
    return _har(mock, tenant_id, filters)


def clear_requests(mock: Mock) -> tuple[None, int]:
    """Forget the journal of the whole mock."""
    with mock.lock:
        mock.journal.clear()
    return None, 204


def clear_tenant_requests(mock: Mock, tenant_id: str) -> tuple[None, int]:
    """Forget the journal of one tenant."""
    with mock.lock:
        mock.journal.forget(find_tenant(mock, tenant_id).id)
    return None, 204


def wait_for_requests(mock: Mock, tenant_id: str, body: Json) -> Json | Response:
    """Wait until `count` requests that match have been answered; 408 if that takes longer than `timeout`."""
    matches, count, seconds = _matcher(mock, body), body.get("count", 1), timeout(body)
    wait: Wait[Exchange] = Wait(matches, count)
    with waiting_slot(mock, tenant_id) as client:
        with mock.lock:
            tenant = find_tenant(mock, tenant_id)
            kept = mock.journal.exchanges(tenant.id)
            mock.journal.follow(tenant.id, wait)
        try:
            earlier = [exchange for exchange in kept if matches(exchange)]
            wait.expect(count - len(earlier))
            if not mock.stopped:
                with client.ends(wait.done):
                    wait.done.wait(seconds)
        finally:
            with mock.lock:
                mock.journal.unfollow(tenant.id, wait)
                deleted = mock.store.tenant(tenant.id) is not tenant
    if deleted:
        reject(404, "The tenant was deleted while the request waited.")
    met = [*earlier, *wait.found]
    if len(met) < count and client.gone:
        reject(408, GONE)
    if len(met) < count:
        with mock.lock:
            latest = mock.journal.latest(_NAMED, tenant_id)
            total = mock.journal.count(tenant_id)
        met_in_time = f"{len(met)} of {count} requests that match were answered within {seconds:g} s"
        reject(408, f"{met_in_time}; {_came(mock, latest, total)}")
    return listed(met, partial(explain, also=mock.secrets), lambda shown: {"data": shown, "total": len(met)})


def _came(mock: Mock, latest: list[Exchange], total: int) -> str:
    """Return what the tenant's journal has instead of the requests that were waited for."""
    if not latest:
        return "the tenant has received none at all"
    shown = [
        f"{e.request.method} {redact(e.request.path, [*secrets(e), *mock.secrets])[:_PATH]} {e.status or '(no answer)'}"
        for e in latest
    ]
    return f"of {total} in its journal the latest are: {', '.join(shown)}"


def mark(mock: Mock) -> Json:
    """Return a mark: what comes from now on is since then."""
    return {"mark": request_id(mock.answered)}


def explain_request(mock: Mock, body: Json) -> Json:
    """Return what would happen to a request, without an effect."""
    path, _, query = body["path"].partition("?")
    if not path.startswith("/"):
        reject(400, "path: must begin with /")
    if not (path.isascii() and query.isascii()):
        reject(400, "path: must be ASCII; write other characters percent-encoded")
    content = body.get("body")
    raw = b"" if "body" not in body else content.encode() if isinstance(content, str) else msgspec.json.encode(content)
    headers = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in body.get("headers", {}).items()
    ]
    request = Request(
        body.get("method", "POST").upper(),
        body["path"].encode(),
        decode_path(path),
        query.encode(),
        headers,
        first_values(headers),
        *cut(raw),
    )
    return explain(mock.dry_run(request), mock.secrets)


def _listed(mock: Mock, tenant_id: str | None, filters: Json) -> Json | Response:
    found, total = _found(mock, tenant_id, filters)
    return listed(found, partial(explain, also=mock.secrets), lambda shown: {"data": shown, "total": total})


def _har(mock: Mock, tenant_id: str | None, filters: Json) -> Json | Response:
    found, _ = _found(mock, tenant_id, filters)
    return listed(found, lambda exchange: entry(explain(exchange, mock.secrets)), har)


def _found(mock: Mock, tenant_id: str | None, filters: Json) -> tuple[list[Exchange], int]:
    """Return the latest exchanges that match, `limit` at most, and how many match in all."""
    matches, limit = _matcher(mock, filters), filters.get("limit", _DEFAULT_LIMIT)
    with mock.lock:
        of_tenant = None if tenant_id is None else find_tenant(mock, tenant_id).id
        if not filters.keys() - {"limit"}:
            return mock.journal.latest(limit, of_tenant), mock.journal.count(of_tenant)
        kept = mock.journal.exchanges(of_tenant)
    found = [exchange for exchange in kept if matches(exchange)]
    return found[-limit:], len(found)


def _matcher(mock: Mock, filters: Json) -> Callable[[Exchange], bool]:
    """Return whether an exchange matches the filters; rejects filters that make no sense with 400."""
    last = moment("until", filters, inf)
    try:
        is_late = came_since(filters["since"], mock.answered) if "since" in filters else None
    except ValueError as error:
        reject(400, f"since: {error}")
    try:
        pattern = RequestPattern.of({name: filters[name] for name in _OF_PATTERN if name in filters})
    except ValueError as error:
        reject(400, str(error))
    any_pattern = bool(pattern.as_json())
    contains = filters.get("contains", "").encode()

    def matches(exchange: Exchange) -> bool:
        operation = exchange.operation.id if exchange.operation is not None else None
        key_id = exchange.key.id if exchange.key is not None else None
        return (
            filters.get("operation") in (None, operation)
            and filters.get("status") in (None, exchange.status)
            and filters.get("key_id") in (None, key_id)
            and exchange.at <= last
            and (is_late is None or is_late(exchange))
            and contains in exchange.request.body
            and (not any_pattern or pattern.matches(seen_request(exchange)))
        )

    return matches


OPERATIONS: Operations = {
    "getRequest": get_request,
    "sendAgain": send_again,
    "listRequests": list_requests,
    "listTenantRequests": list_tenant_requests,
    "exportHar": export_har,
    "exportTenantHar": export_tenant_har,
    "clearRequests": clear_requests,
    "clearTenantRequests": clear_tenant_requests,
    "waitForRequests": wait_for_requests,
    "markRequests": mark,
    "explain": explain_request,
}
