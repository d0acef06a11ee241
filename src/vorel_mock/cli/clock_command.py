"""`vorel-mock clock`: the clock of a running mock."""

import click
import httpx

from vorel_mock.cli.mock_client import Json, ask, below, echo_json, json_option, of_mock, tenant_option
from vorel_mock.webhooks.receiver import printable

#: Each change, with the body that asks for it; None stands for the value that it needs.
CHANGES: dict[str, Json] = {
    "freeze": {"freeze": True},
    "resume": {"resume": True},
    "advance": {"advance": None},
    "set": {"set": None},
}


@click.command()
@click.argument("change", required=False, type=click.Choice(list(CHANGES)))
@click.argument("value", required=False)
@tenant_option
@json_option
@of_mock
def clock(client: httpx.Client, change: str | None, value: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the clock, or move it: limits, Date, audit times and webhook retries follow.

    \b
    vorel-mock clock                            show the time
    vorel-mock clock freeze                     hold it
    vorel-mock clock advance 90s                61s, 2h, 1h30m, 500ms
    vorel-mock clock set 2027-01-01T00:00:00Z   forward only
    vorel-mock clock resume                     let it run
    """
    path = below(tenant, "clock")
    shown = ask(client, "GET", path) if change is None else ask(client, "POST", path, json=_body(change, value))
    if as_json:
        echo_json(shown)
    else:
        click.echo(printable(f"{shown['now']}  {'frozen' if shown['frozen'] else 'runs'}"))
        if shown.get("settled") is False:
            click.echo("Not every webhook that is due was delivered yet: a receiver is slow.", err=True)


def _body(change: str, value: str | None) -> Json:
    """Return the body of the request. Raises click.UsageError if the change lacks its value, or takes none."""
    takes_value = None in CHANGES[change].values()
    if takes_value and value is None:
        example = "90s" if change == "advance" else "2027-01-01T00:00:00Z"
        raise click.UsageError(f"{change}: needs a value, such as vorel-mock clock {change} {example}")
    if not takes_value and value is not None:
        raise click.UsageError(f"{change}: takes no value.")
    return {change: value} if takes_value else CHANGES[change]
