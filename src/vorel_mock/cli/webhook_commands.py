"""`vorel-mock webhooks listen` and `vorel-mock trigger`: both talk to a running mock over HTTP, as anybody could."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import click
import httpx

from vorel_mock.mock.settings import check_token
from vorel_mock.model.handoffs import HANDOFF_REQUESTED
from vorel_mock.model.redaction import redact
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.webhooks.receiver import Listener, printable, serve

#: The events that the operations of the contract cause, each with the operationId that does.
CAUSES = {HANDOFF_REQUESTED: "handoffLead"}

#: Seconds that the mock has for an answer.
_TIMEOUT = 30.0


@click.group()
def webhooks() -> None:
    """Receive webhooks."""


@webhooks.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on.  [default: a free one]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--secret", envvar="VOREL_MOCK_WEBHOOK_SECRET", show_envvar=True, help="The subscription's, to verify signatures."
)
@click.option("--base-url", help="A running mock, http://127.0.0.1:3000 say: subscribe there, until Ctrl-C or SIGTERM.")
@click.option("--tenant", help="Id of the tenant to subscribe for.  [default: the first of the mock]")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="May be repeated.  [default: all]")
@click.option(
    "--control-token",
    envvar="VOREL_MOCK_CONTROL_TOKEN",
    show_envvar=True,
    help="Of a mock that is bound beyond loopback.",
)
@click.option("--status", type=click.IntRange(200, 599), help="Answer with it.  [default: 200; 401 to a forged one]")
@click.option("--delay", default=0.0, type=click.FloatRange(0, 3600), help="Seconds before each answer.")
def listen(
    port: int,
    host: str,
    secret: str | None,
    base_url: str | None,
    tenant: str | None,
    events: tuple[str, ...],
    control_token: str | None,
    status: int | None,
    delay: float,
) -> None:
    """Show webhooks as they arrive, and whether their signature is right. Ctrl-C ends it."""
    if base_url is not None and secret is not None:
        raise click.UsageError("--secret and --base-url exclude each other: a new subscription has a new secret.")
    if base_url is None and (tenant is not None or events):
        raise click.UsageError("--tenant and --event need --base-url: they say what to subscribe to.")
    listener = Listener(click.echo, secret=secret, status=status, delay=delay)
    try:
        server = serve(listener, host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.ClickException(f"cannot listen on {host} port {port}: {reason}. Say --port with another.") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{server.server_address[1]}/"
    click.echo(f"Listening at {url}")
    thread.start()
    try:
        with _ended_by_sigterm():
            if base_url is None:
                thread.join()
            else:
                _listen_subscribed(listener, thread, url, base_url, tenant, events or EVENTS, control_token)
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM, which is what a supervisor sends, end it as Ctrl-C does: the subscription goes with it."""
    if threading.current_thread() is not threading.main_thread():  # Python lets no other one
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen_subscribed(
    listener: Listener,
    thread: threading.Thread,
    url: str,
    base_url: str,
    tenant: str | None,
    events: tuple[str, ...],
    control_token: str | None,
) -> None:
    with _client(base_url, control_token) as client:
        if tenant is None:
            tenant = str(_first_tenant(client, None)["id"])
        path = f"/_mock/tenants/{quote(tenant, safe='')}/webhooks"
        with listener.lock:
            subscription = _ask(client, "POST", path, json={"target_url": url, "events": list(events)})
            listener.secret = str(subscription["secret"])
        click.echo(f"Subscribed tenant {printable(tenant)} to {', '.join(events)}")
        try:
            thread.join()
        finally:
            _unsubscribe(client, f"{path}/{quote(str(subscription['id']), safe='')}")


def _unsubscribe(client: httpx.Client, path: str) -> None:
    try:
        _ask(client, "DELETE", path)
    except click.ClickException as error:  # the mock may be gone by now, and the subscription with it
        click.echo(f"Not unsubscribed: {error.message}", err=True)


@click.command()
@click.argument("event", metavar="EVENT")
@click.option("--base-url", default="http://127.0.0.1:3000", show_default=True, help="The running mock.")
@click.option("--tenant", help="Id of one of its demo tenants.  [default: the first]")
@click.option("--reason", help="Of the handoff.")
@click.option("--summary", help="Of the handoff.")
@click.option(
    "--control-token",
    envvar="VOREL_MOCK_CONTROL_TOKEN",
    show_envvar=True,
    help="Of a mock that is bound beyond loopback.",
)
def trigger(
    event: str,
    base_url: str,
    tenant: str | None,
    reason: str | None,
    summary: str | None,
    control_token: str | None,
) -> None:
    """Make EVENT happen, through the API, and print the API's answer.

    The contract's operations cause one event: conversation.handoff_requested.
    """
    if event not in CAUSES:
        known = "is an event that no operation of the contract causes" if event in EVENTS else "is not an event"
        raise click.UsageError(f"{printable(event)} {known}. What can be triggered: {', '.join(CAUSES)}.")
    body = {name: value for name, value in (("reason", reason), ("summary", summary)) if value is not None}
    with _client(base_url, control_token) as client:
        world = _first_tenant(client, tenant)
        if world["key"] is None or world["lead"] is None:
            raise click.ClickException(_lacking(world))
        path = _path(CAUSES[event]).replace("{id}", quote(str(world["lead"]), safe=""))
        answer = _ask(client, "POST", path, json=body, headers={"Authorization": f"Bearer {world['key']}"})
    click.echo(json.dumps(answer, indent=2))


def _lacking(world: dict[str, Any]) -> str:
    what, where = ("key", "keys") if world["key"] is None else ("lead", "leads")
    return (
        f"tenant {printable(str(world['id']))} has no {what}; POST /_mock/tenants/{{id}}/{where} adds one, and "
        "POST /_mock/reset takes the demo world back to its start"
    )


def _path(operation_id: str) -> str:
    from vorel_mock.contract import contract  # reading the document takes a moment; --help need not wait for it

    return next(operation.path for operation in contract.load().operations if operation.id == operation_id)


def _client(base_url: str, control_token: str | None) -> httpx.Client:
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


def _first_tenant(client: httpx.Client, tenant_id: str | None) -> dict[str, Any]:
    """The demo tenant of that id, or the first: its id, a key and a lead."""
    tenants = _ask(client, "GET", "/_mock/target").get("tenants") or []
    for tenant in tenants:
        if tenant_id is None or tenant["id"] == tenant_id:
            return dict(tenant)
    known = ", ".join(str(tenant["id"]) for tenant in tenants) or "none"
    raise click.ClickException(f"the mock has no demo tenant {printable(tenant_id or '')}; there are: {known}")


def _ask(client: httpx.Client, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    """The JSON object that the mock answers; what goes wrong is said in one line."""
    try:
        response = client.request(method, path, **arguments)
    except httpx.TransportError:
        raise click.ClickException(f"nothing answers at {client.base_url}. Is vorel-mock running there?") from None
    try:
        answer = response.json() if response.content else {}
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise click.ClickException(f"what answers at {client.base_url} is not vorel-mock ({response.status_code}).")
    if not response.is_success:
        error = answer.get("error")
        message = str(error.get("message", "")) if isinstance(error, dict) else "without a reason"
        raise click.ClickException(f"the mock answered {response.status_code}: {printable(redact(message))}")
    return answer
