"""`vorel-mock serve`: run the mock."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import click

import vorel_mock
from vorel_mock.cli.options import (
    CONFIG_FILE,
    ClockSetting,
    DocumentSource,
    FileName,
    Setting,
    StatePlace,
    WholeNumber,
    environment_warnings,
    read_config,
)
from vorel_mock.mock.settings import (
    DEFAULT_RATE_LIMIT,
    DEFAULT_TENANT_RATE_LIMIT,
    FROZEN_AT,
    LOG_LEVELS,
    RateLimitHeaders,
    SettingError,
    Settings,
    is_loopback,
)
from vorel_mock.model.tenant import MAX_LIMIT

_STDIN = 0
_END_WITH_STDIN = "vorel_mock.end_with_stdin"
_WORKERS = "vorel_mock.workers"
MAX_WORKERS = 64


@click.command(
    epilog="Every option is also an environment variable (--port: VOREL_MOCK_PORT) and a member of the TOML file "
    "(port = 3000). The command line comes first, then the environment, then the file."
)
@click.option(
    "--config",
    cls=Setting,
    type=FileName(),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    metavar="FILE",
    help=f"Read options from a TOML file.  [default: {CONFIG_FILE}]",
)
@click.option("--host", cls=Setting, help="Address to listen on.")
@click.option(
    "--port",
    cls=Setting,
    type=WholeNumber(0, 65535),
    help="Port; 0 picks a free one.",
)
@click.option(
    "--seed",
    cls=Setting,
    type=int,
    help="Makes every id reproducible.  [default: a random one; /_mock/health shows it]",
)
@click.option(
    "--clock",
    cls=Setting,
    type=ClockSetting(),
    metavar="real|frozen|TIME",
    help=f"The real time, or frozen: at {FROZEN_AT}, or at TIME, such as 2027-01-01T00:00:00Z.  [default: real]",
)
@click.option(
    "--contract",
    cls=Setting,
    type=DocumentSource(),
    metavar="FILE|URL|-",
    help="Serve another document of the API (OpenAPI 3.1 or 3.0, JSON or YAML): a file, a URL, or - for stdin.",
)
@click.option(
    "--fixtures",
    cls=Setting,
    type=FileName(),
    metavar="FILE",
    help="Begin with the tenants of a file (TOML, YAML or JSON) instead of the demo tenants. Read again at POST "
    "/_mock/reset and on SIGHUP. See vorel-mock fixtures --help.",
)
@click.option(
    "--state",
    cls=Setting,
    type=StatePlace(),
    metavar="FILE|redis://…",
    help="Keep everything in a file, or in Redis, where many mocks share it: a mock that is started with it again goes "
    "on where the last one was.  [default: in memory]",
)
@click.option(
    "--workers",
    type=WholeNumber(1, MAX_WORKERS),
    default=1,
    expose_value=False,
    callback=lambda ctx, param, value: ctx.meta.update({_WORKERS: value}),
    help="Processes on one port. More than one need --state redis://…, which they share.",
)
@click.option(
    "--rate-limit",
    cls=Setting,
    type=WholeNumber(0, MAX_LIMIT),
    help=f"Requests per minute for a key; 0 = off.  [default: {DEFAULT_RATE_LIMIT}]",
)
@click.option(
    "--tenant-rate-limit",
    cls=Setting,
    type=WholeNumber(0, MAX_LIMIT),
    help=f"Requests per minute for all keys of a tenant; 0 = off.  [default: {DEFAULT_TENANT_RATE_LIMIT}]",
)
@click.option(
    "--rate-limit-headers",
    cls=Setting,
    type=click.Choice(get_args(RateLimitHeaders)),
    help="Responses that have X-RateLimit-* headers: 429s only, or all.",
)
@click.option(
    "--webhook-host",
    "webhook_hosts",
    cls=Setting,
    multiple=True,
    metavar="HOST[:PORT]",
    help="Host beyond loopback that webhooks may go to. May be repeated.",
)
@click.option(
    "--no-loopback-webhooks",
    cls=Setting,
    is_flag=True,
    help="Webhooks may not go to this machine either, unless --webhook-host names it: for tenants of other people.",
)
@click.option(
    "--max-tenants",
    cls=Setting,
    type=WholeNumber(0, MAX_LIMIT),
    help="Tenants that there may be besides those of the fixtures.  [default: as many as are made]",
)
@click.option(
    "--tenant-ttl",
    cls=Setting,
    metavar="DURATION",
    help="The ttl of a tenant that is made without one, and the longest that one may have, such as 24h.  "
    "[default: none, and 30d]",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    cls=Setting,
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose pages may call the API: scheme://host[:port], or * for any. May be repeated.",
)
@click.option(
    "--control-token",
    cls=Setting,
    metavar="TOKEN",
    help="Token that /_mock requires.  [default: none on loopback, a random one otherwise]",
)
@click.option(
    "--trust-network",
    cls=Setting,
    is_flag=True,
    help="This network is mine: /_mock needs no token, also beyond loopback. Whoever reaches the mock may do anything.",
)
@click.option("--json-logs", cls=Setting, is_flag=True, help="Log one JSON object per line instead of text.")
@click.option(
    "--log-level",
    cls=Setting,
    type=click.Choice(LOG_LEVELS),
    help="Lines of the log: all; what failed or met a fault; errors of the server only.",
)
@click.option(
    "--quiet",
    cls=Setting,
    is_flag=True,
    help="Print errors only, and at start what nobody else knows: a port that was picked, a token that was made.",
)
@click.option(
    "--end-with-stdin",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, param, value: ctx.meta.update({_END_WITH_STDIN: value}),
    help="End when the standard input is closed: for a program that starts the mock and may be killed.",
)
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> None:
    """Run the mock until Ctrl-C."""
    # What is made until the mock is ready stays. To look through it for garbage takes a sixth of the start, so the
    # server turns the collector on once it is ready.
    gc.disable()
    try:
        _serve(ctx)
    finally:
        gc.enable()


class _Worker(NamedTuple):
    """One of several processes: its number, the port of all, and a pipe that is closed when their parent ends."""

    number: int
    port: int
    pipe: int


def _serve(ctx: click.Context, worker: _Worker | None = None) -> None:
    # Imported here, so that --help and a wrong option respond at once.
    from vorel_mock.contract.document_file import ContractError
    from vorel_mock.mock.fixtures import FixturesError
    from vorel_mock.mock.journal.access_log import AccessLog
    from vorel_mock.mock.mock import Mock
    from vorel_mock.mock.tenant_log.interface import LogError
    from vorel_mock.server import listener
    from vorel_mock.server.app import App

    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = _settings(ctx)
    if ctx.meta[_WORKERS] > 1 and worker is None:
        sys.exit(_supervise(ctx, settings))
    settings = settings if worker is None else replace(settings, port=worker.port)
    says_nothing = worker is not None and worker.number > 0  # the first one speaks for all
    log = AccessLog(as_json=settings.json_logs, level="error" if settings.quiet else settings.log_level)
    try:
        app = App(mock := Mock(settings, log))
    except ContractError as error:
        raise click.BadParameter(f"{settings.contract}: {error}", ctx, _parameter(ctx, "contract")) from None
    except FixturesError as error:
        raise click.BadParameter(listed(error.problems), ctx, _parameter(ctx, "fixtures")) from None
    except LogError as error:
        raise click.BadParameter(str(error), ctx, _parameter(ctx, "state")) from None
    try:
        sockets = listener.listen(settings.host, settings.port, shared=worker is not None)
    except (OSError, UnicodeError) as error:
        for warning in environment_warnings(ctx):  # a misspelt VOREL_MOCK_PORT may be why
            click.echo(f"Warning: {warning}.", err=True)
        click.echo(f"Error: {_cannot_listen(settings.host, settings.port, error)}", err=True)
        sys.exit(1)
    url = listener.base_url(sockets)

    def ready() -> None:
        log.start(asyncio.get_running_loop())
        if says_nothing:
            return
        if settings.quiet:
            _greet_briefly(log, mock, url)
        else:
            _greet(ctx, log, mock, url)

    if worker is not None:
        _end_with(worker.pipe)
    elif ctx.meta.get(_END_WITH_STDIN):
        _end_with(_STDIN)
    try:
        listener.run(app, sockets, ready)
    finally:
        log.stop(None if settings.quiet or says_nothing else "Stopped.", event="stopped")


def _supervise(ctx: click.Context, settings: Settings) -> int:
    """Run several processes on one port. Returns the exit code."""
    from vorel_mock.cli.workers import Workers
    from vorel_mock.server import listener

    if not isinstance(settings.state, str):
        problem = "more than one process need a state that they share: --state redis://HOST:PORT"
        raise click.BadParameter(problem, ctx, _parameter(ctx, "workers"))
    if settings.control_token is None and not settings.trust_network and not is_loopback(settings.host):
        problem = "each process would make another one: give one that all share"
        raise click.BadParameter(problem, ctx, _parameter(ctx, "control_token"))
    try:
        sockets = listener.reserve(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        click.echo(f"Error: {_cannot_listen(settings.host, settings.port, error)}", err=True)
        return 1
    port = sockets[0].getsockname()[1]
    if ctx.meta.get(_END_WITH_STDIN):
        _end_with(_STDIN)
    return Workers(ctx.meta[_WORKERS], lambda number, pipe: _serve(ctx, _Worker(number, port, pipe))).run()


def listed(problems: Sequence[str]) -> str:
    """Return the problems of a file: one in the same line, several below one another."""
    return problems[0] if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)


def _end_with(pipe: int) -> None:
    """End this process, as a signal would, when there is nothing more to read: whoever started it is gone."""

    def read() -> None:
        with contextlib.suppress(OSError):  # it was never open
            while os.read(pipe, 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=read, name="vorel-mock-end", daemon=True).start()


def settings_of_environment(*arguments: str) -> Settings:
    """Return the settings of `vorel-mock serve` with these arguments, of the environment and the TOML file.

    Raises click.UsageError if one is wrong.
    """
    return _settings(serve.make_context("vorel-mock", [*arguments]))


def _settings(ctx: click.Context) -> Settings:
    try:
        return Settings(**ctx.params)
    except SettingError as error:
        raise click.BadParameter(f"{error.problem}.", ctx, _parameter(ctx, error.setting)) from None


def _parameter(ctx: click.Context, name: str) -> click.Parameter:
    return next(parameter for parameter in ctx.command.params if parameter.name == name)


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another program. "
            "Use another --port or VOREL_MOCK_PORT, or 0 for a free one."
        )
    if number == errno.EACCES:
        return f"this user may not use port {port}. Use --port with one above 1023."
    # For an invalid or foreign address the resolver and the system have many numbers and texts.
    why = getattr(error, "strerror", None) or "not a host name"
    return f"cannot listen on {host!r}: {why}. Use --host with an address of this machine, such as 127.0.0.1."


def _greet_briefly(log: Any, mock: Any, url: str) -> None:
    """Say what nobody else knows."""
    if mock.settings.port == 0:
        _say_url(log, mock, url)
    if mock.settings.control_token is None and mock.control_token is not None:
        log.show_secret(mock.control_token)
    _warn_of_trust(log, mock, url)


def _warn_of_trust(log: Any, mock: Any, url: str) -> None:
    """Say it in any case: nobody may find out later."""
    if mock.settings.trust_network:
        told = f"TRUSTED NETWORK: whoever reaches {url} may read every key and change everything, without a token"
        log.say(f"Warning: {told}.", event="warning", warning=told)


def _say_url(log: Any, mock: Any, url: str) -> None:
    log.say(f"vorel-mock {vorel_mock.__version__} at {url}", event="listening", base_url=url, seed=mock.seed)


def _greet(ctx: click.Context, log: Any, mock: Any, url: str) -> None:
    # Imported here like all that serves.
    from vorel_mock.cli import example_request

    curl = example_request.curl(mock, url)
    _say_url(log, mock, url)
    if curl is not None:
        log.say(f"\n  {curl}\n", event="try", curl=curl)
    log.say(
        f"Console: {url}/_mock/   Docs: {url}/_mock/docs/   Keys, leads, tenants: {url}/_mock/target",
        event="docs",
        console=f"{url}/_mock/",
        docs=f"{url}/_mock/docs/",
    )
    file = ctx.meta.get(CONFIG_FILE)
    source = f"Settings from {file}; seed {mock.seed}" if file else f"Seed {mock.seed}"
    log.say(source, event="settings", file=None if file is None else str(file), seed=mock.seed)
    if mock.settings.fixtures is not None:
        path, count = str(mock.settings.fixtures), len(mock.fixtures)
        log.say(f"Fixtures from {path}; tenants: {count}", event="fixtures", file=path, tenants=count)
    for warning in [*environment_warnings(ctx), *mock.router.warnings()]:
        log.say(f"Warning: {warning}.", event="warning", warning=warning)
    _warn_of_trust(log, mock, url)
    if mock.settings.control_token is not None:  # who gave it knows it
        log.say(f"{url}/_mock needs the control token: Authorization: Bearer <token>", event="control_token")
    elif mock.control_token is not None:
        log.show_secret(mock.control_token)
    log.say("Ready.", event="ready", base_url=url)
