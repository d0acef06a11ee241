"""`vorel-mock fixtures`: check a file, print its schema, and write the tenants of a running mock as a file."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx

from vorel_mock.cli.mock_client import (
    MockError,
    ask,
    ask_list,
    base_url_option,
    connect,
    control_token_option,
    echo_json,
    echo_table,
    json_option,
    of_mock,
)
from vorel_mock.cli.options import FileName
from vorel_mock.cli.serve import settings_of_environment
from vorel_mock.mock.settings import Settings

FORMATS = ("toml", "yaml", "json")
_CONTRACT = click.option(
    "--contract",
    "source",
    metavar="FILE|URL",
    help="The document that the mock serves: scopes and operations are its own. As in serve, also from the "
    "environment and vorel-mock.toml.",
)


@click.group(invoke_without_command=True)
@json_option
@base_url_option
@control_token_option
@click.pass_context
def fixtures(ctx: click.Context, as_json: bool, base_url: str, control_token: str | None) -> None:
    """Fixtures: a file with the tenants that a mock begins with.

    vorel-mock --fixtures shop.toml begins with those of shop.toml, instead of the demo tenants. Without a command: show
    those that a running mock began with.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, as_json=as_json, base_url=base_url, control_token=control_token)


@click.command()
@json_option
@of_mock
def show(client: httpx.Client, as_json: bool) -> None:
    """Show the fixtures of a running mock, without their keys."""
    found = ask_list(client, "/_mock/target", member="tenants")["tenants"]
    shown = [{name: row[name] for name in ("id", "name", "story", "lead")} for row in found]
    if as_json:
        echo_json({"data": shown})
    elif shown:
        echo_table([[row["id"], row["name"], row["story"]] for row in shown])
    else:
        click.echo("No tenant: the file of fixtures has none.", err=True)


@fixtures.command()
@click.argument("file", type=FileName())
@_CONTRACT
@click.option(
    "--webhook-host",
    "webhook_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Host beyond loopback that webhooks may go to. As in serve, also from there.",
)
def check(file: Path, source: str | None, webhook_hosts: tuple[str, ...]) -> None:
    """Check a file.

    Exit code 0: it can be used; 1: it has mistakes, which are listed with their lines.
    """
    # What reads a document takes long to import, and --help does not need it.
    from vorel_mock.mock.fixtures import Fixtures, FixturesError
    from vorel_mock.mock.snapshot import Reader
    from vorel_mock.webhooks.target_policy import TargetPolicy

    settings = _settings(source, *(part for host in webhook_hosts for part in ("--webhook-host", host)))
    contract = _contract(settings)
    reader = Reader(contract, TargetPolicy(settings.webhook_hosts, loopback=not settings.no_loopback_webhooks).check)
    try:
        read = Fixtures(file, contract)
        loaded = read.load(
            reader, seed=read.seed(settings) or 0, limits=read.limits(settings), clock=read.clock(settings)
        )
    except FixturesError as error:
        count = len(error.problems)
        click.echo("\n".join([*error.problems, f"{count} mistake{'s' if count > 1 else ''}."]), err=True)
        sys.exit(1)
    keys, leads = (sum(len(getattr(tenant, name)) for tenant in loaded.tenants) for name in ("keys", "leads"))
    click.echo(f"{file} can be used. Tenants: {len(loaded.tenants)}, keys: {keys}, leads: {leads}.")


@fixtures.command()
@click.option("--tenant", "tenant_id", metavar="ID", help="This tenant alone.  [default: all tenants]")
@click.option("--format", "form", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True)
@base_url_option
@control_token_option
def export(tenant_id: str | None, form: str, base_url: str, control_token: str | None) -> None:
    """Print the tenants of a running mock as fixtures.

    vorel-mock fixtures export > shop.toml

    The output holds the keys and the signing secrets of the tenants: without them it would be of no use. Not part of it
    are quotas that were spent, deliveries, the journal, and the ttl of a tenant.
    """
    from vorel_mock.mock.fixtures import writing

    with connect(base_url, control_token) as client:
        health = ask(client, "GET", "/_mock/health")
        schema = ask(client, "GET", "/_mock/fixtures.schema.json")
        ids = [tenant["id"] for tenant in ask(client, "GET", "/_mock/tenants")["data"]]
        snapshots = {}
        for each in ids if tenant_id is None else [tenant_id.lower()]:
            try:
                snapshots[each] = ask(client, "GET", f"/_mock/tenants/{quote(each, safe='')}/snapshot")
            except MockError as error:
                if tenant_id is not None or error.status != 404:  # one that was deleted meanwhile is none to export
                    raise
        stories = {tenant["id"]: tenant["story"] for tenant in ask(client, "GET", "/_mock/target")["tenants"]}
    scopes = schema["$defs"]["FixtureKey"]["properties"]["scopes"]["anyOf"][1]["items"]["enum"]
    try:
        content = writing.of_mock(snapshots, stories, seed=health["seed"], clock=health["clock"], scopes=scopes)
        text = "".join(writing.FORMATS[form](content))
    except writing.CannotWrite as error:
        raise click.ClickException(str(error)) from None
    click.echo(text, nl=False)


@fixtures.command()
@_CONTRACT
def schema(source: str | None) -> None:
    """Print the JSON Schema of such a file.

    Editors complete and check a file by it. A mock has it at /_mock/fixtures.schema.json.
    """
    from vorel_mock.mock.fixtures import rows

    click.echo(json.dumps(rows.schema(_contract(_settings(source))), indent=2))


def _settings(source: str | None, *arguments: str) -> Settings:
    return settings_of_environment(*arguments, *(() if source is None else ("--contract", source)))


def _contract(settings: Settings) -> Any:
    from vorel_mock.contract import contract
    from vorel_mock.contract.document_file import ContractError

    try:
        return contract.load(settings.contract)
    except ContractError as error:
        raise click.BadParameter(f"{settings.contract}: {error}", param_hint="--contract") from None
