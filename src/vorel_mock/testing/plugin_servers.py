"""The mocks of a pytest run: one for each set of settings, started when a test needs it. Called by the plugin."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vorel_mock.contract.document_file import ContractError
from vorel_mock.contract.source import is_url
from vorel_mock.model.unknown_name import unknown_name
from vorel_mock.testing.connection import ControlError
from vorel_mock.testing.control_client import Control
from vorel_mock.testing.mock_server import MockServer


class Unusable(Exception):
    """A mock that cannot be started or reached; the message says where that was asked for, and what is wrong."""


class Servers:
    """The mocks of a run, until `close`."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._known: dict[str, Control] = {}

    def started(self, given: Mapping[str, Any], names: Mapping[str, str], folder: Path) -> Control:
        """Return the control plane of a mock with the settings that ini file and marker give, which are among `names`.

        Paths are relative to `folder`. Raises Unusable.
        """
        settings = _usable(given, names, folder)
        return self._once(repr(sorted(settings.items())), lambda: self._start(settings))

    def running(self, url: str, token: str | None) -> Control:
        """Return the control plane of the mock at `url`. Raises Unusable."""
        return self._once(url, lambda: self._connect(url, token))

    def close(self) -> None:
        """Stop those that were started."""
        self._stack.close()

    def _once(self, key: str, make: Callable[[], Control]) -> Control:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _start(self, settings: Mapping[str, Any]) -> Control:
        try:
            return self._stack.enter_context(MockServer(**settings)).control
        except ContractError as error:
            raise Unusable(f"contract: {settings['contract']}: {error}") from None
        except (ValueError, TypeError, OSError) as error:
            raise Unusable(str(error)) from None

    def _connect(self, url: str, token: str | None) -> Control:
        try:
            with ExitStack() as opened:
                control = opened.enter_context(Control(url, token))
                control.health()
                self._stack.push(opened.pop_all())
                return control
        except (ControlError, ValueError) as error:
            raise Unusable(str(error).removeprefix("base_url: ")) from None


def _usable(given: Mapping[str, Any], names: Mapping[str, str], folder: Path) -> dict[str, Any]:
    settings = dict(given)
    for name in settings:
        if name not in names:
            raise Unusable(unknown_name("setting", name, list(names)))
    if isinstance(seed := settings.get("seed"), str):
        try:
            settings["seed"] = int(seed)
        except ValueError:
            raise Unusable(f"seed: must be a whole number, not {seed!r}") from None
    for name in ("fixtures", "contract"):
        if isinstance(path := settings.get(name), (str, Path)) and not is_url(path):
            settings[name] = folder / path
    return settings
