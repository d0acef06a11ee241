"""A contract-true mock server for the Vorel API."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vorel_mock.mock.mock import Mock
    from vorel_mock.mock.settings import Settings

__version__ = "0.1.0"
__all__ = ["Mock", "Settings", "__version__"]

_MODULES = {"Mock": "mock.mock", "Settings": "mock.settings"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562): `vorel-mock --help` needs none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
