"""`vorel-mock`: the command line. A command is imported when it is used: `serve` waits for none of the others."""

import gc
import sys
from importlib import import_module
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

import vorel_mock

#: The variable by which a shell asks what completes a line; `completion_command` writes it into its script.
COMPLETE = "_VOREL_MOCK_COMPLETE"


class Place(NamedTuple):
    """The place of a command, and its line in the list of commands."""

    module: str
    name: str
    help: str


#: Each text is how the command's own begins.
COMMANDS = {
    "clock": Place("clock_command", "clock", "Show the clock, or move it"),
    "completion": Place(
        "completion_command", "completion", "Print the script that completes commands, options and values in a shell."
    ),
    "contract": Place("contract_command", "contract", "Print the contract document as JSON"),
    "explain": Place(
        "requests_command", "explain", "Explain a response: the steps of the request, and what decided it."
    ),
    "faults": Place("faults_command", "faults", "Show the faults that are armed, and the catalogue."),
    "fixtures": Place("fixtures_command", "fixtures", "Fixtures: a file with the tenants that a mock begins with."),
    "requests": Place("requests_command", "requests", "Show the latest requests to the API, and what decided each."),
    "serve": Place("serve", "serve", "Run the mock until Ctrl-C."),
    "tenants": Place("tenants_command", "tenants", "Show the tenants"),
    "trigger": Place("trigger", "trigger", "Make EVENT happen."),
    "webhooks": Place("listen", "webhooks", "Receive webhooks."),
}


class Commands(click.Group):
    """The commands of the table, and `serve` when none is named: `vorel-mock --port 0` is `vorel-mock serve --port 0`.

    What the list of commands and the completion of their names need is in the table, so they import nothing.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        place = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"vorel_mock.cli.{place.module}"), place.name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may be meant."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            from vorel_mock.model.unknown_name import unknown_name

            ctx.fail(unknown_name("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` in front when no command is named; not when the name of one is being completed."""
        own = {name for parameter in self.get_params(ctx) for name in (*parameter.opts, *parameter.secondary_opts)}
        named = args and not (args[0].startswith("-") and args[0].partition("=")[0] not in own)
        if not named and (args or not ctx.resilient_parsing):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so; or the options, those of `serve` included."""
        if not incomplete.startswith("-"):
            names = [name for name in COMMANDS if name.startswith(incomplete)]
            return [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        serve = self.get_command(ctx, "serve")
        assert serve is not None
        of_serve = serve.shell_complete(click.Context(serve, parent=ctx, info_name="serve"), incomplete)
        own = super().shell_complete(ctx, incomplete)
        return [*own, *(item for item in of_serve if item.value not in {each.value for each in own})]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The options of serve may follow vorel-mock itself: vorel-mock --port 0. They are: vorel-mock serve --help",
)
@click.version_option(vorel_mock.__version__, prog_name="vorel-mock")
def main() -> None:
    """A contract-true mock of the Vorel API. Without a command: serve."""
    gc.enable()  # see `run`; the command is imported by now


def run() -> None:
    """Run the command line as a program of its own: it may change settings of the whole process."""
    # What is imported stays: to look through it for garbage takes a tenth of the start.
    gc.disable()
    # httpx imports rich and pygments for a command line of its own, wherever they happen to be installed.
    sys.modules["httpx._main"] = None  # type: ignore[assignment] # the import system's word for "there is none"
    main(complete_var=COMPLETE)  # however the program is called
