"""`vorel-mock webhooks listen`: show webhooks as they arrive."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import click
import httpx
from click.core import ParameterSource

from vorel_mock.cli.forward import Forwarder, forwarding
from vorel_mock.cli.mock_client import (
    DEFAULT_URL,
    URL,
    Json,
    MockError,
    ask,
    chosen_tenant,
    connect,
    control_token_option,
)
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.webhooks.receiver import Listener, printable, serve

#: Seconds between two looks whether the mock still has the subscription.
_LOOK = 1.0


@click.group()
def webhooks() -> None:
    """Receive webhooks."""


@webhooks.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on.  [default: a free one]")
# An address, not localhost: what listens on the port of the other loopback address may be another program.
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--secret",
    envvar="VOREL_MOCK_WEBHOOK_SECRET",
    show_envvar=True,
    help="The subscription's secret, to verify signatures. A new subscription gets it.",
)
@click.option(
    "--base-url", envvar=URL, show_envvar=True, help="Subscribe at this running mock until Ctrl-C or SIGTERM."
)
@click.option(
    "--forward-to",
    metavar="URL",
    help="Post each webhook there, as it came, and respond as that does. Alone it subscribes at this machine's mock.",
)
@click.option("--tenant", help="Id of the tenant to subscribe for.  [default: the first that the mock began with]")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice(EVENTS),
    metavar="EVENT",
    help="May be repeated.  [default: all]",
)
@control_token_option
@click.option(
    "--status",
    type=click.IntRange(200, 599),
    help="Response status.  [default: 200; 401 if the signature is wrong]",
)
@click.option("--delay", default=0.0, type=click.FloatRange(0, 3600), help="Seconds before each response.")
@click.pass_context
def listen(
    ctx: click.Context,
    /,
    port: int,
    host: str,
    secret: str | None,
    base_url: str | None,
    forward_to: str | None,
    tenant: str | None,
    events: tuple[str, ...],
    control_token: str | None,
    status: int | None,
    delay: float,
) -> None:
    """Show webhooks as they arrive, and if their signature is right. Ctrl-C ends it."""
    if forward_to is not None and base_url is None and port == 0:
        base_url = DEFAULT_URL  # nobody else can know the port that is picked, to subscribe it
    elif secret is not None and ctx.get_parameter_source("base_url") is ParameterSource.ENVIRONMENT:
        base_url = None  # the variable is for all commands, and the secret that of a subscription that there is
    if base_url is None and (tenant is not None or events):
        raise click.UsageError("--tenant and --event need --base-url, the mock to subscribe at.")
    if forward_to is not None and status is not None:
        raise click.UsageError("--status and --forward-to exclude each other: the response is that of the URL.")
    listener = Listener(click.echo, secret=secret, status=status, delay=delay)
    handler = None if forward_to is None else forwarding(listener, Forwarder(forward_to).forward)
    try:
        server = serve(listener, host, port, handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.ClickException(f"cannot listen on {host} port {port}: {reason}. Use another --port.") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{server.server_address[1]}/"
    click.echo(
        f"Listening at {url}" if forward_to is None else f"Listening at {url}, forwarding to {printable(forward_to)}"
    )
    if forward_to is not None and secret is None:
        click.echo("A receiver that verifies signatures needs the secret: choose one with --secret.", err=True)
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
            tenant = str(chosen_tenant(client, None)["id"])
        wanted: Json = {"target_url": url, "events": list(events)}
        if listener.secret is not None:
            wanted["secret"] = listener.secret
        subscription = _Subscription(client, listener, tenant, wanted)
        subscription.make()
        try:
            while thread.is_alive():
                thread.join(_LOOK)
                subscription.keep()
        finally:
            subscription.end()


class _Subscription:
    """A subscription that lives as long as this command: a reset or a restart of the mock forgets it."""

    def __init__(self, client: httpx.Client, listener: Listener, tenant: str, wanted: Json) -> None:
        self._client = client
        self._listener = listener
        self._wanted = wanted
        self._tenant = printable(tenant)
        self._path = f"/_mock/tenants/{quote(tenant, safe='')}/webhooks"
        self._own_path = ""
        self._problem: str | None = None
        """Why the last look failed, if it did."""

    def make(self, remark: str = "") -> None:
        """Subscribe, and show that with `remark`. Raises MockError if that is not possible."""
        with self._listener.lock:
            made = ask(self._client, "POST", self._path, json=self._wanted)
            self._listener.secret = str(made["secret"])
            # Before the first webhook is shown, which waits for the lock.
            click.echo(f"Subscribed tenant {self._tenant} to {', '.join(self._wanted['events'])} {remark}".rstrip())
        self._own_path = f"{self._path}/{quote(str(made['id']), safe='')}"

    def keep(self) -> None:
        """Subscribe anew if the mock has lost the subscription. Shows that, and what prevents it, once."""
        try:
            if not self._is_kept():
                self.make("again: the mock was reset or restarted. Events in between did not arrive here.")
            elif self._problem is not None:
                click.echo(f"Tenant {self._tenant} is still subscribed.")
            self._problem = None
        except MockError as error:
            if error.message != self._problem:
                click.echo(f"Not subscribed: {error.message} Trying again.", err=True)
            self._problem = error.message

    def _is_kept(self) -> bool:
        try:
            # A mock that was restarted gives ids anew: the same one may be somebody else's.
            return bool(ask(self._client, "GET", self._own_path).get("target_url") == self._wanted["target_url"])
        except MockError as error:
            if error.status == 404:
                return False
            raise

    def end(self) -> None:
        """Unsubscribe, if the mock still has the subscription."""
        try:
            if self._is_kept():
                ask(self._client, "DELETE", self._own_path)
        except MockError as error:  # the mock may be gone by now, and the subscription with it
            click.echo(f"Not unsubscribed: {error.message}", err=True)
