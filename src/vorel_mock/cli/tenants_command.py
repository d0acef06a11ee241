"""`vorel-mock tenants`: the tenants of a running mock. Keys are shown by their prefix."""

import click
import httpx

from vorel_mock.cli.mock_client import Json, ask, ask_list, below, echo_json, echo_table, json_option, of_mock
from vorel_mock.webhooks.receiver import printable

#: Rows of a kind that are shown; --json has all.
_ROWS = 20


@click.command()
@click.argument("tenant_id", metavar="[ID]", required=False)
@json_option
@of_mock
def tenants(client: httpx.Client, tenant_id: str | None, as_json: bool) -> None:
    """Show the tenants; with ID, the settings, keys, leads and webhooks of one.

    No key and no secret is shown. GET /_mock/target has the keys.
    """
    if tenant_id is None:
        listed = ask_list(client, "/_mock/tenants")
        if as_json:
            echo_json(listed)
        elif listed["data"]:
            echo_table([[row["id"], _crm(row), row["name"]] for row in listed["data"]])
        else:
            click.echo("No tenant.", err=True)
        return
    shown = ask(client, "GET", below(tenant_id, "").rstrip("/"))
    for name in ("keys", "leads", "webhooks"):
        shown[name] = ask_list(client, below(tenant_id, name))["data"]
    if as_json:
        echo_json(shown)
    else:
        _show(shown)


def _crm(tenant: Json) -> str:
    return tenant["crm"]["vendor"] if tenant["crm"] else "no CRM"


def _show(tenant: Json) -> None:
    click.echo(printable(f"{tenant['id']}  {tenant['name']}"))
    clock = tenant["clock"]
    told = [
        ("CRM", _crm(tenant)),
        ("notified channel", tenant["notified_channel"]),
        ("rate limits", f"{tenant['rate_limit']} a minute for a key, {tenant['tenant_rate_limit']} for all"),
        ("clock", f"{clock['now']}  {'frozen' if clock['frozen'] else 'runs'}"),
    ]
    if tenant["ttl"]:
        told.append(("deleted", f"after {tenant['ttl']} without a request; {tenant['expires_in']} are left"))
    echo_table([[f"  {name}", value] for name, value in told])
    _section(
        "Keys",
        [[key["id"], key["prefix"], "revoked" if key["revoked"] else _words(key["scopes"])] for key in tenant["keys"]],
    )
    _section("Leads", [[lead["id"], lead["conversation_status"], lead["name"]] for lead in tenant["leads"]])
    _section(
        "Webhooks",
        [
            [each["id"], each["target_url"], "held back" if each["held"] else _words(each["events"])]
            for each in tenant["webhooks"]
        ],
    )


def _section(title: str, rows: list[list[str]]) -> None:
    if rows:
        click.echo(f"\n{title}")
        echo_table([[f"  {first}", *others] for first, *others in rows[:_ROWS]])
    if len(rows) > _ROWS:
        click.echo(f"  and {len(rows) - _ROWS} more; --json has all")


def _words(names: list[str]) -> str:
    return ", ".join(names) or "none"
