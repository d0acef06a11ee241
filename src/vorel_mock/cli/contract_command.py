"""`vorel-mock contract`: print the contract document."""

import json

import click


@click.command()
@click.option(
    "--contract", "source", metavar="FILE", help="Another document: a file or a URL.  [default: the Vorel API]"
)
@click.option("--for-generators", "for_generators_", is_flag=True, help="Without what openapi-generator fails at.")
def contract(source: str | None, for_generators_: bool) -> None:
    """Print the contract document as JSON, for a generator of clients for example."""
    # What reads a document takes long to import, and `vorel-mock --help` does not need it.
    from vorel_mock.contract import contract as contract_module
    from vorel_mock.contract.document_file import ContractError
    from vorel_mock.contract.generators import for_generators

    try:
        document = contract_module.load(source).document
    except ContractError as error:
        raise click.BadParameter(f"{source}: {error}", param_hint="--contract") from None
    click.echo(json.dumps(for_generators(document) if for_generators_ else document, indent=2, ensure_ascii=False))
