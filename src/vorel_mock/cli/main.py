"""`vorel-mock`: the command line."""

import click

import vorel_mock
from vorel_mock.cli.contract_command import contract
from vorel_mock.cli.fixtures_command import fixtures
from vorel_mock.cli.listen import webhooks
from vorel_mock.cli.serve import serve
from vorel_mock.cli.trigger import trigger


class DefaultsToServe(click.Group):
    """`vorel-mock --port 0` is `vorel-mock serve --port 0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `serve` in front when no command is named."""
        own = {name for parameter in self.get_params(ctx) for name in (*parameter.opts, *parameter.secondary_opts)}
        if not args or (args[0].startswith("-") and args[0].partition("=")[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultsToServe,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The options of serve may follow vorel-mock itself: vorel-mock --port 0. They are: vorel-mock serve --help",
)
@click.version_option(vorel_mock.__version__, prog_name="vorel-mock")
def main() -> None:
    """A contract-true mock of the Vorel API. Without a command: serve."""


main.add_command(contract)
main.add_command(fixtures)
main.add_command(serve)
main.add_command(webhooks)
main.add_command(trigger)
