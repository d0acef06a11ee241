"""`vorel-mock faults`: the faults that are armed in a running mock, and the catalogue; arm and disarm them."""

from typing import Any

import click
import httpx

from vorel_mock.cli.mock_client import (
    Json,
    MockError,
    ask,
    ask_list,
    below,
    chosen_tenant,
    echo_json,
    echo_table,
    json_option,
    of_mock,
)
from vorel_mock.webhooks.receiver import printable


@click.command()
@click.argument("change", required=False, type=click.Choice(["arm", "disarm"]))
@click.argument("fault", required=False)
@click.option("--armed", "armed_only", is_flag=True, help="Without the catalogue.")
@click.option("--tenant", metavar="ID", help="Of this tenant.  [default: show all; arm for the first, disarm for all]")
@click.option("--next", "next_", metavar="N", type=int, help="With arm: for the next N requests.  [default: 1]")
@click.option("--after", metavar="N", type=int, help="With arm: let N requests pass first.")
@click.option("--operation", metavar="ID", help="With arm: for this operation, such as handoffLead.")
@click.option("--delay", metavar="DURATION", help="With arm: of a fault that delays, such as 2s.")
@json_option
@of_mock
def faults(
    client: httpx.Client,
    /,
    change: str | None,
    fault: str | None,
    armed_only: bool,
    tenant: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the faults that are armed, and the catalogue; arm one, or disarm.

    \b
    vorel-mock faults                           show
    vorel-mock faults arm unavailable --next 2  the next two requests meet it
    vorel-mock faults disarm unavailable        that one
    vorel-mock faults disarm                    all

    For one request alone, the header Prefer: fault=ID does it.
    """
    given = {name.rstrip("_"): value for name, value in options.items() if value is not None}
    if given and change != "arm":
        first = next(iter(given))
        raise click.UsageError(f"--{first} goes with arm: vorel-mock faults arm FAULT --{first} …")
    if change == "arm":
        if fault is None:
            raise click.UsageError("arm: needs a fault, such as vorel-mock faults arm unavailable")
        owner = chosen_tenant(client, None)["id"] if tenant is None else tenant.lower()
        ask(client, "POST", below(owner, "faults"), json={"fault": fault, **given})
        armed_only, tenant = True, owner
    elif change == "disarm":
        _disarm(client, fault, tenant)
        armed_only = True
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


def _disarm(client: httpx.Client, fault: str | None, tenant: str | None) -> None:
    """Disarm a fault wherever it is armed, or all. Raises click.ClickException if there is none."""
    found = [row for row in _armed(client, tenant) if fault in (None, row["fault"])]
    if not found:
        what = "no fault is" if fault is None else f"{printable(fault)} is not"
        raise click.ClickException(f"{what} armed. `vorel-mock faults` lists those that are.")
    for row in found:
        ask(client, "DELETE", f"{below(row['tenant_id'], 'faults')}/{row['id']}")


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
