"""A small client of a running mock, and the options of the commands that use it. It reports problems in one line."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote

import click
import httpx

from vorel_mock.cli.options import DEFAULTS
from vorel_mock.mock.settings import check_token
from vorel_mock.model.redaction import redact
from vorel_mock.webhooks.receiver import printable

Json = dict[str, Any]
Options = ParamSpec("Options")

#: Seconds that the mock has for a response.
_TIMEOUT = 30.0
#: The exit code of a program that Ctrl-C has ended.
_INTERRUPTED = 130

URL = "VOREL_MOCK_URL"
DEFAULT_URL = f"http://{DEFAULTS.host}:{DEFAULTS.port}"
base_url_option = click.option(
    "--base-url",
    default=DEFAULT_URL,
    envvar=URL,
    show_envvar=True,
    show_default=True,
    help="The mock.",
)
control_token_option = click.option(
    "--control-token",
    envvar="VOREL_MOCK_CONTROL_TOKEN",
    show_envvar=True,
    help="Token that /_mock of that mock requires.",
)
tenant_option = click.option("--tenant", metavar="ID", help="Of this tenant.  [default: of the whole mock]")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def of_mock(command: Callable[Concatenate[httpx.Client, Options], None]) -> Callable[..., None]:
    """Give a command a client of a mock, and the options that say which. Ctrl-C ends it without a word."""

    @base_url_option
    @control_token_option
    @wraps(command)
    def connected(
        base_url: str, control_token: str | None, *arguments: Options.args, **options: Options.kwargs
    ) -> None:
        try:
            with connect(base_url, control_token) as client:
                command(client, *arguments, **options)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)

    return connected


class MockError(click.ClickException):
    """The mock gives no response, or one that is not a success (`status`)."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def connect(base_url: str, control_token: str | None) -> httpx.Client:
    """Return a client of the mock at `base_url`. Raises click.UsageError if the URL, or the token, is invalid."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise click.UsageError(f"--base-url, or {URL}: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise click.UsageError(f"--base-url, or {URL}: must be a URL such as http://127.0.0.1:3000")
    headers = {}
    if control_token is not None:
        try:
            check_token(control_token)
        except ValueError as error:
            raise click.UsageError(f"--control-token: {error}.") from None
        headers = {"Authorization": f"Bearer {control_token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False)


def chosen_tenant(client: httpx.Client, tenant_id: str | None) -> Json:
    """Return id, key and lead of a tenant, or of the first that the mock began with. Raises click.ClickException."""
    if tenant_id is not None:
        target = ask(client, "GET", below(tenant_id, "target"))
        keys, leads = target["keys"]["full"], target["leads"]["own"]
        return {"id": target["id"], "key": next(iter(keys), None), "lead": next(iter(leads), None)}
    tenants = ask(client, "GET", "/_mock/target").get("tenants") or []
    if not tenants:
        raise click.ClickException("the mock began without a tenant; name one with --tenant ID.")
    return dict(tenants[0])


def ask(client: httpx.Client, method: str, path: str, **arguments: Any) -> Json:
    """Return the JSON object of the response. Raises MockError with one line if there is a problem."""
    try:
        response = client.request(method, path, **arguments)
    except httpx.TransportError:
        raise MockError(f"no server at {client.base_url}. Is vorel-mock running there?") from None
    try:
        answer = response.json() if response.content else {}
    except ValueError:
        answer = None
    message = _message(answer)
    if not isinstance(answer, dict) or (message is None and not response.is_success):
        raise _other_server(client, response.status_code)
    if not response.is_success:
        shown = printable(redact(message or ""))
        hint = _hint(response.status_code, path)
        raise MockError(f"the mock answered {response.status_code}: {shown}{hint}", response.status_code)
    return answer


def ask_list(client: httpx.Client, path: str, member: str = "data", **parameters: Any) -> Json:
    """Return the response with a list in `member`. Raises MockError like `ask`."""
    given = {name: value for name, value in parameters.items() if value is not None}
    answer = ask(client, "GET", path, params=given)
    if not isinstance(answer.get(member), list):
        raise _other_server(client, 200)
    return answer


def below(tenant_id: str | None, path: str) -> str:
    """Return a path of the control plane: of a tenant, or of the whole mock."""
    return f"/_mock/{path}" if tenant_id is None else f"/_mock/tenants/{quote(tenant_id, safe='')}/{path}"


def echo_json(value: Any) -> None:
    """Print a JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def echo_table(rows: list[list[str]]) -> None:
    """Print rows, with the columns below one another. Control characters are escaped."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _message(answer: Any) -> str | None:
    """Return the message of an error of the mock; None if it is none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None


def _hint(status: int, path: str) -> str:
    """Return what to do here about an error of the control plane, beside what the mock says."""
    if status == 401 and path.startswith("/_mock"):
        return "; here: --control-token or VOREL_MOCK_CONTROL_TOKEN"
    if status == 404 and path.startswith("/_mock/tenants/"):
        return " `vorel-mock tenants` lists them."
    return ""


def _other_server(client: httpx.Client, status: int) -> MockError:
    return MockError(f"the server at {client.base_url} is not vorel-mock ({status}).", status)
