"""`vorel-mock fixtures`: check a file, and print its schema."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from vorel_mock.cli.options import FileName

_CONTRACT = click.option(
    "--contract",
    "source",
    metavar="FILE|URL",
    envvar="VOREL_MOCK_CONTRACT",
    help="The document that the mock serves: scopes and operations are its own.  [default: the Vorel API]",
)


@click.group()
def fixtures() -> None:
    """Fixtures: a file with the tenants that a mock begins with.

    vorel-mock --fixtures shop.toml begins with those of shop.toml, instead of the demo tenants.
    """


@fixtures.command()
@click.argument("file", type=FileName())
@_CONTRACT
@click.option(
    "--webhook-host",
    "webhook_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    envvar="VOREL_MOCK_WEBHOOK_HOST",
    help="Host beyond loopback that webhooks may go to, as in serve.",
)
def check(file: Path, source: str | None, webhook_hosts: tuple[str, ...]) -> None:
    """Check FILE. Exit code 0: it can be used; 1: it has mistakes, which are listed with their lines."""
    # What reads a document takes long to import, and --help does not need it.
    from vorel_mock.mock.fixtures import Fixtures, FixturesError
    from vorel_mock.mock.settings import SettingError, Settings
    from vorel_mock.mock.snapshot import Reader
    from vorel_mock.webhooks.target_policy import TargetPolicy

    contract = _contract(source)
    try:
        settings = Settings(webhook_hosts=webhook_hosts)
    except SettingError as error:
        raise click.BadParameter(f"{error.problem}.", param_hint="--webhook-host") from None
    reader = Reader(contract, TargetPolicy(webhook_hosts).check)
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
@_CONTRACT
def schema(source: str | None) -> None:
    """Print the JSON Schema of a file with fixtures, for an editor for example.

    A mock has it at /_mock/fixtures.schema.json.
    """
    from vorel_mock.mock.fixtures import rows

    click.echo(json.dumps(rows.schema(_contract(source)), indent=2))


def _contract(source: str | None) -> Any:
    from vorel_mock.contract import contract
    from vorel_mock.contract.document_file import ContractError

    try:
        return contract.load(source)
    except ContractError as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--contract") from None
