"""A small client of a mock's control plane, as anybody could write it. The kit imports nothing of the mock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vorel_conformance.http import strict_json
from vorel_conformance.http.transport import NoAnswerError, Transport

_MOST_VALUES = 200_000  # rows of a tenant have many fields
HOW_TO_GET_ONE = "Install it with: pip install vorel-mock"


class MockError(Exception):
    """The mock cannot be used. The message says why, and what to do."""


class MockControl:
    """The control plane of the mock at `base_url`. Every method raises MockError if the mock does not play along."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        self.base_url = base_url
        self._headers = [("Accept", "application/json")]
        if token:
            self._headers.append(("Authorization", f"Bearer {token}"))
        self._transport = Transport(base_url, timeout=30.0, connect_timeout=5.0)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def check(self, faults: set[str]) -> None:
        """Check that this is a mock, and that it knows these faults."""
        health = self._ask("GET", "/_mock/health")
        if not isinstance(health, dict) or health.get("status") != "ok":
            raise MockError(f"{self.base_url} is no vorel-mock: /_mock/health says {str(health)[:100]}")
        known = {each.get("id") for each in self._rows("/_mock/faults") if isinstance(each, dict)}
        if missing := sorted(faults - known):
            raise MockError(
                f"the mock at {self.base_url} is too old: it lacks the fault{'s' * (len(missing) > 1)} "
                f"{', '.join(missing)}. Upgrade it: pip install --upgrade vorel-mock"
            )

    def create_tenant(self, **settings: Any) -> dict[str, Any]:
        """Create a tenant; return its id and target profile."""
        found = self._ask("POST", "/_mock/tenants", settings)
        if not isinstance(found, dict) or "id" not in found:
            raise MockError(f"{self.base_url} created no tenant: {str(found)[:200]}")
        return found

    def delete_tenant(self, tenant: str) -> None:
        """Delete a tenant."""
        self._ask("DELETE", f"/_mock/tenants/{tenant}")

    def add_key(self, tenant: str, token: str, scopes: list[str], *, revoked: bool = False) -> None:
        """Give the tenant a key with a chosen token."""
        key = self._ask("POST", f"/_mock/tenants/{tenant}/keys", {"scopes": scopes, "token": token})
        if revoked:
            self._ask("DELETE", f"/_mock/tenants/{tenant}/keys/{key['id']}")

    def arm(self, tenant: str, fault: str, operation: str, options: Mapping[str, Any]) -> None:
        """Arm a fault."""
        self._ask("POST", f"/_mock/tenants/{tenant}/faults", {"fault": fault, "operation": operation, **options})

    def disarm(self, tenant: str) -> None:
        """Disarm all faults, and let go the responses that they hold back."""
        self._ask("DELETE", f"/_mock/tenants/{tenant}/faults")

    def handoffs(self, tenant: str) -> list[Any]:
        """The handoffs of a tenant."""
        return self._rows(f"/_mock/tenants/{tenant}/handoffs")

    def records(self, tenant: str) -> list[Any]:
        """The CRM records of a tenant."""
        return self._rows(f"/_mock/tenants/{tenant}/crm-records")

    def clock(self, tenant: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Change the clock of a tenant, and return it."""
        found = self._ask("POST", f"/_mock/tenants/{tenant}/clock", dict(change))
        return found if isinstance(found, dict) else {}

    def _rows(self, path: str) -> list[Any]:
        found = self._ask("GET", path)
        return found["data"] if isinstance(found, dict) and isinstance(found.get("data"), list) else []

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = list(self._headers)
        content = None
        if body is not None:
            headers.append(("Content-Type", "application/json"))
            content = strict_json.dumps(body)
        try:
            answer = self._transport.ask(method, path, headers, content)
        except NoAnswerError as error:
            raise MockError(f"the mock at {self.base_url} does not respond: {error}") from error
        if answer.status == 204:
            return None
        parsed = strict_json.parse(answer.body, most_values=_MOST_VALUES)
        if answer.status >= 400 or parsed.error or answer.truncated:
            problem = parsed.error or _message(parsed.value) or f"more than {len(answer.body)} bytes"
            remedy = " Give its token in VOREL_MOCK_CONTROL_TOKEN." if answer.status == 401 else ""
            raise MockError(f"{self.base_url}{path}: HTTP {answer.status}: {problem[:300]}.{remedy}")
        return parsed.value


def _message(value: Any) -> str:
    error = value.get("error") if isinstance(value, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else str(value)
