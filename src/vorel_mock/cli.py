"""`vorel-mock`: the command line."""

import difflib
import errno
import logging
import os
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import vorel_mock
from vorel_mock.clock import parse_iso

Command = TypeVar("Command", bound=Callable[..., Any])

CONFIG_FILE = "vorel-mock.toml"


class DefaultsToServe(click.Group):
    """`vorel-mock --port 0` is `vorel-mock serve --port 0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` in front when no command is named."""
        own = {name for parameter in self.get_params(ctx) for name in (*parameter.opts, *parameter.secondary_opts)}
        if not args or (args[0].startswith("-") and args[0].partition("=")[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultsToServe, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(vorel_mock.__version__, prog_name="vorel-mock")
def main() -> None:
    """A contract-true mock of the Vorel API. Without a command: serve."""


class ClockSetting(click.ParamType[str]):
    """real, frozen, or an RFC 3339 timestamp."""

    name = "real|frozen|RFC 3339"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the timestamp."""
        if value not in ("real", "frozen"):
            try:
                parse_iso(value)
            except ValueError as error:
                self.fail(f"{error}; or say real or frozen", param, ctx)
        return value


def _option(name: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that is also an environment variable: --port is VOREL_MOCK_PORT."""
    variable = "VOREL_MOCK_" + name.strip("-").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, **attributes)


def _read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Take what the TOML file says as defaults; a member that is no option is an error, not a silence."""
    path = value or Path(CONFIG_FILE)
    if value is None and not path.exists():
        return None
    try:
        members = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path}: is not TOML: {error}") from None
    options = {p.name: p for p in ctx.command.params if p.name not in ("config", "help")}
    for name, member in members.items():
        known = name.replace("-", "_")
        if known not in options:
            near = difflib.get_close_matches(known, [o for o in options if o])
            hint = f"; did you mean {near[0].replace('_', '-')}?" if near else ""
            raise click.BadParameter(f"{path}: {name!r} is not an option{hint}")
        if isinstance(member, (dict, list)):
            raise click.BadParameter(f"{path}: {name!r} must be a single value")
    defaults = {name.replace("-", "_"): _plain(member) for name, member in members.items()}
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return value


def _plain(member: Any) -> Any:
    """TOML has dates; an option takes their text."""
    return member.isoformat() if hasattr(member, "isoformat") else member


@main.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    envvar="VOREL_MOCK_CONFIG",
    show_envvar=True,
    help=f"TOML file of these options.  [default: {CONFIG_FILE}, if it is there]",
)
@_option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@_option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 picks a free one.")
@_option("--seed", type=int, help="Makes every id reproducible.  [default: a fresh one, told by /_mock/health]")
@_option(
    "--clock", default="real", show_default=True, type=ClockSetting(), help="Frozen: 2026-01-01, or the moment given."
)
@_option(
    "--contract",
    type=click.Path(path_type=Path),
    help="Serve another document of the same API (OpenAPI 3.1, JSON or YAML).",
)
@_option(
    "--rate-limit", default=200, show_default=True, type=click.IntRange(0), help="Requests a minute for a key; 0 = off."
)
@_option(
    "--tenant-rate-limit",
    default=5000,
    show_default=True,
    type=click.IntRange(0),
    help="Requests a minute for all keys of a tenant; 0 = off.",
)
@_option(
    "--rate-limit-headers",
    default="429",
    show_default=True,
    type=click.Choice(["429", "always"]),
    help="Which answers carry X-RateLimit-*.",
)
@_option("--json-logs", is_flag=True, help="One JSON object a line instead of text.")
def serve(**options: Any) -> None:
    """Run the mock until Ctrl-C."""
    # Imported here, so that --help and a wrong option answer at once.
    from vorel_mock import server
    from vorel_mock.app import App
    from vorel_mock.console import RequestLog
    from vorel_mock.contract import ContractError
    from vorel_mock.mock import Mock
    from vorel_mock.settings import Settings

    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = Settings(**options)
    log = RequestLog(as_json=settings.json_logs)
    try:
        mock = Mock(settings, log)
    except ContractError as error:
        raise click.UsageError(f"--contract {settings.contract}: {error}") from None
    app = App(mock)
    try:
        sock = server.listen(settings.host, settings.port)
    except OSError as error:
        click.echo(f"Error: {_cannot_listen(settings.host, settings.port, error)}", err=True)
        sys.exit(1)
    url = server.base_url(sock)
    log.start()
    try:
        server.run(app, sock, lambda: _greet(log, mock, url))
    finally:
        log.say("Stopped.", event="stopped")
        log.stop()


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program. Say --port with another one, or --port 0 for any."
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this user. Say --port with one above 1023."
    return (
        f"cannot listen on {host} port {port}: {os.strerror(error.errno) if error.errno and error.errno > 0 else error}"
    )


def _greet(log: Any, mock: Any, url: str) -> None:
    curl = example_curl(mock, url)
    log.say(f"vorel-mock {vorel_mock.__version__} at {url}", event="listening", base_url=url, seed=mock.seed)
    log.say(f"\n  {curl}\n", event="try", curl=curl)
    log.say(
        f"Keys, leads, tenants: {url}/_mock/target   Docs: {url}/_mock/docs/", event="docs", docs=f"{url}/_mock/docs/"
    )
    log.say("Ready.", event="ready", base_url=url)


def example_curl(mock: Any, url: str) -> str:
    """A line that works when it is pasted."""
    from vorel_mock import demo

    profile = demo.target(mock.store, url)
    return " ".join(
        [
            f"curl -sS {url}/api/v1/leads/{profile['leads']['own'][0]}/handoff",
            f"-H {shlex.quote('Authorization: Bearer ' + profile['keys']['full'][0])}",
            "-H 'Content-Type: application/json' -d " + shlex.quote(json_example()),
        ]
    )


def json_example() -> str:
    """The body of the line that the mock prints."""
    return '{"reason": "no-response-7d"}'


if __name__ == "__main__":
    main()
