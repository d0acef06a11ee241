"""Put an exchange into words: how its response came about, step by step, without secrets."""

from collections.abc import Iterator
from typing import Any

from vorel_mock.api.messages import STEPS, Exchange, Headers, Step
from vorel_mock.model.clock import iso
from vorel_mock.model.redaction import MARK, redact_deep

#: Words of an Authorization header that count as secrets, and its characters that are searched for them: a header of
#: thousands of words must not make each look at a request slow.
_SECRETS = 8
_LOOKED_AT = 1024


def explain(exchange: Exchange) -> dict[str, Any]:
    """Return the exchange as JSON, redacted: request, response, and the steps that led from one to the other."""
    response, operation = exchange.response, exchange.operation
    assert response is not None
    told = {
        "id": exchange.id,
        "at": iso(exchange.at),
        "duration_ms": round(exchange.duration * 1000, 3),
        "operation": operation.id if operation is not None else None,
        "tenant_id": exchange.tenant.id if exchange.tenant is not None else None,
        "key_id": exchange.key.id if exchange.key is not None else None,
        "fault": exchange.fault,
        "request": {
            "method": exchange.request.method,
            "path": exchange.request.path,
            "query": exchange.request.query.decode("latin-1"),
            "headers": _headers(exchange.request.headers),
            "body": exchange.request.body.decode("utf-8", "replace"),
        },
        "response": {
            "status": exchange.status,
            "headers": [] if exchange.status is None else _headers(response.headers),
            "body": response.body.decode("utf-8", "replace"),
        },
        "explanation": {
            "decided_by": exchange.decided_by,
            "rule": exchange.reason,
            "pointer": exchange.pointer,
            "steps": list(_steps(exchange)),
        },
    }
    told = redact_deep(told, secrets(exchange))
    for header in told["request"]["headers"]:
        if header[0] == "authorization":
            scheme = header[1].split(" ")[0]
            header[1] = f"{scheme} {MARK}" if scheme.lower() == "bearer" else MARK
    return dict(told)


def secrets(exchange: Exchange) -> list[str]:
    """Return the secrets of this exchange: the credentials in its Authorization headers."""
    values = [value[:_LOOKED_AT].decode("latin-1") for n, value in exchange.request.headers if n == b"authorization"]
    # A word of three letters is no secret, and replacing it everywhere would leave nothing to read.
    words = [word for value in values for word in value.split(maxsplit=_SECRETS)[:_SECRETS]]
    return [word for word in words if len(word) >= 8][:_SECRETS]


def _headers(headers: Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _steps(exchange: Exchange) -> Iterator[dict[str, str]]:
    """Yield each step with what it found; those behind the deciding one were not reached."""
    decided = STEPS.index(exchange.decided_by)
    for number, step in enumerate(STEPS):
        if number > decided:
            yield {"step": step, "outcome": "not reached"}
        else:
            outcome = "decided" if number == decided else "passed"
            yield {
                "step": step,
                "outcome": outcome,
                "detail": exchange.reason if number == decided else _passed(exchange, step),
            }


def _passed(exchange: Exchange, step: Step) -> str:
    operation, key, quota = exchange.operation, exchange.key, exchange.quota
    match step:
        case "routing" if operation is not None:
            return f"{operation.id} ({operation.pointer})"
        case "faults":
            return "none consumed" if exchange.fault is None else f"{exchange.fault} is consumed"
        case "authentication" | "scope" | "rate_limit" if key is None:
            return "the operation asks for no key"
        case "authentication" if exchange.tenant is not None and key is not None:
            return f"key {key.id} of tenant {exchange.tenant.id}"
        case "rate_limit" if quota is not None:
            limits = [
                f"request {count} of {limit or 'unlimited'} for the {owner}"
                for count, limit, owner in (
                    (quota.key_count, quota.key_limit, "key"),
                    (quota.tenant_count, quota.tenant_limit, "tenant"),
                )
            ]
            return f"{', '.join(limits)}; the window ends at {iso(quota.reset_at)}"
        case "scope" if operation is not None and key is not None:
            wanted = sorted(next(need.scopes for need in operation.security if need.scopes <= key.scopes))
            return f"the key has {', '.join(wanted)}" if wanted else "no scope is asked for"
        case _:
            return "in order"
