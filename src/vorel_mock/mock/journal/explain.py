"""Put an exchange into words: how its response came about, step by step, without secrets."""

from collections.abc import Iterable, Iterator
from typing import Any

from vorel_mock.api.messages import STEPS, Exchange, Headers, Step
from vorel_mock.model.clock import iso
from vorel_mock.model.redaction import MARK, redact_deep

#: Words of an Authorization header that count as secrets, and its characters that are searched for them: a header of
#: thousands of words must not make each look at a request slow.
_SECRETS = 8
#: Characters that a word must have to pass for a secret by chance alone.
_RANDOM = 16
_LOOKED_AT = 1024


def explain(exchange: Exchange, also: Iterable[str] = ()) -> dict[str, Any]:
    """Return the exchange as JSON, redacted: request, response, and the steps that led from one to the other.

    `also` are secrets beside those of the exchange.
    """
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
        "stub": exchange.stub,
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
    told = redact_deep(told, [*secrets(exchange), *also])
    for header in told["request"]["headers"]:
        if header[0] in ("authorization", "proxy-authorization"):
            scheme, _, credentials = header[1].partition(" ")
            if credentials and scheme.lower() != "bearer":  # base64, for example, hides a key from the search above
                header[1] = f"{scheme} {MARK}"
    return dict(told)


def secrets(exchange: Exchange) -> list[str]:
    """Return the secrets of this exchange: the credentials in its Authorization headers."""
    values = [value[:_LOOKED_AT].decode("latin-1") for n, value in exchange.request.headers if n == b"authorization"]
    words = [word for value in values for word in value.split(maxsplit=_SECRETS)[:_SECRETS]]
    found = [word for word in words if _is_random(word)][:_SECRETS]
    return found if exchange.key is None else [*found, *key_secrets(exchange.key.token)]


def key_secrets(token: str) -> list[str]:
    """Return a key, and its hexadecimal digits, which somebody may have put elsewhere without the prefix."""
    digits = token.rpartition("_")[2]
    return [token, digits] if len(digits) >= _RANDOM else [token]


def _is_random(word: str) -> bool:
    """Return True for what may be a secret of another shape than a key.

    The commonest mistakes stay visible: `undefined`, `null`, `your-api-key`, `${VOREL_API_KEY}`, `{{key}}`.
    """
    return len(word) >= _RANDOM and any(map(str.isdigit, word)) and not set(word) & set("<>{}$")


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
            by = "" if exchange.stub is None else f", by the stub {exchange.stub}"
            return "none consumed" if exchange.fault is None else f"{exchange.fault} is consumed{by}"
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
