"""A small client of a running mock, for `listen` and `trigger`. It reports problems in one line."""

from typing import Any

import click
import httpx

from vorel_mock.mock.settings import check_token
from vorel_mock.model.redaction import redact
from vorel_mock.webhooks.receiver import printable

#: Seconds that the mock has for a response.
_TIMEOUT = 30.0


class MockError(click.ClickException):
    """The mock gives no response, or one that is not a success (`status`)."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def connect(base_url: str, control_token: str | None) -> httpx.Client:
    """Return a client of the mock at `base_url`. Raises click.UsageError if the URL, or the token, is invalid."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise click.UsageError(f"--base-url: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise click.UsageError("--base-url: must be a URL such as http://127.0.0.1:3000")
    headers = {}
    if control_token is not None:
        try:
            check_token(control_token)
        except ValueError as error:
            raise click.UsageError(f"--control-token: {error}.") from None
        headers = {"Authorization": f"Bearer {control_token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False)


def demo_tenant(client: httpx.Client, tenant_id: str | None) -> dict[str, Any]:
    """Return id, key and lead of the demo tenant `tenant_id`, or of the first. Raises click.ClickException if none."""
    tenants = ask(client, "GET", "/_mock/target").get("tenants") or []
    for tenant in tenants:
        if tenant_id is None or tenant["id"] == tenant_id:
            return dict(tenant)
    known = ", ".join(str(tenant["id"]) for tenant in tenants) or "none"
    raise click.ClickException(f"the mock has no demo tenant {printable(tenant_id or '')}; its demo tenants: {known}")


def ask(client: httpx.Client, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    """Return the JSON object of the response. Raises MockError with one line if there is a problem."""
    try:
        response = client.request(method, path, **arguments)
    except httpx.TransportError:
        raise MockError(f"no server at {client.base_url}. Is vorel-mock running there?") from None
    try:
        answer = response.json() if response.content else {}
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise MockError(
            f"the server at {client.base_url} is not vorel-mock ({response.status_code}).", response.status_code
        )
    if not response.is_success:
        error = answer.get("error")
        message = str(error.get("message", "")) if isinstance(error, dict) else "without a reason"
        shown = printable(redact(message))
        raise MockError(f"the mock answered {response.status_code}: {shown}", response.status_code)
    return answer
