"""`vorel-mock`: the command line."""

import difflib
import errno
import logging
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import vorel_mock
from vorel_mock.cli.webhook_commands import trigger, webhooks
from vorel_mock.model.clock import parse_iso
from vorel_mock.model.types import MAX_LIMIT

CONFIG_FILE = "vorel-mock.toml"


class DefaultsToServe(click.Group):
    """`vorel-mock --port 0` is `vorel-mock serve --port 0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` in front when no command is named."""
        own = {name for parameter in self.get_params(ctx) for name in (*parameter.opts, *parameter.secondary_opts)}
        if not args or (args[0].startswith("-") and args[0].partition("=")[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


class Setting(click.Option):
    """An option that is also an environment variable (--port: VOREL_MOCK_PORT) and a member of the TOML file.

    An error names the one of the three that said it.
    """

    def __init__(self, declarations: list[str], **attributes: Any) -> None:
        self.variable = "VOREL_MOCK_" + declarations[0].strip("-").replace("-", "_").upper()
        super().__init__(declarations, envvar=self.variable, **attributes)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Where the value came from."""
        source = ctx.get_parameter_source(self.name) if ctx is not None and self.name is not None else None
        if ctx is not None and source is ParameterSource.DEFAULT_MAP:
            return f"'{self.opts[0].strip('-')}' in {ctx.meta[CONFIG_FILE]}"
        return f"'{self.variable if source is ParameterSource.ENVIRONMENT else self.opts[0]}'"


class WholeNumber(click.IntRange):
    """An integer; click's own range says `not a valid integer range` of a word."""

    name = "integer"


class FileName(click.Path):
    """The path of a file; an empty one would be the folder that the mock was started in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what no file can be called."""
        if value == "" or "\0" in str(value):
            self.fail(f"{value!r} is the name of no file", param, ctx)
        return super().convert(value, param, ctx)


class ClockSetting(click.ParamType[str]):
    """real, frozen, or an RFC 3339 timestamp."""

    name = "clock"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the timestamp."""
        if value not in ("real", "frozen"):
            try:
                parse_iso(value)
            except ValueError as error:
                self.fail(f"{error}; or say real or frozen", param, ctx)
        return value


@click.group(
    cls=DefaultsToServe,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The options of serve may follow vorel-mock itself: vorel-mock --port 0. They are: vorel-mock serve --help",
)
@click.version_option(vorel_mock.__version__, prog_name="vorel-mock")
def main() -> None:
    """A contract-true mock of the Vorel API. Without a command: serve."""


def _read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Take what the TOML file says as defaults; a member that is no option is an error, not a silence."""
    path = value or Path(CONFIG_FILE)
    try:
        members = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        if value is None and isinstance(error, FileNotFoundError):
            return
        raise click.UsageError(f"{path}: cannot be read: {error.strerror}", ctx) from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: is not UTF-8 text: byte {error.start}", ctx) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise click.UsageError(f"{path}: is not TOML: {error}", ctx) from None
    settings = (p for p in ctx.command.params if isinstance(p, Setting) and p.name != param.name)
    options = {setting.opts[0].strip("-"): setting for setting in settings}
    defaults: dict[str, Any] = {}
    for name, member in members.items():
        try:
            known, default = _member(name, member, options)
            if known in defaults:
                raise ValueError(f"{name!r} stands twice")
        except ValueError as error:
            raise click.UsageError(f"{path}: {error}", ctx) from None
        defaults[known] = default
    ctx.default_map = defaults
    ctx.meta[CONFIG_FILE] = path


def _member(name: str, member: Any, options: dict[str, Setting]) -> tuple[str, Any]:
    """The option that a member of the TOML file stands for, and its value. ValueError says what is wrong with it."""
    if isinstance(member, dict):
        raise ValueError(f"{name!r} is a table; options stand at the top of the file, outside of any")
    if name.replace("_", "-") not in options:
        near = difflib.get_close_matches(name.replace("_", "-"), list(options))
        raise ValueError(f"{name!r} is not an option" + (f"; did you mean {near[0]}?" if near else ""))
    option = options[name.replace("_", "-")]
    known = str(option.name)
    if hasattr(member, "isoformat"):  # TOML has dates; an option takes their text
        member = member.isoformat()
    wanted: type = str
    words = "text"
    if option.multiple:
        if not isinstance(member, list) or not all(isinstance(item, str) for item in member):
            raise ValueError(f"{name!r} must be a list of texts")
        return known, member
    if option.is_flag:
        wanted, words = bool, "true or false"
    elif isinstance(option.type, (WholeNumber, click.types.IntParamType)):
        wanted, words = int, "a whole number"
    if type(member) is not wanted:  # not isinstance: Python takes true for a number
        raise ValueError(f"{name!r} must be {words}")
    return known, member


@main.command(
    epilog="Every option is also an environment variable (--port: VOREL_MOCK_PORT) and a member of the TOML file "
    "(port = 3000). The command line comes first, then the environment, then the file."
)
@click.option(
    "--config",
    cls=Setting,
    type=FileName(),
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    metavar="FILE",
    help=f"Options in TOML.  [default: {CONFIG_FILE}]",
)
@click.option("--host", cls=Setting, default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    cls=Setting,
    default=3000,
    show_default=True,
    type=WholeNumber(0, 65535),
    help="Port; 0 picks a free one.",
)
@click.option(
    "--seed",
    cls=Setting,
    type=int,
    help="Makes every id reproducible.  [default: a fresh one, told by /_mock/health]",
)
@click.option(
    "--clock",
    cls=Setting,
    default="real",
    show_default=True,
    type=ClockSetting(),
    metavar="real|frozen|TIME",
    help="The real time; or standing still, at 2026-01-01 or at the moment given: 2027-01-01T00:00:00Z.",
)
@click.option(
    "--contract",
    cls=Setting,
    type=FileName(),
    metavar="FILE",
    help="Serve another document of the same API (OpenAPI 3.1, JSON or YAML).",
)
@click.option(
    "--rate-limit",
    cls=Setting,
    default=200,
    show_default=True,
    type=WholeNumber(0, MAX_LIMIT),
    help="Requests a minute for a key; 0 = off.",
)
@click.option(
    "--tenant-rate-limit",
    cls=Setting,
    default=5000,
    show_default=True,
    type=WholeNumber(0, MAX_LIMIT),
    help="Requests a minute for all keys of a tenant; 0 = off.",
)
@click.option(
    "--rate-limit-headers",
    cls=Setting,
    default="429",
    show_default=True,
    type=click.Choice(["429", "always"]),
    help="Which answers carry X-RateLimit-*.",
)
@click.option(
    "--webhook-host",
    "webhook_hosts",
    cls=Setting,
    multiple=True,
    metavar="HOST[:PORT]",
    help="A host beyond this machine that webhooks may go to. May be repeated.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    cls=Setting,
    multiple=True,
    metavar="ORIGIN",
    help="An origin whose pages may call the API, scheme://host[:port], or *. May be repeated.",
)
@click.option(
    "--control-token",
    cls=Setting,
    metavar="TOKEN",
    help="What /_mock asks for.  [default: nothing on loopback, a fresh one beyond it]",
)
@click.option("--json-logs", cls=Setting, is_flag=True, help="One JSON object a line instead of text.")
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> None:
    """Run the mock until Ctrl-C."""
    # Imported here, so that --help and a wrong option answer at once.
    from vorel_mock.contract.contract import ContractError
    from vorel_mock.mock.journal.access_log import AccessLog
    from vorel_mock.mock.mock import Mock
    from vorel_mock.mock.settings import SettingError, Settings
    from vorel_mock.server import listener
    from vorel_mock.server.app import App

    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    parameters = {parameter.name: parameter for parameter in ctx.command.params}
    try:
        settings = Settings(**options)
    except SettingError as error:
        raise click.BadParameter(f"{error.problem}.", ctx, parameters[error.setting]) from None
    log = AccessLog(as_json=settings.json_logs)
    try:
        mock = Mock(settings, log)
    except ContractError as error:
        raise click.BadParameter(f"{settings.contract}: {error}", ctx, parameters["contract"]) from None
    app = App(mock)
    try:
        sock = listener.listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        click.echo(f"Error: {_cannot_listen(settings.host, settings.port, error)}", err=True)
        sys.exit(1)
    url = listener.base_url(sock)
    log.start()
    try:
        listener.run(app, sock, lambda: _greet(log, mock, url))
    finally:
        log.say("Stopped.", event="stopped")
        log.stop()


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program. Say --port with another one, or --port 0 for any."
    if number == errno.EACCES:
        return f"port {port} may not be used by this user. Say --port with one above 1023."
    # For an address of no machine, or of another one, the resolver and the system have many numbers and words.
    why = getattr(error, "strerror", None) or "not a host name"
    return f"cannot listen on {host!r}: {why}. Say --host with an address of this machine, such as 127.0.0.1."


def _greet(log: Any, mock: Any, url: str) -> None:
    # Imported here, as is all that serves.
    from vorel_mock.cli import example_request

    curl = example_request.curl(mock, url)
    log.say(f"vorel-mock {vorel_mock.__version__} at {url}", event="listening", base_url=url, seed=mock.seed)
    if curl is not None:
        log.say(f"\n  {curl}\n", event="try", curl=curl)
    log.say(
        f"Keys, leads, tenants: {url}/_mock/target   Docs: {url}/_mock/docs/", event="docs", docs=f"{url}/_mock/docs/"
    )
    for warning in mock.router.warnings():
        log.say(f"Warning: {warning}.", event="warning", warning=warning)
    if mock.control_token is not None:
        log.say(f"Control token: {mock.control_token}", event="control_token", control_token=mock.control_token)
    log.say("Ready.", event="ready", base_url=url)


main.add_command(webhooks)
main.add_command(trigger)

if __name__ == "__main__":
    main()
