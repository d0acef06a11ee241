"""The mock as an ASGI application for other servers: `hypercorn vorel_mock.asgi:app`, `uvicorn vorel_mock.asgi:app`.

`app` is configured as `vorel-mock` is: by the environment variables VOREL_MOCK_* and by vorel-mock.toml. To mount a
mock in an application of your own, with settings in code, call `create`.
"""

from typing import Any

import click

from vorel_mock.cli.serve import settings_of_environment
from vorel_mock.mock.fixtures import FixturesError
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.server.app import App
from vorel_mock.server.asgi import AsgiApp


def create(settings: Settings) -> AsgiApp:
    """Return the ASGI application of a new mock: Connexion's for the control plane, and beside it the API."""
    return AsgiApp(App(Mock(settings)))


def __getattr__(name: str) -> Any:
    """Make `app` when a server asks for it (PEP 562), and not when this module is imported."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        settings = settings_of_environment()
    except click.ClickException as error:
        raise SystemExit(f"Error: {error.format_message()}") from None
    try:
        globals()["app"] = made = create(settings)
    except FixturesError as error:
        raise SystemExit(f"Error: the fixtures cannot be used:\n{error}") from None
    return made
