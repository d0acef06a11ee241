"""Options that are also environment variables and members of a TOML file. Their defaults are those of Settings."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vorel_mock.contract.source import STDIN, is_url
from vorel_mock.mock.settings import Settings, is_redis
from vorel_mock.model.clock import parse_iso
from vorel_mock.model.unknown_name import unknown_name

#: What Kubernetes and Docker set for a service called vorel-mock: VOREL_MOCK_PORT=tcp://10.0.0.7:3000, and others.
_LINKED = ("VOREL_MOCK_PORT", "VOREL_MOCK_HOST")
_LINK = re.compile("(tcp|udp|sctp)://")
_NOT_OURS = re.compile("VOREL_MOCK_(PORT_.*|SERVICE_.*|NAME|ENV_.*)")
#: What other commands and the clients of a mock use.
_OF_OTHERS = ("VOREL_MOCK_WEBHOOK_SECRET", "VOREL_MOCK_URL", "VOREL_MOCK_COMMAND")
CONFIG_FILE = "vorel-mock.toml"
#: The settings of a mock that was given none.
DEFAULTS = Settings()


class Setting(click.Option):
    """An option that is also an environment variable (--port: VOREL_MOCK_PORT) and a member of the TOML file.

    Its default is that of the field of Settings with its name. An error names where the value came from: the option,
    the variable or the file.
    """

    def __init__(self, declarations: list[str], **attributes: Any) -> None:
        self.variable = "VOREL_MOCK_" + declarations[0].strip("-").replace("-", "_").upper()
        default = getattr(DEFAULTS, declarations[-1].strip("-").replace("-", "_"), None)
        if default:  # None, () and False need no text in --help
            attributes |= {"default": default, "show_default": True}
        super().__init__(declarations, envvar=self.variable, **attributes)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the value of the variable, unless it describes a service (see `environment_warnings`)."""
        value = super().resolve_envvar_value(ctx)
        return None if value is not None and _LINK.match(value) and self.variable in _LINKED else value

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the source of the value: the option, the variable or the member of the file."""
        source = ctx.get_parameter_source(self.name) if ctx is not None and self.name is not None else None
        if ctx is not None and source is ParameterSource.DEFAULT_MAP:
            return f"'{self.opts[0].strip('-')}' in {ctx.meta[CONFIG_FILE]}"
        return f"'{self.variable if source is ParameterSource.ENVIRONMENT else self.opts[0]}'"


class WholeNumber(click.IntRange):
    """An integer in a range. click calls a word `not a valid integer range`; this type says integer."""

    name = "integer"


class FileName(click.Path):
    """The path of a file. It must not be empty: an empty path would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reject a name that no file can have."""
        if value == "" or "\0" in str(value):
            self.fail(f"{value!r} cannot be the name of a file", param, ctx)
        return super().convert(value, param, ctx)


class DocumentSource(FileName):
    """The path of a file, a URL, or `-` for the standard input."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leave a URL as it is: a path has no double slash."""
        return value if value == STDIN or is_url(value) else super().convert(value, param, ctx)


class StatePlace(FileName):
    """The path of a file, or the URL of a Redis database."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leave a URL as it is. What looks like one of another kind is no file name either."""
        if is_redis(str(value)):
            return value
        if "://" in str(value):
            scheme = str(value).partition("://")[0]
            self.fail(f"{scheme}:// is not supported; use a file, or redis://, rediss:// or unix://", param, ctx)
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
                self.fail(f"{error}; or use real or frozen", param, ctx)
        return value


def environment_warnings(ctx: click.Context) -> list[str]:
    """Return what a user should know about the environment variables VOREL_MOCK_* that are not used."""
    used = [option.variable for option in ctx.command.params if isinstance(option, Setting)]
    found = []
    for name, value in sorted(os.environ.items()):
        if name in _LINKED and _LINK.match(value):
            found.append(f"{name} is ignored: it describes a service called vorel-mock (Kubernetes or Docker set it)")
        elif name.startswith("VOREL_MOCK_") and name not in (*used, *_OF_OTHERS) and not _NOT_OURS.fullmatch(name):
            found.append(f"{unknown_name('environment variable', name, used)} (ignored)")
    return found


def read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Use the members of the TOML file as defaults of the options. Raises click.UsageError for an unknown member."""
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
                raise ValueError(f"{name!r} is a duplicate")
        except ValueError as error:
            raise click.UsageError(f"{path}: {error}", ctx) from None
        defaults[known] = default
    ctx.default_map = defaults
    ctx.meta[CONFIG_FILE] = path


def _member(name: str, member: Any, options: dict[str, Setting]) -> tuple[str, Any]:
    """Return the option and the value of a member of the TOML file. Raises ValueError, which says what is wrong."""
    if isinstance(member, dict):
        raise ValueError(f"{name!r} is a table; write the options at the top of the file, outside of tables")
    if name.replace("_", "-") not in options:
        raise ValueError(unknown_name("option", name, options))
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
