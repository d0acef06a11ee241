"""A conformance kit for the Vorel API: imports nothing of the mock."""

from importlib.metadata import version

__version__ = version("vorel-mock")
