"""`vorel-mock trigger`: make an event happen, and show what became of its deliveries."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import click
import httpx

from vorel_mock.cli.mock_client import ask, base_url_option, chosen_tenant, connect, control_token_option
from vorel_mock.model.handoffs import HANDOFF_REQUESTED
from vorel_mock.model.unknown_name import unknown_name
from vorel_mock.model.webhooks import EVENTS
from vorel_mock.unpatched.clocks import monotonic, sleep
from vorel_mock.webhooks.receiver import printable

Json = dict[str, Any]

#: The events that operations of the contract cause, each with the operationId.
CAUSES = {HANDOFF_REQUESTED: "handoffLead"}

#: Seconds for which the first attempts are waited for, and between two looks: a receiver has ten for its response.
_PATIENCE = 12.0
_LOOK = 0.1
#: Deliveries that are looked at to find those of a handoff.
_LATEST = 100
#: Bytes of --data that are read; the mock takes less.
_MOST = 1024 * 1024
_HOW_TO_SUBSCRIBE = "`vorel-mock webhooks listen --base-url URL` subscribes and shows them."


@click.command(epilog=f"Events: {', '.join(EVENTS)}.")
@click.argument("event", metavar="EVENT")
@click.option(
    "--data",
    metavar="JSON",
    help="Data of the event: JSON, @FILE, or @- for the standard input.  [default: an example of the tenant]",
)
@base_url_option
@click.option("--tenant", help="Id of the tenant.  [default: the first that the mock began with]")
@click.option("--reason", help=f"Reason of the handoff, for {HANDOFF_REQUESTED}.")
@click.option("--summary", help=f"Summary of the handoff, for {HANDOFF_REQUESTED}.")
@control_token_option
def trigger(
    event: str,
    data: str | None,
    base_url: str,
    tenant: str | None,
    reason: str | None,
    summary: str | None,
    control_token: str | None,
) -> None:
    """Make EVENT happen. Prints it as JSON, and the state of each delivery to standard error.

    conversation.handoff_requested happens through the API, unless --data is given. The others are published, and change
    nothing else.
    """
    if event not in EVENTS:
        raise click.UsageError(unknown_name("event", printable(event), EVENTS))
    body = {name: value for name, value in (("reason", reason), ("summary", summary)) if value is not None}
    if body and (event not in CAUSES or data is not None):
        raise click.UsageError(f"--reason and --summary go with {HANDOFF_REQUESTED}, and without --data.")
    given = None if data is None else _read(data)
    with connect(base_url, control_token) as client:
        if event in CAUSES and given is None:
            demo = chosen_tenant(client, tenant)
            shown = _through_the_api(client, event, demo, body)
            path = _of(demo["id"])
            deliveries = _of_handoff(client, path, event, str(shown.get("handoff_id")))
        else:
            path = _of(chosen_tenant(client, None)["id"] if tenant is None else tenant)
            wanted = {"event": event} if given is None else {"event": event, "data": given}
            headers = {"Content-Type": "application/json"}
            # In ASCII: what no UTF-8 has is for the mock to reject.
            shown = ask(client, "POST", f"{path}/events", content=json.dumps(wanted), headers=headers)
            deliveries = shown.pop("deliveries")
        click.echo(json.dumps(shown, indent=2))
        _tell(client, path, event, deliveries)


def _read(given: str) -> Any:
    """Return the JSON of --data. Raises click.UsageError if it cannot be read, or is not an object."""
    named = given[:1] == "@"
    try:
        text = _content(given[1:]) if named else given.encode()
        if len(text) > _MOST:
            raise click.UsageError("--data: is longer than 1 MiB.")
        value = json.loads(text.decode(), parse_constant=_no_constant)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not in UTF-8"
        raise click.UsageError(f"--data: cannot read {printable(given[1:]) if named else 'it'}: {reason}.") from None
    except (ValueError, RecursionError) as error:
        place = f"; line {error.lineno}, column {error.colno} is not" if isinstance(error, json.JSONDecodeError) else ""
        hint = "" if named else ". A file is written @FILE"
        raise click.UsageError(f"--data: must be JSON{place}{hint}.") from None
    if not isinstance(value, dict):
        raise click.UsageError('--data: must be a JSON object, such as {"offering_id": "...", "name": "Cut"}.')
    return value


def _content(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(_MOST + 1)
    with Path(name).open("rb") as file:
        return file.read(_MOST + 1)


def _no_constant(name: str) -> NoReturn:
    """Reject what JSON does not have: NaN and Infinity."""
    raise ValueError(name)


def _through_the_api(client: httpx.Client, event: str, demo: Json, body: Json) -> Json:
    if demo["key"] is None or demo["lead"] is None:
        raise click.ClickException(_lacking(demo))
    path = _path(CAUSES[event]).replace("{id}", quote(str(demo["lead"]), safe=""))
    return ask(client, "POST", path, json=body, headers={"Authorization": f"Bearer {demo['key']}"})


def _of_handoff(client: httpx.Client, path: str, event: str, handoff_id: str) -> list[Json]:
    latest = ask(client, "GET", f"{path}/deliveries", params={"event": event, "limit": _LATEST})["data"]
    return [delivery for delivery in latest if delivery["body"].get("data", {}).get("handoff_id") == handoff_id]


def _tell(client: httpx.Client, path: str, event: str, deliveries: list[Json]) -> None:
    """Wait for the first attempt of each delivery, and show the states."""
    webhooks = {webhook["id"]: webhook for webhook in ask(client, "GET", f"{path}/webhooks")["data"]}
    if not deliveries:
        lost = any(event in webhook["events"] for webhook in webhooks.values())
        why = "An armed fault of the tenant lost the event" if lost else f"Nobody is subscribed to {event}"
        click.echo(f"{why}, so no webhook was sent.{'' if lost else f' {_HOW_TO_SUBSCRIBE}'}", err=True)
        return
    until = monotonic() + _PATIENCE
    for delivery in deliveries:
        webhook = webhooks.get(delivery["webhook_id"], {"target_url": "a webhook that was deleted", "held": True})
        while not (webhook["held"] or delivery["attempts"] or delivery["state"] != "pending") and monotonic() < until:
            sleep(_LOOK)
            delivery = ask(client, "GET", f"{path}/deliveries/{quote(delivery['id'], safe='')}")
        held = ", held back" if webhook["held"] else ""
        click.echo(f"{delivery['state']}{held}: {printable(str(webhook['target_url']))}{_last(delivery)}", err=True)


def _last(delivery: Json) -> str:
    """Return what came of the last attempt, and when the next one is due."""
    told = []
    if delivery["attempts"]:
        last = delivery["attempts"][-1]
        told.append(str(last["error"] or f"status {last['status']}"))
    else:
        told.append("no attempt yet")
    if delivery["due_at"]:
        told.append(f"next attempt due at {delivery['due_at']} on the tenant's clock")
    return f" ({printable(', '.join(told))})"


def _of(tenant_id: str) -> str:
    return f"/_mock/tenants/{quote(str(tenant_id), safe='')}"


def _lacking(demo: Json) -> str:
    what, where = ("key", "keys") if demo["key"] is None else ("lead", "leads")
    return (
        f"tenant {printable(str(demo['id']))} has no {what}; POST /_mock/tenants/{{id}}/{where} adds one, and "
        "POST /_mock/reset restores the demo tenants"
    )


def _path(operation_id: str) -> str:
    from vorel_mock.contract import contract  # not above: --help need not wait until the document is read

    return next(operation.path for operation in contract.load().operations if operation.id == operation_id)
