"""`vorel-mock trigger`: make an event happen through the API."""

import json
from typing import Any
from urllib.parse import quote

import click

from vorel_mock.cli.mock_client import ask, connect, demo_tenant
from vorel_mock.cli.options import DEFAULTS
from vorel_mock.model.handoffs import HANDOFF_REQUESTED
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.webhooks.receiver import printable

#: The events that operations of the contract cause, each with the operationId.
CAUSES = {HANDOFF_REQUESTED: "handoffLead"}


@click.command()
@click.argument("event", metavar="EVENT")
@click.option("--base-url", default=f"http://{DEFAULTS.host}:{DEFAULTS.port}", show_default=True, help="The mock.")
@click.option("--tenant", help="Id of a demo tenant.  [default: the first]")
@click.option("--reason", help="Reason of the handoff.")
@click.option("--summary", help="Summary of the handoff.")
@click.option(
    "--control-token",
    envvar="VOREL_MOCK_CONTROL_TOKEN",
    show_envvar=True,
    help="Token that /_mock of that mock requires.",
)
def trigger(
    event: str,
    base_url: str,
    tenant: str | None,
    reason: str | None,
    summary: str | None,
    control_token: str | None,
) -> None:
    """Make EVENT happen through the API and print the response.

    The operations of the contract cause one event: conversation.handoff_requested.
    """
    if event not in CAUSES:
        known = "is an event that no operation of the contract causes" if event in EVENTS else "is not an event"
        raise click.UsageError(f"{printable(event)} {known}. Events that can be triggered: {', '.join(CAUSES)}.")
    body = {name: value for name, value in (("reason", reason), ("summary", summary)) if value is not None}
    with connect(base_url, control_token) as client:
        demo = demo_tenant(client, tenant)
        if demo["key"] is None or demo["lead"] is None:
            raise click.ClickException(_lacking(demo))
        path = _path(CAUSES[event]).replace("{id}", quote(str(demo["lead"]), safe=""))
        answer = ask(client, "POST", path, json=body, headers={"Authorization": f"Bearer {demo['key']}"})
    click.echo(json.dumps(answer, indent=2))


def _lacking(demo: dict[str, Any]) -> str:
    what, where = ("key", "keys") if demo["key"] is None else ("lead", "leads")
    return (
        f"tenant {printable(str(demo['id']))} has no {what}; POST /_mock/tenants/{{id}}/{where} adds one, and "
        "POST /_mock/reset restores the demo tenants"
    )


def _path(operation_id: str) -> str:
    from vorel_mock.contract import contract  # not above: --help need not wait until the document is read

    return next(operation.path for operation in contract.load().operations if operation.id == operation_id)
