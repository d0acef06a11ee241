"""Webhooks: subscriptions, and the journal of their deliveries."""

from typing import Any

import msgspec
from flask import Response

from vorel_mock.control.handlers.streaming import counted
from vorel_mock.control.handlers.support import GONE, Operations, chosen, find_tenant, reject, timeout, waiting_slot
from vorel_mock.mock.mock import Mock
from vorel_mock.model.clock import iso
from vorel_mock.model.commands import happened
from vorel_mock.model.redaction import redact, redact_deep
from vorel_mock.model.tenant import Tenant
from vorel_mock.model.webhooks import Attempt, Delivery, Webhook
from vorel_mock.webhooks import event_kinds
from vorel_mock.webhooks.payload import payload
from vorel_mock.webhooks.sender import METHOD

Json = dict[str, Any]


def list_webhooks(mock: Mock, tenant_id: str) -> Json:
    """The subscriptions, without their secrets."""
    with mock.lock:
        return {"data": [_shown(webhook) for webhook in find_tenant(mock, tenant_id).webhooks.values()]}


def subscribe(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Subscribe. Only this response shows the secret."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        try:
            webhook = mock.webhooks.subscribe(tenant, body["target_url"], body["events"], body.get("secret"))
        except ValueError as error:
            reject(400, str(error))
        return {**_shown(webhook), "secret": webhook.secret}, 201


def get_webhook(mock: Mock, tenant_id: str, webhook_id: str) -> Json:
    """One subscription."""
    with mock.lock:
        return _shown(_webhook(find_tenant(mock, tenant_id), webhook_id))


def change_webhook(mock: Mock, tenant_id: str, webhook_id: str, body: Json | None = None) -> Json:
    """Change a subscription; pause or resume its deliveries."""
    wanted = body or {}
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        webhook = _webhook(tenant, webhook_id)
        try:
            mock.webhooks.change(webhook, **{name: wanted.get(name) for name in ("target_url", "events", "secret")})
        except ValueError as error:
            reject(400, str(error))
        if wanted.get("held"):
            mock.webhooks.hold(tenant, webhook)
        elif "held" in wanted:  # false, or null, which removes it
            mock.webhooks.release(tenant, webhook)
        return _shown(webhook)


def unsubscribe(mock: Mock, tenant_id: str, webhook_id: str) -> tuple[None, int]:
    """End a subscription."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        mock.webhooks.unsubscribe(tenant, _webhook(tenant, webhook_id))
    return None, 204


def event_catalogue(mock: Mock) -> Json:
    """The events, each with the schema of its data and an example."""
    with mock.lock:
        tenant = next(iter(mock.store.tenants()), None) or Tenant("", "", mock.clock, mock.ids.copy(), "email")
        now = mock.clock.now()
        return {
            "data": [
                {
                    "event": kind.event,
                    "description": kind.description,
                    "schema": kind.schema,
                    "example": event_kinds.example(kind.event, tenant, now),
                }
                for kind in event_kinds.kinds().values()
            ]
        }


def publish_event(mock: Mock, tenant_id: str, body: Json) -> tuple[Json, int]:
    """Publish an event, with the data that is given or an example."""
    name, data = body["event"], body.get("data")
    if data is not None:
        try:
            event_kinds.check(name, data)
        except ValueError as error:
            reject(400, str(error))
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        if data is None:
            data = event_kinds.example(name, tenant, tenant.clock.now())
        event = happened(tenant, name, data)
    body_sent = payload(event, tenant.id)  # without the lock: it may be large
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)  # it may have been deleted meanwhile
        made = [delivery.copy() for delivery in mock.webhooks.publish(tenant, event, body=body_sent)]
    told = {"id": event.id, "event": name, "created_at": iso(event.created_at), "data": redact_deep(data)}
    return {**told, "deliveries": [_delivery(delivery) for delivery in made]}, 202


def list_deliveries(mock: Mock, tenant_id: str, **filters: Any) -> Json | Response:
    """Return the deliveries, oldest first."""
    with mock.lock:
        deliveries = [delivery.copy() for delivery in find_tenant(mock, tenant_id).deliveries]
    return counted(chosen(deliveries, filters, lambda row: row.created_at), _delivery)


def get_delivery(mock: Mock, tenant_id: str, delivery_id: str) -> Json:
    """One delivery."""
    with mock.lock:
        return _delivery(_find_delivery(find_tenant(mock, tenant_id), delivery_id))


def redeliver(mock: Mock, tenant_id: str, delivery_id: str, body: Json | None = None) -> tuple[Json, int]:
    """Deliver again, the same or a corrupted copy."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        delivery = _find_delivery(tenant, delivery_id)
        try:
            again = mock.webhooks.redeliver(tenant, delivery, tampered=bool((body or {}).get("tampered")))
        except ValueError as error:
            reject(400, str(error))
        return _delivery(again), 202


def wait_for_delivery(mock: Mock, tenant_id: str, body: Json) -> Json:
    """Wait until a delivery that matches is in the state that is asked for; 408 when that takes too long."""
    with mock.lock:
        tenant = find_tenant(mock, tenant_id)
        before = _until(tenant, body["since"]) if "since" in body else frozenset()
    state = body.get("state", "delivered")

    def matches(delivery: Delivery) -> bool:
        return (
            delivery.state == state
            and body.get("event") in (None, delivery.event)
            and body.get("webhook_id") in (None, delivery.webhook_id)
            and delivery.id not in before
        )

    seconds = timeout(body)
    with waiting_slot(mock, tenant_id) as client:
        found = mock.webhooks.wait(tenant, matches, seconds, client, skip=body.get("after", 0))
    with mock.lock:
        if mock.store.tenant(tenant.id) is not tenant:
            reject(404, "The tenant was deleted while the request waited.")
        if found is None and client.gone:
            reject(408, GONE)
        if found is None:
            reject(408, f"no delivery that matches was {state} within {seconds:g} s")
        return _delivery(found)


def _webhook(tenant: Tenant, webhook_id: str) -> Webhook:
    return tenant.webhooks.get(webhook_id.lower()) or reject(404, "The tenant has no webhook with this id.")


def _find_delivery(tenant: Tenant, delivery_id: str) -> Delivery:
    found = (delivery for delivery in tenant.deliveries if delivery.id == delivery_id.lower())
    return next(found, None) or reject(404, "The tenant has no delivery with this id.")


def _until(tenant: Tenant, mark: str) -> frozenset[str]:
    """Return the ids of the deliveries up to the one with this id."""
    ids = [delivery.id for delivery in tenant.deliveries]
    if mark.lower() not in ids:
        reject(400, "since: is not the id of a delivery that the tenant has")
    return frozenset(ids[: ids.index(mark.lower()) + 1])


def _shown(webhook: Webhook) -> Json:
    return {
        "id": webhook.id,
        "target_url": webhook.target_url,
        "events": sorted(webhook.events),
        "held": webhook.held,
    }


def _delivery(delivery: Delivery) -> Json:
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "event": delivery.event,
        "event_id": delivery.event_id,
        "state": delivery.state,
        "created_at": iso(delivery.created_at),
        "due_at": None if delivery.due_at is None else iso(delivery.due_at),
        "tampered": delivery.tampered,
        "copy_of": delivery.copy_of,
        "body": redact_deep(msgspec.json.decode(delivery.body)),
        "attempts": [_attempt(attempt, delivery.body) for attempt in delivery.attempts],
    }


def _attempt(attempt: Attempt, body: bytes) -> Json:
    return {
        "at": iso(attempt.at),
        "status": attempt.status,
        "error": attempt.error and redact(attempt.error),
        "duration_ms": round(attempt.duration * 1000, 3),
        "request": {
            "method": METHOD,
            "url": redact(attempt.url),
            "headers": [list(header) for header in attempt.request_headers.items()],
            "body": redact(body.decode("utf-8", "replace")),
        },
        "response": {
            "headers": redact_deep([list(header) for header in attempt.response_headers.items()]),
            "body": redact(attempt.response_body),
        },
    }


OPERATIONS: Operations = {
    "eventCatalogue": event_catalogue,
    "publishEvent": publish_event,
    "listWebhooks": list_webhooks,
    "subscribe": subscribe,
    "getWebhook": get_webhook,
    "changeWebhook": change_webhook,
    "unsubscribe": unsubscribe,
    "listDeliveries": list_deliveries,
    "getDelivery": get_delivery,
    "redeliver": redeliver,
    "waitForDelivery": wait_for_delivery,
}
