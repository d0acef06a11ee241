"""`vorel-mock requests` and `vorel-mock explain`: the journal of a running mock."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import click
import httpx

from vorel_mock.cli.mock_client import (
    Json,
    MockError,
    ask,
    ask_list,
    below,
    echo_json,
    echo_table,
    json_option,
    of_mock,
    tenant_option,
)
from vorel_mock.cli.options import WholeNumber
from vorel_mock.unpatched.clocks import sleep
from vorel_mock.webhooks.receiver import printable

#: Seconds between two looks for new requests.
_LOOK = 0.3
#: Requests that a look asks for: one, and more until the last one that was shown is among them.
_PAGES = (1, 30, 1000, 10_000)


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Then show each new request, until Ctrl-C.")
@click.option("--limit", "-n", type=WholeNumber(0, 10_000), default=20, show_default=True, help="The latest N.")
@click.option("--operation", metavar="ID", help="Of this operation, such as handoffLead.")
@click.option("--status", type=WholeNumber(100, 599), help="With this status.")
@click.option("--contains", metavar="TEXT", help="With this text in the body.")
@tenant_option
@json_option
@of_mock
def requests(
    client: httpx.Client, /, follow: bool, limit: int, tenant: str | None, as_json: bool, **filters: Any
) -> None:
    """Show the latest requests to the API, and what decided each.

    With --follow, --json prints a line of JSON for each request; without, one document.
    """
    path = below(tenant, "requests")
    found = ask_list(client, path, limit=max(limit, 1), **filters)
    latest = found["data"][-1:]
    shown = found["data"] if limit else []
    if as_json and not follow:
        echo_json({**found, "data": shown})
    else:
        _show(shown, as_json=as_json)
    if not (follow or as_json or shown):
        click.echo("No request.", err=True)
    if follow:
        try:
            _follow(client, path, latest, filters, as_json=as_json)
        except KeyboardInterrupt:
            return


@click.command()
@click.argument("request_id", metavar="[ID]", required=False)
@tenant_option
@json_option
@of_mock
def explain(client: httpx.Client, request_id: str | None, tenant: str | None, as_json: bool) -> None:
    """Explain a response: the steps of the request, and what decided it.

    ID is the X-Mock-Request-Id of the response, such as req_00000003.  [default: the latest]
    """
    if request_id is not None and tenant is not None:
        raise click.UsageError("--tenant: ID names one request already; leave one of them out.")
    if request_id is not None:
        exchange = ask(client, "GET", f"/_mock/requests/{quote(request_id, safe='')}")
    else:
        latest = ask_list(client, below(tenant, "requests"), limit=1)["data"]
        if not latest:
            raise click.ClickException("the journal has no request to explain.")
        (exchange,) = latest
    if as_json:
        echo_json(exchange)
    else:
        _explain(exchange)


def _follow(client: httpx.Client, path: str, latest: list[Json], filters: Json, *, as_json: bool) -> None:
    """Show each request that comes after `latest`, which has one request or none. A mock that is away is waited for."""
    last = latest[-1] if latest else None
    problem: str | None = None
    while True:
        sleep(_LOOK)
        try:
            new = _since(client, path, last, filters)
            problem = None
        except MockError as error:
            if error.status is not None:  # not away: it does not give what is asked for
                raise
            if problem is None:
                click.echo(f"{error.message} Trying again.", err=True)
            problem = error.message
            continue
        _show(new, as_json=as_json)
        last = new[-1] if new else last


def _since(client: httpx.Client, path: str, last: Json | None, filters: Json) -> list[Json]:
    """Return the requests behind `last`; all if it is not there: the journal was cleared, or the mock restarted."""
    rows: list[Json] = []
    for limit in _PAGES:
        found = ask_list(client, path, limit=limit, **filters)
        rows = found["data"]
        for number, row in enumerate(rows):
            if last is not None and _identity(row) == _identity(last):
                return rows[number + 1 :]
        if len(rows) == found["total"]:
            break
    return rows


def _identity(row: Json) -> tuple[str, str]:
    """Return what no other request has: a mock that was restarted gives ids anew."""
    return row["id"], row["at"]


def _show(rows: list[Json], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        echo_table([[row["at"], row["id"], _status(row), _target(row), _outcome(row)] for row in rows])


def _status(row: Json) -> str:
    status = row["response"]["status"]
    return "---" if status is None else str(status)


def _target(row: Json) -> str:
    sent = row["request"]
    return f"{sent['method']} {sent['path']}{'?' if sent['query'] else ''}{sent['query']}"


def _outcome(row: Json) -> str:
    """Return what decided the response, if it is not a plain success."""
    decided: Json = row["explanation"]
    status = row["response"]["status"]
    fault = [f"{name} {row[name]}" for name in ("fault", "stub") if row[name]]
    if status is None or status >= 400:
        return ", ".join([*fault, f"{decided['decided_by']}: {decided['rule']}"])
    return ", ".join(fault)


def _explain(exchange: Json) -> None:
    decided = exchange["explanation"]
    click.echo(printable(f"{exchange['id']}  {_target(exchange)} -> {_status(exchange)}"))
    told: list[tuple[str, Any]] = [
        ("at", exchange["at"]),
        ("tenant", exchange["tenant_id"]),
        ("key", exchange["key_id"]),
        ("fault", exchange["fault"]),
        ("stub", exchange["stub"]),
    ]
    echo_table([[f"  {name}", str(value)] for name, value in told if value is not None])
    click.echo("\nSteps")
    echo_table([[f"  {step['outcome']}", step["step"], step.get("detail", "")] for step in decided["steps"]])
    rows = [["Rule", decided["rule"]], ["Contract", decided["pointer"] or "(nothing there: a decision of the mock)"]]
    click.echo()
    echo_table(rows)
    for name in ("request", "response"):
        body = exchange[name]["body"]
        if body:
            click.echo(f"\n{name.title()} body\n{_laid_out(body)}")


def _laid_out(body: str) -> str:
    """Return a body for a reader: JSON indented, control characters escaped."""
    with suppress(ValueError, RecursionError):
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return "\n".join(f"  {printable(line)}" for line in body.split("\n"))
