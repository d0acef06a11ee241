"""`vorel-mock faults`: the faults that are armed in a running mock, and the catalogue."""

import click
import httpx

from vorel_mock.cli.mock_client import (
    Json,
    MockError,
    ask_list,
    below,
    echo_json,
    echo_table,
    json_option,
    of_mock,
    tenant_option,
)


@click.command()
@click.option("--armed", "armed_only", is_flag=True, help="Without the catalogue.")
@tenant_option
@json_option
@of_mock
def faults(client: httpx.Client, armed_only: bool, tenant: str | None, as_json: bool) -> None:
    """Show the faults that are armed, and the catalogue.

    POST /_mock/tenants/{id}/faults arms one, and so does the header Prefer: fault=ID for one request.
    """
    armed = _armed(client, tenant)
    catalogue = [] if armed_only else ask_list(client, "/_mock/faults")["data"]
    if as_json:
        echo_json({"armed": armed} if armed_only else {"armed": armed, "catalogue": catalogue})
        return
    click.echo("Armed" if armed else "No fault is armed.")
    if armed:
        echo_table([[f"  {row['fault']}", row["tenant_id"], _progress(row)] for row in armed])
    if catalogue:
        click.echo("\nCatalogue")
        echo_table([[f"  {row['id']}", row["sentence"]] for row in catalogue])


def _armed(client: httpx.Client, tenant: str | None) -> list[Json]:
    """Return the armed faults of a tenant, or of all, each with the id of its tenant."""
    ids = [row["id"] for row in ask_list(client, "/_mock/tenants")["data"]] if tenant is None else [tenant.lower()]
    found = []
    for tenant_id in ids:
        try:
            rows = ask_list(client, below(tenant_id, "faults"))["data"]
        except MockError as error:
            if tenant is None and error.status == 404:  # one that was deleted meanwhile
                continue
            raise
        found += [{"tenant_id": tenant_id, **row} for row in rows]
    return found


def _progress(row: Json) -> str:
    """Return which requests a fault waits for, and how many it has met."""
    told = [str(row["operation"] or "any operation")]
    told += [f"{name} {row[name]}" for name in ("after", "chance", "delay") if row[name]]
    if row["every"] and row["every"] > 1:
        told.append(f"every {row['every']}")
    told.append(f"met {row['met']}" + (f" of {row['next']}" if row["next"] else ""))
    return ", ".join([*told, *(["spent"] if row["spent"] else [])])
