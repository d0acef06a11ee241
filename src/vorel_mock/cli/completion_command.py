"""`vorel-mock completion`: the script that completes commands, options and values in a shell."""

import click
from click.shell_completion import get_completion_class

from vorel_mock.cli.main import COMPLETE

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and values in a shell.

    \b
    bash   eval "$(vorel-mock completion bash)"             in ~/.bashrc
    zsh    eval "$(vorel-mock completion zsh)"              in ~/.zshrc
    fish   vorel-mock completion fish > ~/.config/fish/completions/vorel-mock.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    root = ctx.find_root()
    click.echo(made(root.command, {}, "vorel-mock", COMPLETE).source())
