"""`vorel-mock webhooks listen`: show webhooks as they arrive."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import click
import httpx

from vorel_mock.cli.mock_client import ask, connect, demo_tenant
from vorel_mock.cli.options import DEFAULTS
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.webhooks.receiver import Listener, printable, serve


@click.group()
def webhooks() -> None:
    """Receive webhooks."""


@webhooks.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on.  [default: a free one]")
@click.option("--host", default=DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option(
    "--secret",
    envvar="VOREL_MOCK_WEBHOOK_SECRET",
    show_envvar=True,
    help="The subscription's secret, to verify signatures.",
)
@click.option("--base-url", help="Subscribe at this running mock until Ctrl-C or SIGTERM.")
@click.option("--tenant", help="Id of the tenant to subscribe for.  [default: the first demo tenant]")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="May be repeated.  [default: all]")
@click.option(
    "--control-token",
    envvar="VOREL_MOCK_CONTROL_TOKEN",
    show_envvar=True,
    help="Token that /_mock of that mock requires.",
)
@click.option(
    "--status",
    type=click.IntRange(200, 599),
    help="Response status.  [default: 200; 401 if the signature is wrong]",
)
@click.option("--delay", default=0.0, type=click.FloatRange(0, 3600), help="Seconds before each response.")
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
    """Show webhooks as they arrive, and if their signature is right. Ctrl-C ends it."""
    if base_url is not None and secret is not None:
        raise click.UsageError("--secret and --base-url exclude each other: a new subscription has a new secret.")
    if base_url is None and (tenant is not None or events):
        raise click.UsageError("--tenant and --event need --base-url, the mock to subscribe at.")
    listener = Listener(click.echo, secret=secret, status=status, delay=delay)
    try:
        server = serve(listener, host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.ClickException(f"cannot listen on {host} port {port}: {reason}. Use another --port.") from None
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
    """Have SIGTERM end the command as Ctrl-C does, so that a supervisor leaves no subscription behind."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there only
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
    with connect(base_url, control_token) as client:
        if tenant is None:
            tenant = str(demo_tenant(client, None)["id"])
        path = f"/_mock/tenants/{quote(tenant, safe='')}/webhooks"
        with listener.lock:
            subscription = ask(client, "POST", path, json={"target_url": url, "events": list(events)})
            listener.secret = str(subscription["secret"])
        click.echo(f"Subscribed tenant {printable(tenant)} to {', '.join(events)}")
        try:
            thread.join()
        finally:
            _unsubscribe(client, f"{path}/{quote(str(subscription['id']), safe='')}")


def _unsubscribe(client: httpx.Client, path: str) -> None:
    try:
        ask(client, "DELETE", path)
    except click.ClickException as error:  # the mock may be gone by now, and the subscription with it
        click.echo(f"Not unsubscribed: {error.message}", err=True)
