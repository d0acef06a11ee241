"""`vorel-mock contract`: print the contract document."""

import json

import click


@click.command()
@click.option(
    "--contract", "source", metavar="FILE", help="Another document: a file or a URL.  [default: the Vorel API]"
)
@click.option(
    "--for",
    "target",
    type=click.Choice(["openapi-generator", "openapi-3.0"]),
    help="Without what openapi-generator fails at, or in OpenAPI 3.0.3.",
)
def contract(source: str | None, target: str | None) -> None:
    """Print the contract document as JSON, for a generator of clients for example."""
    # What reads a document takes long to import, and `vorel-mock --help` does not need it.
    from vorel_mock.contract import contract as contract_module
    from vorel_mock.contract.document_file import ContractError
    from vorel_mock.contract.generators import RENDERINGS

    try:
        document = contract_module.load(source).document
    except ContractError as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--contract") from None
    rendered = document if target is None else RENDERINGS[target](document)
    click.echo(json.dumps(rendered, indent=2, ensure_ascii=False))
